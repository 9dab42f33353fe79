"""Files and folders are written atomically."""

import hashlib
from pathlib import Path

import pytest

from ser.utils.files import atomic_write, file_hash, remove, write_csv, write_json, write_text


def make_folder(path: Path, **files: str) -> Path:
    path.mkdir()
    for name, text in files.items():
        (path / name).write_text(text)
    return path


def content(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_file_is_replaced_when_the_block_ends(tmp_path: Path) -> None:
    """Until then the old file is unchanged and the new one hidden; parent folders are created."""
    path = tmp_path / "new" / "folder" / "file.txt"
    for text in ("old", "new"):
        with atomic_write(path) as unfinished:
            unfinished.write_text(text)
            assert not path.exists() or path.read_text() == "old"
            assert unfinished.parent == path.parent and unfinished.name.startswith(".")
        assert content(tmp_path) == {"new/folder/file.txt": text}


def test_a_folder_is_replaced_when_the_block_ends(tmp_path: Path) -> None:
    """Nothing of the old folder, or file, is kept."""
    path = make_folder(tmp_path / "folder", old="old", both="old")
    with atomic_write(path) as unfinished:
        make_folder(unfinished, both="new")
        assert content(path) == {"old": "old", "both": "old"}
    assert content(tmp_path) == {"folder/both": "new"}
    remove(path)
    path.write_text("old file")
    with atomic_write(path) as unfinished:
        make_folder(unfinished, new="new")
    assert content(tmp_path) == {"folder/new": "new"}


def test_a_file_does_not_replace_a_folder(tmp_path: Path) -> None:
    """The path of a folder is probably a mistake: its content is kept."""
    path = make_folder(tmp_path / "output", old="old")
    with pytest.raises(IsADirectoryError, match="output"), atomic_write(path) as unfinished:
        unfinished.write_text("file")
    assert content(tmp_path) == {"output/old": "old"}


@pytest.mark.parametrize("folder", [True, False])
def test_an_interrupted_block_changes_nothing(folder: bool, tmp_path: Path) -> None:
    """The old file or folder is kept, and the unfinished one removed."""
    path = tmp_path / "output"
    make_folder(path, old="old") if folder else path.write_text("old")
    before = content(tmp_path)
    with pytest.raises(KeyboardInterrupt), atomic_write(path) as unfinished:
        make_folder(unfinished, half="half") if folder else unfinished.write_text("half")
        raise KeyboardInterrupt
    assert content(tmp_path) == before
    assert list(tmp_path.iterdir()) == [path]


def test_leftovers_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    """They do not become a part of the next output; a block that writes nothing is an error."""
    path = tmp_path / "folder"
    with atomic_write(path) as unfinished:
        unfinished.mkdir()
    make_folder(unfinished, half="half")
    with atomic_write(path) as unfinished:
        make_folder(unfinished, complete="complete")
    with pytest.raises(FileNotFoundError), atomic_write(path):
        pass
    assert content(tmp_path) == {"folder/complete": "complete"}


def test_files_and_folders_are_removed(tmp_path: Path) -> None:
    """A folder with its content, a file, a link without its target, and nothing if the path does not exist."""
    make_folder(tmp_path / "folder", file="")
    make_folder(tmp_path / "target", file="kept")
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "target", target_is_directory=True)
    for name in ("folder", "file", "link", "missing"):
        remove(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    assert content(tmp_path) == {"target/file": "kept"}


def test_text_is_utf_8_with_unix_line_ends(tmp_path: Path) -> None:
    """The same text gives the same bytes on any system."""
    write_text(tmp_path / "text", "früh\nspät\n")
    assert (tmp_path / "text").read_bytes() == b"fr\xc3\xbch\nsp\xc3\xa4t\n"


def test_json_is_sorted_and_valid(tmp_path: Path) -> None:
    """The order of a dict does not change the bytes; NaN is refused, and the old file kept."""
    path = tmp_path / "metrics.json"
    write_json(path, {"b": 1, "a": "é"})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"uar": float("nan")})
    assert path.read_text() == '{\n  "a": "\\u00e9",\n  "b": 1\n}\n'


def test_csv_has_a_header_also_without_rows(tmp_path: Path) -> None:
    """Columns have the given order, and commas are quoted."""
    path = tmp_path / "table.csv"
    write_csv(path, [{"reason": "short, silent", "file": "a.wav"}], columns=["file", "reason"])
    assert path.read_bytes() == b'file,reason\na.wav,"short, silent"\n'
    write_csv(path, [], columns=["file", "reason"])
    assert path.read_bytes() == b"file,reason\n"


def test_the_hash_of_a_file(tmp_path: Path) -> None:
    """It is the hash of the whole content, also if the file is longer than a read buffer."""
    data = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(data)
    assert file_hash(tmp_path / "file", "sha256") == hashlib.sha256(data).hexdigest()
