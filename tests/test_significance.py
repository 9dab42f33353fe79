"""Intervals hold the truth as often as they should, and tests give the p-values of textbooks."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
import tables

from ser import metrics, significance
from ser.errors import InputError

CLASSES = ["neutral", "happy", "sad", "angry"]
RECALLS = [f"recall_{name}" for name in CLASSES]


def heard(odds: Sequence[float], *, clips: int = 10, seed: int = 0) -> pd.DataFrame:
    """Predict `clips` clips of each class and speaker, of whom each is understood with log odds of their own."""
    rng = np.random.default_rng(seed)
    true = np.tile(np.repeat(CLASSES, clips), len(odds))
    speakers = np.repeat([f"ravdess-{n:02}" for n in range(len(odds))], clips * len(CLASSES))
    right = rng.random(len(true)) < np.repeat(1 / (1 + np.exp(-np.asarray(odds))), clips * len(CLASSES))
    meant = np.tile(np.repeat(range(4), clips), len(odds))
    other = np.array(CLASSES)[(meant + rng.integers(1, 4, len(true))) % 4]
    return tables.predicted(list(true), list(np.where(right, true, other)), classes=CLASSES).assign(speaker=speakers)


def answered(table: pd.DataFrame, right: Sequence[bool]) -> pd.DataFrame:
    """Let a model be right on some clips and wrong on the others."""
    wrong = table.emotion.map(dict(zip(CLASSES, CLASSES[1:] + CLASSES[:1], strict=True)))
    return table.assign(predicted=table.emotion.where(list(right), wrong))


# Intervals ------------------------------------------------------------------------------------------------------------


def test_the_value_between_the_limits_is_the_metric_itself() -> None:
    """Counts give what `ser.metrics` computes from rows, also where a class is never said or never answered."""
    table = heard([0.2, 1.0, -0.5])
    without_angry = table[table.emotion != "angry"]
    never_answered_sad = table.assign(predicted=table.predicted.replace("sad", "angry"))
    for rows, names in ((table, RECALLS), (without_angry, RECALLS[:3]), (never_answered_sad, RECALLS)):
        found = significance.bootstrap(rows, ["uar", "accuracy", "precision", "recall", "f1", *names], seed=1)
        expected = metrics.judge(rows, classes=CLASSES)
        assert found.value.to_dict() == pytest.approx({name: expected[name] for name in found.index})
        assert (found.low <= found.value).all() and (found.value <= found.high).all()
        assert (found.speakers == 3).all() and (found.clips == len(rows)).all()


def test_resampling_is_that_of_rows() -> None:
    """Weights on counts give what picking the rows of the drawn speakers gives, speaker by speaker."""
    table = heard([0.2, 1.0, -0.5], clips=3)
    counts = significance._counts(table)
    drawn = significance._draw(counts, resamples=5, seed=3)
    times = significance.seeds.generator(3, "bootstrap").multinomial(3, [1 / 3] * 3, size=5)
    for draw, often in zip(drawn, times, strict=True):
        rows = pd.concat([table[table.speaker == f"ravdess-{n:02}"] for n, k in enumerate(often) for _ in range(k)])
        assert (draw[0] == metrics.confusion(rows, classes=CLASSES).to_numpy()).all()


def coverage(speakers: int, *, sd: float, runs: int = 60) -> float:
    rng = np.random.default_rng(speakers)
    truth = np.mean(1 / (1 + np.exp(-(0.6 + sd * rng.standard_normal(100_000)))))
    limits = [
        significance.bootstrap(
            heard(0.6 + sd * rng.standard_normal(speakers), seed=run), ["uar"], resamples=400, seed=run
        ).loc["uar"]
        for run in range(runs)
    ]
    return float(np.mean([row.low <= truth <= row.high for row in limits]))


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Where speakers differ, about 95 % of intervals over twelve hold the true UAR; over two, about half do."""
    assert 0.88 <= coverage(12, sd=0.6) <= 0.99
    assert 0.35 <= coverage(2, sd=0.6) <= 0.67  # as the documentation warns


def test_alike_clips_of_a_speaker_are_not_taken_for_many() -> None:
    """With speakers understood always or never, the interval is that of six answers, not of 240."""
    table = heard([50, 50, 50, -50, -50, -50])
    limits = significance.bootstrap(table, ["uar"], seed=1).loc["uar"]
    assert limits.value == 0.5
    assert limits.high - limits.low > 0.6  # over clips, it would be 0.13


