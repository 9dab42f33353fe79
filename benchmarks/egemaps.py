"""A reference from elsewhere: eGeMAPS of openSMILE and a linear SVM, on the clips and the split of the last run.

    .venv/bin/pip install -r requirements-egemaps.txt -c constraints.txt
    .venv/bin/python -m benchmarks.egemaps

It is no stage: openSMILE's licence is for non-commercial use, and nothing here depends on it. The search over folds of
speakers and the scaling are those of the baselines. Writes data/egemaps, and nothing else.

References
----------
Eyben, Wöllmer & Schuller (2010), openSMILE, doi:10.1145/1873951.1874246.
Eyben et al. (2016), The Geneva minimalistic acoustic parameter set, doi:10.1109/TAFFC.2015.2457417.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import typer
from sklearn.metrics import recall_score

from ser import paths
from ser.audio import io as audio_io
from ser.dataset.clips import COLUMNS, clip_writer, iterate_clips
from ser.dataset.splits import grouped_cv
from ser.models import baselines
from ser.models import dataset as training_data
from ser.models.dataset import Dataset
from ser.params import read_params

EGEMAPS = paths.DATA / "egemaps"
GRID: dict[str, list[Any]] = {"kernel": ["linear"], "C": [0.001, 0.01, 0.1, 1]}


def measure(clips: Path, table: Path) -> None:
    """Write the 88 functionals of every clip as a table of functionals."""
    import opensmile

    smile = opensmile.Smile(feature_set=opensmile.FeatureSet.eGeMAPSv02)
    names = list(smile.feature_names)
    payload = pa.field("functionals", pa.list_(pa.float32(), len(names)))
    table.parent.mkdir(parents=True, exist_ok=True)
    with clip_writer(table, payload=payload, metadata={"features": json.dumps(names)}) as write:
        for piece in iterate_clips(clips):
            write([_row(row, smile) for row in piece.to_pylist()])


def _row(clip: dict[str, Any], smile: Any) -> dict[str, Any]:
    values = smile.process_signal(audio_io.from_flac(clip["audio"]), clip["sample_rate"])
    return {column: clip[column] for column in COLUMNS} | {"functionals": values.to_numpy(np.float32)[0]}


def answers(data: Dataset, *, folds: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Train on each fold, and give the labels of its test clips with what is predicted: two (clips,) arrays."""
    for fold in map(data.fold, data.folds):
        inner = grouped_cv(fold.clips("train"), folds=folds, seed=seed)
        train = fold.functionals("train"), fold.labels("train")
        model, _ = baselines.fit("svm", *train, grid=GRID, folds=inner, seed=seed)
        yield fold.labels("test"), baselines.predict(model, fold.functionals("test")).argmax(axis=1)


def main() -> None:
    """Say the UAR of all tested clips together."""
    params = read_params()
    for corpus in params.corpora:
        measure(paths.clips(corpus), EGEMAPS / f"{corpus}.parquet")
    data = training_data.read(EGEMAPS, params.corpora, paths.SPLITS, augmented=False)
    pairs = answers(data, folds=params.train_baselines.folds, seed=params.model_seeds[0])
    labels, predicted = map(np.concatenate, zip(*pairs, strict=True))
    uar = recall_score(labels, predicted, average="macro", zero_division=np.nan)
    typer.echo(f"eGeMAPS, linear svm: test UAR {uar:.3f} over {len(labels)} clips in {len(data.folds)} folds")


if __name__ == "__main__":
    typer.run(main)
