"""Downloads are complete and verified, and resume after interruptions; tested with a local server with faults."""

import errno
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ser.corpora.base import RemoteFile
from ser.download import fetch
from ser.download.fetch import CHUNK_SIZE, cache, fetch_all
from ser.utils.errors import UserError
from tests.helpers.factories import ROOT
from tests.helpers.http_servers import Reply, Server, serving

CONTENT = random.Random(1).randbytes(5 * CHUNK_SIZE + 123)
OTHER = random.Random(2).randbytes(5 * CHUNK_SIZE + 123)
SMALL = {f"Actor_{i % 4:02}/{i:03}.wav": random.Random(i).randbytes(700 + i) for i in range(40)}
COMMAND = """
import sys
from pathlib import Path
from ser.corpora.base import RemoteFile
from ser.download.fetch import fetch_all
fetch_all([RemoteFile("a.zip", sys.argv[1], sys.argv[2], int(sys.argv[3]))], Path(sys.argv[4]))
"""


@pytest.fixture
def server() -> Iterator[Server]:
    with serving({"a.zip": CONTENT, **SMALL}) as started:
        yield started


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def remote(server: Server, *, name: str = "a.zip", checksum: bool = True, size: bool = True) -> RemoteFile:
    content = server.files[name]
    return RemoteFile(name, server.url(name), sha256(content) if checksum else None, len(content) if size else None)


def download(file: RemoteFile, folder: Path) -> bytes:
    [path] = fetch_all([file], folder)
    assert path == folder / file.filename
    return path.read_bytes()


def error_of(file: RemoteFile, folder: Path) -> str:
    with pytest.raises(UserError) as error:
        fetch_all([file], folder)
    assert "\n" not in str(error.value)
    return str(error.value)


def visible(folder: Path) -> set[str]:
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {file.as_posix() for file in files if not file.name.startswith(".")}


def partial_file(folder: Path) -> Path:
    return folder / ".a.zip.part"


def ranges(server: Server) -> list[str | None]:
    return [byte_range for _, byte_range in server.requests]


@pytest.mark.parametrize("size", [True, False])
@pytest.mark.parametrize("checksum", [True, False])
def test_a_file_is_downloaded_once(checksum: bool, size: bool, server: Server, tmp_path: Path) -> None:
    """A valid file in the folder is not requested again; the request excludes compression."""
    for _ in range(2):
        assert download(remote(server, checksum=checksum, size=size), tmp_path / "new" / "cache") == CONTENT
    assert server.requests == [("a.zip", None)]
    assert server.headers[0]["Accept-Encoding"] == "identity"
    assert visible(tmp_path) == {"new/cache/a.zip"}


