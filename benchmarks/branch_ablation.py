"""Evaluate each branch of the last run's networks alone, and the fused network, on the test clips of their folds.

    .venv/bin/dvc exp run -S 'model_seeds=[1,2,3]' … train_lstm
    .venv/bin/python -m benchmarks.branch_ablation

Branches have the names of `ser.models.network.BRANCHES`. The leaderboard shows the fused network.
"""

import json
from typing import Any

import numpy as np
import pandas as pd
import typer

from benchmarks.ensemble import format_uar
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

FUSED = "fused"


def predict_branches(model: Any, data: Dataset, settings: TrainLstm, *, hop_seconds: float) -> dict[str, Probabilities]:
    """Predict the test clips by each branch and by the fused network: {name: (n_clips, n_classes)}."""
    import keras

    branches = [layer for layer in model.layers if layer.name in BRANCHES]
    # Explicit names, since automatic ones may be those of layers in the model.
    outputs = [keras.layers.Softmax(name=f"{branch.name}_alone")(branch.output) for branch in branches]
    network = keras.Model(model.inputs, keras.layers.Concatenate(name="branches")([*outputs, model.output]))
    test = trainer.load_examples(data, settings, "test")
    probabilities = trainer.predict(
        network, test.frames, settings, hop_seconds=hop_seconds, functionals=test.functionals
    )
    names = [*(branch.name for branch in branches), FUSED]
    return dict(zip(names, np.split(probabilities, len(names), axis=1), strict=True))


@handle_user_errors
def main() -> None:
    """Print the test UAR of each branch of the last run's networks, and of the fused networks."""
    params = read_params()
    cards = sorted(paths.checkpoint("lstm").glob(f"*/{CARD}"))
    if not cards:
        raise UserError(f"{paths.checkpoint('lstm')} has no networks (or has ensembles); run `make repro`.")
    data = training_data.load_training_data(params.train_lstm, params.corpora)
    tables: dict[str, list[pd.DataFrame]] = {}
    for path in cards:
        card = json.loads(path.read_text(encoding="utf-8"))
        fold, model = data.fold(card["fold"]), trainer.load(path.parent)
        results = predict_branches(model, fold, params.train_lstm, hop_seconds=params.features.hop_seconds)
        for name, probabilities in results.items():
            clips = fold.clips("test")
            table = prediction_table.prediction_table(clips, probabilities, classes=data.classes, seed=card["seed"])
            tables.setdefault(name, []).append(table)
    for name, parts in tables.items():
        rows = summary.select_test_rows(pd.concat(parts))
        typer.echo(format_uar(name, rows, resamples=params.evaluate.n_resamples))


if __name__ == "__main__":
    typer.run(main)