def test_few_speakers_get_wider_tails() -> None:
    """The tail is the one that gives a mean the width of its t interval, and 2.5 % where speakers are many."""
    assert significance._tail(5, level=0.95) == pytest.approx(0.00095, abs=2e-5)  # beyond 2.776 x sqrt(5 / 4)
    assert significance._tail(10_000, level=0.95) == pytest.approx(0.025, abs=1e-4)


def test_one_speaker_has_no_interval() -> None:
    """There is a value, and limits are not numbers: clips are never drawn in place of speakers."""
    limits = significance.bootstrap(heard([0.5]), ["uar", "accuracy"], seed=1)
    assert limits[["low", "high"]].isna().all(axis=None)
    assert limits.value.notna().all()


def test_unknown_speakers_have_no_interval() -> None:
    """Clips of nobody in particular may be of one voice or of many: no limits, no difference, however many others."""
    table = heard([2, 2, 2, 2, 2, 2, 2, 2])
    nobody = table.assign(speaker=table.speaker.replace("ravdess-00", "ravdess-"))
    bad = nobody.assign(predicted="sad")
    limits = significance.bootstrap(nobody, ["uar"], resamples=100, seed=1)
    assert limits[["low", "high"]].isna().all(axis=None)
    assert limits.speakers.to_list() == [7]
    assert np.isnan(significance.difference(nobody, bad, resamples=100, seed=1).low)
    assert significance.tied_with_best({"good": nobody, "bad": bad}, resamples=100, seed=1) == ["good", "bad"]


def test_a_draw_without_a_class_is_judged_on_the_others() -> None:
    """Only one of two speakers is ever sad: draws without her have a UAR over the rest, and no recall of sad."""
    table = heard([50, -50])
    table = table[(table.emotion != "sad") | (table.speaker == "ravdess-00")]
    limits = significance.bootstrap(table, ["uar", "recall_sad"], seed=1)
    assert limits.loc["uar", ["low", "high"]].to_list() == [0, 1]
    assert limits.loc["recall_sad", ["low", "high"]].to_list() == [1, 1]


def test_intervals_depend_on_the_seed_and_not_on_the_order_of_rows() -> None:
    """Rebuilding gives the same limits, and another seed others."""
    table = heard([0.2, 1.0, -0.5, 0.7, 0.1, 1.5])
    first = significance.bootstrap(table, ["uar", "f1"], seed=1)
    pd.testing.assert_frame_equal(first, significance.bootstrap(table[::-1], ["uar", "f1"], seed=1))
    assert not first.equals(significance.bootstrap(table, ["uar", "f1"], seed=2))


def test_what_cannot_be_resampled_is_named() -> None:
    """An unknown metric, and a clip judged twice, end in a sentence."""
    with pytest.raises(InputError, match=r"metric roc_auc .* known are uar"):
        significance.bootstrap(heard([0, 1]), ["roc_auc"], seed=1)
    twice = pd.concat([heard([0, 1])] * 2)
    with pytest.raises(InputError, match="stands twice for seed 1"):
        significance.bootstrap(twice, ["uar"], seed=1)


# Seeds ----------------------------------------------------------------------------------------------------------------


def seeded() -> pd.DataFrame:
    """Predict four clips with three seeds, of which 1, 2 and 3 are right."""
    clips = tables.predicted(CLASSES, CLASSES, classes=CLASSES).assign(speaker=["a", "a", "b", "b"])
    return pd.concat([answered(clips, np.arange(4) < n).assign(seed=n) for n in (1, 2, 3)])


def test_seeds_are_averaged() -> None:
    """The mean of 1/4, 2/4 and 3/4, a standard deviation divided by two, and not the best of them."""
    found = significance.over_seeds(seeded(), ["uar", "accuracy"])
    assert found.loc["uar"].to_list() == pytest.approx([0.5, 0.25, 3])
    assert significance.bootstrap(seeded(), ["uar"], seed=1).value["uar"] == pytest.approx(0.5)


def test_one_seed_has_no_deviation() -> None:
    """There is a mean, and no standard deviation; an unknown metric is named."""
    one = seeded()[lambda table: table.seed == 2]
    assert significance.over_seeds(one, ["uar"]).loc["uar"].to_list() == pytest.approx([0.5, np.nan, 1], nan_ok=True)
    with pytest.raises(InputError, match="metric uaar is unknown"):
        significance.over_seeds(one, ["uaar"])


