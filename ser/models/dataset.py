"""Load training data: feature tables joined with the train, validation and test split."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ser import paths
from ser.dataset import splits
from ser.dataset.clips import read_clips
from ser.features import store as feature_store
from ser.features.store import Frames
from ser.labels import canonical_order
from ser.models.batching import BranchInputs
from ser.params import TrainLstm
from ser.utils.errors import UserError


@dataclass(frozen=True, eq=False)
class FeatureStore:
    """Features of a set of clips, read once for all folds.

    Attributes
    ----------
    paths : sequence of Path
        Tables of frame features, or of functionals for a model that uses nothing else.
    clip_ids : sequence of str
        Clips to read.
    kinds : sequence of str, optional
        Frame features to read, such as mel; all by default.
    functionals_paths : sequence of Path
        Tables of functionals for a model that uses frame features and functionals.
    """

    paths: Sequence[Path]
    clip_ids: Sequence[str]
    kinds: Sequence[str] | None = None
    functionals_paths: Sequence[Path] = ()

    @cached_property
    def frames(self) -> Frames:
        """The (n_frames, n_features) matrix of each clip, read from disk on access."""
        return feature_store.read_frames(self.paths, clip_ids=self.clip_ids, kinds=self.kinds)

    @cached_property
    def functionals(self) -> npt.NDArray[np.float32]:
        """Functionals of the clips: (n_clips, n_functionals)."""
        return feature_store.read_functionals(self.functionals_paths or self.paths, clip_ids=self.clip_ids)

    @cached_property
    def positions(self) -> dict[str, int]:
        """Clip ID -> position in `frames` and `functionals`."""
        return {clip_id: n for n, clip_id in enumerate(self.clip_ids)}

    def column_names(self) -> tuple[list[str], list[str]]:
        """Read the column names of `paths` and of `functionals_paths`."""
        frames = feature_store.read_feature_names(self.paths, kinds=self.kinds)
        return frames, feature_store.read_feature_names(self.functionals_paths) if self.functionals_paths else []


@dataclass(frozen=True)
class Dataset:
    """Clips with their features and their split in each fold.

    Attributes
    ----------
    table : DataFrame
        Output of `ser.dataset.splits.assign_splits`: one row per clip and fold.
    classes : sequence of str
        Emotions in canonical order; labels are indices into it.
    store : FeatureStore
    """

    table: pd.DataFrame
    classes: Sequence[str]
    store: FeatureStore

    @property
    def folds(self) -> list[int]:
        """Numbers of the folds, sorted."""
        return sorted(int(fold) for fold in self.table.fold.unique())

    def fold(self, number: int) -> "Dataset":
        """Select one fold."""
        return replace(self, table=self.table[self.table.fold == number].reset_index(drop=True))

    def clips(self, *subsets: str) -> pd.DataFrame:
        """Select the clips of some splits, sorted by original_id and clip_id."""
        return self.table[self.table.split.isin(subsets)]

    def labels(self, *subsets: str) -> npt.NDArray[np.int64]:
        """Get the class index of each clip of some splits: (n_clips,)."""
        return self.clips(*subsets).emotion.map(list(self.classes).index).to_numpy(dtype=np.int64)

    def frames(self, *subsets: str) -> Frames:
        """Get the (n_frames, n_features) matrix of each clip of some splits, read from disk on access."""
        return self.store.frames[self._positions(*subsets)]

    def functionals(self, *subsets: str) -> npt.NDArray[np.float32]:
        """Get the functionals of the clips of some splits: (n_clips, n_functionals)."""
        return self.store.functionals[self._positions(*subsets)]

    def _positions(self, *subsets: str) -> npt.NDArray[np.int64]:
        return np.array([self.store.positions[clip_id] for clip_id in self.clips(*subsets).clip_id], dtype=np.int64)

    def branch_inputs(self, settings: TrainLstm) -> BranchInputs:
        """Locate the columns that each branch of a network uses."""
        return BranchInputs.from_names(*self.store.column_names(), settings)

    def metadata(self) -> dict[str, Any]:
        """Describe the training data of one fold: classes, input columns, number of clips, and speakers."""
        train, (features, functionals) = self.clips("train"), self.store.column_names()
        return {
            "classes": list(self.classes),
            "features": features,
            "functionals": functionals,
            "training_clips": len(train),
            "training_speakers": sorted(train.speaker.unique()),
        }


def read(
    folder: Path,
    corpora: Sequence[str],
    split_table: Path,
    *,
    augmentations: Collection[str] | None = None,
    kinds: Sequence[str] | None = None,
    functionals_dir: Path | None = None,
) -> Dataset:
    """Join the feature tables of corpora with a split.

    Parameters
    ----------
    folder : Path
        Folder of the feature tables ``<corpus>.parquet``.
    corpora, split_table
        Names of the corpora, and output of the stage `split`.
    augmentations : collection of str, optional
        Augmentations whose clips are included in training; all by default.
    kinds : sequence of str, optional
        Frame features to read, such as mel; all by default.
    functionals_dir : Path, optional
        Folder of the tables of functionals, for a model that uses them in addition to the frame features in `folder`.

    Raises
    ------
    UserError
        If a table is missing, has other columns, or the split lists clips without features.
    """
    tables = [folder / f"{corpus}.parquet" for corpus in sorted(corpora)]
    clips = read_clips(tables)
    try:
        split = pd.read_csv(split_table, dtype={"clip_id": str})
    except FileNotFoundError:
        raise UserError(f"{split_table} was not found; run `dvc repro split`.") from None
    if tuple(split.columns) != splits.COLUMNS:
        columns = f"columns are {list(split.columns)}, expected {list(splits.COLUMNS)}"
        raise UserError(f"{split_table}: {columns}; run `dvc repro split`.")
    missing = set(split.clip_id) - set(clips.clip_id)
    if missing:
        raise UserError(f"{split_table} lists {min(missing)}, which has no features in {folder}; run `dvc repro`.")
    table = splits.assign_splits(clips, split, augmentations=augmentations)
    functionals = [functionals_dir / path.name for path in tables] if functionals_dir else []
    store = FeatureStore(tables, list(table.clip_id.unique()), kinds=kinds, functionals_paths=functionals)
    return Dataset(table=table, classes=canonical_order(list(split.emotion)), store=store)


def load_training_data(settings: TrainLstm, corpora: Sequence[str]) -> Dataset:
    """Load the features that a network with these settings uses, and the split, from the outputs of the stages."""
    return read(
        paths.FRAMES,
        corpora,
        paths.SPLITS,
        augmentations=None if settings.use_augmented else (),
        kinds=[*settings.spectral_features, *settings.prosody_features],
        functionals_dir=paths.FUNCTIONALS if settings.functionals_units else None,
    )
