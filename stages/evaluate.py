"""Evaluate the predictions of all models, rank the models and plot confusion matrices."""

from typing import Annotated

import typer

from ser import paths
from ser.corpora.base import speech_styles
from ser.dataset.run_data import describe_data
from ser.evaluation import evaluate, leakage
from ser.params import read_params
from ser.reporting import leaderboard
from ser.utils.errors import handle_user_errors


@handle_user_errors
def main(
    show: Annotated[bool, typer.Option("--show", help="Only show the leaderboard of the last evaluation.")] = False,
) -> None:
    """Evaluate the predictions of all models, rank the models and plot confusion matrices.

    Reads data/predictions, data/splits.csv, data/excluded.csv, the metadata of clips from data/features/functionals,
    and reports/leakage.csv; writes metrics/metrics.json and reports/.
    """
    if not show:
        params = read_params()
        models = ["lstm", *params.baselines]
        results = evaluate.evaluate_models(
            paths.PREDICTIONS, models, params.evaluate, emotions=params.emotions, seed=params.data_seed
        )
        styles = speech_styles(params.corpora, params.custom_corpora)
        tables = [paths.functionals(corpus) for corpus in params.corpora]
        data = describe_data(tables, paths.SPLITS, paths.EXCLUDED, styles=styles)
        run = leaderboard.describe_run(
            results, split=params.split, n_networks=params.train_lstm.n_networks, data=data, styles=styles
        )
        leaks = leakage.describe_leakage(evaluate.read_leakage(paths.LEAKAGE_CSV))
        leaderboard.write(results, run, lstm=params.train_lstm, leaks=leaks)
    # the last stage of a run shows the leaderboard
    typer.echo(leaderboard.console_summary() if show else f"Leaderboard           {paths.LEADERBOARD_MD}")


if __name__ == "__main__":
    typer.run(main)
