"""List the errors of a model: the most frequent confusions, and the most confident errors.

Prediction tables of one split in, tables out. `clips` counts clips, which shares count once a seed where several seeds
judged them.
"""

import numpy as np
import pandas as pd

from ser.predictions.table import classes_of, probabilities


def most_confused_pairs(table: pd.DataFrame, n: int) -> pd.DataFrame:
    """List the emotions most often taken for another.

    Parameters
    ----------
    table
        A prediction table of one split.
    n
        How many pairs.

    Returns
    -------
    DataFrame
        emotion, predicted, clips, and share: of the emotion's answers, which ranks, so that a frequent emotion does
        not fill the list. At most `n` rows; equal shares in canonical order.
    """
    wrong = table[table.emotion != table.predicted]
    grouped = wrong.groupby(["emotion", "predicted"])
    answers = table.groupby("emotion").size()
    found = pd.DataFrame({"clips": grouped.clip_id.nunique(), "answers": grouped.size()}).reset_index()
    found = found.assign(share=found.answers / answers.reindex(found.emotion).to_numpy())
    rank = {name: place for place, name in enumerate(classes_of(table))}
    ordered = found.sort_values(["emotion", "predicted"], key=lambda names: names.map(rank))
    ordered = ordered.sort_values("share", ascending=False, kind="stable", ignore_index=True)
    return ordered[["emotion", "predicted", "clips", "share"]].head(n)


def most_confident_errors(table: pd.DataFrame, n: int) -> pd.DataFrame:
    """List the clips to listen to: those with the highest probability for a wrong answer.

    Parameters
    ----------
    table
        A prediction table of one split.
    n
        How many.

    Returns
    -------
    DataFrame
        clip_id, corpus, speaker, seed, emotion, predicted, confidence (the answer's probability) and truth (that of
        the emotion). At most `n` rows; equal ones in the order of their clip_id.
    """
    names = classes_of(table)
    shares, rows = probabilities(table), np.arange(len(table))
    known = {column: pd.Categorical(table[column], categories=names).codes for column in ("emotion", "predicted")}
    judged = table.assign(confidence=shares[rows, known["predicted"]], truth=shares[rows, known["emotion"]])
    wrong = judged[judged.emotion != judged.predicted]
    ordered = wrong.sort_values(["confidence", "clip_id", "seed"], ascending=[False, True, True], ignore_index=True)
    columns = ["clip_id", "corpus", "speaker", "seed", "emotion", "predicted", "confidence", "truth"]
    return ordered[columns].head(n)
