"""Check for regressions: compare the metrics and prediction tables of a result with those of an earlier one.

A drop counts only if it is larger than a limit and statistically significant. If both sides have predictions of the
same test clips, these are compared; otherwise the confidence intervals in the metrics are, which detect less. A missing
metric is never treated as passed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, get_args

import numpy as np
import pandas as pd

from ser.dataset.clip_metadata import is_unknown_speaker
from ser.evaluation import calibration, summary
from ser.evaluation._drop_significance import ModelPair, Numbers, TestResult, TestSettings, permutation_p, test_drop
from ser.params import Change, Check, Evaluate
from ser.utils.errors import UserError

COLUMNS = ("model", "number", "before", "after", "change", "ci_low", "ci_high", "p", "verdict")
OK, WORSE = "ok", "worse"
TESTS = 4
"""Tests per model: UAR, recalls, calibration error, worst speaker."""
UNTESTED_FACTOR = 2
"""Factor of the limits if there are no predictions for a test, as metrics of few clips vary by chance."""
IDENTITY = ("clip_id", "speaker", "emotion")
IMPLIED_CHANGES: Mapping[str, frozenset[str]] = {
    "corpora": frozenset({"classes", "test-clips"}),
    "protocol": frozenset({"classes", "test-clips"}),
    "classes": frozenset({"test-clips"}),
}
"""Changes that follow from others, and are accepted with them."""
INCOMPARABLE: tuple[Change, ...] = ("corpora", "protocol", "classes")
"""Changes after which metrics are not comparable."""
RETIRED_METRICS = frozenset({"ece_raw", "kappa", "recall", "sex_gap", "top2", "uar_high", "uar_low"})
"""Names of test metrics in earlier versions; add the old name when you rename a metric."""


@dataclass(frozen=True)
class Result:
    """The result of a revision or of the workspace.

    Attributes
    ----------
    name
        Name in messages.
    metrics
        {model: {split: {metric: number}}}; see `ser.evaluation.evaluate`.
    settings
        Sections of params.yaml; only corpora, data_seed, emotions and split are compared.
    predictions
        {model: prediction table}, of the models whose tables are available.
    """

    name: str
    metrics: Mapping[str, Mapping[str, Numbers]]
    settings: Mapping[str, Any]
    predictions: Mapping[str, pd.DataFrame]


@dataclass
class RegressionReport:
    """The outcome of a comparison of two results.

    Attributes
    ----------
    before, after
        Names of the two results.
    rows
        One per model and metric, with the keys `COLUMNS`.
    regressions
        Sentences on what is worse, or changed without being accepted.
    missing
        Sentences on what could not be compared.
    notes
        Further sentences.
    """

    before: str
    after: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    regressions: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def code(self) -> int:
        """The exit code: 1 if something is worse, 2 if something could not be compared, else 0."""
        return 1 if self.regressions else 2 if self.missing else 0

    @property
    def table(self) -> pd.DataFrame:
        """The rows as a table with the columns `COLUMNS`."""
        return pd.DataFrame(self.rows, columns=list(COLUMNS))


def skip_comparison(before: str, after: Result, *, reason: str) -> RegressionReport:
    """Pass a result that cannot be compared with the revision `before`, for a reason that a note gives."""
    models = ", ".join(after.metrics)
    note = f"{reason}. The result passes without a comparison, with {models}; the next result is compared with it."
    return RegressionReport(before, after.name, notes=[note])


def is_outdated(metrics: Mapping[str, Mapping[str, Numbers]]) -> bool:
    """Check whether metrics have names of an earlier version."""
    return any(RETIRED_METRICS & set(splits["test"]) for splits in metrics.values())


def compare(
    before: Result, after: Result, limits: Check, *, evaluate: Evaluate, seed: int, accepted: Sequence[str] = ()
) -> RegressionReport:
    """Compare a result with an earlier one.

    Parameters
    ----------
    before, after : Result
        The earlier and the new result.
    limits : Check
        The section `check`; `alpha` is divided by the number of models and of `TESTS` (Bonferroni).
    evaluate : Evaluate
        The section `evaluate`, for the bootstrap.
    seed : int
        Seed of the bootstrap.
    accepted : sequence of str
        Accepted changes, besides those of `limits.accepted_changes`.

    Returns
    -------
    RegressionReport
        Models that both results have are compared, each on its own. If corpora, protocol or classes differ, no metric
        is compared.

    Raises
    ------
    UserError
        If an accepted change is unknown.
    """
    if unknown := set(accepted) - set(get_args(Change)):
        raise UserError(f"accepted change: found {', '.join(unknown)}; expected {', '.join(get_args(Change))}.")
    report = RegressionReport(before.name, after.name)
    models = [model for model in before.metrics if model in after.metrics]
    changes = _changes(before, after, models)
    _check_changes(report, changes, {*accepted, *limits.accepted_changes})
    report.notes += [
        f"{model} is new: {before.name} has no such model." for model in after.metrics if model not in before.metrics
    ]
    if any(change in changes for change in INCOMPARABLE):
        report.notes.append("No metric was compared: metrics before and after such a change are not comparable.")
        return report
    if not models:
        report.missing.append(f"{before.name} and {after.name} have no model in common; there is nothing to compare.")
        return report
    settings = TestSettings(limits, limits.alpha / (TESTS * len(models)), evaluate, seed)
    for model in models:
        pair = _pair(model, before, after, settings)
        _check_uar(report, pair, settings)
        _check_recalls(report, pair, settings)
        for check in PERMUTATION_CHECKS:
            _check_without_interval(report, pair, settings, check)
    untested = [model for model in models if _tables(model, before, after)[0].empty]
    if untested:
        report.notes.append(
            f"{', '.join(untested)}: predictions of both sides are not available, so the confidence intervals in the "
            "metrics were compared, which detect fewer drops; run `dvc pull` to get the predictions."
        )
    return report


def _changes(before: Result, after: Result, models: Sequence[str]) -> dict[Change, str]:
    """Describe the changes of the task itself."""
    removed = [model for model in before.metrics if model not in after.metrics]
    sentences: dict[Change, str] = {
        "corpora": _settings_changed(before, after, ("corpora",)),
        "protocol": _settings_changed(before, after, ("data_seed", "split", "emotions")),
        "models": f"{', '.join(removed)}: in {before.name}, but not in {after.name}" if removed else "",
        "classes": next(filter(None, (_classes_changed(model, before, after) for model in models)), ""),
        "test-clips": next(filter(None, (_clips_changed(model, before, after) for model in models)), ""),
    }
    return {change: sentence for change, sentence in sentences.items() if sentence}


def _settings_changed(before: Result, after: Result, sections: Sequence[str]) -> str:
    old, new = (_flatten({name: side.settings.get(name) for name in sections}) for side in (before, after))
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return "; ".join(f"{key} was {old.get(key, 'not set')}, is {new.get(key, 'not set')}" for key in keys)


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten settings to {"section.key": value}; lists are sorted, as the order of names does not matter."""
    values: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            values |= _flatten(value, f"{prefix}{name}.")
        else:
            values[f"{prefix}{name}"] = sorted(value) if isinstance(value, (list, tuple)) else value
    return values


