"""Altered test clips are judged beside the same clips unaltered, and nowhere else."""

import numpy as np
import pandas as pd
import pytest

from ser.evaluation import metrics, robustness, significance, summary
from tests.helpers import factories

CLASSES = ["neutral", "happy", "sad"]
OTHER = {"neutral": "sad", "happy": "neutral", "sad": "happy"}
CLIPS = factories.ravdess(range(1, 9))
CLIPS = CLIPS[CLIPS.emotion.isin(CLASSES)].reset_index(drop=True)


def predicted(clips: pd.DataFrame, *, wrong: float, seed: int) -> pd.DataFrame:
    """Make predictions of which a share is wrong."""
    rng = np.random.default_rng([seed, len(clips)])
    answers = np.where(rng.random(len(clips)) < wrong, clips.emotion.map(OTHER), clips.emotion)
    shares = np.eye(3)[[CLASSES.index(answer) for answer in answers]]
    columns = {f"prob_{name}": shares[:, n] for n, name in enumerate(CLASSES)}
    more = {"fold": 1, "seed": seed, "split": "test", "predicted": answers, "temperature": 1.0, "duration": 2.0}
    return clips.assign(**more, **columns)


def corrupted(clips: pd.DataFrame, kind: str) -> pd.DataFrame:
    return clips.assign(clip_id=clips.clip_id + f"+{kind}.1", augmentation=kind)


def table(*, seeds: tuple[int, ...] = (1,)) -> pd.DataFrame:
    """Make a model that is right on 90 %, on some of the clips altered by noise on half, by level as before."""
    some = CLIPS[::3]
    found = []
    for seed in seeds:
        own = predicted(CLIPS, wrong=0.1, seed=seed)
        noisy = predicted(corrupted(some, "robustness_noise_0db"), wrong=0.5, seed=seed)
        found += [own, noisy, corrupted(own[::3], "robustness_level_12db")]
    return pd.concat(found, ignore_index=True)


def judge(rows: pd.DataFrame) -> pd.DataFrame:
    return robustness.evaluate_robustness(rows, resamples=200, seed=1).set_index("condition")


def test_each_condition_is_judged_on_its_own_clips() -> None:
    """UAR before and after are those of the altered clips alone, by the metric code that judges everything."""
    rows = table()
    found = judge(rows)
    assert list(found.index) == ["level_12db", "noise_0db"]
    noisy = rows[rows.augmentation == "robustness_noise_0db"]
    clean = rows[(rows.augmentation == "") & rows.clip_id.isin(noisy.original_id)]
    after, before = metrics.uar(noisy.emotion, noisy.predicted), metrics.uar(clean.emotion, clean.predicted)
    one = found.loc["noise_0db"]
    assert (one.uar, one.uar_clean, one.uar_change) == pytest.approx((after, before, after - before))
    assert one.clips == len(noisy)
    assert one.uar_change_ci_low < one.uar_change < one.uar_change_ci_high < 0
    same = (noisy.predicted.to_numpy() == clean.set_index("clip_id").predicted[noisy.original_id].to_numpy()).mean()
    assert one.agreement == pytest.approx(same)


def test_the_same_answers_are_no_change() -> None:
    """A condition that changes nothing has a change of 0, limits of 0 and all answers the same."""
    one = judge(table()).loc["level_12db"]
    assert (one.uar_change, one.uar_change_ci_low, one.uar_change_ci_high, one.agreement) == (0, 0, 0, 1)


def test_limits_are_those_of_the_difference_over_speakers() -> None:
    """The change's limits come from the draws of speakers that all intervals come from."""
    rows = table()
    noisy = rows[rows.augmentation == "robustness_noise_0db"].assign(clip_id=lambda r: r.original_id)
    clean = rows[(rows.augmentation == "") & rows.clip_id.isin(noisy.clip_id)]
    expected = significance.paired_difference(noisy, clean, resamples=200, seed=1)
    one = judge(rows).loc["noise_0db"]
    assert (one.uar_change_ci_low, one.uar_change_ci_high) == pytest.approx((expected.ci_low, expected.ci_high))


def test_several_seeds_are_averaged() -> None:
    """With several seeds a clip is counted once, and UAR is the mean of the seeds'."""
    found, each = judge(table(seeds=(1, 2))), [judge(table(seeds=(seed,))) for seed in (1, 2)]
    assert found.clips.to_list() == each[0].clips.to_list()
    for column in ("uar", "uar_clean", "uar_change", "agreement"):
        assert found[column].to_list() == pytest.approx(((each[0][column] + each[1][column]) / 2).to_list())


def test_unknown_speakers_have_no_limits() -> None:
    """Where nobody knows who speaks there is nothing to draw."""
    one = judge(table().assign(speaker="ravdess-")).loc["noise_0db"]
    assert np.isnan([one.uar_change_ci_low, one.uar_change_ci_high, one.uar_ci_low, one.uar_ci_high]).all()
    assert np.isfinite(one.uar_change)


def test_without_copies_there_is_nothing_to_judge() -> None:
    """A table of originals, or with copies to learn from only, has no conditions, and its numbers are none."""
    own = predicted(CLIPS, wrong=0.1, seed=1)
    for rows in (own, pd.concat([own, corrupted(own, "noise")])):
        found = robustness.evaluate_robustness(rows, resamples=200, seed=1)
        assert found.empty
        assert robustness.robustness_metrics(found) == {}


def test_no_headline_knows_of_altered_clips() -> None:
    """Every number of the splits is the same with altered test clips in the table and without."""
    rows, settings = table(), factories.settings(evaluate={"n_resamples": 100}).evaluate
    with_val = pd.concat([rows, rows[rows.augmentation == ""].assign(split="val")])
    assert summary.summarize(with_val, settings, seed=1) == summary.summarize(
        with_val[with_val.augmentation == ""], settings, seed=1
    )


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("noise_10db", "pink noise, 10 dB SNR"),
        ("telephone", "telephone, 8 kHz mu-law"),
        ("reverberation_0.6s", "a room that echoes for 0.6 s"),
        ("level_-12db", "12 dB softer"),
        ("level_12db", "12 dB louder"),
    ],
)
def test_conditions_in_words(condition: str, said: str) -> None:
    """A reader who knows no column names reads what was done to the clips."""
    assert robustness.describe_condition(condition) == said


def test_conditions_begin_with_the_mildest() -> None:
    """Of noise the highest ratio to the signal stands first, and kinds stand together."""
    names = ["telephone", "noise_0db", "noise_20db", "level_-12db", "noise_10db", "level_12db"]
    own = predicted(CLIPS, wrong=0.1, seed=1)
    found = robustness.evaluate_robustness(
        pd.concat([own, *(corrupted(own, f"robustness_{name}") for name in names)]), resamples=100, seed=1
    )
    assert list(found.condition) == [
        "level_12db", "level_-12db", "noise_20db", "noise_10db", "noise_0db", "telephone"
    ]  # fmt: skip