# Two models -----------------------------------------------------------------------------------------------------------


def pair(both: int, only_a: int, only_b: int, neither: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    n = both + only_a + only_b + neither
    true = [CLASSES[i % 4] for i in range(n)]
    clips = tables.predicted(true, true, classes=CLASSES)
    right_a = np.repeat([True, True, False, False], [both, only_a, only_b, neither])
    right_b = np.repeat([True, False, True, False], [both, only_a, only_b, neither])
    return answered(clips, right_a), answered(clips, right_b)


@pytest.mark.parametrize(
    ("counts", "p"),
    [
        ((20, 12, 2, 16), 0.0129),  # Armitage & Berry (1994), p. 127: two media for growing bacteria
        ((0, 0, 5, 0), 2 / 2**5),
        ((3, 4, 4, 3), 1),
        ((3, 0, 0, 3), 1),  # no clip on which they differ
    ],
)
def test_mcnemar(counts: tuple[int, int, int, int], p: float) -> None:
    """Counts and p are those of textbooks and of a coin, in whatever order the rows stand."""
    a, b = pair(*counts)
    found = significance.mcnemar(a, b[::-1])
    assert (found.both, found.only_a, found.only_b, found.neither) == counts
    assert found.p == pytest.approx(p, abs=5e-5)


def test_models_are_compared_on_the_same_clips() -> None:
    """Other clips, other labels, other classes, and several seeds at once, are refused."""
    a, b = pair(5, 4, 3, 2)
    others = [
        b[1:],
        b.assign(clip_id=b.clip_id + "x"),
        b.assign(emotion="sad"),
        b.rename(columns={"p_sad": "p_calm"}),
    ]
    for other in others:
        for compare in (significance.mcnemar, lambda a, b: significance.difference(a, b, seed=1)):
            with pytest.raises(InputError, match="models are compared on the same clips and classes"):
                compare(a, other)
    with pytest.raises(InputError, match="knn and svm"):
        significance.compare({"knn": a, "svm": b[1:]}, seed=1)
    with pytest.raises(InputError, match=r"more than once \(seeds \[1, 2\]\)"):
        significance.mcnemar(pd.concat([a, a.assign(seed=2)]), b)


def right_on(often: Sequence[int]) -> pd.DataFrame:
    """Answer so many of the ten clips that each speaker has of each class."""
    clips = heard([0] * len(often))
    return answered(clips, clips.groupby(["speaker", "emotion"]).cumcount() < np.repeat(often, 40))


def test_a_difference_is_paired_by_speaker() -> None:
    """Speakers who are hard for both models widen each one's interval, but not that of the difference."""
    better, worse = right_on([2, 3, 4, 5, 6, 7, 8, 9]), right_on([1, 2, 3, 4, 5, 6, 7, 8])
    assert significance.difference(better, worse, seed=1) == pytest.approx((0.1, 0.1, 0.1, 8))
    limits = significance.bootstrap(better, ["uar"], seed=1).loc["uar"]
    assert limits.high - limits.low > 0.3


def test_a_difference_of_seeds_is_one_of_their_means() -> None:
    """A model of three seeds, 1/2 on average, is 1/2 below one of one seed that is always right."""
    perfect = tables.predicted(CLASSES, CLASSES, classes=CLASSES).assign(speaker=["a", "a", "b", "b"])
    found = significance.difference(perfect, seeded(), seed=1)
    assert found.difference == pytest.approx(0.5)
    assert (found.low, found.high) == pytest.approx((1 / 6, 5 / 6))  # speaker a alone, and b alone


# Many models ----------------------------------------------------------------------------------------------------------


def test_holm_by_example() -> None:
    """Five p-values of pingouin's documentation, in no order; the largest are equal as none may be below a smaller."""
    found = significance.holm([0.50, 0.003, 0.32, 0.054, 0.0003])
    assert found == pytest.approx([0.64, 0.012, 0.64, 0.162, 0.0015])
    # Benjamini & Hochberg (1995), section 4: Bonferroni and Hochberg both reject the first three, so Holm must too
    infarction = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262]
    assert (significance.holm([*infarction, 0.5719, 0.6528, 0.7590, 1.0]) < 0.05).sum() == 3
    assert significance.holm([]).size == 0


