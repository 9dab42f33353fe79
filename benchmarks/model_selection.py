"""Evaluate settings of the network on validation speakers; test clips are not read.

    .venv/bin/dvc exp run -S 'corpora=[ravdess]' -S split.fold_table=emobox -S split.val_fraction=0.25 split    # once
    .venv/bin/python -m benchmarks.model_selection wider -S conv_filters='[96, 128, 192]' --folds 1 --folds 2

This uses data/features/frames and data/splits.csv of the last run and the section `train_lstm` of params.yaml, with
some keys replaced. It prints the validation UAR of each fold, their mean with its confidence interval, and the training
time of each network (a single fold uses all cores, several folds one each). Trials are logged to MLflow.
"""

import time
from functools import partial
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
import yaml
from pydantic import ValidationError

from ser import paths
from ser.evaluation import bootstrap, calibration
from ser.evaluation.metrics import uar
from ser.models import dataset as training_data
from ser.models import trainer
from ser.models.cross_validation import Probabilities
from ser.models.dataset import Dataset
from ser.params import TrainLstm, read_params
from ser.predictions import table as prediction_table
from ser.tracking import mlflow_runs
from ser.tracking import store as tracking_store
from ser.utils.errors import UserError, handle_user_errors
from ser.utils.parallel import map_tasks, n_workers

EXPERIMENT = "lstm-selection"


def override(settings: TrainLstm, overrides: list[str]) -> TrainLstm:
    """Replace keys of the settings, given as KEY=VALUE.

    Raises
    ------
    UserError
        If an override has no value, or an unknown key or an invalid value.
    """
    invalid = [text for text in overrides if "=" not in text]
    if invalid:
        raise UserError(f"-S {invalid[0]}: expected KEY=VALUE, of the section train_lstm.")
    pairs = (text.removeprefix("train_lstm.").split("=", 1) for text in overrides)
    try:
        return TrainLstm.model_validate(settings.model_dump() | {key: yaml.safe_load(value) for key, value in pairs})
    except ValidationError as error:
        problems = (f"-S {'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
        raise UserError("; ".join(problems)) from None


def fit_fold(
    fold: Dataset, settings: TrainLstm, *, hop_seconds: float, seed: int
) -> tuple[Probabilities, pd.DataFrame, float]:
    """Train on the training clips of a fold: validation probabilities, history, and training time in seconds."""
    train, val = (trainer.load_examples(fold, settings, split) for split in ("train", "val"))
    start = time.perf_counter()
    model, history = trainer.fit(
        settings, train=train, val=val, n_classes=len(fold.classes), hop_seconds=hop_seconds, seed=seed
    )
    seconds = time.perf_counter() - start
    probabilities = trainer.predict(model, val.frames, settings, hop_seconds=hop_seconds, functionals=val.functionals)
    return probabilities, history, seconds


def run_trial(fold: int, *, data: Dataset, settings: TrainLstm, hop_seconds: float, seed: int, folder: Path) -> float:
    """Train on a fold, and write its validation predictions and history; return the training time in seconds."""
    subset = data.fold(fold)
    probabilities, history, seconds = fit_fold(subset, settings, hop_seconds=hop_seconds, seed=seed)
    table = prediction_table.prediction_table(subset.clips("val"), probabilities, classes=data.classes, seed=seed)
    table.to_parquet(folder / f"{fold}.parquet", index=False)
    history.to_csv(folder / f"{fold}.csv", index=False)
    return seconds


def compute_metrics(tables: dict[int, pd.DataFrame], *, resamples: int) -> dict[str, float]:
    """Compute the validation UAR of each fold, their mean with its confidence interval over speakers, and the NLL."""
    by_fold = {f"fold{fold}_val_uar": uar(table.emotion, table.predicted) for fold, table in tables.items()}
    # Folds take the place of seeds, since a clip may be in the validation sets of several folds.
    table = pd.concat([table.assign(seed=fold) for fold, table in tables.items()], ignore_index=True)
    mean = bootstrap.bootstrap(table, ["uar"], resamples=resamples, seed=1).loc["uar"]
    interval = {"val_uar_ci_low": float(mean.ci_low), "val_uar_ci_high": float(mean.ci_high)}
    return {"val_uar": float(mean.value), **interval, "val_nll": calibration.nll(table)} | by_fold


@handle_user_errors
def main(
    name: Annotated[str, typer.Argument(help="Name of the trial in MLflow.")],
    overrides: Annotated[list[str] | None, typer.Option("-S", help="A key of train_lstm and its value.")] = None,
    folds: Annotated[list[int] | None, typer.Option(help="Folds of data/splits.csv; by default all.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the networks.")] = 1,
) -> None:
    """Train on the training clips of some folds, and evaluate on their validation clips."""
    params = read_params()
    settings, folder = override(params.train_lstm, overrides or []), paths.DATA / "selection" / name
    folder.mkdir(parents=True, exist_ok=True)
    data = training_data.load_training_data(settings, params.corpora)
    data.frames()  # read once, not in each process
    selected, hop_seconds = folds or data.folds, params.features.hop_seconds
    task = partial(run_trial, data=data, settings=settings, hop_seconds=hop_seconds, seed=seed, folder=folder)
    seconds = map_tasks(task, selected, n_jobs=n_workers(), description=name, unit="fold")
    tables = {fold: pd.read_parquet(folder / f"{fold}.parquet") for fold in selected}
    metrics = compute_metrics(tables, resamples=params.evaluate.n_resamples)
    metrics |= {f"fold{fold}_seconds": duration for fold, duration in zip(selected, seconds, strict=True)}
    files, flat = sorted(folder.iterdir()), mlflow_runs.flatten({"train_lstm": settings.model_dump(mode="json")})
    key = tracking_store.result_key(files, settings=flat, experiment=name)
    run = mlflow_runs.Run(name, params=flat, metrics=metrics, files=dict.fromkeys(files, ""))
    mlflow_runs.record(EXPERIMENT, run, key=key)
    typer.echo("  ".join(f"{metric} {value:.3f}" for metric, value in metrics.items()))


if __name__ == "__main__":
    typer.run(main)
