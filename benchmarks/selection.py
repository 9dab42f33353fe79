"""Judge a recipe for the network on validation speakers alone: test clips are never read.

    .venv/bin/dvc exp run -S 'corpora=[ravdess]' -S split.fold_table=emobox -S split.val_fraction=0.25 split    # once
    .venv/bin/python -m benchmarks.selection wider -S conv_filters='[96, 128, 192]' --folds 1 --folds 2

Uses data/features/frames and data/splits.csv of the last run and the section `train_lstm` of params.yaml, with some
keys replaced. Prints the validation UAR of each fold and their mean, with its interval over speakers, and the training
seconds of each network (one fold alone has all cores, several have one each), and logs the trial to MLflow, in the
experiment `lstm-selection`.
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
from ser.models import dataset as training_data
from ser.models import trainer
from ser.models.dataset import Dataset
from ser.params import TrainLstm, read_params
from ser.predictions import table as prediction_table
from ser.tracking import store as tracking_store
from ser.tracking.mlflow_runs import Run, flatten
from ser.tracking.mlflow_runs import record as tracking_record
from ser.utils.errors import UserError, handle_user_errors
from ser.utils.parallel import map_tasks, n_workers

EXPERIMENT = "lstm-selection"


def replaced(settings: TrainLstm, changes: list[str]) -> TrainLstm:
    """Replace keys, given as KEY=VALUE, of the settings.

    Raises
    ------
    UserError
        If a change has no value, or the settings do not have the key or allow the value.
    """
    bare = [change for change in changes if "=" not in change]
    if bare:
        raise UserError(f"-S {bare[0]}: expected KEY=VALUE, of the section train_lstm.")
    pairs = (change.removeprefix("train_lstm.").split("=", 1) for change in changes)
    try:
        return TrainLstm.model_validate(settings.model_dump() | {key: yaml.safe_load(value) for key, value in pairs})
    except ValidationError as error:
        problems = (f"-S {'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise UserError("; ".join(problems)) from None


def trial(fold: int, *, data: Dataset, settings: TrainLstm, hop_seconds: float, seed: int, folder: Path) -> float:
    """Train on a fold's training clips; write what its validation clips were taken for, and the history.

    Returns
    -------
    float
        Seconds of training, without reading.
    """
    one = data.fold(fold)
    train, val = (trainer.examples(one, settings, split) for split in ("train", "val"))
    start = time.perf_counter()
    model, history = trainer.fit(
        settings, train=train, val=val, n_classes=len(data.classes), hop_seconds=hop_seconds, seed=seed
    )
    seconds = time.perf_counter() - start
    shares = trainer.predict(model, val.frames, settings, hop_seconds=hop_seconds, functionals=val.functionals)
    table = prediction_table.prediction_table(one.clips("val"), shares, classes=data.classes, seed=seed)
    table.to_parquet(folder / f"{fold}.parquet", index=False)
    history.to_csv(folder / f"{fold}.csv", index=False)
    return seconds


def record(name: str, *, settings: TrainLstm, metrics: dict[str, float], folder: Path) -> None:
    """Keep a trial in MLflow: its settings, its numbers, and its predictions and histories as files."""
    params, files = flatten({"train_lstm": settings.model_dump(mode="json")}), sorted(folder.iterdir())
    key = tracking_store.result_key(files, settings=params, experiment=name)
    run = Run(name, params=params, metrics=metrics, files=dict.fromkeys(files, ""))
    tracking_record(EXPERIMENT, run, key=key)


@handle_user_errors
def main(
    name: Annotated[str, typer.Argument(help="Of the trial, in MLflow.")],
    change: Annotated[list[str] | None, typer.Option("-S", help="A key of train_lstm and its value.")] = None,
    folds: Annotated[list[int] | None, typer.Option(help="Of data/splits.csv; all unless said.")] = None,
    seed: Annotated[int, typer.Option(help="Of the networks.")] = 1,
) -> None:
    """Train on the training clips of some folds, and judge on their validation clips."""
    params = read_params()
    settings, folder = replaced(params.train_lstm, change or []), paths.DATA / "selection" / name
    folder.mkdir(parents=True, exist_ok=True)
    data = training_data.load_training_data(settings, params.corpora)
    chosen, hop = folds or data.folds, params.features.hop_seconds
    data.frames()  # read now, or each process would read all of them
    work = partial(trial, data=data, settings=settings, hop_seconds=hop, seed=seed, folder=folder)
    seconds = map_tasks(work, chosen, n_jobs=n_workers(), description=name, unit="fold")
    tables = {fold: pd.read_parquet(folder / f"{fold}.parquet") for fold in chosen}
    metrics = numbers(tables, resamples=params.evaluate.n_resamples)
    metrics |= {f"fold{fold}_seconds": spent for fold, spent in zip(chosen, seconds, strict=True)}
    record(name, settings=settings, metrics=metrics, folder=folder)
    typer.echo("  ".join(f"{key} {value:.3f}" for key, value in metrics.items()))


def numbers(tables: dict[int, pd.DataFrame], *, resamples: int) -> dict[str, float]:
    """Compute the validation UAR of each fold, their mean with its 95 % interval over speakers, and the NLL."""
    each = {f"fold{fold}_val_uar": _uar(table) for fold, table in tables.items()}
    # As seeds: somebody may validate in several folds, and intervals take a clip once a seed.
    whole = pd.concat([table.assign(seed=fold) for fold, table in tables.items()], ignore_index=True)
    found = bootstrap.bootstrap(whole, ["uar"], resamples=resamples, seed=1).loc["uar"]
    judged = {
        "val_uar": float(found.value),
        "val_uar_ci_low": float(found.ci_low),
        "val_uar_ci_high": float(found.ci_high),
    }
    return judged | {"val_nll": calibration.nll(whole)} | each


def _uar(table: pd.DataFrame) -> float:
    return float((table.emotion == table.predicted).groupby(table.emotion).mean().mean())


if __name__ == "__main__":
    typer.run(main)
