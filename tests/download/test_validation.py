"""A corpus is complete only if it has exactly the published recordings."""

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


def validate(names: Iterable[str], *, allow_incomplete: bool = False, **facts: object) -> list[str]:
    files = [PurePosixPath(f"{name}.wav") for name in names]
    recordings = [TESS.parse(file) or Recording(str(file), rejection_reason="unknown name") for file in files]
    return validate_corpus(recordings, dataclasses.replace(TESS, **facts), allow_incomplete=allow_incomplete)


def test_a_complete_corpus_is_counted() -> None:
    """Recordings, speakers and emotions are as published; other files and a known misspelling are accepted."""
    misspelt = [name.replace("OAF_bite_neutral", "OA_bite_neutral") for name in NAMES]
    summary, renamed = validate([*misspelt, "notes/spoken"])
    assert summary == "tess: 2800 of 2800 recordings, 2 of 2 speakers, 7 of 7 emotions."
    assert "1 misspelt file name" in renamed and "OA_bite_neutral is read as OAF_bite_neutral" in renamed
    assert validate(NAMES) == [summary]


def test_missing_and_surplus_recordings_are_listed() -> None:
    """The first names are listed and the others counted; it is an error unless incomplete corpora are accepted."""
    names = [name for name in NAMES if "YAF" not in name and "_chair_" not in name] + ["OAF_x/OAF_table_sad"]
    expected = ["tess: 1394 of 2800 ", "1 of 2 speakers", "OAF_chair_angry, OAF_chair_disgust", "1397 more"]
    with pytest.raises(UserError) as error:
        validate(names)
    for message in (str(error.value), validate(names, allow_incomplete=True)[0]):
        assert all(part in message for part in [*expected, "OAF_table_sad"])


def test_two_recordings_with_the_same_name_are_refused() -> None:
    """It is unknown which one is the published recording, also in an incomplete corpus."""
    with pytest.raises(UserError, match="2 different recordings named OAF_back_angry"):
        validate([*NAMES, "copy/OAF_back_angry"], allow_incomplete=True)


def test_without_a_list_of_names_recordings_are_counted() -> None:
    """A corpus without a list of file names is complete if their number is right."""
    assert validate(NAMES, expected_files=tuple)
    with pytest.raises(UserError, match="2799 of 2800 recordings"):
        validate(NAMES[1:], expected_files=tuple)
