"""Download, import or synthesize a corpus, verify it and list its recordings."""

from typing import Annotated

import typer

from ser import paths
from ser.dataset.recordings import write_recordings
from ser.download import corpus as download_corpus
from ser.params import read_params
from ser.utils.errors import handle_user_errors
from ser.utils.files import atomic_write


@handle_user_errors
def main(corpus: Annotated[str, typer.Option(help="Name of the corpus, such as demo, ravdess or tess.")]) -> None:
    """Download, import or synthesize a corpus, verify it and list its recordings.

    Writes data/raw/CORPUS, the files as published, and data/recordings/CORPUS.csv, one row per recording: emotion,
    speaker, sentence and other labels.
    """
    params = read_params()
    typer.echo(download_corpus.describe_corpus(corpus, params.custom_corpora))
    with atomic_write(paths.raw(corpus)) as folder:
        recordings, notes = download_corpus.download_corpus(
            corpus, folder, params.download, custom_corpora=params.custom_corpora, seed=params.data_seed
        )
        write_recordings(paths.recordings(corpus), recordings)
    typer.echo("\n".join(notes))


if __name__ == "__main__":
    typer.run(main)
