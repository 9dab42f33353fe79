"""Ready views of MLflow's pages: which runs, columns and charts they open with.

MLflow keeps a view that somebody shares as a tag of the experiment, and opens it by the last word of the tag:
``…/#/experiments/1/runs?viewStateShareKey=models``.
"""

import json
from typing import Any

COLUMNS = ("test.uar", "test.uar_low", "test.uar_high", "test.accuracy", "test.f1", "test.roc_auc", "test.ece")
BARS = ("test.uar", "test.f1", "test.accuracy", "test.roc_auc", "test.ece", "val.uar")
CURVES = ("epoch.val_uar", "epoch.loss", "epoch.val_loss")
SECTION = "headline"


def tags() -> dict[str, str]:
    """Give the tags of an experiment: a view of `models`, best first, and one of `experiments`, newest first."""
    best_first = {"orderByKey": "metrics.`test.uar`", "orderByAsc": False}
    newest_first = {"orderByKey": "attributes.start_time", "orderByAsc": False}
    views = {
        "models": _view("tags.model != 'leaderboard'", ["model"]) | best_first,
        "experiments": _view("tags.model = 'leaderboard'", ["best_model", "corpora", "protocol"]) | newest_first,
    }
    shared = {f"mlflow.sharedViewState.{name}": json.dumps(view) for name, view in views.items()}
    return {"mlflow.experimentKind": "custom_model_development", **shared}


def _view(runs: str, tags: list[str]) -> dict[str, Any]:
    return {
        "searchFilter": runs,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "selectedColumns": [*(f"tags.`{name}`" for name in tags), *(f"metrics.`{name}`" for name in COLUMNS)],
        "runsHiddenMode": "FIRST_20_RUNS",
        "isAccordionReordered": True,
        "compareRunCharts": [*(_bar(name) for name in BARS), *(_curve(name) for name in CURVES)],
        "compareRunSections": [{"uuid": SECTION, "name": "Headline", "display": True, "isReordered": True}],
        "hideEmptyCharts": True,
    }


def _bar(metric: str) -> dict[str, Any]:
    return {"type": "BAR", "metricKey": metric, **_chart(f"bar-{metric}")}


def _curve(metric: str) -> dict[str, Any]:
    axes = {"xAxisKey": "step", "scaleType": "linear", "xAxisScaleType": "linear", "lineSmoothness": 0}
    whole = {"range": {"xMin": None, "xMax": None, "yMin": None, "yMax": None}}
    return {"type": "LINE", "metricKey": metric, "selectedMetricKeys": [metric], **axes, **whole, **_chart(metric)}


def _chart(name: str) -> dict[str, Any]:
    return {
        "uuid": name,
        "metricSectionId": SECTION,
        "runsCountToCompare": 20,
        "deleted": False,
        "isGenerated": False,
    }
