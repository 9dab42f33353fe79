"""Corpora on Kaggle, by its own package kagglehub, which is there only where somebody wants it."""

import tarfile
import zipfile
import zlib
from pathlib import Path
from types import ModuleType

from ser.utils.errors import UserError

_SITE = "https://www.kaggle.com/datasets"
# Besides kagglehub's own: of the network and the disk, which all are OSError, and of damaged archives.
_ERRORS = (OSError, ValueError, EOFError, zipfile.BadZipFile, tarfile.TarError, zlib.error)


def fetch(handle: str) -> Path:
    """Have a dataset of Kaggle in kagglehub's cache, unpacked.

    kagglehub asks for no login where the dataset is public, goes on where it was interrupted while it fetched, and
    shows a progress bar of its own. It checks what it fetches by the MD5 that Kaggle's storage sends, once: what is
    changed in its cache afterwards goes unnoticed. Two processes must not fetch the same dataset at a time.

    Parameters
    ----------
    handle
        ``OWNER/NAME``, or ``OWNER/NAME/versions/NUMBER``: without a number it is the latest version, and the network
        is needed to learn which, even if the dataset is in the cache.

    Returns
    -------
    Path
        A folder of kagglehub's cache, which is where the environment variable KAGGLEHUB_CACHE says, else
        ``~/.cache/kagglehub``. What is in it is not to be changed.

    Raises
    ------
    InputError
        If kagglehub is not installed, or cannot have the dataset.

    References
    ----------
    https://github.com/Kaggle/kagglehub
    """
    try:
        import kagglehub
        from kagglehub import exceptions
    except ImportError as error:
        raise UserError(
            f"{_SITE}/{handle} is fetched by kagglehub, which cannot be imported ({error}); expected it to be "
            "installed: pip install -r requirements-kaggle.txt -c constraints.txt, or download the page's files."
        ) from error
    foreseen: tuple[type[Exception], ...] = (*_ERRORS, *_own(exceptions))
    try:
        return Path(kagglehub.dataset_download(handle))
    except foreseen as error:
        raise UserError(
            f"{_SITE}/{handle} {_reason(error)}; expected its files: open it in a browser to see whether it is there "
            "and asks for consent or a login (which kagglehub takes from KAGGLE_API_TOKEN or ~/.kaggle/kaggle.json), "
            "see whether the network is up and run again, or download it there by hand."
        ) from error


def _own(module: ModuleType) -> tuple[type[Exception], ...]:
    """Collect kagglehub's own exceptions, which have no base in common."""
    return tuple(kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, Exception))


def _reason(error: Exception) -> str:
    response = getattr(error, "response", None)
    if response is not None:
        return f"answered {response.status_code} {response.reason}"
    cause: BaseException = error
    # The network's errors are wrapped several times; the innermost is the plainest.
    while isinstance(error, OSError) and cause.__context__ is not None:
        cause = cause.__context__
    return f"could not be fetched ({' '.join(str(cause).split()) or type(cause).__name__})"
