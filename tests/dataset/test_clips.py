"""The clip table reads as it was written, appears whole or not at all, and keeps its promises."""

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ser.dataset.clips import (
    AUDIO,
    BATCH,
    COLUMNS,
    SCHEMA,
    clip_writer,
    count_clips,
    iterate_clips,
    read_clips,
    read_metadata,
    validate,
)
from ser.utils.errors import UserError
from tests.helpers import factories

CLIPS = factories.with_copies(factories.ravdess(actors=(1, 2)), kinds=["noise"])
ROWS = [row | {"audio": row["clip_id"].encode()} for row in CLIPS.to_dict("records")]


def write(path: Path, rows: list[dict], *, size: int = BATCH) -> Path:
    with clip_writer(path, payload=AUDIO) as write:
        for start in range(0, len(rows), size):
            write(rows[start : start + size])
    return path


@pytest.mark.parametrize("size", [7, BATCH, 500])
def test_what_is_written_is_read(size: int, tmp_path: Path) -> None:
    """Rows come back as they went in, written in any pieces: by this project piece by piece, and by pandas at once."""
    path = write(tmp_path / "clips.parquet", ROWS, size=size)
    pieces = list(iterate_clips(path))
    assert [row for piece in pieces for row in piece.to_pylist()] == ROWS
    assert max(len(piece) for piece in pieces) <= BATCH
    assert pd.read_parquet(path).to_dict("records") == ROWS
    assert count_clips(path) == len(ROWS) == 240


def test_arrow_tables_are_written_as_lists_of_rows_are(tmp_path: Path) -> None:
    """A batch may be an Arrow table; one that is laid out otherwise is refused."""
    table = pa.Table.from_pylist(ROWS, schema=SCHEMA.append(AUDIO))
    with clip_writer(tmp_path / "clips.parquet", payload=AUDIO) as write:
        write(table)
        with pytest.raises(ValueError, match="schema"):
            write(table.drop_columns(["speaker"]))
    assert pd.read_parquet(tmp_path / "clips.parquet").to_dict("records") == ROWS


def test_equal_rows_are_equal_files(tmp_path: Path) -> None:
    """The file has the same bytes every time."""
    one, two = (write(tmp_path / name, ROWS).read_bytes() for name in ("one.parquet", "two.parquet"))
    assert one == two


def test_a_row_that_lacks_a_column_is_refused(tmp_path: Path) -> None:
    """No cell of a clip is left out without a word."""
    row = {column: value for column, value in ROWS[0].items() if column != "speaker"}
    with pytest.raises((UserError, ValueError, KeyError), match="speaker"):
        write(tmp_path / "clips.parquet", [row])


def test_tables_are_read_together_without_what_they_carry(tmp_path: Path) -> None:
    """Several tables, each in whatever order, are one: sorted, with the columns of a clip and no more."""
    originals = [row for row in ROWS if not row["augmentation"]]
    copies = [row for row in reversed(ROWS) if row["augmentation"]]
    paths = [write(tmp_path / "copies.parquet", copies), write(tmp_path / "clips.parquet", originals)]
    clips = read_clips(paths)
    assert tuple(clips.columns) == COLUMNS
    pd.testing.assert_frame_equal(clips, CLIPS, check_dtype=False)


def test_an_empty_table_is_a_table(tmp_path: Path) -> None:
    """No clips are no rows of all columns."""
    path = write(tmp_path / "clips.parquet", [])
    assert list(iterate_clips(path)) == []
    assert tuple(read_clips([path]).columns) == COLUMNS


def test_the_same_clip_in_two_tables_is_refused(tmp_path: Path) -> None:
    """A clip belongs to one table."""
    paths = [write(tmp_path / name, ROWS[:5]) for name in ("one.parquet", "two.parquet")]
    with pytest.raises(UserError, match=f"{re.escape(ROWS[0]['clip_id'])} stands twice"):
        read_clips(paths)


