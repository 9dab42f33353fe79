"""Whether a result is worse than an earlier one. Metrics and prediction tables in, a verdict out.

Conventions: a drop counts only if it is larger than a limit and shown, that is, more than chance. Where both sides'
predictions of the same test clips are at hand, they are compared clip by clip and speaker by speaker; else by the
intervals in the metrics, which is blunter, and the verdict says so. A number that is missing is never taken for one
that is fine.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
import pandas as pd

from ser import paths
from ser.dataset.clip_metadata import is_unknown_speaker
from ser.evaluation import calibration, summary
from ser.evaluation._drop_significance import ModelPair, Numbers, TestResult, TestSettings, swap_test_p, test_drop
from ser.params import Change, Check, Evaluate
from ser.utils.errors import UserError

COLUMNS = ("model", "number", "before", "after", "change", "ci_low", "ci_high", "p", "verdict")
OK, WORSE = "ok", "worse"
TESTS = 4
"""Of each model: UAR, recalls, calibration error, worst speaker."""
UNTESTED_FACTOR = 2
"""Limits are that much wider where there are no predictions to test by: over few clips numbers move by chance."""
IDENTITY = ("clip_id", "speaker", "emotion")
IMPLIED_CHANGES: Mapping[Change, frozenset[Change]] = {
    "corpora": frozenset({"classes", "test-clips"}),
    "protocol": frozenset({"classes", "test-clips"}),
    "classes": frozenset({"test-clips"}),
}
"""Changes that follow from others, and are accepted with them."""
INCOMPARABLE: tuple[Change, ...] = ("corpora", "protocol", "classes")
"""Changes after which the same number means something else."""
RETIRED_METRICS = frozenset({"ece_raw", "kappa", "recall", "sex_gap", "top2", "uar_high", "uar_low"})
"""Names of test metrics in earlier versions; add to them where a metric is renamed."""


@dataclass(frozen=True)
class Result:
    """What a revision, or the workspace, says of its models.

    Attributes
    ----------
    name
        How messages call it.
    metrics
        {model: {split: {metric: number}}}, as `ser.evaluation.evaluate` writes it.
    settings
        The sections of params.yaml that it was made with: corpora, data_seed, emotions and split are compared.
    predictions
        {model: prediction table} of those models whose tables are at hand.
    """

    name: str
    metrics: Mapping[str, Mapping[str, Numbers]]
    settings: Mapping[str, Any]
    predictions: Mapping[str, pd.DataFrame]


@dataclass
class RegressionReport:
    """What was found, in numbers and in sentences.

    Attributes
    ----------
    before, after
        The names of the two results.
    rows
        One a model and number, as `COLUMNS`.
    regressions
        What is worse, or changed without being accepted.
    missing
        What could not be compared and should have been.
    notes
        What a reader should know.
    """

    before: str
    after: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    regressions: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def code(self) -> int:
        """The exit code: 1 if something is worse, 2 if something could not be compared, 0 else."""
        return 1 if self.regressions else 2 if self.missing else 0

    @property
    def table(self) -> pd.DataFrame:
        """`COLUMNS`, a row a model and number."""
        return pd.DataFrame(self.rows, columns=list(COLUMNS))


def parse_accepted_changes(words: Sequence[str]) -> list[Change]:
    """Take words for changes that are meant.

    Raises
    ------
    UserError
        If one is no such change.
    """
    known = {str(change): change for change in get_args(Change)}
    unknown = [word for word in words if word not in known]
    if unknown:
        raise UserError(f"accepted change {unknown[0]!r}: expected one of {', '.join(known)}.")
    return [known[word] for word in words]


def initial_result(before: str, after: Result) -> RegressionReport:
    """Pass the first result of all: `before` is a revision without metrics."""
    note = (
        f"{before} has no {paths.METRICS}: this is the first result, or an earlier version stored it elsewhere, and "
        "there is nothing to compare it with. "
        f"It passes, with {', '.join(after.metrics)}; the next one is compared with it."
    )
    return RegressionReport(before, after.name, notes=[note])


def is_outdated(metrics: Mapping[str, Mapping[str, Numbers]]) -> bool:
    """Find out whether an earlier version wrote some metrics, under other names."""
    return any(RETIRED_METRICS & set(splits["test"]) for splits in metrics.values())


def not_comparable(before: str, after: Result) -> RegressionReport:
    """Pass a result where an earlier version wrote the metrics of `before`, as if it were the first."""
    note = (
        f"not comparable: metrics of {before} were written by an earlier version, which named them otherwise. The "
        f"result passes, with {', '.join(after.metrics)}; the next one is compared with it."
    )
    return RegressionReport(before, after.name, notes=[note])


def compare(
    before: Result, after: Result, limits: Check, *, evaluate: Evaluate, seed: int, accepted: Sequence[Change] = ()
) -> RegressionReport:
    """Judge a result by an earlier one.

    Parameters
    ----------
    before, after
        The earlier result and the one to be judged.
    limits
        The section `check`; `alpha` is divided by the number of models and of `TESTS` (Bonferroni).
    evaluate
        The section `evaluate`, for the bootstrap.
    seed
        Of the bootstrap.
    accepted
        Changes that are meant, beside those of `limits.accepted_changes`.

    Returns
    -------
    Verdict
        Models that both have are compared each by itself. Where corpora, protocol or classes differ, no number is:
        the same number would mean something else.
    """
    verdict = RegressionReport(before.name, after.name)
    models = [model for model in before.metrics if model in after.metrics]
    changes = _changes(before, after, models)
    _check_changes(verdict, changes, {*accepted, *limits.accepted_changes})
    verdict.notes += [
        f"{model} is new: {before.name} has no such model." for model in after.metrics if model not in before.metrics
    ]
    if any(change in changes for change in INCOMPARABLE):
        verdict.notes.append("No number was compared: after such a change the same number means something else.")
        return verdict
    if not models:
        verdict.missing.append(f"{before.name} and {after.name} have no model in common; there is nothing to compare.")
        return verdict
    settings = TestSettings(limits, limits.alpha / (TESTS * len(models)), evaluate, seed)
    for model in models:
        _check_model(verdict, _pair(model, before, after, settings), settings)
    _note_missing_predictions(verdict, before, after, models)
    return verdict


# What is compared -----------------------------------------------------------------------------------------------------


def _changes(before: Result, after: Result, models: Sequence[str]) -> dict[Change, str]:
    """Say in which ways the question itself changed."""
    gone = [model for model in before.metrics if model not in after.metrics]
    found: dict[Change, str] = {
        "corpora": _settings_changed(before, after, ("corpora",)),
        "protocol": _settings_changed(before, after, ("data_seed", "split", "emotions")),
        "models": f"{', '.join(gone)} vanished: in {before.name}, and not in {after.name}" if gone else "",
        "classes": _first(_classes_changed(model, before, after) for model in models),
        "test-clips": _first(_clips_changed(model, before, after) for model in models),
    }
    return {change: sentence for change, sentence in found.items() if sentence}


def _first(sentences: Iterator[str]) -> str:
    return next((sentence for sentence in sentences if sentence), "")


def _settings_changed(before: Result, after: Result, sections: Sequence[str]) -> str:
    old, new = (_by_key(side.settings, sections) for side in (before, after))
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return "; ".join(f"{key} was {old.get(key, 'not set')}, is {new.get(key, 'not set')}" for key in keys)


def _by_key(settings: Mapping[str, Any], sections: Sequence[str]) -> dict[str, Any]:
    """Give every key of some sections its path; a section that is a value is a key itself."""
    found: dict[str, Any] = {}
    for name in sections:
        section = _canonical(settings.get(name))
        inner = {f"{name}.{key}": value for key, value in section.items()} if isinstance(section, Mapping) else None
        found |= {name: section} if inner is None else inner
    return found


def _canonical(section: Any) -> Any:
    """Forget the order of names, which says nothing about what is tested."""
    if isinstance(section, Mapping):
        return {key: _canonical(value) for key, value in section.items()}
    return sorted(section) if isinstance(section, (list, tuple)) else section


def _classes_changed(model: str, before: Result, after: Result) -> str:
    old, new = (_classes(side.metrics[model]["test"]) for side in (before, after))
    return f"{model} was tested on {', '.join(old)}, is on {', '.join(new)}" if set(old) != set(new) else ""


def _classes(numbers: Numbers) -> list[str]:
    names = [name.removeprefix("recall_") for name in numbers if name.startswith("recall_")]
    return [name for name in names if not name.endswith(("_ci_low", "_ci_high"))]


def _clips_changed(model: str, before: Result, after: Result) -> str:
    old, new = (side.metrics[model]["test"].get("clips") for side in (before, after))
    if old is not None and new is not None and old != new:
        return f"{model} was tested on {old:g} clips, is on {new:g}"
    tables = _tables(model, before, after)
    gone, added = _clips(tables[0]) - _clips(tables[1]), _clips(tables[1]) - _clips(tables[0])
    if not gone and not added:
        return ""
    example = min(gone or added)
    return (
        f"{model} is tested on other clips: {len(gone)} are gone and {len(added)} are new, such as {' '.join(example)}"
    )


def _tables(model: str, before: Result, after: Result) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Take the test rows of both sides; none of either where one side has none."""
    if model in before.predictions and model in after.predictions:
        return summary.select_test_rows(before.predictions[model]), summary.select_test_rows(after.predictions[model])
    return pd.DataFrame(columns=list(IDENTITY)), pd.DataFrame(columns=list(IDENTITY))


