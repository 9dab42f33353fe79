"""Tables of labels are read as spreadsheets and people write them, or a one-line error describes what to fix."""

import codecs
from pathlib import Path

import pytest

from ser.download.label_table import canonical_columns, read_label_table
from ser.utils.errors import UserError

TABLE = "file,emotion,speaker\na.wav,sad,Zoë\nb.wav,happy,Bo\n"
ROWS = [
    {"file": "a.wav", "emotion": "sad", "speaker": "Zoë"},
    {"file": "b.wav", "emotion": "happy", "speaker": "Bo"},
]


def read(folder: Path, data: str | bytes) -> tuple[list[dict[str, str]], list[str]]:
    (folder / "labels.csv").write_bytes(data.encode() if isinstance(data, str) else data)
    return read_label_table(folder / "labels.csv")


@pytest.mark.parametrize(
    "data",
    [
        TABLE.encode("utf-8-sig"),
        TABLE.encode("utf-16"),
        codecs.BOM_UTF16_BE + TABLE.encode("utf-16-be"),
        TABLE.encode("utf-16-le"),
        TABLE.encode("utf-16-be"),
        TABLE.encode("utf-32"),
        TABLE.replace("\n", "\r\n").encode(),
        TABLE.replace("\n", "\r").encode(),
        f"\n\r\n{TABLE}\n,,\n".encode(),
        TABLE.replace(",", ";").encode(),
        TABLE.replace(",", "\t").encode("utf-16"),
        TABLE.replace(",", " , ").encode(),
        TABLE.replace(",", "|").encode(),
        "".join(",".join(f' "{value}"' for value in line.split(",")) + "\n" for line in TABLE.splitlines()).encode(),
    ],
)
def test_encodings_and_delimiters(data: bytes, tmp_path: Path) -> None:
    """All are read alike, without a note."""
    assert read(tmp_path, data) == (ROWS, [])


@pytest.mark.parametrize("first", ["sep=;\n", "SEP=;\r\n", '"sep=;"\n', "\ufeffsep=;\n", "sep=;;;\n", "sep=^\n"])
def test_a_line_with_the_delimiter(first: str, tmp_path: Path) -> None:
    """The line of Excel is no header; a note names it."""
    delimiter = first.split("=")[1][0]
    rows, notes = read(tmp_path, first + TABLE.replace(",", delimiter))
    assert rows == ROWS
    assert len(notes) == 1
    assert "labels.csv" in notes[0]
    assert read(tmp_path, first + TABLE)[0] == ROWS  # the line may be wrong


def test_windows_encoding_is_noted(tmp_path: Path) -> None:
    """Excel writes it where it is asked for CSV."""
    rows, notes = read(tmp_path, TABLE.encode("cp1252"))
    assert rows == ROWS
    assert ["Windows-1252" in note for note in notes] == [True]


def test_values_with_delimiters_and_line_breaks(tmp_path: Path) -> None:
    """Quoted values may have them; short rows have empty values."""
    rows, _ = read(tmp_path, 'file,emotion,sentence\na.wav,sad,"one,\ntwo; ""three"""\nb.wav,happy\n')
    assert [row["sentence"] for row in rows] == ['one,\ntwo; "three"', ""]


def test_synonyms_and_ignored_columns_are_named(tmp_path: Path) -> None:
    """Case and separators do not matter; a column of the right name is preferred to a synonym."""
    header = "File Name,Speaker-ID,LABEL,Gender,age,class,,text"
    rows, notes = read(tmp_path, f"{header}\na.wav,01,sad,f,30,9,x,hello\n")
    assert rows == [{"file": "a.wav", "emotion": "sad", "speaker": "01", "sex": "f", "sentence": "hello"}]
    renamed, ignored = notes
    for pair in ("file name → file", "speaker-id → speaker", "label → emotion", "gender → sex", "text → sentence"):
        assert pair in renamed
    assert ignored.endswith("age, class, (no name)")


@pytest.mark.parametrize(
    ("column", "names"),
    [
        ("file", ["filename", "path", "file_path", "Audio File", "wav"]),
        ("emotion", ["label", "class", "Emotion_Label"]),
        ("speaker", ["speaker_id", "SpeakerID", "actor", "Actor ID", "subject", "participant_id", "spk"]),
        ("sex", ["gender", "Speaker Gender"]),
        ("sentence", ["text", "transcript", "sentence-id"]),
        ("language", ["lang"]),
        ("intensity", ["emotion_intensity"]),
    ],
)
def test_synonyms(column: str, names: list[str]) -> None:
    """Each is the column, unless the name itself is there."""
    for name in names:
        assert canonical_columns(["x", name]) == {column: 1}
        assert canonical_columns([name, column]) == {column: 1}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("file,emotion,sentence\na.wav,sad,Hello, you\n", ["line 2", "4 values", "3", "quotes"]),
        ("file,emotion\n\na.wav,sad\n ,sad\n", ["line 4", "no file"]),
        ("sep=;\r\n\r\nfile;emotion\r\n;sad\r\n", ["line 4", "no file"]),
        ("sep=\r\nfile;emotion\r\n;sad\r\n", ["columns sep="]),
        ("file,emotion,Emotion\na.wav,sad,happy\n", ["more than one", "emotion"]),
        ('file,emotion\na.wav,"sad\nb.wav,happy\n', ["not valid CSV", "quotes"]),
        ("file,emotion\n" + f"a.wav,{'x' * 200_000}\n", ["not valid CSV"]),
        ("sep=;\n", ["0 rows", "none"]),
        (b"PK\x03\x04\x14\x00", ["workbook", "CSV"]),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", ["workbook", "CSV"]),
        (b"\x81\x8d\x8f\xff", ["not text", "UTF-8"]),
        (b"\xff\xfea", ["not text"]),
    ],
)
def test_unreadable_tables_are_an_error(data: str | bytes, expected: list[str], tmp_path: Path) -> None:
    """The error names the file, the line and what to do."""
    with pytest.raises(UserError) as error:
        read(tmp_path, data)
    assert all(part in str(error.value) for part in ["labels.csv", *expected])
