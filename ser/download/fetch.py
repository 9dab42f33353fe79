"""Files from the network, whole and checked, kept where DVC does not remove them.

pooch knows where caches live and how to hash. Its downloader cannot go on where it was cut, and opens a connection
for each file, with all certificates read anew: over HTTPS that took six times as long for thousands of small files.
So asking is done here, with requests, which is what pooch asks with.
"""

import threading
import time
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

from ser.corpora.base import RemoteFile
from ser.utils.errors import UserError
from ser.utils.progress import Bar, progress

CONNECTIONS = 8
RETRIES = 5
FIRST_WAIT = 1.0  # s, doubled with every failure
LONGEST_WAIT = 60.0  # s
TIMEOUT = 30.0  # s without a byte
CHUNK = 65536  # bytes; a cut loses less than this
HEADERS = {
    "Accept-Encoding": "identity",  # bytes as published: checksums and ranges are about them
    "User-Agent": "speech-emotion-pipeline",  # Zenodo has refused those who call themselves python-requests
}
_BUSY = (408, 425, 429)  # besides 500 and above: answers that another time may be different


def cache() -> Path:
    """Say where fetched files wait: SER_CACHE where it is set, else where this system keeps caches."""
    return cache_location(os_cache("speech-emotion-pipeline"), env="SER_CACHE")


def fetch(remote: RemoteFile, folder: Path, *, retries: int = RETRIES) -> Path:
    """Have a file in a folder, whole and checked; `fetch_all` of one.

    Parameters
    ----------
    remote
        The file.
    folder
        Is made where it is missing. One call at a time works in it, others wait.
    retries
        How often in a row asking may fail without a single new byte.

    Returns
    -------
    Path
        ``folder/name``.

    Raises
    ------
    InputError
        If the file cannot be had, or is another than expected.
    """
    return fetch_all([remote], folder, connections=1, retries=retries)[0]


def fetch_all(
    remotes: Sequence[RemoteFile], folder: Path, *, connections: int = CONNECTIONS, retries: int = RETRIES
) -> list[Path]:
    """Have files in a folder, whole and checked, several fetched at a time.

    What is there and right is not fetched again. What was interrupted, however it was, goes on where it ended. A file
    gets its name when it is whole and right, and one that is there but wrong is replaced only then.

    Parameters
    ----------
    remotes
        The files.
    folder
        Is made where it is missing. One call at a time works in it, others wait.
    connections
        How many files at a time.
    retries
        How often in a row asking for one file may fail without a single new byte.

    Returns
    -------
    list of Path
        ``folder/name``, in the order of `remotes`.

    Raises
    ------
    InputError
        If a file cannot be had, or is another than expected: the first for which this is known. Files that were
        finished before stay.
    """
    _check_unique(remotes)
    with _alone_in(folder), _session(connections) as session, _bar(remotes, folder=folder) as bar:
        return _in_threads(_Job(folder, retries=retries, session=session, bar=bar), remotes, connections=connections)


def get_json(url: str, *, retries: int = RETRIES) -> Any:
    """Ask a site's API, as patiently as for a file.

    Parameters
    ----------
    url
        What is asked for.
    retries
        How often in a row asking may fail.

    Returns
    -------
    Any
        The answer as `json` reads it: nothing has checked what is in it.

    Raises
    ------
    InputError
        If there is no answer, or it is not JSON.
    """
    failures = 0
    with _session(1) as session:
        while True:
            try:
                return _ask_json(url, session=session)
            except requests.RequestException as error:
                failures += 1
                if not _is_transient(error) or failures > retries:
                    raise _unanswered(error, url, attempts=failures) from error
                time.sleep(_backoff(error, failures=failures))


@dataclass(frozen=True)
class _Job:
    """What the files of one call share."""

    folder: Path
    retries: int
    session: requests.Session
    bar: Bar
    stop: threading.Event = field(default_factory=threading.Event)

    def wait(self, seconds: float) -> None:
        """Wait, unless another file has failed meanwhile."""
        if self.stop.wait(seconds):
            raise CancelledError


