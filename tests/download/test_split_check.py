"""After a download, the user knows what the stage split will refuse, and which settings would work."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ser import paths
from ser.dataset.recordings import Recording, write_recordings
from ser.download.split_check import describe_split_problem
from tests.helpers import factories


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def download(corpus: str, speakers: str, emotions: Sequence[str] = ("happy", "sad"), *, clips: int = 6) -> None:
    """Write the recording table of a corpus: so many clips of each emotion per speaker, a letter each."""
    names = [(speaker, emotion, clip) for speaker in speakers for emotion in emotions for clip in range(clips)]
    rows = [Recording(f"{s}/{e}{n}.wav", speaker=f"{corpus}-{s}", emotion=e, sentence=str(n)) for s, e, n in names]
    write_recordings(paths.recordings(corpus), rows)


def problem(corpus: str, *corpora: str, split: dict[str, Any] | None = None) -> str:
    params = factories.settings(split=split or {}).model_copy(update={"corpora": corpora or (corpus,)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return "\n".join(describe_split_problem(params, corpus=corpus))


@pytest.mark.parametrize(
    ("speakers", "split", "expected"),
    [
        ("abc", {}, []),
        ("a", {}, ["mine has 1", "split.protocol: random"]),
        ("abc", {"folds": 5}, ["no corpus has more than 3 speakers", "split.folds: 3", "split.protocol: random"]),
        ("abc", {"protocol": "random", "folds": 30}, ["too few clips", "split.folds: 18"]),
        ("abc", {"protocol": "cross_corpus"}, ["at least two corpora", "split.protocol: speaker_independent"]),
    ],
)
def test_too_few_speakers_or_clips(speakers: str, split: dict[str, Any], expected: list[str]) -> None:
    """The warning is one line; without a problem there is none."""
    download("mine", speakers)
    text = problem("mine", split=split)
    assert text.startswith("warning: ") == bool(expected)
    assert "\n" not in text
    assert all(part in text for part in expected)


def test_rare_emotion() -> None:
    """Merging it, or leaving it out, is suggested, and scikit-learn's warnings about rare classes are not shown."""
    rows = [Recording(f"{s}/calm.wav", speaker=f"mine-{s}", emotion="calm") for s in "a"]
    for s in "abcdef":
        for emotion in ("neutral", "sad"):
            rows += [Recording(f"{s}/{emotion}{n}.wav", speaker=f"mine-{s}", emotion=emotion) for n in range(6)]
    write_recordings(paths.recordings("mine"), rows)
    text = problem("mine", split={"folds": 5})
    assert "calm" in text.partition("works: ")[0]
    assert "emotions.merge: {calm: neutral}" in text.partition("works: ")[2]
    assert "emotions.use: [neutral, happy" in text.partition("works: ")[2]


def test_rejected_and_repeated_recordings_do_not_count() -> None:
    """A speaker whose recordings are all rejected, or are copies of others, is not available for the split."""
    download("mine", "ab")
    table = paths.recordings("mine")
    for name in ("a", "b"):
        (paths.raw("mine") / name).mkdir(parents=True)
    for line in table.read_text().splitlines()[1:]:
        file = line.split(",")[0]
        (paths.raw("mine") / file).write_text(file[1:])  # those of b have the content of those of a
    assert "mine has 1" in problem("mine")
    download("other", "ab")
    text = paths.recordings("other").read_text().splitlines()
    paths.recordings("other").write_text(
        "\n".join(f"{line}cut short" if line[0] == "b" else line for line in text) + "\n"
    )
    assert "other has 1" in problem("other")


def test_one_corpus_of_several_is_checked_for_what_is_certain() -> None:
    """Classes and the number of folds can depend on corpora that are not downloaded yet; speakers cannot."""
    download("mine", "abc", ["happy"])
    assert problem("mine", "mine", "ravdess") == ""
    assert problem("mine", "mine", "ravdess", split={"folds": 5}) == ""
    assert problem("mine", "mine", "ravdess", split={"protocol": "cross_corpus"}) == ""
    assert "at least two classes" in problem("mine")
    download("mine", "a", ["happy"])
    assert "mine has 1" in problem("mine", "mine", "ravdess")
    download("ravdess", "abcdef", ["happy", "sad"])
    assert "mine has 1" in problem("ravdess", "mine", "ravdess")
    assert problem("ravdess", "mine") == ""  # not a corpus of the run
