"""Test that each recording becomes a clip or is rejected with a reason."""

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

COUNTS = {"recordings": 2, "usable": 1, "unusable": 1, "segmented": 0, "clips": 1}
VALID = "Actor_01/03-01-05-01-01-01-01.wav"
SETTINGS = factories.settings(
    preprocess={
        "sample_rate": RATE,
        "min_duration": 0.3,
        "denoise_strength": 0,
        "trim_top_db": 40,
        "normalize": "rms",
        "target_level_db": -23,
    }
).preprocess


def make(folder: Path, corpus: str = "ravdess") -> tuple[list[dict[str, Any]], PreprocessingLog]:
    """Make all clips of a folder, with the log."""
    log = PreprocessingLog()
    recordings = list_recordings(folder, load_corpus(corpus).parse, corpus=corpus)
    batches = preprocessing.make_clips(folder, recordings, SETTINGS, corpus=corpus, log=log)
    return list(chain.from_iterable(batches)), log


@pytest.mark.parametrize(("corpus", "files"), [("ravdess", RAVDESS), ("tess", TESS)])
def test_every_recording_becomes_a_clip(corpus: str, files: list[str], fake_corpora: Path) -> None:
    """Clips are sorted and named by their paths, and have the audio of their files."""
    clips, log = make(fake_corpora / corpus, corpus)
    assert log.rejected == []
    assert [clip["clip_id"] for clip in clips] == [f"{corpus}/{file.removesuffix('.wav')}" for file in sorted(files)]
    for clip in clips:
        file = fake_corpora / f"{clip['clip_id']}.wav"
        assert clip["audio"] == audio_io.to_flac(audio_clean.clean_and_measure(file, SETTINGS)[0][0], rate=RATE)
        assert clip["n_samples"] == len(audio_io.from_flac(clip["audio"]))
        assert clip["recording_id"] == clip["clip_id"]
        assert (clip["original_id"], clip["augmentation"], clip["sample_rate"]) == (clip["clip_id"], "", RATE)


def test_clips_are_sorted_by_id(tmp_path: Path) -> None:
    """The order of paths, which depends on folders and suffixes, does not matter."""
    name = "03-01-05-01-01-01-01.wav"
    write_recordings(tmp_path, [f"{folder}/{name}" for folder in ("Actor_01", "Actor_01 (copy)", "Actor_01-b")])
    clip_ids = [clip["clip_id"] for clip in make(tmp_path)[0]]
    assert clip_ids == sorted(clip_ids)
    assert len(clip_ids) == 3


def test_clip_has_the_labels_of_its_file_name(fake_corpora: Path) -> None:
    """Labels are those of the recording table."""
    labels = {"corpus": "ravdess", "speaker": "ravdess-02", "sex": "f", "language": "en", "emotion": "happy"}
    labels |= {"intensity": "strong", "sentence": "02"}
    clips, _ = make(fake_corpora / "ravdess")
    assert {name: clips[2][name] for name in labels} == labels


REJECTED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "Actor_01/notes about the recording.wav": (lambda file: file.write_bytes(encode(sine(440))), "ravdess"),
    "Actor_01/03-01-01-01-01-01-01.wav": (lambda file: file.write_text("no audio"), ""),
    "Actor_01/03-01-04-01-01-01-01.wav": (lambda file: file.write_bytes(encode(silence(1))), "silence"),
    "Actor_01/03-01-06-01-01-01-01.FLAC": (lambda file: file.write_bytes(encode(sine(440)[:99])), "too short"),
    "Actor_01/03-01-07-01-01-01-01.wav": (lambda file: file.symlink_to("gone.wav"), ""),
}


@pytest.mark.parametrize("name", REJECTED)
def test_rejected_recording_has_a_reason(name: str, tmp_path: Path) -> None:
    """Names outside the naming scheme and unreadable audio do not affect other recordings."""
    write_recordings(tmp_path, [VALID])
    write_file, reason = REJECTED[name]
    (tmp_path / name).parent.mkdir(exist_ok=True)
    write_file(tmp_path / name)
    clips, log = make(tmp_path)
    assert [clip["clip_id"] for clip in clips] == ["ravdess/Actor_01/03-01-05-01-01-01-01"]
    assert log.counts() == COUNTS
    [rejected] = log.rejected
    assert rejected.file == name
    assert rejected.reason and reason in rejected.reason


def test_repeated_name_is_rejected(tmp_path: Path) -> None:
    """Two formats of a name would have the same clip_id."""
    write_recordings(tmp_path, [VALID, VALID.replace(".wav", ".flac")])
    assert make(tmp_path)[1].counts() == COUNTS


def test_repeated_audio_is_rejected(tmp_path: Path) -> None:
    """The format does not matter; the reason names the first recording."""
    first = "Actor_01/03-01-05-01-01-01-01"
    write_same_audio(tmp_path, WAV=first, FLAC="Actor_01/03-01-05-02-01-01-01")
    clips, log = make(tmp_path)
    assert [clip["clip_id"] for clip in clips] == [f"ravdess/{first}"]
    assert [row["file"] for row in log.stats] == [f"{first}.wav"]
    [rejected] = log.rejected
    assert f"{first}.wav" in rejected.reason
    assert log.counts() == COUNTS


