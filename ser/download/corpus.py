"""Get a corpus from a local folder, its official source, Kaggle, speech synthesis or a user's own folder."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from ser.audio import io as audio_io
from ser.corpora.base import Corpus, known_corpora, load_corpus
from ser.dataset.recordings import Recording, find_recordings, list_recordings
from ser.download import custom, dataverse, demo_speech, fetch, kaggle
from ser.download.archives import unpack
from ser.download.demo_speech import Utterance
from ser.download.validation import check_lfs_pointers, describe_rejected, validate_corpus
from ser.params import CustomCorpus, Download
from ser.utils.errors import UserError, how_to_set
from ser.utils.files import file_hash
from ser.utils.parallel import batches, map_batches
from ser.utils.text import pluralize

BATCH = 16
"""Number of utterances that a worker synthesizes at a time."""


def project_root() -> Path:
    """Get the folder that relative paths in params.yaml refer to: DVC's root, also in a temporary experiment."""
    return Path(os.environ.get("DVC_ROOT", "."))


def describe_corpus(name: str, custom_corpora: Mapping[str, CustomCorpus]) -> str:
    """Describe a corpus: title, licence, citation and address.

    Raises
    ------
    UserError
        If the corpus is unknown, or a custom corpus has the name of a published one.
    """
    if name in custom_corpora:
        if name in known_corpora():
            raise UserError(f"custom_corpora.{name}: this is the name of a published corpus; choose another name.")
        folder = custom_corpora[name].folder
        return f"{name}: your own recordings{f' in {folder}' if folder else ''}."
    corpus = load_corpus(name, custom=custom_corpora)
    return f"{name}: {corpus.title}. Licence: {corpus.license_info}. Cite: {corpus.citation}. {corpus.url}"


def download_corpus(
    name: str, folder: Path, settings: Download, *, custom_corpora: Mapping[str, CustomCorpus], seed: int
) -> tuple[list[Recording], list[str]]:
    """Copy, download or synthesize a corpus into a new folder, and list its recordings.

    Published recordings are copied byte for byte. If `settings.data_dir`, relative to the project's root, contains
    ``<corpus>/…``, at any depth, or ``<corpus>.zip``, nothing is downloaded. The demo corpus depends on `seed`.

    Returns
    -------
    recordings : list of Recording
        Recording table.
    notes : list of str
        Notes for the user, such as the number of files that are left out, renamed or rejected.

    Raises
    ------
    UserError
        If the corpus cannot be found, downloaded or unpacked, or differs from the published one.
    """
    if name in custom_corpora:
        own, root = custom_corpora[name], project_root()
        with check_lfs_pointers(root / Path(own.folder or os.devnull).expanduser(), folder):
            recordings, notes = custom.import_custom_corpus(own, folder, name=name, root=root)
        return recordings, [*notes, *describe_rejected(recordings, corpus=name)]
    corpus = load_corpus(name)
    notes = []
    if corpus.is_synthetic:
        _synthesize(folder, name=name, seed=seed)
    else:
        source = _find_local(corpus, settings) or _fetch(corpus, settings)
        with check_lfs_pointers(source, folder):
            notes = [*_import(source, folder, corpus), *_remove_duplicates(folder, corpus)]
    recordings = list_recordings(folder, corpus.parse, corpus=name)
    notes = [*validate_corpus(recordings, corpus, allow_incomplete=settings.allow_incomplete), *notes]
    return recordings, [*notes, *describe_rejected(recordings, corpus=name)]


def _find_local(corpus: Corpus, settings: Download) -> Path | None:
    if settings.data_dir is None:
        return None
    data_dir = project_root() / Path(settings.data_dir).expanduser()
    if not data_dir.is_dir():
        raise UserError(f"download.data_dir: {data_dir} was not found; expected a folder with {corpus.name}/.")
    return next((path for path in (data_dir / corpus.name, data_dir / f"{corpus.name}.zip") if path.exists()), None)