def _clips(table: pd.DataFrame) -> set[tuple[str, ...]]:
    """Name the clips, and what they are said to be: with another label a clip is another question."""
    return set(table[list(IDENTITY)].itertuples(index=False, name=None))


def _check_changes(verdict: RegressionReport, changes: Mapping[Change, str], accepted: set[Change]) -> None:
    meant = accepted.union(*(IMPLIED_CHANGES.get(change, frozenset()) for change in accepted))
    for change, sentence in changes.items():
        if change in meant:
            verdict.notes.append(f"accepted change of {change}: {sentence}.")
        else:
            verdict.regressions.append(
                f"unaccepted change of {change}: {sentence}. If it is intended, pass --accept {change} "
                "(make check-metrics ACCEPT=…) or name it in check.accepted_changes of params.yaml."
            )
    unused = sorted(accepted - set(changes))
    if unused:
        verdict.notes.append(f"accepted, but nothing changed: {', '.join(unused)}.")


def _pair(model: str, before: Result, after: Result, settings: TestSettings) -> ModelPair:
    """Put both sides of a model together, cut down to the clips that both were tested on."""
    old, new = _tables(model, before, after)
    numbers = (before.metrics[model]["test"], after.metrics[model]["test"])
    common = _clips(old) & _clips(new)
    if not common:
        return ModelPair(model, *numbers, None)
    if common == _clips(old) | _clips(new):
        return ModelPair(model, *numbers, (old, new))
    kept = {clip_id for clip_id, *_ in common}
    old, new = (table[table.clip_id.isin(kept)].reset_index(drop=True) for table in (old, new))
    cut = [summary.summarize(table, settings.evaluate, seed=settings.seed)["test"] for table in (old, new)]
    return ModelPair(model, cut[0], cut[1], (old, new))