def test_notes_are_kept(tmp_path: Path) -> None:
    """Notes put into the schema are read again, without those of Arrow; none are none."""
    with clip_writer(tmp_path / "noted.parquet", payload=AUDIO, metadata={"features": "[1, 2]"}) as write_noted:
        write_noted(ROWS[:2])
    assert read_metadata(tmp_path / "noted.parquet") == {"features": "[1, 2]"}
    assert read_metadata(write(tmp_path / "clips.parquet", ROWS[:2])) == {}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_writer_that_fails_leaves_the_old_table(error: type[BaseException], tmp_path: Path) -> None:
    """Half a table is never seen: what stood there stays, byte for byte, and nothing else is left behind."""
    path = write(tmp_path / "clips.parquet", ROWS[:2])
    before = path.read_bytes()
    with pytest.raises(error), clip_writer(path, payload=AUDIO) as write_more:
        write_more(ROWS)
        raise error
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_first_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """Where there was no table there is none."""
    with pytest.raises(RuntimeError), clip_writer(tmp_path / "clips.parquet", payload=AUDIO) as write:
        write(ROWS)
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_table_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    """A missing, foreign or cut file is named, with what to do."""
    path = tmp_path / "clips.parquet"
    for read in (count_clips, read_metadata, lambda path: read_clips([path]), lambda path: next(iterate_clips(path))):
        path.unlink(missing_ok=True)
        with pytest.raises(UserError, match=f"{path} was not found; run `dvc repro`"):
            read(path)
        for content in (b"", b"no table" * 99, write(tmp_path / "whole.parquet", ROWS).read_bytes()[:-50]):
            path.write_bytes(content)
            with pytest.raises(UserError, match=f"{path} is not a Parquet file"):
                read(path)


def test_columns_of_another_table_are_refused(tmp_path: Path) -> None:
    """A Parquet file that is no clip table is named as such."""
    pq.write_table(pa.table({"file": ["a"]}), tmp_path / "clips.parquet")
    with pytest.raises(UserError, match="columns"):
        read_clips([tmp_path / "clips.parquet"])


def change(column: str, value: str, *, row: int) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def changed(clips: pd.DataFrame) -> pd.DataFrame:
        clips.loc[row, column] = value
        return clips

    return changed


BROKEN: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "a column is missing": (lambda clips: clips.drop(columns="sentence"), "columns are .* expected"),
    "columns are in another order": (lambda clips: clips[[*COLUMNS[::-1]]], "columns are .* expected"),
    "a clip stands twice": (lambda clips: pd.concat([clips, clips.iloc[3:4]], ignore_index=True), "stands twice"),
    "an emotion is none": (
        change("emotion", "Bored", row=2),
        "'Bored' cannot name an emotion; expected a lower-case word",
    ),
    "an original has another original": (
        change("original_id", "ravdess/x", row=0),
        "original_id is clip_id for an original",
    ),
    "a copy is its own original": (change("original_id", CLIPS.clip_id[1], row=1), "and not for a copy"),
    "an original claims to be altered": (change("augmentation", "noise", row=0), "and not for a copy"),
    "a copy claims to be an original": (change("augmentation", "", row=1), "original_id is clip_id for an original"),
    "a speaker is of another corpus": (
        change("speaker", "tess-OAF", row=4),
        "speaker tess-OAF does not start with",
    ),
    "a speaker has no corpus": (change("speaker", "01", row=4), "speaker 01 does not start with its corpus"),
}


@pytest.mark.parametrize("promise", BROKEN)
def test_a_broken_promise_is_refused(promise: str) -> None:
    """Each thing that a clip table promises is checked, and said in one sentence."""
    spoil, message = BROKEN[promise]
    with pytest.raises(UserError, match=message) as caught:
        validate(spoil(CLIPS.copy()))
    assert "\n" not in str(caught.value)


def test_a_table_that_keeps_its_promises_is_accepted() -> None:
    """The table from which the broken ones are made is valid, also with what it carries."""
    validate(CLIPS)
    validate(CLIPS.assign(audio=b""))
