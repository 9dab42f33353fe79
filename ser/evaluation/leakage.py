"""How far a score may be believed: what known voices, leaked copies and the sound of corpora are worth.

Nothing here trains what is reported or saved: each forest is fitted, asked, and dropped. Conventions: every clip is
held out once, in one of `FOLDS` folds, and a UAR is that of all their answers; it is over the classes that occur.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.utils.class_weight import compute_sample_weight

from ser.dataset.clip_metadata import is_corrupted, is_unknown_speaker, n_known_speakers
from ser.dataset.selection import select_clips
from ser.evaluation.metrics import uar
from ser.params import Emotions
from ser.utils import seeding
from ser.utils.parallel import n_workers

COLUMNS = ("probe", "corpus", "uar", "clips", "speakers", "classes", "note")
FOLDS = 3
"""Of each corpus, whatever the run's own split, so that probes of different runs can be compared."""


@dataclass(frozen=True)
class _Forests:
    """Random forests on some functionals: (rows, features), of which tables say in the column `row` which is theirs."""

    vectors: npt.NDArray[np.float32]
    n_estimators: int
    seed: int

    def answers(
        self,
        clips: pd.DataFrame,
        *,
        target: str,
        fold: "pd.Series[int]",
        alike: Sequence[str] = (),
        taught: pd.DataFrame | None = None,
        apart: str = "original_id",
    ) -> "pd.Series[str]":
        """Tell the column `target` of the clips of each fold from what is learnt from others.

        `alike` are columns beside the target whose values get the same weight in all; `taught` are rows to learn from
        if not the clips themselves: those whose `apart` is no held-out clip.
        """
        pool = clips if taught is None else taught
        found = pd.Series("", index=clips.index)
        for _, test in clips.groupby(fold):
            train = pool[~pool[apart].isin(test.clip_id)]
            weights = compute_sample_weight("balanced", train.groupby([target, *alike]).ngroup())
            forest = self._forest(draws=train.original_id.nunique())
            forest.fit(self.vectors[train.row], train[target], sample_weight=weights)
            # Threads would add up the votes of trees in any order, and the last digit of a sum may decide.
            found[test.index] = forest.set_params(n_jobs=1).predict(self.vectors[test.row])
        return found

    def _forest(self, *, draws: int) -> RandomForestClassifier:
        """Make a forest that grows fast: few features a split, as hundreds say much the same; copies cost nothing."""
        return RandomForestClassifier(
            self.n_estimators,
            max_features="log2",
            max_samples=draws,
            n_jobs=n_workers(),
            random_state=seeding.derive_seed(self.seed, "probe", "forest"),
        )


def run_leakage_checks(
    clips: pd.DataFrame, vectors: npt.NDArray[np.float32], *, emotions: Emotions, n_estimators: int, seed: int
) -> pd.DataFrame:
    """Measure what a random split, copies of test clips and corpora that sound different are worth.

    Parameters
    ----------
    clips
        A clip table, with or without copies.
    vectors : (clips, features) float32
        Functionals of its rows.
    emotions
        The section `emotions` of the settings.
    n_estimators
        Trees of each forest.
    seed
        The run's.

    Returns
    -------
    DataFrame
        `COLUMNS`. `corpus` is empty for all clips together; a row of one corpus judges the same answers to its clips.
        `leak_clip` and `leak_speaker` tell emotions of random clips and of unseen speakers, `leak_augmented_*` of the
        same random clips with copies in training, `shortcut_corpus` and `shortcut_corpus_shared_emotions` tell the
        corpora of unseen speakers. A probe that the data cannot have has no rows.

    Raises
    ------
    UserError
        If fewer than two classes have clips.
    """
    chosen = select_clips(clips, emotions)[0][["clip_id", "emotion"]].rename(columns={"clip_id": "original_id"})
    usual = clips.drop(columns="emotion").assign(row=np.arange(len(clips)))[~is_corrupted(clips)]
    rows = usual.merge(chosen, on="original_id")
    forests = _Forests(vectors, n_estimators, seed)
    found = [*_leaks(rows, forests), *_shortcuts(rows[rows.augmentation == ""], forests)]
    return pd.DataFrame(found, columns=list(COLUMNS))


# Leaks ----------------------------------------------------------------------------------------------------------------