def _note_missing_predictions(verdict: RegressionReport, before: Result, after: Result, models: Sequence[str]) -> None:
    lacking = [model for model in models if _tables(model, before, after)[0].empty]
    if lacking:
        verdict.notes.append(
            f"{', '.join(lacking)}: predictions of both sides are not at hand, so the intervals in the metrics were "
            "compared, which miss drops that a comparison clip by clip shows; `dvc pull` may bring them."
        )


# One model ------------------------------------------------------------------------------------------------------------


def _check_model(verdict: RegressionReport, pair: ModelPair, settings: TestSettings) -> None:
    _check_uar(verdict, pair, settings)
    _check_recalls(verdict, pair, settings)
    _check_without_interval(
        verdict, pair, settings, metric="ece", limit="max_ece_rise", worse=1, statistic=calibration.ece
    )
    _check_without_interval(
        verdict,
        pair,
        settings,
        metric="uar_worst_speaker",
        limit="max_worst_speaker_drop",
        worse=-1,
        statistic=lambda rows: -_worst_speaker(rows),
    )


def _worst_speaker(rows: pd.DataFrame) -> float:
    """Compute what `ser.evaluation.subgroups.best_and_worst_group` does, fast enough to do it for hundreds of swaps."""
    known = rows[~is_unknown_speaker(rows)]
    right = (known.emotion == known.predicted).groupby([known.speaker, known.emotion]).mean()
    return float(right.groupby("speaker").mean().min())


def _both(verdict: RegressionReport, pair: ModelPair, metric: str) -> tuple[float, float] | None:
    """Look a metric up on both sides; where one lacks it, say so, as a comparison with nothing would pass."""
    sides = ((verdict.before, pair.before), (verdict.after, pair.after))
    lacking = [name for name, numbers in sides if metric not in numbers]
    if lacking and (len(lacking) == 1 or metric != "uar_worst_speaker"):  # there is none where nobody is known
        verdict.missing.append(
            f"{pair.model}: {' and '.join(lacking)} {'has' if len(lacking) == 1 else 'have'} no test metric {metric}. "
            "Was it renamed, or were the metrics made by other code? Build both with the same code to compare them."
        )
    return None if lacking else (pair.before[metric], pair.after[metric])


