"""Download, import or synthesize a corpus, verify it and list its recordings."""

from typing import Annotated

import typer

from ser import paths
from ser.dataset.recordings import write_recordings
from ser.download import corpus as download_corpus
from ser.download.split_check import describe_split_problem
from ser.params import read_params
from ser.utils.errors import handle_user_errors
from ser.utils.files import atomic_write, write_text


@handle_user_errors
def main(corpus: Annotated[str, typer.Option(help="Name of the corpus, such as demo, ravdess or tess.")]) -> None:
    """Download, import or synthesize a corpus, verify it and list its recordings.

    Writes data/raw/CORPUS, the files as published; data/recordings/CORPUS.csv, one row per recording: emotion, speaker,
    sentence and other labels; and data/recordings/CORPUS.txt, the notes on files that are left out or changed. It also
    warns if the recordings cannot be split, as far as this is known.
    """
    params = read_params()
    typer.echo(download_corpus.describe_corpus(corpus, params.custom_corpora))
    with atomic_write(paths.raw(corpus)) as folder:
        recordings, notes = download_corpus.download_corpus(
            corpus, folder, params.download, custom_corpora=params.custom_corpora, seed=params.data_seed
        )
        write_recordings(paths.recordings(corpus), recordings)
    write_text(paths.import_notes(corpus), "".join(f"{note}\n" for note in notes))
    typer.echo("\n".join([*notes, *describe_split_problem(params, corpus=corpus)]))


if __name__ == "__main__":
    typer.run(main)
