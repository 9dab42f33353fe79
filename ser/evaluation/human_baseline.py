"""How well people recognise the same clips, where a corpus publishes what they heard: the reference for every model."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

import numpy as np
import pandas as pd

from ser.corpora.base import known_corpora, load_corpus
from ser.labels import label_map
from ser.params import Emotions
from ser.predictions.table import classes_of
from ser.utils import seeding

HUMAN_BASELINE = "people (voice only)"
"""What they are called beside the models."""


def human_predictions(rows: pd.DataFrame, emotions: Emotions, *, seed: int) -> pd.DataFrame:
    """Make a prediction table of what most people heard.

    Parameters
    ----------
    rows
        Test rows of any model's prediction table.
    emotions
        The section `emotions` of the settings: people's words are counted as the labels are.
    seed
        Of the choice between emotions that equally many people heard.

    Returns
    -------
    DataFrame
        The rows of the clips that people judged, one a clip, with their answer; the ``prob_`` columns are shares of 1
        among the emotions most often heard. Empty where no corpus of the run publishes votes, or where the run's
        classes lack an emotion that people could choose: they were asked another question then.
    """
    classes = classes_of(rows)
    labels = label_map(emotions.classes, emotions.merge)
    clips = rows.drop_duplicates("clip_id").reset_index(drop=True)
    corpora = clips.groupby("corpus")
    heard = {clip_id: votes for name, group in corpora for clip_id, votes in _votes(name, group, labels).items()}
    judged = clips[clips.clip_id.isin(heard)].reset_index(drop=True)
    if judged.empty:
        return judged
    shares = np.array([[heard[clip_id].count(name) for name in classes] for clip_id in judged.clip_id], dtype=float)
    shares /= shares.sum(axis=1, keepdims=True)
    both = zip(shares, judged.clip_id, strict=True)
    chosen = [_choose(row, classes, seed=seed, clip_id=clip_id) for row, clip_id in both]
    columns = {f"prob_{name}": shares[:, n] for n, name in enumerate(classes)}
    return judged.assign(predicted=chosen, temperature=1.0, seed=0, **columns)


def _votes(corpus: str, clips: pd.DataFrame, labels: Mapping[str, str]) -> dict[str, list[str]]:
    """Look up what was heard in each clip of a corpus, in the run's words; nothing where it lacks a choice."""
    facts = load_corpus(corpus) if corpus in known_corpora() else None
    if facts is None or not set(facts.emotions.values()) <= set(labels):
        return {}
    votes = facts.majority_votes()
    keys = {clip_id: facts.recording_key(PurePosixPath(f"{clip_id}.wav")) or "" for clip_id in clips.clip_id}
    return {clip_id: [labels[word] for word in votes[key]] for clip_id, key in keys.items() if key in votes}


def _choose(shares: np.ndarray, classes: Sequence[str], *, seed: int, clip_id: str) -> str:
    best = np.flatnonzero(shares == shares.max())
    return (
        classes[int(seeding.make_rng(seed, "people", clip_id).choice(best))] if len(best) > 1 else classes[int(best[0])]
    )
