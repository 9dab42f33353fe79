"""Measure clips and write feature tables: clips with a (frames, features) matrix or a vector of functionals."""

import heapq
import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import pyarrow as pa

from ser.audio import io as audio_io
from ser.dataset.clips import COLUMNS, SCHEMA, clip_writer, count_clips, iterate_rows
from ser.features.columns import Array, feature_names
from ser.features.frame_features import frame_features
from ser.features.functionals import functional_names, functionals
from ser.params import Features
from ser.utils.parallel import batches, map_batches

CLIPS_PER_FILE = 128
"""Clips whose frames share a file."""


class ColumnSpec(TypedDict):
    """How `ser.dataset.clips.clip_writer` is told what a table carries."""

    payload: pa.Field
    metadata: dict[str, str]


def frames_layout(settings: Features) -> ColumnSpec:
    """Declare the column ``frames``: a list of frames, each a list of as many numbers as there are features."""
    names = feature_names(settings)
    payload = pa.field("frames", pa.list_(pa.list_(pa.float32(), len(names))))
    return {"payload": payload, "metadata": {"features": json.dumps(names)}}


def functionals_layout(settings: Features) -> ColumnSpec:
    """Declare the column ``functionals``: one list of numbers a clip."""
    names = functional_names(settings)
    payload = pa.field("functionals", pa.list_(pa.float32(), len(names)))
    return {"payload": payload, "metadata": {"features": json.dumps(names)}}


def extract_features(clips: Path, copies: Path, settings: Features, *, frames: Path) -> Iterator[pa.Table]:
    """Measure every clip of two tables, in parallel.

    Parameters
    ----------
    clips, copies
        Clip tables with audio: the originals of a corpus, and their copies.
    settings
        The section `features` of the settings.

    frames
        Folder that is made and filled with the same clips with their frames, a file for every `CLIPS_PER_FILE` of
        them: workers
        write these themselves, since handing so much back would cost half of what a second core gains.

    Yields
    ------
    Table
        The same clips with functionals, sorted by original_id and clip_id, as are the frames.
    """
    frames.mkdir(parents=True)
    rows = heapq.merge(iterate_rows(clips), iterate_rows(copies), key=lambda row: (row["original_id"], row["clip_id"]))
    parts = ([(number, part)] for number, part in enumerate(batches(rows, size=CLIPS_PER_FILE)))
    total = -(-(count_clips(clips) + count_clips(copies)) // CLIPS_PER_FILE)
    work = partial(_measure_part, settings=settings, folder=frames)
    yield from map_batches(work, parts, description=f"featurize {clips.stem}", total=total)


def _measure_part(numbered: list[tuple[int, list[dict[str, Any]]]], *, settings: Features, folder: Path) -> pa.Table:
    [(number, rows)] = numbered
    matrices = [frame_features(audio_io.from_flac(row["audio"]), settings, rate=row["sample_rate"]) for row in rows]
    vectors = np.stack([functionals(matrix, settings) for matrix in matrices])
    clips = pa.Table.from_pylist([{column: row[column] for column in COLUMNS} for row in rows], schema=SCHEMA)
    layout = frames_layout(settings)
    with clip_writer(folder / f"{number:05}.parquet", **layout) as write:
        write(clips.append_column(layout["payload"], _ragged(matrices)))
    return clips.append_column(functionals_layout(settings)["payload"], _rectangular(vectors))


def _rectangular(values: Array) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])


def _ragged(matrices: Sequence[Array]) -> pa.ListArray:
    offsets = np.cumsum([0, *(len(matrix) for matrix in matrices)], dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), _rectangular(np.concatenate(matrices)))
