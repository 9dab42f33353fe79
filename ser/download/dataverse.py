"""Corpora in a Dataverse: its list of a dataset's files, with their checksums, is asked for by DOI.

References
----------
https://guides.dataverse.org/en/latest/api/native-api.html#get-json-representation-of-a-dataset
https://guides.dataverse.org/en/latest/api/dataaccess.html#basic-file-access
"""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from ser.corpora.base import RemoteFile
from ser.download.fetch import get_json
from ser.utils.errors import UserError

_ALGORITHMS = {"MD5": "md5", "SHA-256": "sha256"}  # of what Dataverse computes, those that a RemoteFile can have

_Name = Annotated[str, Field(min_length=1)]
_Size = Annotated[int, Field(ge=0)]


class _Listed(BaseModel):
    """A part of the answer: what is read of it; there is far more, and more with every version of Dataverse."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True)


class _Checksum(_Listed):
    type: str
    value: str


class _DataFile(_Listed):
    id: int
    filename: _Name
    filesize: _Size | None = None
    md5: str | None = None  # of old; Dataverse gives it only where the checksum is one
    checksum: _Checksum | None = None
    original_file_format: str | None = None  # of a table, as are the next two
    original_file_name: _Name | None = None
    original_file_size: _Size | None = None


class _File(_Listed):
    directory_label: str = ""
    restricted: bool = False
    data_file: _DataFile


class _Version(_Listed):
    files: list[_File]


class _Dataset(_Listed):
    latest_version: _Version


class _Answer(_Listed):
    data: _Dataset


def files_of(doi: str, *, server: str) -> list[RemoteFile]:
    """List the files of a dataset's latest published version, for `ser.download.fetch.fetch_all`.

    Tables, which Dataverse rewrites, are listed as they were deposited. Checksums are Dataverse's own, of the same
    answer: they tell a damaged file, not a new version. Where Dataverse was set up to compute SHA-1 or SHA-512, the
    size alone tells, and an interrupted file starts again from nothing.

    Parameters
    ----------
    doi
        Of the dataset, as in ``doi:10.5683/SP2/E8H2MF``, with or without ``doi:``.
    server
        Where the Dataverse is, as in ``https://borealisdata.ca``.

    Returns
    -------
    list of RemoteFile
        In the order of the dataset, one or more.

    Raises
    ------
    InputError
        If the dataset is not there, empty, restricted even in part, or lists a file outside the folder.
    """
    server, dataset = server.rstrip("/"), f"doi:{quote(doi.removeprefix('doi:'))}"
    page = f"{server}/dataset.xhtml?persistentId={dataset}"
    files = _read(get_json(f"{server}/api/datasets/:persistentId/?persistentId={dataset}"), page=page)
    if not files:
        raise UserError(f"{page} lists no file; expected a corpus: see there whether it has moved.")
    _refuse_restricted(files, page=page)
    return [_remote(file, server=server) for file in files]


def _read(answer: Any, *, page: str) -> list[_File]:
    if isinstance(answer, dict) and answer.get("status") == "ERROR":
        raise UserError(f"{page}: Dataverse says {answer.get('message')!r}; expected its list of files: see there.")
    try:
        return _Answer.model_validate(answer).data.latest_version.files
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(map(str, problem["loc"])) or "its answer"
        raise UserError(
            f"{page}: Dataverse's list of files was not understood ({key}: {problem['msg']}); expected one as its "
            "guides describe: see there whether the dataset is published, and fetch it by hand."
        ) from error


def _refuse_restricted(files: Sequence[_File], *, page: str) -> None:
    """Fetch all or nothing: without the files that are not for everybody it would be another corpus."""
    restricted = [file for file in files if file.restricted]
    if restricted:
        raise UserError(
            f"{page}: {len(restricted)} of {len(files)} files are restricted, {_name(restricted[0])!r} the first; "
            "expected files for everybody: ask for access there and fetch them by hand."
        )


def _remote(file: _File, *, server: str) -> RemoteFile:
    data, url = file.data_file, f"{server}/api/access/datafile/{file.data_file.id}"
    if data.original_file_format is None:
        return RemoteFile(_name(file), url, _checksum(data), data.filesize)
    # What is listed as this file's size is that of Dataverse's rewriting; the checksum is of the deposited file.
    return RemoteFile(_name(file), f"{url}?format=original", _checksum(data), data.original_file_size)


def _name(file: _File) -> str:
    return str(PurePosixPath(file.directory_label, file.data_file.original_file_name or file.data_file.filename))


def _checksum(data: _DataFile) -> str | None:
    if data.checksum is None:
        return f"md5:{data.md5}" if data.md5 else None
    algorithm = _ALGORITHMS.get(data.checksum.type.upper())
    return f"{algorithm}:{data.checksum.value}" if algorithm else None
