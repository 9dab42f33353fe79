"""The model card: what the best model is for, what it was made of, how well it does and for whom, and its limits."""

from collections.abc import Mapping, Sequence

import pandas as pd

from ser import paths
from ser.corpora.base import known_corpora, load_corpus
from ser.dataset.clip_metadata import describe_unknown_speakers, n_known_speakers
from ser.evaluation import subgroups
from ser.evaluation.robustness import describe_condition
from ser.utils import provenance
from ser.utils.text import pluralize

PURPOSE = "Meant for research and teaching, and for comparing methods on the same protocol."
NOT_FOR = (
    "Not meant for decisions about people: not for hiring, policing, insurance, health, schools or monitoring at work, "
    "where inferring emotions is unlawful in some places."
)
LIMITS = (
    "The recordings are acted: actors show one emotion clearly, and people who feel one often do not. The model always "
    "answers one of its emotions, also to speech that has none of them and to noise; only where next to nothing is to "
    "be heard, predict.py and the service do not ask it.",
    "It was tested in the languages, rooms and microphones of its corpora, and says nothing about others.",
    "A probability is calibrated on validation clips of the same corpora; elsewhere it promises too much.",
)


def markdown(
    rows: pd.DataFrame,
    board: pd.DataFrame,
    *,
    robustness: pd.DataFrame,
    protocol: str,
    notes: Sequence[str],
    corpora: Sequence[str],
) -> str:
    """Write the card of the best model.

    Parameters
    ----------
    rows
        Its test rows.
    board
        As `ser.evaluation.summary.leaderboard` makes it; the first row is the model's.
    robustness
        As `ser.evaluation.robustness.evaluate_robustness` makes it, of the model.
    protocol, notes
        What was tested on what, and warnings.
    corpora
        Of the run.
    """
    best = board.iloc[0]
    sections = {
        "Intended use": [f"{PURPOSE} {NOT_FOR}"],
        "Data": [f"- {line}" for line in _data(corpora, rows)],
        "How well": _scores(best, protocol=protocol, notes=notes),
        "For whom": _fairness(rows, best),
        "What disturbs it": _robustness(robustness),
        "Limits": [f"- {line}" for line in LIMITS],
        "How to make it again": _again(),
    }
    body = [line for title, lines in sections.items() for line in ("", f"## {title}", "", *lines)]
    return "\n".join([f"# Model card: {best.model}", *body]) + "\n"


def _data(corpora: Sequence[str], rows: pd.DataFrame) -> list[str]:
    return [f"{_about(name)} Tested on {_counts(rows[rows.corpus == name])}." for name in sorted(corpora)]


def _about(name: str) -> str:
    if name not in known_corpora():
        return f"`{name}`: the user's own recordings."
    facts = load_corpus(name)
    return f"`{name}`: {facts.title}. Licence: {facts.license_info}. {facts.citation}."


def _counts(tested: pd.DataFrame) -> str:
    if tested.empty:
        return "none of its clips"
    unknown = describe_unknown_speakers(tested)
    who = f"; {unknown}" if unknown else f" of {pluralize(n_known_speakers(tested), 'speaker')}"
    return f"{pluralize(tested.clip_id.nunique(), 'clip')}{who}"


def _scores(best: pd.Series, *, protocol: str, notes: Sequence[str]) -> list[str]:
    interval = "" if pd.isna(best.uar_low) else f" (over speakers: {best.uar_low:.3f} to {best.uar_high:.3f})"
    return [
        f"{protocol[0].upper()}{protocol[1:]}. UAR {best.uar:.3f}{interval}, accuracy {best.accuracy:.3f}, macro F1 "
        f"{best.f1:.3f}, calibration error {best.ece:.3f}.",
        *(line for note in notes for line in ("", f"**{note}**")),
    ]


def _fairness(rows: pd.DataFrame, best: pd.Series) -> list[str]:
    """Say who is understood worse, as far as the corpora know who speaks."""
    known = {"sex": rows[rows.sex != ""], "corpus": rows, "intensity": rows[rows.intensity != ""]}
    tables: Mapping[str, pd.DataFrame] = {
        column: subgroups.evaluate_by_group(some, column)
        for column, some in known.items()
        if some[column].nunique() > 1
    }
    lines = [
        f"- By {column}: "
        + ", ".join(f"{row.value} {row.uar:.3f} ({pluralize(row.clips, 'clip')})" for row in table.itertuples())
        + "."
        for column, table in tables.items()
    ]
    if best.speakers > 1:
        lines.append(f"- Speakers: worst {best.uar_worst_speaker:.3f}, best {best.uar_best_speaker:.3f} UAR.")
    return [*lines, "- Age, dialect, origin and health of the speakers were not looked at."]


def _robustness(found: pd.DataFrame) -> list[str]:
    if found.empty:
        return ["Not tested."]
    return [
        "Some test clips, altered and preprocessed once more; UAR of the same clips before and after.",
        "",
        *(
            f"- {describe_condition(row.condition)}: {row.uar_clean:.3f} before, {row.uar:.3f} after "
            f"({row.clips} clips); "
            f"{row.unchanged:.0%} of the answers stayed the same."
            for row in found.itertuples()
        ),
    ]


def _again() -> list[str]:
    commands = provenance.commands(paths.MODEL_CARD_MD).splitlines()
    return [provenance.IDENTIFIED, "", "```", *commands, "```"]
