"""Small classification problems for all models. As a script: train and save every model in a folder."""

import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.dataset import splits
from ser.features.columns import Array
from ser.models import baselines, trainer
from ser.models.batching import Examples
from ser.models.network import build_model
from tests.helpers import factories

HOP = 0.01
"""Seconds between frames."""
N_CLASSES = 3
GRIDS: dict[str, dict[str, list[Any]]] = {
    "svm": {"C": [0.1, 1]},
    "knn": {"n_neighbors": [3], "weights": ["distance"]},
    "random_forest": {"n_estimators": [10]},
    "decision_tree": {"max_depth": [3]},
}


def lstm_settings(**changes: Any) -> Any:
    """Make settings of a network with few units, and buckets of 8 frames up to 24."""
    small = {"conv_filters": [6, 6], "lstm_units": 6, "dense_units": 6, "dropout": 0.1, "epochs": 2, "batch_size": 8}
    plain = {"ema_momentum": 0, "mixup": 0, "spec_augment": False, "conv_stride": 1, "functionals_units": 4}
    times = {"bucket_seconds": 0.08, "max_seconds": 0.24, "early_stopping_patience": 50, "learning_rate": 0.01}
    return factories.settings(train_lstm=small | plain | times | changes).train_lstm


def examples(n: int, *, seed: int = 0, shift: float = 0.0) -> Examples:
    """Make clips of 3 to 30 frames of four features, whose means depend on the class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % N_CLASSES
    levels = np.array([[5, 0, 0, 100], [0, 5, 0, 100], [0, 0, 5, 100]])
    frames: list[Array] = [
        (levels[label] + shift + rng.normal(size=(rng.integers(3, 31), 4))).astype(np.float32) for label in labels
    ]
    return Examples(frames, labels)


def with_functionals(n: int, *, seed: int, in_frames: bool) -> Examples:
    """Make clips with the class in the frames or in the functionals; the other is noise."""
    rng = np.random.default_rng(seed)
    if in_frames:
        return replace(examples(n, seed=seed), functionals=rng.normal(size=(n, 5)).astype(np.float32))
    labels = np.arange(n) % N_CLASSES
    values = np.tile(np.eye(N_CLASSES)[labels], 4) + rng.normal(0, 0.2, size=(n, 4 * N_CLASSES))
    return Examples([rng.normal(size=(9, 4)).astype(np.float32) for _ in labels], labels, values.astype(np.float32))


@cache
def untrained(architecture: str) -> Any:
    """Build an untrained network for `examples`."""
    trainer.make_deterministic(1)
    return build_model(examples(24), lstm_settings(architecture=architecture), n_classes=N_CLASSES)


def fitted(settings: Any, *, train: Examples, val: Examples, seed: int = 1) -> tuple[Any, pd.DataFrame]:
    """Train a network."""
    return trainer.fit(settings, train=train, val=val, n_classes=N_CLASSES, hop_seconds=HOP, seed=seed)


def vectors(n: int = 60, *, seed: int = 0) -> tuple[Any, Any]:
    """Make (n, 5) functionals of different scales, and labels; the first two functionals depend on the class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % N_CLASSES
    values = rng.normal(size=(n, 5)) * [0.2, 0.2, 1e-3, 1, 1e3]
    values[:, 0] += labels == 1
    values[:, 1] += labels == 2
    return values.astype(np.float32), labels.astype(np.int64)


def folds(n: int = 60) -> Any:
    """Split rows into folds by three speakers."""
    speakers = np.arange(n) // (n // 3) % 3
    clips = pd.DataFrame(
        {
            "corpus": "tiny",
            "speaker": speakers.astype(str),
            "sentence": "01",
            "original_id": np.arange(n).astype(str),
            "recording_id": np.arange(n).astype(str),
            "emotion": (np.arange(n) % N_CLASSES).astype(str),
        }
    )
    return splits.grouped_cv(clips, folds=3, seed=1)


def baseline(name: str, *, seed: int = 1) -> tuple[Any, pd.DataFrame]:
    """Fit a baseline on `vectors`."""
    values, labels = vectors()
    return baselines.fit(name, values, labels, grid=GRIDS[name], folds=folds(), seed=seed)


def main(folder: Path) -> None:
    """Train and save every model, with its probabilities of some clips."""
    held_out = examples(12, seed=2)
    settings = lstm_settings(architecture="cnn_bilstm")
    network, history = fitted(settings, train=examples(24), val=examples(9, seed=1))
    trainer.save(network, folder / "lstm")
    history.to_csv(folder / "lstm" / "history.csv")
    np.save(folder / "lstm" / "predicted.npy", trainer.predict(network, held_out.frames, settings, hop_seconds=HOP))
    for name in baselines.BASELINES:
        model, search = baseline(name)
        baselines.save(model, folder / name)
        search.to_csv(folder / name / "grid_search.csv")
        np.save(folder / name / "predicted.npy", baselines.predict(model, vectors(30, seed=2)[0]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
