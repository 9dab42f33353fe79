"""Compute the performance of human listeners from published votes, as a reference for the models."""

from collections.abc import Mapping
from pathlib import PurePosixPath

import numpy as np
import pandas as pd

from ser.corpora.base import known_corpora, load_corpus
from ser.labels import label_map
from ser.params import Emotions
from ser.predictions.table import classes_of
from ser.utils import seeding

HUMAN_BASELINE = "human listeners (audio only)"


def human_predictions(rows: pd.DataFrame, emotions: Emotions, *, seed: int) -> pd.DataFrame:
    """Build a prediction table from the majority votes of human listeners.

    Parameters
    ----------
    rows : DataFrame
        Test rows of the prediction table of any model.
    emotions : Emotions
        The section `emotions` of the settings; votes are mapped like the labels.
    seed : int
        Seed for the choice between tied emotions.

    Returns
    -------
    DataFrame
        One row per clip with votes. The ``prob_`` columns divide 1 among the tied emotions. Empty if no corpus of the
        run publishes votes, or if the run lacks an emotion that the listeners could choose.
    """
    classes = classes_of(rows)
    labels = label_map(emotions.classes, emotions.merge)
    clips = rows.drop_duplicates("clip_id").reset_index(drop=True)
    corpora = clips.groupby("corpus")
    votes = {clip_id: names for name, group in corpora for clip_id, names in _votes(name, group, labels).items()}
    rated = clips[clips.clip_id.isin(votes)].reset_index(drop=True)
    if rated.empty:
        return rated
    probs = np.array([[votes[clip_id].count(name) for name in classes] for clip_id in rated.clip_id], dtype=float)
    probs /= probs.sum(axis=1, keepdims=True)
    chosen = []
    for row, clip_id in zip(probs, rated.clip_id, strict=True):
        best = np.flatnonzero(row == row.max())
        tie = len(best) > 1
        chosen.append(classes[int(seeding.make_rng(seed, "people", clip_id).choice(best) if tie else best[0])])
    columns = {f"prob_{name}": probs[:, n] for n, name in enumerate(classes)}
    return rated.assign(predicted=chosen, temperature=1.0, seed=0, **columns)


def _votes(corpus: str, clips: pd.DataFrame, labels: Mapping[str, str]) -> dict[str, list[str]]:
    """Look up the votes for the clips of a corpus; none if the run lacks an emotion of the corpus."""
    metadata = load_corpus(corpus) if corpus in known_corpora() else None
    if metadata is None or not set(metadata.emotions.values()) <= set(labels):
        return {}
    votes = metadata.majority_votes()
    keys = {clip_id: metadata.recording_key(PurePosixPath(f"{clip_id}.wav")) or "" for clip_id in clips.clip_id}
    return {clip_id: [labels[emotion] for emotion in votes[key]] for clip_id, key in keys.items() if key in votes}
