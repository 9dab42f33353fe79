"""What gives an emotion or a corpus away is said, and nothing where nothing does."""

import pandas as pd
import pytest

from ser.reporting import data_warnings
from ser.reporting.data_warnings import LEAST


def clips(corpus: str = "one", label: str = "happy", *, n: int = LEAST, **columns: object) -> pd.DataFrame:
    rows = {"corpus": corpus, "label": label, "speaker": f"{corpus}-1", "sex": "f"}
    return pd.DataFrame([rows | {"original_rate": 48000.0, "clip_level_db": -23.0} | columns] * n)


def joined(*tables: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(tables, ignore_index=True)


def said(notes: list[data_warnings.Callout]) -> str:
    return " | ".join(f"{note.title}: {note.text}" for note in notes)


def all_notes(table: pd.DataFrame) -> str:
    checks = [
        data_warnings.gender_confounds(table),
        data_warnings.bandwidth_confounds(table, sample_rate=16000),
        data_warnings.level_confounds(table),
    ]
    return said([note for notes in checks for note in notes])


def test_alike_corpora_are_not_warned_of() -> None:
    """Corpora and emotions of the same sex, rate and level give nothing away."""
    assert all_notes(joined(clips("one"), clips("one", "sad"), clips("two"), clips("two", "sad"))) == ""


def test_few_clips_are_not_compared() -> None:
    """A share of a handful of clips is chance."""
    few = clips("two", "sad", n=LEAST - 1, sex="m", original_rate=8000.0, clip_level_db=-60.0)
    assert all_notes(joined(clips("one"), few)) == ""


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        ("sex", "m", "Women speak 100% of one's clips, 0% of two's clips"),
        ("original_rate", 8000.0, "less than 16 kHz, which lack the upper frequencies, are 0% of one's clips, 100% of"),
        ("clip_level_db", -40.0, "one -23.0 dBFS, two -40.0 dBFS"),
    ],
)
def test_what_gives_a_corpus_away(column: str, value: object, text: str) -> None:
    """Sex, bandwidth and level that differ by corpus are named with their numbers."""
    notes = all_notes(joined(clips("one"), clips("two", **{column: value})))
    assert "gives the corpus away" in notes
    assert text in notes


@pytest.mark.parametrize(("column", "value"), [("sex", "m"), ("original_rate", 8000.0), ("clip_level_db", -40.0)])
def test_what_hints_at_an_emotion(column: str, value: object) -> None:
    """Within one corpus, what differs by emotion is named with the emotions."""
    notes = all_notes(joined(clips("one", "happy"), clips("one", "sad", **{column: value})))
    assert "hints at the emotion: In one, " in notes
    assert "sad" in notes
    assert "corpus away" not in notes


def test_rates_above_that_of_the_clips_give_nothing_away() -> None:
    """Resampled to the same rate, recordings of 24 and of 48 kHz have the same band."""
    assert all_notes(joined(clips("one"), clips("two", original_rate=24414.0))) == ""


def test_unknown_sex_is_neither() -> None:
    """Clips of unknown sex are no clips of men."""
    assert all_notes(joined(clips("one"), clips("two", sex=""))) == ""


def test_gaps_are_named_by_corpus() -> None:
    """What another corpus has is missing; what none has is not."""
    matrix = pd.DataFrame({"calm": [3, 0], "sad": [0, 1], "bored": [0, 0]}, index=["one", "two"])
    assert "one lacks sad; two lacks calm. A model can learn the corpus from that" in said(
        data_warnings.missing_emotions(matrix)
    )
    assert data_warnings.is_missing(matrix).to_numpy().tolist() == [[False, True, False], [True, False, False]]
    assert data_warnings.missing_emotions(matrix[["bored"]]) == []


def test_unknown_speakers_are_said() -> None:
    """A corpus whose speakers are its name and a hyphen has none that are known."""
    notes = said(data_warnings.unknown_speakers(joined(clips("one"), clips("two", speaker="two-"))))
    assert "two: speakers unknown: scores on this corpus are not speaker-independent" in notes
    assert "one" not in notes.split(": ", 1)[1].split(":")[0]


def test_synthetic_voices_are_said() -> None:
    """Numbers of voices that nobody has mean nothing about people."""
    assert "a and b holds" in said(data_warnings.synthetic(["a", "b"]))
    assert "mean nothing about people" in said(data_warnings.synthetic(["a"]))
    assert data_warnings.synthetic([]) == []