def _leaks(rows: pd.DataFrame, forests: _Forests) -> Iterator[dict[str, Any]]:
    """Hold out random clips and then speakers of the same data: of those corpora in which it is known who speaks."""
    unknown = sorted(rows.corpus[is_unknown_speaker(rows)].unique())
    known = rows[~rows.corpus.isin(unknown)]
    comparable = known.speaker.nunique() >= 2
    judged = known if comparable else rows
    originals = judged[judged.augmentation == ""]
    left_out = f"; left out, as nobody knows who speaks: {', '.join(unknown)}" if unknown and comparable else ""
    fold = _folds(originals, "clip_id", seed=forests.seed)
    answers = forests.answers(originals, target="emotion", fold=fold)
    yield from _scores("leak_clip", originals, answers, note=f"random clips held out{left_out}")
    if comparable:
        by_speaker = _folds(originals, "speaker", seed=forests.seed)
        answers = forests.answers(originals, target="emotion", fold=by_speaker)
        yield from _scores("leak_speaker", originals, answers, note=f"speakers held out{left_out}")
    if len(judged) > len(originals):
        yield from _demonstrate_augmenting_before_splitting(judged, forests, fold=fold)


def _demonstrate_augmenting_before_splitting(
    rows: pd.DataFrame, forests: _Forests, *, fold: "pd.Series[int]"
) -> Iterator[dict[str, Any]]:
    """Do on purpose what the pipeline never does: learn from copies of the very clips that are held out.

    A demonstration of what such a score would be, beside the one with copies of training clips only. What trains a
    model takes its rows from `ser.dataset.splits.assign_splits`, where copies follow their original.
    """
    originals = rows[rows.augmentation == ""]
    for when, apart, note in (
        ("after", "original_id", "random clips held out; copies of the others in training"),
        ("before", "clip_id", "a demonstration, not a result: copies of the held-out clips are in training"),
    ):
        answers = forests.answers(originals, target="emotion", fold=fold, taught=rows, apart=apart)
        yield from _scores(f"leak_augmented_{when}_split", originals, answers, note=note)


# Shortcuts ------------------------------------------------------------------------------------------------------------


def _shortcuts(clips: pd.DataFrame, forests: _Forests) -> Iterator[dict[str, Any]]:
    """Tell corpora apart by speakers who were not heard: if that is easy, a model may learn corpora for emotions."""
    left_out = sorted(set(clips.corpus) - set(_heard(clips).corpus))
    note = f"; left out, as fewer than two speakers are known: {', '.join(left_out)}" if left_out else ""
    n_corpora = _heard(clips).groupby("emotion").corpus.nunique()
    shared = clips[clips.emotion.isin(n_corpora.index[n_corpora == _heard(clips).corpus.nunique()])]
    for probe, among, alike in (
        ("shortcut_corpus", clips, []),
        ("shortcut_corpus_shared_emotions", shared, ["emotion"]),
    ):
        heard = _heard(among)
        if heard.corpus.nunique() >= 2:
            fold = _folds(heard, "speaker", seed=forests.seed)
            answers = forests.answers(heard, target="corpus", fold=fold, alike=alike)
            yield from _scores(probe, heard, answers, target="corpus", note=f"speakers held out{note}")


def _heard(clips: pd.DataFrame) -> pd.DataFrame:
    """Select corpora of which one known speaker can be held out while another is heard."""
    known = clips[~is_unknown_speaker(clips)]
    return known[known.groupby("corpus").speaker.transform("nunique") >= 2]


# Folds and scores -----------------------------------------------------------------------------------------------------


def _folds(clips: pd.DataFrame, by: str, *, seed: int) -> "pd.Series[int]":
    """Say in which fold each clip is held out; each corpus is cut by itself, into no more folds than it has groups.

    Each begins with another fold, so that corpora of one speaker each are not all held out at once.
    """
    parts = [
        (_cut(group, by, seed=seeding.derive_seed(seed, "probe", str(corpus), by)) + first) % FOLDS
        for first, (corpus, group) in enumerate(clips.groupby("corpus"))
    ]
    return pd.concat(parts).reindex(clips.index)


def _cut(clips: pd.DataFrame, by: str, *, seed: int) -> "pd.Series[int]":
    fold = pd.Series(0, index=clips.index)
    n_folds = min(FOLDS, clips[by].nunique())
    if n_folds < 2:
        return fold
    # scikit-learn refuses or complains of strata too small to be spread: they are counted as the largest.
    counts = clips.groupby("emotion").clip_id.transform("size")
    strata = clips.emotion.where(counts >= n_folds, clips.emotion.mode()[0])
    kind, groups = (StratifiedKFold, None) if by == "clip_id" else (StratifiedGroupKFold, clips[by])
    kfold = kind(n_splits=n_folds, shuffle=True, random_state=seed)
    for number, (_, test) in enumerate(kfold.split(clips, strata, groups)):
        fold.iloc[test] = number
    return fold


