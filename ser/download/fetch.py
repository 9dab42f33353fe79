"""Download files with retries, resume and checksums into a cache that DVC does not clear.

pooch provides the cache folder and the checksums. Its downloader cannot resume, and opens a connection per file, which
took six times as long for the 7,442 small files of CREMA-D.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from filelock import FileLock
from pooch.hashes import file_hash, hash_algorithm, hash_matches
from pooch.utils import cache_location, os_cache
from requests.adapters import HTTPAdapter
from requests.exceptions import ChunkedEncodingError
from urllib3.util import Retry

from ser.corpora.base import RemoteFile
from ser.utils.errors import UserError
from ser.utils.progress import Bar, progress

CONNECTIONS = 8
RETRIES = 5
BACKOFF_FACTOR = 1.0
"""In seconds; urllib3 waits 0, 2, 4, 8 and 16 times this before the retries."""
MAX_RETRY_AFTER = 60
"""Maximum wait in seconds that a server may request."""
RETRY_STATUS = (408, 425, 429, *range(500, 600))
TIMEOUT = 30.0
"""Maximum time in seconds without a received byte."""
CHUNK_SIZE = 65536
HEADERS = {
    "Accept-Encoding": "identity",  # checksums and ranges refer to the bytes as published
    "User-Agent": "speech-emotion-pipeline",  # Zenodo has rejected the default of requests
}


def cache() -> Path:
    """Get the folder of downloaded files: the environment variable SER_CACHE, or the user's cache folder."""
    return cache_location(os_cache("speech-emotion-pipeline"), env="SER_CACHE")


def fetch_all(remotes: Sequence[RemoteFile], folder: Path) -> list[Path]:
    """Download files that are not in a folder yet, and verify all of them.

    Existing files with the right size and checksum are kept. Interrupted downloads are resumed, also those of a killed
    process. A file gets its name only after it is complete and verified. The folder is created if it is missing, and
    locked, so that a second call waits.

    Returns
    -------
    list of Path
        ``folder/filename``, in the order of `remotes`.

    Raises
    ------
    UserError
        If a download fails or a file is not the expected one. The other downloads stop; finished files are kept.
    """
    repeated = [name for name, count in Counter(remote.filename for remote in remotes).items() if count > 1]
    if repeated:
        raise UserError(f"{repeated[0]} is listed more than once; expected unique file names. Download them by hand.")
    total = sum(remote.size or 0 for remote in remotes)
    with (
        _folder_lock(folder),
        _session() as session,
        progress((), description=f"download {folder.name}", total=total, unit="B") as bar,
        ThreadPoolExecutor(CONNECTIONS) as threads,
    ):
        job = _DownloadJob(folder, session, bar)
        futures = [threads.submit(_download_file, remote, job) for remote in remotes]
        try:
            for future in as_completed(futures):
                future.result()
        finally:  # the first error, or Ctrl-C, stops the other downloads
            job.stop.set()
            threads.shutdown(cancel_futures=True)
        return [future.result() for future in futures]


def get_json(url: str) -> Any:
    """Request JSON.

    Raises
    ------
    UserError
        If the request fails or the response is not JSON.
    """
    try:
        with _session() as session, session.get(url, timeout=TIMEOUT) as response:
            response.raise_for_status()
            return response.json()
    except requests.RequestException as error:
        raise _error(url, error) from error


@dataclass(frozen=True)
class _DownloadJob:
    folder: Path
    session: requests.Session
    bar: Bar
    stop: threading.Event = field(default_factory=threading.Event)


class _PartialFile:
    """Downloaded first bytes of a file, kept after interruptions; updates the progress bar."""

    def __init__(self, path: Path, *, bar: Bar) -> None:
        self.path = path
        self._bar = bar
        bar.update(self.size())

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def clear(self) -> None:
        self._bar.update(-self.size())
        self.path.unlink(missing_ok=True)

    def append(self, chunks: Iterable[bytes], *, stop: threading.Event) -> None:
        with self.path.open("ab") as file:
            for chunk in chunks:
                if stop.is_set():
                    raise CancelledError
                file.write(chunk)
                self._bar.update(len(chunk))


