"""A user's own recordings come with the labels they were given, or one sentence says what is wrong before any work."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser.dataset.recordings import Recording
from ser.download import custom
from ser.utils.errors import UserError
from tests.helpers import factories
from tests.helpers.signals import RATE, encode, sine


def write(folder: Path, files: Mapping[str, float], *, rate: int = RATE) -> None:
    """Write recordings: each file a tone of its own."""
    for name, hz in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encode(sine(hz, seconds=0.5, rate=rate), rate=rate))


def bring(root: Path, **settings: Any) -> tuple[list[Recording], list[str]]:
    plain = {"folder": "voices", "labels": None, "pattern": None, "emotions": {}, "language": "de"}
    mine = factories.settings(custom_corpora={"mine": plain | settings}).custom_corpora["mine"]
    return custom.import_custom_corpus(mine, root / "raw", name="mine", root=root)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make a project's root with a folder of four recordings."""
    write(tmp_path / "voices", {"a.wav": 200, "b.wav": 250, "deep/er/c.flac": 300, "d.mp3.wav": 350})
    return tmp_path


def label(root: Path, text: str, *, name: str = "voices/labels.csv", encoding: str = "utf-8") -> None:
    (root / name).write_bytes(text.encode(encoding))


def test_a_table_of_labels(root: Path) -> None:
    """Columns in any order and case, spaces, semicolons and a byte order mark are read; unlabelled files stay away."""
    table = (
        "Emotion; File ;speaker;SEX;sentence;language\nAngry;a.wav;Zoë;Female;hello;fr\nsad ; ./deep/er/c.flac;Bo;;;\n"
    )
    label(root, table, encoding="utf-8-sig")
    recordings, notes = bring(root)
    assert recordings == [
        Recording("a.wav", "mine-Zoë", "f", "angry", sentence="hello", language="fr"),
        Recording("deep/er/c.flac", "mine-Bo", "", "sad", language="de"),
    ]
    assert sorted(str(path.relative_to(root / "raw")) for path in (root / "raw").rglob("*.*")) == [
        "a.wav",
        "deep/er/c.flac",
    ]
    assert notes == [
        "mine: 2 recordings, 2 speakers; angry 1, sad 1.",
        "mine: without a label, ignored: b.wav, d.mp3.wav.",
    ]


def test_text_is_a_synonym_of_sentence(root: Path) -> None:
    """Tables and patterns of earlier versions are read; where both names are given, `sentence` counts."""
    label(root, "file,emotion,text\na.wav,angry,hello\n")
    assert [one.sentence for one in bring(root)[0]] == ["hello"]
    label(root, "file,emotion,sentence,text\na.wav,angry,hello,other\n")
    assert [one.sentence for one in bring(root)[0]] == ["hello"]
    named = bring(root, pattern=r"(?P<text>\w+)(?P<emotion>)\.?\w*", emotions={"": "sad"})[0]
    assert {"a", "b"} <= {one.sentence for one in named}


def test_a_table_elsewhere(root: Path) -> None:
    """`labels` names a CSV file from the project's root; its paths start at the folder."""
    label(root, "file,emotion\na.wav,happy\nb.wav,sad\n", name="mine.csv")
    assert [one.emotion for one in bring(root, labels="mine.csv")[0]] == ["happy", "sad"]
    with pytest.raises(UserError, match=r"gone\.csv was not found"):
        bring(root, labels="gone.csv")


def test_folders_named_by_emotions(tmp_path: Path) -> None:
    """The nearest folder that is called like an emotion is the label; that nobody knows who speaks is said."""
    write(tmp_path / "voices", {"angry/a.wav": 200, "sad/monday/b.wav": 250, "anna/Joy/c.wav": 300})
    recordings, notes = bring(tmp_path, emotions={"joy": "happy"})
    assert [(one.emotion, one.speaker) for one in recordings] == [
        ("angry", "mine-"),
        ("happy", "mine-"),
        ("sad", "mine-"),
    ]
    assert "mine: speakers are unknown: no score on these recordings will be speaker-independent." in notes


