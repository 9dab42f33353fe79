"""Leave a complete record of an experiment in MLflow, wherever its results came from."""

import typer

from ser import origin, store
from ser.errors import one_sentence
from ser.params import read_params


@one_sentence
def main() -> None:
    """Leave a complete record of an experiment in MLflow, wherever its results came from.

    Reads metrics, reports, models and data/predictions. DVC runs this every time; what was recorded before is not
    recorded again.
    """
    params = read_params()
    models, settings = ["lstm", *params.baselines], origin.read_settings()
    key = origin.key(models, settings)
    if store.holds(key):
        typer.echo("MLflow                has this result already")
        return
    from ser import records, tracking  # which take seconds: not when there is nothing to do

    parent, children = records.collect(settings)
    tracking.record(params.evaluate.experiment, parent, children, key=key)
    typer.echo(f"MLflow                {parent.name}, and a run a model")


if __name__ == "__main__":
    typer.run(main)
