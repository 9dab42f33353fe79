"""Write the evaluation report: significance tests, subgroups, calibration, robustness and errors."""

import typer

from ser import paths
from ser.corpora.base import speech_styles
from ser.dataset.run_data import describe_data
from ser.evaluation import evaluate
from ser.params import read_params
from ser.reporting import evaluation_report, leaderboard
from ser.utils.errors import handle_user_errors


@handle_user_errors
def main() -> None:
    """Write the evaluation report: significance tests, subgroups, calibration, robustness and errors.

    Reads data/predictions, data/splits.csv, data/excluded.csv, the metadata of clips from data/features/functionals,
    reports/leakage.csv, reports/confusion and, for audio players, data/interim; writes
    reports/evaluation.html and its figures to reports/evaluation.
    """
    params = read_params()
    models = ["lstm", *params.baselines]
    result = evaluate.evaluate_models(
        paths.PREDICTIONS, models, params.evaluate, emotions=params.emotions, seed=params.data_seed
    )
    styles = speech_styles(params.corpora, params.custom_corpora)
    tables = [paths.functionals(corpus) for corpus in params.corpora]
    data = describe_data(tables, paths.SPLITS, paths.EXCLUDED, styles=styles)
    evaluation_report.write(
        paths.EVALUATION_REPORT,
        paths.EVALUATION_FIGURES,
        result=result,
        description=leaderboard.describe_run(
            result, split=params.split, n_networks=params.train_lstm.n_networks, data=data, styles=styles
        ),
        leakage=evaluate.read_leakage(paths.LEAKAGE_CSV),
        confusion=paths.CONFUSION,
        clips=[paths.clips(corpus) for corpus in params.corpora],
        settings=params.evaluate,
        seed=params.data_seed,
        all_settings=params.model_dump(mode="json"),
    )
    typer.echo(leaderboard.console_summary())


if __name__ == "__main__":
    typer.run(main)
