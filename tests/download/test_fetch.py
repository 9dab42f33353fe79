"""Downloads are complete and verified, and resume after interruptions; tested with a local server that misbehaves."""

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


@pytest.fixture(autouse=True)
def local_and_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bypass proxies, and retry without waiting."""
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(variable, "127.0.0.1")
    monkeypatch.setattr(fetch, "BACKOFF_FACTOR", 0.0)


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def remote(server: Server, *, name: str = "a.zip", checksum: bool = True, size: bool = True) -> RemoteFile:
    content = server.files[name]
    return RemoteFile(name, server.url(name), sha256(content) if checksum else None, len(content) if size else None)


def download(wanted: RemoteFile, folder: Path) -> bytes:
    [path] = fetch_all([wanted], folder)
    assert path == folder / wanted.filename
    return path.read_bytes()


def failure(wanted: RemoteFile, folder: Path) -> str:
    with pytest.raises(UserError) as raised:
        fetch_all([wanted], folder)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def visible(folder: Path) -> set[str]:
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {file.as_posix() for file in files if not file.name.startswith(".")}


def part(folder: Path) -> Path:
    return folder / ".a.zip.part"


def ranges(server: Server) -> list[str | None]:
    return [wanted for _, wanted in server.asked]


@pytest.mark.parametrize("size", [True, False])
@pytest.mark.parametrize("checksum", [True, False])
def test_a_file_is_downloaded_once(checksum: bool, size: bool, server: Server, tmp_path: Path) -> None:
    """A valid file in the folder is not requested again; the request asks for the bytes as published."""
    for _ in range(2):
        assert download(remote(server, checksum=checksum, size=size), tmp_path / "new" / "cache") == CONTENT
    assert server.asked == [("a.zip", None)]
    assert server.headers[0]["Accept-Encoding"] == "identity"
    assert visible(tmp_path) == {"new/cache/a.zip"}


@pytest.mark.parametrize("existing", [OTHER, CONTENT[:1000], b""])
def test_an_invalid_file_is_downloaded_again(existing: bytes, server: Server, tmp_path: Path) -> None:
    """A file with the right name but the wrong size or checksum is replaced."""
    (tmp_path / "a.zip").write_bytes(existing)
    assert download(remote(server), tmp_path) == CONTENT


# Interruptions


def test_a_lost_connection_is_resumed(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Received bytes are not requested again; a connection that is lost again and again counts as progress."""
    monkeypatch.setattr(fetch, "RETRIES", 1)
    server.will("a.zip", *[Reply(cut=CHUNK_SIZE)] * 5)
    assert download(remote(server), tmp_path) == CONTENT
    assert ranges(server) == [None, *(f"bytes={n * CHUNK_SIZE}-" for n in range(1, 6))]


