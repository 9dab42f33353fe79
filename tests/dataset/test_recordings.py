"""Test that all audio files of a folder are found in a fixed order, and that recording tables are read and written."""

import os
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from ser.audio.formats import looks_like_audio
from ser.corpora.base import load_corpus
from ser.dataset import recordings
from ser.dataset.recordings import Recording, find_recordings, list_recordings, read_recordings
from ser.utils.errors import UserError
from tests.helpers.fake_corpora import RAVDESS
from tests.helpers.signals import encode, sine, write_recordings

PARSE = load_corpus("ravdess").parse


def relative_paths(folder: Path) -> list[str]:
    return list(map(str, find_recordings(folder)))


def test_all_audio_suffixes_are_found(tmp_path: Path) -> None:
    """Upper case does not matter."""
    suffixes = ["WAV", "aif", "aifc", "aiff", "au", "caf", "flac", "mp3", "oga", "ogg", "opus", "w64", "wav"]
    write_recordings(tmp_path, [f"a.{suffix}" for suffix in suffixes])
    assert relative_paths(tmp_path) == [f"a.{suffix}" for suffix in suffixes]


def test_recordings_of_users_have_any_format(tmp_path: Path) -> None:
    """They are found by their content or suffix, damaged ones too; the suffixes of phones are for users only."""
    suffixes = ["3gp", "aac", "ac3", "amr", "M4A", "mka", "mp4", "opus", "weba", "webm", "wma"]
    for suffix in suffixes:
        (tmp_path / f"a.{suffix}").write_bytes(b"damaged")
    audio = {"b": "WAV", "b.dat": "FLAC", "b.txt": "OGG", "b.mov": "MP3", "b.1": "AIFF"}
    for name, kind in audio.items():
        (tmp_path / name).write_bytes(encode(sine(200), kind=kind))
    others = {
        "a.txt": b"text",
        "labels.csv": "file,emotion\n".encode("utf-16"),
        "a.jpg": b"\xff\xd8\xff\xe0",
        "empty": b"",
    }
    for name, content in others.items():
        (tmp_path / name).write_bytes(content)
    expected = [f"a.{suffix}" for suffix in suffixes] + list(audio)
    assert find_recordings(tmp_path, is_audio=looks_like_audio) == sorted(map(PurePosixPath, expected))
    assert relative_paths(tmp_path) == ["a.opus"]


def test_subfolders_are_searched(tmp_path: Path) -> None:
    """Hidden files and other files are ignored; the parent may be hidden, as .dvc/tmp of DVC's experiments is."""
    folder = tmp_path / ".dvc"
    write_recordings(folder, ["deep/er/b.wav", "a.wav", ".hidden.wav", ".trash/c.wav", "deep/._b.wav", "t.wav/a.wav"])
    (folder / "README.txt").write_text("not audio")
    assert relative_paths(folder) == ["a.wav", "deep/er/b.wav", "t.wav/a.wav"]


def test_linked_folders_are_searched_once(tmp_path: Path) -> None:
    """A link to a parent folder is not followed."""
    write_recordings(tmp_path / "elsewhere", ["a.wav"])
    write_recordings(tmp_path / "corpus", ["speech/b.wav"])
    (tmp_path / "corpus" / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "corpus" / "speech" / "all").symlink_to(tmp_path / "corpus", target_is_directory=True)
    assert relative_paths(tmp_path / "corpus") == ["link/a.wav", "speech/b.wav"]


def test_folder_that_cannot_be_listed_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its recordings would be missing silently."""
    write_recordings(tmp_path, ["Actor_01/a.wav", "Actor_02/b.wav"])
    scandir = os.scandir

    def failing(folder: str | Path) -> Any:
        if Path(folder).name == "Actor_02":
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", failing)
    with pytest.raises(UserError, match="Actor_02"):
        find_recordings(tmp_path)


def test_order_of_the_file_system_does_not_matter(fake_corpora: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recordings are sorted; those that cannot be parsed have a rejection reason."""
    folder = fake_corpora / "ravdess"
    for name in ("x.wav", "Actor_01/y.wav", "Actor_02.wav"):
        (folder / name).touch()
    walk, expected = os.walk, list_recordings(folder, PARSE, corpus="ravdess")

    def reversed_walk(*args: Any, **options: Any) -> Any:
        for current, subfolders, names in walk(*args, **options):
            subfolders.reverse()
            yield current, subfolders, names[::-1]

    monkeypatch.setattr(os, "walk", reversed_walk)
    assert find_recordings(folder) == sorted(find_recordings(folder))
    assert list_recordings(folder, PARSE, corpus="ravdess") == expected
    assert [bool(recording.rejection_reason) for recording in expected].count(True) == 3


def test_missing_or_empty_folder_is_an_error(tmp_path: Path) -> None:
    """The error names the folder."""
    (tmp_path / "README.txt").write_text("not audio")
    for folder in (tmp_path / "gone", tmp_path):
        with pytest.raises(UserError, match=f"^{folder} "):
            find_recordings(folder)


def test_written_table_is_read(fake_corpora: Path, tmp_path: Path) -> None:
    """Fields may have any characters."""
    table = list_recordings(fake_corpora / "ravdess", PARSE, corpus="ravdess")
    assert [recording.file for recording in table] == sorted(RAVDESS)
    table.append(Recording('ä, "b".wav', speaker="mine-Zoë", emotion="sad", rejection_reason="a\nb"))
    recordings.write_recordings(tmp_path / "table.csv", table)
    assert read_recordings(tmp_path / "table.csv") == table


def test_missing_or_other_table_is_an_error(tmp_path: Path) -> None:
    """The error names the file, and the columns found and expected."""
    with pytest.raises(UserError, match=r"table\.csv was not found"):
        read_recordings(tmp_path / "table.csv")
    (tmp_path / "table.csv").write_text("file,emotion\n")
    with pytest.raises(UserError, match=r"table\.csv: .*\['file', 'emotion'\].*\['file', 'speaker'"):
        read_recordings(tmp_path / "table.csv")
