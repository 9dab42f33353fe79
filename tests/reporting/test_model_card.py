"""The card says what a model is for, what it was made of, how well it does, for whom, and what it cannot."""

import pandas as pd

from ser.evaluation import summary
from ser.reporting import model_card
from ser.utils import provenance
from tests.helpers import factories

CLASSES = ["neutral", "happy", "sad"]
DISTURBED = pd.DataFrame([{"condition": "telephone", "uar_clean": 0.333, "uar": 0.25, "clips": 9, "agreement": 0.5}])


def card(rows: pd.DataFrame, *corpora: str) -> str:
    both = {"svm": pd.concat([rows, rows.assign(split="val")])}
    settings = factories.settings(evaluate={"n_resamples": 100}).evaluate
    numbers = {model: summary.summarize(table, settings, seed=1) for model, table in both.items()}
    board = summary.leaderboard(numbers, not_significantly_worse=["svm"])
    return model_card.markdown(
        rows, board, robustness=DISTURBED, protocol="tested so", notes=["Beware."], corpora=corpora
    )


def test_the_card_has_the_numbers_and_the_licence() -> None:
    """Score, warnings, licences, who is understood worse, and what it is not for."""
    rows = factories.predicted(CLASSES * 4, ["neutral"] * 12, classes=CLASSES)
    rows["sex"] = ["f", "m"] * 6
    said = card(rows, "ravdess", "mine")
    assert said.startswith("# Model card: svm\n")
    for part in (
        "UAR 0.333, accuracy 0.333",
        "**Beware.**",
        "CC BY-NC-SA 4.0",
        "Test set: 12 clips of 1 speaker.",
        "`mine`: custom recordings. Test set: no clips.",
        "UAR by sex: f 0.333 (6 clips), m 0.333 (6 clips).",
        "Not for decisions about people",
        "UAR 0.333 → 0.250 (9 clips), prediction agreement 50%.",
        f"{provenance.IDENTIFIED}\n\n```\n{provenance.commands('reports/model_card.md')}```\n",
    ):
        assert part in said
    assert "over speakers" not in said


def test_the_card_does_not_count_unknown_speakers() -> None:
    """Where nobody knows who speaks, the card says so and compares no speakers."""
    rows = factories.predicted(CLASSES * 4, ["neutral"] * 12, classes=CLASSES).assign(speaker="ravdess-")
    said = card(rows, "ravdess")
    assert "Test set: 12 clips; speaker identity unknown." in said
    assert "Per-speaker UAR" not in said
