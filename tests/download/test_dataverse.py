"""The file list of a Dataverse dataset is read, or an error raised; tested with a local server.

The responses have the form of Dataverse 6's native API, without the metadata of the dataset.
"""

import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ser.download.dataverse import list_files
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


def entry(number: int, name: str, content: bytes, *, kind: str = "MD5", **data: Any) -> dict[str, Any]:
    """Describe a file as the API does."""
    folder, _, label = name.rpartition("/")
    value = hashlib.new(kind.replace("-", ""), content).hexdigest()
    checksums = {"checksum": {"type": kind, "value": value}} | ({"md5": value} if kind == "MD5" else {})
    facts = {"id": number, "filename": label, "filesize": len(content), **checksums, **data}
    return {"label": label, "restricted": False, "dataFile": facts} | ({"directoryLabel": folder} if folder else {})


def publish(server: Server, *entries: dict[str, Any]) -> None:
    data = {"id": 1, "latestVersion": {"versionState": "RELEASED", "files": entries}}
    server.files[LISTING] = json.dumps({"status": "OK", "data": data}).encode()


def home(server: Server) -> str:
    return server.url("").rstrip("/")


def error_of(server: Server) -> str:
    with pytest.raises(UserError) as error:
        list_files(DOI, server=home(server))
    assert home(server) in str(error.value)
    return str(error.value)


def test_listed_files_are_downloaded_and_resumed(server: Server, tmp_path: Path) -> None:
    """Redirects to a storage are followed, also by the request for the rest of a file; errors 5xx are retried."""
    publish(server, entry(101, "TESS.zip", ARCHIVE))
    server.files |= {"api/access/datafile/101": b"", "storage": ARCHIVE}
    server.plan(LISTING, Reply(status=500), Reply(status=503))
    server.plan("api/access/datafile/101", *[Reply(status=303, headers={"Location": "/storage"})] * 2)
    server.plan("storage", Reply(close_after=CHUNK_SIZE))
    [path] = fetch_all(list_files(DOI, server=home(server)), tmp_path)
    assert path == tmp_path / "TESS.zip"
    assert path.read_bytes() == ARCHIVE
    assert server.requests[-1] == ("storage", f"bytes={CHUNK_SIZE}-")


MD5, SHA256 = f"md5:{hashlib.md5(b'content').hexdigest()}", f"sha256:{hashlib.sha256(b'content').hexdigest()}"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"kind": "MD5"}, MD5),
        ({"kind": "SHA-256"}, SHA256),
        ({"kind": "SHA-512"}, None),
        ({"checksum": None}, MD5),
        ({"checksum": None, "md5": None}, None),
    ],
)
def test_checksums_are_read(data: dict[str, Any], expected: str | None, server: Server) -> None:
    """Unsupported algorithms are ignored; old versions of Dataverse list an MD5 or nothing. The size remains."""
    publish(server, entry(1, "a.wav", b"content", **data))
    [remote] = list_files(DOI, server=home(server))
    assert (remote.known_hash, remote.size) == (expected, 7)


def test_a_table_is_downloaded_in_its_original_format(server: Server, tmp_path: Path) -> None:
    """Dataverse lists name and size of the converted table, but the checksum of the original one."""
    original = b"word;emotion\nback;angry\n"
    published = {"originalFileFormat": "text/csv", "originalFileSize": len(original), "originalFileName": "words.csv"}
    publish(server, entry(5, "lists/words.tab", original, filesize=999, **published))
    server.files |= {"api/access/datafile/5": b"converted", "api/access/datafile/5?format=original": original}
    [path] = fetch_all(list_files(DOI, server=home(server)), tmp_path)
    assert path == tmp_path / "lists" / "words.csv"
    assert path.read_bytes() == original


def test_an_incomplete_dataset_is_refused(server: Server) -> None:
    """The error names a restricted file, as the other files are not the whole corpus; an empty dataset is an error."""
    publish(server, entry(1, "a.wav", b"a"), entry(2, "OAF/b.wav", b"b") | {"restricted": True})
    message = error_of(server)
    assert "1 of 2" in message and "OAF/b.wav" in message
    publish(server)
    assert DOI in error_of(server)


def test_a_path_outside_the_folder_is_refused(server: Server) -> None:
    """A server must not choose where files are written."""
    for file in (entry(1, "x.wav", b"1", filename="/etc/a.wav"), entry(1, "../x.wav", b"1")):
        publish(server, file)
        assert "datafile/1" in error_of(server)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(status=404), "404"),
        (Reply(content=b"<!DOCTYPE html><title>Log in</title>", headers={"Content-Type": "text/html"}), LISTING),
        *(
            (Reply(content=json.dumps(value).encode()), DOI)
            for value in (
                [],
                {"status": "ERROR", "message": "Dataset not found."},
                {"status": "OK", "data": {"id": 1}},
                {"status": "OK", "data": {"latestVersion": {"files": [{"label": "a"}]}}},
                {"status": "OK", "data": {"latestVersion": {"files": None}}},
            )
        ),
    ],
)
def test_another_response_is_an_error(reply: Reply, reason: str, server: Server) -> None:
    """Such as a refused request, a login page, or the response for a withdrawn dataset; it is not retried."""
    publish(server)
    server.plan(LISTING, reply)
    assert reason in error_of(server)
    assert len(server.requests) == 1
