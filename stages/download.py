"""Bring the recordings of one corpus to data/raw/CORPUS, bytes as published."""

from pathlib import Path
from typing import Annotated

import typer

from ser.corpora.facts import load_corpus
from ser.errors import one_sentence
from ser.files import replacing
from ser.params import read_params
from ser.sources import check_complete, fetch


@one_sentence
def main(corpus: Annotated[str, typer.Option(help="Name of the corpus, such as demo, ravdess or tess.")]) -> None:
    """Bring the recordings of one corpus to data/raw/CORPUS, bytes as published."""
    params = read_params()
    facts = load_corpus(corpus)
    with replacing(Path("data/raw") / corpus) as folder:
        recordings = fetch(facts, folder, local_dir=params.download.local_dir, seed=params.seed)
        if not params.download.allow_partial:
            check_complete(folder, facts)
    typer.echo(f"{facts.title}: {recordings} recordings. Licence: {facts.licence}. Cite: {facts.citation}.")


if __name__ == "__main__":
    typer.run(main)
