"""What a failing stage leaves in MLflow. As a script, so that no stage needs mlflow, or this, to run."""

import sys

from ser import paths
from ser.tracking import mlflow_runs, run_metadata
from ser.tracking import store as tracking_store
from ser.utils.errors import UserError

EXPERIMENT = "speech-emotion"


def record_failure(stage: str, sentence: str) -> bool:
    """Leave a failed run, with the settings and the error; the same failure of the same experiment is left once.

    Returns
    -------
    bool
        Whether anything was written.
    """
    settings = run_metadata.read_settings()
    evaluate = settings.get("evaluate")
    experiment = str(evaluate.get("experiment") or EXPERIMENT) if isinstance(evaluate, dict) else EXPERIMENT
    name = run_metadata.run_name()
    run = mlflow_runs.Run(
        name=name,
        description=f"**{stage} failed.** {sentence}",
        tags={
            **run_metadata.run_tags(),
            **run_metadata.experiment_tags(settings),
            "model": "leaderboard",
            "stage": stage,
            "error": sentence,
        },
        params=mlflow_runs.flatten(settings),
        files={paths.PARAMS: ""} if paths.PARAMS.is_file() else {},
    )
    content = tracking_store.content_key([], settings={"failed": stage, "error": sentence, "settings": settings})
    key = tracking_store.origin_key(content, experiment=name)
    return mlflow_runs.record(experiment, run, key=key, failed=True)


if __name__ == "__main__":
    try:
        record_failure(*sys.argv[1:3])
    except UserError as error:
        raise SystemExit(f"error: {error}") from None
