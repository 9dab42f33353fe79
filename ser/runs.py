"""What a run in MLflow says of itself: what made it, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ser import paths, tracking
from ser.errors import InputError

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class Found:
    """What a run says of itself: see `find_run`.

    Attributes
    ----------
    revision
        The commit that was checked out.
    model
        Whose metrics these are.
    settings
        params.yaml as it was recorded; None where only `params` were.
    params, metrics
        Flat, as ``section.key`` (text) and ``part.metric``.
    """

    revision: str
    model: str
    settings: str | None
    params: Mapping[str, str]
    metrics: Mapping[str, float]


def find_run(run_id: str) -> Found:
    """Look up what made a run, and what came of it.

    Raises
    ------
    InputError
        If there is no such run, or it does not name its commit.
    """
    client = tracking.connect()
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
    except MlflowException:
        raise InputError(f"MLflow at {client.tracking_uri} has no run {run_id!r}; `make ui` shows their ids.") from None
    tags = run.data.tags
    if "git_revision" not in tags:
        raise InputError(f"MLflow's run {run_id} has no tag git_revision; it was not recorded by this project.")
    places = [place for place in (run_id, tags.get("mlflow.parentRunId")) if place]
    texts = [client.download_artifacts(place, str(paths.PARAMS)) for place in places if _has_settings(client, place)]
    settings = Path(texts[0]).read_text(encoding="utf-8") if texts else None
    model = tags.get("best_model", tags.get("model", ""))
    return Found(tags["git_revision"], model, settings, run.data.params, run.data.metrics)


def _has_settings(client: "MlflowClient", run_id: str) -> bool:
    return any(item.path == str(paths.PARAMS) for item in client.list_artifacts(run_id))
