"""Record a failed stage in MLflow: python -m ser.tracking.failures STAGE MESSAGE.

This runs in a separate process, so that no stage imports mlflow or depends on this package.
"""

import sys

from ser import paths
from ser.tracking import mlflow_runs, run_metadata
from ser.tracking import store as tracking_store
from ser.utils.errors import UserError

EXPERIMENT = "speech-emotion"  # default of evaluate.mlflow_experiment


def record_failure(stage: str, message: str) -> bool:
    """Write a failed run with the settings and the error; return False if the store has it already."""
    settings, name = run_metadata.read_settings(), run_metadata.run_name()
    evaluate = settings.get("evaluate")
    experiment = str(evaluate.get("mlflow_experiment") or EXPERIMENT) if isinstance(evaluate, dict) else EXPERIMENT
    tags = {"model": "leaderboard", "stage": stage, "error": message}
    run = mlflow_runs.Run(
        name=name,
        description=f"**{stage} failed.** {message}",
        tags={**run_metadata.run_tags(), **run_metadata.experiment_tags(settings), **tags},
        params=mlflow_runs.flatten(settings),
        files={paths.PARAMS: ""} if paths.PARAMS.is_file() else {},
    )
    failure = {"failed": stage, "error": message, "settings": settings}
    key = tracking_store.result_key([], settings=failure, experiment=name)
    return mlflow_runs.record(experiment, run, key=key, failed=True)


if __name__ == "__main__":
    try:
        record_failure(*sys.argv[1:3])
    except UserError as error:
        raise SystemExit(f"error: {error}") from None
