"""Spellings of one name are folded, words for missing values are recognized, and different names stay different."""

import random
import unicodedata

import pytest

from ser.dataset.name_folding import fold_names, folding_key, is_missing, tidy, visible

SPELLINGS = [
    ("anna", "Anna", "ANNA", " anna", "anna\u00a0", "\uff41nna", "an\u200bna", "\ufeffanna", "anna.", "'anna'"),
    ("1", "01", "001", "1.0", "01.00", "1,0", "\uff11", " 1"),
    ("10", "010", "10.0"),
    ("Zoë", unicodedata.normalize("NFD", "Zoë"), "zoë", unicodedata.normalize("NFD", "ZOË")),
    ("Zoe", "zoe"),
    ("Anna Maria", "anna  maria", "anna\u00a0maria", "Anna-Maria", "anna_maria", "Anna\u2011Maria", "anna\tMaria"),
    ("S1", "s01", "S_1", "s-01", "s 1"),
    ("1-11", "01-11"),
    ("11-1", "11 1"),
    ("O'Brien", "o\u2019brien"),
    ("straße", "STRASSE"),
    ("\u0130rem", "irem", "IREM"),
    ("I\u015eIL", "\u0131\u015f\u0131l"),
    ("1.5", "1.5 "),
]


def test_spellings_of_a_name_are_one() -> None:
    """All spellings of a person, and of nobody else, have one key and one folded name."""
    keys = [{folding_key(spelling) for spelling in group} for group in SPELLINGS]
    assert [len(group) for group in keys] == [1] * len(SPELLINGS)
    assert len(set.union(*keys)) == len(SPELLINGS)
    folded = fold_names([spelling for group in SPELLINGS for spelling in group])
    assert all(len({folded[spelling] for spelling in group}) == 1 for group in SPELLINGS)
    assert len(set(folded.values())) == len(SPELLINGS)
    assert all(tidy(name) == name for name in folded.values())


def test_the_most_frequent_spelling_is_kept() -> None:
    """Of equally frequent ones, it is the shortest; the order of the names does not matter."""
    names = ["Bo", "bo", "Bo", "01", "1", "1.0", "Zoë", unicodedata.normalize("NFD", "Zoë")]
    expected = {"Bo": "Bo", "bo": "Bo", "01": "1", "1": "1", "1.0": "1", names[-2]: "Zoë", names[-1]: "Zoë"}
    for seed in range(5):
        random.Random(seed).shuffle(names)
        assert fold_names(names) == expected


@pytest.mark.parametrize(
    "word",
    [
        *("", " ", "\u00a0", "nan", "NaN", "NA", "n/a", "N.A.", "#N/A", "<NA>", "none", "None", "NULL", "unknown"),
        *(
            "Unknown ",
            "(unknown)",
            "?",
            "???",
            "-",
            "--",
            "\u2013",
            "\u2014",
            "\uff1f",
            "_",
            ".",
            "missing",
            "\uff4ean",
        ),
    ],
)
def test_words_for_missing_values(word: str) -> None:
    """Case, punctuation and blanks do not matter; the folded name is empty."""
    assert is_missing(word)
    assert fold_names([word, "anna"]) == {word: "", "anna": "anna"}


@pytest.mark.parametrize("name", ["0", "00", "nana", "Nadia", "unknown1", "+", "x", "Ñ", "不明", "no"])
def test_names_that_are_not_missing(name: str) -> None:
    """Words that only resemble those for missing values are names."""
    assert not is_missing(name)
    assert fold_names([name])[name]


def test_invisible_differences_are_shown() -> None:
    """Characters that cannot be seen are escaped, others are not."""
    assert visible("Zoë") == "Zoë"
    assert "\\u0308" in visible(unicodedata.normalize("NFD", "Zoë"))
    assert "\\xa0" in visible("anna\u00a0b")
