"""What is to be remembered of an experiment, collected from the files that its stages left."""

import json
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from ser import breakdowns, calibration, headline, metrics, predictions
from ser.evaluation import HISTORY, HISTORY_PICTURE
from ser.origin import BOARD, METRICS, SETTINGS, SPLITS, about, origin, run_name
from ser.registry import Served
from ser.tracking import Dataset, Run, flatten

PAGE = Path("reports/leaderboard.md")
LOCK = Path("dvc.lock")
KEPT = (
    PAGE,
    BOARD,
    Path("reports/leaderboard.png"),
    Path("reports/pairs.csv"),
    Path("reports/probe.csv"),
    Path("reports/model_card.md"),
    Path("reports/report/models.png"),
    Path("reports/report/speakers.png"),
    Path("reports/report/robustness.png"),
    METRICS,
    SPLITS,
    LOCK,
    SETTINGS,
)
"""Of the whole experiment; those that there are. Not reports/report.html, which plays recordings."""
HEADLINE = ("uar", "uar_low", "uar_high", "accuracy", "f1", "roc_auc", "ece", "clips")
"""What of each model stands beside the experiment too."""
CLIPS = ["clip_id", "corpus", "speaker", "sex", "language", "emotion", "text", "augmentation"]


def collect(models: Sequence[str], settings: Mapping[str, Any]) -> tuple[Run, list[Run]]:
    """Collect the runs of an experiment and of its models.

    Parameters
    ----------
    models
        Names.
    settings
        All of params.yaml.

    Returns
    -------
    Run, list of Run
        The experiment; and the models, best first.
    """
    judged, board = json.loads(METRICS.read_text(encoding="utf-8")), pd.read_csv(BOARD)
    page = PAGE.read_text(encoding="utf-8")
    name, shared = run_name(), {**origin(), **about(settings)}
    params, datasets = flatten(settings), _datasets(settings["corpora"])
    best = str(board.model.iloc[0])
    heads = {model: _headline(judged[model]["test"]) for model in models}
    parent = Run(
        name=name,
        description=page,
        tags={**shared, "model": "leaderboard", "best_model": best},
        metrics=flatten({"test": heads[best], **{model: {"test": numbers} for model, numbers in heads.items()}}),
        tables={"tables/leaderboard.json": board},
        files={file: "" for file in KEPT if file.is_file()},
        params=params,
        datasets=datasets,
    )
    children = [
        Run(
            name=f"{name}: {row.model}",
            description=_description(row, ranks=len(board), page=page),
            tags={**shared, "model": str(row.model), "rank": str(row.rank_)},
            metrics=flatten(judged[row.model]),
            history=_history() if row.model == "lstm" else None,
            tables=_tables(str(row.model)),
            files=_pictures(str(row.model)),
            model=_served(str(row.model)),
            params=params,
            datasets=datasets,
        )
        for row in board.rename(columns={"rank": "rank_"}).itertuples()
    ]
    return parent, children


def _headline(numbers: Mapping[str, float]) -> dict[str, float]:
    return {name: numbers[name] for name in HEADLINE if name in numbers}


def _description(row: Any, *, ranks: int, page: str) -> str:
    """Say how good a model is, and, from the leaderboard's page, on what and with what warnings."""
    said = takewhile(lambda paragraph: not paragraph.startswith("|"), page.split("\n\n")[1:])
    interval = "" if pd.isna(row.uar_low) else f" (95 % interval {row.uar_low:.3f} to {row.uar_high:.3f})"
    return "\n\n".join([f"**{row.model}**: UAR {row.uar:.3f}{interval}, rank {row.rank_} of {ranks}.", *said])


def _history() -> pd.DataFrame:
    """Average the curves of all folds and seeds; later epochs are those of the models that had them."""
    history = pd.read_csv(HISTORY).drop(columns=["fold", "seed"])
    return history.groupby("epoch", as_index=False).mean()


def _tables(model: str) -> dict[str, pd.DataFrame]:
    rows = headline.tested(pd.read_parquet(f"data/predictions/{model}.parquet"))
    found = {
        "confusion": metrics.confusion(rows, classes=predictions.classes_of(rows)).reset_index(),
        "roc": breakdowns.roc_curves(rows),
        "calibration": calibration.reliability(rows),
    }
    return {f"tables/{name}.json": table for name, table in found.items()}


def _pictures(model: str) -> dict[Path, str]:
    matrices = dict.fromkeys(sorted(Path("reports/confusion").glob(f"{model}_*")), "confusion")
    drawn = dict.fromkeys(sorted(Path("reports/report").glob(f"{model}_*.png")), "figures")
    curve = {HISTORY: "history", HISTORY_PICTURE: "history"} if model == "lstm" else {}
    return matrices | drawn | curve


def _served(model: str) -> Served:
    folder = Path("models") / model
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    return Served(model, folder, tuple(card["labels"]))


def _datasets(corpora: Sequence[str]) -> list[Dataset]:
    """Describe the recordings, with DVC's hashes of them, and who of them is trained, validated and tested on."""
    hashes = _hashes()
    found = []
    for corpus in corpora:
        clips = pd.read_parquet(f"data/functionals/{corpus}.parquet", columns=CLIPS)
        originals = clips[clips.augmentation == ""].drop(columns="augmentation")
        raw = f"data/raw/{corpus}"
        found.append(Dataset(corpus, "recordings", originals, raw, hashes.get(raw)))
    return [*found, Dataset("splits", "split", pd.read_csv(SPLITS), str(SPLITS), hashes.get(str(SPLITS)))]


def _hashes() -> dict[str, str]:
    """Read DVC's hashes of what stages wrote; none outside DVC."""
    if not LOCK.is_file():
        return {}
    stages = yaml.safe_load(LOCK.read_text(encoding="utf-8"))["stages"].values()
    return {out["path"]: out["md5"] for stage in stages for out in stage.get("outs", [])}
