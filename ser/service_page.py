"""The page of the service: record or drop a voice, see how it sounds, and read what such an answer is worth."""

from collections.abc import Mapping, Sequence
from typing import Any

from ser import pages, plots
from ser.corpora.facts import is_synthetic
from ser.corpus_notes import synthetic
from ser.model_card import LIMITS, NOT_FOR
from ser.signs import FLAGS

ALLOWED = "connect-src 'self'; media-src blob:; img-src data:"
"""Beyond its own script and style it talks to where it comes from, and plays what was recorded."""
TITLES = ("Acted emotions", "Known conditions", "Probabilities")
"""Of the model card's limits."""


def page(card: Mapping[str, Any], *, emotions: Sequence[str], limits: Mapping[str, Any]) -> tuple[str, str]:
    """Make the page and its Content-Security-Policy.

    Parameters
    ----------
    card
        The model's card; what it has of plain facts is shown.
    emotions
        What the model tells apart.
    limits
        The service's: megabytes and minutes.
    """
    notes = [pages.Note(title, text) for title, text in zip(TITLES, LIMITS, strict=True)]
    corpora = card.get("origin", {}).get("corpora", [])
    return pages.sealed(
        "service.html.j2",
        allowed=ALLOWED,
        notes=[*synthetic([name for name in corpora if is_synthetic(name)]), *notes, pages.Note("People", NOT_FOR)],
        limits=limits,
        facts=_facts(card),
        data={
            "emotions": list(emotions),
            "colours": plots.colours_of(emotions),
            "flags": FLAGS,
            "limits": dict(limits),
        },
    )


def _facts(card: Mapping[str, Any]) -> dict[str, str]:
    origin = card.get("origin", {})
    known = {
        "Name": card.get("model"),
        "Trained on": ", ".join(origin.get("corpora", [])),
        "How well": _score(origin.get("headline", {})),
        "Answers": card.get("answer"),
    }
    return {term: str(text) for term, text in known.items() if text}


def _score(headline: Mapping[str, Any]) -> str:
    if not headline:
        return ""
    low, high = headline.get("uar_low"), headline.get("uar_high")
    interval = "" if low is None or high is None else f" (95 % interval {low:.2f} to {high:.2f})"
    return f"UAR {headline['uar']:.2f}{interval}: {headline['protocol']}. UAR is the mean share of each emotion found."
