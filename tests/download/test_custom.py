"""A user's recordings are imported with their labels, or a one-line error describes what to fix."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ser.dataset.recordings import Recording
from ser.download import custom
from ser.utils.errors import UserError
from tests.helpers import factories
from tests.helpers.signals import RATE, encode, sine


def write(folder: Path, files: Mapping[str, float], *, rate: int = RATE) -> None:
    """Write recordings: each file a tone with its own frequency."""
    for name, hz in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encode(sine(hz, seconds=0.5, rate=rate), rate=rate))


def import_corpus(root: Path, **settings: Any) -> tuple[list[Recording], list[str]]:
    defaults = {"folder": "voices", "labels": None, "pattern": None, "emotions": {}, "language": "de"}
    mine = factories.settings(custom_corpora={"mine": defaults | settings}).custom_corpora["mine"]
    return custom.import_custom_corpus(mine, root / "raw", name="mine", root=root)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make a project's root with a folder of four recordings."""
    write(tmp_path / "voices", {"a.wav": 200, "b.wav": 250, "deep/er/c.flac": 300, "d.mp3.wav": 350})
    return tmp_path


def label(root: Path, text: str, *, name: str = "voices/labels.csv", encoding: str = "utf-8") -> None:
    (root / name).write_bytes(text.encode(encoding))


def test_a_table_of_labels(root: Path) -> None:
    """Columns in any order and case, spaces, semicolons and a byte order mark are read; other files are ignored."""
    header = "Emotion; File ;speaker;SEX;sentence;language\n"
    label(root, f"{header}Angry;a.wav;Zoë;Female;hello;fr\nsad ; ./deep/er/c.flac;Bo;;;\n", encoding="utf-8-sig")
    recordings, notes = import_corpus(root)
    assert recordings == [
        Recording("a.wav", "mine-Zoë", "f", "angry", sentence="hello", language="fr"),
        Recording("deep/er/c.flac", "mine-Bo", "", "sad", language="de"),
    ]
    assert {path.name for path in (root / "raw").rglob("*.*")} == {"a.wav", "c.flac"}
    assert notes == [
        "mine: 2 recordings, 2 speakers; angry 1, sad 1.",
        "mine: without a label, ignored: b.wav, d.mp3.wav.",
    ]


def test_text_is_a_synonym_of_sentence(root: Path) -> None:
    """Tables and patterns of earlier versions are read; if both names are given, `sentence` is used."""
    for table in ("file,emotion,text\na.wav,angry,hello\n", "file,emotion,sentence,text\na.wav,angry,hello,other\n"):
        label(root, table)
        assert [recording.sentence for recording in import_corpus(root)[0]] == ["hello"]
    recordings, _ = import_corpus(root, pattern=r"(?P<text>\w+)(?P<emotion>)\.?\w*", emotions={"": "sad"})
    assert {"a", "b"} <= {recording.sentence for recording in recordings}


def test_a_table_in_another_folder(root: Path) -> None:
    """`labels` is relative to the project's root, the paths in the table to the folder of the corpus."""
    label(root, "file,emotion\na.wav,happy\nb.wav,sad\n", name="mine.csv")
    assert [recording.emotion for recording in import_corpus(root, labels="mine.csv")[0]] == ["happy", "sad"]
    with pytest.raises(UserError, match=r"missing\.csv"):
        import_corpus(root, labels="missing.csv")


def test_folders_named_by_emotions(tmp_path: Path) -> None:
    """The nearest folder named like an emotion is the label; a note says that speakers are unknown."""
    write(tmp_path / "voices", {"angry/a.wav": 200, "sad/monday/b.wav": 250, "anna/Joy/c.wav": 300})
    recordings, notes = import_corpus(tmp_path, emotions={"joy": "happy"})
    assert [recording.emotion for recording in recordings] == ["angry", "happy", "sad"]
    assert {recording.speaker for recording in recordings} == {"mine-"}
    assert any("speakers are unknown" in note for note in notes)


