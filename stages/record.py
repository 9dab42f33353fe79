"""Leave a complete record of an experiment in MLflow, wherever its results came from."""

import typer

from ser.params import read_params
from ser.tracking import run_metadata
from ser.tracking import store as tracking_store
from ser.utils.errors import handle_user_errors


@handle_user_errors
def main() -> None:
    """Leave a complete record of an experiment in MLflow, wherever its results came from.

    Reads metrics, reports, models/exported and data/predictions. DVC runs this every time; what was recorded before is not
    recorded again.
    """
    params = read_params()
    models, settings = ["lstm", *params.baselines], run_metadata.read_settings()
    key = run_metadata.record_key(models, settings)
    if tracking_store.contains(key):
        typer.echo("MLflow                has this result already")
        return
    from ser.tracking import (
        collect,
        mlflow_runs,  # which take seconds: not when there is nothing to do
    )

    parent, children = collect.collect(settings)
    mlflow_runs.record(params.evaluate.experiment, parent, children, key=key)
    typer.echo(f"MLflow                {parent.name}, and a run a model")


if __name__ == "__main__":
    typer.run(main)
