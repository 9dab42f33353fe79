"""Feature tables of short clips, computed as the stage does."""

from pathlib import Path

import numpy as np
import pandas as pd

from ser.audio import io as audio_io
from ser.dataset.clips import BATCH, clip_writer
from ser.features import extraction
from ser.features.frame_features import frame_features
from ser.params import Features
from tests.helpers import factories
from tests.helpers.signals import RATE, noise, ravdess_names, write_clip_table

SETTINGS = factories.settings(
    features={"frame_features": ["zcr", "rms", "chroma"], "functionals": ["max", "mean"], "chroma": {"n_chroma": 3}}
).features
NAMES = ravdess_names(BATCH + 6)


def write_features(folder: Path, *, settings: Features = SETTINGS) -> tuple[Path, Path]:
    """Write the features of the clips and copies in a folder: the tables of frames and functionals."""
    frames, vectors = folder / "frames.parquet", folder / "functionals.parquet"
    clips, copies = folder / "clips.parquet", folder / "copies.parquet"
    with clip_writer(vectors, **extraction.functionals_layout(settings)) as write:
        for table in extraction.extract_features(clips, copies, settings, frames=frames):
            write(table)
    return frames, vectors


def write_folder(folder: Path) -> Path:
    """Write more than a batch of clips of different lengths, a copy of each, and their features."""
    signals = {name: noise(seconds=0.05 + 0.002 * n, seed=n) for n, name in enumerate(NAMES)}
    write_clip_table(folder / "clips.parquet", signals)
    write_clip_table(folder / "copies.parquet", {k: v[::-1] for k, v in signals.items()}, copies="noise")
    write_features(folder)
    return folder


def measure_each(folder: Path) -> dict[str, np.ndarray]:
    """Compute the frame features of every clip of a folder separately: {clip_id: (n_frames, n_features)}."""
    rows = pd.concat([pd.read_parquet(folder / name) for name in ("clips.parquet", "copies.parquet")])
    return {
        row.clip_id: frame_features(audio_io.from_flac(row.audio), SETTINGS, rate=RATE) for row in rows.itertuples()
    }
