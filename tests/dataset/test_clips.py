"""Test that clip tables are written atomically and deterministically, read in batches, and validated."""

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
def test_written_rows_are_read_in_batches(size: int, tmp_path: Path) -> None:
    """Rows do not change, whatever the size of the batches they are written in."""
    path = write(tmp_path / "clips.parquet", ROWS, size=size)
    batches = list(iterate_clips(path))
    assert [row for batch in batches for row in batch.to_pylist()] == ROWS
    assert max(len(batch) for batch in batches) <= BATCH
    assert pd.read_parquet(path).to_dict("records") == ROWS
    assert count_clips(path) == len(ROWS) == 240


def test_arrow_tables_are_written_like_rows(tmp_path: Path) -> None:
    """A batch may be an Arrow table; another schema is rejected."""
    table = pa.Table.from_pylist(ROWS, schema=SCHEMA.append(AUDIO))
    with clip_writer(tmp_path / "clips.parquet", payload=AUDIO) as write:
        write(table)
        with pytest.raises(ValueError, match="schema"):
            write(table.drop_columns(["speaker"]))
    assert pd.read_parquet(tmp_path / "clips.parquet").to_dict("records") == ROWS


def test_files_are_deterministic(tmp_path: Path) -> None:
    """Equal rows give equal bytes."""
    first, second = (write(tmp_path / name, ROWS).read_bytes() for name in ("a.parquet", "b.parquet"))
    assert first == second


def test_row_without_a_column_is_rejected(tmp_path: Path) -> None:
    """Arrow alone would write a null."""
    row = {column: value for column, value in ROWS[0].items() if column != "speaker"}
    with pytest.raises(KeyError, match="speaker"):
        write(tmp_path / "clips.parquet", [row])


def test_several_tables_are_read_as_one(tmp_path: Path) -> None:
    """The result is sorted and has no payload; a clip in two tables is an error."""
    originals = [row for row in ROWS if not row["augmentation"]]
    copies = [row for row in reversed(ROWS) if row["augmentation"]]
    paths = [write(tmp_path / "copies.parquet", copies), write(tmp_path / "clips.parquet", originals)]
    pd.testing.assert_frame_equal(read_clips(paths), CLIPS, check_dtype=False)
    with pytest.raises(UserError, match=originals[0]["clip_id"]):
        read_clips([*paths, paths[1]])


def test_empty_table_has_all_columns(tmp_path: Path) -> None:
    """No batches are read from it."""
    path = write(tmp_path / "clips.parquet", [])
    assert list(iterate_clips(path)) == []
    assert tuple(read_clips([path]).columns) == COLUMNS


def test_metadata_is_read(tmp_path: Path) -> None:
    """Metadata of Arrow and pandas are not included."""
    with clip_writer(tmp_path / "noted.parquet", payload=AUDIO, metadata={"features": "[1, 2]"}) as write_noted:
        write_noted(ROWS[:2])
    assert read_metadata(tmp_path / "noted.parquet") == {"features": "[1, 2]"}
    assert read_metadata(write(tmp_path / "clips.parquet", ROWS[:2])) == {}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_failing_writer_keeps_the_former_table(error: type[BaseException], tmp_path: Path) -> None:
    """No incomplete table is written, and no temporary file is left."""
    path = write(tmp_path / "clips.parquet", ROWS[:2])
    before = {path: path.read_bytes()}
    with pytest.raises(error), clip_writer(path, payload=AUDIO) as write_more:
        write_more(ROWS)
        raise error
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_unreadable_table_is_named(tmp_path: Path) -> None:
    """Missing, truncated and other files are errors of the user, as are Parquet files with other columns."""
    path = tmp_path / "clips.parquet"
    truncated = write(tmp_path / "complete.parquet", ROWS).read_bytes()[:-50]
    for read in (count_clips, read_metadata, lambda path: read_clips([path]), lambda path: next(iterate_clips(path))):
        path.unlink(missing_ok=True)
        with pytest.raises(UserError, match=f"{path} was not found"):
            read(path)
        for content in (b"", b"no table" * 99, truncated):
            path.write_bytes(content)
            with pytest.raises(UserError, match=f"{path} is not a Parquet file"):
                read(path)
    pq.write_table(pa.table({"file": ["a"]}), path)
    with pytest.raises(UserError, match="columns"):
        read_clips([path])


def change(column: str, value: str, *, row: int) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda clips: clips.assign(**{column: clips[column].where(clips.index != row, value)})


INVALID: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "missing column": (lambda clips: clips.drop(columns="sentence"), "columns"),
    "repeated clip": (lambda clips: pd.concat([clips, clips.iloc[3:4]], ignore_index=True), CLIPS.clip_id[3]),
    "emotion": (change("emotion", "Bored", row=2), "'Bored'"),
    "original of an original": (change("original_id", "ravdess/x", row=0), "ravdess/x"),
    "original of a copy": (change("original_id", CLIPS.clip_id[1], row=1), "'noise'"),
    "speaker of another corpus": (change("speaker", "tess-OAF", row=4), "tess-OAF"),
}


@pytest.mark.parametrize("case", INVALID)
def test_invalid_table_is_rejected(case: str) -> None:
    """The error is one line and has the value found."""
    spoil, message = INVALID[case]
    with pytest.raises(UserError) as error:
        validate(spoil(CLIPS.copy()))
    assert message in str(error.value) and "\n" not in str(error.value)
