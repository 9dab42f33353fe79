"""Every recording of a folder becomes a clip or is named with its reason; the order of the file system is no matter."""

import os
import re
from collections.abc import Callable
from functools import partial
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import tables
from conftest import RAVDESS, TESS
from signals import RATE, encode, silence, sine, write_recordings

from ser import audio, recordings
from ser.corpora.facts import load_corpus
from ser.errors import InputError
from ser.params import Preprocess
from ser.recordings import Unusable

FACTS = load_corpus("ravdess")
SCANDIR = os.scandir
GOOD = "Actor_01/03-01-05-01-01-01-01.wav"


def preprocess(**changes: Any) -> Preprocess:
    return tables.settings(preprocess={"sample_rate": RATE, "min_seconds": 0.3, "denoise": 0} | changes).preprocess


def make(folder: Path, corpus: str = "ravdess") -> tuple[list[dict[str, Any]], list[Unusable]]:
    """Make all clips of a folder; return them and what was unusable."""
    unusable: list[Unusable] = []
    made = recordings.make_clips(folder, load_corpus(corpus), preprocess(), unusable=unusable)
    return list(chain.from_iterable(made)), unusable


@pytest.mark.parametrize(("corpus", "files"), [("ravdess", RAVDESS), ("tess", TESS)])
def test_every_recording_becomes_a_clip(corpus: str, files: list[str], fake_corpora: Path) -> None:
    """Clips come sorted, named by their paths, described by their names, with the sound of their files."""
    clips, unusable = make(fake_corpora / corpus, corpus)
    assert unusable == []
    assert [clip["clip_id"] for clip in clips] == [f"{corpus}/{file.removesuffix('.wav')}" for file in sorted(files)]
    assert all(clip["source"] == clip["clip_id"] and clip["augmentation"] == "" for clip in clips)
    for clip in clips:
        file = fake_corpora / f"{clip['clip_id']}.wav"
        assert clip["audio"] == audio.to_flac(audio.clean(file, preprocess()), rate=RATE)
        assert clip["n_samples"] == len(audio.from_flac(clip["audio"]))
        assert clip["sample_rate"] == RATE


def test_clips_are_sorted_by_their_ids(tmp_path: Path) -> None:
    """Clips come in the order of clip_id, also where that of folders and suffixes is another."""
    name = "03-01-05-01-01-01-01.wav"
    write_recordings(tmp_path, [f"{folder}/{name}" for folder in ("Actor_01", "Actor_01 (copy)", "Actor_01-b")])
    clip_ids = [clip["clip_id"] for clip in make(tmp_path)[0]]
    assert clip_ids == sorted(clip_ids)
    assert len(clip_ids) == 3


def test_a_clip_says_what_its_name_says(fake_corpora: Path) -> None:
    """Speaker, sex, language, emotion and text are read from the file's name."""
    clips, _ = make(fake_corpora / "ravdess")
    described = {name: clips[2][name] for name in ("corpus", "speaker", "sex", "language", "emotion", "text")}
    assert described == {
        "corpus": "ravdess",
        "speaker": "ravdess-02",
        "sex": "f",
        "language": "en",
        "emotion": "happy",
        "text": "02",
    }


UNUSABLE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "Actor_01/notes about the recording.wav": (lambda file: file.write_bytes(encode(sine(440))), "grammar of ravdess"),
    "Actor_01/03-02-05-01-01-01-01.wav": (lambda file: file.write_bytes(encode(sine(440))), "grammar of ravdess"),
    "Actor_01/03-01-09-01-01-01-01.wav": (lambda file: file.write_bytes(encode(sine(440))), "grammar of ravdess"),
    "Actor_25/03-01-05-01-01-01-25.wav": (lambda file: file.write_bytes(encode(sine(440))), "grammar of ravdess"),
    "Actor_01/03-01-01-01-01-01-01.wav": (lambda file: file.write_text("no audio"), "not decodable as audio"),
    "Actor_01/03-01-02-01-01-01-01.wav": (lambda file: file.touch(), "the file is empty"),
    "Actor_01/03-01-03-01-01-01-01.wav": (lambda file: file.write_bytes(encode(sine(440))[:-9]), "cut short"),
    "Actor_01/03-01-04-01-01-01-01.wav": (lambda file: file.write_bytes(encode(silence(1))), "all silence"),
    "Actor_01/03-01-06-01-01-01-01.FLAC": (lambda file: file.write_bytes(encode(sine(440)[:99])), "too short"),
    "Actor_01/03-01-07-01-01-01-01.wav": (lambda file: file.symlink_to("gone.wav"), "."),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_an_unusable_recording_is_named_with_its_reason(name: str, tmp_path: Path) -> None:
    """A file that gives no clip is reported by its path and a reason, and does not keep the others from theirs."""
    write_recordings(tmp_path, [GOOD])
    spoil, reason = UNUSABLE[name]
    (tmp_path / name).parent.mkdir(exist_ok=True)
    spoil(tmp_path / name)
    clips, unusable = make(tmp_path)
    assert [clip["clip_id"] for clip in clips] == ["ravdess/Actor_01/03-01-05-01-01-01-01"]
    assert [one.file for one in unusable] == [name]
    assert recordings.count(tmp_path, unusable) == {"recordings": 2, "usable": 1, "unusable": 1}
    assert re.search(reason, unusable[0].reason)


