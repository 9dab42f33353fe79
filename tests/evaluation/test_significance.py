"""Tests of two models give the p-values of textbooks, and differences are paired by speaker."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from ser.evaluation import bootstrap, metrics, significance
from ser.utils.errors import UserError
from tests.helpers import factories
from tests.helpers.random_predictions import CLASSES, answered, heard, seeded

# Two models -----------------------------------------------------------------------------------------------------------


def pair(both: int, only_a: int, only_b: int, neither: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    n = both + only_a + only_b + neither
    true = [CLASSES[i % 4] for i in range(n)]
    clips = factories.predicted(true, true, classes=CLASSES)
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
        b.rename(columns={"prob_sad": "prob_calm"}),
    ]
    for other in others:
        for compare in (significance.mcnemar, lambda a, b: significance.paired_difference(a, b, seed=1)):
            with pytest.raises(UserError, match="models are compared on the same clips and classes"):
                compare(a, other)
    with pytest.raises(UserError, match="knn and svm"):
        significance.compare({"knn": a, "svm": b[1:]}, seed=1)
    with pytest.raises(UserError, match=r"more than once \(seeds \[1, 2\]\)"):
        significance.mcnemar(pd.concat([a, a.assign(seed=2)]), b)


def right_on(often: Sequence[int]) -> pd.DataFrame:
    """Answer so many of the ten clips that each speaker has of each class."""
    clips = heard([0] * len(often))
    return answered(clips, clips.groupby(["speaker", "emotion"]).cumcount() < np.repeat(often, 40))


def test_a_difference_is_paired_by_speaker() -> None:
    """Speakers who are hard for both models widen each one's interval, but not that of the difference."""
    better, worse = right_on([2, 3, 4, 5, 6, 7, 8, 9]), right_on([1, 2, 3, 4, 5, 6, 7, 8])
    assert significance.paired_difference(better, worse, seed=1) == pytest.approx((0.1, 0.1, 0.1, 8))
    limits = bootstrap.bootstrap(better, ["uar"], seed=1).loc["uar"]
    assert limits.ci_high - limits.ci_low > 0.3


def test_a_difference_of_seeds_is_one_of_their_means() -> None:
    """A model of three seeds, 1/2 on average, is 1/2 below one of one seed that is always right."""
    perfect = factories.predicted(CLASSES, CLASSES, classes=CLASSES).assign(speaker=["a", "a", "b", "b"])
    found = significance.paired_difference(perfect, seeded(), seed=1)
    assert found.difference == pytest.approx(0.5)
    assert (found.ci_low, found.ci_high) == pytest.approx((1 / 6, 5 / 6))  # speaker a alone, and b alone


def test_unknown_speakers_leave_models_untold() -> None:
    """Clips of nobody in particular may be of one voice or of many: no difference is shown, however many others."""
    nobody = heard([2] * 8)
    nobody = nobody.assign(speaker=nobody.speaker.replace("ravdess-00", "ravdess-"))
    bad = nobody.assign(predicted="sad")
    assert np.isnan(significance.paired_difference(nobody, bad, resamples=100, seed=1).ci_low)
    assert significance.not_significantly_worse({"good": nobody, "bad": bad}, resamples=100, seed=1) == ["good", "bad"]


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
    assert same.p == same.p_holm > 0.05 and same.ci_low < 0 < same.ci_high
    assert found.p_holm.to_list() == pytest.approx(significance.holm(found.p))
    for a, b in (("alike", "guess"), ("guess", "good")):
        row, tested = found.loc[a, b], significance.mcnemar(models()[a], models()[b])
        assert (row.only_a, row.only_b, row.p) == (tested.only_a, tested.only_b, tested.p)
        assert row[["difference", "ci_low", "ci_high", "speakers"]].to_list() == pytest.approx(
            list(significance.paired_difference(models()[a], models()[b], seed=1))
        )
        assert row.p_holm < 0.001 and row.ci_low * row.ci_high > 0
    assert list(significance.compare({"good": models()["good"]}, seed=1)) == list(significance.PAIR_COLUMNS)


def test_seeds_are_compared_one_by_one_in_mcnemar_s_test_only() -> None:
    """The first seed of each is tested; the difference is over all of them."""
    perfect = factories.predicted(CLASSES, CLASSES, classes=CLASSES).assign(speaker=["a", "a", "b", "b"])
    row = significance.compare({"perfect": perfect, "seeded": seeded()}, seed=1).loc[0]
    assert (row.only_a, row.only_b) == (3, 0)
    assert row.difference == pytest.approx(0.5)


def test_models_that_are_not_shown_to_be_worse_stand_with_the_best() -> None:
    """Two alike models share the first place and the guesser does not; with one speaker nothing can be told."""
    ranked = sorted(
        ("good", "alike"), key=lambda name: -metrics.compute_metrics(models()[name], classes=CLASSES)["uar"]
    )
    assert significance.not_significantly_worse(models(), seed=1) == ranked
    assert significance.not_significantly_worse({"guess": models()["guess"]}, seed=1) == ["guess"]
    alone = {name: table.assign(speaker="ravdess-01") for name, table in models().items()}
    assert significance.not_significantly_worse(alone, seed=1) == [*ranked, "guess"]


def test_more_models_need_clearer_differences() -> None:
    """One model is shown to be worse than the best; among ten like it, none is, as one may look so by chance."""
    best, other = right_on([8, 7, 7, 7, 6, 6, 6, 4]), right_on([5] * 8)
    assert significance.not_significantly_worse({"best": best, "other": other}, seed=1) == ["best"]
    many = {"best": best} | {f"other {n:02}": other for n in range(10)}
    assert significance.not_significantly_worse(many, seed=1) == list(many)


# Any number of two models on the same clips ---------------------------------------------------------------------------


def accuracy(table: pd.DataFrame) -> float:
    return float((table.emotion == table.predicted).mean())


def test_swapping_answers_shows_what_mcnemar_shows() -> None:
    """Of accuracy, whose test is known, p is half of McNemar's two-sided one, within what 999 draws allow."""
    table = heard([50])
    a = answered(table, [True] * 30 + [False] * 10)
    b = answered(table, [True] * 22 + [False] * 8 + [True] * 2 + [False] * 8)
    p = significance.permutation_test(a, b, accuracy, draws=999, seed=1)
    assert p == pytest.approx(significance.mcnemar(a, b).p / 2, abs=0.02)  # 8 against 2: 0.055
    assert significance.permutation_test(b, a, accuracy, draws=199, seed=1) > 0.9


def test_swapping_answers_of_clips_with_seeds() -> None:
    """All seeds of a clip are swapped together, the order of rows does not matter, and other clips are refused."""
    table = heard([50])
    bad = answered(table, [False] * 40)
    twice = pd.concat([table, table.assign(seed=2)], ignore_index=True)
    p = significance.permutation_test(twice, bad, accuracy, draws=199, seed=1)
    assert p == 1 / 200
    assert p == significance.permutation_test(twice.sample(frac=1, random_state=1), bad, accuracy, draws=199, seed=1)
    with pytest.raises(UserError, match="on the same clips and classes"):
        significance.permutation_test(table, bad[1:], accuracy, seed=1)
