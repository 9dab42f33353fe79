"""A result that is worse than an earlier one is caught, one that differs by chance passes, and nothing is silent."""

from collections.abc import Callable, Sequence
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
    numbers = summary.summarize(table, EVALUATE, seed=1)
    return Result(name, {model: numbers}, SETTINGS | settings, {model: table})


def without_predictions(one: Result) -> Result:
    return Result(one.name, one.metrics, one.settings, {})


def compared(before: Result, after: Result, *accepted: Any, **limits: Any) -> RegressionReport:
    check = LIMITS.model_copy(update=limits)
    return regression_check.compare(before, after, check, evaluate=EVALUATE, seed=1, accepted=accepted)


def answered(table: pd.DataFrame, rows: Sequence[int] | np.ndarray, answers: Sequence[str] | str) -> pd.DataFrame:
    """Change the answers of some rows; the probability of the old answer goes to the new one and back."""
    changed, columns = table.copy(), [f"prob_{name}" for name in EMOTIONS]
    shares = changed[columns].to_numpy(copy=True)
    names = [answers] * len(rows) if isinstance(answers, str) else list(answers)
    for row, name in zip(rows, names, strict=True):
        old, new = EMOTIONS.index(changed.predicted[row]), EMOTIONS.index(name)
        shares[row, [old, new]] = shares[row, [new, old]]
    changed.loc[list(rows), "predicted"] = names
    return changed.assign(**{column: shares[:, n] for n, column in enumerate(columns)})


def wronged(table: pd.DataFrame, points: float) -> pd.DataFrame:
    """Make a model wrong on clips of every emotion that it got right, so that UAR falls by `points` hundredths."""
    right = table[table.emotion == table.predicted]
    rows = [
        row
        for emotion, clips in right.groupby("emotion")
        for row in clips.sample(round(points / 100 * (table.emotion == emotion).sum()), random_state=1).index
    ]
    return answered(table, rows, [EMOTIONS[(EMOTIONS.index(name) + 4) % 8] for name in table.emotion[rows]])


BEFORE = predicted()


# What must be caught --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("points", [3, 6])
def test_a_drop_of_three_points_is_caught(points: int) -> None:
    """Where nothing but 3 points of UAR is lost, the check fails and says by how much."""
    verdict = compared(result(BEFORE, "main"), result(wronged(BEFORE, points)))
    assert verdict.code == 1
    [said] = verdict.regressions
    assert f"lstm: test UAR fell by 0.0{points}" in said
    assert "which is shown" in said
    assert verdict.table.set_index("number").verdict["uar"] == regression_check.WORSE


def test_three_points_among_other_changes_are_caught() -> None:
    """A model trained anew answers 6 % of the clips otherwise, half of them as well as before: the loss is shown."""
    rng = np.random.default_rng(1)
    worse = wronged(BEFORE, 3)
    wrong = rng.permutation(BEFORE.index[BEFORE.emotion != BEFORE.predicted])[:22]
    lucky = answered(worse, wrong, list(worse.emotion[wrong]))
    lost = rng.permutation(lucky.index[(lucky.emotion == lucky.predicted) & ~lucky.index.isin(wrong)])[:22]
    retrained = answered(lucky, lost, [EMOTIONS[(EMOTIONS.index(name) + 3) % 8] for name in lucky.emotion[lost]])
    assert compared(result(BEFORE, "main"), result(retrained)).code == 1


def test_a_large_drop_without_any_test_is_caught() -> None:
    """Two speakers and no predictions show nothing, and ten points are too many all the same."""
    table = predicted(factories.ravdess(range(1, 3)))
    sides = [without_predictions(result(one)) for one in (table, wronged(table, 15))]
    verdict = compared(*sides, max_recall_drop=1)
    assert verdict.code == 1
    assert "not shown, but above 0.1" in verdict.regressions[0]


