"""Get a corpus from a local folder, its official source, Kaggle, the synthesizer or a user's own folder."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from ser.audio import io as audio_io
from ser.corpora.base import Corpus, RemoteFile, known_corpora, load_corpus
from ser.dataset.recordings import Recording, find_recordings, list_recordings
from ser.download import custom, dataverse, demo_speech, fetch, kaggle
from ser.download.archives import unpack
from ser.download.demo_speech import Utterance
from ser.download.validation import validate_corpus
from ser.params import CustomCorpus, Download
from ser.utils.errors import UserError, how_to_set
from ser.utils.files import file_hash
from ser.utils.parallel import batches, map_batches
from ser.utils.progress import progress

BATCH = 16


@dataclass(frozen=True)
class DownloadResult:
    """The recordings, and notes for the user."""

    recordings: Sequence[Recording]
    notes: Sequence[str]


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
    facts = load_corpus(name, custom=custom_corpora)
    return f"{name}: {facts.title}. Licence: {facts.license_info}. Cite: {facts.citation}. {facts.url}"


def download_corpus(
    name: str, folder: Path, settings: Download, *, custom_corpora: Mapping[str, CustomCorpus], seed: int
) -> DownloadResult:
    """Copy, download or synthesize a corpus into a folder, and list its recordings.

    Recordings keep the bytes that were published.

    Parameters
    ----------
    name
        Name of the corpus.
    folder
        Target folder; created.
    settings
        The section `download`. Where `data_dir`, relative to the project's root, holds ``<corpus>/…``, at any depth,
        or ``<corpus>.zip``, nothing is fetched.
    custom_corpora
        The section `custom_corpora`.
    seed
        Seed of the demo corpus.

    Raises
    ------
    UserError
        If the corpus cannot be found, downloaded or unpacked, or differs from the published one.
    """
    if name in custom_corpora:
        return DownloadResult(
            *custom.import_custom_corpus(custom_corpora[name], folder, name=name, root=project_root())
        )
    corpus = load_corpus(name)
    if corpus.is_synthetic:
        _synthesise(corpus, folder, seed=seed)
    else:
        _bring(_local(corpus, settings) or _fetched(corpus, settings), folder, name=name)
        _drop_repeats(folder, corpus)
    recordings = list_recordings(folder, corpus.parse, corpus=name)
    return DownloadResult(recordings, validate_corpus(recordings, corpus, allow_incomplete=settings.allow_incomplete))


def _drop_repeats(folder: Path, corpus: Corpus) -> None:
    """Keep one of several copies of a recording; some archives in circulation contain every file twice."""
    kept: dict[tuple[str, str], PurePosixPath] = {}
    for file in find_recordings(folder):
        content = file_hash(folder / file, "sha256")
        if kept.setdefault((corpus.recording_key(file) or str(file), content), file) != file:
            (folder / file).unlink()


def _local(corpus: Corpus, settings: Download) -> Path | None:
    if settings.data_dir is None:
        return None
    data_dir = project_root() / Path(settings.data_dir).expanduser()
    if not data_dir.is_dir():
        raise UserError(f"download.data_dir: {data_dir} was not found; expected a folder with {corpus.name}/.")
    return next((path for path in (data_dir / corpus.name, data_dir / f"{corpus.name}.zip") if path.exists()), None)


def _fetched(corpus: Corpus, settings: Download) -> Path:
    """Download a corpus into the cache, and get its folder there."""
    instead = f"put it into FOLDER/{corpus.name}/ and {how_to_set('download.data_dir', 'FOLDER')}"
    copy = f"; or take the copy at kaggle.com/datasets/{corpus.kaggle}: {how_to_set('download.kaggle', 'true')}"
    from_kaggle = copy if corpus.kaggle else ""
    try:
        if settings.kaggle and corpus.kaggle:
            return kaggle.fetch(corpus.kaggle)
        if remotes := _remotes(corpus):
            folder = fetch.cache() / corpus.name
            fetch.fetch_all(remotes, folder)
            return folder
    except UserError as error:
        raise UserError(f"{error} Or get it from {corpus.url}, {instead}{from_kaggle}.") from None
    place = f"in download.data_dir ({settings.data_dir})" if settings.data_dir else "here"
    raise UserError(
        f"{corpus.name} is not {place} and cannot be downloaded without registration: get it from {corpus.url} "
        f"({corpus.license_info}), {instead}{from_kaggle}."
    )


def _remotes(corpus: Corpus) -> Sequence[RemoteFile]:
    if corpus.dataverse is not None:
        return dataverse.files_of(corpus.dataverse.doi, server=corpus.dataverse.server)
    return corpus.published()


def _bring(source: Path, folder: Path, *, name: str) -> None:
    """Copy the recordings of a folder, or unpack a zip archive; archives in a folder are unpacked too."""
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
    except UserError:
        return False


def _copy(source: Path, folder: Path, *, name: str) -> None:
    files = find_recordings(source)
    for file in progress(files, description=f"download {name}", total=len(files), unit="file"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / file, folder / file)


def _synthesise(corpus: Corpus, folder: Path, *, seed: int) -> None:
    folder.mkdir(parents=True)
    utterances = demo_speech.utterances()
    work = partial(_speak, folder=folder, seed=seed)
    total = -(-len(utterances) // BATCH)
    for _ in map_batches(work, batches(utterances, size=BATCH), description=f"download {corpus.name}", total=total):
        pass


def _speak(utterances: Sequence[Utterance], *, folder: Path, seed: int) -> None:
    for utterance in utterances:
        signal = demo_speech.synthesise(utterance, seed=seed)
        (folder / f"{utterance.name}.flac").write_bytes(audio_io.to_flac(signal, rate=demo_speech.SAMPLE_RATE))
