"""What a failing stage leaves in MLflow. As a script, so that no stage needs mlflow, or this, to run."""

import sys

from ser import origin, paths, store, tracking
from ser.errors import InputError

EXPERIMENT = "speech-emotion"


def record_failure(stage: str, sentence: str) -> bool:
    """Leave a failed run, with the settings and the error; the same failure of the same experiment is left once.

    Returns
    -------
    bool
        Whether anything was written.
    """
    settings = origin.read_settings()
    evaluate = settings.get("evaluate")
    experiment = str(evaluate.get("experiment") or EXPERIMENT) if isinstance(evaluate, dict) else EXPERIMENT
    name = origin.run_name()
    run = tracking.Run(
        name=name,
        description=f"**{stage} failed.** {sentence}",
        tags={**origin.origin(), **origin.about(settings), "model": "leaderboard", "stage": stage, "error": sentence},
        params=tracking.flatten(settings),
        files={paths.PARAMS: ""} if paths.PARAMS.is_file() else {},
    )
    content = store.content_key([], settings={"failed": stage, "error": sentence, "settings": settings})
    key = store.origin_key(content, experiment=name)
    return tracking.record(experiment, run, key=key, failed=True)


if __name__ == "__main__":
    try:
        record_failure(*sys.argv[1:3])
    except InputError as error:
        raise SystemExit(f"error: {error}") from None
