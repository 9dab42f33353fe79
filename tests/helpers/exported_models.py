"""Models trained and exported by the stages, in a small project."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import yaml

from ser.inference.model import load
from ser.inference.quality_flags import TrainingStatistics
from stages import augment, download, export, featurize, preprocess, split, train_baselines, train_lstm
from tests.helpers import dvc_project, factories

PER_CORPUS = (download, preprocess, augment, featurize)
SCORES = {"uar": 0.5, "uar_ci_low": np.nan, "uar_ci_high": 0.6, "accuracy": 0.5, "ece": 0.1, "clips": 9, "speakers": 2}


def build(folder: Path, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Run the stages from download to export on the folder's ``corpora``, with a made-up leaderboard."""
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
        models = ["lstm", *params["baselines"]]
        rows = [{"rank": n, "model": model} | SCORES for n, model in enumerate(models, start=1)]
        pd.DataFrame(rows).to_csv("reports/leaderboard.csv", index=False)
        export.main()


def stored_predictions(folder: Path, model: str) -> pd.DataFrame:
    """Read a model's predictions of original test clips, with the path of each recording."""
    table = pd.read_parquet(folder / f"data/predictions/{model}.parquet")
    table = table[(table.augmentation == "") & (table.split == "test")].reset_index(drop=True)
    paths = {
        f"{corpus}/{Path(file).with_suffix('').as_posix()}": folder / "data/raw" / corpus / file
        for corpus in table.corpus.unique()
        for file in pd.read_csv(folder / f"data/recordings/{corpus}.csv").file
    }
    return table.assign(path=[paths[clip_id] for clip_id in table.clip_id])


def max_difference(folder: Path, model: str, table: pd.DataFrame, read: Callable[[Path], Any]) -> float:
    """Compute the largest difference between stored probabilities and those of the exported members.

    The temperature, which evaluation does not raise, is not raised out of distribution.
    """
    members = {
        (fold, seed): load(folder / "models/exported" / model, member=f"fold{fold}_seed{seed}")
        for fold, seed in set(zip(table.fold, table.seed, strict=True))
    }
    differences = []
    with mock.patch.object(TrainingStatistics, "scores", lambda _, vectors: np.zeros(len(vectors))):
        for row in table.to_dict("records"):
            prediction = members[row["fold"], row["seed"]].predict(read(row["path"]))
            stored = [row[f"prob_{label}"] for label in prediction.probabilities]
            differences.append(np.abs(np.array(list(prediction.probabilities.values())) - stored).max())
    return float(max(differences))
