"""A Dataverse listing becomes a list of files to download, or a UserError; tested with a local server.

The answers have the form of Dataverse 6's native API, without the metadata of the dataset.
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
from ser.download.fetch import CHUNK_SIZE, fetch_all
from ser.utils.errors import UserError
from tests.helpers.http_servers import Reply, Server, serving

DOI = "doi:10.5683/SP2/E8H2MF"
LISTING = f"api/datasets/:persistentId/?persistentId={DOI}"
ARCHIVE = random.Random(1).randbytes(3 * CHUNK_SIZE)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving({}) as started:
        yield started


@pytest.fixture(autouse=True)
def local_and_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bypass proxies, and retry without waiting."""
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(variable, "127.0.0.1")
    monkeypatch.setattr(fetch, "BACKOFF_FACTOR", 0.0)


def entry(number: int, name: str, content: bytes, *, kind: str = "MD5", **data: Any) -> dict[str, Any]:
    """Describe a file as the API does."""
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
    assert home(server) in str(raised.value)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("doi", [DOI, DOI.removeprefix("doi:")])
def test_listed_files_are_downloaded_and_resumed(doi: str, server: Server, tmp_path: Path) -> None:
    """Redirects to a storage are followed, also by the request for the rest of a file; verified files are kept."""
    publish(server, [entry(101, "TESS.zip", ARCHIVE)])
    server.files |= {"api/access/datafile/101": b"", "storage": ARCHIVE}
    server.will("api/access/datafile/101", *[Reply(status=303, headers={"Location": "/storage"})] * 2)
    server.will("storage", Reply(cut=CHUNK_SIZE))
    remotes = files_of(doi, server=home(server) + "/")
    assert [remote.url for remote in remotes] == [server.url("api/access/datafile/101")]
    [path] = fetch_all(remotes, tmp_path)
    assert path == tmp_path / "TESS.zip"
    assert path.read_bytes() == ARCHIVE
    assert server.asked[-1] == ("storage", f"bytes={CHUNK_SIZE}-")


def test_files_keep_their_folders_and_order(server: Server) -> None:
    """The path of a file includes its folder in the dataset."""
    names = [f"OAF_angry/OAF_{i:03}_angry.wav" for i in range(9, 0, -1)]
    publish(server, [entry(i, name, name.encode()) for i, name in enumerate(names)])
    remotes = files_of(DOI, server=home(server))
    assert [(remote.filename, remote.size) for remote in remotes] == [(name, len(name)) for name in names]


@pytest.mark.parametrize(("kind", "known"), [("MD5", "md5"), ("SHA-256", "sha256"), ("SHA-1", None), ("SHA-512", None)])
def test_supported_checksums_are_used(kind: str, known: str | None, server: Server) -> None:
    """Other checksums are ignored; the size remains."""
    publish(server, [entry(1, "a.wav", b"content", kind=kind)])
    [remote] = files_of(DOI, server=home(server))
    expected = f"{known}:{hashlib.new(known, b'content').hexdigest()}" if known else None
    assert (remote.known_hash, remote.size) == (expected, 7)


@pytest.mark.parametrize("md5", ["0" * 32, "", None])
def test_listings_of_old_versions_are_read(md5: str | None, server: Server) -> None:
    """Old versions of Dataverse list an MD5 or nothing."""
    publish(server, [entry(1, "a.wav", b"content", checksum=None, md5=md5)])
    [remote] = files_of(DOI, server=home(server))
    assert remote.known_hash == (f"md5:{md5}" if md5 else None)


def test_a_table_is_downloaded_as_deposited(server: Server, tmp_path: Path) -> None:
    """Dataverse lists name and size of the converted table, but the checksum of the deposited one."""
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
    [path] = fetch_all(files_of(DOI, server=home(server)), tmp_path)
    assert path == tmp_path / "lists" / "words.csv"
    assert path.read_bytes() == deposited


def test_a_restricted_dataset_is_refused(server: Server) -> None:
    """The error names a restricted file; no other file is downloaded, as the rest would be another corpus."""
    publish(server, [entry(1, "a.wav", b"a"), entry(2, "OAF/b.wav", b"b", restricted=True)])
    message = failure(server)
    assert "1 of 2" in message
    assert "OAF/b.wav" in message


def test_an_empty_dataset_is_refused(server: Server) -> None:
    """A dataset may have metadata but no files."""
    publish(server, [])
    assert DOI in failure(server)


@pytest.mark.parametrize("name", ["../a.wav", "/etc/a.wav", "a/../../b.wav", "a\\b.wav"])
def test_a_path_outside_the_folder_is_refused(name: str, server: Server) -> None:
    """A listing must not choose where files are written."""
    publish(server, [entry(1, "x.wav", b"1", filename=name)])
    assert "datafile/1" in failure(server)
    publish(server, [{**entry(1, "x.wav", b"1"), "directoryLabel": name}])
    assert "datafile/1" in failure(server)


@pytest.mark.parametrize("status", [401, 404])
def test_a_refused_request_is_not_retried(status: int, server: Server) -> None:
    """The error names the address and the status."""
    publish(server, [])
    server.will(LISTING, Reply(status=status))
    assert str(status) in failure(server)
    assert len(server.asked) == 1


def test_temporary_server_errors_are_retried(server: Server) -> None:
    """A busy server is asked again."""
    publish(server, [entry(1, "a.wav", b"1")])
    server.will(LISTING, Reply(status=500), Reply(status=503))
    assert [remote.filename for remote in files_of(DOI, server=home(server))] == ["a.wav"]


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"status": "ERROR", "message": "Dataset not found."},
        {"status": "OK", "data": {"id": 1}},
        {"status": "OK", "data": {"latestVersion": {"files": [{"label": "a"}]}}},
        {"status": "OK", "data": {"latestVersion": {"files": ["a.wav"]}}},
        {"status": "OK", "data": {"latestVersion": {"files": None}}},
    ],
)
def test_another_form_of_listing_is_refused(value: Any, server: Server) -> None:
    """Such as that of a dataset that was withdrawn."""
    answer(server, value)
    assert DOI in failure(server)


def test_a_web_page_is_refused(server: Server) -> None:
    """A login page is no JSON."""
    server.will(LISTING, Reply(content=b"<!DOCTYPE html><title>Log in</title>", headers={"Content-Type": "text/html"}))
    assert server.url(LISTING) in failure(server)
