"""Test the regression check: worse results fail, chance variation passes, and nothing is skipped without a note."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ser.evaluation import regression_check, summary
from ser.evaluation.regression_check import RegressionReport, Result
from ser.labels import EMOTIONS
from ser.reporting import regression_report
from ser.utils.errors import UserError
from tests.helpers import factories, fake_predictions
from tests.helpers.fake_predictions import degrade, replace_predictions

CLIPS = factories.ravdess()
"""24 speakers, 1440 clips."""
EVALUATE = factories.settings(evaluate={"n_resamples": 300}).evaluate
LIMITS = factories.settings().check
SETTINGS = {
    "corpora": ["ravdess"],
    "data_seed": 1,
    "split": {"protocol": "speaker_independent", "folds": 1},
    "emotions": {"merge": {}},
}


def predicted(clips: pd.DataFrame = CLIPS, *, seed: int = 1) -> pd.DataFrame:
    return fake_predictions.predictions(clips, skill=1.5, classes=EMOTIONS, seeds=[seed])


def result(table: pd.DataFrame, name: str = "after", *, model: str = "lstm", **settings: Any) -> Result:
    metrics = summary.summarize(table, EVALUATE, seed=1)
    return Result(name, {model: metrics}, SETTINGS | settings, {model: table})


def without_predictions(results: Iterable[Result]) -> list[Result]:
    return [Result(each.name, each.metrics, each.settings, {}) for each in results]


def compare(before: Result, after: Result, *accepted: Any, **limits: Any) -> RegressionReport:
    check = LIMITS.model_copy(update=limits)
    return regression_check.compare(before, after, check, evaluate=EVALUATE, seed=1, accepted=accepted)


def shift(emotions: Iterable[str], by: int = 4) -> list[str]:
    """Replace emotions by wrong ones."""
    return [EMOTIONS[(EMOTIONS.index(name) + by) % 8] for name in emotions]


TABLE = predicted()
BEFORE = result(TABLE, "main")

# Regressions ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("points", [3, 6])
def test_significant_drop_of_uar_fails(points: int) -> None:
    """A loss of 3 points of UAR is reported with its size."""
    report = compare(BEFORE, result(degrade(TABLE, points)))
    assert report.code == 1
    [sentence] = report.regressions
    assert f"lstm: test UAR fell by 0.0{points}" in sentence
    assert ", significant" in sentence
    assert report.table.set_index("number").verdict["uar"] == regression_check.WORSE


def test_drop_among_other_changes_fails() -> None:
    """A retrained model predicts 6 % of the clips differently, half of them better."""
    rng = np.random.default_rng(1)
    worse = degrade(TABLE, 3)
    errors = rng.permutation(TABLE.index[TABLE.emotion != TABLE.predicted])[:22]
    better = replace_predictions(worse, errors, list(worse.emotion[errors]))
    lost = rng.permutation(better.index[(better.emotion == better.predicted) & ~better.index.isin(errors)])[:22]
    retrained = replace_predictions(better, lost, shift(better.emotion[lost], 3))
    assert compare(BEFORE, result(retrained)).code == 1


def test_large_drop_without_a_test_fails() -> None:
    """Two speakers without predictions are not testable, but a drop of 15 points is too large."""
    table = predicted(factories.ravdess(range(1, 3)))
    report = compare(*without_predictions(map(result, (table, degrade(table, 15)))), max_recall_drop=1)
    assert report.code == 1
    assert "not significant, but above 0.1" in report.regressions[0]


@pytest.mark.parametrize("keep", [True, False])
def test_recall_of_zero_fails(keep: bool) -> None:
    """An emotion that is never predicted fails, also if UAR may fall that much."""
    never = replace_predictions(TABLE, TABLE.index[TABLE.predicted == "calm"], "neutral")
    sides = [BEFORE, result(never)]
    limits = {"max_uar_drop": 1, "max_uar_drop_not_significant": 1, "max_ece_rise": 1, "max_worst_speaker_drop": 1}
    report = compare(*(sides if keep else without_predictions(sides)), **limits)
    assert report.code == 1
    assert "lstm: recall of calm fell from 0." in report.regressions[0]
    assert "to 0.000" in report.regressions[0]


@pytest.mark.parametrize("keep", [True, False])
def test_worse_calibration_fails(keep: bool) -> None:
    """The same predictions with much higher confidence fail, with predictions and without."""
    sides = [BEFORE, result(fake_predictions.scaled(TABLE, 0.1).assign(temperature=1.0))]
    report = compare(*(sides if keep else without_predictions(sides)))
    assert report.code == 1
    [sentence] = report.regressions
    assert "lstm: ece changed" in sentence
    assert ("limit 0.05, by check.max_ece_rise; permutation test p 0.005" if keep else "not tested") in sentence


def test_limits_without_a_test_are_wider() -> None:
    """A rise of the calibration error that fails with predictions passes without."""
    sides = [BEFORE, result(fake_predictions.scaled(TABLE, 0.2).assign(temperature=1.0))]
    rise = sides[1].metrics["lstm"]["test"]["ece"] - sides[0].metrics["lstm"]["test"]["ece"]
    assert compare(*sides, max_ece_rise=0.7 * rise).code == 1
    assert compare(*without_predictions(sides), max_ece_rise=0.7 * rise).code == 0


@pytest.mark.parametrize("keep", [True, False])
def test_drop_of_the_worst_speaker_fails(keep: bool) -> None:
    """One of 24 speakers without correct predictions fails, though UAR hardly changes."""
    rows = TABLE.index[(TABLE.speaker == "ravdess-07") & (TABLE.emotion == TABLE.predicted)]
    sides = [BEFORE, result(replace_predictions(TABLE, rows, shift(TABLE.emotion[rows])))]
    sides = sides if keep else without_predictions(sides)
    report = compare(*sides, max_uar_drop=0.5, max_uar_drop_not_significant=1)
    assert report.code == 1
    [sentence] = report.regressions
    assert "uar_worst_speaker changed" in sentence


def test_each_model_is_checked() -> None:
    """A model that is no worse does not hide one that is."""
    bad = result(degrade(TABLE, 5))
    before = Result("main", dict.fromkeys("ab", BEFORE.metrics["lstm"]), SETTINGS, dict.fromkeys("ab", TABLE))
    metrics = {"a": BEFORE.metrics["lstm"], "b": bad.metrics["lstm"]}
    after = Result("after", metrics, SETTINGS, {"a": TABLE, "b": bad.predictions["lstm"]})
    assert [sentence.split(":")[0] for sentence in compare(before, after).regressions] == ["b"]


# Results that pass ----------------------------------------------------------------------------------------------------


def test_identical_result_passes() -> None:
    """There is nothing to report."""
    report = compare(BEFORE, result(TABLE))
    assert (report.code, report.regressions, report.missing, report.notes) == (0, [], [], [])


@pytest.mark.parametrize(
    ("clips", "before", "after"),
    [
        *((CLIPS, seed, seed + 1) for seed in (1, 3, 5, 7, 19)),
        *((factories.ravdess(range(1, 3)), 1, seed) for seed in (2, 3, 4)),  # few clips vary by several points
    ],
)
def test_chance_variation_passes(clips: pd.DataFrame, before: int, after: int) -> None:
    """A model with the same skill and another seed passes."""
    report = compare(result(predicted(clips, seed=before)), result(predicted(clips, seed=after)))
    assert (report.code, report.regressions) == (0, [])


def test_improvement_passes() -> None:
    """A higher UAR or a lower calibration error is not a regression."""
    assert compare(result(degrade(TABLE, 8)), BEFORE, max_ece_rise=1).code == 0
    assert compare(result(fake_predictions.scaled(TABLE, 0.3).assign(temperature=1.0)), BEFORE).code == 0


def test_intervals_are_compared_without_predictions() -> None:
    """Without predictions 3 points pass and 20 do not; a note names the models."""
    small = compare(*without_predictions([BEFORE, result(degrade(TABLE, 3))]), max_worst_speaker_drop=1)
    assert small.code == 0
    assert any(note.startswith("lstm: predictions of both sides") for note in small.notes)
    assert any("not significant" in note for note in small.notes)
    sides = [*without_predictions([BEFORE]), result(degrade(TABLE, 20))]
    large = compare(*sides, max_uar_drop_not_significant=1, max_recall_drop=1)
    assert ", significant" in large.regressions[0]


# Changes of the task --------------------------------------------------------------------------------------------------

FOUR = ("neutral", "happy", "sad", "angry")


def test_fewer_test_clips_fail_unless_accepted() -> None:
    """If accepted, by argument or settings, the common clips are compared."""
    kept = TABLE[TABLE.speaker <= "ravdess-19"].reset_index(drop=True)
    report = compare(BEFORE, result(kept))
    assert report.code == 1
    [sentence] = report.regressions
    assert "unaccepted change of test-clips: lstm was tested on 1440 clips, is on 1140" in sentence
    assert "--accept test-clips" in sentence
    assert compare(BEFORE, result(kept), "test-clips").code == 0
    assert compare(BEFORE, result(kept), accepted_changes=("test-clips",)).code == 0
    worse = compare(BEFORE, result(degrade(kept, 5)), "test-clips")
    assert worse.code == 1
    assert "test UAR fell by 0.05" in worse.regressions[0]


def test_other_clips_or_labels_fail() -> None:
    """A test set of the same size with other speakers or labels is another one."""
    tables = [predicted(factories.ravdess(speakers)) for speakers in (range(1, 21), range(5, 25))]
    sentence = compare(*map(result, tables)).regressions[0]
    assert "unaccepted change of test-clips" in sentence and "240 were removed and 240 added" in sentence
    relabelled = TABLE.assign(emotion=TABLE.emotion.mask(TABLE.index == 3, "sad"))
    assert "test-clips" in compare(BEFORE, result(relabelled)).regressions[0]


CHANGES: dict[str, tuple[Callable[[], Result], str]] = {
    "protocol": (
        lambda: result(TABLE, split={"protocol": "random", "folds": 1}),
        "split.protocol was speaker_independent, is random",
    ),
    "corpora": (lambda: result(TABLE, corpora=["ravdess", "tess"]), "corpora was ['ravdess'], is ['ravdess', 'tess']"),
    "classes": (
        lambda: result(fake_predictions.predictions(CLIPS[CLIPS.emotion.isin(FOUR)], skill=1.5, classes=FOUR)),
        "lstm was tested on neutral, calm, happy, sad, angry, fearful, disgust, surprised, is on neutral, happy,",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changes_of_the_task_fail_unless_accepted(change: Any) -> None:
    """If accepted, no metric is compared."""
    make, sentence = CHANGES[change]
    report = compare(BEFORE, make())
    assert report.code == 1
    assert any(f"unaccepted change of {change}: {sentence}" in line for line in report.regressions)
    accepted = compare(BEFORE, make(), change)
    assert (accepted.code, accepted.rows) == (0, [])
    assert any(f"accepted change of {change}: {sentence}" in note for note in accepted.notes)
    assert any("No metric was compared" in note for note in accepted.notes)


def test_order_of_corpora_does_not_matter() -> None:
    """[tess, ravdess] equals [ravdess, tess]."""
    assert compare(result(TABLE, corpora=["a", "b"]), result(TABLE, corpora=["b", "a"])).code == 0


def test_removed_model_fails_unless_accepted() -> None:
    """A new model is noted; without a common model the check cannot compare."""
    two = Result("main", BEFORE.metrics | {"svm": BEFORE.metrics["lstm"]}, SETTINGS, BEFORE.predictions)
    report = compare(two, result(TABLE))
    assert report.code == 1
    assert "unaccepted change of models: svm: in main, but not in after" in report.regressions[0]
    assert compare(two, result(TABLE), "models").code == 0
    assert compare(result(TABLE), two).notes == ["svm is new: after has no such model."]
    no_common = compare(BEFORE, result(TABLE, model="svm"), "models")
    assert no_common.code == 2
    assert "no model in common" in no_common.missing[0]


def test_unused_and_unknown_accepted_changes() -> None:
    """An accepted change that did not happen is noted; an unknown one is an error that lists the known ones."""
    assert compare(BEFORE, result(TABLE), "corpora").notes == ["accepted, but nothing changed: corpora."]
    with pytest.raises(UserError, match="'model': expected one of corpora, protocol, classes, test-clips"):
        regression_check.parse_accepted_changes(["model"])


# Missing metrics ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["uar", "ece", "uar_worst_speaker"])
def test_missing_metric_cannot_be_compared(metric: str) -> None:
    """A metric that one side lacks is reported."""
    test = {name: value for name, value in BEFORE.metrics["lstm"]["test"].items() if name != metric}
    for name, sides in (("after", (0, 1)), ("main", (1, 0))):
        lacking = Result(name, {"lstm": {"test": test | {"renamed": 0.9}}}, SETTINGS, BEFORE.predictions)
        report = compare(*((BEFORE, lacking)[side] for side in sides))
        assert report.code == 2
        assert f"lstm: {name} has no test metric {metric}" in report.missing[0]


def test_results_without_comparable_metrics_pass() -> None:
    """The first result, and metrics under retired names, are noted."""
    initial = regression_check.initial_result("main", BEFORE)
    assert initial.code == 0
    assert "main has no metrics/metrics.json" in initial.notes[0]
    assert regression_check.is_outdated({"lstm": {"test": {"uar": 0.5, "uar_low": 0.4, "kappa": 0.5}}})
    assert not regression_check.is_outdated(BEFORE.metrics)
    outdated = regression_check.not_comparable("main", BEFORE)
    assert outdated.code == 0
    assert "not comparable: metrics of main" in outdated.notes[0]


# Reports --------------------------------------------------------------------------------------------------------------


def test_reports_contain_metrics_and_reasons() -> None:
    """The pull request comment and the console report have the outcome, the metrics and the reasons."""
    report = compare(BEFORE, result(degrade(TABLE, 5)))
    comment = regression_report.markdown(report, pictures=["https://example.org/reports/leaderboard.png"])
    assert comment.startswith("## Regression check: worse\n\nTest clips, after compared with main.\n")
    assert comment.endswith("![leaderboard.png](https://example.org/reports/leaderboard.png)\n")
    console = regression_report.console_report(report)
    assert console.endswith("Regression check: worse")
    for text in (comment, console):
        assert report.regressions[0] in text
        assert "UAR of the worst speaker" in text and "-0.05" in text