def test_an_emotion_that_is_never_answered_is_caught() -> None:
    """Recall at zero fails, also where UAR may fall that much."""
    never = answered(BEFORE, BEFORE.index[BEFORE.predicted == "calm"], "neutral")
    for sides in ((result(BEFORE), result(never)), map(without_predictions, (result(BEFORE), result(never)))):
        verdict = compared(
            *sides, max_uar_drop=1, max_uar_drop_not_significant=1, max_ece_rise=1, max_worst_speaker_drop=1
        )
        assert verdict.code == 1
        assert "lstm: the recall of calm collapsed from 0." in verdict.regressions[0]
        assert "to 0.000" in verdict.regressions[0]


@pytest.mark.parametrize("keep", [True, False])
def test_worse_calibration_is_caught(keep: bool) -> None:
    """The same answers with far too much confidence fail, with predictions and without."""
    sure = fake_predictions.scaled(BEFORE, 0.1).assign(temperature=1.0)
    sides = [result(BEFORE), result(sure)]
    verdict = compared(*(sides if keep else map(without_predictions, sides)))
    assert verdict.code == 1
    [said] = verdict.regressions
    assert "ece went from" in said
    assert ("limit 0.05, by check.max_ece_rise; p 0.005 by swapping answers" if keep else "not tested, for") in said


def test_untested_limits_are_wider() -> None:
    """What predictions would show, the numbers alone do not, as they move by chance where clips are few."""
    sides = [result(BEFORE), result(fake_predictions.scaled(BEFORE, 0.2).assign(temperature=1.0))]
    rise = sides[1].metrics["lstm"]["test"]["ece"] - sides[0].metrics["lstm"]["test"]["ece"]
    limits = {"max_ece_rise": 0.7 * rise}
    assert compared(*sides, **limits).code == 1
    assert compared(*map(without_predictions, sides), **limits).code == 0


@pytest.mark.parametrize("keep", [True, False])
def test_one_speaker_who_is_no_longer_understood_is_caught(keep: bool) -> None:
    """The worst speaker counts, though one of 24 hardly moves UAR."""
    rows = BEFORE.index[(BEFORE.speaker == "ravdess-07") & (BEFORE.emotion == BEFORE.predicted)]
    worse = answered(BEFORE, rows, [EMOTIONS[(EMOTIONS.index(name) + 4) % 8] for name in BEFORE.emotion[rows]])
    sides = [result(BEFORE), result(worse)]
    verdict = compared(
        *(sides if keep else map(without_predictions, sides)), max_uar_drop=0.5, max_uar_drop_not_significant=1
    )
    assert verdict.code == 1
    [said] = verdict.regressions
    assert "uar_worst_speaker went from" in said


def test_each_model_is_judged_by_itself() -> None:
    """A better model beside it does not hide one that got worse."""
    good, bad = result(BEFORE), result(wronged(BEFORE, 5))
    before = Result("main", dict.fromkeys("ab", good.metrics["lstm"]), SETTINGS, dict.fromkeys("ab", BEFORE))
    metrics = {"a": good.metrics["lstm"], "b": bad.metrics["lstm"]}
    after = Result("after", metrics, SETTINGS, {"a": BEFORE, "b": bad.predictions["lstm"]})
    verdict = compared(before, after)
    assert [said.split(":")[0] for said in verdict.regressions] == ["b"]


# What must pass -------------------------------------------------------------------------------------------------------


def test_the_same_result_passes() -> None:
    """Nothing differs, nothing is said."""
    verdict = compared(result(BEFORE), result(BEFORE))
    assert (verdict.code, verdict.regressions, verdict.missing, verdict.notes) == (0, [], [], [])


@pytest.mark.parametrize("seed", [1, 3, 5, 7, 19])
def test_chance_passes(seed: int) -> None:
    """A model that is as good and answers otherwise, as one trained from another seed, is not called worse."""
    verdict = compared(result(predicted(seed=seed)), result(predicted(seed=seed + 1)))
    assert (verdict.code, verdict.regressions) == (0, [])


@pytest.mark.parametrize("seed", range(2, 5))
def test_chance_passes_on_few_clips(seed: int) -> None:
    """Two speakers and 120 clips, as in the demo: numbers move by several points, and nothing is shown by that."""
    few = factories.ravdess(range(1, 3))
    verdict = compared(result(predicted(few)), result(predicted(few, seed=seed)))
    assert (verdict.code, verdict.regressions) == (0, [])