def _scores(
    probe: str, clips: pd.DataFrame, answers: "pd.Series[str]", *, note: str, target: str = "emotion"
) -> Iterator[dict[str, Any]]:
    """Judge answers to all clips, and where there are several corpora to those of each."""
    corpora = [(str(corpus), rows) for corpus, rows in clips.groupby("corpus")]
    for corpus, rows in [("", clips), *(corpora if len(corpora) > 1 else [])]:
        yield {
            "probe": probe,
            "corpus": corpus,
            "uar": uar(rows[target], answers[rows.index]),
            "clips": len(rows),
            "speakers": n_known_speakers(rows),
            "classes": clips[target].nunique() if target == "corpus" else rows.emotion.nunique(),
            "note": note,
        }


# Words ----------------------------------------------------------------------------------------------------------------


def describe_leakage(table: pd.DataFrame) -> list[str]:
    """Say what the probes found, for a report.

    Parameters
    ----------
    table
        As `run_leakage_checks` makes it, or as it is read from its CSV file.

    Returns
    -------
    list of str
        A sentence each on the random split, on copies of test clips, on each corpus, and on telling corpora apart; of
        these, what was measured.
    """
    scores = table.fillna({"corpus": ""})
    pooled = scores[scores.corpus == ""].set_index("probe")
    return [*_about_leaks(pooled.uar), *_about_corpora(scores), *_about_shortcuts(scores)]


def _about_leaks(uars: "pd.Series[float]") -> Iterator[str]:
    if {"leak_clip", "leak_speaker"} <= set(uars.index):
        clip, speaker = uars.leak_clip, uars.leak_speaker
        yield (
            f"A random forest has a UAR of {clip:.2f} on random clips and of {speaker:.2f} on unseen speakers: "
            f"a random split would {_more('flatter', clip, speaker)}. {_surprise(clip, speaker)}"
            "This is another forest than the leaderboard's, with other scores: it is not tuned, and is tested on "
            "clips of all splits, in folds of its own."
        )
    if "leak_augmented_before_split" in uars:
        before, after = uars.leak_augmented_before_split, uars.leak_augmented_after_split
        yield (
            f"Had one augmented before splitting, with copies of test clips in training, the forest would have "
            f"{before:.2f} on "
            f"random clips, instead of {after:.2f} with copies of training clips alone: this leak, which the pipeline "
            f"refuses, would {_more('flatter', before, after)}."
        )


def _surprise(clip: float, speaker: float) -> str:
    """Explain known voices that are understood worse than strangers, which nobody expects."""
    if round(100 * clip) >= round(100 * speaker):
        return ""
    return (
        "(Where each speaker says each sentence once an emotion, the training clips most like a test clip, of the same "
        "voice and sentence, are all of other emotions, and mislead.) "
    )


def _more(verb: str, one: float, other: float) -> str:
    """Compare two shares as they are shown, in points."""
    points = round(100 * one) - round(100 * other)
    return f"{verb} by {points} point{'s' * (points > 1)}" if points > 0 else f"not {verb} here"


def _about_corpora(scores: pd.DataFrame) -> Iterator[str]:
    rows = scores[(scores.probe == "leak_speaker") & (scores.corpus != "")]
    if len(rows):
        found = [f"{row.uar:.2f} on {row.corpus} ({row.classes} emotions)" for row in rows.itertuples()]
        yield f"Unseen speakers of each corpus, from training on all: {', '.join(found)}."


def _about_shortcuts(scores: pd.DataFrame) -> Iterator[str]:
    for probe, among in (
        ("shortcut_corpus", ""),
        ("shortcut_corpus_shared_emotions", " among the emotions that all corpora have"),
    ):
        rows = scores[scores.probe == probe]
        if len(rows):
            pooled, each = rows.iloc[0], [f"{row.uar:.2f} of {row.corpus}" for row in rows.iloc[1:].itertuples()]
            yield (
                f"The corpus of an unseen speaker is told with a UAR of {pooled.uar:.2f}{among} "
                f"(chance {1 / pooled.classes:.2f}): {', '.join(each)}."
            )
