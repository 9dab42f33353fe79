"""Judge every model's predictions, rank the models and draw what they confuse."""

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
    """Judge every model's predictions, rank the models and draw what they confuse.

    Reads data/predictions and reports/leakage.csv; writes metrics/metrics.json and reports/.
    """
    if not show:
        params = read_params()
        models = ["lstm", *params.baselines]
        judged = evaluate.evaluate_models(
            paths.PREDICTIONS, models, params.evaluate, emotions=params.emotions, seed=params.data_seed
        )
        leaks = leakage.describe_leakage(evaluate.read_leakage(paths.LEAKAGE_CSV))
        leaderboard.write(judged, corpora=params.corpora, split=params.split, lstm=params.train_lstm, leaks=leaks)
    # A later stage ends a run by showing it.
    typer.echo(leaderboard.console_summary() if show else f"Leaderboard           {paths.LEADERBOARD_MD}")


if __name__ == "__main__":
    typer.run(main)
