"""Test the regression check: worse results fail, chance variation passes, and nothing is skipped without a note."""

import re
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from ser.evaluation import regression_check, summary
from ser.evaluation.regression_check import RegressionReport, Result
from ser.labels import EMOTIONS
from ser.reporting import regression_report
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


def compare(
    before: Result, after: Result, *accepted: Any, with_predictions: bool = True, **limits: Any
) -> RegressionReport:
    check = LIMITS.model_copy(update=limits)
    if not with_predictions:
        before, after = (replace(side, predictions={}) for side in (before, after))
    return regression_check.compare(before, after, check, evaluate=EVALUATE, seed=1, accepted=accepted)


TABLE = predicted()
BEFORE = result(TABLE, "main")


def test_significant_drop_of_uar_fails() -> None:
    """A loss of 3 points of UAR is reported with its size."""
    report = compare(BEFORE, result(degrade(TABLE, 3)))
    assert report.code == 1
    [sentence] = report.regressions
    assert "lstm: test UAR fell by 0.03" in sentence
    assert ", significant" in sentence
    assert report.table.set_index("number").verdict["uar"] == regression_check.WORSE


def test_large_drop_without_a_test_fails() -> None:
    """Two speakers without predictions are not testable, but a drop of 15 points is too large."""
    table = predicted(factories.ravdess(range(1, 3)))
    report = compare(result(table), result(degrade(table, 15)), with_predictions=False, max_recall_drop=1)
    assert report.code == 1
    assert "not significant, but above 0.1" in report.regressions[0]


@pytest.mark.parametrize("keep", [True, False])
def test_recall_of_zero_fails(keep: bool) -> None:
    """An emotion that is never predicted fails, also if UAR may fall that much."""
    never = result(replace_predictions(TABLE, TABLE.index[TABLE.predicted == "calm"], "neutral"))
    limits = {"max_uar_drop": 1, "max_uar_drop_not_significant": 1, "max_ece_rise": 1, "max_worst_speaker_drop": 1}
    report = compare(BEFORE, never, with_predictions=keep, **limits)
    assert report.code == 1
    assert re.search(r"lstm: recall of calm fell from 0\.\d+ to 0\.000", report.regressions[0])


@pytest.mark.parametrize("keep", [True, False])
def test_worse_calibration_fails(keep: bool) -> None:
    """The same predictions with much higher confidence fail, with predictions and without."""
    after = result(fake_predictions.scaled(TABLE, 0.1).assign(temperature=1.0))
    report = compare(BEFORE, after, with_predictions=keep)
    assert report.code == 1
    [sentence] = report.regressions
    assert "lstm: ece changed" in sentence
    assert ("limit 0.05, by check.max_ece_rise; permutation test p 0.005" if keep else "not tested") in sentence


def test_limits_without_a_test_are_wider() -> None:
    """A rise of the calibration error that fails with predictions passes without."""
    after = result(fake_predictions.scaled(TABLE, 0.2).assign(temperature=1.0))
    rise = after.metrics["lstm"]["test"]["ece"] - BEFORE.metrics["lstm"]["test"]["ece"]
    for keep in (True, False):
        assert compare(BEFORE, after, with_predictions=keep, max_ece_rise=0.7 * rise).code == keep


@pytest.mark.parametrize("keep", [True, False])
def test_drop_of_the_worst_speaker_fails(keep: bool) -> None:
    """One of 24 speakers without correct predictions fails, though UAR hardly changes."""
    rows = TABLE.index[(TABLE.speaker == "ravdess-07") & (TABLE.emotion == TABLE.predicted)]
    wrong = ["calm" if name == "neutral" else "neutral" for name in TABLE.emotion[rows]]
    after = result(replace_predictions(TABLE, rows, wrong))
    report = compare(BEFORE, after, with_predictions=keep, max_uar_drop=0.5, max_uar_drop_not_significant=1)
    assert report.code == 1
    [sentence] = report.regressions
    assert "uar_worst_speaker changed" in sentence


def test_each_model_is_checked() -> None:
    """A model that is no worse does not hide one that is."""
    bad = result(degrade(TABLE, 5), model="b")
    before = Result("main", dict.fromkeys("ab", BEFORE.metrics["lstm"]), SETTINGS, dict.fromkeys("ab", TABLE))
    after = Result("after", before.metrics | bad.metrics, SETTINGS, before.predictions | bad.predictions)
    assert [sentence.split(":")[0] for sentence in compare(before, after).regressions] == ["b"]


def test_identical_result_passes() -> None:
    """There is nothing to report but unused accepted changes; the order of corpora does not matter."""
    report = compare(result(TABLE, corpora=["a", "b"]), result(TABLE, corpora=["b", "a"]), "corpora")
    assert (report.code, report.regressions, report.missing) == (0, [], [])
    assert report.notes == ["accepted, but nothing changed: corpora."]


@pytest.mark.parametrize("clips", [CLIPS, factories.ravdess(range(1, 3))], ids=["many", "few"])
@pytest.mark.parametrize("seed", [2, 3])
def test_chance_variation_passes(clips: pd.DataFrame, seed: int) -> None:
    """A model with the same skill and another seed passes."""
    report = compare(result(predicted(clips)), result(predicted(clips, seed=seed)))
    assert (report.code, report.regressions) == (0, [])


