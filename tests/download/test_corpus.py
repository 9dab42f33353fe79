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
from ser.dataset.recordings import Recording
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
    return len(download(corpus, folder, data_dir=data_dir, seed=seed, **more)[0])


def download(
    corpus: Corpus, folder: Path, *, data_dir: Path | str | None = None, seed: int = 1, **more: bool
) -> tuple[list[Recording], list[str]]:
    changes = {"data_dir": data_dir and str(data_dir), "allow_incomplete": True} | more
    settings = factories.settings(download=changes).download
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(download_corpus, "load_corpus", lambda _name: corpus)
        return download_corpus.download_corpus(corpus.name, folder, settings, custom_corpora={}, seed=seed)


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
    recordings, notes = download(CORPUS, tmp_path / "raw", data_dir=fake_corpora)
    assert len(recordings) == len(RAVDESS)
    assert any(f"{len(RAVDESS)} files are copies" in note for note in notes)
    assert files_of(tmp_path / "raw") == sorted(RAVDESS)


SONGS = [f"Audio_Song/Actor_0{actor}/03-02-0{actor}-01-01-01-0{actor}.wav" for actor in (1, 2, 3)]
VIDEOS = ["Video/01-01-01-01-01-01-01.mp4", "Video/02-01-01-01-01-01-01.mp4"]


def add_songs(corpus: Path, *, as_zip: bool) -> None:
    for name in [*SONGS, *VIDEOS]:
        (corpus / name).parent.mkdir(parents=True, exist_ok=True)
        (corpus / name).write_bytes(name.encode())
    if as_zip:
        zipped(corpus / "Audio_Song", corpus / "Audio_Song_Actors_01-24.zip")
        shutil.rmtree(corpus / "Audio_Song")


@pytest.mark.parametrize("as_zip", [False, True])
def test_songs_and_videos_are_left_out_and_counted(as_zip: bool, fake_corpora: Path, tmp_path: Path) -> None:
    """RAVDESS's other recordings beside the speech, as folders or archives, are neither imported nor rejected."""
    add_songs(fake_corpora / "ravdess", as_zip=as_zip)
    recordings, notes = download(CORPUS, tmp_path / "raw", data_dir=fake_corpora)
    assert sorted(row.file for row in recordings) == sorted(RAVDESS)
    assert not any(row.rejection_reason for row in recordings)
    assert files_of(tmp_path / "raw") == sorted(RAVDESS)
    [note] = [note for note in notes if "left out" in note]
    assert "songs: 3 files" in note and "recordings with video: 2 files" in note


def test_songs_alone_are_an_error(tmp_path: Path) -> None:
    """The message counts them, and names the folder."""
    add_songs(tmp_path / "ravdess", as_zip=False)
    with pytest.raises(UserError, match=r"ravdess: no recordings .*songs: 3 files"):
        fetch(CORPUS, tmp_path / "raw", data_dir=tmp_path)


def test_other_names_are_counted(fake_corpora: Path, tmp_path: Path) -> None:
    """Files that are rejected by their names are counted after the import, with the first reason."""
    (fake_corpora / "ravdess" / "aside.wav").write_bytes(b"speech")
    (fake_corpora / "ravdess" / "more.wav").write_bytes(b"more speech")
    notes = download(CORPUS, tmp_path / "raw", data_dir=fake_corpora)[1]
    assert any(f"2 of {len(RAVDESS) + 2} recordings rejected" in note and "aside.wav" in note for note in notes)


POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 68000\n"


@pytest.mark.parametrize("text", [POINTER, POINTER.replace("\n", "\r\n"), POINTER.replace("git-lfs", "hawser")])
@pytest.mark.parametrize("place", ["ravdess", "ravdess.zip", "mine", "mine/labels.csv"])
def test_git_lfs_pointers_are_an_error(text: str, place: str, fake_corpora: Path, tmp_path: Path) -> None:
    """Pointers in place of audio or of a table are counted, and the first is named, with the command that helps."""
    pointers = ["labels.csv"] if place == "mine/labels.csv" else RAVDESS[:2]
    source = fake_corpora / "ravdess"
    for name in pointers:
        (source / name).write_text(text)
    if place == "ravdess.zip":
        zipped(source, fake_corpora / place)
        shutil.rmtree(source)
    custom = {"folder": str(source), "labels": None, "pattern": r"(?P<emotion>.*)", "emotions": {}, "language": "en"}
    custom |= {"pattern": None} if place == "mine/labels.csv" else {}
    with pytest.raises(UserError, match=f"{len(pointers)} of .*{pointers[0]}.*git lfs pull"):
        if place.startswith("mine"):
            settings = factories.settings(custom_corpora={"mine": custom})
            download_corpus.download_corpus(
                "mine", tmp_path / "raw", settings.download, custom_corpora=settings.custom_corpora, seed=1
            )
        else:
            fetch(CORPUS, tmp_path / "raw", data_dir=fake_corpora)


def test_git_lfs_pointers_of_other_files_do_not_matter(fake_corpora: Path, tmp_path: Path) -> None:
    """A clone in which only the audio was fetched is complete."""
    (fake_corpora / "ravdess" / "video.flv").write_text(POINTER)
    assert fetch(CORPUS, tmp_path / "raw", data_dir=fake_corpora) == len(RAVDESS)


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
