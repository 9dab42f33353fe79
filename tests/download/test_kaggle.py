"""kagglehub's folder is handed on, or one sentence says why there is none; with a kagglehub that errs as told."""

import inspect
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from ser.download import kaggle
from ser.utils.errors import UserError
from tests.helpers.factories import ROOT

HANDLE = "ejlok1/cremad"
PAGE = f"https://www.kaggle.com/datasets/{HANDLE}"


class DataCorruptionError(Exception):
    """As kagglehub's own, it derives from nothing else."""


def install(monkeypatch: pytest.MonkeyPatch, download: Callable[[str], str]) -> None:
    """Put a package in kagglehub's place that has what is used of it."""
    package, exceptions = types.ModuleType("kagglehub"), types.ModuleType("kagglehub.exceptions")
    package.dataset_download = download
    package.exceptions = exceptions
    exceptions.DataCorruptionError = DataCorruptionError
    exceptions.requests = requests
    monkeypatch.setitem(sys.modules, "kagglehub", package)
    monkeypatch.setitem(sys.modules, "kagglehub.exceptions", exceptions)


def failure(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> str:
    def refuse(handle: str) -> str:
        raise error

    install(monkeypatch, refuse)
    with pytest.raises(UserError) as raised:
        kaggle.fetch(HANDLE)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def refused(status: int, reason: str) -> requests.HTTPError:
    response = requests.Response()
    response.status_code, response.reason = status, reason
    return requests.HTTPError(f"{status} Client Error.\n\nResource not found", response=response)


def unreachable() -> requests.ConnectionError:
    try:
        try:
            raise OSError(-2, "Name or service not known")
        except OSError:
            raise requests.ConnectionError("HTTPSConnectionPool(host='api.kaggle.com'): Max retries exceeded")  # noqa: B904
    except requests.ConnectionError as error:
        return error


def test_the_folder_is_handed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What kagglehub says when asked by the handle is the answer."""
    install(monkeypatch, lambda handle: str(tmp_path / handle))
    assert kaggle.fetch(HANDLE) == tmp_path / "ejlok1" / "cremad"


def test_without_the_package_a_sentence_says_how_to_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not among the requirements, and importing the module does not need it."""
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(UserError, match=r"pip install -r requirements-kaggle\.txt -c constraints\.txt") as raised:
        kaggle.fetch(HANDLE)
    assert str(raised.value).startswith(PAGE)
    assert (ROOT / "requirements-kaggle.txt").read_text().startswith("kagglehub==")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (refused(401, "Unauthorized"), "answered 401 Unauthorized"),
        (refused(403, "Forbidden"), "answered 403 Forbidden"),
        (refused(404, "Not Found"), "answered 404 Not Found"),
        (unreachable(), "could not be fetched ([Errno -2] Name or service not known)"),
        (requests.ReadTimeout(), "could not be fetched (ReadTimeout)"),
        (DataCorruptionError("an MD5 of:\n  a\nbut\n  b\n"), "could not be fetched (an MD5 of: a but b)"),
        (ValueError("Invalid dataset handle: x"), "could not be fetched (Invalid dataset handle: x)"),
        (OSError(28, "No space left on device"), "could not be fetched ([Errno 28] No space left on device)"),
    ],
)
def test_what_kagglehub_says_is_one_sentence(error: Exception, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the dataset's page, the reason, and what to do."""
    message = failure(monkeypatch, error)
    assert message.startswith(f"{PAGE} {said}; expected its files: ")
    assert "KAGGLE_API_TOKEN" in message
    assert "by hand" in message


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ZeroDivisionError()])
def test_what_nobody_foresaw_is_not_hidden(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends the command, and an error in code is one."""

    def refuse(handle: str) -> str:
        raise error

    install(monkeypatch, refuse)
    with pytest.raises(type(error)):
        kaggle.fetch(HANDLE)


def test_the_real_package_is_called_as_it_wants(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where kagglehub is installed, it takes the handle, gives a path, and its errors are known."""
    kagglehub = pytest.importorskip("kagglehub")
    signature = inspect.signature(kagglehub.dataset_download)
    assert signature.bind(HANDLE).arguments == {"handle": HANDLE}
    assert signature.return_annotation is str
    own = kaggle._own(kagglehub.exceptions)
    assert {"DataCorruptionError", "UnauthenticatedError", "KaggleApiHTTPError"} <= {kind.__name__ for kind in own}
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"could not be fetched \(Invalid dataset handle"):
        kaggle.fetch("no-handle")
