"""Names of a table are matched to the files that they mean, never to one of several, and the difference is stated."""

import unicodedata
from pathlib import Path

import pytest

from ser.download.file_matching import match_files

NFD = unicodedata.normalize("NFD", "Zoë.wav")


def match(name: str, files: list[str], folder: Path) -> tuple[list[str], set[str]]:
    matches, adapted = match_files([name], files, folder=folder, bases=(folder.parent,))
    assert all(len(pairs) == 1 for pairs in adapted.values())
    return matches[name], set(adapted)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with one file on disk, which paths relative to another folder need."""
    (tmp_path / "voices" / "sad").mkdir(parents=True)
    (tmp_path / "voices" / "sad" / "a.wav").touch()
    return tmp_path / "voices"


@pytest.mark.parametrize(
    ("name", "file", "difference"),
    [
        ("sad/a.wav", "sad/a.wav", set()),
        ("./sad//a.wav", "sad/a.wav", set()),
        ("happy/../sad/a.wav", "sad/a.wav", set()),
        (r"sad\a.wav", "sad/a.wav", {"backslashes"}),
        (r"sad\a.wav", r"sad\a.wav", set()),
        ("{folder}/sad/a.wav", "sad/a.wav", {"absolute paths"}),
        ("/elsewhere/x/sad/a.wav", "sad/a.wav", {"absolute paths"}),
        (r"C:\Users\me\sad\a.wav", "sad/a.wav", {"absolute paths", "backslashes"}),
        (r"\\server\share\sad\a.wav", "sad/a.wav", {"absolute paths", "backslashes"}),
        ("voices/sad/a.wav", "sad/a.wav", {"paths relative to another folder"}),
        ("../voices/sad/a.wav", "sad/a.wav", {"paths relative to another folder"}),
        ("data/Voices/sad/a.wav", "sad/a.wav", {"paths relative to another folder"}),
        ("Sad/A.WAV", "sad/a.wav", {"another case or blanks"}),
        ("sad/a b.wav", "sad/a\u00a0b.wav", {"another case or blanks"}),
        (NFD, "Zoë.wav", {"another Unicode form"}),
        ("Zoë.wav", NFD, {"another Unicode form"}),
        ("sad/a", "sad/a.wav", {"a missing or another suffix"}),
        ("sad/a.mp3", "sad/a.m4a", {"a missing or another suffix"}),
        ("sad/a.1", "sad/a.1.wav", {"a missing or another suffix"}),
        (r"SAD\A", "sad/a.wav", {"backslashes", "a missing or another suffix"}),
        ("a.wav", "sad/a.wav", {"missing folders"}),
    ],
)
def test_differences_are_accepted_and_stated(name: str, file: str, difference: set[str], folder: Path) -> None:
    """Exact paths have none; several differences of one path are accepted too."""
    assert match(name.format(folder=folder), [file, "other.wav"], folder) == ([file], difference)


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("b.wav", ["a.wav"]),
        ("other/a.wav", ["a.wav"]),
        ("other/a.wav", ["sad/a.wav"]),
        ("/elsewhere/happy/a.wav", ["sad/a.wav"]),
        ("a.txt", ["a.wav"]),
        ("../voices2/a.wav", ["a.wav"]),
        ("x" * 5000, ["a.wav"]),
        ("~nobody/a.wav", ["b.wav"]),
    ],
)
def test_other_files_are_not_matched(name: str, files: list[str], folder: Path) -> None:
    """Nothing is guessed from the file name alone if the folder differs."""
    assert match(name, files, folder) == ([], set())


def test_files_elsewhere_are_not_matched(tmp_path: Path) -> None:
    """An absolute path of another existing file is not that of a file of the folder."""
    (tmp_path / "a.wav").touch()
    assert match(str(tmp_path / "a.wav"), ["a.wav"], tmp_path / "voices") == ([], set())


@pytest.mark.parametrize(
    ("name", "files"),
    [("A.WAV", ["a.wav", "a.Wav"]), ("a", ["a.wav", "a.mp3"]), ("a.wav", ["sad/a.wav", "happy/a.wav"])],
)
def test_ambiguous_names_have_all_files(name: str, files: list[str], folder: Path) -> None:
    """None of them is preferred."""
    assert match(name, files, folder) == (sorted(files), set())


def test_only_one_folder_in_front_is_removed(folder: Path) -> None:
    """Files of another folder may have the same names."""
    names = ["/x/one/a.wav", "/x/one/b.wav", "/x/two/c.wav"]
    matches, adapted = match_files(names, ["a.wav", "b.wav", "c.wav"], folder=folder)
    assert matches == {names[0]: ["a.wav"], names[1]: ["b.wav"], names[2]: []}
    assert [len(pairs) for pairs in adapted.values()] == [2]


def test_absolute_paths_through_a_link(folder: Path, tmp_path: Path) -> None:
    """The folder may be given by a link, and the paths by its target, or the other way round."""
    link = tmp_path / "link"
    link.symlink_to(folder, target_is_directory=True)
    for given, absolute in ((link, folder), (folder, folder), (link, link)):
        assert match_files([f"{absolute}/sad/a.wav"], ["sad/a.wav"], folder=given)[0].popitem()[1] == ["sad/a.wav"]
