"""The web page of the service: record or upload a voice, see the prediction and its limitations."""

from collections.abc import Mapping, Sequence
from typing import Any

from ser.corpora.base import is_synthetic
from ser.inference.quality_flags import FLAGS
from ser.reporting import html_page, plots
from ser.reporting.data_warnings import synthetic
from ser.reporting.evaluation_text import interval_name
from ser.reporting.model_card import LIMITS, NOT_FOR

CSP_EXTRA = "connect-src 'self'; media-src blob:; img-src data:"
"""Besides its own script and style, the page may call this service and play the recording."""
TITLES = ("Acted emotions", "Test conditions", "Probabilities", "Intended use")


def page(card: Mapping[str, Any], *, emotions: Sequence[str], limits: Mapping[str, Any]) -> tuple[str, str]:
    """Render the page for the metadata and labels of a model, and return it with its Content-Security-Policy."""
    origin = card.get("origin", {})
    corpora, scores = origin.get("corpora", []), origin.get("scores") or {}
    low, high = scores.get("uar_ci_low"), scores.get("uar_ci_high")
    interval = "" if low is None or high is None else f" ({low:.2f} to {high:.2f}, {interval_name(scores['speakers'])})"
    facts = {
        "Name": card.get("model"),
        "Trained on": ", ".join(corpora),
        "Evaluation": scores
        and f"UAR (mean recall over the emotions) {scores['uar']:.2f}{interval}: {scores['protocol']}",
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
