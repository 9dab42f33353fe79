"""What the page of a report says in sentences: what came out, what to beware of, and what the numbers mean.

`unknown` are the words of `ser.dataset.clip_metadata.describe_unknown_speakers`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from ser.evaluation.bootstrap import MIN_SPEAKERS
from ser.evaluation.subgroups import gender_gap
from ser.reporting import html_page
from ser.reporting.evaluation_tables import format_score, uncertain
from ser.utils.text import join_names, shorten

PROBES = {
    "leak_clip": "random split: the same voices in training and test",
    "leak_augmented_after_split": "copies made after a random split, of training clips alone",
    "leak_augmented_before_split": "copies made before a random split, of test clips too",
    "leak_speaker": "unseen speakers",
    "shortcut_corpus": "which corpus a clip is from",
    "shortcut_corpus_shared_emotions": "which corpus a clip is from, among emotions that all have",
}
"""Rows of the probe's table -> what they are called."""

GLOSSARY = {
    "UAR": (
        "Unweighted average recall, or balanced accuracy: the share found of each emotion, averaged over the emotions, "
        "so that a frequent emotion does not flatter a model. Guessing gives 1 divided by their number.",
        "Schuller, Steidl & Batliner (2009), The Interspeech 2009 emotion challenge.",
    ),
    "interval": (
        "How far a number would vary with other speakers: speakers are drawn again and again, each with all clips, and "
        "95 % of such intervals should hold the true number. It says nothing about other languages or rooms, nor about "
        "training once more.",
        "Bisani & Ney (2004), Bootstrap estimates for confidence intervals in ASR performance evaluation; "
        "Field & Welsh (2007), Bootstrapping clustered data.",
    ),
    "p (McNemar)": (
        "How often chance alone would make two equally good models differ by as many clips, looking at clips that only "
        "one of them got right; adjusted for the number of pairs. It takes clips as independent, which those of one "
        "speaker are not: hence the interval over speakers beside it.",
        "McNemar (1947); Dietterich (1998), Approximate statistical tests for comparing supervised classification "
        "learning algorithms; Holm (1979), A simple sequentially rejective multiple test procedure.",
    ),
    "ECE": (
        "Expected calibration error: how far the probability of an answer is from the share of such answers that is "
        "right, on average. A temperature, fitted on validation clips, softens or sharpens the probabilities; the "
        "answers stay.",
        "Guo, Pleiss, Sun & Weinberger (2017), On calibration of modern neural networks.",
    ),
    "ROC-AUC": (
        "How often a clip of the emotion gets a higher probability for it than a clip of another: 1 is perfect, 0.5 is "
        "chance.",
        "Hanley & McNeil (1982), The meaning and use of the area under a receiver operating characteristic curve.",
    ),
    "kappa": (
        "Agreement with the labels beyond what chance gives: 1 is perfect, 0 is chance.",
        "Cohen (1960), A coefficient of agreement for nominal scales.",
    ),
}
"""Number -> what it means, and who says so."""


def headline(table: pd.DataFrame, *, classes: int, unknown: str) -> str:
    """Say in a sentence which model is best, and how sure that is."""
    best = table.iloc[0]
    found = f"{best.model}{' has the highest UAR,' if len(table) > 1 else ': UAR'}"
    chance = format_score(1 / classes)
    return f"{found} {format_score(best.uar)} ({_interval(best, unknown=unknown)}); guessing gives {chance}."


def _interval(judged: Any, *, unknown: str) -> str:
    speakers = int(judged.speakers)
    limits = f"{format_score(judged.uar_low)} to {format_score(judged.uar_high)}"
    if unknown:
        return f"no interval, as {unknown}"
    if speakers < 2:
        return "no interval: one test speaker"
    if speakers < MIN_SPEAKERS:
        return f"a range over {speakers} speakers: {limits}"
    return f"95 % interval over {speakers} speakers: {limits}"


def describe_ties(table: pd.DataFrame, *, unknown: str) -> str:
    """Say which models are not shown to be worse than the best; nothing where there is one model."""
    if len(table) < 2:
        return ""
    if unknown:
        return f"As {unknown}, no model can be told from another."
    if uncertain(table):
        return f"With fewer than {MIN_SPEAKERS} test speakers, no model can be told from another."
    tied = list(table.model.iloc[1:][table.tied_with_best.iloc[1:]])
    if not tied:
        return "Each other model is shown to be worse."
    return f"Not shown to be worse: {join_names(tied)}."


