"""Read tables of labels as spreadsheets and people write them."""

import codecs
import csv
import io
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ser.dataset.name_folding import tidy
from ser.labels import EMOTION_COLUMNS
from ser.utils.errors import UserError
from ser.utils.text import pluralize

REQUIRED = ("file", "emotion")
OPTIONAL = ("speaker", "sex", "sentence", "language", "intensity")
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "file": (
        *("file", "filename", "filepath", "path", "audio", "audiofile", "audiopath", "audiofilename", "wav", "wavfile"),
        *("wavpath", "recording", "clip", "fname"),
    ),
    "emotion": EMOTION_COLUMNS,
    "speaker": (
        *("speaker", "speakerid", "speakername", "spk", "spkid", "talker", "talkerid", "actor", "actorid", "subject"),
        *("subjectid", "participant", "participantid", "person", "personid"),
    ),
    "sex": ("sex", "gender", "speakersex", "speakergender", "actorsex", "actorgender"),
    "sentence": ("sentence", "sentenceid", "text", "textid", "transcript", "transcription", "phrase", "prompt"),
    "language": ("language", "lang", "languagecode"),
    "intensity": ("intensity", "emotionintensity", "emotionalintensity"),
}
"""Column of the recording table -> names in users' tables and patterns, preferred ones first, without separators."""
_BOMS = (  # UTF-32 first, as its mark starts with that of UTF-16
    *((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16")),
    *((codecs.BOM_UTF16_BE, "utf-16"), (codecs.BOM_UTF8, "utf-8-sig")),
)
_SEP_LINE = re.compile(r"\ufeff?\"?sep=([^\w\s\"]|\t)\"?[,;\t]*(?:\r\n|\r|\n)", re.IGNORECASE)
"""First line that Excel reads as the delimiter."""


def read_label_table(path: Path) -> tuple[list[dict[str, str]], list[str]]:
    """Read a CSV file of labels.

    The encoding is UTF-8, UTF-16 or Windows-1252. The delimiter is a comma, semicolon, tab or bar, or that of a first
    line such as ``sep=;``.

    Returns
    -------
    rows : list of dict of str to str
        Values of the known columns per row; `REQUIRED` ones are always there.
    notes : list of str
        Columns read by another name, and those that are ignored.

    Raises
    ------
    UserError
        If the file cannot be read, required columns or rows are missing, or a row has no file or too many values.
    """
    text, encoding = _decode(path)
    separator = _SEP_LINE.match(text)
    body = text[separator.end() if separator else 0 :].lstrip("\ufeff\r\n")
    n_skipped = len(text.removesuffix(body).splitlines())
    header, lines = _parse(body, delimiter=separator[1] if separator else "", path=path)
    columns = canonical_columns(header)
    if not lines or not set(columns) >= set(REQUIRED):
        raise UserError(
            f"{path}: {pluralize(len(lines), 'row')} with the columns {', '.join(header) or 'none'}; expected a row "
            f"per recording with file and emotion, and optionally {', '.join(OPTIONAL)}."
        )
    for number, values in lines:
        if not (len(values) > columns["file"] and values[columns["file"]]):
            raise UserError(
                f"{path}, line {n_skipped + number}: no file; add its path in the column file, or remove the row."
            )
        if any(values[len(header) :]):
            raise UserError(
                f"{path}, line {n_skipped + number}: {len(values)} values, expected {len(header)} as in the header; "
                "put values that contain the delimiter in double quotes."
            )
    rows = [
        {column: values[position] if position < len(values) else "" for column, position in columns.items()}
        for _, values in lines
    ]
    notes = [f"{path.name} is read as {encoding}, as it is not UTF-8"] if encoding == "Windows-1252" else []
    notes += [f"first line {separator[0].strip()} of {path.name} is read as the delimiter"] if separator else []
    renamed = [f"{header[position]} → {column}" for column, position in columns.items() if header[position] != column]
    ignored = [name or "(no name)" for position, name in enumerate(header) if position not in columns.values()]
    notes += [f"columns of {path.name} read by another name: {', '.join(renamed)}"] if renamed else []
    return rows, notes + ([f"columns of {path.name} that are ignored: {', '.join(ignored)}"] if ignored else [])


def canonical_columns(names: Collection[str]) -> dict[str, int]:
    """Find the columns of the recording table among names; the result has their positions.

    Case, blanks, hyphens and underscores in the names do not matter. Of several names for one column, the one that is
    earlier in the list of accepted names is used.
    """
    keys = [re.sub(r"[\W_]+", "", tidy(name).casefold()) for name in names]
    found = {column: [each for each in accepted if each in keys] for column, accepted in _COLUMNS.items()}
    return {column: keys.index(present[0]) for column, present in found.items() if present}


def _decode(path: Path) -> tuple[str, str]:
    """Read the text and name its encoding."""
    expected = "expected CSV in UTF-8. Relative paths start at the project's root."
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}; {expected}") from None
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise UserError(f"{path} is a workbook, not text; save it as CSV (UTF-8) in the spreadsheet program.")
    encodings = [encoding for bom, encoding in _BOMS if data.startswith(bom)][:1] or ["utf-8", "Windows-1252"]
    if len(encodings) > 1 and b"\0" in data[:64]:
        encodings = ["utf-16-le" if data[1:2] == b"\0" else "utf-16-be"]
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text, encoding
    raise UserError(f"{path} is not text in UTF-8; {expected} Save it as CSV (UTF-8) in the spreadsheet program.")


def _parse(text: str, *, delimiter: str, path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Parse the header, and the rows that are not empty with the number of their line; prefer a delimiter."""

    def parse(delimiter: str, *, strict: bool = False) -> Any:
        return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=strict)

    def count_columns(delimiter: str) -> tuple[int, int]:
        header: list[str] = next(parse(delimiter), [])
        return len(canonical_columns(header)), len(header)

    try:
        rows = parse(max(f"{delimiter},;\t|", key=count_columns), strict=True)
        header = [tidy(name).casefold() for name in next(rows, [])]
        lines = [(rows.line_num, [value.strip() for value in row]) for row in rows]
    except csv.Error as error:
        raise UserError(f"{path} is not valid CSV: {error}; check its double quotes.") from None
    if twice := {name for name in header if name and header.count(name) > 1}:
        raise UserError(f"{path}: more than one column is named {', '.join(sorted(twice))}; keep one of each.")
    return header, [(number, row) for number, row in lines if any(row)]
