"""Recognize missing values, and different spellings of one speaker or sentence, in labels written by people."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

_MISSING = {
    *("", "missing", "na", "nan", "nat", "nil", "none", "notapplicable", "notavailable", "null", "speakerunknown"),
    *("undefined", "unk", "unknown", "unknownspeaker", "unspecified"),
}
"""Words for missing values, without punctuation: ``n/a`` and ``<NA>`` are ``na``, ``?`` and ``-`` are empty."""
_PLACEHOLDERS = re.compile(r"[\s?!*\-./\\<>()\[\]#_'\"]+")
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\u00b4`", "'"))


def tidy(text: str) -> str:
    """Compose characters, make full-width ones ASCII, and remove invisible characters and superfluous blanks."""
    text = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES))
    text = "".join("-" if unicodedata.category(each) == "Pd" else each for each in text if not _is_invisible(each))
    return " ".join(text.split())


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) in {"Cf", "Cc"} and not character.isspace()


def visible(text: str) -> str:
    """Escape characters that are invisible, or look like others."""
    return text if text == tidy(text) else ascii(text)


def is_missing(text: str) -> bool:
    """Check for a word or sign that means an unknown value, such as ``nan``, ``N/A``, ``?`` or ``-``."""
    return _PLACEHOLDERS.sub("", tidy(text).casefold()) in _MISSING


def folding_key(text: str) -> str:
    """Compute a key that is equal for all spellings of one name.

    Case, Unicode form, blanks, hyphens, underscores, outer punctuation and leading zeros do not matter, nor do zero
    decimals, as spreadsheets write ``01`` as ``1`` or ``1.0``.
    """
    text = unicodedata.normalize("NFKC", tidy(text).casefold())
    text = text.replace("i\u0307", "i").replace("\u0131", "i")  # the dotted and the dotless i of Turkish
    text = re.sub(r"^([+-]?\d+)[.,]0+$", r"\1", text)
    words = re.sub(r"[\s_\-]+", " ", text).strip(" .,;:!?'\"")
    words = re.sub(r"(?<!\d) | (?!\d)", "", words)  # but 1-11 is not 11-1
    return re.sub(r"(?<!\d)0+(?=\d)", "", words) or text


def fold_names(names: Iterable[str]) -> dict[str, str]:
    """Map each spelling of each name to its most frequent spelling, and words for missing values to an empty string.

    Parameters
    ----------
    names : iterable of str
        Names as given, one per recording.

    Returns
    -------
    dict of str to str
        Name as given -> tidy name, the same for all spellings. Of equally frequent ones, the shortest is chosen.
    """
    counts = Counter(names)
    best: dict[str, tuple[int, int, str]] = {}
    tidied: Counter[str] = Counter()
    for name, count in counts.items():
        tidied[tidy(name)] += count
    for name, count in tidied.items():
        key = folding_key(name)
        best[key] = max(best.get(key, (0, 0, "")), (count, -len(name), name))
    return {name: "" if is_missing(name) else best[folding_key(tidy(name))][2] for name in counts}
