"""Recordings come to the project as they were published, or one sentence says how to get them."""

import dataclasses
import hashlib
import shutil
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from conftest import RAVDESS
from server import serving

from ser import audio, sources, synthesis
from ser.corpora.facts import Published, load_corpus
from ser.errors import InputError
from ser.synthesis import Utterance

FACTS = load_corpus("ravdess")


@pytest.fixture(autouse=True)
def outside_dvc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget where DVC's root is, should the tests themselves run under DVC."""
    monkeypatch.delenv("DVC_ROOT", raising=False)


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
    assert sources.fetch(FACTS, raw, local_dir=str(fake_corpora), seed=1) == len(RAVDESS) + 1
    assert files_of(raw) == sorted([*RAVDESS, deep])
    assert all((raw / file).read_bytes() == (corpus / file).read_bytes() for file in files_of(raw))


def test_relative_folders_start_at_the_project(
    fake_corpora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`local_dir` is found from DVC's root, where an experiment runs elsewhere, and else from the current folder."""
    (tmp_path / "experiment").mkdir()
    monkeypatch.chdir(tmp_path / "experiment")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert sources.fetch(FACTS, tmp_path / "a", local_dir="corpora", seed=1) == len(RAVDESS)
    monkeypatch.delenv("DVC_ROOT")
    with pytest.raises(InputError, match=r"local_dir: corpora was not found"):
        sources.fetch(FACTS, tmp_path / "b", local_dir="corpora", seed=1)
    monkeypatch.chdir(tmp_path)
    assert sources.fetch(FACTS, tmp_path / "b", local_dir="corpora", seed=1) == len(RAVDESS)


def test_the_home_folder_may_be_a_tilde(fake_corpora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~/corpora` means what it means in a shell."""
    monkeypatch.setenv("HOME", str(fake_corpora.parent))
    assert sources.fetch(FACTS, tmp_path / "raw", local_dir="~/corpora", seed=1) == len(RAVDESS)


@pytest.mark.parametrize(
    ("local_dir", "message"),
    [
        (
            None,
            r"doi.org/10.5683/SP2/E8H2MF \(CC BY-NC-ND 4.0\), put it into FOLDER/tess/ .* download.local_dir=FOLDER",
        ),
        ("nowhere", "download.local_dir: nowhere was not found; expected a folder that holds tess/"),
        ("other", r"tess is not in download.local_dir \(other\) .*SP2/E8H2MF"),
        ("empty", "empty/tess holds no recording"),
    ],
)
def test_a_corpus_that_is_not_here_is_one_sentence(
    local_dir: str | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says where the corpus was looked for, or where to get it, and which setting to mend."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty" / "tess").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match=message) as caught:
        sources.fetch(load_corpus("tess"), tmp_path / "raw", local_dir=local_dir, seed=1)
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
    assert sources.fetch(FACTS, tmp_path / "raw", local_dir=str(tmp_path / "zips"), seed=1) == len(RAVDESS)
    assert sorted(Path(file).name for file in files_of(tmp_path / "raw")) == sorted(Path(n).name for n in RAVDESS)


def test_what_is_there_twice_is_taken_once(fake_corpora: Path, tmp_path: Path) -> None:
    """Archives in circulation hold a corpus twice, nested in itself; each recording comes once."""
    corpus = fake_corpora / "ravdess"
    shutil.copytree(corpus, fake_corpora / "copy")
    (fake_corpora / "copy").rename(corpus / "again")
    assert sources.fetch(FACTS, tmp_path / "raw", local_dir=str(fake_corpora), seed=1) == len(RAVDESS)
    assert files_of(tmp_path / "raw") == sorted(RAVDESS)


def test_a_corpus_is_complete_or_refused(fake_corpora: Path) -> None:
    """Fewer recordings than were published, or two of one name, are not taken for the corpus."""
    facts = dataclasses.replace(FACTS, n_clips=len(RAVDESS))
    sources.check_complete(fake_corpora / "ravdess", facts)
    (fake_corpora / "ravdess" / "noise.wav").write_bytes(b"is none of the corpus's names")
    sources.check_complete(fake_corpora / "ravdess", facts)
    other = fake_corpora / "ravdess" / "more" / Path(RAVDESS[0]).name
    other.parent.mkdir()
    other.write_bytes(b"another take")
    with pytest.raises(InputError, match=f"2 different recordings named {other.stem}"):
        sources.check_complete(fake_corpora / "ravdess", facts)
    other.unlink()
    (fake_corpora / "ravdess" / RAVDESS[0]).unlink()
    with pytest.raises(InputError, match=f"{len(RAVDESS) - 1} recordings have names .* {len(RAVDESS)} were published"):
        sources.check_complete(fake_corpora / "ravdess", facts)


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
            Published(name, server.url(name), f"md5:{hashlib.md5(content).hexdigest()}", len(content))
            for name, content in files.items()
        ]
        facts = dataclasses.replace(FACTS, published=lambda: published)
        assert sources.fetch(facts, tmp_path / "raw", local_dir=None, seed=1) == len(RAVDESS)
    assert sources.fetch(facts, tmp_path / "again", local_dir=None, seed=1) == len(RAVDESS)
    assert files_of(tmp_path / "again") == files_of(tmp_path / "raw")


def test_what_cannot_be_fetched_may_be_brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a network the message names the address, and the setting that does without."""
    monkeypatch.setenv("SER_CACHE", str(tmp_path / "cache"))
    with serving({}) as server:
        gone = Published("a.zip", server.url("a.zip"), "md5:" + "0" * 32, 1)
        facts = dataclasses.replace(FACTS, published=lambda: [gone])
        with pytest.raises(InputError, match=r"a\.zip .* -S download.local_dir=FOLDER"):
            sources.fetch(facts, tmp_path / "raw", local_dir=None, seed=1)


def test_the_demo_corpus_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The synthesiser writes as many recordings as the facts say, each under a name that they can read."""
    spoken: list[Utterance] = []

    def synthesise(utterance: Utterance, *, seed: int) -> np.ndarray:
        assert seed == 7
        spoken.append(utterance)
        return np.zeros(8, dtype=np.float32)

    monkeypatch.setattr(synthesis, "synthesise", synthesise)
    demo = load_corpus("demo")
    assert sources.fetch(demo, tmp_path / "raw", local_dir=None, seed=7) == demo.n_clips == len(set(spoken))
    files = files_of(tmp_path / "raw")
    assert len(files) == demo.n_clips
    parsed = [demo.parse(PurePosixPath(file)) for file in files]
    assert [(p.speaker, p.emotion, p.text) for p in parsed if p] == [
        (f"demo-{u.speaker}", u.emotion, u.text) for u in sorted(spoken)
    ]


def test_a_demo_recording_is_what_was_spoken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One utterance, really synthesised, is on disk as it was spoken, at the synthesiser's rate."""
    utterance = Utterance("03", "angry", "kids")
    monkeypatch.setattr(synthesis, "utterances", lambda: [utterance])
    assert sources.fetch(load_corpus("demo"), tmp_path / "raw", local_dir=None, seed=7) == 1
    samples, rate = audio.decode(tmp_path / "raw" / "03_angry_kids.flac")
    assert rate == synthesis.SAMPLE_RATE
    np.testing.assert_allclose(samples[:, 0], synthesis.synthesise(utterance, seed=7), atol=2**-15)
