"""Augment the clips of a corpus for training, and corrupt some for robustness tests."""

from typing import Annotated

import typer

from ser import paths
from ser.augmentation.training import augment_clips
from ser.dataset.clips import AUDIO, clip_writer
from ser.params import read_params
from ser.utils.errors import handle_user_errors


@handle_user_errors
def main(corpus: Annotated[str, typer.Option(help="Name of the corpus, such as demo, ravdess or tess.")]) -> None:
    """Augment the clips of a corpus for training, and corrupt some for robustness tests.

    Reads data/interim/CORPUS.parquet; writes data/augmented/CORPUS.parquet, which holds augmented and corrupted clips
    only. Each is reproducible from the seed, the clip and its number.
    """
    params = read_params()
    with clip_writer(paths.augmented(corpus), payload=AUDIO) as write:
        for rows in augment_clips(
            paths.clips(corpus), params.augment, preprocess=params.preprocess, seed=params.data_seed
        ):
            write(rows)


if __name__ == "__main__":
    typer.run(main)
