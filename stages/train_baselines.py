"""Train one classical baseline by grid search over training speakers, and predict the validation and test clips."""

from pathlib import Path
from typing import Annotated

import typer

from ser import baselines, datasets
from ser.errors import one_sentence
from ser.files import replacing, write_json, write_text
from ser.params import read_params
from ser.splits import inner_folds


@one_sentence
def main(baseline: Annotated[str, typer.Option(help="svm, knn, random_forest or decision_tree.")]) -> None:
    """Train one classical baseline by grid search over training speakers, and predict the validation and test clips.

    Reads data/functionals and data/splits.csv; writes models/BASELINE and data/predictions/BASELINE.parquet.
    """
    params = read_params()
    settings, seed = params.train_baselines, params.seed
    data = datasets.read(
        Path("data/functionals"), params.corpora, Path("data/splits.csv"), augmented=settings.augmented
    )
    folds = inner_folds(data.clips("train"), folds=settings.folds, seed=seed)
    vectors, labels, grid = data.functionals("train"), data.labels("train"), settings.grid_of(baseline)
    model, search = baselines.fit(baseline, vectors, labels, grid=grid, folds=folds, seed=seed)
    with replacing(Path("models") / baseline) as folder:
        baselines.save(model, folder)
        write_text(folder / "grid_search.csv", search.to_csv(index=False, lineterminator="\n"))
        write_json(folder / "card.json", data.card(settings))
    probabilities = baselines.predict(model, data.functionals("val", "test"))
    data.write_predictions(Path(f"data/predictions/{baseline}.parquet"), probabilities, seed=seed)


if __name__ == "__main__":
    typer.run(main)
