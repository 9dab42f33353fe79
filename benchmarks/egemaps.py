"""Evaluate a reference from the literature: eGeMAPS features and a linear SVM, on the clips and split of the last run.

    .venv/bin/pip install -r requirements-egemaps.txt -c constraints.txt
    .venv/bin/python -m benchmarks.egemaps

This is not a stage, since openSMILE's license is for non-commercial use. Scaling and grid search are those of the
baselines. Features are written to data/egemaps.

References
----------
Eyben, Wöllmer & Schuller (2010), openSMILE, doi:10.1145/1873951.1874246.
Eyben et al. (2016), The Geneva minimalistic acoustic parameter set, doi:10.1109/TAFFC.2015.2457417.
"""

import json
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
from ser.params import read_params

EGEMAPS = paths.DATA / "egemaps"
GRID: dict[str, list[Any]] = {"kernel": ["linear"], "C": [0.001, 0.01, 0.1, 1]}


def write_functionals(clips: Path, output: Path) -> None:
    """Write the 88 functionals of every clip as a table of functionals."""
    import opensmile

    smile = opensmile.Smile(feature_set=opensmile.FeatureSet.eGeMAPSv02)
    names = list(smile.feature_names)
    payload = pa.field("functionals", pa.list_(pa.float32(), len(names)))

    def row(clip: dict[str, Any]) -> dict[str, Any]:
        values = smile.process_signal(audio_io.from_flac(clip["audio"]), clip["sample_rate"])
        return {column: clip[column] for column in COLUMNS} | {"functionals": values.to_numpy(np.float32)[0]}

    output.parent.mkdir(parents=True, exist_ok=True)
    with clip_writer(output, payload=payload, metadata={"features": json.dumps(names)}) as write:
        for batch in iterate_clips(clips):
            write([row(clip) for clip in batch.to_pylist()])


def main() -> None:
    """Print the UAR over the test clips of all folds."""
    params = read_params()
    for corpus in params.corpora:
        write_functionals(paths.clips(corpus), EGEMAPS / f"{corpus}.parquet")
    data = training_data.read(EGEMAPS, params.corpora, paths.SPLITS, augmentations=())
    seed = params.model_seeds[0]
    labels: list[int] = []
    predicted: list[int] = []
    for fold in map(data.fold, data.folds):
        inner = grouped_cv(fold.clips("train"), folds=params.train_baselines.folds, seed=seed)
        train = fold.functionals("train"), fold.labels("train")
        model, _ = baselines.fit("svm", *train, grid=GRID, folds=inner, seed=seed)
        labels += fold.labels("test").tolist()
        predicted += baselines.predict(model, fold.functionals("test")).argmax(axis=1).tolist()
    uar = recall_score(labels, predicted, average="macro", zero_division=np.nan)
    typer.echo(f"eGeMAPS, linear SVM: test UAR {uar:.3f}, {len(labels)} clips in {len(data.folds)} folds")


if __name__ == "__main__":
    typer.run(main)
