"""Properties that are confounded with the corpus or the emotion have a warning."""

import pandas as pd
import pytest

from ser.reporting import data_warnings
from ser.reporting.data_warnings import MIN_CLIPS


def clips(corpus: str = "one", label: str = "happy", *, n: int = MIN_CLIPS, **columns: object) -> pd.DataFrame:
    row = {"corpus": corpus, "label": label, "speaker": f"{corpus}-1", "sex": "f"}
    return pd.DataFrame([row | {"original_rate": 48000.0, "clip_level_db": -23.0} | columns] * n)


def join(notes: list[data_warnings.Callout]) -> str:
    return " | ".join(f"{note.title}: {note.text}" for note in notes)


def confounds(*tables: pd.DataFrame) -> str:
    return join(data_warnings.confounds(pd.concat(tables, ignore_index=True), sample_rate=16000))


@pytest.mark.parametrize(
    "other",
    [
        clips("two", "sad"),
        clips("two", "angry", n=MIN_CLIPS - 1, sex="m", original_rate=8000.0, clip_level_db=-60.0),
        clips("two", original_rate=24414.0),
        clips("two", sex=""),
    ],
    ids=["equal", "few clips", "rates above that of the clips", "unknown sex"],
)
def test_no_warning(other: pd.DataFrame) -> None:
    assert confounds(clips("one"), clips("one", "sad"), other) == ""


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        ("sex", "m", "Clips of female speakers: 100% of one, 0% of two."),
        ("original_rate", 8000.0, "Recordings below 16 kHz, without the upper frequencies: 0% of one, 100% of two."),
        ("clip_level_db", -40.0, "-23.0 dBFS in one, -40.0 dBFS in two."),
    ],
)
def test_confounds_with_corpus_and_emotion(column: str, value: object, text: str) -> None:
    """A warning has the values of each corpus, or of the emotions with the lowest and the highest value."""
    by_corpus = confounds(clips("one"), clips("two", **{column: value}))
    assert "confounded with the corpus" in by_corpus
    assert text in by_corpus
    by_emotion = confounds(clips("one", "happy"), clips("one", "sad", **{column: value}))
    assert "confounded with the emotion" in by_emotion
    assert " in one: " in by_emotion and "sad" in by_emotion
    assert "confounded with the corpus" not in by_emotion


def test_missing_emotions() -> None:
    """An emotion is missing only if another corpus has it."""
    matrix = pd.DataFrame({"calm": [3, 0], "sad": [0, 1], "bored": [0, 0]}, index=["one", "two"])
    assert "No sad in one; no calm in two." in join(data_warnings.missing_emotions(matrix))
    assert data_warnings.is_missing(matrix).to_numpy().tolist() == [[False, True, False], [True, False, False]]
    assert data_warnings.missing_emotions(matrix[["bored"]]) == []


@pytest.mark.parametrize(
    ("equal", "other", "is_reported"),
    [(535, 0, True), (20, 180, True), (20, 190, False), (MIN_CLIPS - 1, 0, False), (0, 0, False), (0, 100, False)],
)
def test_equal_durations(equal: int, other: int, is_reported: bool) -> None:
    """A corpus whose recordings were cut or padded to a length is reported with the number, share and length."""
    durations = pd.Series([3.0] * equal + [1 + n / 1000 for n in range(other)], dtype=float)
    text = join(data_warnings.equal_durations({"one": durations, "two": pd.Series([1.0, 2.0])}))
    assert bool(text) == is_reported
    if is_reported:
        assert f"{equal} of {equal + other} recordings of one ({equal / (equal + other):.0%})" in text
        assert "3.000 s" in text


def test_unknown_speakers_and_synthetic_speech() -> None:
    [note] = data_warnings.unknown_speakers(pd.concat([clips("one"), clips("two", speaker="two-")]))
    assert note.text.startswith("two: ") and "one:" not in note.text
    assert "No human speech in a and b" in join(data_warnings.synthetic(["a", "b"]))
    assert data_warnings.synthetic([]) == []
