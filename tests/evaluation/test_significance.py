"""Test p-values against published examples, and paired differences."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from ser.evaluation import bootstrap, metrics, significance
from ser.utils.errors import UserError
from tests.helpers import factories
from tests.helpers.random_predictions import CLASSES, correct_where, random_predictions, three_seeds

PERFECT = factories.predicted(CLASSES, CLASSES, classes=CLASSES).assign(speaker=["a", "a", "b", "b"])


def pair(*counts: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predict so many clips correctly by both, only the first, only the second, and neither of two models."""
    true = [CLASSES[i % 4] for i in range(sum(counts))]
    clips = factories.predicted(true, true, classes=CLASSES)
    correct_a, correct_b = np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)
    return correct_where(clips, correct_a), correct_where(clips, correct_b)


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
    """Counts and p are those of textbooks, for any order of rows."""
    a, b = pair(*counts)
    assert significance.mcnemar(a, b[::-1]) == pytest.approx((*counts[1:3], p), abs=5e-5)


def test_different_clips_are_rejected() -> None:
    """Clips, labels and classes must be the same."""
    a, b = pair(5, 4, 3, 2)
    for other in (
        b[1:],
        b.assign(clip_id=b.clip_id + "x"),
        b.assign(emotion="sad"),
        b.rename(columns={"prob_sad": "prob_calm"}),
    ):
        for compare in (significance.mcnemar, lambda a, b: significance.paired_difference(a, b, seed=1)):
            with pytest.raises(UserError, match="same clips and classes"):
                compare(a, other)
    with pytest.raises(UserError, match="knn and svm"):
        significance.compare({"knn": a, "svm": b[1:]}, seed=1)


def with_correct(n_correct: Sequence[int]) -> pd.DataFrame:
    """Predict ten clips per class of each speaker, of which `n_correct` are correct."""
    clips = random_predictions([0] * len(n_correct))
    return correct_where(clips, clips.groupby(["speaker", "emotion"]).cumcount() < np.repeat(n_correct, 40))


def test_differences_are_paired_by_speaker() -> None:
    """Speakers who are difficult for both models do not widen the interval of the difference."""
    better, worse = with_correct([2, 3, 4, 5, 6, 7, 8, 9]), with_correct([1, 2, 3, 4, 5, 6, 7, 8])
    assert significance.paired_difference(better, worse, seed=1) == pytest.approx((0.1, 0.1, 0.1, 8))
    limits = bootstrap.bootstrap(better, ["uar"], seed=1).loc["uar"]
    assert limits.ci_high - limits.ci_low > 0.3


def test_seeds_are_averaged_but_for_mcnemar() -> None:
    """The difference is that of the means over seeds; McNemar's test is of the first seed of each model."""
    difference = significance.paired_difference(PERFECT, three_seeds(), seed=1)
    assert difference[:3] == pytest.approx((0.5, 1 / 6, 5 / 6))  # limits: speaker a alone, and b alone
    assert significance.mcnemar(PERFECT, three_seeds())[:2] == (3, 0)


def test_holm() -> None:
    """Adjusted p-values are those of published examples."""
    adjusted = significance.holm([0.50, 0.003, 0.32, 0.054, 0.0003])  # from the documentation of pingouin
    assert adjusted == pytest.approx([0.64, 0.012, 0.64, 0.162, 0.0015])
    # Benjamini & Hochberg (1995), section 4: Bonferroni and Hochberg both reject the first three, so Holm must too
    infarction = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262]
    assert (significance.holm([*infarction, 0.5719, 0.6528, 0.7590, 1.0]) < 0.05).sum() == 3
    assert significance.holm([]).size == 0


@pytest.fixture(scope="module")
def models() -> dict[str, pd.DataFrame]:
    """Two similar models and one that guesses, on the same clips of twelve speakers."""
    clips = random_predictions(np.zeros(12))
    rng = np.random.default_rng(0)
    good, similar = (correct_where(clips, rng.random(len(clips)) < 0.7) for _ in range(2))
    return {"alike": similar, "guess": correct_where(clips, rng.random(len(clips)) < 0.25), "good": good}


def test_all_pairs_are_compared(models: dict[str, pd.DataFrame]) -> None:
    """Each pair has counts, p, p adjusted for three pairs, and the difference of UAR."""
    pairs = significance.compare(models, seed=1).set_index(["a", "b"])
    assert list(pairs.index) == [("alike", "guess"), ("alike", "good"), ("guess", "good")]
    assert pairs.p_holm.to_list() == pytest.approx(significance.holm(pairs.p))
    assert list(pairs.p_holm < 0.001) == list(pairs.ci_low * pairs.ci_high > 0) == [True, False, True]
    for (a, b), row in pairs.iterrows():
        test = significance.mcnemar(models[a], models[b])
        difference = significance.paired_difference(models[a], models[b], seed=1)
        assert row[[*test._fields, *difference._fields]].to_list() == pytest.approx([*test, *difference])
    assert list(significance.compare({"good": models["good"]}, seed=1)) == list(significance.PAIR_COLUMNS)


def test_not_significantly_worse(models: dict[str, pd.DataFrame]) -> None:
    """Two similar models are listed, the guesser is not; with one speaker, or unknown ones, all are."""
    uars = {name: metrics.uar(table.emotion, table.predicted) for name, table in models.items()}
    ranked = sorted(("good", "alike"), key=lambda name: -uars[name])
    assert significance.not_significantly_worse(models, seed=1) == ranked
    assert significance.not_significantly_worse({"guess": models["guess"]}, seed=1) == ["guess"]
    for speaker in ("ravdess-01", "ravdess-"):
        tables = {name: table.assign(speaker=speaker) for name, table in models.items()}
        assert significance.not_significantly_worse(tables, seed=1) == [*ranked, "guess"]


def test_more_models_need_larger_differences() -> None:
    """A model that is significantly worse on its own is not if it is one of ten."""
    best, other = with_correct([8, 7, 7, 7, 6, 6, 6, 4]), with_correct([5] * 8)
    assert significance.not_significantly_worse({"best": best, "other": other}, seed=1) == ["best"]
    many = {"best": best} | {f"other {n:02}": other for n in range(10)}
    assert significance.not_significantly_worse(many, seed=1) == list(many)


def accuracy(table: pd.DataFrame) -> float:
    return float((table.emotion == table.predicted).mean())


def test_permutation_test_of_accuracy_agrees_with_mcnemar() -> None:
    """The one-sided p is half of McNemar's two-sided p."""
    table = random_predictions([50])
    a = correct_where(table, [True] * 30 + [False] * 10)
    b = correct_where(table, [True] * 22 + [False] * 8 + [True] * 2 + [False] * 8)
    p = significance.permutation_test(a, b, accuracy, draws=999, seed=1)
    assert p == pytest.approx(significance.mcnemar(a, b).p / 2, abs=0.02)  # 8 against 2: 0.055
    assert significance.permutation_test(b, a, accuracy, draws=199, seed=1) > 0.9


def test_permutation_test_with_seeds() -> None:
    """All seeds of a clip are swapped together, in any order of rows."""
    table = random_predictions([50])
    bad = correct_where(table, [False] * 40)
    twice = pd.concat([table, table.assign(seed=2)], ignore_index=True)
    for rows in (twice, twice.sample(frac=1, random_state=1)):
        assert significance.permutation_test(rows, bad, accuracy, draws=199, seed=1) == 1 / 200