def _classes_changed(model: str, before: Result, after: Result) -> str:
    old, new = (_classes(side.metrics[model]["test"]) for side in (before, after))
    return f"{model} was tested on {', '.join(old)}, is on {', '.join(new)}" if set(old) != set(new) else ""


def _classes(numbers: Numbers) -> list[str]:
    names = [name.removeprefix("recall_") for name in numbers if name.startswith("recall_")]
    return [name for name in names if not name.endswith(("_ci_low", "_ci_high"))]


def _clips_changed(model: str, before: Result, after: Result) -> str:
    n_old, n_new = (side.metrics[model]["test"].get("clips") for side in (before, after))
    if n_old is not None and n_new is not None and n_old != n_new:
        return f"{model} was tested on {n_old:g} clips, is on {n_new:g}"
    old, new = map(_clips, _tables(model, before, after))
    removed, added = old - new, new - old
    if not removed and not added:
        return ""
    example = " ".join(min(removed or added))
    return f"{model} is tested on other clips: {len(removed)} were removed and {len(added)} added, such as {example}"


def _tables(model: str, before: Result, after: Result) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Select the test rows of both sides; both are empty if one side has none."""
    if model in before.predictions and model in after.predictions:
        return summary.select_test_rows(before.predictions[model]), summary.select_test_rows(after.predictions[model])
    return pd.DataFrame(columns=list(IDENTITY)), pd.DataFrame(columns=list(IDENTITY))


def _clips(table: pd.DataFrame) -> set[tuple[str, ...]]:
    """Identify the clips, including their labels."""
    return set(table[list(IDENTITY)].itertuples(index=False, name=None))


def _check_changes(report: RegressionReport, changes: Mapping[Change, str], accepted: set[str]) -> None:
    implied = accepted.union(*(IMPLIED_CHANGES.get(change, frozenset()) for change in accepted))
    for change, sentence in changes.items():
        if change in implied:
            report.notes.append(f"accepted change of {change}: {sentence}.")
        else:
            report.regressions.append(
                f"unaccepted change of {change}: {sentence}. To accept it, use --accept {change} "
                "(make check-metrics ACCEPT=…) or add it to check.accepted_changes in params.yaml."
            )
    unused = sorted(accepted - set(changes))
    if unused:
        report.notes.append(f"accepted, but nothing changed: {', '.join(unused)}.")


def _pair(model: str, before: Result, after: Result, settings: TestSettings) -> ModelPair:
    """Collect both sides of a model, restricted to the clips that both were tested on."""
    old, new = _tables(model, before, after)
    numbers = (before.metrics[model]["test"], after.metrics[model]["test"])
    common = _clips(old) & _clips(new)
    if not common:
        return ModelPair(model, *numbers, None)
    if common == _clips(old) | _clips(new):
        return ModelPair(model, *numbers, (old, new))
    clip_ids = {clip_id for clip_id, *_ in common}
    old, new = (table[table.clip_id.isin(clip_ids)].reset_index(drop=True) for table in (old, new))
    recomputed = [summary.summarize(table, settings.evaluate, seed=settings.seed)["test"] for table in (old, new)]
    return ModelPair(model, recomputed[0], recomputed[1], (old, new))


def _worst_speaker(rows: pd.DataFrame) -> float:
    """Compute the lowest UAR of a speaker, times -1, fast enough for hundreds of permutations."""
    known = rows[~is_unknown_speaker(rows)]
    recalls = (known.emotion == known.predicted).groupby([known.speaker, known.emotion]).mean()
    return -float(recalls.groupby("speaker").mean().min())


class _PermutationCheck(NamedTuple):
    """A metric, the key of its limit, the sign of a change for the worse, and a statistic that increases with it."""

    metric: str
    limit: str
    worse: int
    statistic: Callable[[pd.DataFrame], float]


PERMUTATION_CHECKS = (
    _PermutationCheck("ece", "max_ece_rise", 1, calibration.ece),
    _PermutationCheck("uar_worst_speaker", "max_worst_speaker_drop", -1, _worst_speaker),
)


def _both(report: RegressionReport, pair: ModelPair, metric: str) -> tuple[float, float] | None:
    """Get a metric of both sides; None, with an entry in `missing`, if one side lacks it."""
    sides = ((report.before, pair.before), (report.after, pair.after))
    lacking = [name for name, numbers in sides if metric not in numbers]
    if lacking and (len(lacking) == 1 or metric != "uar_worst_speaker"):  # which needs known speakers
        report.missing.append(
            f"{pair.model}: {' and '.join(lacking)} {'has' if len(lacking) == 1 else 'have'} no test metric {metric}; "
            "if it was renamed, rebuild both results with the same code."
        )
    return None if lacking else (pair.before[metric], pair.after[metric])


def _check_uar(report: RegressionReport, pair: ModelPair, settings: TestSettings) -> None:
    sides = _both(report, pair, "uar")
    if sides is None:
        return
    drop, test, limits = sides[0] - sides[1], test_drop(pair, "uar", settings, alpha=settings.alpha), settings.limits
    fails = _over(drop, limits.max_uar_drop_not_significant) or (_over(drop, limits.max_uar_drop) and test.significant)
    _add_row(report, pair, "uar", sides, test, fails=fails)
    interval = f"interval of the change [{test.ci_low:.3f}, {test.ci_high:.3f}]" if np.isfinite(test.ci_low) else ""
    p = f"McNemar's p {test.p:.2g}" if np.isfinite(test.p) else ""
    evidence = ", ".join(text for text in (interval, p) if text) or "not tested: no interval and no predictions"
    if fails:
        above = f"not significant, but above {limits.max_uar_drop_not_significant:g}"
        report.regressions.append(
            f"{pair.model}: test UAR fell by {drop:.3f}, from {sides[0]:.3f} to {sides[1]:.3f}, "
            f"{'significant' if test.significant else above} (check.max_uar_drop: {limits.max_uar_drop:g}; {evidence})."
        )
    elif _over(drop, limits.max_uar_drop):
        report.notes.append(f"{pair.model}: test UAR fell by {drop:.3f}, which is not significant ({evidence}).")


def _check_recalls(report: RegressionReport, pair: ModelPair, settings: TestSettings) -> None:
    """Check the recall of every emotion; list failures and the largest drop."""
    names = _classes(pair.before)
    results = []
    for name in names:
        sides = _both(report, pair, f"recall_{name}")
        if sides is None:
            continue
        drop, test = sides[0] - sides[1], TestResult()
        if _over(drop, settings.limits.max_recall_drop):
            test = test_drop(pair, f"recall_{name}", settings, alpha=settings.alpha / len(names))
        fails = _over(drop, settings.limits.max_recall_drop) and (test.significant or sides[1] == 0)
        results.append((drop, name, sides, test, fails))
        if fails:
            report.regressions.append(
                f"{pair.model}: recall of {name} fell from {sides[0]:.3f} to {sides[1]:.3f} "
                f"(check.max_recall_drop: {settings.limits.max_recall_drop:g})."
            )
    for drop, name, sides, test, fails in results:
        if fails or drop == max(result[0] for result in results) > 0:
            _add_row(report, pair, f"recall of {name}", sides, test, fails=fails)


def _check_without_interval(
    report: RegressionReport, pair: ModelPair, settings: TestSettings, check: _PermutationCheck
) -> None:
    sides = _both(report, pair, check.metric)
    if sides is None:
        return
    max_change = getattr(settings.limits, check.limit) * (1 if pair.rows is not None else UNTESTED_FACTOR)
    if not _over(check.worse * (sides[1] - sides[0]), max_change):
        _add_row(report, pair, check.metric, sides, TestResult(), fails=False)
        return
    p = permutation_p(pair, check.statistic, settings)
    fails = not p >= settings.alpha  # without predictions p is NaN, and the limit alone decides
    _add_row(report, pair, check.metric, sides, TestResult(fails, p=p), fails=fails)
    test = f"permutation test p {p:.2g}" if np.isfinite(p) else "not tested: no predictions"
    change = f"{pair.model}: {check.metric} changed from {sides[0]:.3f} to {sides[1]:.3f}"
    if fails:
        report.regressions.append(f"{change} (limit {max_change:g}, by check.{check.limit}; {test}).")
    else:
        report.notes.append(f"{change}, which is not significant ({test}).")


def _over(change: float, limit: float) -> bool:
    return change > limit + 1e-9  # 0.60 - 0.59 is a little more than 0.01


def _add_row(
    report: RegressionReport, pair: ModelPair, number: str, sides: tuple[float, float], test: TestResult, *, fails: bool
) -> None:
    change = {"before": sides[0], "after": sides[1], "change": sides[1] - sides[0]}
    limits = {"ci_low": test.ci_low, "ci_high": test.ci_high, "p": test.p}
    report.rows.append({"model": pair.model, "number": number, **change, **limits, "verdict": WORSE if fails else OK})
