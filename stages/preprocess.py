"""Make clips of a corpus's recordings: mono, one rate, denoised, trimmed, level-normalised."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ser import recordings
from ser.clips import AUDIO, clip_writer
from ser.corpora.facts import load_corpus
from ser.errors import one_sentence
from ser.files import write_csv, write_json
from ser.params import read_params


@one_sentence
def main(corpus: Annotated[str, typer.Option(help="Name of the corpus, such as demo, ravdess or tess.")]) -> None:
    """Make clips of a corpus's recordings: mono, one rate, denoised, trimmed, level-normalised.

    Reads data/raw/CORPUS; writes data/clips/CORPUS.parquet, and what was unusable, with the reason,
    to data/unusable/CORPUS.csv.
    """
    settings = read_params().preprocess
    unusable: list[recordings.Unusable] = []
    folder = Path("data/raw") / corpus
    with clip_writer(Path(f"data/clips/{corpus}.parquet"), payload=AUDIO) as write:
        for rows in recordings.make_clips(folder, load_corpus(corpus), settings, unusable=unusable):
            write(rows)
        counts = recordings.count(folder, unusable)
        write_csv(Path(f"data/unusable/{corpus}.csv"), map(asdict, unusable), columns=["file", "reason"])
        recordings.check_unusable(unusable, of=counts["recordings"], corpus=corpus, most=settings.max_unusable)
    write_json(Path(f"metrics/preprocess/{corpus}.json"), counts)


if __name__ == "__main__":
    typer.run(main)