def _fetch(corpus: Corpus, settings: Download) -> Path:
    """Download a corpus into the cache, and return its folder there."""
    alternative = f"put it into FOLDER/{corpus.name}/ and {how_to_set('download.data_dir', 'FOLDER')}"
    if corpus.kaggle:
        alternative += f"; or use kaggle.com/datasets/{corpus.kaggle}: {how_to_set('download.kaggle', 'true')}"
    try:
        if settings.kaggle and corpus.kaggle:
            return kaggle.fetch(corpus.kaggle)
        source = corpus.dataverse
        remotes = dataverse.list_files(source.doi, server=source.server) if source else corpus.published()
        if remotes:
            folder = fetch.cache() / corpus.name
            fetch.fetch_all(remotes, folder)
            return folder
    except UserError as error:
        raise UserError(f"{error} Or get it from {corpus.url}, {alternative}.") from None
    place = f"in download.data_dir ({settings.data_dir})" if settings.data_dir else "here"
    raise UserError(
        f"{corpus.name} is not {place} and cannot be downloaded without registration: get it from {corpus.url} "
        f"({corpus.license_info}), {alternative}."
    )


def _import(source: Path, folder: Path, corpus: Corpus) -> list[str]:
    """Unpack a zip archive, or copy the recordings of a folder and unpack its archives; count what is left out."""
    left_out: dict[str, str] = {}
    if source.is_file():
        unpack(source, folder)
    else:
        archives = sorted(path for path in source.rglob("*") if path.suffix.lower() == ".zip" and path.is_file())
        for archive in archives:
            unpack(archive, folder / archive.relative_to(source).with_suffix(""))
        left_out = {path.name: kind for path, kind in _find_left_out(source, corpus)}
        try:
            files = find_recordings(source)
        except UserError:
            if not archives:
                raise
            files = []
        own = [file for file in files if corpus.left_out_as(file) is None]
        custom.copy_recordings(source, folder, own, name=corpus.name)
    for path, kind in _find_left_out(folder, corpus):
        left_out[path.name] = kind
        path.unlink()
    counts = [f"{kind}: {pluralize(count, 'file')} left out" for kind, count in Counter(left_out.values()).items()]
    if counts and not any(path.is_file() for path in folder.rglob("*")):
        raise UserError(f"{source}: no recordings of {corpus.name} ({', '.join(counts)}); expected {corpus.title}.")
    return [f"{corpus.name}: {', '.join(counts)}."] if counts else []


def _find_left_out(folder: Path, corpus: Corpus) -> list[tuple[Path, str]]:
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if corpus.left_out else []
    return [(path, kind) for path in files if (kind := corpus.left_out_as(PurePosixPath(path.name)))]


def _remove_duplicates(folder: Path, corpus: Corpus) -> list[str]:
    """Keep one of several copies of a recording, as some archives in circulation contain every file twice."""
    kept: dict[tuple[str, str], PurePosixPath] = {}
    files = find_recordings(folder)
    for file in files:
        content = file_hash(folder / file, "sha256")
        if kept.setdefault((corpus.recording_key(file) or str(file), content), file) != file:
            (folder / file).unlink()
    copies = pluralize(len(files) - len(kept), "file is a copy of another", "files are copies of others")
    return [f"{corpus.name}: {copies}, left out."] if len(files) > len(kept) else []


def _synthesize(folder: Path, *, name: str, seed: int) -> None:
    folder.mkdir(parents=True)
    utterances = demo_speech.utterances()
    work = partial(_write_speech, folder=folder, seed=seed)
    items = list(batches(utterances, size=BATCH))
    list(map_batches(work, items, description=f"download {name}", total=len(items)))


def _write_speech(utterances: Sequence[Utterance], *, folder: Path, seed: int) -> None:
    for utterance in utterances:
        signal = demo_speech.synthesize(utterance, seed=seed)
        (folder / f"{utterance.name}.flac").write_bytes(audio_io.to_flac(signal, rate=demo_speech.SAMPLE_RATE))