def models() -> dict[str, pd.DataFrame]:
    """Predict with two models that are alike and one that guesses, on the same clips of twelve speakers."""
    clips = heard(np.zeros(12))
    rng = np.random.default_rng(0)
    good, alike = (answered(clips, rng.random(len(clips)) < 0.7) for _ in range(2))
    return {"alike": alike, "guess": answered(clips, rng.random(len(clips)) < 0.25), "good": good}


def test_all_pairs_are_compared() -> None:
    """Each pair has its counts, p, p adjusted for three pairs, and its difference of UAR."""
    found = significance.compare(models(), seed=1).set_index(["a", "b"])
    assert list(found.index) == [("alike", "guess"), ("alike", "good"), ("guess", "good")]
    same = found.loc["alike", "good"]
    assert same.p == same.p_holm > 0.05 and same.low < 0 < same.high
    assert found.p_holm.to_list() == pytest.approx(significance.holm(found.p))
    for a, b in (("alike", "guess"), ("guess", "good")):
        row, tested = found.loc[a, b], significance.mcnemar(models()[a], models()[b])
        assert (row.only_a, row.only_b, row.p) == (tested.only_a, tested.only_b, tested.p)
        assert row[["difference", "low", "high", "speakers"]].to_list() == pytest.approx(
            list(significance.difference(models()[a], models()[b], seed=1))
        )
        assert row.p_holm < 0.001 and row.low * row.high > 0
    assert list(significance.compare({"good": models()["good"]}, seed=1)) == list(significance.COMPARED)


def test_seeds_are_compared_one_by_one_in_mcnemar_s_test_only() -> None:
    """The first seed of each is tested; the difference is over all of them."""
    perfect = tables.predicted(CLASSES, CLASSES, classes=CLASSES).assign(speaker=["a", "a", "b", "b"])
    row = significance.compare({"perfect": perfect, "seeded": seeded()}, seed=1).loc[0]
    assert (row.only_a, row.only_b) == (3, 0)
    assert row.difference == pytest.approx(0.5)


def test_models_that_are_not_shown_to_be_worse_stand_with_the_best() -> None:
    """Two alike models share the first place and the guesser does not; with one speaker nothing can be told."""
    ranked = sorted(("good", "alike"), key=lambda name: -metrics.judge(models()[name], classes=CLASSES)["uar"])
    assert significance.tied_with_best(models(), seed=1) == ranked
    assert significance.tied_with_best({"guess": models()["guess"]}, seed=1) == ["guess"]
    alone = {name: table.assign(speaker="ravdess-01") for name, table in models().items()}
    assert significance.tied_with_best(alone, seed=1) == [*ranked, "guess"]


def test_more_models_need_clearer_differences() -> None:
    """One model is shown to be worse than the best; among ten like it, none is, as one may look so by chance."""
    best, other = right_on([8, 7, 7, 7, 6, 6, 6, 4]), right_on([5] * 8)
    assert significance.tied_with_best({"best": best, "other": other}, seed=1) == ["best"]
    many = {"best": best} | {f"other {n:02}": other for n in range(10)}
    assert significance.tied_with_best(many, seed=1) == list(many)


# Any number of two models on the same clips ---------------------------------------------------------------------------


def accuracy(table: pd.DataFrame) -> float:
    return float((table.emotion == table.predicted).mean())


def test_swapping_answers_shows_what_mcnemar_shows() -> None:
    """Of accuracy, whose test is known, p is half of McNemar's two-sided one, within what 999 draws allow."""
    table = heard([50])
    a = answered(table, [True] * 30 + [False] * 10)
    b = answered(table, [True] * 22 + [False] * 8 + [True] * 2 + [False] * 8)
    p = significance.swap_test(a, b, accuracy, draws=999, seed=1)
    assert p == pytest.approx(significance.mcnemar(a, b).p / 2, abs=0.02)  # 8 against 2: 0.055
    assert significance.swap_test(b, a, accuracy, draws=199, seed=1) > 0.9


def test_swapping_answers_of_clips_with_seeds() -> None:
    """All seeds of a clip are swapped together, the order of rows does not matter, and other clips are refused."""
    table = heard([50])
    bad = answered(table, [False] * 40)
    twice = pd.concat([table, table.assign(seed=2)], ignore_index=True)
    p = significance.swap_test(twice, bad, accuracy, draws=199, seed=1)
    assert p == 1 / 200
    assert p == significance.swap_test(twice.sample(frac=1, random_state=1), bad, accuracy, draws=199, seed=1)
    with pytest.raises(InputError, match="on the same clips and classes"):
        significance.swap_test(table, bad[1:], accuracy, seed=1)
