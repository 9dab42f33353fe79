"""Train one baseline on every fold and seed, by grid search over training speakers."""

from functools import partial
from typing import Annotated

import typer

from ser import paths
from ser.models import baselines, cross_validation
from ser.models import dataset as training_data
from ser.params import read_params
from ser.utils.errors import handle_user_errors
from ser.utils.files import atomic_write


@handle_user_errors
def main(baseline: Annotated[str, typer.Option(help="svm, knn, random_forest or decision_tree.")]) -> None:
    """Train one baseline on every fold and seed, by grid search over training speakers.

    Reads data/features/functionals and data/splits.csv; writes models/checkpoints/BASELINE and the predictions of
    validation and test clips to data/predictions/BASELINE.parquet.
    """
    params = read_params()
    settings = params.train_baselines
    grid = settings.grid_of(baseline)
    table = cross_validation.cross_validate(
        paths.checkpoint(baseline),
        training_data.read(paths.FUNCTIONALS, params.corpora, paths.SPLITS, augmentations=settings.augmentations),
        partial(baselines.train, name=baseline, grid=grid, folds=settings.folds, protocol=params.split.protocol),
        seeds=params.model_seeds,
        settings={"augmentations": list(settings.augmentations), "folds": settings.folds, "grid": grid},
        inputs=[*map(paths.functionals, params.corpora), paths.SPLITS],
        calibrated=True,  # on training speakers, of whom there are more than validation speakers
    )
    with atomic_write(paths.predictions(baseline)) as unfinished:
        table.to_parquet(unfinished, index=False)
    typer.echo(cross_validation.format_training_summary(baseline, table))


if __name__ == "__main__":
    typer.run(main)
