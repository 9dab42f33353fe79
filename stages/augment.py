"""Make altered copies of a corpus's clips, each reproducible from (seed, clip, copy) alone."""

from typing import Annotated

import typer

from ser import paths
from ser.augmentation.training import augment_clips
from ser.dataset.clips import AUDIO, clip_writer
from ser.params import read_params
from ser.utils.errors import handle_user_errors


@handle_user_errors
def main(corpus: Annotated[str, typer.Option(help="Name of the corpus, such as demo, ravdess or tess.")]) -> None:
    """Make altered copies of a corpus's clips, each reproducible from (seed, clip, copy) alone.

    Reads data/interim/CORPUS.parquet; writes the copies only, to learn from and to test with, to
    data/augmented/CORPUS.parquet.
    """
    params = read_params()
    with clip_writer(paths.augmented(corpus), payload=AUDIO) as write:
        for rows in augment_clips(
            paths.clips(corpus), params.augment, preprocess=params.preprocess, seed=params.data_seed
        ):
            write(rows)


if __name__ == "__main__":
    typer.run(main)