def test_labels_in_paths(tmp_path: Path) -> None:
    """An expression with named groups reads speaker, emotion and what else it names."""
    write(tmp_path / "voices", {"anna/01_happy.wav": 200, "bo/02_sad.wav": 250})
    pattern = r"(?P<speaker>\w+)/(?P<sentence>\d\d)_(?P<emotion>\w+)"
    assert [(one.speaker, one.sentence, one.emotion) for one in bring(tmp_path, pattern=pattern)[0]] == [
        ("mine-anna", "01", "happy"),
        ("mine-bo", "02", "sad"),
    ]
    with pytest.raises(UserError, match=r"custom_corpora\.mine\.pattern does not match anna/01_happy\.wav"):
        bring(tmp_path, pattern=r"(?P<emotion>\d+)")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("file,label\na.wav,sad\n", r"labels\.csv: columns are file, label; expected file and emotion"),
        ("file,emotion\nx.wav,sad\na.wav,sad\n", r"labels\.csv: not in .*voices: x\.wav"),
        ("file,emotion\na.wav,sad\na.wav,happy\n", r"labels\.csv: a\.wav"),
        (
            "file,emotion\na.wav,anger\nb.wav,bored\n",
            r"custom_corpora\.mine: unknown emotion anger \(1 recording\), bored \(1 .*known are neutral, .*"
            r"-S '\+custom_corpora\.mine\.emotions=\{anger: angry\}'",
        ),
        (
            "file,emotion\na.wav,01\n",
            r"unknown emotion 01 .*: in params\.yaml, custom_corpora\.mine\.emotions: \{'01': neutral\}",
        ),
        ("file,emotion\na.wav,Glück\n", r"in params\.yaml, custom_corpora\.mine\.emotions: \{'glück': neutral\}"),
        ("file,emotion\na.wav,sad\n,sad\n", r"labels\.csv: a row has no file"),
        ("file,emotion\na.wav,\nb.wav,sad\n", r"unknown emotion no label \(1 recording\)"),
        ("file,emotion,sex\na.wav,sad,x\n", r"a\.wav has the sex 'x'; expected f, m or nothing"),
        (
            "file,emotion,speaker\na.wav,sad,\nb.wav,sad,bo\n",
            r"no speaker is given for a\.wav",
        ),
        ("", r"columns are none"),
    ],
)
def test_wrong_labels_are_one_sentence(table: str, message: str, root: Path) -> None:
    """It names file or key, what was found and what to do, and nothing is copied."""
    label(root, table)
    with pytest.raises(UserError, match=message):
        bring(root)
    assert not (root / "raw").exists()


def test_a_table_that_is_no_text(root: Path) -> None:
    """A spreadsheet saved under the name of a CSV file is refused in a sentence."""
    (root / "voices" / "labels.csv").write_bytes(b"PK\x03\x04\xff\xfe\x00")
    with pytest.raises(UserError, match=r"labels\.csv cannot be read as UTF-8"):
        bring(root)


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        (None, r"custom_corpora\.mine\.folder is null; .* -S custom_corpora\.mine\.folder=FOLDER"),
        ("gone", r"gone is not a folder"),
        (
            "voices",
            r"custom_corpora\.mine: a\.wav has no label; .* labels\.csv .*\(angry/a\.wav\), or custom_corpora\.mine",
        ),
    ],
)
def test_recordings_without_a_place_or_label(folder: str | None, message: str, root: Path) -> None:
    """What is missing is named, and how to give it."""
    with pytest.raises(UserError, match=message):
        bring(root, folder=folder)


def test_a_word_that_stands_for_itself_is_an_emotion(root: Path) -> None:
    """Beyond the usual eight, a user says so; nothing is mapped in silence."""
    label(root, "file,emotion\na.wav,bored\nb.wav,sad\n")
    recordings, notes = bring(root, emotions={"bored": "bored"})
    assert [one.emotion for one in recordings] == ["bored", "sad"]
    assert any("emotions.extra" in note and "bored" in note for note in notes)


def test_the_same_sound_under_two_names(root: Path) -> None:
    """With one label it is said; with two, somebody must decide."""
    (root / "voices" / "b.wav").write_bytes((root / "voices" / "a.wav").read_bytes())
    label(root, "file,emotion\na.wav,sad\nb.wav,sad\n")
    assert any("a.wav = b.wav" in note for note in bring(root)[1])
    label(root, "file,emotion\na.wav,sad\nb.wav,happy\n")
    with pytest.raises(UserError, match=r"different labels: a\.wav \(sad, mine-\), b\.wav \(happy, mine-\)"):
        bring(root)


def test_mixed_rates_are_said(root: Path) -> None:
    """A user learns that rates differ, and why that matters; a file that is no audio is left to preprocessing."""
    write(root / "voices", {"e.wav": 400}, rate=8000)
    (root / "voices" / "f.wav").write_bytes(b"no audio")
    label(root, "file,emotion\n" + "".join(f"{name}.wav,sad\n" for name in "abef"))
    assert any("mixed sample rates: 1 at 8000 Hz, 2 at 16000 Hz." in note for note in bring(root)[1])
    assert np.all([one.rejection_reason == "" for one in bring(root)[0]])
