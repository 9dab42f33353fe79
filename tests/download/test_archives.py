"""An archive is unpacked whole and inside its folder, or refused with nothing left behind."""

import io
import os
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
    """Name a folder in which an older version stands."""
    path = tmp_path / "here" / "corpus"
    path.mkdir(parents=True)
    (path / "old.wav").write_bytes(b"old")
    return path


def zipped(entries: Mapping[str, bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return buffer.getvalue()


def archive(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "corpus.zip"
    path.write_bytes(content)
    return path


def with_entry(name: str, *, mode: int = 0, content: bytes = b"x") -> bytes:
    """Zip one good file and one whose name and kind are as given, whatever zipfile would make of the name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("good.wav", b"good")
        entry = zipfile.ZipInfo("placeholder")
        entry.filename, entry.external_attr = name, mode << 16
        file.writestr(entry, content)
    return buffer.getvalue()


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refusal(path: Path, folder: Path) -> str:
    """Take the one sentence, having seen that nothing was changed or left anywhere."""
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


# What comes out


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_every_file_comes_out_as_it_went_in(compression: int, tmp_path: Path, folder: Path) -> None:
    """Bytes and paths are those of the archive, and nothing of the older version is left."""
    unpack(archive(tmp_path, zipped(FILES, compression=compression)), folder)
    assert content_of(folder) == FILES
    assert list(folder.parent.iterdir()) == [folder]


def test_folders_are_made_on_the_way(tmp_path: Path) -> None:
    """Neither the target nor what is above it has to be there."""
    unpack(archive(tmp_path, zipped({"a/": b"", "./": b"", **FILES})), tmp_path / "new" / "corpus")
    assert content_of(tmp_path / "new" / "corpus") == FILES


def test_what_macos_adds_is_left_out(tmp_path: Path, folder: Path) -> None:
    """Shadows of files would pass for recordings: they have the same suffix."""
    shadows = ["__MACOSX/Actor_01/._a.wav", "__MACOSX/x.wav", "Actor_01/._a.wav", ".DS_Store", "Actor_01/.DS_Store"]
    unpack(archive(tmp_path, zipped({**dict.fromkeys(shadows, b"x"), **FILES})), folder)
    assert content_of(folder) == FILES


def test_permissions_are_the_user_s(tmp_path: Path, folder: Path) -> None:
    """An archive does not make programs, nor files that cannot be read."""
    unpack(archive(tmp_path, with_entry("tool", mode=stat.S_IFREG | 0o4700)), folder)
    (folder / "plain").touch()
    assert (folder / "tool").stat().st_mode == (folder / "plain").stat().st_mode


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"fr\xc3\xb6hlich.wav", "fröhlich.wav"),  # UTF-8, without saying so
        (b"fr\x94hlich_.wav", "fröhlich_.wav"),  # code page 437, which the format prescribes
        (b"fr\xf6hlich_.wav", "fr÷hlich_.wav"),  # Latin-1 cannot be told from it, but a name it gets
        ("悲しい4.wav".encode("shift-jis"), None),
    ],
)
def test_names_in_old_encodings_survive(raw: bytes, name: str | None, tmp_path: Path, folder: Path) -> None:
    """A name that does not say it is UTF-8 is read as UTF-8 where that is possible, else as DOS would have."""
    plain = b"n" * len(raw)
    changed = zipped({plain.decode(): b"sound", "second.wav": b"other"}).replace(plain, raw)
    unpack(archive(tmp_path, changed), folder)
    names = content_of(folder)
    assert sorted(names.values()) == [b"other", b"sound"]
    assert name is None or names[name] == b"sound"


def test_names_in_utf8_survive(tmp_path: Path, folder: Path) -> None:
    """What says it is UTF-8 is."""
    files = {"悲しい/ö.wav": b"sad", "Wut/ärger ÷ 2.wav": b"angry"}
    unpack(archive(tmp_path, zipped(files)), folder)
    assert content_of(folder) == files


# Where it would go


@pytest.mark.parametrize(
    "name",
    [
        "../x.wav",
        "a/../../x.wav",
        "a/..",
        "..",
        "/etc/x.wav",
        "//server/share/x.wav",
        "C:/x.wav",
        "c:x.wav",
        "..\\x.wav",
        "a\\..\\..\\x.wav",
        "\\\\server\\x.wav",
        "__MACOSX/../../x.wav",
        "../",
        ".",
        "",
    ],
)
def test_no_entry_leaves_the_folder(name: str, tmp_path: Path, folder: Path) -> None:
    """A name that leads out, on this system or another, is refused with the whole archive."""
    message = refusal(archive(tmp_path, with_entry(name)), folder)
    assert f"{name!r} is no path below a folder" in message
    assert "expected names as in folder/file.wav: fetch it again" in message


def test_no_entry_hides_behind_a_null(tmp_path: Path, folder: Path) -> None:
    """Names are ended at a null by zipfile, but not by all who read archives."""
    changed = with_entry("a.wav_txt").replace(b"a.wav_", b"a.wav\0")
    assert "is no path below a folder" in refusal(archive(tmp_path, changed), folder)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_are_refused(kind: int, tmp_path: Path, folder: Path) -> None:
    """A corpus is files in folders."""
    path = archive(tmp_path, with_entry("link.wav", mode=kind | 0o777, content=b"/etc/passwd"))
    assert "'link.wav' is a link or a device; expected files and folders" in refusal(path, folder)


@pytest.mark.parametrize(("first", "second"), [("a.wav", "a.wav"), ("b/a.wav", "b//a.wav"), ("a.wav", "./a.wav")])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_that_is_there_twice_is_refused(first: str, second: str, tmp_path: Path, folder: Path) -> None:
    """Which of the two would count is nobody's guess."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(first, b"one")
        file.writestr(second, b"two")
    assert f"{second!r} is there twice" in refusal(archive(tmp_path, buffer.getvalue()), folder)


@pytest.mark.parametrize("names", [("a", "a/b.wav"), ("a/b.wav", "a")])
def test_a_file_that_is_a_folder_too_is_refused(names: tuple[str, str], tmp_path: Path, folder: Path) -> None:
    """One name is one thing."""
    path = archive(tmp_path, zipped(dict.fromkeys(names, b"x")))
    assert f"{names[1]!r} would be written over another" in refusal(path, folder)


# How much it would be


def test_a_bomb_is_refused_before_it_goes_off(tmp_path: Path, folder: Path) -> None:
    """An archive that would become a thousand times as large is not unpacked at all."""
    path = archive(tmp_path, zipped({"a.wav": b"a", "zeros.wav": bytes(archives.RATIO_FROM + 1)}))
    message = refusal(path, folder)
    assert "most of it in 'zeros.wav'" in message
    assert f"would become {archives.RATIO_FROM + 2} bytes" in message


def test_small_files_may_shrink_as_they_like(tmp_path: Path, folder: Path) -> None:
    """A few seconds of silence are no bomb."""
    unpack(archive(tmp_path, zipped({"silence.wav": bytes(10**6)})), folder)
    assert content_of(folder) == {"silence.wav": bytes(10**6)}


@pytest.mark.parametrize(("limit", "said"), [("MAX_BYTES", "expected at most 1000 and"), ("MAX_ENTRIES", "3 entries")])
def test_limits_hold(limit: str, said: str, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No corpus is as large, or in as many files, as a mistake can be."""
    monkeypatch.setattr(archives, limit, 1000 if limit == "MAX_BYTES" else 2)
    assert said in refusal(archive(tmp_path, zipped(FILES)), folder)


def test_a_size_that_lies_does_not_help(tmp_path: Path, folder: Path) -> None:
    """More bytes than the archive says never reach the disk."""
    content = bytes(100_000)
    changed = zipped({"zeros.wav": content}).replace(struct.pack("<L", len(content)), struct.pack("<L", 10))
    assert "'zeros.wav' is damaged" in refusal(archive(tmp_path, changed), folder)


def test_room_on_the_disk_is_looked_for_first(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk is not filled to find that it is too small."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
    message = refusal(archive(tmp_path, zipped(FILES)), folder)
    assert f"expected as many free in {folder.parent}, not 1: make room" in message


# Whether it is whole


def test_an_archive_cut_anywhere_is_refused(tmp_path: Path, folder: Path) -> None:
    """Not one byte can be missing at the end."""
    whole = zipped(FILES)
    for length in [0, 1, *range(10, len(whole), 97), len(whole) - 1]:
        assert "is not a whole zip archive" in refusal(archive(tmp_path, whole[:length]), folder)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_changed_byte_is_noticed(compression: int, tmp_path: Path, folder: Path) -> None:
    """Checksums are compared; the files before the damaged one are not left behind either."""
    whole = zipped({"a.wav": b"fine", "b.wav": FILES["Actor_01/a.wav"]}, compression=compression)
    at = whole.index(b"b.wav") + 100
    changed = whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]
    message = refusal(archive(tmp_path, changed), folder)
    assert "'b.wav' is damaged (" in message
    assert "fetch it again" in message


def test_no_changed_byte_brings_another_error_or_content(tmp_path: Path) -> None:
    """Whatever byte is changed, the files come out right, or under another name, or one sentence refuses them."""
    files = {"a.wav": b"speech" * 9, "b/c.wav": b"more"}
    whole = zipped(files)
    for at in range(len(whole)):
        changed = whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :]
        target = tmp_path / f"{at}" / "corpus"
        try:
            unpack(archive(tmp_path, changed), target)
        except UserError:
            assert not target.exists()
        else:
            assert sorted(content_of(target).values()) == sorted(files.values())


def test_entries_that_a_wrong_length_hides_are_missed(tmp_path: Path, folder: Path) -> None:
    """A name list that swallows its own next line is not taken for a shorter one."""
    whole = bytearray(zipped({"a.wav": b"one", "b.wav": b"two"}))
    comment = whole.index(b"PK\x01\x02") + 32  # as long as the next entry is
    whole[comment] = 46 + len("b.wav")
    assert "lists 1 entries; expected 2" in refusal(archive(tmp_path, whole), folder)


def test_more_entries_than_a_short_number_can_say(tmp_path: Path) -> None:
    """Large archives, and comments after the end, are read as others are."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.comment = b"by the publisher" * 100
        for number in range(65_536):
            file.writestr(f"{number}/", b"")
        file.writestr("a.wav", b"one")
    whole = bytearray(buffer.getvalue())
    number = whole.rindex(b"PK\x05\x06") + 10
    for said in (0xFFFF, 65_537 - 65_536):  # "see elsewhere", as it should be, and what some programs write
        whole[number : number + 2] = struct.pack("<H", said)
        unpack(archive(tmp_path, whole), tmp_path / "corpus")
        assert content_of(tmp_path / "corpus") == {"a.wav": b"one"}


def test_an_encrypted_archive_is_refused(tmp_path: Path, folder: Path) -> None:
    """The sentence says that it wants a password."""
    whole = bytearray(zipped({"a.wav": b"secret"}))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        whole[whole.index(signature) + flags] |= 1
    assert "'a.wav' is encrypted; expected an archive without a password" in refusal(archive(tmp_path, whole), folder)


def test_an_unknown_compression_is_refused(tmp_path: Path, folder: Path) -> None:
    """Windows packs large files with deflate64, which Python cannot read."""
    whole = bytearray(zipped({"a.wav": b"speech"}))
    for signature, method in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        whole[whole.index(signature) + method] = 9
    message = refusal(archive(tmp_path, whole), folder)
    assert "'a.wav' cannot be read (" in message
    assert "unpack it by hand" in message


@pytest.mark.parametrize("content", [b"<html>Please log in</html>", b"", b"PK\x05\x06"])
def test_what_is_no_archive_is_refused(content: bytes, tmp_path: Path, folder: Path) -> None:
    """A login page that was saved as a zip is none."""
    assert "is not a whole zip archive" in refusal(archive(tmp_path, content), folder)


def test_an_archive_without_files_is_refused(tmp_path: Path, folder: Path) -> None:
    """An empty folder is no corpus."""
    path = archive(tmp_path, zipped({"a/": b"", "__MACOSX/a": b""}))
    assert "holds no file" in refusal(path, folder)


def test_an_archive_that_is_not_there_is_refused(tmp_path: Path, folder: Path) -> None:
    """The sentence names the path."""
    assert "was not found" in refusal(tmp_path / "corpus.zip", folder)


def test_a_name_too_long_for_the_disk_is_said(tmp_path: Path, folder: Path) -> None:
    """What the system refuses is told in its words."""
    path = archive(tmp_path, zipped({f"{'a' * 300}.wav": b"x"}))
    assert f"cannot be written ({os.strerror(36)}), from {path}" in refusal(path, folder)


def test_an_interrupted_unpacking_is_not_taken_for_whole(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the midst leaves the older version; what kill -9 leaves is replaced the next time."""

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