def test_a_recording_in_two_formats_is_one_clip(tmp_path: Path) -> None:
    """The same name with another suffix would be the same clip_id: one is used, the other reported."""
    write_recordings(tmp_path, [GOOD, GOOD.replace(".wav", ".flac")])
    clips, unusable = make(tmp_path)
    assert (len(clips), len(unusable)) == (1, 1)


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
    with pytest.raises((InputError, OSError), match="Actor_02"):
        recordings.find_recordings(tmp_path)


def test_a_folder_is_no_recording(tmp_path: Path) -> None:
    """A folder whose name ends like a recording's is looked into, and is none itself."""
    write_recordings(tmp_path, ["take.wav/a.wav"])
    assert recordings.find_recordings(tmp_path) == [PurePosixPath("take.wav/a.wav")]


def test_a_hidden_folder_above_does_not_matter(tmp_path: Path) -> None:
    """Experiments run below .dvc/tmp: what counts is hidden within the corpus."""
    write_recordings(tmp_path / ".dvc" / "raw", ["a.wav"])
    assert recordings.find_recordings(tmp_path / ".dvc" / "raw") == [PurePosixPath("a.wav")]


def test_a_folder_that_is_missing_or_empty_is_refused(tmp_path: Path) -> None:
    """One sentence names the folder and what is expected there."""
    with pytest.raises(InputError, match=f"{tmp_path}/gone is not a folder; expected"):
        make(tmp_path / "gone")
    (tmp_path / "README.txt").write_text("not audio")
    with pytest.raises(InputError, match=f"{tmp_path} holds no recording .*put the corpus's files there"):
        make(tmp_path)


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
    """Recordings are found, and clips and unusable recordings come, in one order however folders are listed."""
    folder = fake_corpora / "ravdess"
    for name in ("x.wav", "Actor_01/y.wav", "Actor_02.wav"):
        (folder / name).touch()
    made = []
    for reverse in (False, True):
        monkeypatch.setattr(os, "scandir", partial(Listing, reverse=reverse))
        assert recordings.find_recordings(folder) == sorted(recordings.find_recordings(folder))
        made.append(make(folder))
    assert made[0] == made[1]
    assert [len(part) for part in made[0]] == [len(RAVDESS), 3]


def test_any_number_of_workers_makes_the_same_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes make what one makes, in the same order, unusable ones included."""
    write_recordings(tmp_path, [f"Actor_{n:02}/03-01-05-01-01-01-{n:02}.wav" for n in range(1, 25)], seconds=0.4)
    write_recordings(tmp_path, [f"Actor_{n:02}/03-01-06-01-01-01-{n:02}.wav" for n in range(1, 25)], seconds=0.2)
    one = make(tmp_path)
    monkeypatch.setenv("SER_WORKERS", "2")
    assert make(tmp_path) == one
    assert [len(part) for part in one] == [24, 24]


def test_clips_are_made_as_they_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A corpus is worked off batch by batch: no more recordings are in memory than have been asked for."""
    for n in range(3 * recordings.BATCH):
        (tmp_path / f"{n}.wav").touch()
    cleaned: list[Path] = []
    monkeypatch.setattr(audio, "clean", lambda file, _settings: cleaned.append(file) or sine(440))
    monkeypatch.setattr(type(FACTS), "parse", lambda _self, _file: recordings.Recording("ravdess-01", "m", "sad", "01"))
    batches = recordings.make_clips(tmp_path, FACTS, preprocess(), unusable=[])
    assert len(cleaned) == 0
    assert len(next(batches)) == recordings.BATCH
    assert len(cleaned) <= 2 * recordings.BATCH


def test_too_many_unusable_recordings_are_refused() -> None:
    """Above the share of the settings the first is named with its reason; at the share all is well."""
    unusable = [Unusable("b.wav", "all silence"), Unusable("c.wav", "too short")]
    recordings.check_unusable(unusable, of=40, corpus="ravdess", most=0.05)
    recordings.check_unusable([], of=40, corpus="ravdess", most=0)
    with pytest.raises(
        InputError, match=r"^ravdess: 2 of 39 .*\(5\.1%\).*max_unusable allows 5\.0%.*b\.wav: all silence"
    ):
        recordings.check_unusable(unusable, of=39, corpus="ravdess", most=0.05)