def test_what_is_better_passes() -> None:
    """Neither a higher UAR nor a lower calibration error is a change for the worse."""
    assert compared(result(wronged(BEFORE, 8)), result(BEFORE), max_ece_rise=1).code == 0
    assert compared(result(fake_predictions.scaled(BEFORE, 0.3).assign(temperature=1.0)), result(BEFORE)).code == 0


def test_intervals_alone_are_said_to_be_blunt() -> None:
    """Without predictions three points pass, twenty do not, and the verdict names the models that it was so for."""
    before = without_predictions(result(BEFORE))
    small = compared(before, without_predictions(result(wronged(BEFORE, 3))), max_worst_speaker_drop=1)
    assert small.code == 0
    assert any("lstm: predictions of both sides are not at hand" in note for note in small.notes)
    assert any("which may be chance" in note for note in small.notes)
    large = compared(before, result(wronged(BEFORE, 20)), max_uar_drop_not_significant=1, max_recall_drop=1)
    assert "which is shown" in large.regressions[0]


# Another question -----------------------------------------------------------------------------------------------------

FEWER = predicted(factories.ravdess(range(1, 20)))
FOUR = ("neutral", "happy", "sad", "angry")


def test_a_shrunken_test_set_is_caught() -> None:
    """Fewer test clips fail until they are accepted; then the clips that both have are compared."""
    kept = BEFORE[BEFORE.speaker <= "ravdess-19"].reset_index(drop=True)
    verdict = compared(result(BEFORE), result(kept))
    assert verdict.code == 1
    [said] = verdict.regressions
    assert "unaccepted change of test-clips: lstm was tested on 1440 clips, is on 1140" in said
    assert "--accept test-clips" in said
    assert compared(result(BEFORE), result(kept), "test-clips").code == 0
    assert compared(result(BEFORE), result(kept), accepted=("test-clips",)).code == 0
    worse = compared(result(BEFORE), result(wronged(kept, 5)), "test-clips")
    assert worse.code == 1
    assert "test UAR fell by 0.05" in worse.regressions[0]


def test_as_many_other_clips_are_caught() -> None:
    """A test set of the same size and other speakers, or other labels, is another one."""
    others = predicted(factories.ravdess(range(5, 25)))
    twenty = predicted(factories.ravdess(range(1, 21)))
    said = compared(result(twenty), result(others)).regressions[0]
    assert "unaccepted change of test-clips: lstm is tested on other clips: 240 are gone and 240 are new" in said
    relabelled = BEFORE.assign(emotion=BEFORE.emotion.mask(BEFORE.index == 3, "sad"))
    assert "test-clips" in compared(result(BEFORE), result(relabelled)).regressions[0]


CHANGES: dict[str, tuple[Callable[[], Result], str]] = {
    "protocol": (
        lambda: result(BEFORE, split={"protocol": "random", "folds": 1}),
        "split.protocol was speaker_independent, is random",
    ),
    "corpora": (lambda: result(BEFORE, corpora=["ravdess", "tess"]), "corpora was ['ravdess'], is ['ravdess', 'tess']"),
    "classes": (
        lambda: result(fake_predictions.predictions(CLIPS[CLIPS.emotion.isin(FOUR)], skill=1.5, classes=FOUR)),
        "lstm was tested on neutral, calm, happy, sad, angry, fearful, disgust, surprised, is on neutral, happy,",
    ),
    "models": (
        lambda: Result("after", {"svm": result(BEFORE).metrics["lstm"]} | result(BEFORE).metrics, SETTINGS, {}),
        "",
    ),
}


@pytest.mark.parametrize("change", ["protocol", "corpora", "classes"])
def test_another_question_must_be_declared(change: Any) -> None:
    """Numbers are not compared across protocols, corpora or classes; the change itself fails until it is accepted."""
    make, said = CHANGES[change]
    verdict = compared(result(BEFORE, "main"), make())
    assert verdict.code == 1
    assert any(f"unaccepted change of {change}: {said}" in line for line in verdict.regressions)
    accepted = compared(result(BEFORE, "main"), make(), change)
    assert (accepted.code, accepted.rows) == (0, [])
    assert any(f"accepted change of {change}: {said}" in note for note in accepted.notes)
    assert any("No number was compared" in note for note in accepted.notes)


