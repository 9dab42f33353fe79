"""Measure frame features of a corpus's clips and copies, and sum them up in functionals."""

from pathlib import Path
from typing import Annotated

import typer

from ser import extraction
from ser.clips import clip_writer
from ser.errors import one_sentence
from ser.files import replacing
from ser.params import read_params


@one_sentence
def main(corpus: Annotated[str, typer.Option(help="Name of the corpus, such as demo, ravdess or tess.")]) -> None:
    """Measure frame features of a corpus's clips and copies, and sum them up in functionals.

    Reads data/clips/CORPUS.parquet and data/augmented/CORPUS.parquet; writes a (frames, features) matrix
    a clip to data/frames/CORPUS.parquet (a folder of parts) and a vector a clip to data/functionals/CORPUS.parquet.
    """
    settings = read_params().features
    clips, copies = Path(f"data/clips/{corpus}.parquet"), Path(f"data/augmented/{corpus}.parquet")
    layout = extraction.functionals_layout(settings)
    with (
        replacing(Path(f"data/frames/{corpus}.parquet")) as frames,
        clip_writer(Path(f"data/functionals/{corpus}.parquet"), **layout) as write,
    ):
        for functionals in extraction.measure(clips, copies, settings, frames=frames):
            write(functionals)


if __name__ == "__main__":
    typer.run(main)
