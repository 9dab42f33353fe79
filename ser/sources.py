"""Where recordings come from: a local folder, or, for the demo corpus, the synthesiser."""

import os
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ser import audio, synthesis
from ser.corpora.facts import Corpus
from ser.errors import InputError
from ser.parallel import batches, map_batches, progress
from ser.recordings import find_recordings
from ser.synthesis import Utterance

BATCH = 32


def project_root() -> Path:
    """Say where relative folders in params.yaml start: DVC's root, also when an experiment runs elsewhere."""
    return Path(os.environ.get("DVC_ROOT", "."))


def fetch(corpus: Corpus, folder: Path, *, local_dir: str | None, seed: int) -> int:
    """Bring a corpus's recordings into an empty folder, bytes as published.

    Parameters
    ----------
    corpus
        Facts about it.
    folder
        Is made, and filled.
    local_dir
        A folder that holds ``<corpus>/…``, at any depth; relative to the project's root.
    seed
        Of the demo corpus.

    Returns
    -------
    int
        How many recordings there are now.

    Raises
    ------
    InputError
        If the corpus cannot be found.
    """
    if corpus.synthetic:
        return _synthesise(corpus, folder, seed=seed)
    if local_dir is None:
        raise InputError(
            f"{corpus.name} is not here: get it from {corpus.url} ({corpus.licence}), put it in FOLDER/{corpus.name}/ "
            "and say -S download.local_dir=FOLDER."
        )
    return _copy(project_root() / Path(local_dir).expanduser() / corpus.name, folder, name=corpus.name)


def _copy(source: Path, folder: Path, *, name: str) -> int:
    if not source.is_dir():
        raise InputError(
            f"download.local_dir: {source} was not found; expected a folder of that name with the recordings of {name}."
        )
    files = find_recordings(source)
    for file in progress(files, description=f"download {name}", total=len(files), unit="file"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / file, folder / file)
    return len(files)


def _synthesise(corpus: Corpus, folder: Path, *, seed: int) -> int:
    folder.mkdir(parents=True)
    utterances = synthesis.utterances()
    work = partial(_speak, folder=folder, seed=seed)
    total = -(-len(utterances) // BATCH)
    counts = map_batches(work, batches(utterances, size=BATCH), description=f"download {corpus.name}", total=total)
    return sum(counts)


def _speak(utterances: Sequence[Utterance], *, folder: Path, seed: int) -> int:
    for utterance in utterances:
        signal = synthesis.synthesise(utterance, seed=seed)
        (folder / f"{utterance.name}.flac").write_bytes(audio.to_flac(signal, rate=synthesis.SAMPLE_RATE))
    return len(utterances)