@contextmanager
def _folder_lock(folder: Path) -> Iterator[None]:
    """Lock a folder, as two processes that append to the same partial file would corrupt it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            yield
    except OSError as error:
        raise UserError(
            f"{error.filename or folder}: cannot write the download ({error.strerror}). Free disk space or fix the "
            "permissions, or choose another folder with the environment variable SER_CACHE."
        ) from error


def _retry() -> Retry:
    return Retry(
        total=RETRIES,
        backoff_factor=BACKOFF_FACTOR,
        status_forcelist=RETRY_STATUS,
        raise_on_status=False,  # `raise_for_status` has the clearer message
        respect_retry_after_header=True,
        retry_after_max=MAX_RETRY_AFTER,
    )


def _session() -> requests.Session:
    session = requests.Session()
    session.headers.update(HEADERS)
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=CONNECTIONS, max_retries=_retry()))
    return session


def _download_file(remote: RemoteFile, job: _DownloadJob) -> Path:
    path = job.folder / remote.filename
    if _is_valid(path, remote):
        job.bar.update(path.stat().st_size)
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _PartialFile(path.with_name(f".{path.name}.part"), bar=job.bar)
    if remote.known_hash is None:  # a file joined from two versions would not be detected
        part.clear()
    try:
        if not _is_valid(part.path, remote):
            resumed = _receive(part, remote, job)
            if resumed and not _is_valid(part.path, remote):  # the partial file was of another version
                part.clear()
                _receive(part, remote, job)
    except requests.RequestException as error:
        raise _error(remote.url, error, path=path) from error
    if not _is_valid(part.path, remote):
        algorithm = hash_algorithm(remote.known_hash)
        received = f"{part.size()} bytes, {algorithm}:{file_hash(part.path, alg=algorithm)}"
        expected = f"{remote.size or 'any number of'} bytes, {remote.known_hash or 'any checksum'}"
        part.clear()
        raise _error(remote.url, f"found {received}; expected {expected}", path=path)
    return part.path.replace(path)


def _is_valid(path: Path, remote: RemoteFile) -> bool:
    if not path.is_file() or remote.size not in (None, path.stat().st_size):
        return False
    return bool(hash_matches(path, remote.known_hash))


def _receive(part: _PartialFile, remote: RemoteFile, job: _DownloadJob) -> bool:
    """Request the missing bytes until the file is complete; return whether the last request resumed it.

    The session retries requests without a response. Connections lost within a response are retried here, without limit
    as long as each delivers new bytes.
    """
    retries, longest = _retry(), part.size()
    while True:
        start = part.size() if remote.known_hash is not None else 0
        headers = {"Range": f"bytes={start}-"} if start else {}
        with job.session.get(remote.url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            if start and response.status_code == requests.codes.requested_range_not_satisfiable:
                part.clear()
                continue
            response.raise_for_status()
            resumed = response.status_code == requests.codes.partial_content
            if not resumed:
                part.clear()
            try:
                part.append(response.iter_content(CHUNK_SIZE), stop=job.stop)
                return resumed
            except (ChunkedEncodingError, requests.ConnectionError) as error:
                if part.size() > longest:
                    retries, longest = _retry(), part.size()
                elif not retries.total:
                    raise
                else:
                    retries = retries.increment(error=error)
        job.stop.wait(retries.get_backoff_time())


def _error(url: str, problem: object, *, path: Path | None = None) -> UserError:
    by_hand = f", or save the file as {path}" if path else ""
    return UserError(
        f"{url}: download failed: {problem}. Check the network and whether the address needs a login, and run again "
        f"to resume{by_hand}."
    )
