"""Collect the content of MLflow runs from the files that stages wrote."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
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
    *(paths.LEADERBOARD_MD, paths.LEADERBOARD_CSV, paths.LEADERBOARD_PNG),
    *(paths.PAIRWISE_TESTS_CSV, paths.LEAKAGE_CSV, paths.MODEL_CARD_MD),
    *(paths.EVALUATION_FIGURES / f"{name}.png" for name in ("models", "speakers", "robustness")),
    *(paths.METRICS, paths.SPLITS, paths.LOCK, paths.PARAMS),
)
"""Files of an experiment, if they exist; without the evaluation report, since it contains recordings."""
HEADLINE = ("uar", "uar_ci_low", "uar_ci_high", "accuracy", "f1", "roc_auc", "ece", "clips")
"""Metrics of the best model that are logged to the experiment too."""


def collect(settings: Mapping[str, Any]) -> tuple[Run, list[Run]]:
    """Collect the run of an experiment and the runs of its models, best first; `settings` is all of params.yaml."""
    scores, leaderboard = json.loads(paths.METRICS.read_text(encoding="utf-8")), pd.read_csv(paths.LEADERBOARD_CSV)
    shared = Run(
        name=run_name(),
        description=paths.LEADERBOARD_MD.read_text(encoding="utf-8"),
        tags={**run_tags(), **experiment_tags(settings)},
        params=flatten(settings),
        datasets=_datasets(settings["corpora"]),
    )
    best = str(leaderboard.model.iloc[0])
    experiment = replace(
        shared,
        tags={**shared.tags, "model": "leaderboard", "best_model": best},
        metrics={f"test.{name}": value for name, value in scores[best]["test"].items() if name in HEADLINE},
        tables={"tables/leaderboard.json": leaderboard},
        files={file: "" for file in ARTIFACTS if file.is_file()},
    )
    n_models = len(leaderboard)
    return experiment, [_model(shared, row, scores[row.model], n_models=n_models) for row in leaderboard.itertuples()]


def _model(shared: Run, row: Any, scores: Mapping[str, Mapping[str, float]], *, n_models: int) -> Run:
    name = str(row.model)
    card = read_card(paths.exported(name))
    predictions = summary.select_test_rows(pd.read_parquet(paths.predictions(name)))
    confusion = metrics.confusion(predictions, classes=prediction_table.classes_of(predictions))
    files = {paths.predictions(name): PREDICTIONS}
    files |= dict.fromkeys(sorted(paths.CONFUSION.glob(f"{name}_*")), "confusion")
    files |= dict.fromkeys(sorted(paths.EVALUATION_FIGURES.glob(f"{name}_*.png")), "figures")
    history = None
    if name == "lstm":
        files |= {paths.HISTORY_CSV: "history", paths.HISTORY_PNG: "history"}
        history = pd.read_csv(paths.HISTORY_CSV).drop(columns=["fold", "seed"]).groupby("epoch", as_index=False).mean()
    return replace(
        shared,
        name=f"{name}: {shared.name}",
        description=_description(row, n_models=n_models, leaderboard=shared.description),
        tags={**shared.tags, "model": name, "rank": str(row.rank)},
        metrics=flatten(scores),
        history=history,
        tables={
            "tables/confusion.json": confusion.reset_index(),
            "tables/roc.json": metrics.roc_curves(predictions),
            "tables/calibration.json": calibration.reliability(predictions),
        },
        files=files,
        model=ModelBundle(name, paths.exported(name), card.kind, card.labels),
    )


def _description(row: Any, *, n_models: int, leaderboard: str) -> str:
    """Describe the score of a model, followed by the leaderboard's paragraphs on the test set and its warnings."""
    notes = takewhile(lambda paragraph: not paragraph.startswith("|"), leaderboard.split("\n\n")[1:])
    interval = "" if pd.isna(row.uar_ci_low) else f" (95 % CI {row.uar_ci_low:.3f} to {row.uar_ci_high:.3f})"
    return "\n\n".join([f"**{row.model}**: UAR {row.uar:.3f}{interval}, rank {row.rank} of {n_models}.", *notes])


def _datasets(corpora: Sequence[str]) -> list[Dataset]:
    """List the recordings of each corpus and the split, with DVC's hashes if there is a dvc.lock."""
    lock = yaml.safe_load(paths.LOCK.read_text(encoding="utf-8")) if paths.LOCK.is_file() else {"stages": {}}
    hashes = {out["path"]: out["md5"] for stage in lock["stages"].values() for out in stage.get("outs", [])}
    inputs = [(corpus, "recordings", paths.raw(corpus).as_posix()) for corpus in corpora]
    inputs.append(("splits", "split", paths.SPLITS.as_posix()))
    return [Dataset(name, context, source, hashes.get(source)) for name, context, source in inputs]
