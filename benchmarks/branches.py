"""What each branch of the last run's networks has alone, and all together, on the test clips of their folds.

    .venv/bin/dvc exp run -S 'model_seeds=[1,2,3]' … train_lstm
    .venv/bin/python -m benchmarks.branches

The names are those of `ser.models.network.BRANCHES`; the leaderboard shows all together.
"""

import json
from typing import Any

import numpy as np
import pandas as pd
import typer

from benchmarks.averaged import said
from ser import paths
from ser.evaluation import summary
from ser.models import dataset as training_data
from ser.models import trainer
from ser.models.cross_validation import CARD, Probabilities
from ser.models.dataset import Dataset
from ser.models.network import BRANCHES
from ser.params import TrainLstm, read_params
from ser.predictions import table as prediction_table
from ser.utils.errors import UserError, handle_user_errors

TOGETHER = "together"


def shares_of(model: Any, data: Dataset, settings: TrainLstm, *, hop_seconds: float) -> dict[str, Probabilities]:
    """Ask each branch of a network, and all together, about the test clips: {name: (clips, classes)}."""
    import keras

    branches = [layer for layer in model.layers if layer.name in BRANCHES]
    alone = {branch.name: keras.layers.Softmax(name=f"{branch.name}_alone")(branch.output) for branch in branches}
    outputs = [*alone.values(), model.output]
    asked, n = trainer.examples(data, settings, "test"), len(outputs)
    beside = keras.Model(model.inputs, keras.layers.Concatenate(name="branches")(outputs))
    found = trainer.predict(beside, asked.frames, settings, hop_seconds=hop_seconds, functionals=asked.functionals)
    return dict(zip([*alone, TOGETHER], np.split(found, n, axis=1), strict=True))


@handle_user_errors
def main() -> None:
    """Say the test UAR of each branch of the last run's networks, and of all together, over folds and seeds."""
    params = read_params()
    folder = paths.checkpoint("lstm")
    cards = sorted(folder.glob(f"*/{CARD}"))
    if not cards:
        raise UserError(f"{folder} holds no network; `make repro` makes it. (Of an ensemble no branches are told.)")
    data = training_data.load_training_data(params.train_lstm, params.corpora)
    tables: dict[str, list[pd.DataFrame]] = {}
    for path in cards:
        card = json.loads(path.read_text(encoding="utf-8"))
        fold, model = data.fold(card["fold"]), trainer.load(path.parent)
        given = shares_of(model, fold, params.train_lstm, hop_seconds=params.features.hop_seconds)
        for name, shares in given.items():
            clips = fold.clips("test")
            table = prediction_table.prediction_table(clips, shares, classes=data.classes, seed=card["seed"])
            tables.setdefault(name, []).append(table)
    for name, found in tables.items():
        typer.echo(said(name, summary.select_test_rows(pd.concat(found)), resamples=params.evaluate.n_resamples))


if __name__ == "__main__":
    typer.run(main)
