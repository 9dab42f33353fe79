"""Make of every trained model a folder to take away, which answers without training's libraries and settings."""

from functools import cache
from pathlib import Path

import typer

from ser import exporting, reports
from ser.clips import read_clips
from ser.errors import one_sentence
from ser.exporting import Processing, Trained
from ser.params import read_params
from ser.speakers import are_unknown


@one_sentence
def main() -> None:
    """Make of every trained model a folder to take away, which answers without training's libraries and settings.

    Reads trained, data/frames, data/functionals, data/splits.csv and reports/leaderboard.csv; writes models, and
    reports/models.csv: model, card_md5, bytes.
    """
    params = read_params()
    corpora = sorted(params.corpora)
    tables = {kind: tuple(Path(f"data/{kind}/{c}.parquet") for c in corpora) for kind in ("frames", "functionals")}
    clips = read_clips(tables["functionals"])
    protocol = reports.protocol(corpora, params.split, unknown=sorted(clips.corpus[are_unknown(clips)].unique()))
    headlines = exporting.headlines(Path("reports/leaderboard.csv"), protocol=protocol)
    settings, usual = Processing(params.preprocess, params.features, params.train_lstm), cache(exporting.usual)
    for name in ["lstm", *params.baselines]:
        inputs = tables["frames" if name == "lstm" else "functionals"]
        trained = Trained(name, Path("trained") / name, inputs, Path("data/splits.csv"))
        exporting.export(Path("models") / name, trained, settings, headline=headlines[name], usual=usual)
    exporting.write_listing(Path("models"), exporting.LISTING)


if __name__ == "__main__":
    typer.run(main)