@pytest.mark.parametrize(
    ("other", "label"),
    [("Actor_01/03-01-06-01-01-01-01", "fearful"), ("Actor_02/03-01-05-01-01-01-02", "ravdess-02")],
)
def test_repeated_audio_with_another_label_is_an_error(other: str, label: str, tmp_path: Path) -> None:
    """The message names both files and their labels, as one of them must be wrong."""
    first = "Actor_01/03-01-05-01-01-01-01"
    write_same_audio(tmp_path, WAV=first, AIFF=other)
    with pytest.raises(UserError) as error:
        make(tmp_path)
    assert all(part in str(error.value) for part in (f"{first}.wav", "angry", f"{other}.wav", label))


def write_same_audio(folder: Path, **names: str) -> None:
    """Write a tone to a file per format."""
    for kind, name in names.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / f"{name}.wav").write_bytes(encode(np.round(sine(440) * 2**15) / 2**15, kind=kind))


def test_statistics_of_recording_and_clip(tmp_path: Path) -> None:
    """Rejected recordings have none."""
    tone = sine(440, seconds=1, amplitude=0.25, rate=22050)
    (tmp_path / "03-01-05-01-01-01-01.wav").write_bytes(encode(tone[:, None].repeat(2, axis=1), rate=22050))
    (tmp_path / "03-01-06-01-01-01-01.wav").write_bytes(b"no audio")
    [stats] = make(tmp_path)[1].stats
    assert tuple(stats) == STATS_COLUMNS
    assert stats == {
        "file": "03-01-05-01-01-01-01.wav",
        "sample_rate": 22050,
        "channels": 2,
        "duration": 1.0,
        "level_db": pytest.approx(-15.05, abs=0.01),
        "peak_db": pytest.approx(-12.04, abs=0.01),
        "flags": "",
        "segments": 1,
        "clip_duration": pytest.approx(1.0, abs=0.02),
        "clip_level_db": pytest.approx(-23, abs=0.01),
    }


def test_a_recording_of_several_sentences_becomes_several_clips(tmp_path: Path) -> None:
    """Segments have the labels and the recording_id of their recording, numbered clip_ids, and their own audio."""
    pause = silence(1)
    (tmp_path / VALID).parent.mkdir()
    content = encode(np.concatenate([sine(300, seconds=1), pause, sine(500, seconds=2), pause]))
    (tmp_path / VALID).write_bytes(content)
    clips, log = make(tmp_path)
    recording = "ravdess/" + VALID.removesuffix(".wav")
    assert [(clip["clip_id"], clip["recording_id"]) for clip in clips] == [
        (f"{recording}#{n}", recording) for n in (1, 2)
    ]
    assert [clip["n_samples"] / RATE for clip in clips] == pytest.approx([1, 2], abs=0.05)
    assert {(clip["emotion"], clip["speaker"]) for clip in clips} == {("angry", "ravdess-01")}
    assert log.counts() == {"recordings": 1, "usable": 1, "unusable": 0, "segmented": 1, "clips": 2}
    assert log.stats[0]["clip_duration"] == pytest.approx(3, abs=0.1)


def test_clips_do_not_depend_on_the_number_of_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes give the same clips and log, in the same order."""
    write_recordings(tmp_path, [f"Actor_{n:02}/03-01-05-01-01-01-{n:02}.wav" for n in range(1, 25)], seconds=0.4)
    write_recordings(tmp_path, [f"Actor_{n:02}/03-01-06-01-01-01-{n:02}.wav" for n in range(1, 25)], seconds=0.2)
    expected = make(tmp_path)
    monkeypatch.setenv("SER_WORKERS", "2")
    assert make(tmp_path) == expected
    assert (len(expected[0]), expected[1].counts()["unusable"]) == (24, 24)


def test_recordings_are_read_lazily(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory does not grow with the number of recordings."""
    cleaned: list[Path] = []

    def clean(file: Path, _settings: Preprocess) -> tuple[Any, audio_clean.AudioStats]:
        cleaned.append(file)
        return [sine(300 + len(cleaned))], audio_clean.AudioStats(RATE, 1, 1.0, -20.0, -10.0, n_clipped=0)

    monkeypatch.setattr(audio_clean, "clean_and_measure", clean)
    recordings = [Recording(f"{n}.wav", speaker="mine-a", emotion="sad") for n in range(3 * preprocessing.BATCH)]
    batches = preprocessing.make_clips(tmp_path, recordings, SETTINGS, corpus="mine", log=PreprocessingLog())
    assert len(cleaned) == 0
    assert len(next(batches)) == preprocessing.BATCH
    assert len(cleaned) <= 2 * preprocessing.BATCH


STATS = {"segments": 1}


def test_too_many_rejected_recordings_are_an_error() -> None:
    """The limit itself is allowed; the error has the first recording with its reason."""
    rejected = [RejectedRecording("b.wav", "all silence"), RejectedRecording("c.wav", "too short")]
    PreprocessingLog(rejected, stats=[STATS] * 38).check(corpus="ravdess", max_rejected_fraction=0.05)
    PreprocessingLog(stats=[STATS]).check(corpus="ravdess", max_rejected_fraction=0)
    with pytest.raises(UserError, match=r"^ravdess: 2 of 39 .*5\.1%.*5\.0%.*b\.wav: all silence"):
        PreprocessingLog(rejected, stats=[STATS] * 37).check(corpus="ravdess", max_rejected_fraction=0.05)
