"""Train the (Bi)LSTM network on every fold and seed."""

from functools import partial

import typer

from ser import paths
from ser.models import cross_validation, trainer
from ser.models import dataset as training_data
from ser.params import read_params
from ser.utils.errors import handle_user_errors
from ser.utils.files import atomic_write, write_text
from ser.utils.parallel import n_workers


@handle_user_errors
def main() -> None:
    """Train the (Bi)LSTM network on every fold and seed.

    Reads data/features/frames, data/features/functionals and data/splits.csv; writes models/checkpoints/lstm, the
    predictions of validation and test clips to data/predictions/lstm.parquet, and reports/lstm/history.csv.
    """
    params = read_params()
    settings, trained = params.train_lstm, paths.checkpoint("lstm")
    tables = [*map(paths.frames, params.corpora), *map(paths.functionals, params.corpora)]
    table = cross_validation.cross_validate(
        trained,
        training_data.load_training_data(settings, params.corpora),
        partial(trainer.train, settings=settings, hop_seconds=params.features.hop_seconds),
        seeds=params.model_seeds,
        settings=settings.model_dump(mode="json"),
        inputs=[*tables, paths.SPLITS],
        n_jobs=n_workers(),
    )
    with atomic_write(paths.predictions("lstm")) as unfinished:
        table.to_parquet(unfinished, index=False)
    typer.echo(cross_validation.format_training_summary("lstm", table))
    history = cross_validation.concat_member_csvs(trained, trainer.HISTORY)
    write_text(paths.HISTORY_CSV, history.to_csv(index=False, lineterminator="\n"))


if __name__ == "__main__":
    typer.run(main)
