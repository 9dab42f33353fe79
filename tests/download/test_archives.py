"""An archive is unpacked completely and inside its folder, or refused without changes on disk."""

import io
import random
import shutil
import stat
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from ser.download import archives
from ser.download.archives import unpack
from ser.utils.errors import UserError

FILES = {"Actor_01/a.wav": random.Random(1).randbytes(3000), "Actor_01/b.wav": b"", "Actor_02/x/y.wav": b"speech" * 999}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with an older version."""
    path = tmp_path / "parent" / "corpus"
    path.mkdir(parents=True)
    (path / "old.wav").write_bytes(b"old")
    return path


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "corpus.zip"


def zipped(entries: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return buffer.getvalue()


def with_entry(name: str, *, mode: int = 0) -> bytes:
    """Zip one good file and one with this name and mode, which zipfile does not sanitize."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("good.wav", b"good")
        entry = zipfile.ZipInfo("placeholder")
        entry.filename, entry.external_attr = name, mode << 16
        file.writestr(entry, b"/etc/passwd")
    return buffer.getvalue()


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def error_of(archive: Path, folder: Path, content: bytes | None) -> str:
    """Get the error message; check that it names the archive and that nothing has changed on disk."""
    if content is not None:
        archive.write_bytes(content)
    before = content_of(folder.parents[1])
    with pytest.raises(UserError) as error:
        unpack(archive, folder)
    assert content_of(folder.parents[1]) == before
    assert list(folder.parent.iterdir()) == [folder]
    assert str(archive) in str(error.value)
    return str(error.value)


def test_every_file_is_unpacked(archive: Path, folder: Path) -> None:
    """Content and paths are those of the archive; the older version and the files that macOS adds are not there."""
    ignored = ["__MACOSX/Actor_01/._a.wav", "__MACOSX/x.wav", "Actor_01/._a.wav", ".DS_Store", "a/"]
    archive.write_bytes(zipped({**dict.fromkeys(ignored, b""), **FILES}))
    unpack(archive, folder)
    assert content_of(folder.parent) == {f"corpus/{name}": content for name, content in FILES.items()}


def test_permissions_are_ignored(archive: Path, folder: Path) -> None:
    """An archive makes no executable or set-user-ID files."""
    archive.write_bytes(with_entry("tool", mode=stat.S_IFREG | 0o4700))
    unpack(archive, folder)
    (folder / "plain").touch()
    assert (folder / "tool").stat().st_mode == (folder / "plain").stat().st_mode


UNSAFE = r"../x.wav a/../../x.wav .. /etc/x.wav //server/share/x.wav C:/x.wav c:x.wav ..\x.wav \\server\x.wav ."


@pytest.mark.parametrize("name", UNSAFE.split())
def test_no_entry_leaves_the_folder(name: str, archive: Path, folder: Path) -> None:
    """If a path is outside the folder, on this system or another, the whole archive is refused."""
    error_of(archive, folder, with_entry(name))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_are_refused(kind: int, archive: Path, folder: Path) -> None:
    """Only files and folders are unpacked."""
    assert "link.wav" in error_of(archive, folder, with_entry("link.wav", mode=kind | 0o777))


def test_a_zip_bomb_is_refused(archive: Path, folder: Path) -> None:
    """A large archive with a compression ratio of 1000 is not unpacked; a few silent files are."""
    size = archives.MIN_BYTES_FOR_RATIO + 1
    assert str(size) in error_of(archive, folder, zipped({"zeros.wav": bytes(size)}))
    archive.write_bytes(zipped({"silence.wav": bytes(10**6)}))
    unpack(archive, folder)
    assert content_of(folder) == {"silence.wav": bytes(10**6)}


def test_the_unpacked_size_is_limited(archive: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the maximum size nor the free disk space is exceeded, also if the archive states a wrong size."""
    content = bytes(100_000)
    changed = zipped({"zeros.wav": content}).replace(struct.pack("<L", len(content)), struct.pack("<L", 10))
    assert "zeros.wav" in error_of(archive, folder, changed)
    with monkeypatch.context() as patch:
        patch.setattr(archives, "MAX_BYTES", 1000)
        assert "1000" in error_of(archive, folder, zipped(FILES))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
    assert str(folder.parent) in error_of(archive, folder, zipped(FILES))


def test_a_damaged_archive_is_refused(archive: Path, tmp_path: Path) -> None:
    """If any byte changes, no damaged content is unpacked: the archive is refused, or the content is right."""
    files = {"a.wav": b"speech" * 9, "b/c.wav": b"more"}
    content = zipped(files)
    for position in range(len(content)):
        archive.write_bytes(content[:position] + bytes([content[position] ^ 0x55]) + content[position + 1 :])
        target = tmp_path / f"{position}" / "corpus"
        try:
            unpack(archive, target)
        except UserError:
            assert not target.exists()
        else:
            assert set(content_of(target).values()) <= set(files.values())


def test_an_encrypted_archive_is_refused(archive: Path, folder: Path) -> None:
    """The error gives the reason."""
    content = bytearray(zipped({"a.wav": b"secret"}))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + flags] |= 1
    assert "encrypted" in error_of(archive, folder, content)


@pytest.mark.parametrize("content", [zipped(FILES)[:-1], b"<html>Log in</html>", zipped({"a/": b""}), None])
def test_an_archive_without_files_is_refused(content: bytes | None, archive: Path, folder: Path) -> None:
    """An archive may be truncated, a login page, without files, or missing."""
    error_of(archive, folder, content)
