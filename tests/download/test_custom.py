"""A user's recordings are imported with their labels, or a one-line error describes what to fix."""

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ser import paths
from ser.dataset.recordings import Recording, write_recordings
from ser.download import custom
from ser.download.split_check import describe_split_problem
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
    label(root, "file,emotion\na.wav,angry\n", name="voices/Labels.CSV")
    assert [recording.emotion for recording in import_corpus(root)[0]] == ["angry"]


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


def test_the_copy_of_a_file_in_folders_of_two_emotions_is_an_error(tmp_path: Path) -> None:
    """It names both files, also if their names and suffixes differ."""
    write(tmp_path / "voices", {"angry/a.wav": 200, "sad/b.wav": 250})
    (tmp_path / "voices" / "sad" / "c.dat.WAV").write_bytes((tmp_path / "voices" / "angry" / "a.wav").read_bytes())
    with pytest.raises(UserError, match=r"angry/a\.wav \(angry.*sad/c\.dat\.WAV \(sad"):
        import_corpus(tmp_path)


def speakers_of(recordings: Sequence[Recording]) -> list[str]:
    return [recording.speaker for recording in recordings]


@pytest.mark.parametrize(
    ("spellings", "folded"),
    [
        (["anna", "Anna", "anna"], "anna"),
        (["01", "1", "1.0"], "1"),
        (["Zoë", unicodedata.normalize("NFD", "Zoë"), "ZOË"], "Zoë"),
        (["Anna B", " anna  b", "anna\u00a0b"], "anna b"),
        (["\uff21nna", "Anna", "Anna"], "Anna"),
    ],
)
def test_spellings_of_a_speaker_are_one(spellings: Sequence[str], folded: str, root: Path) -> None:
    """Tables and patterns are treated alike; one note has the spellings and the name that is used."""
    rows = zip(["a.wav", "b.wav", "d.mp3.wav"], spellings, strict=True)
    label(root, "file,emotion,speaker\n" + "".join(f"{file},sad,{spelling}\n" for file, spelling in rows))
    recordings, notes = import_corpus(root)
    assert speakers_of(recordings) == [f"mine-{folded}"] * 3
    assert sum(f"→ {folded}" in note for note in notes) == 1
    write(root / "paths", {f"{spelling}/{n}_sad.wav": 200 + 10 * n for n, spelling in enumerate(spellings)})
    recordings, notes = import_corpus(root, folder="paths", pattern=r"(?P<Speaker_ID>[^/]+)/\d_(?P<label>\w+)")
    assert speakers_of(recordings) == [f"mine-{folded}"] * 3
    assert sum(f"→ {folded}" in note for note in notes) == 1


def test_words_for_missing_values(root: Path) -> None:
    """They are no speaker, sentence or sex; a note counts them."""
    table = (
        "file,emotion,speaker,sentence,sex\na.wav,sad,nan,?,unknown\nb.wav,sad,NA,Hello,-\nd.mp3.wav,sad,-,hello ,F\n"
    )
    label(root, table)
    recordings, notes = import_corpus(root)
    assert speakers_of(recordings) == ["mine-"] * 3
    assert [recording.sentence for recording in recordings] == ["", "hello", "hello"]
    assert [recording.sex for recording in recordings] == ["", "", "f"]
    assert any("speaker: -, NA, nan" in note and "3 recordings" in note for note in notes)
    label(root, "file,emotion,speaker\na.wav,sad,anna\nb.wav,sad,unknown\n")
    with pytest.raises(UserError, match=r"no speaker is given for b\.wav"):
        import_corpus(root)


def test_recordings_without_an_emotion_are_listed(root: Path) -> None:
    """They are ignored like those that the table does not list; a word that `emotions` maps is an emotion."""
    label(root, "file,emotion\na.wav,sad\nb.wav,\nd.mp3.wav,n/a\n")
    recordings, notes = import_corpus(root)
    assert [recording.file for recording in recordings] == ["a.wav"]
    assert any("2 recordings" in note and note.endswith("b.wav, d.mp3.wav.") for note in notes)
    assert any(note.endswith("ignored: deep/er/c.flac.") for note in notes)
    recordings, _ = import_corpus(root, emotions={"N/A": "neutral"})
    assert [recording.emotion for recording in recordings] == ["sad", "neutral"]


def test_adapted_paths_and_columns_are_noted(root: Path) -> None:
    """There is one note per kind, with a count and examples."""
    rows = [f"{root}/voices/a.wav;sad;f", "B.wav;sad;f", "d.mp3.flac;happy;f", r"deep\er\c.flac;happy;f"]
    label(root, "sep=;\nfilename;class;age\n" + "\n".join(rows))
    recordings, notes = import_corpus(root)
    assert [recording.file for recording in recordings] == ["a.wav", "b.wav", "d.mp3.wav", "deep/er/c.flac"]
    for part in (
        *("sep=;", "filename → file, class → emotion", "ignored: age", "absolute paths in 1 path"),
        *("another case or blanks in 1 path", "B.wav → b.wav", "suffix in 1 path", "backslashes in 1 path"),
    ):
        assert sum(part in note for note in notes) == 1, part


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("file,emotion\nnotes,sad\n", ["not audio: notes;"]),
        (f"file,emotion\n{__file__},sad\n", [f"voices: {__file__};"]),
        ("file,emotion\nd.wav,sad\n", ["more than one", "x/d.wav, y/d.wav"]),
        ("file,emotion\na.wav,sad\nA.wav,sad\n", ["a.wav", "more than once"]),
    ],
)
def test_names_that_are_not_one_file_are_an_error(table: str, expected: Sequence[str], root: Path) -> None:
    """The error names them, and the files that they may mean."""
    write(root / "voices", {"x/d.wav": 300, "y/d.wav": 350})
    (root / "voices" / "notes").write_text("not audio")
    label(root, table)
    with pytest.raises(UserError) as error:
        import_corpus(root)
    assert all(part in str(error.value) for part in ["labels.csv", *expected])


def test_recordings_without_sentences_can_be_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the import of five speakers, there is no warning that the split will fail."""
    monkeypatch.chdir(tmp_path)
    names = [f"{speaker}_{emotion}{n}.wav" for speaker in "abcde" for emotion in ("sad", "happy") for n in range(3)]
    write(tmp_path / "voices", {name: 100 + 10 * n for n, name in enumerate(names)})
    recordings, _ = import_corpus(tmp_path, pattern=r"(?P<speaker>\w)_(?P<emotion>[a-z]+)\d")
    write_recordings(paths.recordings("mine"), recordings)
    params = factories.settings().model_copy(update={"corpora": ("mine",)})
    assert describe_split_problem(params, corpus="mine") == []


def test_mixed_sample_rates_are_noted(root: Path) -> None:
    """The note counts the recordings per rate; files that are no audio are left to preprocessing."""
    write(root / "voices", {"e.wav": 400}, rate=8000)
    (root / "voices" / "f.wav").write_bytes(b"no audio")
    label(root, "file,emotion\n" + "".join(f"{name}.wav,sad\n" for name in "abef"))
    recordings, notes = import_corpus(root)
    assert any("1 at 8000 Hz, 2 at 16000 Hz" in note for note in notes)
    assert {recording.rejection_reason for recording in recordings} == {""}
