"""Write the model card of the best model (Mitchell et al. 2019, Model cards for model reporting)."""

from collections.abc import Mapping, Sequence

import pandas as pd

from ser import paths
from ser.corpora.base import known_corpora, load_corpus
from ser.dataset.clip_metadata import describe_unknown_speakers, n_known_speakers
from ser.evaluation import subgroups
from ser.evaluation.robustness import describe_condition
from ser.reporting import html_page
from ser.utils import provenance
from ser.utils.text import pluralize

NOT_FOR = (
    "Not for decisions about people, such as hiring, policing, insurance, health care, education or workplace "
    "monitoring, where emotion recognition is unlawful in some jurisdictions."
)
STYLES = {
    "acted": "Acted emotions are more intense than spontaneous ones.",
    "elicited": "Elicited emotions may differ from those of everyday speech.",
    "synthetic": "Synthetic speech says nothing about human speech.",
    "unknown": "The style of the speech of some corpora is unknown.",
}
LIMITS = (
    "The model always predicts one of its emotions, also for noise and for speech with none of them; "
    " only near-silent input gets "
    "no prediction.",
    "The model was tested on the languages, rooms and microphones of its corpora. Other conditions are not covered.",
    "Probabilities are calibrated on validation clips of the same corpora and are over-confident on other data.",
)


def markdown(
    rows: pd.DataFrame,
    ranking: pd.DataFrame,
    *,
    robustness: pd.DataFrame,
    protocol: str,
    notes: Sequence[str],
    data: Mapping[str, str],
    styles: Mapping[str, str],
) -> str:
    """Write the model card of the best model as Markdown.

    Parameters
    ----------
    rows
        Test rows of its prediction table.
    ranking
        Leaderboard, of `ser.evaluation.summary.leaderboard`.
    robustness
        Result of `ser.evaluation.robustness.evaluate_robustness` for the model.
    data
        Result of `ser.dataset.run_data.describe_data`.
    styles
        Corpora of the run -> style of the speech.
    """
    known = {"sex": rows[rows.sex != ""], "corpus": rows, "intensity": rows[rows.intensity != ""]}
    text = html_page.render(
        "model_card.md.j2",
        best=ranking.iloc[0],
        not_for=NOT_FOR,
        corpora=[
            f"{_describe_corpus(name)} Test set: {_counts(rows[rows.corpus == name])}." for name in sorted(styles)
        ],
        data=data,
        protocol=protocol,
        notes=notes,
        subgroups={
            column: subgroups.evaluate_by_group(group, column)
            for column, group in known.items()
            if group[column].nunique() > 1
        },
        robustness=robustness,
        limits=[*(text for style, text in STYLES.items() if style in styles.values()), *LIMITS],
        identified=provenance.INSTRUCTIONS,
        commands=provenance.commands(paths.MODEL_CARD_MD),
        describe_condition=describe_condition,
        pluralize=pluralize,
    )
    return f"{text}\n"


def _describe_corpus(name: str) -> str:
    if name not in known_corpora():
        return f"`{name}`: custom recordings."
    corpus = load_corpus(name)
    return f"`{name}`: {corpus.title}. License: {corpus.license_info}. {corpus.citation}."


def _counts(tested: pd.DataFrame) -> str:
    if tested.empty:
        return "no clips"
    unknown = describe_unknown_speakers(tested)
    speakers = f"; {unknown}" if unknown else f" of {pluralize(n_known_speakers(tested), 'speaker')}"
    return f"{pluralize(tested.clip_id.nunique(), 'clip')}{speakers}"
