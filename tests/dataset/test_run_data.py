"""The description of a run's data has the numbers of the tables of the stage split."""

from pathlib import Path

import pandas as pd
import pytest

from ser.dataset import run_data
from ser.utils.errors import UserError


def test_description_has_the_numbers_of_the_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Left-out clips are counted by reason, training speakers by fold, and tested sentences across folds."""
    ids = [f"c/{n}" for n in range(6)]
    clips = pd.DataFrame(
        {
            "clip_id": ids,
            "recording_id": ["c/0", "c/0", *ids[2:]],
            "corpus": "c",
            "speaker": ["c-1", "c-2", "c-3", "c-1", "c-2", "c-3"],
            "language": "de",
            "sentence": ["a", "a", "b", "a", "a", "a"],
        }
    )
    monkeypatch.setattr(run_data, "read_clips", lambda _: clips)
    splits, excluded = tmp_path / "splits.csv", tmp_path / "excluded.csv"
    with pytest.raises(UserError, match=r"splits\.csv not found"):
        run_data.describe_data([], splits, excluded, styles={})
    kinds = {1: ["train", "train", "test"], 2: ["test", "train", "val"]}
    rows = [
        (i, e, f, s) for f, each in kinds.items() for i, e, s in zip(ids, ["sad", "happy", "sad"], each, strict=False)
    ]
    pd.DataFrame(rows, columns=["clip_id", "emotion", "fold", "split"]).to_csv(splits, index=False)
    reasons = ["emotion bored is not a class of this run"] * 2 + ["contains the same audio as c/0"]
    pd.DataFrame({"clip_id": ids[3:], "reason": reasons}).to_csv(excluded, index=False)
    assert run_data.describe_data([], splits, excluded, styles={"c": "acted", "mine": "unknown"}) == {
        "Emotions": "happy, sad",
        "Left out": "3 of 6 clips: bored (2), same audio as another clip (1)",
        "Recordings split into segments": "1 of 2",
        "Languages": "de",
        "Style of speech": "acted (c); unknown (mine)",
        "Training speakers": "1 to 2 per fold",
        "Tested sentences that are also in training": "1 of 2",
    }
