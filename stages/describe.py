"""Show what data a run is made of: who says what, what it sounds like, what preprocessing did, what was left out."""

from pathlib import Path

import pandas as pd
import typer

from ser import corpus_report
from ser.clips import read_clips
from ser.corpus_sources import gather
from ser.emotions import label_map
from ser.errors import one_sentence
from ser.params import read_params


@one_sentence
def main() -> None:
    """Show what data a run is made of: who says what, what it sounds like, what preprocessing did, what was left out.

    Reads data/raw, data/recordings, data/measured, data/unusable, data/clips and data/left_out.csv; writes
    reports/corpora.html and the pictures in it to reports/corpora.
    """
    params = read_params()
    data, left_out = Path("data"), Path("data/left_out.csv")
    corpus_report.write(
        Path("reports/corpora.html"),
        Path("reports/corpora"),
        sources=gather(params.corpora, own_recordings=params.own, data=data),
        clips=read_clips(data / f"clips/{corpus}.parquet" for corpus in params.corpora),
        left_out=pd.read_csv(left_out),
        left_out_file=str(left_out),
        labels=label_map(params.emotions.classes, params.emotions.merge),
        settings=params.preprocess,
        features=params.features,
    )


if __name__ == "__main__":
    typer.run(main)
