"""Archives that others made: unpacked whole into their own folder, or refused."""

import os
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from lzma import LZMAError
from pathlib import Path, PurePosixPath

from ser.utils.errors import UserError
from ser.utils.files import atomic_write

MAX_ENTRIES = 500_000  # the largest corpora of emotions have some 200,000 recordings
MAX_BYTES = 100 * 1000**3  # the largest corpora, video included, have some 30 GB
MAX_RATIO = 100  # recordings shrink to a half, at best to a tenth; a bomb to a thousandth
RATIO_FROM = 100 * 1000**2  # bytes; less does no harm, and a few silent files may shrink to anything
CHUNK = 1 << 20

_ENCRYPTED = 0x1  # bits of an entry's flags
_UTF8 = 0x800
_END = b"PK\x05\x06"  # begins the record at an archive's end, of 22 bytes and a comment
_LONGEST_END = 22 + (1 << 16)
_NUMBER_ELSEWHERE = 0xFFFF  # in another record, in archives of 65535 entries and more
_DRIVE = re.compile(r"[A-Za-z]:")
_DAMAGE = (zipfile.BadZipFile, zlib.error, LZMAError, EOFError, OSError, ValueError)

Files = Mapping[PurePosixPath, zipfile.ZipInfo]


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip archive into a folder that then holds its files and nothing else.

    The folder appears when every file is there and every checksum was right; what stood there before is replaced
    only then. What macOS adds (``__MACOSX/``, ``._…``, ``.DS_Store``) and empty folders are left out. Permissions and
    times are not taken over.

    Parameters
    ----------
    archive
        The zip file.
    folder
        Is made, or replaced.

    Raises
    ------
    InputError
        If the archive is damaged, encrypted, empty or larger than any corpus, or an entry would be written outside
        the folder, over another, or as anything but a file.
    """
    with _opened(archive) as opened:
        _check_count(opened.infolist(), archive=archive)
        files = _files(opened.infolist(), archive=archive)
        _check_amount(files, archive=archive)
        with atomic_write(folder) as unfinished:
            _check_room(files, archive=archive, folder=folder.parent)
            for path, entry in files.items():
                _write(opened, entry, unfinished / path, archive=archive)


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    try:
        opened = zipfile.ZipFile(archive)
    except FileNotFoundError as error:
        raise UserError(f"{archive} was not found; expected a zip archive there: fetch it.") from error
    except (*_DAMAGE, NotImplementedError) as error:
        raise UserError(f"{archive} is not a whole zip archive ({error}); expected one: fetch it again.") from error
    with opened:
        yield opened


def _check_count(entries: Sequence[zipfile.ZipInfo], *, archive: Path) -> None:
    """Compare with the number at the archive's end: zipfile does not, and a wrong length can hide entries from it."""
    count, announced = len(entries), _announced(archive)
    if announced not in (_NUMBER_ELSEWHERE, count % (1 << 16)):  # a number of 16 bits
        raise UserError(f"{archive} lists {count} entries; expected {announced}, as its end says: fetch it again.")
    if count > MAX_ENTRIES:
        raise UserError(
            f"{archive} has {count} entries; expected at most {MAX_ENTRIES}: unpack it by hand if you trust it."
        )


def _announced(archive: Path) -> int:
    with archive.open("rb") as file:
        file.seek(-min(archive.stat().st_size, _LONGEST_END), os.SEEK_END)
        end = file.read()
    return int.from_bytes(end[end.rfind(_END) + 10 :][:2], "little")


def _files(entries: Sequence[zipfile.ZipInfo], *, archive: Path) -> Files:
    """Check all entries and pick the files among them, by the path that each will have."""
    files: dict[PurePosixPath, zipfile.ZipInfo] = {}
    for entry in entries:
        name = _name(entry)
        path = _path(name, archive=archive)
        _check_kind(entry, name=name, archive=archive)
        if name.endswith("/") or _is_litter(path):
            continue
        if path in files:
            raise _refusal(archive, name, "is there twice", expected="every file once")
        files[path] = entry
    return files


def _name(entry: zipfile.ZipInfo) -> str:
    """Read a name as it was meant: many programs write UTF-8 without saying so, which then reads as DOS's letters."""
    name = entry.orig_filename
    if entry.flag_bits & _UTF8:
        return name
    try:
        return name.encode("cp437").decode()
    except UnicodeError:
        return name


def _path(name: str, *, archive: Path) -> PurePosixPath:
    path = PurePosixPath(name)
    leads_out = name.startswith("/") or ".." in path.parts or _DRIVE.match(name)
    nameless = not path.name and not name.endswith("/")
    if leads_out or nameless or "\\" in name or "\0" in name:
        raise _refusal(archive, name, "is no path below a folder", expected="names as in folder/file.wav")
    return path


def _check_kind(entry: zipfile.ZipInfo, *, name: str, archive: Path) -> None:
    kind = stat.S_IFMT(entry.external_attr >> 16)  # 0 where the archive was not made on Unix
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _refusal(archive, name, "is a link or a device", expected="files and folders")
    if entry.flag_bits & _ENCRYPTED:
        raise UserError(
            f"{archive}: {name!r} is encrypted; expected an archive without a password: unpack it by hand with the "
            "one that its publisher gave you."
        )


def _is_litter(path: PurePosixPath) -> bool:
    return "__MACOSX" in path.parts or path.name.startswith("._") or path.name == ".DS_Store"


def _check_amount(files: Files, *, archive: Path) -> None:
    if not files:
        raise UserError(f"{archive} holds no file; expected a corpus's recordings: fetch it again.")
    total = _total(files)
    ratio = total / archive.stat().st_size
    if total > MAX_BYTES or (total > RATIO_FROM and ratio > MAX_RATIO):
        largest = max(files, key=lambda path: files[path].file_size)
        raise UserError(
            f"{archive} would become {total} bytes, {ratio:.0f} times its size, most of it in {str(largest)!r}; "
            f"expected at most {MAX_BYTES} and {MAX_RATIO} times: unpack it by hand if you trust it."
        )


def _check_room(files: Files, *, archive: Path, folder: Path) -> None:
    free, total = shutil.disk_usage(folder).free, _total(files)
    if total > free:
        raise UserError(
            f"{archive} would become {total} bytes; expected as many free in {folder}, not {free}: make room."
        )


def _total(files: Files) -> int:
    """Add up what the archive says; zipfile gives no entry more bytes than that."""
    return sum(entry.file_size for entry in files.values())


def _write(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, *, archive: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with opened.open(entry) as source, path.open("xb") as target:
            shutil.copyfileobj(source, target, CHUNK)
    except (FileExistsError, NotADirectoryError) as error:
        raise _refusal(archive, _name(entry), "would be written over another", expected="every name once") from error
    except NotImplementedError as error:
        raise _refusal(archive, _name(entry), f"cannot be read ({error})", expected="an ordinary zip") from error
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:  # but bz2 says so of damaged data, without a number
            raise UserError(f"{path} cannot be written ({error.strerror}), from {archive}: mend this place.") from error
        raise UserError(
            f"{archive}: {_name(entry)!r} is damaged ({error}); expected what its checksum says: fetch it again."
        ) from error


def _refusal(archive: Path, name: str, found: str, *, expected: str) -> UserError:
    return UserError(
        f"{archive}: {name!r} {found}; expected {expected}: fetch it again from its publisher, or unpack it by hand."
    )
