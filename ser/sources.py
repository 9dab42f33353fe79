"""Where recordings come from: a local folder, the official source, or, for the demo corpus, the synthesiser."""

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from ser import audio, fetching, synthesis
from ser.corpora.facts import Corpus
from ser.errors import InputError
from ser.parallel import batches, map_batches, progress
from ser.recordings import find_recordings
from ser.synthesis import Utterance
from ser.unpacking import unpack

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
        A folder that holds ``<corpus>/…``, at any depth, or ``<corpus>.zip``; relative to the project's root.
        Where it has the corpus, nothing is fetched.
    seed
        Of the demo corpus.

    Returns
    -------
    int
        How many recordings there are now.

    Raises
    ------
    InputError
        If the corpus cannot be found, fetched or unpacked.
    """
    if corpus.synthetic:
        return _synthesise(corpus, folder, seed=seed)
    source = None if local_dir is None else _local(corpus, project_root() / Path(local_dir).expanduser())
    _bring(source or _fetched(corpus, local_dir=local_dir), folder, name=corpus.name)
    return _drop_repeats(folder, corpus)


def _drop_repeats(folder: Path, corpus: Corpus) -> int:
    """Keep one of several files that are the same recording: some archives in circulation hold everything twice."""
    kept: dict[tuple[str, bytes], PurePosixPath] = {}
    for file in find_recordings(folder):
        content = hashlib.sha256((folder / file).read_bytes()).digest()
        if kept.setdefault((corpus.key(file) or str(file), content), file) != file:
            (folder / file).unlink()
    return len(kept)


def check_complete(folder: Path, corpus: Corpus) -> None:
    """Refuse a corpus that is not the one that was published.

    Raises
    ------
    InputError
        If there are more or fewer recordings with a name of the corpus's grammar, or several of one name.
    """
    keys = Counter(key for file in find_recordings(folder) if (key := corpus.key(file)))
    repeated = [key for key, count in keys.items() if count > 1]
    if repeated:
        count, first = keys[repeated[0]], repeated[0]
        raise InputError(f"{corpus.name}: there are {count} different recordings named {first}; keep one of them.")
    if len(keys) != corpus.n_clips:
        raise InputError(
            f"{corpus.name}: {len(keys)} recordings have names of the corpus, {corpus.n_clips} were published; "
            "complete the folder, or allow a subset with -S download.allow_partial=true."
        )


def _local(corpus: Corpus, local_dir: Path) -> Path | None:
    if not local_dir.is_dir():
        raise InputError(f"download.local_dir: {local_dir} was not found; expected a folder that holds {corpus.name}/.")
    return next((path for path in (local_dir / corpus.name, local_dir / f"{corpus.name}.zip") if path.exists()), None)


def _fetched(corpus: Corpus, *, local_dir: str | None) -> Path:
    """Fetch a corpus into the cache, where it waits for the next time, and say where it is."""
    published = corpus.published()
    if not published:
        place = f"in download.local_dir ({local_dir})" if local_dir else "here"
        raise InputError(
            f"{corpus.name} is not {place} and cannot be fetched: get it from {corpus.url} ({corpus.licence}), put it "
            f"into FOLDER/{corpus.name}/ and say -S download.local_dir=FOLDER."
        )
    remotes = [fetching.Remote(one.name, one.url, one.checksum, one.size) for one in published]
    folder = fetching.cache() / corpus.name
    try:
        fetching.fetch_all(remotes, folder)
    except InputError as error:
        instead = f"put the corpus into FOLDER/{corpus.name}/ and say -S download.local_dir=FOLDER"
        raise InputError(f"{error} Or {instead}.") from None
    return folder


def _bring(source: Path, folder: Path, *, name: str) -> None:
    """Copy the recordings of a folder, or unpack a zip; zips within a folder are unpacked too."""
    if source.is_file():
        unpack(source, folder)
        return
    archives = sorted(path for path in source.rglob("*") if path.suffix.lower() == ".zip" and path.is_file())
    for archive in archives:
        unpack(archive, folder / archive.relative_to(source).with_suffix(""))
    if not archives or _has_recordings(source):
        _copy(source, folder, name=name)


def _has_recordings(folder: Path) -> bool:
    try:
        return bool(find_recordings(folder))
    except InputError:
        return False


def _copy(source: Path, folder: Path, *, name: str) -> None:
    files = find_recordings(source)
    for file in progress(files, description=f"download {name}", total=len(files), unit="file"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / file, folder / file)


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