def test_a_stalled_connection_is_resumed(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If no byte arrives within the time limit, the download continues with a new connection."""
    monkeypatch.setattr(fetch, "TIMEOUT", 0.2)
    server.will("a.zip", Reply(stall=2 * CHUNK_SIZE))
    assert download(remote(server), tmp_path) == CONTENT
    assert ranges(server) == [None, f"bytes={2 * CHUNK_SIZE}-"]


@pytest.mark.parametrize(("reply", "requests"), [(Reply(ranges=False), 2), (Reply(skew=100), 3)])
def test_a_server_without_correct_ranges_is_handled(
    reply: Reply, requests: int, server: Server, tmp_path: Path
) -> None:
    """If the answer to a range is the whole file or another range, the file is still right."""
    server.will("a.zip", Reply(cut=2 * CHUNK_SIZE), reply)
    assert download(remote(server), tmp_path) == CONTENT
    assert len(server.asked) == requests


@pytest.mark.parametrize("start", [OTHER[: 2 * CHUNK_SIZE], CONTENT + b"more"])
def test_a_partial_file_of_another_version_is_dropped(start: bytes, server: Server, tmp_path: Path) -> None:
    """The checksum detects a file joined from two versions, and status 416 one that is too long."""
    part(tmp_path).write_bytes(start)
    assert download(remote(server), tmp_path) == CONTENT
    assert ranges(server) == [f"bytes={len(start)}-", None]


def test_without_a_checksum_nothing_is_resumed(server: Server, tmp_path: Path) -> None:
    """If nothing can detect a joined file, the download starts again."""
    part(tmp_path).write_bytes(OTHER[: 2 * CHUNK_SIZE])
    server.will("a.zip", Reply(cut=3 * CHUNK_SIZE))
    assert download(remote(server, checksum=False), tmp_path) == CONTENT
    assert ranges(server) == [None, None]


def test_a_complete_partial_file_is_not_downloaded_again(server: Server, tmp_path: Path) -> None:
    """A process may be killed between the last byte and the renaming."""
    part(tmp_path).write_bytes(CONTENT)
    assert download(remote(server), tmp_path) == CONTENT
    assert server.asked == []


def test_temporary_server_errors_are_retried(server: Server, tmp_path: Path) -> None:
    """Requests with the statuses 500, 503 and 429 are repeated."""
    server.will("a.zip", *(Reply(status=status) for status in (500, 503, 429)))
    assert download(remote(server), tmp_path) == CONTENT
    assert len(server.asked) == 4


def command(server: Server, folder: Path) -> subprocess.Popen[bytes]:
    arguments = [server.url("a.zip"), sha256(CONTENT), str(len(CONTENT)), str(folder)]
    return subprocess.Popen([sys.executable, "-c", COMMAND, *arguments], cwd=ROOT, env={**os.environ, "CI": "1"})


def test_a_killed_process_is_resumed(server: Server, tmp_path: Path) -> None:
    """After SIGKILL there is no file of that name and no lock, and received bytes are not requested again."""
    server.will("a.zip", Reply(stall=2 * CHUNK_SIZE))
    process = command(server, tmp_path)
    until = time.monotonic() + 60
    while not part(tmp_path).exists() or part(tmp_path).stat().st_size < 2 * CHUNK_SIZE:
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert visible(tmp_path) == set()
    assert download(remote(server), tmp_path) == CONTENT
    assert ranges(server) == [None, f"bytes={2 * CHUNK_SIZE}-"]


def test_two_processes_download_a_file_once(server: Server, tmp_path: Path) -> None:
    """The second process waits for the first and finds the file."""
    server.will("a.zip", Reply(trickle=0.01))
    processes = [command(server, tmp_path) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert server.asked == [("a.zip", None)]


# Errors


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_refused_request_is_not_retried(status: int, server: Server, tmp_path: Path) -> None:
    """The error names the address, the status and where to save the file by hand."""
    server.will("a.zip", Reply(status=status))
    message = failure(remote(server), tmp_path)
    assert all(part in message for part in (server.url("a.zip"), str(status), str(tmp_path / "a.zip")))
    assert len(server.asked) == 1
    assert visible(tmp_path) == set()


@pytest.mark.parametrize("content", [OTHER, b"<html>Please log in</html>"])
def test_a_wrong_file_is_refused(content: bytes, server: Server, tmp_path: Path) -> None:
    """The error names the found and the expected size and checksum; an existing file stays, nothing else does."""
    (tmp_path / "a.zip").write_bytes(b"old")
    server.will("a.zip", Reply(content=content))
    message = failure(remote(server), tmp_path)
    for value in (server.url("a.zip"), len(content), sha256(content), len(CONTENT), sha256(CONTENT)):
        assert str(value) in message
    assert len(server.asked) == 1
    assert (tmp_path / "a.zip").read_bytes() == b"old"
    assert not part(tmp_path).exists()


@pytest.mark.parametrize("size", [len(CONTENT) - 1, len(CONTENT) + 1])
def test_a_wrong_size_is_refused(size: int, server: Server, tmp_path: Path) -> None:
    """Without a published checksum only the size can be verified."""
    message = failure(RemoteFile("a.zip", server.url("a.zip"), None, size), tmp_path)
    assert f"{len(CONTENT)} bytes" in message
    assert f"{size} bytes" in message


def test_retries_end_and_keep_the_partial_file(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the last retry without a new byte the download fails; the next run resumes it."""
    monkeypatch.setattr(fetch, "RETRIES", 2)
    server.will("a.zip", Reply(cut=CHUNK_SIZE), *[Reply(cut=0)] * 3)
    assert server.url("a.zip") in failure(remote(server), tmp_path)
    assert len(server.asked) == 4
    assert visible(tmp_path) == set()
    assert download(remote(server), tmp_path) == CONTENT
    assert ranges(server)[-1] == f"bytes={CHUNK_SIZE}-"


@pytest.mark.parametrize("cuts", [[CHUNK_SIZE], [2 * CHUNK_SIZE, CHUNK_SIZE]])
def test_the_same_bytes_again_are_no_progress(
    cuts: list[int], server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that ignores ranges and always breaks off does not cause an endless loop."""
    monkeypatch.setattr(fetch, "RETRIES", 2)
    server.will("a.zip", *[Reply(cut=cut, ranges=False) for cut in cuts] * 9)
    failure(remote(server), tmp_path)
    assert len(server.asked) == 4


def test_an_unreachable_server_is_an_error(tmp_path: Path) -> None:
    """The error names the address and the reason."""
    with serving({}) as gone:
        url = gone.url("a.zip")
    message = failure(RemoteFile("a.zip", url, None, None), tmp_path)
    assert message.startswith(url)
    assert "refused" in message


def test_a_folder_that_cannot_be_created_is_an_error(server: Server, tmp_path: Path) -> None:
    """The error names the folder and the variable that chooses another."""
    (tmp_path / "file").touch()
    message = failure(remote(server), tmp_path / "file" / "cache")
    assert str(tmp_path / "file") in message
    assert "SER_CACHE" in message


def test_a_full_disk_is_an_error(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the folder and the system's reason."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetch._PartialFile, "append", refuse)
    message = failure(remote(server), tmp_path)
    assert str(tmp_path) in message
    assert "No space left on device" in message


@pytest.mark.parametrize("name", ["", ".", "..", "/a.zip", "../a.zip", "a/../../b", "a\\b"])
def test_a_name_outside_the_folder_is_refused(name: str) -> None:
    """Names may come from a listing on a server, which must not choose where files are written."""
    with pytest.raises(UserError):
        RemoteFile(name, "https://example.org/a.zip", None, None)


@pytest.mark.parametrize("checksum", ["", "md5:123", "sha256:" + "g" * 64, "sha1:" + "0" * 40, "0" * 64])
def test_a_malformed_checksum_is_refused(checksum: str) -> None:
    """A typing error is found before gigabytes are downloaded."""
    with pytest.raises(UserError, match=r"a\.zip"):
        RemoteFile("a.zip", "https://example.org/a.zip", checksum, None)


# Several files


def remotes(server: Server) -> list[RemoteFile]:
    return [remote(server, name=name) for name in SMALL]


def test_several_files_are_downloaded_in_parallel(server: Server, tmp_path: Path) -> None:
    """Paths are in the order of the request; connections are limited and reused."""
    paths = fetch_all(remotes(server), tmp_path, connections=3)
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == list(SMALL)
    assert [path.read_bytes() for path in paths] == list(SMALL.values())
    assert visible(tmp_path) == set(SMALL)
    assert server.connections <= 3
    assert fetch_all([], tmp_path) == []


def test_only_missing_and_invalid_files_are_downloaded(server: Server, tmp_path: Path) -> None:
    """Valid files are not requested again."""
    paths = fetch_all(remotes(server), tmp_path)
    paths[3].unlink()
    paths[5].write_bytes(b"wrong")
    server.asked.clear()
    assert fetch_all(remotes(server), tmp_path) == paths
    assert [path.read_bytes() for path in paths] == list(SMALL.values())
    assert sorted(server.asked) == sorted((list(SMALL)[i], None) for i in (3, 5))


def test_the_first_error_ends_the_call(server: Server, tmp_path: Path) -> None:
    """The error names the failed file; finished files are kept, later ones are not started."""
    names = list(SMALL)
    server.will(names[20], Reply(status=404))
    with pytest.raises(UserError, match=names[20]):
        fetch_all(remotes(server), tmp_path, connections=1)
    assert set(names[:20]) <= visible(tmp_path)
    assert all((tmp_path / name).read_bytes() == SMALL[name] for name in visible(tmp_path))
    assert len(server.asked) < len(SMALL)
    assert len(fetch_all(remotes(server), tmp_path)) == len(SMALL)


def test_an_error_stops_other_downloads(server: Server, tmp_path: Path) -> None:
    """A download in progress ends where it is, and can be resumed."""
    failing = next(iter(SMALL))
    server.will("a.zip", Reply(trickle=0.2))
    server.will(failing, Reply(status=404))
    started = time.monotonic()
    with pytest.raises(UserError, match=failing):
        fetch_all([remote(server), remote(server, name=failing)], tmp_path)
    assert time.monotonic() - started < 4  # the whole file takes eight seconds
    assert visible(tmp_path) == set()


def test_a_repeated_name_is_refused(server: Server, tmp_path: Path) -> None:
    """Two files cannot have the same path."""
    with pytest.raises(UserError, match=r"a\.zip"):
        fetch_all([remote(server)] * 2, tmp_path)
    assert server.asked == []


def test_the_cache_folder_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SER_CACHE wins; the default is a folder of the user outside the project."""
    monkeypatch.setenv("SER_CACHE", str(tmp_path))
    assert cache() == tmp_path
    monkeypatch.setenv("SER_CACHE", "")
    assert cache().name == "speech-emotion-pipeline"
    assert ROOT not in cache().parents
