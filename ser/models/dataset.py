"""What a model is trained and judged on: features joined with the split."""

from collections.abc import Iterable, Sequence
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


class FeatureStore:
    """The features of some clips, read once for all folds that ask for them.

    `paths` are the tables that models learn from: of frames, of which they see some `kinds`, or of functionals. Tables
    `beside` them are of functionals that a model sees in addition to frames.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        clip_ids: Sequence[str],
        *,
        kinds: Sequence[str] | None = None,
        beside: Sequence[Path] = (),
    ) -> None:
        self.paths, self.kinds, self.beside = paths, kinds, beside
        self._position = {clip_id: n for n, clip_id in enumerate(clip_ids)}

    @cached_property
    def _frames(self) -> Frames:
        return feature_store.read_frames(self.paths, clip_ids=list(self._position), kinds=self.kinds)

    @cached_property
    def _functionals(self) -> npt.NDArray[np.float32]:
        return feature_store.read_functionals(self.beside or self.paths, clip_ids=list(self._position))

    def _positions(self, clip_ids: Iterable[str]) -> npt.NDArray[np.int64]:
        return np.array([self._position[clip_id] for clip_id in clip_ids], dtype=np.int64)

    def frames(self, clip_ids: Iterable[str]) -> Frames:
        """Get the (n_frames, features) matrix of each clip, to be read from disk when asked for."""
        return self._frames[self._positions(clip_ids)]

    def functionals(self, clip_ids: Iterable[str]) -> npt.NDArray[np.float32]:
        """Get the functionals of clips: (clips, features)."""
        return self._functionals[self._positions(clip_ids)]


@dataclass(frozen=True)
class Dataset:
    """Clips with their split in each fold, and their features.

    Attributes
    ----------
    table
        Clips with class, fold and split, a row a fold; copies to learn from in training only, copies for testing in
        testing only.
    classes
        The run's emotions, in canonical order; labels are positions in it.
    store
        Their features.
    """

    table: pd.DataFrame
    classes: Sequence[str]
    store: FeatureStore

    @property
    def folds(self) -> list[int]:
        """The folds there are."""
        return sorted(int(fold) for fold in self.table.fold.unique())

    def fold(self, number: int) -> "Dataset":
        """Select one fold."""
        return replace(self, table=self.table[self.table.fold == number].reset_index(drop=True))

    def clips(self, *subsets: str) -> pd.DataFrame:
        """Select the clips of some splits, sorted by original_id and clip_id."""
        return self.table[self.table.split.isin(subsets)]

    def labels(self, *subsets: str) -> npt.NDArray[np.int64]:
        """Get the class index of each clip of some splits: (clips,)."""
        return self.clips(*subsets).emotion.map(list(self.classes).index).to_numpy(dtype=np.int64)

    def frames(self, *subsets: str) -> Frames:
        """Get the (n_frames, features) matrix of each clip of some splits, to be read from disk when asked for."""
        return self.store.frames(self.clips(*subsets).clip_id)

    def functionals(self, *subsets: str) -> npt.NDArray[np.float32]:
        """Get the functionals of the clips of some splits: (clips, features)."""
        return self.store.functionals(self.clips(*subsets).clip_id)

    def seen(self, settings: TrainLstm) -> BranchInputs:
        """Say where what each branch of a network sees stands among the features; those that there are."""
        return BranchInputs.among(*self._names(), settings)

    def _names(self) -> tuple[list[str], list[str]]:
        """Name the features of frames, and the functionals beside them."""
        frames = feature_store.read_feature_names(self.store.paths, kinds=self.store.kinds)
        return frames, feature_store.read_feature_names(self.store.beside) if self.store.beside else []

    def card(self) -> dict[str, Any]:
        """Note what a model trained on one fold must be known by: its classes, input columns, and who taught it."""
        training, (frames, beside) = self.clips("train"), self._names()
        return {
            "classes": list(self.classes),
            "features": frames,
            "beside": beside,
            "training_clips": len(training),
            "training_speakers": sorted(training.speaker.unique()),
        }


def read(
    folder: Path,
    corpora: Sequence[str],
    split_table: Path,
    *,
    augmented: bool,
    kinds: Sequence[str] | None = None,
    beside: Path | None = None,
) -> Dataset:
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
    kinds
        Of frame features, such as mel; or all.
    beside
        Holds tables of functionals, for a model that sees these beside the frames in `folder`.

    Raises
    ------
    UserError
        If a table is missing, or the split lists clips that have no features.
    """
    tables = [folder / f"{corpus}.parquet" for corpus in sorted(corpora)]
    clips = read_clips(tables)
    split = _read_splits(split_table)
    missing = set(split.clip_id) - set(clips.clip_id)
    if missing:
        raise UserError(f"{split_table} lists {min(missing)}, which has no features in {folder}; run `dvc repro`.")
    table = splits.assign_splits(clips, split, augmented=augmented)
    functionals = [] if beside is None else [beside / path.name for path in tables]
    store = FeatureStore(tables, list(table.clip_id.unique()), kinds=kinds, beside=functionals)
    return Dataset(table=table, classes=canonical_order(list(split.emotion)), store=store)


def load_training_data(settings: TrainLstm, corpora: Sequence[str]) -> Dataset:
    """Join what the network of these settings sees of some corpora with the split, all where the stages leave it."""
    return read(
        paths.FRAMES,
        corpora,
        paths.SPLITS,
        augmented=settings.use_augmented,
        kinds=[*settings.spectral_features, *settings.prosody_features],
        beside=paths.FUNCTIONALS if settings.functionals_units else None,
    )


def _read_splits(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype={"clip_id": str})
    except FileNotFoundError:
        raise UserError(f"{path} was not found; run `dvc repro split`.") from None
    if tuple(table.columns) != splits.COLUMNS:
        raise UserError(
            f"{path}: columns are {list(table.columns)}, expected {list(splits.COLUMNS)}; run `dvc repro split`."
        )
    return table
