"""Recordings come to the project as they were published, or one sentence says how to get them."""

from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from conftest import RAVDESS

from ser import audio, sources, synthesis
from ser.corpora.facts import load_corpus
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
    with pytest.raises(InputError, match="corpora/ravdess was not found"):
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
            r"zenodo.org/records/1188976 \(CC BY-NC-SA 4.0\), put it in FOLDER/ravdess/ .* download.local_dir=FOLDER",
        ),
        ("nowhere", "download.local_dir: .*nowhere/ravdess was not found; expected a folder .* recordings of ravdess"),
        ("empty", "empty/ravdess holds no recording"),
    ],
)
def test_a_corpus_that_is_not_here_is_one_sentence(
    local_dir: str | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says where the corpus was looked for, or where to get it, and which setting to mend."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty" / "ravdess").mkdir(parents=True)
    with pytest.raises(InputError, match=message) as caught:
        sources.fetch(FACTS, tmp_path / "raw", local_dir=local_dir, seed=1)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "raw").exists()


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
