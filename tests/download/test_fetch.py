"""Fetched files are whole and right, whatever the network does; tried against a server that errs as told."""

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
import requests
from tqdm import tqdm

from ser.corpora.base import RemoteFile
from ser.download import fetch as fetching
from ser.download.fetch import CHUNK, cache, fetch, fetch_all
from ser.utils.errors import UserError
from tests.helpers.factories import ROOT
from tests.helpers.http_servers import Reply, Server, serving

CONTENT = random.Random(1).randbytes(5 * CHUNK + 123)
OTHER = random.Random(2).randbytes(5 * CHUNK + 123)
SMALL = {f"Actor_{i % 4:02}/{i:03}.wav": random.Random(i).randbytes(700 + i) for i in range(40)}
COMMAND = """
import sys
from pathlib import Path
from ser.corpora.base import RemoteFile
from ser.download.fetch import fetch
fetch(RemoteFile("a.zip", sys.argv[1], sys.argv[2], int(sys.argv[3])), Path(sys.argv[4]))
"""


@pytest.fixture
def server() -> Iterator[Server]:
    with serving({"a.zip": CONTENT, **SMALL}) as started:
        yield started


@pytest.fixture(autouse=True)
def here_and_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave proxies aside, and wait between attempts as briefly as can be."""
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(variable, "127.0.0.1")
    monkeypatch.setattr(fetching, "FIRST_WAIT", 0.001)


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def remote(server: Server, *, name: str = "a.zip", checksum: bool = True, size: bool = True) -> RemoteFile:
    content = server.files[name]
    return RemoteFile(name, server.url(name), sha256(content) if checksum else None, len(content) if size else None)


def visible(folder: Path) -> set[str]:
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {file.as_posix() for file in files if not file.name.startswith(".")}


def part(folder: Path) -> Path:
    return folder / ".a.zip.part"


def failure(wanted: RemoteFile, folder: Path, *, retries: int = 2) -> str:
    with pytest.raises(UserError) as raised:
        fetch(wanted, folder, retries=retries)
    return str(raised.value)


# What comes, and what is not fetched again


@pytest.mark.parametrize("size", [True, False])
@pytest.mark.parametrize("checksum", [True, False])
def test_a_file_is_fetched_once(checksum: bool, size: bool, server: Server, tmp_path: Path) -> None:
    """It arrives in a folder made for it, and is not asked for again while it is right."""
    wanted = remote(server, checksum=checksum, size=size)
    for _ in range(2):
        path = fetch(wanted, tmp_path / "new" / "cache")
        assert path == tmp_path / "new" / "cache" / "a.zip"
        assert path.read_bytes() == CONTENT
    assert server.asked == [("a.zip", None)]
    assert not part(path.parent).exists()


def test_md5_counts_too_and_so_do_capitals(server: Server, tmp_path: Path) -> None:
    """Checksums are taken as publishers write them."""
    checksum = f"MD5:{hashlib.md5(CONTENT).hexdigest().upper()}"
    assert fetch(RemoteFile("b.zip", server.url("a.zip"), checksum, None), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("there", [OTHER, CONTENT[:1000], b""])
def test_a_wrong_file_is_fetched_anew(there: bytes, server: Server, tmp_path: Path) -> None:
    """A name alone proves nothing, nor does a size."""
    (tmp_path / "a.zip").write_bytes(there)
    assert fetch(remote(server), tmp_path).read_bytes() == CONTENT


def test_an_empty_file_is_a_file(server: Server, tmp_path: Path) -> None:
    """No byte has to come for a file to be whole."""
    server.files["empty"] = b""
    assert fetch(remote(server, name="empty"), tmp_path).read_bytes() == b""


def test_a_slow_server_is_waited_for(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What counts is the time without a byte, not the time for all of them."""
    monkeypatch.setattr(fetching, "TIMEOUT", 0.3)
    server.will("a.zip", Reply(trickle=0.01))
    assert fetch(remote(server), tmp_path, retries=0).read_bytes() == CONTENT


