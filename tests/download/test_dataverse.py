"""A Dataverse's list of files becomes files to fetch, or one sentence; tried against a server that answers as it does.

The answers have the form of Dataverse 6's native API, less the metadata about the dataset.
"""

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ser.download import fetch
from ser.download.dataverse import files_of
from ser.download.fetch import CHUNK, fetch_all, get_json
from ser.utils.errors import UserError
from tests.helpers.http_servers import Reply, Server, serving

DOI = "doi:10.5683/SP2/E8H2MF"
LISTING = f"api/datasets/:persistentId/?persistentId={DOI}"
ARCHIVE = random.Random(1).randbytes(3 * CHUNK)
WAVES = {f"OAF_angry/OAF_{i:03}_angry.wav": random.Random(i).randbytes(500 + i) for i in range(150)}


@pytest.fixture
def server() -> Iterator[Server]:
    with serving({}) as started:
        yield started


@pytest.fixture(autouse=True)
def here_and_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave proxies aside, and wait between attempts as briefly as can be."""
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(variable, "127.0.0.1")
    monkeypatch.setattr(fetch, "FIRST_WAIT", 0.001)


def entry(number: int, name: str, content: bytes, *, kind: str = "MD5", **data: Any) -> dict[str, Any]:
    """Say of a file what the API says; other than where it stands, and whether it is restricted, goes into dataFile."""
    folder, _, label = name.rpartition("/")
    value = hashlib.new(kind.replace("-", ""), content).hexdigest()
    file = {
        "label": label,
        "restricted": data.pop("restricted", False),
        **({"directoryLabel": folder} if folder else {}),
        "version": 1,
        "datasetVersionId": 7,
        "dataFile": {
            "id": number,
            "persistentId": "",
            "filename": label,
            "contentType": "audio/x-wav",
            "filesize": len(content),
            "storageIdentifier": f"s3://borealis:{number}",
            "rootDataFileId": -1,
            **({"md5": value} if kind == "MD5" else {}),
            "checksum": {"type": kind, "value": value},
            "tabularData": False,
            "creationDate": "2020-02-13",
            **data,
        },
    }
    return {key: value for key, value in file.items() if value is not None}


def publish(server: Server, entries: Sequence[dict[str, Any]]) -> None:
    version = {"id": 7, "versionNumber": 1, "versionState": "RELEASED", "license": {"name": "CC BY-NC-ND 4.0"}}
    data = {"id": 1, "identifier": "SP2/E8H2MF", "protocol": "doi", "latestVersion": {**version, "files": entries}}
    answer(server, {"status": "OK", "data": data})


def answer(server: Server, value: Any) -> None:
    server.files[LISTING] = json.dumps(value).encode()


def home(server: Server) -> str:
    return server.url("").rstrip("/")


def failure(server: Server) -> str:
    with pytest.raises(UserError) as raised:
        files_of(DOI, server=home(server))
    assert "\n" not in str(raised.value)
    return str(raised.value)


# What is listed


@pytest.mark.parametrize("doi", [DOI, DOI.removeprefix("doi:")])
def test_an_archive_is_fetched_and_resumed(doi: str, server: Server, tmp_path: Path) -> None:
    """One zip arrives whole, goes on where it was cut, and is not asked for again; a storage elsewhere is followed."""
    publish(server, [entry(101, "TESS.zip", ARCHIVE)])
    server.files |= {"api/access/datafile/101": b"", "storage": ARCHIVE}
    server.will("api/access/datafile/101", *[Reply(status=303, headers={"Location": "/storage"})] * 2)
    server.will("storage", Reply(cut=CHUNK))
    remotes = files_of(doi, server=home(server) + "/")
    assert [remote.url for remote in remotes] == [server.url("api/access/datafile/101")]
    (path,) = fetch_all(remotes, tmp_path)
    assert path.relative_to(tmp_path).as_posix() == "TESS.zip"
    assert path.read_bytes() == ARCHIVE
    assert server.asked[-1] == ("storage", f"bytes={CHUNK}-")
    asked = len(server.asked)
    fetch_all(files_of(doi, server=home(server)), tmp_path)
    assert server.asked[asked:] == [(LISTING, None)]


def test_many_recordings_keep_their_folders(server: Server, tmp_path: Path) -> None:
    """Each file of a dataset is below its own folder, in the order of the list."""
    publish(server, [entry(i, name, content) for i, (name, content) in enumerate(WAVES.items())])
    server.files |= {f"api/access/datafile/{i}": content for i, content in enumerate(WAVES.values())}
    remotes = files_of(DOI, server=home(server))
    assert [(remote.filename, remote.size) for remote in remotes] == [(name, len(WAVES[name])) for name in WAVES]
    assert [path.read_bytes() for path in fetch_all(remotes, tmp_path)] == list(WAVES.values())


@pytest.mark.parametrize(("kind", "known"), [("MD5", "md5"), ("SHA-256", "sha256"), ("SHA-1", None), ("SHA-512", None)])
def test_checksums_are_those_that_can_be_checked(kind: str, known: str | None, server: Server) -> None:
    """What cannot be checked is not taken for something else; the size stays."""
    publish(server, [entry(1, "a.wav", b"content", kind=kind)])
    (remote,) = files_of(DOI, server=home(server))
    expected = f"{known}:{hashlib.new(known, b'content').hexdigest()}" if known else None
    assert (remote.known_hash, remote.size) == (expected, 7)


@pytest.mark.parametrize("md5", ["0" * 32, "", None])
def test_an_older_answer_is_read_too(md5: str | None, server: Server) -> None:
    """Before there were several kinds of checksums, there was md5, or nothing."""
    publish(server, [entry(1, "a.wav", b"content", checksum=None, md5=md5)])
    (remote,) = files_of(DOI, server=home(server))
    assert remote.known_hash == (f"md5:{md5}" if md5 else None)


def test_a_table_is_fetched_as_it_was_deposited(server: Server, tmp_path: Path) -> None:
    """Dataverse rewrites tables, and lists the rewriting's name and size, but the deposited file's checksum."""
    deposited = b"word;emotion\nback;angry\n"
    table = {
        "contentType": "text/tab-separated-values",
        "filesize": 999,
        "tabularData": True,
        "originalFileFormat": "text/csv",
        "originalFormatLabel": "Comma Separated Values",
        "originalFileSize": len(deposited),
        "originalFileName": "words.csv",
        "UNF": "UNF:6:abc==",
    }
    publish(server, [entry(5, "lists/words.tab", deposited, **table)])
    server.files |= {"api/access/datafile/5": b"rewritten", "api/access/datafile/5?format=original": deposited}
    (path,) = fetch_all(files_of(DOI, server=home(server)), tmp_path)
    assert path.relative_to(tmp_path).as_posix() == "lists/words.csv"
    assert path.read_bytes() == deposited


# What is refused, in one sentence


def test_another_file_than_listed_is_refused(server: Server, tmp_path: Path) -> None:
    """The checksum of the list is what counts."""
    publish(server, [entry(1, "a.wav", b"content")])
    server.files["api/access/datafile/1"] = b"CONTENT"
    with pytest.raises(UserError, match=r"datafile/1 gave 7 bytes, md5:.*expected a\.wav, 7 bytes, md5:"):
        fetch_all(files_of(DOI, server=home(server)), tmp_path)


def test_a_restricted_file_is_refused(server: Server) -> None:
    """The sentence names the page where access is asked for, and nothing is fetched without it."""
    publish(server, [entry(1, "a.wav", b"a"), entry(2, "OAF/b.wav", b"b", restricted=True)])
    message = failure(server)
    assert message.startswith(f"{home(server)}/dataset.xhtml?persistentId={DOI}: 1 of 2 files are restricted, ")
    assert "'OAF/b.wav' the first" in message


def test_an_empty_dataset_is_refused(server: Server) -> None:
    """A dataset may have no files, only words about them."""
    publish(server, [])
    assert f"persistentId={DOI} lists no file; expected a corpus" in failure(server)


def test_a_file_listed_twice_is_refused(server: Server, tmp_path: Path) -> None:
    """Two files cannot have one place, however it is written."""
    publish(server, [entry(1, "a/b.wav", b"1"), entry(2, "a//b.wav", b"2")])
    with pytest.raises(UserError, match=r"a/b\.wav is listed more than once"):
        fetch_all(files_of(DOI, server=home(server)), tmp_path)


@pytest.mark.parametrize("name", ["../a.wav", "/etc/a.wav", "a/../../b.wav", "a\\b.wav"])
def test_a_name_that_leaves_the_folder_is_refused(name: str, server: Server) -> None:
    """A site's list is not to choose where files go."""
    publish(server, [entry(1, "x.wav", b"1", filename=name)])
    assert "datafile/1: its name is" in failure(server)
    publish(server, [{**entry(1, "x.wav", b"1"), "directoryLabel": name}])
    assert "datafile/1: its name is" in failure(server)


