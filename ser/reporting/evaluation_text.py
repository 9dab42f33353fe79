"""Sentences of the evaluation report: main result, warnings, descriptions of results and the glossary.

`ranking` has one row per model, best first, as `ser.reporting.evaluation_report.write` takes it. `unknown` is the text
of `ser.dataset.clip_metadata.describe_unknown_speakers`, empty if all speakers are known.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from ser.evaluation.bootstrap import MIN_SPEAKERS
from ser.evaluation.subgroups import uar_sex_gap
from ser.reporting import html_page
from ser.reporting.evaluation_tables import format_score, not_testable
from ser.utils.text import join_names, shorten

LEAKAGE_CHECKS = {
    "leak_clip": "random split: seen speakers",
    "leak_augmented_after_split": "random split, then augmentation of the training clips",
    "leak_augmented_before_split": "augmentation before the random split: augmented test clips in training",
    "leak_speaker": "speaker-independent split: unseen speakers",
    "shortcut_corpus": "corpus identification",
    "shortcut_corpus_shared_emotions": "corpus identification, emotions of all corpora only",
}
"""Checks in reports/leakage.csv, and their names in the report."""

GLOSSARY = {
    "UAR": (
        "Unweighted average recall (balanced accuracy): the mean of the recalls of all emotions, so that frequent "
        "emotions do not dominate. Chance level is 1 divided by the number of emotions.",
        "Schuller, Steidl & Batliner (2009), The Interspeech 2009 emotion challenge.",
    ),
    "95 % CI": (
        "Confidence interval by a cluster bootstrap over speakers: speakers are resampled with all their clips. It "
        "covers the variation between speakers, not other languages, recording conditions or training runs.",
        "Bisani & Ney (2004), Bootstrap estimates for confidence intervals in ASR performance evaluation; "
        "Field & Welsh (2007), Bootstrapping clustered data.",
    ),
    "p (McNemar, Holm)": (
        "Exact McNemar test on the clips that only one of two models classifies correctly, with Holm correction for "
        "the number of pairs. It treats clips as independent, although clips of one speaker are correlated; "
        "significance therefore also requires that the confidence interval excludes zero.",
        "McNemar (1947); Dietterich (1998), Approximate statistical tests for comparing supervised classification "
        "learning algorithms; Holm (1979), A simple sequentially rejective multiple test procedure.",
    ),
    "ECE": (
        "Expected calibration error: the mean absolute difference between confidence and accuracy over bins of "
        "confidence. Temperature scaling, fitted on validation clips, changes the probabilities but not the predicted "
        "emotions.",
        "Guo, Pleiss, Sun & Weinberger (2017), On calibration of modern neural networks.",
    ),
    "ROC-AUC": (
        "Area under the ROC curve, one emotion versus the rest: the probability that a clip of the emotion is ranked "
        "above a clip of another emotion. 1 is perfect, 0.5 is chance level.",
        "Hanley & McNeil (1982), The meaning and use of the area under a receiver operating characteristic curve.",
    ),
    "Cohen's kappa": (
        "Agreement with the labels beyond chance: 1 is perfect, 0 is chance level.",
        "Cohen (1960), A coefficient of agreement for nominal scales.",
    ),
    "Top-2 accuracy": ("Fraction of clips whose emotion is among the two most probable ones.", ""),
}
"""Term, its definition and a reference."""


def headline(ranking: pd.DataFrame, *, classes: int, unknown: str) -> str:
    """Describe the best model: UAR, confidence interval and chance level."""
    best = ranking.iloc[0]
    subject = f"{best.model}{' has the highest UAR,' if len(ranking) > 1 else ': UAR'}"
    chance = format_score(1 / classes)
    return f"{subject} {format_score(best.uar)} ({_interval(best, unknown=unknown)}); chance level {chance}."


def _interval(scores: Any, *, unknown: str) -> str:
    speakers = int(scores.speakers)
    limits = f"{format_score(scores.uar_ci_low)} to {format_score(scores.uar_ci_high)}"
    if unknown:
        return f"no confidence interval: {unknown}"
    if speakers < 2:
        return "no confidence interval: one test speaker"
    if speakers < MIN_SPEAKERS:
        return f"range over {speakers} speakers: {limits}"
    return f"95 % CI over {speakers} speakers: {limits}"


def describe_ties(ranking: pd.DataFrame, *, unknown: str) -> str:
    """Name the models that are not significantly worse than the best; empty if there is only one model."""
    if len(ranking) < 2:
        return ""
    if not_testable(ranking, unknown=unknown):
        reason = unknown or f"fewer than {MIN_SPEAKERS} test speakers"
        return f"Differences between models are not testable: {reason}."
    equal = list(ranking.model.iloc[1:][ranking.not_significantly_worse.iloc[1:]])
    return f"Not significantly worse: {join_names(equal)}." if equal else "All other models are significantly worse."


def describe_leakage_checks(leakage: pd.DataFrame) -> str:
    """Explain what the leakage checks compare."""
    if (leakage.probe == "leak_speaker").any():
        design = (
            "on a random split with the same speakers in training and test, and on a speaker-independent split. The "
            "difference is the optimism of the random split."
        )
    else:
        design = (
            "on a random split with the same speakers in training and test. Its optimism cannot be measured: a "
            "speaker-independent split needs at least two known speakers."
        )
    return (
        f"A random forest is trained and tested {design} These scores are comparable with each other, but not with the "
        "leaderboard, whose models are tuned and evaluated on the test split only."
    )


# Warnings -------------------------------------------------------------------------------------------------------------


def warnings(ranking: pd.DataFrame, notes: Sequence[str], *, classes: int, unknown: str) -> list[html_page.Callout]:
    """Collect the warnings: those given, too few or unknown speakers, and scores near chance level."""
    few = _few_speakers(int(ranking.speakers.iloc[0]), unknown=unknown)
    return [*map(_note, notes), *few, *_near_chance(ranking.iloc[0], chance=1 / classes)]


def _note(text: str) -> html_page.Callout:
    """Use the text before the first colon as the title."""
    title, colon, rest = text.partition(": ")
    return html_page.Callout(title, f"{rest[:1].upper()}{rest[1:]}") if colon else html_page.Callout("Note", text)


def _few_speakers(speakers: int, *, unknown: str) -> Iterator[html_page.Callout]:
    remedy = "More folds test more speakers (split.folds in params.yaml)."
    if unknown:
        text = "The variation between speakers cannot be estimated, and differences between models are not testable."
        yield html_page.Callout(f"No confidence interval: {unknown}", text)
    elif speakers < 2:
        text = f"Scores apply to this speaker only. Differences between models are not testable. {remedy}"
        yield html_page.Callout("No confidence interval: one test speaker", text)
    elif speakers < MIN_SPEAKERS:
        coverage = 100 * (1 - 2.0 ** (1 - speakers))
        text = (
            f"Lower and upper limits are a range over {speakers} speakers, not a 95 % CI: their coverage is at most "
            f"{coverage:.0f} %. A 95 % CI needs at least {MIN_SPEAKERS} speakers. {remedy}"
        )
        yield html_page.Callout(f"Only {speakers} test speakers", text)


def _near_chance(best: Any, *, chance: float) -> Iterator[html_page.Callout]:
    if best.uar <= chance or best.uar_ci_low <= chance:
        text = f"The UAR of the best model is not significantly above {format_score(chance)}."
        yield html_page.Callout("Not significantly better than chance", text)


# Results of a model ---------------------------------------------------------------------------------------------------


def never_predicted(rows: pd.DataFrame, classes: Sequence[str]) -> str:
    """Name the emotions that a model never predicts, and those without test clips."""
    missing = {"Never predicted": set(rows.predicted), "No test clips": set(rows.emotion)}
    names = {title: [name for name in classes if name not in present] for title, present in missing.items()}
    return " ".join(f"{title}: {join_names(absent)}." for title, absent in names.items() if absent)


def describe_speaker_range(scores: pd.DataFrame, *, unknown: str) -> str:
    """Name the speakers with the lowest and the highest UAR, from a table of known speakers, lowest UAR first."""
    prefix = f"{unknown.capitalize()}. " if unknown else ""
    if len(scores) < 2:
        return f"{prefix}Speakers cannot be compared." if unknown else "Only one test speaker."
    low, high = scores.iloc[0], scores.iloc[-1]
    ends = [f"{shorten(end.value)}: {format_score(end.uar)}" for end in (low, high)]
    difference = format_score(high.uar - low.uar)
    return f"{prefix}Lowest per-speaker UAR {ends[0]}; highest {ends[1]}; difference {difference}."


def describe_sex_gap(rows: pd.DataFrame) -> str:
    """Describe the difference between the UAR of female and of male speakers."""
    gap = uar_sex_gap(rows) if "sex" in rows else float("nan")
    if pd.isna(gap):
        return "Gap by sex: not available; the test clips do not have known speakers of both sexes."
    if round(gap, 3) == 0:
        return "No gap by sex."
    higher, lower = ("female", "male") if gap > 0 else ("male", "female")
    text = f"Gap by sex: UAR is {format_score(abs(gap))} higher for {higher} than for {lower} speakers."
    return f"{text} With few speakers, the gap may be due to chance."


def alt_text(title: str, numbers: Mapping[str, float], *, max_numbers: int = 8) -> str:
    """Describe a figure by its title and key numbers, for screen readers."""
    shown = [f"{name} {format_score(value)}" for name, value in numbers.items() if not pd.isna(value)][:max_numbers]
    more = " and others" if len(numbers) > max_numbers else ""
    return f"{title}: {', '.join(shown)}{more}." if shown else f"{title}."
