"""Download Kaggle datasets with kagglehub, an optional dependency."""

from pathlib import Path

from ser.utils.errors import UserError


def fetch(handle: str) -> Path:
    """Download a dataset into kagglehub's cache, unpacked.

    kagglehub resumes interrupted downloads and verifies each one once, by the MD5 from Kaggle. Two processes must not
    download the same dataset at the same time.

    Parameters
    ----------
    handle : str
        ``OWNER/NAME``.

    Returns
    -------
    Path
        Folder in kagglehub's cache (environment variable KAGGLEHUB_CACHE); do not change its content.

    Raises
    ------
    UserError
        If kagglehub is not installed or the download fails.

    References
    ----------
    https://github.com/Kaggle/kagglehub
    """
    page = f"https://www.kaggle.com/datasets/{handle}"
    try:
        import kagglehub

        return Path(kagglehub.dataset_download(handle))
    except Exception as error:  # kagglehub's errors have no common base class
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(
            f"{page}: download failed ({reason}). Check that kagglehub is installed (pip install -r "
            "requirements-kaggle.txt -c constraints.txt), the network, and that the page needs no consent or login "
            "(KAGGLE_API_TOKEN or ~/.kaggle/kaggle.json), or download the dataset by hand."
        ) from error
