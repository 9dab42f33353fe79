"""Extract features of clips and write feature tables: a (n_frames, n_features) matrix or a vector per clip."""

import heapq
import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

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


def frames_layout(settings: Features) -> dict[str, Any]:
    """Specify the column ``frames``, per clip a list of lists of float32, as arguments of `clip_writer`."""
    names = feature_names(settings)
    payload = pa.field("frames", pa.list_(pa.list_(pa.float32(), len(names))))
    return {"payload": payload, "metadata": {"features": json.dumps(names)}}


def functionals_layout(settings: Features) -> dict[str, Any]:
    """Specify the column ``functionals``, per clip a list of float32, as arguments of `clip_writer`."""
    names = functional_names(settings)
    payload = pa.field("functionals", pa.list_(pa.float32(), len(names)))
    return {"payload": payload, "metadata": {"features": json.dumps(names)}}


def extract_features(clips: Path, augmented: Path, settings: Features, *, frames: Path) -> Iterator[pa.Table]:
    """Extract the features of every clip of two tables, in parallel.

    Parameters
    ----------
    clips, augmented : Path
        Clip tables with audio: the originals of a corpus, and their augmented clips.
    settings : Features
        Section `features` of the parameters.
    frames : Path
        Folder to create, for the table of frames: a file per `CLIPS_PER_FILE` clips. The workers write the files,
        because returning the matrices would cost half of what a second core gains.

    Yields
    ------
    Table
        The same clips with functionals. Both tables are sorted by original_id and clip_id.
    """
    frames.mkdir(parents=True)
    rows = heapq.merge(
        iterate_rows(clips), iterate_rows(augmented), key=lambda row: (row["original_id"], row["clip_id"])
    )
    parts = ([part] for part in enumerate(batches(rows, size=CLIPS_PER_FILE)))
    total = -(-(count_clips(clips) + count_clips(augmented)) // CLIPS_PER_FILE)
    work = partial(_extract_part, settings=settings, folder=frames)
    yield from map_batches(work, parts, description=f"featurize {clips.stem}", total=total)


def _extract_part(parts: list[tuple[int, list[dict[str, Any]]]], *, settings: Features, folder: Path) -> pa.Table:
    [(number, rows)] = parts
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