@pytest.mark.parametrize("status", [401, 404])
def test_a_dataset_that_is_not_given_is_refused_at_once(status: int, server: Server) -> None:
    """The sentence names the address and the answer; the server is asked once."""
    publish(server, [])
    server.will(LISTING, Reply(status=status))
    assert failure(server).startswith(f"{server.url(LISTING)} answered {status} ")
    assert len(server.asked) == 1


def test_what_dataverse_says_is_passed_on(server: Server) -> None:
    """An error may come with an answer that is none by its number."""
    answer(server, {"status": "ERROR", "message": f"Dataset with Persistent ID {DOI} not found."})
    assert f"Dataverse says 'Dataset with Persistent ID {DOI} not found.'" in failure(server)


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ([], "its answer: Input should be"),
        ({"status": "OK", "data": {"id": 1}}, "data.latestVersion: Field required"),
        ({"status": "OK", "data": {"latestVersion": {"files": [{"label": "a"}]}}}, "files.0.dataFile: Field required"),
    ],
)
def test_an_answer_of_another_form_is_refused(value: Any, place: str, server: Server) -> None:
    """As of a dataset that was withdrawn, of which no version is published; the sentence names what is missing."""
    answer(server, value)
    assert place in failure(server)


# How it is asked for


def test_a_busy_server_is_asked_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors that pass, and an answer that was cut, are no answer yet; between them it is waited longer and longer."""
    waits: list[float] = []
    monkeypatch.setattr(fetch.time, "sleep", waits.append)
    publish(server, [entry(1, "a.wav", b"1")])
    server.will(LISTING, Reply(status=500), Reply(status=503, headers={"Retry-After": "7"}), Reply(cut=20))
    assert [remote.filename for remote in files_of(DOI, server=home(server))] == ["a.wav"]
    assert waits == [0.001, 7, 0.004]


def test_there_is_an_end_to_asking(server: Server) -> None:
    """After the last retry one sentence says so."""
    server.files[LISTING] = b"{}"
    server.will(LISTING, *[Reply(status=500)] * 9)
    with pytest.raises(UserError, match="answered 500 Internal Server Error, 3 times in a row; expected JSON"):
        get_json(server.url(LISTING), retries=2)
    assert len(server.asked) == 3


def test_no_server_at_all_is_said() -> None:
    """The plainest of the reasons is told."""
    with serving({}) as gone:
        url = gone.url("api")
    with pytest.raises(UserError, match=r"could not be read \(.*refused\), 2 times in a row; expected JSON"):
        get_json(url, retries=1)


def test_a_page_for_people_is_refused_at_once(server: Server) -> None:
    """Where a login is asked for, a site answers well, but with HTML."""
    page = b"<!DOCTYPE html><title>Log in</title>"
    server.will(LISTING, Reply(content=page, headers={"Content-Type": "text/html;charset=UTF-8"}))
    message = failure(server)
    assert message.startswith(f"{server.url(LISTING)} gave {len(page)} bytes of text/html;charset=UTF-8; expected JSON")
    assert "login" in message
    assert len(server.asked) == 1