def test_improvement_passes() -> None:
    """A higher UAR or a lower calibration error is not a regression."""
    assert compare(result(degrade(TABLE, 8)), BEFORE, max_ece_rise=1).code == 0
    assert compare(result(fake_predictions.scaled(TABLE, 0.3).assign(temperature=1.0)), BEFORE).code == 0


def test_intervals_are_compared_without_predictions() -> None:
    """Without predictions 3 points pass and 20 do not; a note names the models."""
    small = compare(BEFORE, result(degrade(TABLE, 3)), with_predictions=False, max_worst_speaker_drop=1)
    assert small.code == 0
    assert any(note.startswith("lstm: predictions of both sides") for note in small.notes)
    assert any("not significant" in note for note in small.notes)
    before = replace(BEFORE, predictions={})
    large = compare(before, result(degrade(TABLE, 20)), max_uar_drop_not_significant=1, max_recall_drop=1)
    assert ", significant" in large.regressions[0]


FOUR = ("neutral", "happy", "sad", "angry")


def test_fewer_test_clips_fail_unless_accepted() -> None:
    """If accepted, by argument or settings, the common clips are compared."""
    kept = TABLE[TABLE.speaker <= "ravdess-19"].reset_index(drop=True)
    report = compare(BEFORE, result(kept))
    assert report.code == 1
    assert "unaccepted change of test-clips: lstm was tested on 1440 clips, is on 1140" in report.regressions[0]
    assert compare(BEFORE, result(kept), "test-clips").code == 0
    assert compare(BEFORE, result(kept), accepted_changes=("test-clips",)).code == 0
    worse = compare(BEFORE, result(degrade(kept, 5)), "test-clips")
    assert worse.code == 1
    assert "test UAR fell by 0.05" in worse.regressions[0]


def test_other_labels_fail() -> None:
    """A test set of the same size with other labels is another one."""
    relabelled = TABLE.assign(emotion=TABLE.emotion.mask(TABLE.index == 3, "sad"))
    assert "lstm is tested on other clips: 1 were removed" in compare(BEFORE, result(relabelled)).regressions[0]


@pytest.mark.parametrize(
    ("change", "settings", "sentence"),
    [
        ("protocol", {"split": {"protocol": "random", "folds": 1}}, "protocol was speaker_independent, is random"),
        ("corpora", {"corpora": ["ravdess", "tess"]}, "corpora was ['ravdess'], is ['ravdess', 'tess']"),
        ("classes", {}, "lstm was tested on neutral, calm, happy, sad, angry, fearful, disgust, surprised, is on"),
    ],
)
def test_changes_of_the_task_fail_unless_accepted(change: Any, settings: dict[str, Any], sentence: str) -> None:
    """If accepted, no metric is compared."""
    four = fake_predictions.predictions(CLIPS[CLIPS.emotion.isin(FOUR)], skill=1.5, classes=FOUR)
    after = result(TABLE if settings else four, **settings)
    report, accepted = compare(BEFORE, after), compare(BEFORE, after, change)
    assert report.code == 1
    assert any(f"unaccepted change of {change}: " in line and sentence in line for line in report.regressions)
    assert (accepted.code, accepted.rows) == (0, [])
    assert any(f"accepted change of {change}: " in note and sentence in note for note in accepted.notes)


def test_removed_model_fails_unless_accepted() -> None:
    """A new model is noted; without a common model the check cannot compare."""
    two = replace(BEFORE, metrics=BEFORE.metrics | {"svm": BEFORE.metrics["lstm"]})
    report = compare(two, result(TABLE))
    assert report.code == 1
    assert "unaccepted change of models: svm: in main, but not in after" in report.regressions[0]
    assert compare(two, result(TABLE), "models").code == 0
    assert compare(result(TABLE), two).notes == ["svm is new: after has no such model."]
    no_common = compare(BEFORE, result(TABLE, model="svm"), "models")
    assert no_common.code == 2
    assert "no model in common" in no_common.missing[0]


@pytest.mark.parametrize("metric", ["uar", "ece", "uar_worst_speaker"])
def test_missing_metric_cannot_be_compared(metric: str) -> None:
    """A metric that one side lacks is reported."""
    test = {name: value for name, value in BEFORE.metrics["lstm"]["test"].items() if name != metric}
    for name, sides in (("after", (0, 1)), ("main", (1, 0))):
        lacking = Result(name, {"lstm": {"test": test | {"renamed": 0.9}}}, SETTINGS, BEFORE.predictions)
        report = compare(*((BEFORE, lacking)[side] for side in sides))
        assert report.code == 2
        assert f"lstm: {name} has no test metric {metric}" in report.missing[0]


def test_results_that_cannot_be_compared_pass() -> None:
    """Metrics under retired names are recognized, and the reason is noted."""
    assert regression_check.is_outdated({"lstm": {"test": {"uar": 0.5, "uar_low": 0.4, "kappa": 0.5}}})
    assert not regression_check.is_outdated(BEFORE.metrics)
    report = regression_check.skip_comparison("main", BEFORE, reason="main has no metrics")
    assert report.code == 0
    assert "main has no metrics" in report.notes[0]


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