def _check_uar(verdict: RegressionReport, pair: ModelPair, settings: TestSettings) -> None:
    sides = _both(verdict, pair, "uar")
    if sides is None:
        return
    drop, test, limits = sides[0] - sides[1], test_drop(pair, "uar", settings, alpha=settings.alpha), settings.limits
    fails = _over(drop, limits.max_uar_drop_not_significant) or (_over(drop, limits.max_uar_drop) and test.significant)
    _add(verdict, pair, "uar", sides, test, fails=fails)
    if fails:
        above = f"which is not significant, but above {limits.max_uar_drop_not_significant:g}"
        said = "which is significant" if test.significant else above
        verdict.regressions.append(
            f"{pair.model}: test UAR fell by {drop:.3f}, from {sides[0]:.3f} to {sides[1]:.3f}, {said} "
            f"(check.max_uar_drop: {limits.max_uar_drop:g}; {_say(test)})."
        )
    elif _over(drop, limits.max_uar_drop):
        verdict.notes.append(f"{pair.model}: test UAR fell by {drop:.3f}, which may be chance ({_say(test)}).")


def _check_recalls(verdict: RegressionReport, pair: ModelPair, settings: TestSettings) -> None:
    """Look at every emotion, and show the one whose recall fell most."""
    names = _classes(pair.before)
    found = []
    for name in names:
        sides = _both(verdict, pair, f"recall_{name}")
        if sides is None:
            continue
        drop, test = sides[0] - sides[1], TestResult()
        if _over(drop, settings.limits.max_recall_drop):
            test = test_drop(pair, f"recall_{name}", settings, alpha=settings.alpha / len(names))
        fails = _over(drop, settings.limits.max_recall_drop) and (test.significant or sides[1] == 0)
        found.append((drop, name, sides, test, fails))
        if fails:
            verdict.regressions.append(
                f"{pair.model}: the recall of {name} collapsed from {sides[0]:.3f} to {sides[1]:.3f} "
                f"(check.max_recall_drop: {settings.limits.max_recall_drop:g})."
            )
    for drop, name, sides, test, fails in found:
        if fails or drop == max(one[0] for one in found) > 0:
            _add(verdict, pair, f"recall of {name}", sides, test, fails=fails)


def _check_without_interval(
    verdict: RegressionReport,
    pair: ModelPair,
    settings: TestSettings,
    *,
    metric: str,
    limit: str,
    worse: int,
    statistic: Callable[[pd.DataFrame], float],
) -> None:
    """Judge a number that has no interval, by swapping answers; `worse` is the sign of a change for the worse."""
    sides = _both(verdict, pair, metric)
    if sides is None:
        return
    most = getattr(settings.limits, limit) * (1 if pair.rows is not None else UNTESTED_FACTOR)
    change = worse * (sides[1] - sides[0])
    if not _over(change, most):
        _add(verdict, pair, metric, sides, TestResult(), fails=False)
        return
    p = swap_test_p(pair, statistic, settings)
    fails = not p >= settings.alpha  # without predictions there is no p, and the limit alone decides
    _add(verdict, pair, metric, sides, TestResult(fails, p=p), fails=fails)
    test = f"p {p:.2g} by swapping answers" if np.isfinite(p) else "not tested, for want of predictions"
    said = f"{pair.model}: {metric} went from {sides[0]:.3f} to {sides[1]:.3f}"
    if fails:
        verdict.regressions.append(f"{said} (limit {most:g}, by check.{limit}; {test}).")
    else:
        verdict.notes.append(f"{said}, which may be chance ({test}).")


def _over(change: float, limit: float) -> bool:
    return change > limit + 1e-9  # 0.60 - 0.59 is a little more than 0.01


def _add(
    verdict: RegressionReport,
    pair: ModelPair,
    number: str,
    sides: tuple[float, float],
    test: TestResult,
    *,
    fails: bool,
) -> None:
    change = {"before": sides[0], "after": sides[1], "change": sides[1] - sides[0]}
    limits = {"ci_low": test.ci_low, "ci_high": test.ci_high, "p": test.p}
    verdict.rows.append({"model": pair.model, "number": number, **change, **limits, "verdict": WORSE if fails else OK})


def _say(test: TestResult) -> str:
    interval = f"interval of the change [{test.ci_low:.3f}, {test.ci_high:.3f}]" if np.isfinite(test.ci_low) else ""
    p = f"McNemar's p {test.p:.2g}" if np.isfinite(test.p) else ""
    return ", ".join(part for part in (interval, p) if part) or "neither an interval nor predictions to test it by"
