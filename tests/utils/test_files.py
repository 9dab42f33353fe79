"""Outputs appear whole or not at all."""

import hashlib
import json
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


def test_a_file_appears_when_all_went_well(tmp_path: Path) -> None:
    """Until the block ends the old file stands; then the new one does, alone, in folders made for it."""
    path = tmp_path / "new" / "folder" / "file.txt"
    for text in ("old", "new"):
        with atomic_write(path) as unfinished:
            unfinished.write_text(text)
            assert not path.exists() or path.read_text() == "old"
        assert content(tmp_path) == {"new/folder/file.txt": text}


def test_a_folder_appears_when_all_went_well(tmp_path: Path) -> None:
    """A new folder takes the old one's place; nothing of the old one is left in it."""
    path = make_folder(tmp_path / "folder", old="old", both="old")
    with atomic_write(path) as unfinished:
        make_folder(unfinished, both="new")
        assert content(path) == {"old": "old", "both": "old"}
    assert content(tmp_path) == {"folder/both": "new"}


def test_a_file_does_not_take_a_folder_s_place(tmp_path: Path) -> None:
    """Whoever names a folder for a file meant something else: all that is in it stays."""
    path = make_folder(tmp_path / "output", old="old")
    with pytest.raises(IsADirectoryError, match="output"), atomic_write(path) as unfinished:
        unfinished.write_text("file")
    assert content(tmp_path) == {"output/old": "old"}


def test_a_folder_takes_a_file_s_place(tmp_path: Path) -> None:
    """That a file stood there before does not matter."""
    path = tmp_path / "output"
    path.write_text("old")
    with atomic_write(path) as unfinished:
        make_folder(unfinished, new="new")
    assert content(tmp_path) == {"output/new": "new"}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_block_that_fails_leaves_the_old_file(error: type[BaseException], tmp_path: Path) -> None:
    """What stood there stays, and nothing else is left behind."""
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(error), atomic_write(path) as unfinished:
        unfinished.write_text("half")
        raise error
    assert content(tmp_path) == {"file.txt": "old"}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_block_that_fails_leaves_the_old_folder(error: type[BaseException], tmp_path: Path) -> None:
    """What stood there stays, and nothing else is left behind."""
    path = make_folder(tmp_path / "folder", old="old")
    with pytest.raises(error), atomic_write(path) as unfinished:
        make_folder(unfinished, half="half")
        raise error
    assert content(tmp_path) == {"folder/old": "old"}
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_writes_nothing_leaves_the_old_folder(tmp_path: Path) -> None:
    """Nothing is put in place of something only by writing it; forgetting to is an error that costs nothing."""
    path = make_folder(tmp_path / "folder", old="old")
    with pytest.raises(FileNotFoundError), atomic_write(path):
        pass
    assert content(tmp_path) == {"folder/old": "old"}


def test_leftovers_of_a_killed_process_do_not_matter(tmp_path: Path) -> None:
    """What a process without a chance to clean up left behind is no part of the next output."""
    path = tmp_path / "folder"
    with atomic_write(path) as unfinished:
        leftover = unfinished
        unfinished.mkdir()
    make_folder(leftover, half="half")
    with atomic_write(path) as unfinished:
        make_folder(unfinished, whole="whole")
    assert content(tmp_path) == {"folder/whole": "whole"}
    assert list(tmp_path.iterdir()) == [path]


def test_unfinished_outputs_are_hidden(tmp_path: Path) -> None:
    """Nobody who lists a folder takes an unfinished output for one."""
    with atomic_write(tmp_path / "file.parquet") as unfinished:
        assert unfinished.name.startswith(".")
        assert unfinished.suffix != ".parquet"
        assert unfinished.parent == tmp_path
        unfinished.touch()


def test_removing(tmp_path: Path) -> None:
    """Files, folders with all that is in them, and nothing at all can be removed."""
    make_folder(tmp_path / "folder", file="")
    make_folder(tmp_path / "folder" / "deeper", file="")
    (tmp_path / "file").touch()
    for name in ("folder", "file", "nothing"):
        remove(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_removing_a_link_keeps_what_it_points_to(tmp_path: Path) -> None:
    """A link to a folder elsewhere is replaced as a link; the folder elsewhere is somebody else's."""
    make_folder(tmp_path / "elsewhere", file="kept")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    remove(tmp_path / "link")
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]
    assert content(tmp_path) == {"elsewhere/file": "kept"}


def test_text_is_utf_8_with_plain_line_ends(tmp_path: Path) -> None:
    """The same text is the same bytes on any system."""
    write_text(tmp_path / "text", "früh\nspät\n")
    assert (tmp_path / "text").read_bytes() == b"fr\xc3\xbch\nsp\xc3\xa4t\n"


def test_json_is_sorted_and_ends_with_a_line(tmp_path: Path) -> None:
    """The order in which a dict was filled does not matter."""
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    write_json(one, {"b": 1, "a": [0.5]})
    write_json(two, {"a": [0.5], "b": 1})
    assert one.read_bytes() == two.read_bytes()
    assert one.read_text().endswith("}\n")
    assert json.loads(one.read_text()) == {"a": [0.5], "b": 1}


def test_json_holds_no_nan(tmp_path: Path) -> None:
    """What is no number is refused, as other programs could not read it; the old file stays."""
    write_json(tmp_path / "metrics.json", {"uar": 0.5})
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "metrics.json", {"uar": float("nan")})
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"uar": 0.5}


def test_csv_has_a_header_also_without_rows(tmp_path: Path) -> None:
    """Columns come in the order given, commas are quoted, and no rows are a header."""
    path = tmp_path / "table.csv"
    write_csv(path, [{"reason": "short, silent", "file": "a.wav"}], columns=["file", "reason"])
    assert path.read_bytes() == b'file,reason\na.wav,"short, silent"\n'
    write_csv(path, [], columns=["file", "reason"])
    assert path.read_bytes() == b"file,reason\n"


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_the_hash_of_a_file_is_that_of_its_content(algorithm: str, tmp_path: Path) -> None:
    """Also where the file is longer than what is read at a time."""
    content = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(content)
    assert file_hash(tmp_path / "file", algorithm) == hashlib.new(algorithm, content).hexdigest()
