"""Test the comparison of corrupted with clean test clips."""

import numpy as np
import pandas as pd
import pytest

from ser.evaluation import metrics, robustness, significance
from tests.helpers import factories

CLASSES = ["neutral", "happy", "sad"]
OTHER = {"neutral": "sad", "happy": "neutral", "sad": "happy"}
CLIPS = factories.ravdess(range(1, 9))
CLIPS = CLIPS[CLIPS.emotion.isin(CLASSES)].reset_index(drop=True)


def predicted(clips: pd.DataFrame, *, wrong: float, seed: int) -> pd.DataFrame:
    """Make predictions of which a fraction is wrong."""
    rng = np.random.default_rng([seed, len(clips)])
    names = np.where(rng.random(len(clips)) < wrong, clips.emotion.map(OTHER), clips.emotion)
    probs = np.eye(3)[[CLASSES.index(name) for name in names]]
    columns = {f"prob_{name}": probs[:, n] for n, name in enumerate(CLASSES)}
    run = {"fold": 1, "seed": seed, "split": "test", "predicted": names, "temperature": 1.0, "duration": 2.0}
    return clips.assign(**run, **columns)


def corrupted(clips: pd.DataFrame, kind: str) -> pd.DataFrame:
    return clips.assign(clip_id=clips.clip_id + f"+{kind}.1", augmentation=kind)


def table(seed: int = 1) -> pd.DataFrame:
    """Predict 10 % of the clean clips wrong, half of the noisy ones, and clips of another level like clean ones."""
    clean = predicted(CLIPS, wrong=0.1, seed=seed)
    noisy = predicted(corrupted(CLIPS[::3], "robustness_noise_0db"), wrong=0.5, seed=seed)
    return pd.concat([clean, noisy, corrupted(clean[::3], "robustness_level_12db")], ignore_index=True)


def evaluate(rows: pd.DataFrame) -> pd.DataFrame:
    return robustness.evaluate_robustness(rows, resamples=200, seed=1).set_index("condition")


def test_conditions_are_compared_with_the_same_clean_clips() -> None:
    """UAR is over the corrupted clips and their originals; limits are those of the paired difference."""
    rows = table()
    results = evaluate(rows)
    noisy = rows[rows.augmentation == "robustness_noise_0db"].assign(clip_id=lambda r: r.original_id)
    clean = rows[(rows.augmentation == "") & rows.clip_id.isin(noisy.clip_id)]
    row, expected = results.loc["noise_0db"], significance.paired_difference(noisy, clean, resamples=200, seed=1)
    assert (row.uar, row.uar_clean) == pytest.approx([metrics.uar(t.emotion, t.predicted) for t in (noisy, clean)])
    assert row[["uar_change", "uar_change_ci_low", "uar_change_ci_high"]].to_list() == pytest.approx(expected[:3])
    assert row.uar_change_ci_low < row.uar_change < row.uar_change_ci_high < 0
    assert row.clips == len(noisy)
    same = (noisy.predicted.to_numpy() == clean.set_index("clip_id").predicted[noisy.clip_id].to_numpy()).mean()
    assert row.agreement == pytest.approx(same)
    unchanged = results.loc["level_12db", ["uar_change", "uar_change_ci_low", "uar_change_ci_high", "agreement"]]
    assert unchanged.to_list() == [0, 0, 0, 1]


def test_seeds_are_averaged() -> None:
    """A clip counts once, and metrics are means over seeds."""
    both, each = evaluate(pd.concat([table(1), table(2)])), [evaluate(table(seed)) for seed in (1, 2)]
    assert both.clips.to_list() == each[0].clips.to_list()
    for column in ("uar", "uar_clean", "uar_change", "agreement"):
        assert both[column].to_list() == pytest.approx(((each[0][column] + each[1][column]) / 2).to_list())


def test_tables_without_corrupted_clips_have_no_conditions() -> None:
    """Originals and augmented training clips give no rows and no metrics."""
    clean = predicted(CLIPS, wrong=0.1, seed=1)
    results = robustness.evaluate_robustness(pd.concat([clean, corrupted(clean, "noise")]), resamples=200, seed=1)
    assert results.empty
    assert robustness.robustness_metrics(results) == {}


def test_conditions_are_sorted_by_severity_and_described() -> None:
    """Kinds are grouped; the highest signal-to-noise ratio comes first. Descriptions name the amount."""
    amounts = {"level_12db": "12 dB louder", "level_-12db": "12 dB softer", "noise_20db": "20 dB", "noise_0db": "0 dB"}
    amounts |= {"reverberation_0.6s": "0.6 s", "telephone": "8 kHz"}
    clean = predicted(CLIPS, wrong=0.1, seed=1)
    results = evaluate(pd.concat([clean, *(corrupted(clean, f"robustness_{name}") for name in sorted(amounts))]))
    assert list(results.index) == list(amounts)
    assert all(amount in robustness.describe_condition(name) for name, amount in amounts.items())
