"""A corpus is taken for the one that was published only if each of its recordings is there, and no other."""

import dataclasses
from collections.abc import Iterable
from pathlib import PurePosixPath

import pytest

from ser.corpora.base import load_corpus
from ser.dataset.recordings import Recording
from ser.download.validation import validate_corpus
from ser.utils.errors import UserError

TESS = load_corpus("tess")
NAMES = [f"{name[:3]}_x/{name}" for name in TESS.expected_files()]


def check(there: Iterable[str], *, allow_incomplete: bool = False, **facts: object) -> list[str]:
    files = [PurePosixPath(f"{name}.wav") for name in there]
    recordings = [TESS.parse(file) or Recording(str(file), rejection_reason="no name of the corpus") for file in files]
    return validate_corpus(recordings, dataclasses.replace(TESS, **facts), allow_incomplete=allow_incomplete)


def test_a_whole_corpus_is_counted() -> None:
    """Recordings, speakers and emotions are as published; other files and a known misspelling do not matter."""
    misspelt = [name.replace("OAF_bite_neutral", "OA_bite_neutral") for name in NAMES]
    expected = ["tess: 2800 of 2800 recordings, 2 of 2 speakers, 7 of 7 emotions."]
    assert check([*misspelt, "notes/spoken"]) == expected


def test_missing_and_surplus_recordings_are_named() -> None:
    """Each of a few, the first of many; nothing is taken for whole unless a part is enough, and then it is said."""
    there = [name for name in NAMES if "YAF" not in name and "_chair_" not in name] + ["OAF_x/OAF_table_sad"]
    with pytest.raises(UserError) as refused:
        check(there)
    assert str(refused.value).startswith("tess: 1394 of 2800 recordings, 1 of 2 speakers, 7 of 7 emotions; missing: ")
    assert "OAF_chair_angry, OAF_chair_disgust" in str(refused.value)
    assert "and 1397 more, not of the published corpus: OAF_table_sad. Complete" in str(refused.value)
    assert "OAF_table_sad" in check(there, allow_incomplete=True)[0]


def test_two_recordings_of_one_name_are_refused() -> None:
    """Nobody can say which is the corpus's; not even a part is that."""
    with pytest.raises(UserError, match="there are 2 different recordings named OAF_back_angry; keep one"):
        check([*NAMES, "again/OAF_back_angry"], allow_incomplete=True)


def test_without_a_list_of_names_recordings_are_counted() -> None:
    """A corpus whose names nobody listed is complete when their number is right."""
    assert check(NAMES, expected_files=tuple)
    with pytest.raises(UserError, match=r"2799 of 2800 recordings.*"):
        check(NAMES[1:], expected_files=tuple)
