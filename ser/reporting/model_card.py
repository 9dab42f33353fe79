"""Write the model card of the best model (Mitchell et al. 2019, Model cards for model reporting)."""

from collections.abc import Mapping, Sequence

import pandas as pd

from ser import paths
from ser.corpora.base import known_corpora, load_corpus
from ser.dataset.clip_metadata import describe_unknown_speakers, n_known_speakers
from ser.evaluation import subgroups
from ser.evaluation.robustness import describe_condition
from ser.utils import provenance
from ser.utils.text import pluralize

PURPOSE = "For research, teaching, and comparing methods under the same protocol."
NOT_FOR = (
    "Not for decisions about people, such as hiring, policing, insurance, health care, education or workplace "
    "monitoring, where emotion recognition is unlawful in some jurisdictions."
)
LIMITS = (
    "The training and test recordings are acted. Acted emotions are more intense than spontaneous ones. The model "
    "always predicts one of its emotions, also for noise and for speech with none of them; only near-silent input gets "
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
    corpora: Sequence[str],
) -> str:
    """Write the model card of the best model as Markdown.

    Parameters
    ----------
    rows
        Test rows of its prediction table.
    ranking
        Leaderboard, of `ser.evaluation.summary.leaderboard`; the first row is the model's.
    robustness
        Result of `ser.evaluation.robustness.evaluate_robustness` for the model.
    protocol, notes
        Evaluation protocol, and warnings.
    corpora
        Corpora of the run.
    """
    best = ranking.iloc[0]
    commands = provenance.commands(paths.MODEL_CARD_MD).splitlines()
    sections = {
        "Intended use": [f"{PURPOSE} {NOT_FOR}"],
        "Data": [
            f"- {_describe_corpus(name)} Test set: {_counts(rows[rows.corpus == name])}." for name in sorted(corpora)
        ],
        "Evaluation": _scores(best, protocol=protocol, notes=notes),
        "Bias and subgroup results": _subgroups(rows, best),
        "Robustness": _robustness(robustness),
        "Limitations": [f"- {line}" for line in LIMITS],
        "Reproducibility": [provenance.INSTRUCTIONS, "", "```", *commands, "```"],
    }
    body = [line for title, lines in sections.items() for line in ("", f"## {title}", "", *lines)]
    return "\n".join([f"# Model card: {best.model}", *body]) + "\n"


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


def _scores(best: pd.Series, *, protocol: str, notes: Sequence[str]) -> list[str]:
    limits = "" if pd.isna(best.uar_ci_low) else f" (over speakers: {best.uar_ci_low:.3f} to {best.uar_ci_high:.3f})"
    return [
        f"{protocol[0].upper()}{protocol[1:]}. UAR {best.uar:.3f}{limits}, accuracy {best.accuracy:.3f}, macro F1 "
        f"{best.f1:.3f}, ECE {best.ece:.3f}.",
        *(line for note in notes for line in ("", f"**{note}**")),
    ]


def _subgroups(rows: pd.DataFrame, best: pd.Series) -> list[str]:
    known = {"sex": rows[rows.sex != ""], "corpus": rows, "intensity": rows[rows.intensity != ""]}
    tables: Mapping[str, pd.DataFrame] = {
        column: subgroups.evaluate_by_group(group, column)
        for column, group in known.items()
        if group[column].nunique() > 1
    }
    lines = [
        f"- UAR by {column}: "
        + ", ".join(f"{row.value} {row.uar:.3f} ({pluralize(row.clips, 'clip')})" for row in table.itertuples())
        + "."
        for column, table in tables.items()
    ]
    if best.speakers > 1:
        lines.append(f"- Per-speaker UAR: lowest {best.uar_worst_speaker:.3f}, highest {best.uar_best_speaker:.3f}.")
    return [*lines, "- Not evaluated: age, dialect, ethnicity and health of the speakers."]


def _robustness(scores: pd.DataFrame) -> list[str]:
    if scores.empty:
        return ["Not evaluated."]
    lines = [
        f"- {describe_condition(row.condition)}: UAR {row.uar_clean:.3f} → {row.uar:.3f} ({row.clips} clips), "
        f"prediction agreement {row.agreement:.0%}."
        for row in scores.itertuples()
    ]
    return ["UAR on original and on corrupted test clips, with the fraction of equal predictions.", "", *lines]