class _Part:
    """The beginning of a file, which outlives interruptions; the progress bar moves with it."""

    def __init__(self, path: Path, *, bar: Bar) -> None:
        self.path = path
        self._bar = bar
        bar.update(self.size())

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def drop(self) -> None:
        self._bar.update(-self.size())
        self.path.unlink(missing_ok=True)

    def append(self, chunks: Iterable[bytes], *, job: _Job) -> None:
        with self.path.open("ab") as file:
            for chunk in chunks:
                job.wait(0)
                file.write(chunk)
                self._bar.update(len(chunk))


def _check_unique(remotes: Sequence[RemoteFile]) -> None:
    repeated = [name for name, times in Counter(remote.filename for remote in remotes).items() if times > 1]
    if repeated:
        raise UserError(f"{repeated[0]} is listed more than once; expected unique file names: fetch them by hand.")


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder: two that write one file's beginning would spoil it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            yield
    except OSError as error:
        raise UserError(
            f"{error.filename or folder} cannot be written: {error.strerror}; expected a folder with room for what is "
            "fetched: mend it, or name another in the environment variable SER_CACHE."
        ) from error


def _session(connections: int) -> requests.Session:
    session = requests.Session()
    session.headers.update(HEADERS)
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=connections))
    return session


def _bar(remotes: Sequence[RemoteFile], *, folder: Path) -> Bar:
    sizes = [remote.size for remote in remotes if remote.size is not None]
    total = sum(sizes) if len(sizes) == len(remotes) else None
    name = remotes[0].filename if len(remotes) == 1 else folder.name
    return progress((), description=f"fetch {name}", total=total, unit="B")


def _in_threads(job: _Job, remotes: Sequence[RemoteFile], *, connections: int) -> list[Path]:
    with ThreadPoolExecutor(connections) as threads:
        futures = [threads.submit(_bring, remote, job) for remote in remotes]
        try:
            for future in as_completed(futures):
                future.result()
        finally:  # the first failure, or Ctrl-C, ends all; on success nothing is left to end
            job.stop.set()
            threads.shutdown(cancel_futures=True)
    return [future.result() for future in futures]


def _bring(remote: RemoteFile, job: _Job) -> Path:
    path = job.folder / remote.filename
    if _is_right(path, remote):
        job.bar.update(path.stat().st_size)
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _Part(path.with_name(f".{path.name}.part"), bar=job.bar)
    _complete(part, remote, job)
    part.path.replace(path)
    return path


def _is_right(path: Path, remote: RemoteFile) -> bool:
    if not path.is_file() or remote.size not in (None, path.stat().st_size):
        return False
    return bool(hash_matches(path, remote.known_hash))


def _complete(part: _Part, remote: RemoteFile, job: _Job) -> None:
    """Go on from what is there; where that does not give the right file, fetch it in one piece."""
    # Without a checksum nothing could tell the right file from one glued of two versions.
    resumable = remote.known_hash is not None
    for resume in (resumable, False):
        if resumable and _is_right(part.path, remote):
            return
        if _receive(part, remote, job, resume=resume):
            break
    if not _is_right(part.path, remote):
        found = _describe(part, remote)
        part.drop()
        raise UserError(
            f"{remote.url} gave {found}; expected {_expected(remote)}: open it in a browser to see whether it has "
            f"changed or asks for a login, and put the right file at {job.folder / remote.filename}."
        )


def _receive(part: _Part, remote: RemoteFile, job: _Job, *, resume: bool) -> bool:
    """Ask until all has come; say whether it came in one piece."""
    failures, most = 0, part.size()
    while True:
        try:
            return _ask(part, remote, job, resume=resume)
        except requests.RequestException as error:
            failures = failures + 1 if part.size() <= most else 1
            most = max(most, part.size())
            if not _is_transient(error) or failures > job.retries:
                kept = part.size() if remote.known_hash is not None else 0
                raise _give_up_error(error, remote, job, attempts=failures, kept=kept) from error
            job.wait(_backoff(error, failures=failures))


