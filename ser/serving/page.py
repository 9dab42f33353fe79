"""The web page of the service: record or upload a voice, see the prediction and its limitations."""

from collections.abc import Mapping, Sequence
from typing import Any

from ser.corpora.base import is_synthetic
from ser.inference.quality_flags import FLAGS
from ser.reporting import html_page, plots
from ser.reporting.data_warnings import synthetic
from ser.reporting.model_card import LIMITS, NOT_FOR

CSP_EXTRA = "connect-src 'self'; media-src blob:; img-src data:"
"""Besides its own script and style, the page may call this service and play the recording."""
TITLES = ("Acted emotions", "Test conditions", "Probabilities", "Intended use")


def page(card: Mapping[str, Any], *, emotions: Sequence[str], limits: Mapping[str, Any]) -> tuple[str, str]:
    """Render the page.

    Parameters
    ----------
    card
        Metadata of the model.
    emotions
        Labels of the model.
    limits
        Limits of the service: megabytes and minutes.

    Returns
    -------
    html, policy : str
        The page and its Content-Security-Policy.
    """
    origin = card.get("origin", {})
    corpora = origin.get("corpora", [])
    facts = {
        "Name": card.get("model"),
        "Trained on": ", ".join(corpora),
        "Evaluation": _score(**origin["headline"]) if origin.get("headline") else None,
        "Prediction": card.get("aggregation"),
    }
    notes = [html_page.Callout(title, text) for title, text in zip(TITLES, (*LIMITS, NOT_FOR), strict=True)]
    return html_page.render_with_csp(
        "service.html.j2",
        allowed=CSP_EXTRA,
        notes=[*synthetic([name for name in corpora if is_synthetic(name)]), *notes],
        limits=limits,
        facts={term: str(text) for term, text in facts.items() if text},
        data={
            "emotions": list(emotions),
            "colours": plots.label_colours(emotions),
            "flags": FLAGS,
            "limits": dict(limits),
        },
    )


def _score(
    *, uar: float, protocol: str, uar_ci_low: float | None = None, uar_ci_high: float | None = None, **_: Any
) -> str:
    interval = "" if uar_ci_low is None or uar_ci_high is None else f" (95 % CI {uar_ci_low:.2f} to {uar_ci_high:.2f})"
    return f"UAR (mean recall over the emotions) {uar:.2f}{interval}: {protocol}"
