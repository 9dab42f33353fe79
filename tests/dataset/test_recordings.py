"""Audio files of a folder are found, whatever the order of the file system, and make one table."""

import os
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from ser.corpora.base import load_corpus
from ser.dataset import recordings
from ser.dataset.recordings import Recording, list_recordings, read_recordings
from ser.utils.errors import UserError
from tests.helpers.fake_corpora import RAVDESS
from tests.helpers.signals import encode, sine, write_recordings

SCANDIR = os.scandir
PARSE = load_corpus("ravdess").parse


@pytest.mark.parametrize(
    "suffix", ["wav", "WAV", "flac", "ogg", "mp3", "aiff", "aif", "opus", "oga", "aifc", "au", "caf", "w64"]
)
def test_audio_is_found_by_any_usual_suffix(suffix: str, tmp_path: Path) -> None:
    """What libsndfile decodes is not passed over because of its suffix."""
    (tmp_path / f"03-01-05-01-01-01-01.{suffix}").write_bytes(encode(sine(440)))
    assert [str(file) for file in recordings.find_recordings(tmp_path)] == [f"03-01-05-01-01-01-01.{suffix}"]


def test_recordings_are_found_at_any_depth(tmp_path: Path) -> None:
    """Folders within folders hold recordings; hidden ones and other files are none."""
    write_recordings(tmp_path, ["deep/er/b.wav", "a.wav", ".hidden.wav", ".trash/c.wav", "deep/._b.wav"])
    (tmp_path / "README.txt").write_text("not audio")
    assert recordings.find_recordings(tmp_path) == [PurePosixPath("a.wav"), PurePosixPath("deep/er/b.wav")]


def test_linked_folders_are_followed(tmp_path: Path) -> None:
    """A corpus put together from links to folders is not passed over."""
    write_recordings(tmp_path / "elsewhere", ["a.wav"])
    write_recordings(tmp_path / "corpus", ["b.wav"])
    (tmp_path / "corpus" / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert recordings.find_recordings(tmp_path / "corpus") == [PurePosixPath("b.wav"), PurePosixPath("link/a.wav")]


def test_a_link_to_a_folder_above_adds_nothing(tmp_path: Path) -> None:
    """Links that lead round in a circle are not followed round and round."""
    write_recordings(tmp_path, ["speech/a.wav"])
    (tmp_path / "speech" / "all").symlink_to(tmp_path, target_is_directory=True)
    assert recordings.find_recordings(tmp_path) == [PurePosixPath("speech/a.wav")]


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recordings that nobody may see are not passed over in silence."""
    write_recordings(tmp_path, ["Actor_01/a.wav", "Actor_02/b.wav"])

    def scandir(folder: str | Path) -> Any:
        if Path(folder).name == "Actor_02":
            raise PermissionError(13, "Permission denied", str(folder))
        return SCANDIR(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises((UserError, OSError), match="Actor_02"):
        recordings.find_recordings(tmp_path)


def test_a_folder_is_no_recording(tmp_path: Path) -> None:
    """A folder whose name ends like a recording's is looked into, and is none itself."""
    write_recordings(tmp_path, ["take.wav/a.wav"])
    assert recordings.find_recordings(tmp_path) == [PurePosixPath("take.wav/a.wav")]


def test_a_hidden_folder_above_does_not_matter(tmp_path: Path) -> None:
    """Experiments run below .dvc/tmp: what counts is hidden within the corpus."""
    write_recordings(tmp_path / ".dvc" / "raw", ["a.wav"])
    assert recordings.find_recordings(tmp_path / ".dvc" / "raw") == [PurePosixPath("a.wav")]


class Listing:
    """What `os.scandir` returns, in an order that a file system might have."""

    def __init__(self, folder: str | Path, *, reverse: bool) -> None:
        with SCANDIR(folder) as entries:
            self.entries = iter(sorted(entries, key=lambda entry: entry.name, reverse=reverse))

    def __enter__(self) -> "Listing":
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def __iter__(self) -> "Listing":
        return self

    def __next__(self) -> os.DirEntry[str]:
        return next(self.entries)


def test_the_order_of_the_file_system_does_not_matter(fake_corpora: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recordings are found and listed in one order however folders are listed."""
    folder = fake_corpora / "ravdess"
    for name in ("x.wav", "Actor_01/y.wav", "Actor_02.wav"):
        (folder / name).touch()
    made = []
    for reverse in (False, True):
        monkeypatch.setattr(os, "scandir", partial(Listing, reverse=reverse))
        assert recordings.find_recordings(folder) == sorted(recordings.find_recordings(folder))
        made.append(list_recordings(folder, PARSE, grammar="ravdess"))
    assert made[0] == made[1]
    assert [bool(one.rejection_reason) for one in made[0]].count(True) == 3


def test_a_folder_that_is_missing_or_empty_is_refused(tmp_path: Path) -> None:
    """One sentence names the folder and what is expected there."""
    with pytest.raises(UserError, match=f"{tmp_path}/gone is not a folder; expected"):
        recordings.find_recordings(tmp_path / "gone")
    (tmp_path / "README.txt").write_text("not audio")
    with pytest.raises(UserError, match=f"{tmp_path} holds no recording .*put the corpus's files there"):
        recordings.find_recordings(tmp_path)


def test_a_table_reads_back_as_it_was_written(fake_corpora: Path, tmp_path: Path) -> None:
    """Every field survives, whatever characters a name holds."""
    listed = list_recordings(fake_corpora / "ravdess", PARSE, grammar="ravdess")
    assert [one.file for one in listed] == sorted(RAVDESS)
    listed.append(Recording('ä, "b".wav', speaker="mine-Zoë", emotion="sad", rejection_reason="a\nb"))
    recordings.write_recordings(tmp_path / "table.csv", listed)
    assert read_recordings(tmp_path / "table.csv") == listed


def test_a_foreign_table_is_refused(tmp_path: Path) -> None:
    """One that is missing, or has other columns, is named."""
    with pytest.raises(UserError, match=r"table\.csv was not found"):
        read_recordings(tmp_path / "table.csv")
    (tmp_path / "table.csv").write_text("file,emotion\n")
    with pytest.raises(UserError, match=r"table\.csv: columns are \['file', 'emotion'\], expected \['file', 'speaker'"):
        read_recordings(tmp_path / "table.csv")