def _ask(part: _Part, remote: RemoteFile, job: _Job, *, resume: bool) -> bool:
    """Ask once, only for the rest where there is a beginning; say whether all came now."""
    job.wait(0)
    if not resume:
        part.drop()
    start = part.size()
    headers = {"Range": f"bytes={start}-"} if start else {}
    with job.session.get(remote.url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if start and response.status_code == 416:  # there is no rest: the beginning is not this file's
            return _ask(part, remote, job, resume=False)
        response.raise_for_status()
        if response.status_code != 206:  # not every server heeds a range
            part.drop()
        part.append(response.iter_content(CHUNK), job=job)
        _refuse_early_end(response, remote, received=part.size())
    return bool(response.status_code != 206)


def _refuse_early_end(response: requests.Response, remote: RemoteFile, *, received: int) -> None:
    """Find the cut that requests cannot: where no length was announced, the connection's end is the file's."""
    announced = {"Content-Length", "Transfer-Encoding"} & {name.title() for name in response.headers}
    if not announced and remote.size is not None and received < remote.size:
        raise requests.ConnectionError(f"the connection ended after {received} bytes")


def _is_transient(error: requests.RequestException) -> bool:
    if error.response is not None:
        return error.response.status_code >= 500 or error.response.status_code in _BUSY
    return isinstance(error, requests.ConnectionError | requests.Timeout | requests.exceptions.ChunkedEncodingError)


def _backoff(error: requests.RequestException, *, failures: int) -> float:
    """Say how long to wait, in seconds: twice as long every time, and no less than the server asks for."""
    asked = error.response.headers.get("Retry-After", "") if error.response is not None else ""
    return min(LONGEST_WAIT, max(FIRST_WAIT * 2 ** (failures - 1), float(asked) if asked.isdecimal() else 0.0))


def _give_up_error(
    error: requests.RequestException, remote: RemoteFile, job: _Job, *, attempts: int, kept: int
) -> UserError:
    path = job.folder / remote.filename
    if not _is_transient(error):
        return UserError(
            f"{remote.url} {_reason(error)}; expected {_expected(remote)}: see whether its publisher has moved it or "
            f"asks for a login, and put it at {path} by hand."
        )
    return UserError(
        f"{remote.url} {_reason(error)}, {attempts} times in a row; expected {_expected(remote)}: see whether the "
        f"network and the site are up and run again ({kept} bytes are kept), or put it at {path} by hand."
    )


def _ask_json(url: str, *, session: requests.Session) -> Any:
    with session.get(url, timeout=TIMEOUT) as response:
        response.raise_for_status()
        try:
            return response.json()
        except requests.JSONDecodeError as error:
            kind = response.headers.get("Content-Type", "something")
            raise UserError(
                f"{url} gave {len(response.content)} bytes of {kind}; expected JSON: open it in a browser to see "
                "whether it has changed or asks for a login."
            ) from error


def _unanswered(error: requests.RequestException, url: str, *, attempts: int) -> UserError:
    if not _is_transient(error):
        return UserError(
            f"{url} {_reason(error)}; expected JSON: see whether its publisher has moved it or asks for a login."
        )
    return UserError(
        f"{url} {_reason(error)}, {attempts} times in a row; expected JSON: see whether the network and the site are "
        "up and run again."
    )


def _reason(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"answered {error.response.status_code} {error.response.reason}"
    cause: BaseException = error
    while cause.__context__ is not None:  # requests wraps errors several times; the innermost is the plainest
        cause = cause.__context__
    return f"could not be read ({str(cause) or type(cause).__name__})"


def _expected(remote: RemoteFile) -> str:
    size = "" if remote.size is None else f", {remote.size} bytes"
    checksum = "" if remote.known_hash is None else f", {remote.known_hash}"
    return f"{remote.filename}{size}{checksum}"


def _describe(part: _Part, remote: RemoteFile) -> str:
    algorithm = hash_algorithm(remote.known_hash)
    return f"{part.size()} bytes, {algorithm}:{file_hash(part.path, alg=algorithm)}"
