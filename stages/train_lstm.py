"""Train the recurrent model, and predict the validation and test clips."""

from pathlib import Path

import typer

from ser import datasets, lstm
from ser.errors import one_sentence
from ser.files import replacing, write_json, write_text
from ser.params import read_params


@one_sentence
def main() -> None:
    """Train the recurrent model, and predict the validation and test clips.

    Reads data/frames and data/splits.csv; writes models/lstm, data/predictions/lstm.parquet and the history
    reports/lstm/history.csv.
    """
    params = read_params()
    settings, hop = params.train_lstm, params.features.hop_seconds
    data = datasets.read(Path("data/frames"), params.corpora, Path("data/splits.csv"), augmented=settings.augmented)
    train, val = (lstm.Examples(data.frames(part), data.labels(part)) for part in ("train", "val"))
    model, history = lstm.fit(
        settings, train=train, val=val, n_classes=len(data.classes), hop_seconds=hop, seed=params.seed
    )
    with replacing(Path("models/lstm")) as folder:
        lstm.save(model, folder)
        write_json(folder / "card.json", data.card(settings))
    probabilities = lstm.predict(model, data.frames("val", "test"), settings, hop_seconds=hop)
    data.write_predictions(Path("data/predictions/lstm.parquet"), probabilities, seed=params.seed)
    write_text(Path("reports/lstm/history.csv"), history.to_csv(index=False, lineterminator="\n"))


if __name__ == "__main__":
    typer.run(main)
