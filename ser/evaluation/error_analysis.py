"""List the most frequent confusions and the most confident errors of a model.

Tables are prediction tables of one split. `clips` counts each clip once; fractions count it once per seed.
"""

import numpy as np
import pandas as pd

from ser.predictions.table import classes_of, probabilities


def most_confused_pairs(table: pd.DataFrame, n: int) -> pd.DataFrame:
    """List the most frequent confusions.

    Parameters
    ----------
    table : DataFrame
        A prediction table of one split.
    n : int
        Maximum number of pairs.

    Returns
    -------
    DataFrame
        emotion, predicted, clips and share (fraction of the emotion's predictions), by decreasing share; ties are in
        canonical order.
    """
    grouped = table[table.emotion != table.predicted].groupby(["emotion", "predicted"])
    pairs = pd.DataFrame({"clips": grouped.clip_id.nunique(), "rows": grouped.size()}).reset_index()
    pairs = pairs.assign(fraction=pairs.rows / table.groupby("emotion").size().reindex(pairs.emotion).to_numpy())
    rank = {name: place for place, name in enumerate(classes_of(table))}
    pairs = pairs.sort_values(["emotion", "predicted"], key=lambda names: names.map(rank))
    pairs = pairs.sort_values("fraction", ascending=False, kind="stable", ignore_index=True)
    return pairs[["emotion", "predicted", "clips", "fraction"]].head(n)


def most_confident_errors(table: pd.DataFrame, n: int) -> pd.DataFrame:
    """List the wrong predictions with the highest probability.

    Parameters
    ----------
    table : DataFrame
        A prediction table of one split.
    n : int
        Maximum number of rows.

    Returns
    -------
    DataFrame
        clip_id, corpus, speaker, seed, emotion, predicted, confidence (probability of the prediction) and truth
        (probability of the true emotion); ties are ordered by clip_id.
    """
    names = classes_of(table)
    probs, rows = probabilities(table), np.arange(len(table))
    codes = {column: pd.Categorical(table[column], categories=names).codes for column in ("emotion", "predicted")}
    table = table.assign(confidence=probs[rows, codes["predicted"]], truth=probs[rows, codes["emotion"]])
    errors = table[table.emotion != table.predicted]
    errors = errors.sort_values(["confidence", "clip_id", "seed"], ascending=[False, True, True], ignore_index=True)
    return errors[["clip_id", "corpus", "speaker", "seed", "emotion", "predicted", "confidence", "truth"]].head(n)
