"""Every recording of a table becomes a clip or is named with its reason."""

import re
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser.audio import clean as audio_clean
from ser.audio import io as audio_io
from ser.corpora.base import load_corpus
from ser.dataset import preprocess as preprocessing
from ser.dataset.preprocess import STATS_COLUMNS, PreprocessingLog, RejectedRecording
from ser.dataset.recordings import Recording, list_recordings
from ser.params import Preprocess
from ser.utils.errors import UserError
from tests.helpers import factories
from tests.helpers.fake_corpora import RAVDESS, TESS
from tests.helpers.signals import RATE, encode, silence, sine, write_recordings

GOOD = "Actor_01/03-01-05-01-01-01-01.wav"


def preprocess(**changes: Any) -> Preprocess:
    usual = {
        "sample_rate": RATE,
        "min_duration": 0.3,
        "denoise_strength": 0,
        "trim_top_db": 40,
        "normalize": "rms",
        "target_level_db": -23,
    }
    return factories.settings(preprocess=usual | changes).preprocess


def make(folder: Path, corpus: str = "ravdess") -> tuple[list[dict[str, Any]], PreprocessingLog]:
    """Make all clips of a folder; return them and what was noted."""
    outcome = PreprocessingLog()
    recordings = list_recordings(folder, load_corpus(corpus).parse, grammar=corpus)
    made = preprocessing.make_clips(folder, recordings, preprocess(), corpus=corpus, outcome=outcome)
    return list(chain.from_iterable(made)), outcome


@pytest.mark.parametrize(("corpus", "files"), [("ravdess", RAVDESS), ("tess", TESS)])
def test_every_recording_becomes_a_clip(corpus: str, files: list[str], fake_corpora: Path) -> None:
    """Clips come sorted, named by their paths, described by their names, with the sound of their files."""
    clips, outcome = make(fake_corpora / corpus, corpus)
    assert outcome.unusable == []
    assert [clip["clip_id"] for clip in clips] == [f"{corpus}/{file.removesuffix('.wav')}" for file in sorted(files)]
    assert all(clip["original_id"] == clip["clip_id"] and clip["augmentation"] == "" for clip in clips)
    for clip in clips:
        file = fake_corpora / f"{clip['clip_id']}.wav"
        assert clip["audio"] == audio_io.to_flac(audio_clean.clean(file, preprocess()), rate=RATE)
        assert clip["n_samples"] == len(audio_io.from_flac(clip["audio"]))
        assert clip["sample_rate"] == RATE


def test_clips_are_sorted_by_their_ids(tmp_path: Path) -> None:
    """Clips come in the order of clip_id, also where that of folders and suffixes is another."""
    name = "03-01-05-01-01-01-01.wav"
    write_recordings(tmp_path, [f"{folder}/{name}" for folder in ("Actor_01", "Actor_01 (copy)", "Actor_01-b")])
    clip_ids = [clip["clip_id"] for clip in make(tmp_path)[0]]
    assert clip_ids == sorted(clip_ids)
    assert len(clip_ids) == 3


