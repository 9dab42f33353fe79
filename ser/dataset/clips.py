"""Read, write and validate clip tables, the interface between stages.

A clip table has one row per clip and `COLUMNS`, sorted by `original_id` and `clip_id`. A clip is a segment of speech; a
recording of one sentence is a single clip, whose `clip_id` is the `recording_id`. Tables with audio or features
have an additional payload column. A table is a Parquet file or a folder of Parquet files, and is read and written in
batches.
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
        ("recording_id", pa.string()),
        ("audio_sha256", pa.string()),  # first 32 hexadecimal digits, to find duplicates
        ("original_id", pa.string()),
        ("augmentation", pa.string()),
        ("n_samples", pa.int64()),
        ("sample_rate", pa.int32()),
    ]
)
COLUMNS = tuple(SCHEMA.names)
AUDIO = pa.field("audio", pa.binary())
BATCH = 64
"""Number of rows per batch and per Parquet row group."""

Rows: TypeAlias = Sequence[Mapping[str, Any]] | Any  # or an Arrow table


@contextmanager
def clip_writer(
    path: Path, *, payload: pa.Field, metadata: Mapping[str, str] | None = None
) -> Iterator[Callable[[Rows], None]]:
    """Open a clip table with a payload column for writing in batches.

    Parameters
    ----------
    path : Path
        Parquet file. It is written when the block ends without an error.
    payload : pyarrow.Field
        Column after `COLUMNS`, such as `AUDIO`.
    metadata : mapping of str to str, optional
        Metadata of the schema.

    Yields
    ------
    callable
        Function that writes the next rows: a list of dicts (column -> value) or an Arrow table.
    """
    schema = SCHEMA.append(payload).with_metadata(metadata)
    columns = list(COLUMNS)  # dictionaries and statistics of the payload would only cost time
    with (
        atomic_write(path) as unfinished,
        pq.ParquetWriter(
            unfinished, schema, compression="none", use_dictionary=columns, write_statistics=columns
        ) as writer,
    ):

        def write(rows: Rows) -> None:
            if not isinstance(rows, pa.Table):  # without explicit columns, Arrow would fill missing keys with nulls
                rows = pa.Table.from_pydict({name: [row[name] for row in rows] for name in schema.names}, schema=schema)
            if len(rows):
                writer.write_table(rows.replace_schema_metadata(metadata), row_group_size=len(rows))

        yield write


def read_clips(paths: Iterable[Path]) -> pd.DataFrame:
    """Read clip tables without their payload.

    Returns
    -------
    DataFrame
        `COLUMNS`, sorted by original_id and clip_id.

    Raises
    ------
    UserError
        If a table is missing or not a valid clip table.
    """
    tables = [file.read(columns=list(COLUMNS)) for path in paths for file in _open_files(path)]
    clips = pa.concat_tables([table.replace_schema_metadata() for table in tables]).to_pandas()
    validate(clips)
    return clips.sort_values(["original_id", "clip_id"], ignore_index=True)


def iterate_clips(path: Path, *, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Read a clip table in batches of `BATCH` rows."""
    for file in _open_files(path):
        for batch in file.iter_batches(batch_size=BATCH, columns=columns):
            yield pa.Table.from_batches([batch])


def iterate_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Read a clip table row by row."""
    for batch in iterate_clips(path):
        yield from batch.to_pylist()


def read_audio(path: Path, clip_ids: Sequence[str]) -> dict[str, bytes]:
    """Read the audio of some clips, or the first segment of some recordings: {clip_id or recording_id: FLAC bytes}."""
    chosen = [[(column, "in", list(clip_ids))] for column in ("clip_id", "recording_id")]
    table = pq.read_table(path, columns=["clip_id", "recording_id", AUDIO.name], filters=chosen)
    rows = list(zip(*(table[name].to_pylist() for name in table.column_names), strict=True))
    return {recording: audio for _, recording, audio in reversed(rows)} | {clip: audio for clip, _, audio in rows}


def count_clips(path: Path) -> int:
    """Count the rows of a clip table without reading them."""
    return sum(int(file.metadata.num_rows) for file in _open_files(path))


def read_metadata(path: Path) -> dict[str, str]:
    """Read the metadata that `clip_writer` wrote."""
    metadata = next(_open_files(path)).schema_arrow.metadata or {}
    return {key.decode(): value.decode() for key, value in metadata.items()}


def files_of(path: Path) -> list[Path]:
    """List the Parquet files of a clip table: the path itself, or the files of the folder, sorted.

    Raises
    ------
    UserError
        If the folder has no Parquet files.
    """
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files:
        raise UserError(f"{path} is an empty folder; run `dvc repro` to create its files.")
    return files


def _open_files(path: Path) -> Iterator[pq.ParquetFile]:
    for file in files_of(path):
        try:
            table = pq.ParquetFile(file, pre_buffer=False)
        except FileNotFoundError:
            raise UserError(f"{file} was not found; run `dvc repro` to create it.") from None
        except pa.ArrowInvalid as error:
            raise UserError(f"{file} is not a Parquet file ({error}); delete it and run `dvc repro`.") from None
        yield table


def validate(clips: pd.DataFrame) -> None:
    """Validate a clip table.

    Raises
    ------
    UserError
        If columns are missing, a clip_id is repeated, an emotion is not a label, original_id and augmentation
        contradict each other, or a speaker does not start with the name of the corpus.
    """
    if tuple(clips.columns[: len(COLUMNS)]) != COLUMNS:
        raise UserError(f"clip table: columns are {list(clips.columns)}, expected {list(COLUMNS)}.")
    repeated = clips.clip_id[clips.clip_id.duplicated()]
    if len(repeated):
        raise UserError(f"clip table: clip_id {repeated.iloc[0]} is repeated; expected unique values.")
    validate_labels(list(clips.emotion.unique()), where="clip table")
    invalid = clips[(clips.augmentation == "") != (clips.clip_id == clips.original_id)]
    if len(invalid):
        clip = invalid.iloc[0]
        raise UserError(
            f"clip table: {clip.clip_id} has original_id {clip.original_id} and augmentation {clip.augmentation!r}; "
            "expected the same original_id if augmentation is empty, and another one otherwise."
        )
    for speaker, corpus in zip(clips.speaker, clips.corpus, strict=True):
        if not speaker.startswith(f"{corpus}-"):
            raise UserError(f"clip table: speaker {speaker} does not start with its corpus and a hyphen.")
