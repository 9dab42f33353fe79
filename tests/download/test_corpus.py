"""Recordings are imported unchanged, or a one-line error describes how to get the corpus."""

import dataclasses
import hashlib
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from ser.audio import io as audio_io
from ser.corpora.base import Corpus, RemoteFile, load_corpus
from ser.download import corpus as download_corpus
from ser.download import dataverse, demo_speech, kaggle
from ser.download.demo_speech import Utterance
from ser.utils.errors import UserError
from tests.helpers import factories
from tests.helpers.fake_corpora import RAVDESS
from tests.helpers.http_servers import serving

CORPUS = load_corpus("ravdess")


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SER_CACHE", str(tmp_path / "cache"))


def fetch(corpus: Corpus, folder: Path, *, data_dir: Path | str | None = None, seed: int = 1, **more: bool) -> int:
    """Download a corpus, which may be incomplete, and count its recordings."""
    changes = {"data_dir": data_dir and str(data_dir), "allow_incomplete": True} | more
    settings = factories.settings(download=changes).download
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(download_corpus, "load_corpus", lambda _name: corpus)
        recordings, _ = download_corpus.download_corpus(corpus.name, folder, settings, custom_corpora={}, seed=seed)
    return len(recordings)


def files_of(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def zipped(folder: Path, archive: Path) -> Path:
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*.wav")):
            file.write(path, path.relative_to(folder))
    return archive


def test_a_local_corpus_is_copied_byte_for_byte(fake_corpora: Path, tmp_path: Path) -> None:
    """Each recording keeps its path and bytes, at any depth; hidden files are ignored."""
    corpus = fake_corpora / "ravdess"
    deep = "speech/more/Actor_03/03-01-05-01-01-01-03.wav"
    for name in (deep, ".DS_Store.wav", ".git/x.wav", "Actor_01/._03-01-05-01-01-01-01.wav"):
        (corpus / name).parent.mkdir(parents=True, exist_ok=True)
        (corpus / name).write_bytes(b"any content")
    raw = tmp_path / "raw"
    assert fetch(CORPUS, raw, data_dir=fake_corpora) == len(RAVDESS) + 1
    assert files_of(raw) == sorted([*RAVDESS, deep])
    assert all((raw / file).read_bytes() == (corpus / file).read_bytes() for file in files_of(raw))


def test_relative_folders(fake_corpora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`data_dir` is relative to DVC's root, else to the current folder, and may start with a tilde."""
    (tmp_path / "experiment").mkdir()
    monkeypatch.chdir(tmp_path / "experiment")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert fetch(CORPUS, tmp_path / "a", data_dir="corpora") == len(RAVDESS)
    monkeypatch.delenv("DVC_ROOT")
    with pytest.raises(UserError, match=r"data_dir: corpora "):
        fetch(CORPUS, tmp_path / "b", data_dir="corpora")
    monkeypatch.chdir(tmp_path)
    assert fetch(CORPUS, tmp_path / "b", data_dir="corpora") == len(RAVDESS)
    monkeypatch.setenv("HOME", str(fake_corpora.parent))
    assert fetch(CORPUS, tmp_path / "c", data_dir="~/corpora") == len(RAVDESS)


@pytest.mark.parametrize(
    ("data_dir", "expected"),
    [
        (None, ["kahlan.eps.surrey.ac.uk/savee/", "FOLDER/savee/", "download.data_dir=FOLDER", "download.kaggle=true"]),
        ("nowhere", ["download.data_dir: nowhere"]),
        ("other", ["savee", "download.data_dir (other)", "kahlan"]),
        ("empty", ["empty/savee"]),
    ],
)
def test_a_missing_corpus_is_an_error(
    data_dir: str | None, expected: Sequence[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the searched folder or the source of the corpus, and the settings to change."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty" / "savee").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    with pytest.raises(UserError) as error:
        fetch(load_corpus("savee"), tmp_path / "raw", data_dir=data_dir)
    assert all(part in str(error.value) for part in expected)
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize("place", ["ravdess.zip", "ravdess/Audio_Speech_Actors_01-24.zip"])
def test_a_local_zip_is_unpacked(place: str, fake_corpora: Path, tmp_path: Path) -> None:
    """The archive may be next to the folders of corpora, or in the folder of its corpus."""
    zipped(fake_corpora / "ravdess", tmp_path / "zips" / place)
    assert fetch(CORPUS, tmp_path / "raw", data_dir=tmp_path / "zips") == len(RAVDESS)


def test_duplicates_are_removed(fake_corpora: Path, tmp_path: Path) -> None:
    """Some archives in circulation contain a copy of the corpus inside the corpus."""
    shutil.copytree(fake_corpora / "ravdess", fake_corpora / "copy")
    (fake_corpora / "copy").rename(fake_corpora / "ravdess" / "nested")
    assert fetch(CORPUS, tmp_path / "raw", data_dir=fake_corpora) == len(RAVDESS)
    assert files_of(tmp_path / "raw") == sorted(RAVDESS)


def test_a_published_corpus_is_downloaded_once(fake_corpora: Path, tmp_path: Path) -> None:
    """It is downloaded from the address in the metadata, and the second time taken from the cache."""
    archive = zipped(fake_corpora / "ravdess", tmp_path / "all.zip").read_bytes()
    with serving({"all.zip": archive}) as server:
        checksum = f"md5:{hashlib.md5(archive).hexdigest()}"
        published = [RemoteFile("all.zip", server.url("all.zip"), checksum, len(archive))]
        remote = dataclasses.replace(CORPUS, published=lambda: published)
        assert fetch(remote, tmp_path / "raw") == len(RAVDESS)
    assert fetch(remote, tmp_path / "second") == len(RAVDESS)
    assert files_of(tmp_path / "second") == files_of(tmp_path / "raw")


def test_a_failed_download_names_the_alternative(tmp_path: Path) -> None:
    """The error names the file, the home page and the setting for a local copy."""
    with serving({}) as server:
        missing = [RemoteFile("a.zip", server.url("a.zip"), "md5:" + "0" * 32, 1)]
        with pytest.raises(UserError, match=r"a\.zip: .* https://zenodo.org/.* download.data_dir=FOLDER"):
            fetch(dataclasses.replace(CORPUS, published=lambda: missing), tmp_path / "raw")


def test_the_demo_corpus_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each utterance is synthesized once, in a file with its name."""
    synthesized: list[Utterance] = []

    def synthesize(utterance: Utterance, *, seed: int) -> np.ndarray:
        assert seed == 7
        synthesized.append(utterance)
        return np.zeros(8, dtype=np.float32)

    monkeypatch.setattr(demo_speech, "synthesize", synthesize)
    demo = load_corpus("demo")
    assert fetch(demo, tmp_path / "raw", seed=7, allow_incomplete=False) == demo.n_recordings
    assert files_of(tmp_path / "raw") == [f"{utterance.name}.flac" for utterance in sorted(synthesized)]


def test_a_demo_recording_contains_the_synthesized_speech(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file has the samples and the sample rate of the synthesizer."""
    utterance = Utterance("03", "angry", "kids")
    monkeypatch.setattr(demo_speech, "utterances", lambda: [utterance])
    assert fetch(load_corpus("demo"), tmp_path / "raw", seed=7) == 1
    samples, rate = audio_io.decode(tmp_path / "raw" / "03_angry_kids.flac")
    assert rate == demo_speech.SAMPLE_RATE
    np.testing.assert_allclose(samples[:, 0], demo_speech.synthesize(utterance, seed=7), atol=2**-15)


def test_tess_is_downloaded_from_its_dataverse(
    fake_corpora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files that the server lists for the DOI are downloaded."""
    files = {path.name: path.read_bytes() for path in (fake_corpora / "tess").rglob("*.wav")}
    with serving(files) as web_server:
        remotes = [RemoteFile(name, web_server.url(name), None, None) for name in files]
        listings = {("doi:10.5683/SP2/E8H2MF", "https://borealisdata.ca"): remotes}
        monkeypatch.setattr(dataverse, "list_files", lambda doi, *, server: listings[doi, server])
        assert fetch(load_corpus("tess"), tmp_path / "raw") == len(files)


def test_kaggle_is_optional(fake_corpora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `download.kaggle` the copy on Kaggle is used."""
    handles = []
    monkeypatch.setattr(kaggle, "fetch", lambda handle: handles.append(handle) or fake_corpora / "tess")
    assert fetch(load_corpus("tess"), tmp_path / "raw", kaggle=True) == 3
    assert handles == ["ejlok1/toronto-emotional-speech-set-tess"]


def test_a_corpus_is_described() -> None:
    """A published corpus by title, licence, citation and address; a custom corpus by its folder."""
    description = download_corpus.describe_corpus("ravdess", {})
    assert all(part in description for part in (CORPUS.title, CORPUS.license_info, CORPUS.citation, CORPUS.url))
    custom = {"folder": "voices", "labels": None, "pattern": None, "emotions": {}, "language": "en"}
    settings = factories.settings(custom_corpora={"mine": custom, "tess": custom}).custom_corpora
    assert "voices" in download_corpus.describe_corpus("mine", settings)
    with pytest.raises(UserError, match=r"custom_corpora\.tess: "):
        download_corpus.describe_corpus("tess", settings)
