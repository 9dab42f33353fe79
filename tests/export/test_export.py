"""Test the training statistics of an exported model."""

from pathlib import Path

import numpy as np
import pytest

from ser.export import export as exporting
from ser.inference import quality_flags


def test_training_statistics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mean and std are those of the fold's training clips, and the distance is that of its farthest validation clip."""
    split = tmp_path / "splits.csv"
    split.write_text("clip_id,fold,split\nb,1,train\nc,1,val\na,1,train\nd,1,val\ne,1,test\ne,2,train\na,2,val\n")
    values = {"a": 0.0, "b": 2.0, "c": 3.0, "d": 7.0, "e": 99.0}
    monkeypatch.setattr(
        exporting.feature_store, "read_functionals", lambda _, clip_ids: np.array([[values[clip]] for clip in clip_ids])
    )
    statistics = exporting.training_statistics((), split, fold=1, kinds=())
    assert (statistics["mean"], statistics["std"]) == ([1.0], [1.0])
    assert statistics["max_distance"] == pytest.approx(quality_flags.OOD_MARGIN * 6)
