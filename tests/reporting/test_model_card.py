"""The model card has intended use, data, scores, subgroup results, robustness, limitations and commands."""

from pathlib import Path

import pandas as pd

from ser.evaluation import summary
from ser.reporting import model_card
from ser.utils import provenance
from tests.helpers import factories

CLASSES = ["neutral", "happy", "sad"]
ROBUSTNESS = pd.DataFrame([{"condition": "telephone", "uar_clean": 0.333, "uar": 0.25, "clips": 9, "agreement": 0.5}])


def card(rows: pd.DataFrame, *corpora: str) -> str:
    table = pd.concat([rows, rows.assign(split="val")])
    settings = factories.settings(evaluate={"n_resamples": 100}).evaluate
    ranking = summary.leaderboard({"svm": summary.summarize(table, settings, seed=1)}, not_significantly_worse=["svm"])
    options = {"robustness": ROBUSTNESS, "protocol": "tested so", "notes": ["Beware."], "data": {"Languages": "de"}}
    return model_card.markdown(rows, ranking, styles=dict.fromkeys(corpora, "acted"), **options)


def test_card_describes_the_model() -> None:
    """Intervals and speakers are left out if there is one speaker, or speakers are unknown."""
    rows = factories.predicted(CLASSES * 4, ["neutral"] * 12, classes=CLASSES).assign(sex=["f", "m"] * 6)
    text = card(rows, "ravdess", "mine")
    parts = [
        "# Model card: svm\n",
        "UAR 0.333, accuracy 0.333",
        "**Beware.**",
        "\n- Languages: de\n",
        "Acted emotions are more intense",
        "CC BY-NC-SA 4.0",
        "Test set: 12 clips of 1 speaker.",
        "`mine`: custom recordings. Test set: no clips.",
        "UAR by sex: f 0.333 (6 clips), m 0.333 (6 clips).",
        "Not for decisions about people",
        "mu-law: UAR 0.333 → 0.250 (9 clips), prediction agreement 50%.",
        f"\n\n```\n{provenance.commands(Path('reports/model_card.md'))}```\n",
    ]
    assert [part for part in parts if part not in text] == []
    assert "over speakers" not in text
    text = card(rows.assign(speaker="ravdess-"), "ravdess", "mine")
    assert "Test set: 12 clips; speaker identity unknown." in text
    assert "Per-speaker UAR" not in text
