"""Every fold and seed of a run, one after the other. What an interruption leaves is taken up again.

DVC removes a stage's outputs before it runs, so finished members wait beside the output, under a name that DVC and Git
ignore, together with a fingerprint of what they were made from; where that has changed, all starts anew.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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
from ser.predictions.temperature import apply_temperature, fit_temperature
from ser.utils.files import atomic_write, remove, write_json, write_text
from ser.utils.parallel import map_tasks
from ser.utils.text import pluralize

Probabilities: TypeAlias = npt.NDArray[np.floating[Any]]
"""Probabilities of the validation and test clips: (clips, classes)."""
Train: TypeAlias = Callable[[Dataset, int, Path], Probabilities]
"""Trains a model on one fold with a seed, saves it to a folder, and predicts the validation and test clips."""

PACKAGE = Path(ser.__path__[0])
"""The library: training starts anew where any of its code has changed."""
PREDICTIONS = "predictions.parquet"
CARD = "card.json"


@dataclass(frozen=True)
class FoldRun:
    """One trained model of a run."""

    fold: int
    seed: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"fold{self.fold}_seed{self.seed}"


def cross_validate(
    output: Path,
    data: Dataset,
    train: Train,
    *,
    seeds: Sequence[int],
    settings: Mapping[str, Any],
    inputs: Iterable[Path],
    n_jobs: int = 1,
) -> pd.DataFrame:
    """Train a model for every fold and seed, calibrate each on its validation clips, and collect what they predict.

    Parameters
    ----------
    output
        Folder of models; gets a folder a member, with what `train` saves there and ``card.json``.
    data
        Clips, folds and features.
    train
        Makes one member.
    seeds
        Of the members.
    settings
        What the cards say of how they were trained.
    inputs
        Files and folders that the members are made from.
    n_jobs
        Members that are trained side by side, each on a core of its own, where one alone cannot use all.

    Returns
    -------
    DataFrame
        The prediction table of the validation and test clips of every fold and seed.
    """
    members = [FoldRun(fold, seed) for fold in data.folds for seed in seeds]
    # The seeds too, or a member that an interruption left would be among the models of a run that does not want it.
    fingerprint = _compute_fingerprint([*inputs, PACKAGE], settings={"seeds": list(seeds), "members": settings})
    with _resumable(output, fingerprint=fingerprint) as folder:
        missing = [member for member in members if not (folder / member.name / PREDICTIONS).exists()]
        work = partial(_train_member, folder=folder, data=data, train=train, settings=settings)
        if n_jobs > 1:
            data.frames()  # read now, or each process would read all of them
        kept = len(members) - len(missing)
        about = f"train {output.name}" + (f" ({kept} were trained before)" if kept else "")
        map_tasks(work, missing, n_jobs=n_jobs, description=about, unit="model")
        return _pop_predictions([folder / member.name / PREDICTIONS for member in members])


def _train_member(member: FoldRun, *, folder: Path, data: Dataset, train: Train, settings: Mapping[str, Any]) -> None:
    with atomic_write(folder / member.name) as unfinished:
        unfinished.mkdir()
        _train_one(unfinished, data.fold(member.fold), train, member=member, settings=settings)


def _train_one(folder: Path, data: Dataset, train: Train, *, member: FoldRun, settings: Mapping[str, Any]) -> None:
    shares = train(data, member.seed, folder)
    clips = data.clips("val", "test")
    table = prediction_table.prediction_table(clips, shares, classes=data.classes, seed=member.seed)
    temperature = fit_temperature(table[table.split == "val"])
    table = apply_temperature(table, temperature).assign(temperature=temperature)
    table.to_parquet(folder / PREDICTIONS, index=False)
    about = {"fold": member.fold, "seed": member.seed, "temperature": temperature, "settings": settings}
    write_json(folder / CARD, data.card() | about)


def _pop_predictions(files: Sequence[Path]) -> pd.DataFrame:
    """Read the members' predictions, which then are in the run's table and need not be kept with the models."""
    table = pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)
    for file in files:
        file.unlink()
    return table


def format_training_summary(name: str, table: pd.DataFrame) -> str:
    """Say how well the models of a run, whose prediction table this is, know their validation clips."""
    val, models = table[table.split == "val"], table.groupby(["fold", "seed"]).ngroups
    uar = recall_score(val.emotion, val.predicted, labels=sorted(set(val.emotion)), average="macro", zero_division=0)
    return f"{name}: {pluralize(models, 'model')}, UAR {uar:.3f} on validation clips"


def concat_member_csvs(models: Path, name: str) -> pd.DataFrame:
    """Join a CSV file that every member has, with columns fold and seed before its own."""
    tables = []
    for file in sorted(models.glob(f"*/{name}")):
        card = json.loads((file.parent / CARD).read_text(encoding="utf-8"))
        table = pd.read_csv(file)
        table.insert(0, "seed", card["seed"])
        table.insert(0, "fold", card["fold"])
        tables.append(table)
    return pd.concat(tables, ignore_index=True).sort_values(["fold", "seed"], kind="stable", ignore_index=True)


@contextmanager
def _resumable(output: Path, *, fingerprint: str) -> Iterator[Path]:
    """Give a folder that outlives failures and, when all went well, becomes the output."""
    folder = output.with_name(f".{output.name}.unfinished")
    made_from = folder / "made_from"
    if not made_from.is_file() or made_from.read_text(encoding="utf-8") != fingerprint:
        remove(folder)
        write_text(made_from, fingerprint)
    yield folder
    made_from.unlink()
    remove(output)
    folder.replace(output)


def _compute_fingerprint(paths: Iterable[Path], *, settings: Mapping[str, Any]) -> str:
    """Sum up settings and files, these by size and time of change: reading gigabytes takes longer than it saves."""
    files = sorted(file for path in paths for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())
    stats = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.suffix != ".pyc"]
    return hashlib.sha256(json.dumps([settings, stats], sort_keys=True).encode()).hexdigest()
