"""Recordings come to the project as they were published, or one sentence says how to get them."""

import dataclasses
import hashlib
import shutil
import zipfile
from pathlib import Path, PurePosixPath

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

FACTS = load_corpus("ravdess")


@pytest.fixture(autouse=True)
def outside_dvc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget where DVC's root is, should the tests themselves run under DVC."""
    monkeypatch.delenv("DVC_ROOT", raising=False)


def fetch(facts: Corpus, folder: Path, *, data_dir: str | None, seed: int = 1, **more: bool) -> int:
    """Bring a corpus, a part of it being enough; say how many recordings came."""
    settings = factories.settings(download={"data_dir": data_dir, "allow_incomplete": True} | more).download
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(download_corpus, "load_corpus", lambda _name: facts)
        return len(
            download_corpus.download_corpus(facts.name, folder, settings, custom_corpora={}, seed=seed).recordings
        )


def files_of(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_local_corpus_is_copied_byte_for_byte(fake_corpora: Path, tmp_path: Path) -> None:
    """Every recording arrives under its own path, at any depth, unchanged; hidden files stay where they are."""
    corpus = fake_corpora / "ravdess"
    deep = "speech/more/Actor_03/03-01-05-01-01-01-03.wav"
    for name in (deep, ".DS_Store.wav", ".git/x.wav", "Actor_01/._03-01-05-01-01-01-01.wav"):
        (corpus / name).parent.mkdir(parents=True, exist_ok=True)
        (corpus / name).write_bytes(b"whatever was published")
    raw = tmp_path / "raw"
    assert fetch(FACTS, raw, data_dir=str(fake_corpora), seed=1) == len(RAVDESS) + 1
    assert files_of(raw) == sorted([*RAVDESS, deep])
    assert all((raw / file).read_bytes() == (corpus / file).read_bytes() for file in files_of(raw))


def test_relative_folders_start_at_the_project(
    fake_corpora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`data_dir` is found from DVC's root, where an experiment runs elsewhere, and else from the current folder."""
    (tmp_path / "experiment").mkdir()
    monkeypatch.chdir(tmp_path / "experiment")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert fetch(FACTS, tmp_path / "a", data_dir="corpora", seed=1) == len(RAVDESS)
    monkeypatch.delenv("DVC_ROOT")
    with pytest.raises(UserError, match=r"data_dir: corpora was not found"):
        fetch(FACTS, tmp_path / "b", data_dir="corpora", seed=1)
    monkeypatch.chdir(tmp_path)
    assert fetch(FACTS, tmp_path / "b", data_dir="corpora", seed=1) == len(RAVDESS)


def test_the_home_folder_may_be_a_tilde(fake_corpora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~/corpora` means what it means in a shell."""
    monkeypatch.setenv("HOME", str(fake_corpora.parent))
    assert fetch(FACTS, tmp_path / "raw", data_dir="~/corpora", seed=1) == len(RAVDESS)


@pytest.mark.parametrize(
    ("data_dir", "message"),
    [
        (
            None,
            r"kahlan.eps.surrey.ac.uk/savee/ \(free for research after registration\), put it into FOLDER/savee/ and "
            r"set download.data_dir: FOLDER in params.yaml .*=FOLDER\); or take .* kaggle.com/datasets/ejlok1/surrey-",
        ),
        ("nowhere", "download.data_dir: nowhere was not found"),
        ("other", r"savee is not in download.data_dir \(other\) .*kahlan"),
        ("empty", "empty/savee holds no recording"),
    ],
)
def test_a_corpus_that_is_not_here_is_one_sentence(
    data_dir: str | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says where the corpus was looked for, or where to get it, and which setting to mend."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty" / "savee").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    with pytest.raises(UserError, match=message) as caught:
        fetch(load_corpus("savee"), tmp_path / "raw", data_dir=data_dir, seed=1)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "raw").exists()


def zipped(folder: Path, archive: Path) -> Path:
    """Pack a folder as a corpus is published."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*.wav")):
            file.write(path, path.relative_to(folder))
    return archive


@pytest.mark.parametrize("place", ["ravdess.zip", "ravdess/Audio_Speech_Actors_01-24.zip"])
def test_a_local_zip_is_unpacked(place: str, fake_corpora: Path, tmp_path: Path) -> None:
    """A corpus may lie there as it was downloaded, beside the others or in a folder of its own."""
    zipped(fake_corpora / "ravdess", tmp_path / "zips" / place)
    assert fetch(FACTS, tmp_path / "raw", data_dir=str(tmp_path / "zips"), seed=1) == len(RAVDESS)
    assert sorted(Path(file).name for file in files_of(tmp_path / "raw")) == sorted(Path(n).name for n in RAVDESS)


def test_what_is_there_twice_is_taken_once(fake_corpora: Path, tmp_path: Path) -> None:
    """Archives in circulation hold a corpus twice, nested in itself; each recording comes once."""
    corpus = fake_corpora / "ravdess"
    shutil.copytree(corpus, fake_corpora / "copy")
    (fake_corpora / "copy").rename(corpus / "again")
    assert fetch(FACTS, tmp_path / "raw", data_dir=str(fake_corpora), seed=1) == len(RAVDESS)
    assert files_of(tmp_path / "raw") == sorted(RAVDESS)


@pytest.mark.parametrize("as_zip", [True, False])
def test_a_published_corpus_is_fetched_once(
    as_zip: bool, fake_corpora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is fetched from where the facts say, waits in the cache, and is not asked for a second time."""
    monkeypatch.setenv("SER_CACHE", str(tmp_path / "cache"))
    corpus = fake_corpora / "ravdess"
    archive = zipped(corpus, tmp_path / "all.zip").read_bytes()
    files = {"all.zip": archive} if as_zip else {name: (corpus / name).read_bytes() for name in RAVDESS}
    with serving(files) as server:
        published = [
            RemoteFile(name, server.url(name), f"md5:{hashlib.md5(content).hexdigest()}", len(content))
            for name, content in files.items()
        ]
        facts = dataclasses.replace(FACTS, published=lambda: published)
        assert fetch(facts, tmp_path / "raw", data_dir=None, seed=1) == len(RAVDESS)
    assert fetch(facts, tmp_path / "again", data_dir=None, seed=1) == len(RAVDESS)
    assert files_of(tmp_path / "again") == files_of(tmp_path / "raw")


def test_what_cannot_be_fetched_may_be_brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a network the message names the address, and the setting that does without."""
    monkeypatch.setenv("SER_CACHE", str(tmp_path / "cache"))
    with serving({}) as server:
        gone = RemoteFile("a.zip", server.url("a.zip"), "md5:" + "0" * 32, 1)
        facts = dataclasses.replace(FACTS, published=lambda: [gone])
        with pytest.raises(
            UserError, match=r"a\.zip: .* get it from https://zenodo.org/.* -S download.data_dir=FOLDER"
        ):
            fetch(facts, tmp_path / "raw", data_dir=None, seed=1)


def test_the_demo_corpus_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The synthesiser writes as many recordings as the facts say, each under a name that they can read."""
    spoken: list[Utterance] = []

    def synthesise(utterance: Utterance, *, seed: int) -> np.ndarray:
        assert seed == 7
        spoken.append(utterance)
        return np.zeros(8, dtype=np.float32)

    monkeypatch.setattr(demo_speech, "synthesise", synthesise)
    demo = load_corpus("demo")
    assert fetch(demo, tmp_path / "raw", data_dir=None, seed=7, allow_incomplete=False) == demo.n_recordings
    assert len(set(spoken)) == demo.n_recordings
    files = files_of(tmp_path / "raw")
    assert len(files) == demo.n_recordings
    parsed = [demo.parse(PurePosixPath(file)) for file in files]
    assert [(p.speaker, p.emotion, p.sentence) for p in parsed if p] == [
        (f"demo-{u.speaker}", u.emotion, u.text) for u in sorted(spoken)
    ]


def test_a_demo_recording_is_what_was_spoken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One utterance, really synthesised, is on disk as it was spoken, at the synthesiser's rate."""
    utterance = Utterance("03", "angry", "kids")
    monkeypatch.setattr(demo_speech, "utterances", lambda: [utterance])
    assert fetch(load_corpus("demo"), tmp_path / "raw", data_dir=None, seed=7) == 1
    samples, rate = audio_io.decode(tmp_path / "raw" / "03_angry_kids.flac")
    assert rate == demo_speech.SAMPLE_RATE
    np.testing.assert_allclose(samples[:, 0], demo_speech.synthesise(utterance, seed=7), atol=2**-15)


def test_tess_is_fetched_from_its_dataverse(
    fake_corpora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the Dataverse lists for the dataset's DOI is fetched; there is no list of our own."""
    monkeypatch.setenv("SER_CACHE", str(tmp_path / "cache"))
    files = {path.name: path.read_bytes() for path in (fake_corpora / "tess").rglob("*.wav")}
    with serving(files) as server:

        def files_of(doi: str, *, server: str) -> list[RemoteFile]:
            assert (doi, server) == ("doi:10.5683/SP2/E8H2MF", "https://borealisdata.ca")
            return [RemoteFile(name, where(name), None, len(content)) for name, content in files.items()]

        where = server.url
        monkeypatch.setattr(dataverse, "files_of", files_of)
        assert fetch(load_corpus("tess"), tmp_path / "raw", data_dir=None) == len(files)


def test_kaggle_is_asked_only_when_told_to(fake_corpora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `download.kaggle` a corpus comes from its copy there; a failure says where else it is to be had."""
    asked = []
    monkeypatch.setattr(kaggle, "fetch", lambda handle: asked.append(handle) or fake_corpora / "tess")
    assert fetch(load_corpus("tess"), tmp_path / "raw", data_dir=None, kaggle=True) == 3
    assert asked == ["ejlok1/toronto-emotional-speech-set-tess"]

    def fail(_handle: str) -> Path:
        raise UserError("not logged in.")

    monkeypatch.setattr(kaggle, "fetch", fail)
    with pytest.raises(UserError, match=r"not logged in\. Or get it from http://kahlan.* into FOLDER/savee/"):
        fetch(load_corpus("savee"), tmp_path / "raw", data_dir=None, kaggle=True)


def test_a_corpus_is_announced() -> None:
    """Title, licence, citation and address, before anything is fetched; one's own recordings by their folder."""
    said = download_corpus.describe_corpus("ravdess", {})
    assert all(fact in said for fact in (FACTS.title, FACTS.license_info, FACTS.citation, FACTS.url))
    mine = factories.settings(custom_corpora={"mine": OWN, "tess": OWN}).custom_corpora
    assert download_corpus.describe_corpus("mine", mine) == "mine: your own recordings in voices."
    with pytest.raises(UserError, match=r"custom_corpora\.tess: "):
        download_corpus.describe_corpus("tess", mine)


OWN = {"folder": "voices", "labels": None, "pattern": None, "emotions": {}, "language": "en"}
