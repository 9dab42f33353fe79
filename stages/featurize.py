"""Compute frame-level features and functionals of a corpus's clips."""

from typing import Annotated

import typer

from ser import paths
from ser.dataset.clips import clip_writer
from ser.features import extraction
from ser.params import read_params
from ser.utils.errors import handle_user_errors
from ser.utils.files import atomic_write


@handle_user_errors
def main(corpus: Annotated[str, typer.Option(help="Name of the corpus, such as demo, ravdess or tess.")]) -> None:
    """Compute frame-level features and functionals of a corpus's clips.

    Reads data/interim/CORPUS.parquet and data/augmented/CORPUS.parquet; writes a (frames, features) matrix per clip to
    data/features/frames/CORPUS.parquet (a folder of files) and a vector of functionals per clip to
    data/features/functionals/CORPUS.parquet.
    """
    settings = read_params().features
    layout = extraction.functionals_layout(settings)
    with (
        atomic_write(paths.frames(corpus)) as frames,
        clip_writer(paths.functionals(corpus), **layout) as write,
    ):
        for functionals in extraction.extract_features(
            paths.clips(corpus), paths.augmented(corpus), settings, frames=frames
        ):
            write(functionals)


if __name__ == "__main__":
    typer.run(main)
