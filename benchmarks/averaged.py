"""What the last run's seeds would reach together, as one ensemble: their probabilities are averaged, clip by clip.

    .venv/bin/dvc exp run -S 'model_seeds=[1,2,3]' …
    .venv/bin/python -m benchmarks.averaged --model lstm

The same as training with `train_lstm.n_networks`, without training again. The leaderboard never shows this number.
"""

from typing import Annotated

import pandas as pd
import typer

from ser import paths
from ser.evaluation import bootstrap, summary
from ser.params import read_params
from ser.utils.errors import UserError, handle_user_errors


def averaged(table: pd.DataFrame) -> pd.DataFrame:
    """Make one prediction table of those of all seeds."""
    shares = [column for column in table if column.startswith("prob_")]
    mean = table.groupby("clip_id")[shares].mean()
    one = table.drop_duplicates("clip_id").set_index("clip_id").assign(**{name: mean[name] for name in shares})
    return one.assign(predicted=one[shares].idxmax(axis=1).str.removeprefix("prob_")).reset_index()


@handle_user_errors
def main(model: Annotated[str, typer.Option(help="A model of the last run.")] = "lstm") -> None:
    """Say the test UAR of each seed, of their mean, and of the ensemble of them all with its interval."""
    settings, path = read_params().evaluate, paths.predictions(model)
    if not path.is_file():
        raise UserError(f"{path} was not found; `make repro` makes it.")
    tested = summary.select_test_rows(pd.read_parquet(path))
    for seed, table in tested.groupby("seed"):
        typer.echo(said(f"seed {seed}", table, resamples=settings.n_resamples))
    typer.echo(said("mean of seeds", tested, resamples=settings.n_resamples))
    typer.echo(said(f"ensemble of {tested.seed.nunique()}", averaged(tested), resamples=settings.n_resamples))


def said(name: str, table: pd.DataFrame, *, resamples: int) -> str:
    """Say the UAR of a prediction table, with its interval over speakers."""
    found = bootstrap.bootstrap(table, ["uar"], resamples=resamples, seed=1).loc["uar"]
    return f"{name:15} test UAR {found.value:.3f} [{found.ci_low:.3f}, {found.ci_high:.3f}]"


if __name__ == "__main__":
    typer.run(main)
