"""Evaluate the networks of all seeds of the last run as one ensemble, which averages their probabilities per clip.

    .venv/bin/dvc exp run -S 'model_seeds=[1,2,3]' …
    .venv/bin/python -m benchmarks.ensemble --model lstm

This equals training with `train_lstm.n_networks`, without training again. The leaderboard does not show this score.
"""

from typing import Annotated

import pandas as pd
import typer

from ser import paths
from ser.evaluation import bootstrap, summary
from ser.params import read_params
from ser.utils.errors import UserError, handle_user_errors


def average_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """Average the probabilities of all seeds: a prediction table with one row per clip."""
    columns = [column for column in table if column.startswith("prob_")]
    mean = table.groupby("clip_id")[columns].mean()
    rows = table.drop_duplicates("clip_id").set_index("clip_id").assign(**{name: mean[name] for name in columns})
    return rows.assign(predicted=rows[columns].idxmax(axis=1).str.removeprefix("prob_")).reset_index()


@handle_user_errors
def main(model: Annotated[str, typer.Option(help="A model of the last run.")] = "lstm") -> None:
    """Print the test UAR of each seed, their mean, and the ensemble."""
    n_resamples, path = read_params().evaluate.n_resamples, paths.predictions(model)
    if not path.is_file():
        raise UserError(f"{path} was not found; run `make repro` to create it.")
    rows = summary.select_test_rows(pd.read_parquet(path))
    for seed, table in rows.groupby("seed"):
        typer.echo(format_uar(f"seed {seed}", table, resamples=n_resamples))
    typer.echo(format_uar("mean of seeds", rows, resamples=n_resamples))
    typer.echo(format_uar(f"ensemble of {rows.seed.nunique()}", average_seeds(rows), resamples=n_resamples))


def format_uar(name: str, table: pd.DataFrame, *, resamples: int) -> str:
    """Format the UAR of a prediction table with its confidence interval over speakers."""
    uar = bootstrap.bootstrap(table, ["uar"], resamples=resamples, seed=1).loc["uar"]
    return f"{name:15} test UAR {uar.value:.3f} [{uar.ci_low:.3f}, {uar.ci_high:.3f}]"


if __name__ == "__main__":
    typer.run(main)