def test_a_clip_says_what_its_name_says(fake_corpora: Path) -> None:
    """Speaker, sex, language, emotion and sentence are read from the file's name."""
    clips, _ = make(fake_corpora / "ravdess")
    described = {
        name: clips[2][name] for name in ("corpus", "speaker", "sex", "language", "emotion", "intensity", "sentence")
    }
    assert described == {
        "corpus": "ravdess",
        "speaker": "ravdess-02",
        "sex": "f",
        "language": "en",
        "emotion": "happy",
        "intensity": "strong",
        "sentence": "02",
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
    clips, outcome = make(tmp_path)
    assert [clip["clip_id"] for clip in clips] == ["ravdess/Actor_01/03-01-05-01-01-01-01"]
    assert [one.file for one in outcome.unusable] == [name]
    assert outcome.counts() == {"recordings": 2, "usable": 1, "unusable": 1}
    assert re.search(reason, outcome.unusable[0].reason)


def test_a_recording_in_two_formats_is_one_clip(tmp_path: Path) -> None:
    """The same name with another suffix would be the same clip_id: one is used, the other reported."""
    write_recordings(tmp_path, [GOOD, GOOD.replace(".wav", ".flac")])
    clips, outcome = make(tmp_path)
    assert (len(clips), len(outcome.unusable)) == (1, 1)


def test_the_same_sound_under_two_names_is_one_clip(tmp_path: Path) -> None:
    """It is found whatever the format; the first is used, the other named, with its label where that is another."""
    first = "Actor_01/03-01-05-01-01-01-01"
    same, other = first.replace("-05-01-01-01-", "-05-02-01-01-"), first.replace("-05-", "-06-")
    tone = np.round(sine(440) * 2**15) / 2**15
    for name, kind in ((first, "WAV"), (same, "FLAC"), (other, "AIFF")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.wav").write_bytes(encode(tone, kind=kind))
    clips, outcome = make(tmp_path)
    assert [clip["clip_id"] for clip in clips] == [f"ravdess/{first}"]
    assert [one["file"] for one in outcome.measured] == [f"{first}.wav"]
    assert [one.reason for one in outcome.unusable] == [
        f"holds the same sound as {first}.wav",
        f"holds the same sound as {first}.wav, which is labelled angry",
    ]


def test_a_recording_is_measured_before_and_after(tmp_path: Path) -> None:
    """Rate, channels, length and levels of the original, and length and level of the clip."""
    tone = sine(440, seconds=1, amplitude=0.25, rate=22050)
    (tmp_path / "03-01-05-01-01-01-01.wav").write_bytes(encode(tone[:, None].repeat(2, axis=1), rate=22050))
    (tmp_path / "03-01-06-01-01-01-01.wav").write_bytes(b"no audio, nothing to measure")
    measured = make(tmp_path)[1].measured
    assert [tuple(row) for row in measured] == [STATS_COLUMNS]
    assert measured[0] == {
        "file": "03-01-05-01-01-01-01.wav",
        "sample_rate": 22050,
        "channels": 2,
        "duration": 1.0,
        "level_db": pytest.approx(-15.05, abs=0.01),
        "peak_db": pytest.approx(-12.04, abs=0.01),
        "clip_duration": pytest.approx(1.0, abs=0.02),
        "clip_level_db": pytest.approx(-23, abs=0.01),
    }


def test_any_number_of_workers_makes_the_same_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes make what one makes, in the same order, unusable ones included."""
    write_recordings(tmp_path, [f"Actor_{n:02}/03-01-05-01-01-01-{n:02}.wav" for n in range(1, 25)], seconds=0.4)
    write_recordings(tmp_path, [f"Actor_{n:02}/03-01-06-01-01-01-{n:02}.wav" for n in range(1, 25)], seconds=0.2)
    one = make(tmp_path)
    monkeypatch.setenv("SER_WORKERS", "2")
    assert make(tmp_path) == one
    assert (len(one[0]), one[1].counts()["unusable"]) == (24, 24)


def test_clips_are_made_as_they_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A corpus is worked off batch by batch: no more recordings are in memory than have been asked for."""
    cleaned: list[Path] = []

    def clean(file: Path, _settings: Preprocess) -> tuple[Any, audio_clean.AudioStats]:
        cleaned.append(file)
        return sine(300 + len(cleaned)), audio_clean.AudioStats(RATE, 1, 1.0, -20.0, -10.0)

    monkeypatch.setattr(audio_clean, "clean_and_measure", clean)
    listed = [Recording(f"{n}.wav", speaker="mine-a", emotion="sad") for n in range(3 * preprocessing.BATCH)]
    batches = preprocessing.make_clips(tmp_path, listed, preprocess(), corpus="mine", outcome=PreprocessingLog())
    assert len(cleaned) == 0
    assert len(next(batches)) == preprocessing.BATCH
    assert len(cleaned) <= 2 * preprocessing.BATCH


def test_too_many_unusable_recordings_are_refused() -> None:
    """Above the share of the settings the first is named with its reason; at the share all is well."""
    unusable = [RejectedRecording("b.wav", "all silence"), RejectedRecording("c.wav", "too short")]
    PreprocessingLog(unusable, measured=[{}] * 38).check(corpus="ravdess", most=0.05)
    PreprocessingLog(measured=[{}]).check(corpus="ravdess", most=0)
    with pytest.raises(
        UserError, match=r"^ravdess: 2 of 39 .*\(5\.1%\).*max_rejected_fraction allows 5\.0%.*b\.wav: all silence"
    ):
        PreprocessingLog(unusable, measured=[{}] * 37).check(corpus="ravdess", most=0.05)
