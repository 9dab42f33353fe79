"""Train models on every fold and seed of a run; training is resumable after an interruption.

DVC removes the outputs of a stage before it runs. Finished models are therefore kept next to the output, in a folder
that DVC and Git ignore, with a fingerprint of their inputs. If the inputs change, all models are trained again.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import recall_score

import ser
from ser.models.dataset import Dataset
from ser.predictions import table as prediction_table
from ser.predictions.segments import combine_rows
from ser.predictions.temperature import apply_temperature, fit_temperature
from ser.utils.files import atomic_write, remove, write_json, write_text
from ser.utils.parallel import map_tasks
from ser.utils.text import pluralize

Probabilities: TypeAlias = npt.NDArray[np.floating[Any]]
"""Probabilities of validation and test clips: (n_clips, n_classes)."""
Train: TypeAlias = Callable[[Dataset, int, Path], Probabilities]
"""Train a model on one fold with a seed, save it to a folder, and predict the validation and test clips."""

PACKAGE = Path(ser.__path__[0])
"""The library. Any change of its code starts training again."""
PREDICTIONS = "predictions.parquet"
CARD = "card.json"


def cross_validate(
    output: Path,
    data: Dataset,
    train: Train,
    *,
    seeds: Sequence[int],
    settings: Mapping[str, Any],
    inputs: Iterable[Path],
    calibrated: bool = False,
    n_jobs: int = 1,
) -> pd.DataFrame:
    """Train and calibrate a model for every fold and seed, and collect the predictions.

    Parameters
    ----------
    output : Path
        Folder of the models; contains a folder per fold and seed with the files of `train` and ``card.json``.
    data, train, seeds
        Each model is trained by `train` on one fold of `data` with one seed.
    settings : mapping
        Settings of the model, for its card.
    inputs : iterable of Path
        Files and folders whose change starts training again.
    calibrated : bool
        Whether `train` returns calibrated probabilities. Otherwise they are scaled by a temperature, which is fitted on
        validation clips.
    n_jobs : int
        Number of processes that train models in parallel.

    Returns
    -------
    DataFrame
        Prediction table of the validation and test recordings of every fold and seed.
    """
    # Includes the seeds: the output must not contain models of other seeds.
    fingerprint = _compute_fingerprint([*inputs, PACKAGE], settings={"seeds": list(seeds), "models": settings})
    folder = output.with_name(f".{output.name}.unfinished")
    fingerprint_file = folder / "fingerprint"
    if not fingerprint_file.is_file() or fingerprint_file.read_text(encoding="utf-8") != fingerprint:
        remove(folder)
        write_text(fingerprint_file, fingerprint)
    runs = [(folder / f"fold{fold}_seed{seed}", fold, seed) for fold in data.folds for seed in seeds]
    missing = [run for run in runs if not (run[0] / PREDICTIONS).exists()]
    if n_jobs > 1:
        data.frames()  # read before the processes start, or each would read all frames
    n_finished = len(runs) - len(missing)
    description = f"train {output.name}" + (f" ({n_finished} already trained)" if n_finished else "")
    work = partial(_train_model, data=data, train=train, settings=settings, calibrated=calibrated)
    map_tasks(work, missing, n_jobs=n_jobs, description=description, unit="model")
    files = [path / PREDICTIONS for path, _, _ in runs]
    table = pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)
    for file in files:  # only when all have been read
        file.unlink()
    fingerprint_file.unlink()
    remove(output)
    folder.replace(output)
    return table


def _train_model(
    run: tuple[Path, int, int], *, data: Dataset, train: Train, settings: Mapping[str, Any], calibrated: bool
) -> None:
    output, number, seed = run
    fold = data.fold(number)
    with atomic_write(output) as unfinished:
        unfinished.mkdir()
        probabilities = train(fold, seed, unfinished)
        clips = fold.clips("val", "test")
        table = prediction_table.prediction_table(clips, probabilities, classes=fold.classes, seed=seed)
        table = combine_rows(table, recordings=clips.recording_id)
        temperature = 1.0 if calibrated else fit_temperature(table[table.split == "val"])
        table = apply_temperature(table, temperature).assign(temperature=temperature)
        table.to_parquet(unfinished / PREDICTIONS, index=False)
        card = {"fold": number, "seed": seed, "temperature": temperature, "settings": settings}
        write_json(unfinished / CARD, fold.metadata() | card)


def format_training_summary(name: str, table: pd.DataFrame) -> str:
    """Format the number of models in a prediction table and their UAR on all validation clips."""
    val, n_models = table[table.split == "val"], table.groupby(["fold", "seed"]).ngroups
    uar = recall_score(val.emotion, val.predicted, labels=sorted(set(val.emotion)), average="macro", zero_division=0)
    return f"{name}: {pluralize(n_models, 'model')}, UAR {uar:.3f} on validation clips"


def concat_member_csvs(models: Path, name: str) -> pd.DataFrame:
    """Concatenate a CSV file of all models in a folder, with columns fold and seed first, sorted by them."""
    tables = []
    for file in sorted(models.glob(f"*/{name}")):
        card = json.loads((file.parent / CARD).read_text(encoding="utf-8"))
        table = pd.read_csv(file)
        table.insert(0, "seed", card["seed"])
        table.insert(0, "fold", card["fold"])
        tables.append(table)
    return pd.concat(tables, ignore_index=True).sort_values(["fold", "seed"], kind="stable", ignore_index=True)


def _compute_fingerprint(paths: Iterable[Path], *, settings: Mapping[str, Any]) -> str:
    """Hash settings, and sizes and modification times of files: reading gigabytes would take too long."""
    files = sorted(file for path in paths for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())
    stats = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.suffix != ".pyc"]
    return hashlib.sha256(json.dumps([settings, stats], sort_keys=True).encode()).hexdigest()