def test_the_order_of_corpora_is_no_change() -> None:
    """[tess, ravdess] asks what [ravdess, tess] asks."""
    assert compared(result(BEFORE, corpora=["a", "b"]), result(BEFORE, corpora=["b", "a"])).code == 0


def test_a_model_that_vanished() -> None:
    """A model that is no longer there has its own message, and passes if that is accepted; a new one is noted."""
    old = result(BEFORE, "main")
    two = Result("main", old.metrics | {"svm": old.metrics["lstm"]}, SETTINGS, old.predictions)
    verdict = compared(two, result(BEFORE))
    assert verdict.code == 1
    assert "unaccepted change of models: svm vanished: in main, and not in after" in verdict.regressions[0]
    assert compared(two, result(BEFORE), "models").code == 0
    assert compared(result(BEFORE), two).notes == ["svm is new: after has no such model."]
    none_left = compared(result(BEFORE, "main"), result(BEFORE, model="svm"), "models")
    assert none_left.code == 2
    assert "no model in common" in none_left.missing[0]


def test_a_declaration_of_nothing_is_noted() -> None:
    """A forgotten declaration would let the next change pass."""
    assert compared(result(BEFORE), result(BEFORE), "corpora").notes == ["accepted, but nothing changed: corpora."]


def test_an_unknown_declaration_is_refused() -> None:
    """The message lists those that there are."""
    with pytest.raises(UserError, match="accepted change 'model': expected one of corpora, protocol, classes, test"):
        regression_check.parse_accepted_changes(["model"])


# Nothing is silent ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["uar", "ece", "uar_worst_speaker"])
def test_a_renamed_metric_cannot_be_compared(metric: str) -> None:
    """A number that one side lacks is no number that is fine."""
    good = result(BEFORE, "main")
    test = {name: value for name, value in good.metrics["lstm"]["test"].items() if name != metric}
    lacking = Result("after", {"lstm": {"test": test | {"renamed": 0.9}}}, SETTINGS, good.predictions)
    verdict = compared(good, lacking)
    assert verdict.code == 2
    assert f"lstm: after has no test metric {metric}. Was it renamed" in verdict.missing[0]
    assert "main has no test metric" in compared(Result("main", *_rest(lacking)), good).missing[0]


def _rest(one: Result) -> tuple[Any, Any, Any]:
    return one.metrics, one.settings, one.predictions


def test_a_first_result_passes_and_says_so() -> None:
    """Where there is nothing to compare with, that is said."""
    verdict = regression_check.initial_result("main", result(BEFORE))
    assert verdict.code == 0
    assert "main has no metrics/metrics.json: this is the first result" in verdict.notes[0]


def test_metrics_of_an_earlier_version_are_not_compared() -> None:
    """Metrics under retired names are recognized; the result passes as a first one does, and the reason is given."""
    current, earlier = result(BEFORE).metrics, {"lstm": {"test": {"uar": 0.5, "uar_low": 0.4, "kappa": 0.5}}}
    assert regression_check.is_outdated(earlier)
    assert not regression_check.is_outdated(current)
    verdict = regression_check.not_comparable("main", result(BEFORE))
    assert verdict.code == 0
    assert "not comparable: metrics of main were written by an earlier version" in verdict.notes[0]


# In words -------------------------------------------------------------------------------------------------------------


def test_pages() -> None:
    """Both pages name the verdict, each number and each reason; pictures stand below the comment."""
    verdict = compared(result(BEFORE, "main"), result(wronged(BEFORE, 5)))
    page = regression_report.markdown(verdict, pictures=["https://example.org/reports/leaderboard.png"])
    assert page.startswith("## Regression check: worse\n\nTest clips, after compared with main.\n")
    assert page.endswith("![leaderboard.png](https://example.org/reports/leaderboard.png)\n")
    shown = regression_report.console_report(verdict)
    assert shown.endswith("Regression check: worse")
    for text in (page, shown):
        assert verdict.regressions[0] in text
        assert "UAR of the worst speaker" in text and "-0.05" in text
