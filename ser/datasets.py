"""What a model is trained and judged on: features joined with the split."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ser import feature_tables, predictions, splits
from ser.clips import read_clips
from ser.emotions import in_order
from ser.errors import InputError
from ser.feature_tables import Frames
from ser.files import replacing
from ser.params import Settings


@dataclass(frozen=True)
class Dataset:
    """Clips with their part, and the tables their features are in.

    Attributes
    ----------
    table
        Clips with class, fold and part; copies in training only.
    classes
        The run's emotions, in canonical order; labels are positions in it.
    paths
        Feature tables.
    """

    table: pd.DataFrame
    classes: Sequence[str]
    paths: Sequence[Path]

    def clips(self, *parts: str) -> pd.DataFrame:
        """Select the clips of some parts, sorted by source and clip_id."""
        return self.table[self.table.part.isin(parts)]

    def labels(self, *parts: str) -> npt.NDArray[np.int64]:
        """Get the class index of each clip of some parts: (clips,)."""
        return self.clips(*parts).emotion.map(list(self.classes).index).to_numpy(dtype=np.int64)

    def frames(self, *parts: str) -> Frames:
        """Get the (n_frames, features) matrix of each clip of some parts, to be read from disk when asked for."""
        return self._frames[np.flatnonzero(self.table.part.isin(parts))]

    @cached_property
    def _frames(self) -> Frames:
        return feature_tables.read_frames(self.paths, clip_ids=list(self.table.clip_id))

    def functionals(self, *parts: str) -> npt.NDArray[np.float32]:
        """Read the functionals of the clips of some parts: (clips, features)."""
        return feature_tables.read_functionals(self.paths, clip_ids=list(self.clips(*parts).clip_id))

    def card(self, settings: Settings) -> dict[str, Any]:
        """Note what a saved model must be known by: its classes, input columns, and how it was trained."""
        return {
            "classes": list(self.classes),
            "features": feature_tables.read_names(self.paths),
            "settings": settings.model_dump(mode="json"),
            "training_clips": len(self.clips("train")),
            "training_speakers": sorted(self.clips("train").speaker.unique()),
        }

    def write_predictions(self, path: Path, probabilities: npt.NDArray[np.floating[Any]], *, seed: int) -> None:
        """Write the prediction table of the validation and test clips from their (clips, classes) probabilities."""
        clips = self.clips("val", "test")
        table = predictions.prediction_table(clips, probabilities, classes=self.classes, seed=seed)
        with replacing(path) as unfinished:
            table.to_parquet(unfinished, index=False)


def read(folder: Path, corpora: Sequence[str], split_table: Path, *, augmented: bool) -> Dataset:
    """Join the feature tables of some corpora with a split.

    Parameters
    ----------
    folder
        Holds ``<corpus>.parquet``.
    corpora
        Names.
    split_table
        As the stage split writes it.
    augmented
        Whether training has the augmented copies too.

    Raises
    ------
    InputError
        If a table is missing, or the split lists clips that have no features.
    """
    paths = [folder / f"{corpus}.parquet" for corpus in sorted(corpora)]
    clips = read_clips(paths)
    split = _read_splits(split_table)
    missing = set(split.clip_id) - set(clips.clip_id)
    if missing:
        raise InputError(f"{split_table} lists {min(missing)}, which has no features in {folder}; run `dvc repro`.")
    table = splits.with_parts(clips, split, copies=("train",) if augmented else ())
    return Dataset(table=table, classes=in_order(list(split.emotion)), paths=paths)


def _read_splits(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype={"clip_id": str})
    except FileNotFoundError:
        raise InputError(f"{path} was not found; run `dvc repro split`.") from None
    if tuple(table.columns) != splits.COLUMNS:
        raise InputError(
            f"{path}: columns are {list(table.columns)}, expected {list(splits.COLUMNS)}; run `dvc repro split`."
        )
    return table
