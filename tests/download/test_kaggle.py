"""The folder of kagglehub is returned, or an error raised; tested with a replacement of kagglehub."""

import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from ser.download import kaggle
from ser.utils.errors import UserError
from tests.helpers.factories import ROOT

HANDLE = "ejlok1/cremad"
PAGE = f"https://www.kaggle.com/datasets/{HANDLE}"


def install(monkeypatch: pytest.MonkeyPatch, download: Callable[[str], str]) -> None:
    monkeypatch.setitem(sys.modules, "kagglehub", types.SimpleNamespace(dataset_download=download))


def test_the_folder_is_returned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The dataset is requested by its handle."""
    install(monkeypatch, lambda handle: str(tmp_path / handle))
    assert kaggle.fetch(HANDLE) == tmp_path / "ejlok1" / "cremad"


def test_the_package_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the error names the page and the requirements file."""
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(UserError, match=rf"{PAGE}.*requirements-kaggle\.txt"):
        kaggle.fetch(HANDLE)
    assert (ROOT / "requirements-kaggle.txt").read_text().startswith("kagglehub==")


def test_an_error_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message is one line with the page and the reason."""

    def fail(handle: str) -> str:
        raise LookupError("No\n  dataset")

    install(monkeypatch, fail)
    with pytest.raises(UserError, match=rf"^{PAGE}: .*LookupError: No dataset"):
        kaggle.fetch(HANDLE)
