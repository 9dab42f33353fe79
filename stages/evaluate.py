"""Evaluate the predictions of all models, rank the models and plot confusion matrices."""

from typing import Annotated

import typer

from ser import paths
from ser.evaluation import evaluate, leakage
from ser.params import read_params
from ser.reporting import leaderboard
from ser.utils.errors import handle_user_errors


@handle_user_errors
def main(
    show: Annotated[bool, typer.Option("--show", help="Only show the leaderboard of the last evaluation.")] = False,
) -> None:
    """Evaluate the predictions of all models, rank the models and plot confusion matrices.

    Reads data/predictions and reports/leakage.csv; writes metrics/metrics.json and reports/.
    """
    if not show:
        params = read_params()
        models = ["lstm", *params.baselines]
        results = evaluate.evaluate_models(
            paths.PREDICTIONS, models, params.evaluate, emotions=params.emotions, seed=params.data_seed
        )
        leaks = leakage.describe_leakage(evaluate.read_leakage(paths.LEAKAGE_CSV))
        leaderboard.write(results, corpora=params.corpora, split=params.split, lstm=params.train_lstm, leaks=leaks)
    # the last stage of a run shows the leaderboard
    typer.echo(leaderboard.console_summary() if show else f"Leaderboard           {paths.LEADERBOARD_MD}")


if __name__ == "__main__":
    typer.run(main)