def test_labels_in_paths(tmp_path: Path) -> None:
    """A regular expression with named groups reads speaker, emotion and other columns."""
    write(tmp_path / "voices", {"anna/01_happy.wav": 200, "bo/02_sad.wav": 250})
    pattern = r"(?P<speaker>\w+)/(?P<sentence>\d\d)_(?P<emotion>\w+)"
    rows = [(row.speaker, row.sentence, row.emotion) for row in import_corpus(tmp_path, pattern=pattern)[0]]
    assert rows == [("mine-anna", "01", "happy"), ("mine-bo", "02", "sad")]
    with pytest.raises(UserError, match=r"custom_corpora\.mine\.pattern .* anna/01_happy\.wav"):
        import_corpus(tmp_path, pattern=r"(?P<emotion>\d+)")


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("file,feeling\na.wav,sad\n", ["labels.csv", "file, feeling", "file and emotion"]),
        ("file,emotion\nx.wav,sad\na.wav,sad\n", ["labels.csv", "voices", "x.wav"]),
        ("file,emotion\na.wav,sad\na.wav,happy\n", ["labels.csv", "a.wav"]),
        (
            "file,emotion\na.wav,anger\nb.wav,bored\n",
            ["anger (1 recording), bored (1 recording)", "-S '+custom_corpora.mine.emotions={anger: angry}'"],
        ),
        ("file,emotion\na.wav,Glück\n", ["in params.yaml, custom_corpora.mine.emotions: {'glück': neutral}"]),
        ("file,emotion\na.wav,sad\n,sad\n", ["labels.csv", "no file"]),
        ("file,emotion\na.wav,\nb.wav,n/a\n", ["no emotion", "a.wav, b.wav"]),
        ("file,emotion,sex\na.wav,sad,x\n", ["a.wav", "'x'", "f, m"]),
        ("file,emotion,speaker\na.wav,sad,\nb.wav,sad,bo\n", ["no speaker", "a.wav"]),
        ("file,emotion\n", ["labels.csv", "0 rows"]),
        ("", ["labels.csv", "columns none"]),
        ("PK\x03\x04\xff\xfe\x00", ["labels.csv", "UTF-8"]),
    ],
)
def test_invalid_labels_are_an_error(table: str, expected: Sequence[str], root: Path) -> None:
    """The message names file or key, the value and how to fix it, and nothing is copied."""
    label(root, table, encoding="latin-1" if table.startswith("PK") else "utf-8")
    with pytest.raises(UserError) as error:
        import_corpus(root)
    assert all(part in str(error.value) for part in expected)
    assert not (root / "raw").exists()


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        (None, ["custom_corpora.mine.folder=FOLDER"]),
        ("voices", ["custom_corpora.mine", "a.wav", "labels.csv", "angry/a.wav"]),
    ],
)
def test_missing_recordings_and_labels_are_an_error(folder: str | None, expected: Sequence[str], root: Path) -> None:
    """The message names the missing folder or labels and how to set them."""
    with pytest.raises(UserError) as error:
        import_corpus(root, folder=folder)
    assert all(part in str(error.value) for part in expected)


def test_an_additional_emotion(root: Path) -> None:
    """An emotion beyond the canonical ones must be mapped to itself; a note says that runs exclude it."""
    label(root, "file,emotion\na.wav,bored\nb.wav,sad\n")
    recordings, notes = import_corpus(root, emotions={"bored": "bored"})
    assert [recording.emotion for recording in recordings] == ["bored", "sad"]
    assert any("emotions.extra" in note and "bored" in note for note in notes)


def test_identical_files(root: Path) -> None:
    """Identical files with equal labels are noted; with different labels they are an error."""
    (root / "voices" / "b.wav").write_bytes((root / "voices" / "a.wav").read_bytes())
    label(root, "file,emotion\na.wav,sad\nb.wav,sad\n")
    assert any("a.wav = b.wav" in note for note in import_corpus(root)[1])
    label(root, "file,emotion\na.wav,sad\nb.wav,happy\n")
    with pytest.raises(UserError, match=r"a\.wav \(sad, mine-\), b\.wav \(happy, mine-\)"):
        import_corpus(root)


def test_mixed_sample_rates_are_noted(root: Path) -> None:
    """The note counts the recordings per rate; files that are no audio are left to preprocessing."""
    write(root / "voices", {"e.wav": 400}, rate=8000)
    (root / "voices" / "f.wav").write_bytes(b"no audio")
    label(root, "file,emotion\n" + "".join(f"{name}.wav,sad\n" for name in "abef"))
    recordings, notes = import_corpus(root)
    assert any("1 at 8000 Hz, 2 at 16000 Hz" in note for note in notes)
    assert {recording.rejection_reason for recording in recordings} == {""}
