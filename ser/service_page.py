"""The page of the service: record or drop a voice, see how it sounds, and read what such an answer is worth."""

from collections.abc import Mapping, Sequence
from typing import Any

from ser import pages, plots
from ser.model_card import LIMITS, NOT_FOR

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
    return pages.sealed(
        "service.html.j2",
        allowed=ALLOWED,
        notes=[*notes, pages.Note("People", NOT_FOR)],
        limits=limits,
        facts=_facts(card),
        data={"emotions": list(emotions), "colours": plots.colours_of(emotions), "limits": dict(limits)},
    )


def _facts(card: Mapping[str, Any]) -> dict[str, str]:
    """Choose what is short."""
    plain = {str(name): value for name, value in card.items() if isinstance(value, (str, int, float))}
    return {name.replace("_", " "): pages.plain(value) for name, value in plain.items()}
