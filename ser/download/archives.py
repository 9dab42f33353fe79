"""Unpack zip archives safely."""

import shutil
import stat
import zipfile
import zlib
from lzma import LZMAError
from pathlib import Path, PureWindowsPath

from ser.utils.errors import UserError
from ser.utils.files import atomic_write

MAX_BYTES = 100 * 1000**3
"""Maximum unpacked size. The largest corpora have about 30 GB, video included."""
MAX_RATIO = 100
"""Maximum compression ratio. Recordings reach at most 10, zip bombs 1000."""
MIN_BYTES_FOR_RATIO = 100 * 1000**2
"""Below this unpacked size any ratio is accepted, as silence compresses well."""

_ERRORS = (zipfile.BadZipFile, zlib.error, LZMAError, EOFError, OSError, ValueError, RuntimeError)
"""Raised by zipfile for damaged, encrypted and unsupported archives."""


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip archive into a folder, and remove what the folder contained before.

    The folder is created or replaced atomically, after all files are unpacked and their checksums verified.
    Files that macOS adds (``__MACOSX/``, ``._*``, ``.DS_Store``), empty folders and permissions are ignored.

    Raises
    ------
    UserError
        If the archive is missing, damaged, encrypted, empty or too large, or if an entry is a link or a device, or has
        a path outside the folder.
    """
    try:
        with zipfile.ZipFile(archive) as zip_file, atomic_write(folder) as unfinished:
            files = _select_files(zip_file.infolist(), archive=archive)
            _check_size(files, archive=archive, folder=folder)
            zip_file.extractall(unfinished, files)
    except UserError:
        raise
    except _ERRORS as error:
        raise UserError(
            f"{archive}: cannot unpack into {folder}: {error}. Download it again, or unpack it by hand."
        ) from error


def _select_files(entries: list[zipfile.ZipInfo], *, archive: Path) -> list[zipfile.ZipInfo]:
    """Select the files to unpack; reject unsafe entries."""
    files = []
    for entry in entries:
        path = PureWindowsPath(entry.filename)  # splits at / and \, and recognizes drives
        kind = stat.S_IFMT(entry.external_attr >> 16)  # 0 if the archive was not made on Unix
        if path.anchor or ".." in path.parts or kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise UserError(
                f"{archive}: {entry.filename!r} is a path outside the folder, a link or a device. Unpack it by hand."
            )
        if not (entry.is_dir() or "__MACOSX" in path.parts or path.name.startswith("._") or path.name == ".DS_Store"):
            files.append(entry)
    return files


def _check_size(files: list[zipfile.ZipInfo], *, archive: Path, folder: Path) -> None:
    """Limit the size in the archive's directory; zipfile unpacks no more than that."""
    total = sum(entry.file_size for entry in files)
    ratio = total / archive.stat().st_size
    free = shutil.disk_usage(folder.parent).free
    if not files:
        raise UserError(f"{archive}: the archive contains no files. Download it again.")
    if total > MAX_BYTES or (total > MIN_BYTES_FOR_RATIO and ratio > MAX_RATIO):
        raise UserError(
            f"{archive}: the unpacked size would be {total} bytes, {ratio:.0f} times that of the archive; expected at "
            f"most {MAX_BYTES} bytes and {MAX_RATIO} times. Unpack the archive by hand if you trust it."
        )
    if total > free:
        raise UserError(f"{archive}: unpacking needs {total} bytes; {folder.parent} has {free}. Free disk space.")
