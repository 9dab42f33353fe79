"""Models that are trained and exported by the stages themselves, in a folder as small as can be."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import yaml

from ser.inference.model import load
from ser.predictions.temperature import logits, softmax_with_temperature
from stages import augment, download, export, featurize, preprocess, split, train_baselines, train_lstm
from tests.helpers import dvc_project, factories

PER_CORPUS = (download, preprocess, augment, featurize)


def build(folder: Path, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Run the stages from download to export on the folder's ``corpora``; two seeds, the lstm as an ensemble of two."""
    params = edit(dvc_project.tiny(factories.ordinary()))
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    with contextlib.chdir(folder):
        for stage in PER_CORPUS:
            for corpus in params["corpora"]:
                stage.main(corpus)
        split.main()
        train_lstm.main()
        for baseline in params["baselines"]:
            train_baselines.main(baseline)
        Path("reports").mkdir(exist_ok=True)
        leaderboard(["lstm", *params["baselines"]]).to_csv("reports/leaderboard.csv", index=False)
        export.main()


def leaderboard(models: list[str]) -> pd.DataFrame:
    """Make what evaluation would have written, with a number missing."""
    numbers = {"uar": 0.5, "uar_low": np.nan, "uar_high": 0.6, "accuracy": 0.5, "ece": 0.1, "clips": 9, "speakers": 2}
    return pd.DataFrame([{"rank": n, "model": model} | numbers for n, model in enumerate(models, start=1)])


def tested(folder: Path, model: str) -> pd.DataFrame:
    """Read a model's stored predictions of original test clips, each with the path of its recording."""
    table = pd.read_parquet(folder / f"data/predictions/{model}.parquet")
    table = table[(table.augmentation == "") & (table.part == "test")].reset_index(drop=True)
    listed = {
        f"{corpus}/{Path(file).with_suffix('').as_posix()}": folder / "data/raw" / corpus / file
        for corpus in table.corpus.unique()
        for file in pd.read_csv(folder / f"data/recordings/{corpus}.csv").file
    }
    return table.assign(path=[listed[clip_id] for clip_id in table.clip_id])


def away(folder: Path, model: str, table: pd.DataFrame, give: Callable[[Path], Any]) -> float:
    """Say how far answers of the members that predicted clips are from what is stored of them, at most.

    A clip that sounds unlike training is answered with less confidence, by a factor that nothing stores: any above 1 is
    right.
    """
    members = {
        (fold, seed): load(folder / "models" / model, member=f"fold{fold}_seed{seed}")
        for fold, seed in set(zip(table.fold, table.seed, strict=True))
    }
    worst = 0.0
    for row in table.to_dict("records"):
        answer = members[row["fold"], row["seed"]].predict(give(row["path"]))
        found = np.array(list(answer.probabilities.values()))
        stored = np.array([row[f"p_{label}"] for label in answer.probabilities])
        if "unlike_training" in answer.flags:
            stored = softmax_with_temperature(logits(stored[None]), max(1, _spread(stored) / _spread(found)))[0]
        worst = max(worst, np.abs(found - stored).max())
    return float(worst)


def _spread(shares: npt.NDArray[np.float64]) -> float:
    return float(logits(shares).std())
