"""The clip table, the only thing stages hand each other: its columns, reading, writing, validation.

A clip is a row; rows are sorted by `original_id`, then `clip_id`. Tables that carry audio or features have one
payload column more and are Parquet files, or folders of such, written and read in pieces.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ser.labels import validate_labels
from ser.utils.errors import UserError
from ser.utils.files import atomic_write

SCHEMA = pa.schema(
    [
        ("clip_id", pa.string()),
        ("corpus", pa.string()),
        ("speaker", pa.string()),
        ("sex", pa.string()),
        ("language", pa.string()),
        ("emotion", pa.string()),
        ("intensity", pa.string()),
        ("sentence", pa.string()),
        ("audio_sha256", pa.string()),  # first 32 hexadecimal digits; finds equal audio under two names
        ("original_id", pa.string()),
        ("augmentation", pa.string()),
        ("n_samples", pa.int64()),
        ("sample_rate", pa.int32()),
    ]
)
COLUMNS = tuple(SCHEMA.names)
AUDIO = pa.field("audio", pa.binary())
BATCH = 64
"""Rows that are read, worked on and written at a time; also a Parquet row group."""


Rows: TypeAlias = Sequence[Mapping[str, Any]] | Any  # or an Arrow table


@contextmanager
def clip_writer(
    path: Path, *, payload: pa.Field, metadata: Mapping[str, str] | None = None
) -> Iterator[Callable[[Rows], None]]:
    """Open a clip table that carries a payload, to be written batch by batch.

    Parameters
    ----------
    path
        Of the Parquet file; it appears when the block ends without an error.
    payload
        The column after those of a clip, such as `AUDIO`.
    metadata
        Notes for the file's schema.

    Yields
    ------
    callable
        Takes the next rows, in order: a list of dicts (column -> value) or an Arrow table.
    """
    schema = SCHEMA.append(payload).with_metadata(metadata)
    plain = list(COLUMNS)  # dictionaries and statistics of the payload would cost time and say nothing
    with (
        atomic_write(path) as unfinished,
        pq.ParquetWriter(
            unfinished, schema, compression="none", use_dictionary=plain, write_statistics=plain
        ) as writer,
    ):

        def write(rows: Rows) -> None:
            table = rows if isinstance(rows, pa.Table) else _table(rows, schema)
            if len(table):
                writer.write_table(table.replace_schema_metadata(metadata), row_group_size=len(table))

        yield write


def _table(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    # Arrow would fill a missing key with nulls.
    columns = {name: [row[name] for row in rows] for name in schema.names}
    return pa.Table.from_pydict(columns, schema=schema)


def read_clips(paths: Iterable[Path]) -> pd.DataFrame:
    """Read the clips of several tables, without what they carry.

    Returns
    -------
    DataFrame
        With `COLUMNS`, sorted by original_id and clip_id.

    Raises
    ------
    UserError
        If a table is missing or not a valid clip table.
    """
    tables = [part.read(columns=list(COLUMNS)) for path in paths for part in _parts(path)]
    clips = pa.concat_tables([table.replace_schema_metadata() for table in tables]).to_pandas()
    validate(clips)
    return clips.sort_values(["original_id", "clip_id"], ignore_index=True)


def iterate_clips(path: Path, *, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Read a table piece by piece, `BATCH` rows at a time."""
    for part in _parts(path):
        for batch in part.iter_batches(batch_size=BATCH, columns=columns):
            yield pa.Table.from_batches([batch])


def iterate_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Read a table row by row."""
    for piece in iterate_clips(path):
        yield from piece.to_pylist()


def read_audio(path: Path, clip_ids: Sequence[str]) -> dict[str, bytes]:
    """Read the audio of a few clips by clip_id. Parquet's statistics tell which row groups hold them."""
    table = pq.read_table(path, columns=["clip_id", AUDIO.name], filters=[("clip_id", "in", list(clip_ids))])
    return dict(zip(table["clip_id"].to_pylist(), table[AUDIO.name].to_pylist(), strict=True))


def count_clips(path: Path) -> int:
    """Count the rows of a table without reading them."""
    return sum(int(part.metadata.num_rows) for part in _parts(path))


def read_metadata(path: Path) -> dict[str, str]:
    """Read the notes that `clip_writer` put into the file's schema."""
    notes = next(_parts(path)).schema_arrow.metadata or {}
    return {key.decode(): value.decode() for key, value in notes.items()}


def files_of(path: Path) -> list[Path]:
    """List the files of a table, each of which is a table too: itself, or what a folder of that name holds, by name.

    Raises
    ------
    UserError
        If the folder holds none.
    """
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files:
        raise UserError(f"{path} is an empty folder; run `dvc repro`, which makes what a stage needs.")
    return files


def _parts(path: Path) -> Iterator[pq.ParquetFile]:
    """Open the files of a table one after the other."""
    return map(_open, files_of(path))


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, pre_buffer=False)
    except FileNotFoundError:
        raise UserError(f"{path} was not found; run `dvc repro`, which makes what a stage needs.") from None
    except pa.ArrowInvalid as error:
        raise UserError(f"{path} is not a Parquet file ({error}); delete it and run `dvc repro`.") from None


def validate(clips: pd.DataFrame) -> None:
    """Check what every clip table promises.

    Raises
    ------
    UserError
        If columns, uniqueness, emotions or the relation of copies to their originals are not as declared.
    """
    if tuple(clips.columns[: len(COLUMNS)]) != COLUMNS:
        raise UserError(f"clip table: columns are {list(clips.columns)}, expected {list(COLUMNS)}.")
    repeated = clips.clip_id[clips.clip_id.duplicated()]
    if len(repeated):
        raise UserError(f"clip table: clip_id {repeated.iloc[0]} stands twice; each clip needs its own.")
    validate_labels(list(clips.emotion.unique()), where="clip table")
    original = clips.augmentation == ""
    if (original != (clips.clip_id == clips.original_id)).any():
        raise UserError(
            "clip table: original_id is clip_id for an original, and not for a copy; found a row that is neither."
        )
    foreign = ~pd.Series([s.startswith(f"{c}-") for s, c in zip(clips.speaker, clips.corpus, strict=True)], dtype=bool)
    if foreign.any():
        raise UserError(
            f"clip table: speaker {clips.speaker[foreign.to_numpy()].iloc[0]} does not start with its corpus."
        )
