"""An archive is unpacked completely and inside its folder, or refused with nothing left behind."""

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
    path = tmp_path / "here" / "corpus"
    path.mkdir(parents=True)
    (path / "old.wav").write_bytes(b"old")
    return path


def zipped(entries: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return buffer.getvalue()


def archive(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "corpus.zip"
    path.write_bytes(content)
    return path


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


def refusal(path: Path, folder: Path) -> str:
    """Get the error message; check that it names the archive and that nothing has changed on disk."""
    around = folder.parents[1]
    before = content_of(around)
    with pytest.raises(UserError) as raised:
        unpack(path, folder)
    assert content_of(around) == before
    assert {file.name for file in folder.parent.iterdir()} == {"corpus"}
    message = str(raised.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_every_file_is_unpacked(tmp_path: Path, folder: Path) -> None:
    """Content and paths are those of the archive; the older version and the files that macOS adds are not there."""
    ignored = ["__MACOSX/Actor_01/._a.wav", "__MACOSX/x.wav", "Actor_01/._a.wav", ".DS_Store", "a/"]
    unpack(archive(tmp_path, zipped({**dict.fromkeys(ignored, b""), **FILES})), folder)
    assert content_of(folder) == FILES
    assert list(folder.parent.iterdir()) == [folder]


def test_permissions_are_not_taken_over(tmp_path: Path, folder: Path) -> None:
    """An archive makes no executable or set-user-ID files."""
    unpack(archive(tmp_path, with_entry("tool", mode=stat.S_IFREG | 0o4700)), folder)
    (folder / "plain").touch()
    assert (folder / "tool").stat().st_mode == (folder / "plain").stat().st_mode


@pytest.mark.parametrize(
    "name",
    [
        "../x.wav",
        "a/../../x.wav",
        "..",
        "../",
        "/etc/x.wav",
        "//server/share/x.wav",
        "C:/x.wav",
        "c:x.wav",
        "..\\x.wav",
        "a\\..\\..\\x.wav",
        "\\\\server\\x.wav",
        "__MACOSX/../../x.wav",
        ".",
    ],
)
def test_no_entry_leaves_the_folder(name: str, tmp_path: Path, folder: Path) -> None:
    """A path outside the folder, on this system or another, refuses the whole archive."""
    refusal(archive(tmp_path, with_entry(name)), folder)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_are_refused(kind: int, tmp_path: Path, folder: Path) -> None:
    """A corpus consists of files and folders."""
    assert "link.wav" in refusal(archive(tmp_path, with_entry("link.wav", mode=kind | 0o777)), folder)


def test_a_zip_bomb_is_refused(tmp_path: Path, folder: Path) -> None:
    """An archive that would become a thousand times as large is not unpacked; a few silent files may be."""
    size = archives.MIN_BYTES_FOR_RATIO + 1
    assert str(size) in refusal(archive(tmp_path, zipped({"zeros.wav": bytes(size)})), folder)
    unpack(archive(tmp_path, zipped({"silence.wav": bytes(10**6)})), folder)
    assert content_of(folder) == {"silence.wav": bytes(10**6)}


def test_the_unpacked_size_is_limited(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No corpus is larger than the limit."""
    monkeypatch.setattr(archives, "MAX_BYTES", 1000)
    assert "1000" in refusal(archive(tmp_path, zipped(FILES)), folder)


def test_a_wrong_size_does_not_evade_the_limits(tmp_path: Path, folder: Path) -> None:
    """No more bytes than announced are written."""
    content = bytes(100_000)
    changed = zipped({"zeros.wav": content}).replace(struct.pack("<L", len(content)), struct.pack("<L", 10))
    assert "zeros.wav" in refusal(archive(tmp_path, changed), folder)


def test_free_space_is_checked_first(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk is not filled up to find that it is too small."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
    assert str(folder.parent) in refusal(archive(tmp_path, zipped(FILES)), folder)


def test_a_truncated_archive_is_refused(tmp_path: Path, folder: Path) -> None:
    """Not one byte may be missing at the end."""
    content = zipped(FILES)
    for length in [0, 1, *range(10, len(content), 97), len(content) - 1]:
        refusal(archive(tmp_path, content[:length]), folder)


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    """If any byte changes, no damaged content is unpacked: the archive is refused, or the content is right."""
    files = {"a.wav": b"speech" * 9, "b/c.wav": b"more"}
    content = zipped(files)
    for at in range(len(content)):
        changed = content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :]
        target = tmp_path / f"{at}" / "corpus"
        try:
            unpack(archive(tmp_path, changed), target)
        except UserError:
            assert not target.exists()
        else:
            assert set(content_of(target).values()) <= set(files.values())


def test_an_encrypted_archive_is_refused(tmp_path: Path, folder: Path) -> None:
    """The error says that a password is needed."""
    content = bytearray(zipped({"a.wav": b"secret"}))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + flags] |= 1
    assert "encrypted" in refusal(archive(tmp_path, content), folder)


@pytest.mark.parametrize("content", [b"<html>Please log in</html>", b"", zipped({"a/": b"", "__MACOSX/a": b""})])
def test_what_holds_no_files_is_refused(content: bytes, tmp_path: Path, folder: Path) -> None:
    """A login page that was saved as a zip archive is none, and an empty folder is no corpus."""
    refusal(archive(tmp_path, content), folder)


def test_a_missing_archive_is_an_error(tmp_path: Path, folder: Path) -> None:
    """The error names the path."""
    refusal(tmp_path / "corpus.zip", folder)


def test_an_interrupted_unpacking_is_repeated(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After Ctrl-C the older version is still there; what a killed process leaves is replaced."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    path = archive(tmp_path, zipped(FILES))
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfileobj", interrupt)
        with pytest.raises(KeyboardInterrupt):
            unpack(path, folder)
    assert content_of(folder.parent) == {"corpus/old.wav": b"old"}
    (folder.parent / ".corpus.unfinished" / "half").mkdir(parents=True)
    unpack(path, folder)
    assert content_of(folder.parent) == {f"corpus/{name}": content for name, content in FILES.items()}
