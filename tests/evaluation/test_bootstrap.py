"""Intervals hold the truth as often as they should, and seeds are averaged."""

import numpy as np
import pandas as pd
import pytest

from ser.evaluation import bootstrap, metrics
from ser.utils import seeding
from ser.utils.errors import UserError
from tests.helpers.random_predictions import CLASSES, heard, seeded

RECALLS = [f"recall_{name}" for name in CLASSES]


def test_the_value_between_the_limits_is_the_metric_itself() -> None:
    """Counts give what `ser.evaluation.metrics` computes from rows, also where a class never occurs."""
    table = heard([0.2, 1.0, -0.5])
    without_angry = table[table.emotion != "angry"]
    never_answered_sad = table.assign(predicted=table.predicted.replace("sad", "angry"))
    for rows, names in ((table, RECALLS), (without_angry, RECALLS[:3]), (never_answered_sad, RECALLS)):
        found = bootstrap.bootstrap(rows, ["uar", "accuracy", "precision", "f1", *names], seed=1)
        expected = metrics.compute_metrics(rows, classes=CLASSES)
        assert found.value.to_dict() == pytest.approx({name: expected[name] for name in found.index})
        assert (found.ci_low <= found.value).all() and (found.value <= found.ci_high).all()
        assert (found.speakers == 3).all() and (found.clips == len(rows)).all()


def test_resampling_is_that_of_rows() -> None:
    """Weights on counts give what picking the rows of the drawn speakers gives, speaker by speaker."""
    table = heard([0.2, 1.0, -0.5], clips=3)
    counts = bootstrap._counts(table)
    drawn = bootstrap._draw(counts, resamples=5, seed=3)
    times = seeding.make_rng(3, "bootstrap").multinomial(3, [1 / 3] * 3, size=5)
    for draw, often in zip(drawn, times, strict=True):
        rows = pd.concat([table[table.speaker == f"ravdess-{n:02}"] for n, k in enumerate(often) for _ in range(k)])
        assert (draw[0] == metrics.confusion(rows, classes=CLASSES).to_numpy()).all()


def coverage(speakers: int, *, sd: float, runs: int = 60) -> float:
    rng = np.random.default_rng(speakers)
    truth = np.mean(1 / (1 + np.exp(-(0.6 + sd * rng.standard_normal(100_000)))))
    limits = [
        bootstrap.bootstrap(
            heard(0.6 + sd * rng.standard_normal(speakers), seed=run), ["uar"], resamples=400, seed=run
        ).loc["uar"]
        for run in range(runs)
    ]
    return float(np.mean([row.ci_low <= truth <= row.ci_high for row in limits]))


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Where speakers differ, about 95 % of intervals over twelve hold the true UAR; over two, about half do."""
    assert 0.88 <= coverage(12, sd=0.6) <= 0.99
    assert 0.35 <= coverage(2, sd=0.6) <= 0.67  # as the documentation warns


def test_alike_clips_of_a_speaker_are_not_taken_for_many() -> None:
    """With speakers understood always or never, the interval is that of six answers, not of 240."""
    table = heard([50, 50, 50, -50, -50, -50])
    limits = bootstrap.bootstrap(table, ["uar"], seed=1).loc["uar"]
    assert limits.value == 0.5
    assert limits.ci_high - limits.ci_low > 0.6  # over clips, it would be 0.13


def test_few_speakers_get_wider_tails() -> None:
    """The tail is the one that gives a mean the width of its t interval, and 2.5 % where speakers are many."""
    assert bootstrap._expanded_percentile(5, level=0.95) == pytest.approx(
        0.00095, abs=2e-5
    )  # beyond 2.776 x sqrt(5 / 4)
    assert bootstrap._expanded_percentile(10_000, level=0.95) == pytest.approx(0.025, abs=1e-4)


def test_one_speaker_has_no_interval() -> None:
    """There is a value, and limits are not numbers: clips are never drawn in place of speakers."""
    limits = bootstrap.bootstrap(heard([0.5]), ["uar", "accuracy"], seed=1)
    assert limits[["ci_low", "ci_high"]].isna().all(axis=None)
    assert limits.value.notna().all()


def test_unknown_speakers_have_no_interval() -> None:
    """Clips of nobody in particular may be of one voice or of many: no limits, however many others."""
    table = heard([2, 2, 2, 2, 2, 2, 2, 2])
    nobody = table.assign(speaker=table.speaker.replace("ravdess-00", "ravdess-"))
    limits = bootstrap.bootstrap(nobody, ["uar"], resamples=100, seed=1)
    assert limits[["ci_low", "ci_high"]].isna().all(axis=None)
    assert limits.speakers.to_list() == [7]


def test_a_draw_without_a_class_is_judged_on_the_others() -> None:
    """Only one of two speakers is ever sad: draws without her have a UAR over the rest, and no recall of sad."""
    table = heard([50, -50])
    table = table[(table.emotion != "sad") | (table.speaker == "ravdess-00")]
    limits = bootstrap.bootstrap(table, ["uar", "recall_sad"], seed=1)
    assert limits.loc["uar", ["ci_low", "ci_high"]].to_list() == [0, 1]
    assert limits.loc["recall_sad", ["ci_low", "ci_high"]].to_list() == [1, 1]


def test_intervals_depend_on_the_seed_and_not_on_the_order_of_rows() -> None:
    """Rebuilding gives the same limits, and another seed others."""
    table = heard([0.2, 1.0, -0.5, 0.7, 0.1, 1.5])
    first = bootstrap.bootstrap(table, ["uar", "f1"], seed=1)
    pd.testing.assert_frame_equal(first, bootstrap.bootstrap(table[::-1], ["uar", "f1"], seed=1))
    assert not first.equals(bootstrap.bootstrap(table, ["uar", "f1"], seed=2))


def test_what_cannot_be_resampled_is_named() -> None:
    """An unknown metric, and a clip judged twice, end in a sentence."""
    with pytest.raises(UserError, match=r"metric roc_auc .* known are uar"):
        bootstrap.bootstrap(heard([0, 1]), ["roc_auc"], seed=1)
    twice = pd.concat([heard([0, 1])] * 2)
    with pytest.raises(UserError, match="stands twice for seed 1"):
        bootstrap.bootstrap(twice, ["uar"], seed=1)


# Seeds ----------------------------------------------------------------------------------------------------------------


def test_seeds_are_averaged() -> None:
    """The mean of 1/4, 2/4 and 3/4, a standard deviation divided by two, and not the best of them."""
    found = bootstrap.mean_over_seeds(seeded(), ["uar", "accuracy"])
    assert found.loc["uar"].to_list() == pytest.approx([0.5, 0.25, 3])
    assert bootstrap.bootstrap(seeded(), ["uar"], seed=1).value["uar"] == pytest.approx(0.5)


def test_one_seed_has_no_deviation() -> None:
    """There is a mean, and no standard deviation; an unknown metric is named."""
    one = seeded()[lambda table: table.seed == 2]
    assert bootstrap.mean_over_seeds(one, ["uar"]).loc["uar"].to_list() == pytest.approx([0.5, np.nan, 1], nan_ok=True)
    with pytest.raises(UserError, match="metric uaar is unknown"):
        bootstrap.mean_over_seeds(one, ["uaar"])