@pytest.mark.parametrize(
    ("reply", "times", "step"),
    [(Reply(close_after=CHUNK_SIZE), 5, CHUNK_SIZE), (Reply(stall_after=2 * CHUNK_SIZE), 1, 2 * CHUNK_SIZE)],
)
def test_a_lost_or_stalled_connection_is_resumed(
    reply: Reply, times: int, step: int, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Received bytes are not requested again; a connection that delivers new bytes does not count as a retry."""
    monkeypatch.setattr(fetch, "RETRIES", 1)
    monkeypatch.setattr(fetch, "TIMEOUT", 1.0)
    server.plan("a.zip", *[reply] * times)
    assert download(remote(server), tmp_path) == CONTENT
    assert ranges(server) == [None, *(f"bytes={n * step}-" for n in range(1, times + 1))]


@pytest.mark.parametrize(("reply", "requests"), [(Reply(ranges=False), 2), (Reply(skew=100), 3)])
def test_a_server_without_correct_ranges(reply: Reply, requests: int, server: Server, tmp_path: Path) -> None:
    """If the response to a range is the whole file or another range, the file is still right."""
    server.plan("a.zip", Reply(close_after=2 * CHUNK_SIZE), reply)
    assert download(remote(server), tmp_path) == CONTENT
    assert len(server.requests) == requests


@pytest.mark.parametrize(
    ("start", "checksum", "expected"),
    [
        (OTHER[: 2 * CHUNK_SIZE], True, [f"bytes={2 * CHUNK_SIZE}-", None]),  # the checksum detects another version
        (CONTENT + b"more", True, [f"bytes={len(CONTENT) + 4}-", None]),  # status 416
        (CONTENT, True, []),  # a process was killed before renaming the file
        (OTHER[: 2 * CHUNK_SIZE], False, [None, None]),  # without a checksum nothing is resumed
    ],
)
def test_a_partial_file_is_resumed_only_if_valid(
    start: bytes, checksum: bool, expected: list[str | None], server: Server, tmp_path: Path
) -> None:
    """A file joined from two versions is detected, or avoided if there is no checksum to detect it."""
    partial_file(tmp_path).write_bytes(start)
    if not checksum:
        server.plan("a.zip", Reply(close_after=3 * CHUNK_SIZE))
    assert download(remote(server, checksum=checksum), tmp_path) == CONTENT
    assert ranges(server) == expected


def test_temporary_server_errors_are_retried(server: Server, tmp_path: Path) -> None:
    """Requests with the statuses 500, 503 and 429 are repeated."""
    server.plan("a.zip", *(Reply(status=status) for status in (500, 503, 429)))
    assert download(remote(server), tmp_path) == CONTENT
    assert len(server.requests) == 4


def command(server: Server, folder: Path) -> subprocess.Popen[bytes]:
    arguments = [server.url("a.zip"), sha256(CONTENT), str(len(CONTENT)), str(folder)]
    return subprocess.Popen([sys.executable, "-c", COMMAND, *arguments], cwd=ROOT, env={**os.environ, "CI": "1"})


def test_a_killed_process_is_resumed(server: Server, tmp_path: Path) -> None:
    """After SIGKILL the final path does not exist, the lock is free, and received bytes are not requested again."""
    server.plan("a.zip", Reply(stall_after=2 * CHUNK_SIZE))
    process = command(server, tmp_path)
    end = time.monotonic() + 60
    while not partial_file(tmp_path).exists() or partial_file(tmp_path).stat().st_size < 2 * CHUNK_SIZE:
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert visible(tmp_path) == set()
    assert download(remote(server), tmp_path) == CONTENT
    assert ranges(server) == [None, f"bytes={2 * CHUNK_SIZE}-"]


def test_two_processes_download_a_file_once(server: Server, tmp_path: Path) -> None:
    """The second process waits for the first and uses its file."""
    server.plan("a.zip", Reply(delay=0.01))
    processes = [command(server, tmp_path) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert server.requests == [("a.zip", None)]


def test_a_refused_request_is_not_retried(server: Server, tmp_path: Path) -> None:
    """The error names the address, the status and the path for a manual download."""
    server.plan("a.zip", Reply(status=404))
    message = error_of(remote(server), tmp_path)
    assert all(part in message for part in (server.url("a.zip"), "404", str(tmp_path / "a.zip")))
    assert len(server.requests) == 1
    assert visible(tmp_path) == set()


@pytest.mark.parametrize(
    ("content", "checksum", "size"),
    [(OTHER, sha256(CONTENT), len(CONTENT)), (CONTENT, None, len(CONTENT) - 1), (CONTENT, None, len(CONTENT) + 1)],
)
def test_a_wrong_file_is_refused(
    content: bytes, checksum: str | None, size: int, server: Server, tmp_path: Path
) -> None:
    """The error names received and expected size and checksum; an existing file is kept, the new one removed."""
    (tmp_path / "a.zip").write_bytes(b"old")
    server.plan("a.zip", Reply(content=content))
    message = error_of(RemoteFile("a.zip", server.url("a.zip"), checksum, size), tmp_path)
    for value in (server.url("a.zip"), f"{len(content)} bytes", sha256(content), f"{size} bytes", checksum or ""):
        assert value in message
    assert len(server.requests) == 1
    assert (tmp_path / "a.zip").read_bytes() == b"old"
    assert not partial_file(tmp_path).exists()


def test_retries_are_limited(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the last retry without a new byte the download fails; the next run resumes it."""
    monkeypatch.setattr(fetch, "RETRIES", 2)
    server.plan("a.zip", Reply(close_after=CHUNK_SIZE), *[Reply(close_after=0)] * 3)
    assert server.url("a.zip") in error_of(remote(server), tmp_path)
    assert len(server.requests) == 4
    assert visible(tmp_path) == set()
    assert download(remote(server), tmp_path) == CONTENT
    assert ranges(server)[-1] == f"bytes={CHUNK_SIZE}-"


@pytest.mark.parametrize("lengths", [[CHUNK_SIZE], [2 * CHUNK_SIZE, CHUNK_SIZE]])
def test_repeated_bytes_count_as_retries(
    lengths: list[int], server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that ignores ranges and always breaks off does not cause an endless loop."""
    monkeypatch.setattr(fetch, "RETRIES", 2)
    server.plan("a.zip", *[Reply(close_after=length, ranges=False) for length in lengths] * 9)
    error_of(remote(server), tmp_path)
    assert len(server.requests) == 4


def test_an_unwritable_folder_is_an_error(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the folder, the reason and the variable that chooses another folder."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "file").touch()
    message = error_of(remote(server), tmp_path / "file" / "cache")
    assert str(tmp_path / "file") in message and "SER_CACHE" in message
    monkeypatch.setattr(fetch._PartialFile, "append", fail)
    message = error_of(remote(server), tmp_path)
    assert str(tmp_path) in message and "No space left on device" in message


@pytest.mark.parametrize("name", ["", ".", "..", "/a.zip", "../a.zip", "a/../../b", "a\\b"])
def test_an_unsafe_name_is_refused(name: str) -> None:
    """A server must not choose where files are written."""
    with pytest.raises(UserError):
        RemoteFile(name, "https://example.org/a.zip", None, None)


def remotes(server: Server) -> list[RemoteFile]:
    return [remote(server, name=name) for name in SMALL]


def test_files_are_downloaded_in_parallel(server: Server, tmp_path: Path) -> None:
    """Paths have the order of the request, connections are limited and reused, and only valid files are kept."""
    paths = fetch_all(remotes(server), tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == list(SMALL)
    assert [path.read_bytes() for path in paths] == list(SMALL.values())
    assert visible(tmp_path) == set(SMALL)
    assert server.connections <= fetch.CONNECTIONS
    paths[3].unlink()
    paths[5].write_bytes(b"wrong size")
    paths[7].write_bytes(bytes(707))
    server.requests.clear()
    assert fetch_all(remotes(server), tmp_path) == paths
    assert [path.read_bytes() for path in paths] == list(SMALL.values())
    assert sorted(server.requests) == sorted((list(SMALL)[i], None) for i in (3, 5, 7))
    assert fetch_all([], tmp_path) == []


def test_the_first_error_ends_the_call(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the failed file; finished files are kept, later ones are not started."""
    names = list(SMALL)
    server.plan(names[20], Reply(status=404))
    monkeypatch.setattr(fetch, "CONNECTIONS", 1)
    with pytest.raises(UserError, match=names[20]):
        fetch_all(remotes(server), tmp_path)
    assert set(names[:20]) <= visible(tmp_path)
    assert all((tmp_path / name).read_bytes() == SMALL[name] for name in visible(tmp_path))
    assert len(server.requests) < len(SMALL)
    assert len(fetch_all(remotes(server), tmp_path)) == len(SMALL)


def test_an_error_stops_other_downloads(server: Server, tmp_path: Path) -> None:
    """A download in progress ends early, and can be resumed."""
    failing = next(iter(SMALL))
    server.plan("a.zip", Reply(delay=0.2))
    server.plan(failing, Reply(status=404))
    start = time.monotonic()
    with pytest.raises(UserError, match=failing):
        fetch_all([remote(server), remote(server, name=failing)], tmp_path)
    assert time.monotonic() - start < 4  # the whole file takes eight seconds
    assert visible(tmp_path) == set()


def test_a_repeated_name_is_refused(server: Server, tmp_path: Path) -> None:
    """Two files cannot have the same path."""
    with pytest.raises(UserError, match=r"a\.zip"):
        fetch_all([remote(server)] * 2, tmp_path)
    assert server.requests == []


def test_the_cache_folder_can_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SER_CACHE has precedence; the default is in the user's cache folder."""
    monkeypatch.setenv("SER_CACHE", str(tmp_path))
    assert cache() == tmp_path
    monkeypatch.setenv("SER_CACHE", "")
    assert cache().name == "speech-emotion-pipeline"
    assert ROOT not in cache().parents
