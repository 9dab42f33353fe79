"""What is to be remembered of an experiment, collected from the files that its stages left."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from ser import paths
from ser.evaluation import calibration, metrics, summary
from ser.inference.bundle import read_card
from ser.predictions import table as prediction_table
from ser.tracking.mlflow_runs import Dataset, Run, flatten
from ser.tracking.registry import PREDICTIONS, ModelBundle
from ser.tracking.run_metadata import experiment_tags, run_name, run_tags

ARTIFACTS = (
    paths.LEADERBOARD_MD,
    paths.LEADERBOARD_CSV,
    paths.LEADERBOARD_PNG,
    paths.PAIRWISE_TESTS_CSV,
    paths.LEAKAGE_CSV,
    paths.MODEL_CARD_MD,
    paths.EVALUATION_FIGURES / "models.png",
    paths.EVALUATION_FIGURES / "speakers.png",
    paths.EVALUATION_FIGURES / "robustness.png",
    paths.METRICS,
    paths.SPLITS,
    paths.LOCK,
    paths.PARAMS,
)
"""Of the whole experiment; those that there are. Not the evaluation report, which plays recordings."""
HEADLINE = ("uar", "uar_low", "uar_high", "accuracy", "f1", "roc_auc", "ece", "clips")
"""What of the best model stands beside the experiment too."""
CLIPS = ["clip_id", "corpus", "speaker", "sex", "language", "emotion", "text", "augmentation"]


def collect(settings: Mapping[str, Any]) -> tuple[Run, list[Run]]:
    """Collect the runs of an experiment and of its models.

    Parameters
    ----------
    settings
        All of params.yaml.

    Returns
    -------
    Run, list of Run
        The experiment; and the models, best first.
    """
    judged, board = json.loads(paths.METRICS.read_text(encoding="utf-8")), pd.read_csv(paths.LEADERBOARD_CSV)
    page = paths.LEADERBOARD_MD.read_text(encoding="utf-8")
    shared = Run(
        name=run_name(),
        description=page,
        tags={**run_tags(), **experiment_tags(settings)},
        params=flatten(settings),
        datasets=_datasets(settings["corpora"]),
    )
    best = str(board.model.iloc[0])
    rows = board.rename(columns={"rank": "place"}).itertuples()
    models = [_model(shared, row, metrics=judged[row.model], ranks=len(board)) for row in rows]
    return _experiment(shared, board, best=best, metrics=judged[best]["test"]), models


def _experiment(shared: Run, board: pd.DataFrame, *, best: str, metrics: Mapping[str, float]) -> Run:
    return replace(
        shared,
        tags={**shared.tags, "model": "leaderboard", "best_model": best},
        metrics={f"test.{name}": value for name, value in metrics.items() if name in HEADLINE},
        tables={"tables/leaderboard.json": board},
        files={file: "" for file in ARTIFACTS if file.is_file()},
    )


def _model(shared: Run, row: Any, *, metrics: Mapping[str, Mapping[str, float]], ranks: int) -> Run:
    model = str(row.model)
    return replace(
        shared,
        name=f"{model}: {shared.name}",
        description=_description(row, ranks=ranks, page=shared.description),
        tags={**shared.tags, "model": model, "rank": str(row.place)},
        metrics=flatten(metrics),
        history=_history() if model == "lstm" else None,
        tables=_tables(model),
        files=_files(model),
        model=_served(model),
    )


def _description(row: Any, *, ranks: int, page: str) -> str:
    """Say how good a model is, and, from the leaderboard's page, on what and with what warnings."""
    said = takewhile(lambda paragraph: not paragraph.startswith("|"), page.split("\n\n")[1:])
    interval = "" if pd.isna(row.uar_low) else f" (95 % interval {row.uar_low:.3f} to {row.uar_high:.3f})"
    return "\n\n".join([f"**{row.model}**: UAR {row.uar:.3f}{interval}, rank {row.place} of {ranks}.", *said])


def _history() -> pd.DataFrame:
    """Average the curves of all folds and seeds; later epochs are those of the models that had them."""
    history = pd.read_csv(paths.HISTORY_CSV).drop(columns=["fold", "seed"])
    return history.groupby("epoch", as_index=False).mean()


def _tables(model: str) -> dict[str, pd.DataFrame]:
    rows = summary.select_test_rows(pd.read_parquet(paths.predictions(model)))
    found = {
        "confusion": metrics.confusion(rows, classes=prediction_table.classes_of(rows)).reset_index(),
        "roc": metrics.roc_curves(rows),
        "calibration": calibration.reliability(rows),
    }
    return {f"tables/{name}.json": table for name, table in found.items()}


def _files(model: str) -> dict[Path, str]:
    matrices = dict.fromkeys(sorted(paths.CONFUSION.glob(f"{model}_*")), "confusion")
    drawn = dict.fromkeys(sorted(paths.EVALUATION_FIGURES.glob(f"{model}_*.png")), "figures")
    curve = {paths.HISTORY_CSV: "history", paths.HISTORY_PNG: "history"} if model == "lstm" else {}
    return {paths.predictions(model): PREDICTIONS} | matrices | drawn | curve


def _served(model: str) -> ModelBundle:
    folder = paths.exported(model)
    card = read_card(folder)
    return ModelBundle(model, folder, card.kind, card.labels)


def _datasets(corpora: Sequence[str]) -> list[Dataset]:
    """Describe the recordings, with DVC's hashes of them, and who of them is trained, validated and tested on."""
    hashes = _hashes()
    found = []
    for corpus in corpora:
        clips = pd.read_parquet(paths.functionals(corpus), columns=CLIPS)
        originals = clips[clips.augmentation == ""].drop(columns="augmentation")
        raw = paths.raw(corpus).as_posix()
        found.append(Dataset(corpus, "recordings", originals, raw, hashes.get(raw)))
    split = paths.SPLITS.as_posix()
    return [*found, Dataset("splits", "split", pd.read_csv(split), split, hashes.get(split))]


def _hashes() -> dict[str, str]:
    """Read DVC's hashes of what stages wrote; none outside DVC."""
    if not paths.LOCK.is_file():
        return {}
    stages = yaml.safe_load(paths.LOCK.read_text(encoding="utf-8"))["stages"].values()
    return {out["path"]: out["md5"] for stage in stages for out in stage.get("outs", [])}