def test_the_server_is_asked_for_the_bytes_as_they_are(server: Server, tmp_path: Path) -> None:
    """Nothing is compressed on the way, which ranges and checksums would not survive, and who asks has a name."""
    fetch(remote(server), tmp_path)
    assert server.headers[0]["Accept-Encoding"] == "identity"
    assert server.headers[0]["User-Agent"] == "speech-emotion-pipeline"


def test_nothing_is_said_where_nobody_watches(
    server: Server, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """No progress bar in logs, and no line where it takes no time."""
    fetch(remote(server), tmp_path)
    assert capfd.readouterr() == ("", "")


# Interruptions


def test_a_cut_connection_is_resumed(server: Server, tmp_path: Path) -> None:
    """What has come is not fetched again."""
    server.will("a.zip", Reply(cut=2 * CHUNK), Reply(cut=CHUNK))
    assert fetch(remote(server), tmp_path).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [None, f"bytes={2 * CHUNK}-", f"bytes={3 * CHUNK}-"]


def test_a_server_that_ignores_ranges_is_asked_from_the_start(server: Server, tmp_path: Path) -> None:
    """A file that comes from its start is not appended to its own beginning."""
    server.will("a.zip", Reply(cut=2 * CHUNK), Reply(ranges=False))
    assert fetch(remote(server), tmp_path).read_bytes() == CONTENT
    assert len(server.asked) == 2


def test_a_server_that_sends_another_range_is_asked_from_the_start(server: Server, tmp_path: Path) -> None:
    """What comes then does not fit, which the checksum tells."""
    server.will("a.zip", Reply(cut=2 * CHUNK), Reply(skew=100))
    assert fetch(remote(server), tmp_path).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [None, f"bytes={2 * CHUNK}-", None]


def test_a_file_glued_from_two_versions_is_fetched_in_one_piece(server: Server, tmp_path: Path) -> None:
    """That the rest came says nothing about the beginning; only the checksum does."""
    part(tmp_path).write_bytes(OTHER[: 2 * CHUNK])
    assert fetch(remote(server), tmp_path).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [f"bytes={2 * CHUNK}-", None]


def test_without_a_checksum_nothing_is_glued(server: Server, tmp_path: Path) -> None:
    """Where no checksum could tell, a file comes in one piece."""
    part(tmp_path).write_bytes(OTHER[: 2 * CHUNK])
    server.will("a.zip", Reply(cut=3 * CHUNK))
    assert fetch(remote(server, checksum=False), tmp_path).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [None, None]


@pytest.mark.parametrize("size", [True, False])
def test_a_whole_file_that_lacks_its_name_is_not_fetched_again(size: bool, server: Server, tmp_path: Path) -> None:
    """A process may be killed between the last byte and the renaming."""
    part(tmp_path).write_bytes(CONTENT)
    assert fetch(remote(server, size=size), tmp_path).read_bytes() == CONTENT
    assert server.asked == []


def test_a_beginning_longer_than_the_file_is_dropped(server: Server, tmp_path: Path) -> None:
    """A server that has no such range (416) is asked for all."""
    part(tmp_path).write_bytes(CONTENT + b"more")
    assert fetch(remote(server), tmp_path).read_bytes() == CONTENT
    assert len(server.asked) == 2


def test_an_end_that_nobody_announced_is_noticed(server: Server, tmp_path: Path) -> None:
    """Where the connection's end is the file's, the size tells a cut from an end."""
    server.will("a.zip", Reply(announced=False, cut=CHUNK), Reply(announced=False))
    assert fetch(remote(server), tmp_path).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [None, f"bytes={CHUNK}-"]


def test_a_silent_server_is_asked_again(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection on which nothing comes is given up, and the file resumed."""
    monkeypatch.setattr(fetching, "TIMEOUT", 0.2)
    server.will("a.zip", Reply(stall=2 * CHUNK))
    assert fetch(remote(server), tmp_path).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [None, f"bytes={2 * CHUNK}-"]


def test_errors_of_a_server_that_is_busy_pass(server: Server, tmp_path: Path) -> None:
    """After 500, 503 and 429 it is asked again."""
    server.will("a.zip", *(Reply(status=status) for status in (500, 503, 429)))
    assert fetch(remote(server), tmp_path, retries=3).read_bytes() == CONTENT
    assert len(server.asked) == 4


def test_a_file_that_moved_is_followed(server: Server, tmp_path: Path) -> None:
    """Archives send to where they store files, and the range goes along."""
    server.files["moved"] = b""
    wanted = RemoteFile("a.zip", server.url("moved"), sha256(CONTENT), len(CONTENT))
    server.will("moved", *[Reply(status=302, headers={"Location": "/a.zip"})] * 2)
    server.will("a.zip", Reply(cut=CHUNK))
    assert fetch(wanted, tmp_path).read_bytes() == CONTENT
    assert server.asked == [(name, asked) for asked in (None, f"bytes={CHUNK}-") for name in ("moved", "a.zip")]


def test_only_failures_without_a_new_byte_count(server: Server, tmp_path: Path) -> None:
    """A line that is cut again and again brings a large file all the same."""
    server.will("a.zip", *[Reply(cut=CHUNK)] * 5)
    assert fetch(remote(server), tmp_path, retries=1).read_bytes() == CONTENT
    assert len(server.asked) == 6


def test_waits_grow_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is twice the one before, and none shorter than the server asks for, up to the longest."""
    monkeypatch.setattr(fetching, "FIRST_WAIT", 1.0)
    waits = [fetching._backoff(requests.ConnectionError(), failures=failures) for failures in range(1, 9)]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    busy = requests.Response()
    for asked, wait in {"7": 7, "3600": 60, "tomorrow": 1}.items():
        busy.headers["Retry-After"] = asked
        assert fetching._backoff(requests.HTTPError(response=busy), failures=1) == wait


def command(server: Server, folder: Path) -> subprocess.Popen[bytes]:
    arguments = [server.url("a.zip"), sha256(CONTENT), str(len(CONTENT)), str(folder)]
    return subprocess.Popen([sys.executable, "-c", COMMAND, *arguments], cwd=ROOT, env={**os.environ, "CI": "1"})


def test_a_killed_process_is_resumed(server: Server, tmp_path: Path) -> None:
    """After kill -9 there is no file of that name, no lock in the way, and what had come is not fetched again."""
    server.will("a.zip", Reply(stall=2 * CHUNK))
    process = command(server, tmp_path)
    until = time.monotonic() + 60
    while not part(tmp_path).exists() or part(tmp_path).stat().st_size < 2 * CHUNK:
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert visible(tmp_path) == set()
    assert fetch(remote(server), tmp_path).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [None, f"bytes={2 * CHUNK}-"]


def test_two_processes_fetch_a_file_once(server: Server, tmp_path: Path) -> None:
    """The second waits for the first, and finds the file right."""
    server.will("a.zip", Reply(trickle=0.01))
    processes = [command(server, tmp_path) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert server.asked == [("a.zip", None)]


# What is refused, in one sentence


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_file_that_is_not_given_is_refused_at_once(status: int, server: Server, tmp_path: Path) -> None:
    """The sentence names the address, the answer, the file and what to do; the server is asked once."""
    wanted = remote(server)
    server.will("a.zip", Reply(status=status))
    message = failure(wanted, tmp_path)
    for said in (wanted.url, f"answered {status} ", "expected a.zip", str(wanted.known_hash), str(tmp_path / "a.zip")):
        assert said in message
    assert len(server.asked) == 1
    assert visible(tmp_path) == set()


@pytest.mark.parametrize("content", [OTHER, b"<html>Please log in</html>"])
def test_a_wrong_file_is_refused(content: bytes, server: Server, tmp_path: Path) -> None:
    """The sentence names what was found and expected; nothing of it stays, and what stood there before does."""
    (tmp_path / "a.zip").write_bytes(b"old")
    wanted = remote(server)
    server.will("a.zip", Reply(content=content))
    message = failure(wanted, tmp_path)
    for said in (
        wanted.url,
        f"gave {len(content)} bytes, {sha256(content)}",
        f"{len(CONTENT)} bytes, {wanted.known_hash}",
    ):
        assert said in message
    assert len(server.asked) == 1
    assert (tmp_path / "a.zip").read_bytes() == b"old"
    assert not part(tmp_path).exists()


@pytest.mark.parametrize("size", [len(CONTENT) - 1, len(CONTENT) + 1])
def test_a_wrong_size_is_refused(size: int, server: Server, tmp_path: Path) -> None:
    """It is all there is to tell a file by where nobody published a checksum."""
    message = failure(RemoteFile("a.zip", server.url("a.zip"), None, size), tmp_path)
    assert f"gave {len(CONTENT)} bytes, sha256:" in message
    assert f"expected a.zip, {size} bytes: open it in a browser" in message


def test_an_end_to_trying_keeps_what_has_come(server: Server, tmp_path: Path) -> None:
    """After the last retry one sentence says so; the next run goes on from there."""
    server.will("a.zip", Reply(cut=CHUNK), *[Reply(cut=0)] * 3)
    message = failure(remote(server), tmp_path, retries=2)
    assert server.url("a.zip") in message
    assert f"3 times in a row; expected a.zip, {len(CONTENT)} bytes" in message
    assert f"{CHUNK} bytes are kept" in message
    assert visible(tmp_path) == set()
    assert fetch(remote(server), tmp_path).read_bytes() == CONTENT
    assert server.asked[-1] == ("a.zip", f"bytes={CHUNK}-")


@pytest.mark.parametrize("cuts", [[CHUNK], [2 * CHUNK, CHUNK]])
def test_a_server_that_only_ever_sends_the_start_is_given_up(cuts: list[int], server: Server, tmp_path: Path) -> None:
    """The same bytes again are no progress."""
    server.will("a.zip", *[Reply(cut=cut, ranges=False) for cut in cuts] * 9)
    assert "3 times in a row" in failure(remote(server), tmp_path, retries=2)
    assert len(server.asked) == 3


def test_no_server_at_all_is_said(tmp_path: Path) -> None:
    """The plainest of the reasons is told, in one line."""
    with serving({}) as gone:
        url = gone.url("a.zip")
    message = failure(RemoteFile("a.zip", url, None, None), tmp_path)
    assert message.startswith(f"{url} could not be read (")
    assert "refused), 3 times in a row; expected a.zip: see whether" in message
    assert "\n" not in message


def test_an_address_that_is_none_is_said(tmp_path: Path) -> None:
    """What no waiting can mend is not tried again."""
    assert "nowhere/a.zip could not be read (" in failure(RemoteFile("a.zip", "nowhere/a.zip", None, None), tmp_path)


def test_a_folder_that_cannot_be_made_is_said(server: Server, tmp_path: Path) -> None:
    """The sentence names the place and the way to choose another."""
    (tmp_path / "file").touch()
    message = failure(remote(server), tmp_path / "file" / "cache")
    assert str(tmp_path / "file") in message
    assert "SER_CACHE" in message


def test_a_full_disk_is_said(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system says is passed on, with the folder it is about."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetching._Part, "append", refuse)
    assert failure(remote(server), tmp_path).startswith(f"{tmp_path} cannot be written: No space left on device;")


@pytest.mark.parametrize("name", ["", ".", "..", "/a.zip", "../a.zip", "a/../../b", "a\\b"])
def test_a_name_outside_the_folder_is_refused(name: str) -> None:
    """Names may come from a site's listing, which is not to choose where files go."""
    with pytest.raises(UserError, match="expected one below a folder"):
        RemoteFile(name, "https://example.org/a.zip", None, None)


@pytest.mark.parametrize("checksum", ["", "md5:123", "sha256:" + "g" * 64, "sha1:" + "0" * 40, "0" * 64])
def test_a_checksum_that_is_none_is_refused(checksum: str) -> None:
    """A slip of the pen is found before gigabytes are fetched."""
    with pytest.raises(UserError, match=r"a\.zip: its checksum is .* hexadecimal digits"):
        RemoteFile("a.zip", "https://example.org/a.zip", checksum, None)


# Many files


def remotes(server: Server) -> list[RemoteFile]:
    return [remote(server, name=name) for name in SMALL]


def test_many_files_come_in_their_order(server: Server, tmp_path: Path) -> None:
    """Each has its own content under its own name, over no more connections than allowed."""
    paths = fetch_all(remotes(server), tmp_path, connections=3)
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == list(SMALL)
    assert [path.read_bytes() for path in paths] == list(SMALL.values())
    assert visible(tmp_path) == set(SMALL)
    assert server.connections <= 3
    assert fetch_all([], tmp_path) == []


def test_only_what_is_missing_or_wrong_is_fetched(server: Server, tmp_path: Path) -> None:
    """What is there and right is not asked for again."""
    paths = fetch_all(remotes(server), tmp_path)
    paths[3].unlink()
    paths[5].write_bytes(b"wrong")
    server.asked.clear()
    assert fetch_all(remotes(server), tmp_path) == paths
    assert [path.read_bytes() for path in paths] == list(SMALL.values())
    assert sorted(server.asked) == sorted((list(SMALL)[i], None) for i in (3, 5))


def test_the_first_failure_is_told_and_the_rest_stays(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence names the file that failed; those finished before are kept; the rest is not even begun."""
    monkeypatch.setattr(fetching, "FIRST_WAIT", 30.0)  # for the file after the failing one; the failure ends it
    names = list(SMALL)
    server.will(names[20], Reply(status=404))
    server.will(names[21], Reply(status=500))
    with pytest.raises(UserError, match=f"{names[20]} answered 404"):
        fetch_all(remotes(server), tmp_path, connections=1)
    assert visible(tmp_path) == set(names[:20])
    assert all((tmp_path / name).read_bytes() == SMALL[name] for name in visible(tmp_path))
    assert {name for name, _ in server.asked} <= set(names[:22])
    server.plan.clear()
    assert len(fetch_all(remotes(server), tmp_path)) == len(SMALL)


def test_a_failure_does_not_wait_for_large_files(server: Server, tmp_path: Path) -> None:
    """What is still under way ends where it is, and can be resumed."""
    failing = next(iter(SMALL))
    server.will("a.zip", Reply(trickle=0.2))
    server.will(failing, Reply(status=404))
    started = time.monotonic()
    with pytest.raises(UserError, match=f"{failing} answered 404"):
        fetch_all([remote(server), remote(server, name=failing)], tmp_path)
    assert time.monotonic() - started < 4  # of the eight seconds that all of it takes
    assert visible(tmp_path) == set()


def test_the_same_name_twice_is_refused(server: Server, tmp_path: Path) -> None:
    """Two files cannot have one place."""
    with pytest.raises(UserError, match=r"a\.zip is listed more than once"):
        fetch_all([remote(server)] * 2, tmp_path)


def test_the_bar_ends_at_the_sum_of_sizes(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes count once, whether they were there, came again or were dropped."""
    bars = []

    class Bar(tqdm):
        def __init__(self, *args, **settings) -> None:
            super().__init__(*args, **settings, file=sys.stdout)
            bars.append(self)

    monkeypatch.setattr("ser.utils.progress.tqdm", Bar)
    monkeypatch.setattr("ser.utils.progress.sys.stderr.isatty", lambda: True)
    monkeypatch.delenv("CI", raising=False)
    fetch_all(remotes(server)[:5], tmp_path)
    part(tmp_path).write_bytes(OTHER[:CHUNK])
    server.will("a.zip", Reply(cut=CHUNK), Reply(ranges=False))
    wanted = [*remotes(server), remote(server)]
    fetch_all(wanted, tmp_path, connections=1)
    assert [(bar.n, bar.total) for bar in bars] == [
        (sum(remote.size or 0 for remote in some),) * 2 for some in (wanted[:5], wanted)
    ]


# Where


def test_the_cache_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SER_CACHE wins; else it is a folder of the user's own, outside the project."""
    monkeypatch.setenv("SER_CACHE", str(tmp_path))
    assert cache() == tmp_path
    for unset in (None, ""):
        monkeypatch.delenv("SER_CACHE") if unset is None else monkeypatch.setenv("SER_CACHE", unset)
        assert cache().name == "speech-emotion-pipeline"
        assert ROOT not in cache().parents
