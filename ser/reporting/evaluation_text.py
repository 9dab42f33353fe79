"""Sentences of the evaluation report: main result, warnings and descriptions of results.

`ranking` is a leaderboard of `ser.evaluation.summary.leaderboard`. `unknown` is the text of
`ser.dataset.clip_metadata.describe_unknown_speakers`, empty if all speakers are known.
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from ser.evaluation.bootstrap import MIN_SPEAKERS
from ser.reporting.evaluation_tables import format_score, not_testable
from ser.reporting.html_page import Callout
from ser.utils.text import join_names


def interval_name(speakers: int) -> str:
    """Name the interval of a score: a range with too few speakers for a confidence interval."""
    return f"{'95 % CI' if speakers >= MIN_SPEAKERS else 'range'} over {speakers} test speakers"


def describe_interval(ranking: pd.DataFrame, *, unknown: str) -> str:
    """Name the intervals of the scores, and the number of test speakers; or give the reason why there are none."""
    speakers = int(ranking.speakers.iloc[0])
    if unknown or speakers < 2:
        return f"no confidence interval: {unknown or 'one test speaker'}"
    return interval_name(speakers)


def headline(ranking: pd.DataFrame, *, classes: int, unknown: str) -> str:
    """Describe the best model: UAR, confidence interval and chance level."""
    best = ranking.iloc[0]
    subject = f"{best.model}{' has the highest UAR,' if len(ranking) > 1 else ': UAR'} {format_score(best.uar)}"
    limits = f": {format_score(best.uar_ci_low)} to {format_score(best.uar_ci_high)}"
    interval = f"{describe_interval(ranking, unknown=unknown)}{'' if pd.isna(best.uar_ci_low) else limits}"
    return f"{subject} ({interval}); chance level {format_score(1 / classes)}."


def describe_ties(ranking: pd.DataFrame, *, unknown: str) -> str:
    """Name the models that are not significantly worse than the best; empty if there is only one model."""
    if len(ranking) < 2:
        return ""
    if not_testable(ranking, unknown=unknown):
        reason = unknown or f"fewer than {MIN_SPEAKERS} test speakers"
        return f"Differences between models are not testable: {reason}."
    equal = list(ranking.model.iloc[1:][ranking.not_significantly_worse.iloc[1:]])
    return f"Not significantly worse: {join_names(equal)}." if equal else "All other models are significantly worse."


def warnings(ranking: pd.DataFrame, notes: Sequence[str], *, classes: int, unknown: str) -> list[Callout]:
    """Collect the warnings: those given, too few or unknown speakers, and scores near chance level."""
    best, chance = ranking.iloc[0], 1 / classes
    collected = [*map(_note, notes), *_few_speakers(ranking, unknown=unknown)]
    if best.uar <= chance or best.uar_ci_low <= chance:
        text = f"The UAR of the best model is not significantly above {format_score(chance)}."
        collected.append(Callout("Not significantly better than chance", text))
    return collected


def _note(text: str) -> Callout:
    title, colon, rest = text.partition(": ")
    return Callout(title, f"{rest[:1].upper()}{rest[1:]}") if colon else Callout("Note", text)


def _few_speakers(ranking: pd.DataFrame, *, unknown: str) -> list[Callout]:
    if not not_testable(ranking, unknown=unknown):
        return []
    title, speakers = describe_interval(ranking, unknown=unknown).capitalize(), int(ranking.speakers.iloc[0])
    remedy = "More folds test more speakers (split.folds in params.yaml)."
    if unknown:
        text = "The variation between speakers cannot be estimated, and differences between models are not testable."
    elif speakers < 2:
        text = f"Scores apply to this speaker only. Differences between models are not testable. {remedy}"
    else:
        title, coverage = f"Only {speakers} test speakers", 100 * (1 - 2.0 ** (1 - speakers))
        text = (
            f"Lower and upper limits are a range over {speakers} speakers, not a 95 % CI: their coverage is at most "
            f"{coverage:.0f} %. A 95 % CI needs at least {MIN_SPEAKERS} speakers. {remedy}"
        )
    return [Callout(title, text)]


def never_predicted(rows: pd.DataFrame, classes: Sequence[str]) -> str:
    """Name the emotions that a model never predicts, and those without test clips."""
    missing = {"Never predicted": set(rows.predicted), "No test clips": set(rows.emotion)}
    names = {title: [name for name in classes if name not in present] for title, present in missing.items()}
    return " ".join(f"{title}: {join_names(absent)}." for title, absent in names.items() if absent)


def alt_text(title: str, numbers: Mapping[str, float]) -> str:
    """Describe a figure by its title and key numbers, for screen readers."""
    listed = [f"{name} {format_score(value)}" for name, value in numbers.items() if not pd.isna(value)]
    return f"{title}: {', '.join(listed)}." if listed else f"{title}."
