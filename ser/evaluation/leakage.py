"""Check for data leakage and for corpus shortcuts with random forests on the functionals.

The forests are not saved, and their scores are not part of the leaderboard. Each clip is held out once, in one of
`FOLDS` folds, and UAR is computed from the predictions of all folds together, over the classes that occur.
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
"""Folds of each corpus; independent of the split of the run, so that results of runs are comparable."""
_SEED_KEY = "probe"


@dataclass(frozen=True)
class _CrossValPredictor:
    """Predict with random forests in cross-validation; the column `row` of clip tables is an index of `vectors`."""

    vectors: npt.NDArray[np.float32]
    n_estimators: int
    seed: int

    def predict(
        self,
        clips: pd.DataFrame,
        *,
        target: str,
        fold: "pd.Series[int]",
        balance_by: Sequence[str] = (),
        train_on: pd.DataFrame | None = None,
        exclude_by: str = "original_id",
    ) -> "pd.Series[str]":
        """Predict the column `target` of the clips of each fold.

        Combinations of the target and the columns `balance_by` are weighted equally. Training rows are `train_on`, by
        default `clips`, without those whose `exclude_by` is a held-out clip.
        """
        pool = clips if train_on is None else train_on
        predicted = pd.Series("", index=clips.index)
        for _, test in clips.groupby(fold):
            train = pool[~pool[exclude_by].isin(test.clip_id)]
            weights = compute_sample_weight("balanced", train.groupby([target, *balance_by]).ngroup())
            forest = RandomForestClassifier(
                self.n_estimators,
                max_features="log2",  # faster than sqrt with hundreds of correlated features
                max_samples=train.original_id.nunique(),  # augmented clips do not slow down training
                n_jobs=n_workers(),
                random_state=seeding.derive_seed(self.seed, _SEED_KEY, "forest"),
            )
            forest.fit(self.vectors[train.row], train[target], sample_weight=weights)
            # threads would add the votes of trees in any order, and the last digit of the sum may decide
            predicted[test.index] = forest.set_params(n_jobs=1).predict(self.vectors[test.row])
        return predicted


def run_leakage_checks(
    clips: pd.DataFrame, vectors: npt.NDArray[np.float32], *, emotions: Emotions, n_estimators: int, seed: int
) -> pd.DataFrame:
    """Measure the effect of speaker leakage, augmentation leakage and corpus shortcuts.

    Parameters
    ----------
    clips : DataFrame
        A clip table, with or without augmented clips.
    vectors : ndarray of shape (n_clips, n_features)
        Functionals of the rows of `clips`.
    emotions, n_estimators, seed
        Classes of the run; number of trees of each forest; seed of folds and forests.

    Returns
    -------
    DataFrame
        `COLUMNS`, one row per check for all corpora (`corpus` is empty) and one per corpus. `leak_clip` and
        `leak_speaker` classify emotions of random clips and of unseen speakers; `leak_augmented_*` random clips with
        augmented clips in training; `shortcut_corpus` and `shortcut_corpus_shared_emotions` classify the corpus of
        unseen speakers. Checks that the data do not allow have no rows.

    Raises
    ------
    UserError
        If fewer than two classes have clips.
    """
    chosen = select_clips(clips, emotions)[0][["clip_id", "emotion"]].rename(columns={"clip_id": "original_id"})
    usable = clips.drop(columns="emotion").assign(row=np.arange(len(clips)))[~is_corrupted(clips)]
    rows = usable.merge(chosen, on="original_id")
    predictor = _CrossValPredictor(vectors, n_estimators, seed)
    results = [*_check_leaks(rows, predictor), *_check_shortcuts(rows[rows.augmentation == ""], predictor)]
    return pd.DataFrame(results, columns=list(COLUMNS))


def _check_leaks(rows: pd.DataFrame, predictor: _CrossValPredictor) -> Iterator[dict[str, Any]]:
    """Compare random with speaker-independent folds, on the corpora with known speakers, and test augmented clips."""
    unknown = sorted(rows.corpus[is_unknown_speaker(rows)].unique())
    known = rows[~rows.corpus.isin(unknown)]
    comparable = known.speaker.nunique() >= 2
    rows = known if comparable else rows
    originals = rows[rows.augmentation == ""]
    excluded = f"; excluded, as speakers are unknown: {', '.join(unknown)}" if unknown and comparable else ""
    fold = _folds(originals, "clip_id", seed=predictor.seed)
    predicted = predictor.predict(originals, target="emotion", fold=fold)
    yield from _score("leak_clip", originals, predicted, note=f"random clips held out{excluded}")
    if comparable:
        by_speaker = _folds(originals, "speaker", seed=predictor.seed)
        predicted = predictor.predict(originals, target="emotion", fold=by_speaker)
        yield from _score("leak_speaker", originals, predicted, note=f"speakers held out{excluded}")
    if len(rows) == len(originals):
        return
    # "before" does on purpose what `ser.dataset.splits.assign_splits` prevents: augmented test clips are in training
    for when, exclude_by, note in (
        ("after", "original_id", "random clips held out; augmented training clips in training"),
        ("before", "clip_id", "demonstration only: augmented clips of the held-out clips are in training"),
    ):
        predicted = predictor.predict(originals, target="emotion", fold=fold, train_on=rows, exclude_by=exclude_by)
        yield from _score(f"leak_augmented_{when}_split", originals, predicted, note=note)


def _check_shortcuts(clips: pd.DataFrame, predictor: _CrossValPredictor) -> Iterator[dict[str, Any]]:
    """Classify the corpus of unseen speakers; if that is easy, a model may use the corpus to predict emotions."""
    usable = _with_two_speakers(clips)
    missing = sorted(set(clips.corpus) - set(usable.corpus))
    note = f"; excluded, as fewer than two speakers are known: {', '.join(missing)}" if missing else ""
    n_corpora = usable.groupby("emotion").corpus.nunique()
    shared = clips[clips.emotion.isin(n_corpora.index[n_corpora == usable.corpus.nunique()])]
    for check, subset, balance_by in (
        ("shortcut_corpus", clips, []),
        ("shortcut_corpus_shared_emotions", shared, ["emotion"]),
    ):
        rows = _with_two_speakers(subset)
        if rows.corpus.nunique() >= 2:
            fold = _folds(rows, "speaker", seed=predictor.seed)
            predicted = predictor.predict(rows, target="corpus", fold=fold, balance_by=balance_by)
            yield from _score(check, rows, predicted, target="corpus", note=f"speakers held out{note}")


def _with_two_speakers(clips: pd.DataFrame) -> pd.DataFrame:
    """Select the corpora with at least two known speakers, one to hold out and one to train on."""
    known = clips[~is_unknown_speaker(clips)]
    return known[known.groupby("corpus").speaker.transform("nunique") >= 2]


def _folds(clips: pd.DataFrame, by: str, *, seed: int) -> "pd.Series[int]":
    """Assign each clip to a fold; each corpus is split on its own, into at most as many folds as it has groups.

    The first fold differs between corpora, so that corpora of one speaker each are not all held out at once.
    """
    folds = [
        (_fold_corpus(group, by, seed=seeding.derive_seed(seed, _SEED_KEY, str(corpus), by)) + first) % FOLDS
        for first, (corpus, group) in enumerate(clips.groupby("corpus"))
    ]
    return pd.concat(folds).reindex(clips.index)


def _fold_corpus(clips: pd.DataFrame, by: str, *, seed: int) -> "pd.Series[int]":
    fold = pd.Series(0, index=clips.index)
    n_folds = min(FOLDS, clips[by].nunique())
    if n_folds < 2:
        return fold
    # scikit-learn rejects strata with fewer clips than folds, so they join the largest
    counts = clips.groupby("emotion").clip_id.transform("size")
    strata = clips.emotion.where(counts >= n_folds, clips.emotion.mode()[0])
    kind, groups = (StratifiedKFold, None) if by == "clip_id" else (StratifiedGroupKFold, clips[by])
    kfold = kind(n_splits=n_folds, shuffle=True, random_state=seed)
    for number, (_, test) in enumerate(kfold.split(clips, strata, groups)):
        fold.iloc[test] = number
    return fold


def _score(
    check: str, clips: pd.DataFrame, predicted: "pd.Series[str]", *, note: str, target: str = "emotion"
) -> Iterator[dict[str, Any]]:
    """Score the predictions of all clips and, with several corpora, of each corpus."""
    corpora = [(str(corpus), rows) for corpus, rows in clips.groupby("corpus")]
    for corpus, rows in [("", clips), *(corpora if len(corpora) > 1 else [])]:
        yield {
            "probe": check,
            "corpus": corpus,
            "uar": uar(rows[target], predicted[rows.index]),
            "clips": len(rows),
            "speakers": n_known_speakers(rows),
            "classes": clips[target].nunique() if target == "corpus" else rows.emotion.nunique(),
            "note": note,
        }


def describe_leakage(table: pd.DataFrame) -> list[str]:
    """Describe the results of the leakage checks in sentences.

    Parameters
    ----------
    table : DataFrame
        Result of `run_leakage_checks`, also as read from its CSV file.

    Returns
    -------
    list of str
        One sentence or two per check that has results.
    """
    scores = table.fillna({"corpus": ""})
    uars = scores[scores.corpus == ""].set_index("probe").uar
    sentences = []
    if {"leak_clip", "leak_speaker"} <= set(uars.index):
        clip, speaker = uars.leak_clip, uars.leak_speaker
        lower = round(100 * clip) < round(100 * speaker)  # which readers do not expect
        explanation = (
            "(If each speaker utters each sentence once per emotion, the training clips most similar to a test clip "
            "have the same speaker and sentence but other emotions.) "
        )
        sentences.append(
            f"A random forest has a UAR of {clip:.2f} on random clips and of {speaker:.2f} on unseen speakers: "
            f"a random split {_describe_bias(clip, speaker)}. {explanation * lower}"
            "The forest is not tuned and uses its own folds over the clips of all splits, so its scores are not "
            "comparable with the leaderboard."
        )
    if "leak_augmented_before_split" in uars:
        before, after = uars.leak_augmented_before_split, uars.leak_augmented_after_split
        sentences.append(
            f"With augmentation before the split, and so augmented test clips in training, the forest has a UAR of "
            f"{before:.2f} on random clips, instead of {after:.2f} with augmented training clips only: this leak, "
            f"which the pipeline prevents, {_describe_bias(before, after)}."
        )
    by_corpus = scores[(scores.probe == "leak_speaker") & (scores.corpus != "")]
    if len(by_corpus):
        each = [f"{row.uar:.2f} on {row.corpus} ({row.classes} emotions)" for row in by_corpus.itertuples()]
        sentences.append(f"UAR on unseen speakers by corpus, trained on all corpora: {', '.join(each)}.")
    for check, condition in (
        ("shortcut_corpus", ""),
        ("shortcut_corpus_shared_emotions", " on the emotions that all corpora have"),
    ):
        rows = scores[scores.probe == check]
        if len(rows):
            pooled, each = rows.iloc[0], [f"{row.uar:.2f} for {row.corpus}" for row in rows.iloc[1:].itertuples()]
            sentences.append(
                f"The corpus of an unseen speaker is classified with a UAR of {pooled.uar:.2f}{condition} "
                f"(chance {1 / pooled.classes:.2f}): {', '.join(each)}."
            )
    return sentences


def _describe_bias(leaky: float, clean: float) -> str:
    """Describe the difference of two scores as shown, in percentage points."""
    points = round(100 * leaky) - round(100 * clean)
    return (
        f"overestimates UAR by {points} point{'s' * (points > 1)}" if points > 0 else "does not overestimate UAR here"
    )
