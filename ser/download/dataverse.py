"""List the files of a Dataverse dataset with their checksums.

References
----------
https://guides.dataverse.org/en/latest/api/native-api.html#get-json-representation-of-a-dataset
https://guides.dataverse.org/en/latest/api/dataaccess.html#basic-file-access
"""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from ser.corpora.base import RemoteFile
from ser.download.fetch import get_json
from ser.utils.errors import UserError

_ALGORITHMS = {"MD5": "md5", "SHA-256": "sha256"}
"""Checksums of Dataverse that a `RemoteFile` can have."""


def list_files(doi: str, *, server: str) -> list[RemoteFile]:
    """List the files of a dataset's latest published version.

    Tabular files, which Dataverse converts, are listed in their original format. SHA-1 and SHA-512 checksums are
    ignored; then only the size is verified.

    Parameters
    ----------
    doi : str
        DOI of the dataset, such as ``doi:10.5683/SP2/E8H2MF``.
    server : str
        Address of the Dataverse server, such as ``https://borealisdata.ca``.

    Raises
    ------
    UserError
        If the dataset is missing, empty or partly restricted, or lists a file outside the folder.
    """
    page = f"{server}/dataset.xhtml?persistentId={doi}"
    listing = get_json(f"{server}/api/datasets/:persistentId/?persistentId={doi}")
    try:
        files = listing["data"]["latestVersion"]["files"]
        restricted = [_filename(file) for file in files if file.get("restricted")]
        remotes = [_remote_file(file, server=server) for file in files]
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{page}: the list of files has an unknown format ({error!r}). Download the dataset by hand."
        ) from error
    if restricted or not remotes:  # without the restricted files it would be another corpus
        raise UserError(
            f"{page}: {len(restricted)} of {len(files)} files are restricted, such as {restricted[:1]}. Check whether "
            "the dataset has moved, or request access there and download the files by hand."
        )
    return remotes


def _remote_file(file: Mapping[str, Any], *, server: str) -> RemoteFile:
    data = file["dataFile"]
    url, size = f"{server}/api/access/datafile/{data['id']}", data.get("filesize")
    if data.get("originalFileFormat") is not None:  # `filesize` is that of the converted table, the checksum is not
        url, size = f"{url}?format=original", data.get("originalFileSize")
    return RemoteFile(_filename(file), url, _checksum(data), size)


def _filename(file: Mapping[str, Any]) -> str:
    data = file["dataFile"]
    return str(PurePosixPath(file.get("directoryLabel", ""), data.get("originalFileName") or data["filename"]))


def _checksum(data: Mapping[str, Any]) -> str | None:
    checksum = data.get("checksum") or {"type": "MD5", "value": data.get("md5")}  # the latter in old versions
    algorithm = _ALGORITHMS.get(checksum["type"].upper())
    return f"{algorithm}:{checksum['value']}" if algorithm and checksum["value"] else None