def leaks(probe: pd.DataFrame) -> str:
    """Say what the probe of leaks did: two things to compare, or one where no speakers could be held out."""
    careless = "A cheap model is trained and tested as careless studies do, with the same voices in training and test"
    if (probe.probe == "leak_speaker").any():
        rest = ", and on speakers it never heard. What the first gains over the second is not recognition of emotion."
    else:
        rest = ". What it gains by that cannot be said: it takes two known speakers to test on one it never heard."
    apart = "not with the leaderboard, whose models are tuned, and tested on the test part alone"
    return f"{careless}{rest} Numbers are comparable with each other, {apart}."


# What to beware of ----------------------------------------------------------------------------------------------------


def warnings(table: pd.DataFrame, notes: Sequence[str], *, classes: int, unknown: str) -> list[html_page.Callout]:
    """Collect what must be read before the numbers: notes given, few speakers, and no better than guessing."""
    few = _few(int(table.speakers.iloc[0]), unknown=unknown)
    return [*map(_note, notes), *few, *_guessing(table.iloc[0], chance=1 / classes)]


def _note(text: str) -> html_page.Callout:
    """Set what stands before the first colon apart."""
    title, colon, rest = text.partition(": ")
    return (
        html_page.Callout(title, f"{rest[:1].upper()}{rest[1:]}")
        if colon
        else html_page.Callout("To be known first", text)
    )


def _few(speakers: int, *, unknown: str) -> Iterator[html_page.Callout]:
    remedy = "More folds test more speakers (split.folds in params.yaml)."
    if unknown:
        text = "How far a number would vary with other voices cannot be said, nor which model is really better."
        yield html_page.Callout(f"No interval, as {unknown}", text)
    elif speakers < 2:
        yield html_page.Callout(
            "One test speaker",
            "Nothing says how another voice would do, so that there is no interval, and no difference between models "
            f"is shown. {remedy}",
        )
    elif speakers < MIN_SPEAKERS:
        most = 1 - 2.0 ** (1 - speakers)
        yield html_page.Callout(
            f"Only {speakers} test speakers",
            f"The limits beside a number are a range over these {speakers} and no confidence interval: they are too "
            f"narrow, as at most {100 * most:.0f} % of such ranges hold the true number. "
            f"For 95 % it takes {MIN_SPEAKERS} "
            f"speakers. {remedy}",
        )


def _guessing(best: Any, *, chance: float) -> Iterator[html_page.Callout]:
    if best.uar <= chance or best.uar_low <= chance:
        text = f"Even the best model's UAR may be that of guessing, {format_score(chance)}."
        yield html_page.Callout("Not shown to be better than guessing", text)


# Of one model ---------------------------------------------------------------------------------------------------------


def never_predicted(rows: pd.DataFrame, classes: Sequence[str]) -> str:
    """Name the emotions that a model never answers, and those that no test clip has."""
    answered, occurring = set(rows.predicted), set(rows.emotion)
    never = [name for name in classes if name not in answered]
    absent = [name for name in classes if name not in occurring]
    said = [f"Never answered: {join_names(never)}."] if never else []
    return " ".join(said + ([f"In no test clip: {join_names(absent)}."] if absent else []))


def describe_speaker_range(found: pd.DataFrame, *, unknown: str) -> str:
    """Say who is understood worst and best, of those who are known."""
    if len(found) < 2 and unknown:
        return f"{unknown.capitalize()}, so that speakers cannot be compared."
    if len(found) < 2:
        return "There is one test speaker, so that there is nothing to compare."
    worst, best = found.iloc[0], found.iloc[-1]
    left = f"{unknown.capitalize()}; of the others: t" if unknown else "T"
    return (
        f"{left}he worst understood speaker, {shorten(worst.value)}, gets a UAR of {format_score(worst.uar)}, "
        f"the best, "
        f"{shorten(best.value)}, {format_score(best.uar)}: a spread of {format_score(best.uar - worst.uar)}."
    )


def sexes(rows: pd.DataFrame) -> str:
    """Say how much better one sex is understood."""
    gap = gender_gap(rows) if "sex" in rows else float("nan")
    if pd.isna(gap):
        return "Not both sexes are known to be heard in test, so that they cannot be compared."
    if round(gap, 3) == 0:
        return "Women and men are understood equally well."
    better, other = ("Women", "men") if gap > 0 else ("Men", "women")
    chance = "It may be chance, the likelier the fewer speakers."
    return f"{better} get a UAR that is {format_score(abs(gap))} above that of {other}. {chance}"


def alt(what: str, numbers: Mapping[str, float], *, most: int = 8) -> str:
    """Say to those who cannot see a picture what it shows, with its key numbers."""
    shown = [f"{name} {format_score(value)}" for name, value in numbers.items() if not pd.isna(value)][:most]
    more = " and others" if len(numbers) > most else ""
    return f"{what}: {', '.join(shown)}{more}." if shown else f"{what}."
