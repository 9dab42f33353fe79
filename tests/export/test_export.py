"""What an exported model says of the clips that it was trained on."""

from pathlib import Path

import numpy as np
import pytest

from ser.export import export as exporting
from ser.inference import quality_flags


def test_the_centre_is_of_training_and_its_reach_of_validation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mean and deviation are of the fold's training clips; the farthest of its validation clips says what is far."""
    split = tmp_path / "splits.csv"
    split.write_text("clip_id,fold,split\nb,1,train\nc,1,val\na,1,train\nd,1,val\ne,1,test\ne,2,train\na,2,val\n")
    values = {"a": 0.0, "b": 2.0, "c": 3.0, "d": 7.0, "e": 99.0}
    monkeypatch.setattr(
        exporting, "_summaries", lambda _tables, clip_ids, *, kinds: np.array([[values[clip]] for clip in clip_ids])
    )
    usual = exporting.training_statistics((), split, fold=1, kinds=())
    assert (usual["mean"], usual["std"]) == ([1.0], [1.0])
    assert usual["max_distance"] == pytest.approx(quality_flags.OOD_MARGIN * 6)
