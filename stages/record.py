"""Log the current result to MLflow, once."""

import typer

from ser.params import read_params
from ser.tracking import mlflow_runs, run_metadata
from ser.utils.errors import handle_user_errors


@handle_user_errors
def main() -> None:
    """Log the current result to MLflow, once.

    Reads metrics, reports, models/exported and data/predictions. DVC always runs this stage, since results may come
    from its cache; a result that MLflow has is not recorded again.
    """
    params = read_params()
    models, settings = ["lstm", *params.baselines], run_metadata.read_settings()
    key = run_metadata.record_key(models, settings)
    if mlflow_runs.is_recorded(params.evaluate.mlflow_experiment, key):
        typer.echo("MLflow                has this result already")
        return
    from ser.tracking import collect  # takes seconds to import

    parent, children = collect.collect(settings)
    mlflow_runs.record(params.evaluate.mlflow_experiment, parent, children, key=key)
    typer.echo(f"MLflow                {parent.name}, and a run per model")


if __name__ == "__main__":
    typer.run(main)
