"""Fixtures of the tests of downloads."""

import pytest

from ser.download import fetch


@pytest.fixture(autouse=True)
def local_and_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bypass proxies, retry without waiting, and ignore DVC's root if the tests run under DVC."""
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(variable, "127.0.0.1")
    monkeypatch.setattr(fetch, "BACKOFF_FACTOR", 0.0)
    monkeypatch.delenv("DVC_ROOT", raising=False)
