"""Tables of the evaluation report.

`rows` are the test rows of one model's prediction table. `ranking` and `pairs` are as
`ser.reporting.evaluation_report.write` takes them. `unknown` is the text of
`ser.dataset.clip_metadata.describe_unknown_speakers`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import auc

from ser.dataset.clip_metadata import is_unknown_speaker
from ser.evaluation import binary_tasks, bootstrap, error_analysis, metrics, subgroups
from ser.evaluation.bootstrap import MIN_SPEAKERS
from ser.evaluation.robustness import describe_condition
from ser.params import BinaryTask
from ser.predictions.table import classes_of, probabilities
from ser.reporting import html_page
from ser.reporting.data_tables import sex_names
from ser.utils.errors import UserError

ALPHA = 0.05
MAX_ROWS = 30
"""Largest number of subgroups in a table; of more, the lowest and the highest are listed."""
SUBGROUPS = {"corpus": "corpus", "sex": "sex", "intensity": "intensity", "sentence": "sentence", "duration": "duration"}
"""Columns that define subgroups, and their names."""
CALIBRATION_TOLERANCE = 0.02
"""Largest difference between mean confidence and accuracy of a well-calibrated model."""
format_score = "{:.3f}".format


@dataclass(frozen=True)
class BinaryTasks:
    """Binary tasks: table of scores, ROC curves by task, and messages on tasks that cannot be evaluated."""

    table: html_page.Table | None
    curves: Mapping[str, pd.DataFrame]
    errors: Sequence[str]


def format_difference(value: float) -> str:
    """Format a difference with its sign, a true minus."""
    return f"{round(value, 3) + 0.0:+.3f}".replace("-", "\N{MINUS SIGN}")


def format_p_value(value: float) -> str:
    """Format a p-value."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


# All models -----------------------------------------------------------------------------------------------------------


def leaderboard_table(ranking: pd.DataFrame, *, unknown: str = "") -> html_page.Table:
    """Rank the models by UAR, with confidence intervals and the comparison with the best model."""
    shown = {
        "UAR": ranking.uar,
        "lower": ranking.uar_ci_low,
        "upper": ranking.uar_ci_high,
        "compared with best": compare_with_best(ranking, unknown=unknown),
        "validation UAR": ranking.val_uar,
    }
    frame = _drop_empty_limits(pd.DataFrame(shown).set_axis(pd.Index(ranking.model, name="model")))
    marked = pd.DataFrame(False, index=frame.index, columns=frame.columns)
    marked["compared with best"] = ~frame["compared with best"].isin(["best", "significantly worse"])
    interval = "range over speakers" if not_testable(ranking, unknown=unknown) else "95 % CI"
    caption = f"Models by UAR on test clips{f', with {interval}' if 'lower' in frame else ''}"
    if marked.any(axis=None):
        caption += "; marked: not significantly worse than the best model, or not testable"
    formats = dict.fromkeys(["UAR", "lower", "upper", "validation UAR"], format_score)
    return html_page.table(frame, caption=caption, formats=formats, marked=marked)


def _drop_empty_limits(frame: pd.DataFrame) -> pd.DataFrame:
    limits = [name for name in frame if str(name).endswith(("lower", "upper"))]
    return frame.drop(columns=limits) if frame[limits].isna().all(axis=None) else frame


def compare_with_best(ranking: pd.DataFrame, *, unknown: str = "") -> list[str]:
    """Describe for each model whether it is significantly worse than the best, which is the first."""
    if not_testable(ranking, unknown=unknown):
        return ["best", *["not testable"] * (len(ranking) - 1)]
    equal = ranking.not_significantly_worse.iloc[1:]
    return ["best", *("not significantly worse" if one else "significantly worse" for one in equal)]


def not_testable(ranking: pd.DataFrame, *, unknown: str = "") -> bool:
    """Check whether test speakers are unknown or too few for significance tests."""
    return bool(unknown) or int(ranking.speakers.iloc[0]) < MIN_SPEAKERS


def other_metrics_table(ranking: pd.DataFrame) -> html_page.Table:
    """List the other metrics of each model."""
    shown = {
        "accuracy": ranking.accuracy,
        "accuracy, lower": ranking.accuracy_ci_low,
        "accuracy, upper": ranking.accuracy_ci_high,
        "F1": ranking.f1,
        "F1, lower": ranking.f1_ci_low,
        "F1, upper": ranking.f1_ci_high,
        "ROC-AUC": ranking.roc_auc,
        "Cohen's kappa": ranking.cohen_kappa,
        "top-2 accuracy": ranking.top2_accuracy,
        "ECE": ranking.ece,
    }
    frame = _drop_empty_limits(pd.DataFrame(shown).set_axis(pd.Index(ranking.model, name="model")))
    formats = dict.fromkeys(shown, format_score)
    return html_page.table(frame, caption="Other metrics of the same predictions", formats=formats)


def pairwise_tests_table(pairs: pd.DataFrame, ranking: pd.DataFrame, *, unknown: str = "") -> html_page.Table:
    """Compare each pair of models; the model with the higher UAR is named first."""
    ordered = _higher_uar_first(pairs)
    names = [f"{pair.a} vs. {pair.b}" for pair in ordered.itertuples()]
    shown = {
        "result": significance(pairs, ranking, unknown=unknown),
        "UAR difference": ordered.difference,
        "lower": ordered.ci_low,
        "upper": ordered.ci_high,
        "only first correct": ordered.only_a,
        "only second correct": ordered.only_b,
        "p": ordered.p_holm,
    }
    frame = _drop_empty_limits(pd.DataFrame(shown).set_axis(pd.Index(names, name="models")))
    marked = pd.DataFrame(False, index=frame.index, columns=frame.columns).assign(result=frame.result != "significant")
    formats = dict.fromkeys(["UAR difference", "lower", "upper"], format_difference) | {"p": format_p_value}
    interval = " with interval over speakers" if "lower" in frame else ""
    caption = f"UAR difference{interval}, clips that only one of the models classifies correctly, and p (McNemar, Holm)"
    return html_page.table(frame, caption=caption, formats=formats, marked=marked)


def _higher_uar_first(pairs: pd.DataFrame) -> pd.DataFrame:
    swapped = pairs.rename(columns={"a": "b", "b": "a", "only_a": "only_b", "only_b": "only_a"})
    limits = {"ci_low": -pairs.ci_high, "ci_high": -pairs.ci_low}
    swapped = swapped.assign(difference=-pairs.difference, **limits)[list(pairs.columns)]
    return pairs.where(~(pairs.difference < 0), swapped).astype(pairs.dtypes.to_dict())


def significance(pairs: pd.DataFrame, ranking: pd.DataFrame, *, unknown: str = "") -> list[str]:
    """Describe for each pair of models whether the difference is significant.

    McNemar's test and the confidence interval must agree, and neither model may be the best while the other one is not
    significantly worse.
    """
    if not_testable(ranking, unknown=unknown):
        return [f"not testable: {unknown or 'too few speakers'}"] * len(pairs)
    best, equal = ranking.model.iloc[0], set(ranking.model[ranking.not_significantly_worse])
    significant = [
        pair.p_holm < ALPHA
        and ((pair.ci_low > 0 and pair.only_a > pair.only_b) or (pair.ci_high < 0 and pair.only_a < pair.only_b))
        and not (best in (pair.a, pair.b) and {pair.a, pair.b} <= equal | {best})
        for pair in pairs.itertuples()
    ]
    return ["significant" if each else "not significant" for each in significant]


def variation_table(ranking: pd.DataFrame, tested: Mapping[str, pd.DataFrame]) -> html_page.Table | None:
    """List the variation of UAR over seeds and folds; None with one seed and one fold."""
    scores = ranking.set_index("model")
    lines = {model: _variation(scores.loc[model], rows) for model, rows in tested.items()}
    frame = pd.DataFrame.from_dict(lines, orient="index").rename_axis("model")
    if frame.seeds.max() == 1:
        frame = frame.drop(columns=["seeds", "SD over seeds"])
    if frame.folds.max() == 1:
        frame = frame.drop(columns=["folds", "mean over folds", "SD over folds", "lowest fold", "highest fold"])
    if frame.shape[1] == 1:
        return None
    formats = dict.fromkeys(set(frame.columns) - {"seeds", "folds"}, format_score)
    return html_page.table(frame, caption="Variation of UAR over seeds and folds", formats=formats)


def _variation(scores: pd.Series, rows: pd.DataFrame) -> dict[str, float]:
    folds = subgroups.evaluate_by_group(rows, "fold").uar
    return {
        "UAR": scores.uar,
        "seeds": rows.seed.nunique(),
        "SD over seeds": scores.uar_seed_sd,
        "folds": rows.fold.nunique(),
        "mean over folds": scores.uar_fold_mean,
        "SD over folds": scores.uar_fold_sd,
        "lowest fold": folds.min(),
        "highest fold": folds.max(),
    }


def human_comparison_table(table: pd.DataFrame) -> html_page.Table:
    """Compare human listeners and models: model, UAR with its limits, accuracy."""
    names = {"uar": "UAR", "uar_ci_low": "lower", "uar_ci_high": "upper"}
    frame = table.set_index("model").rename(columns=names).drop(columns="clips").rename_axis("classifier")
    caption = f"Scores on the {int(table.clips.iloc[0])} test clips with published ratings of human listeners"
    return html_page.table(frame, caption=caption, formats=dict.fromkeys(frame.columns, format_score))


def calibration_table(ranking: pd.DataFrame, tested: Mapping[str, pd.DataFrame]) -> html_page.Table:
    """List the calibration of the models before and after temperature scaling."""
    lines = {}
    for scores in ranking.itertuples():
        rows = tested[scores.model]
        confidence, accuracy = confidence_and_accuracy(rows)
        lines[scores.model] = {
            "ECE before": scores.ece_uncalibrated,
            "temperature": _range(rows.temperature),
            "ECE after": scores.ece,
            "mean confidence": confidence,
            "accuracy": accuracy,
            "calibration": calibration_verdict(rows),
        }
    frame = pd.DataFrame.from_dict(lines, orient="index").rename_axis("model")
    formats = dict.fromkeys(["ECE before", "ECE after", "mean confidence", "accuracy"], format_score)
    return html_page.table(frame, caption="Calibration before and after temperature scaling", formats=formats)


def confidence_and_accuracy(rows: pd.DataFrame) -> tuple[float, float]:
    """Compute the mean probability of the predicted emotions, and the accuracy."""
    return float(probabilities(rows).max(axis=1).mean()), float((rows.emotion == rows.predicted).mean())


def calibration_verdict(rows: pd.DataFrame) -> str:
    """Describe a model as well calibrated, over-confident or under-confident."""
    confidence, accuracy = confidence_and_accuracy(rows)
    if abs(confidence - accuracy) < CALIBRATION_TOLERANCE:
        return "well calibrated"
    return "over-confident" if confidence > accuracy else "under-confident"


def _range(values: "pd.Series[float]") -> str:
    low, high = f"{values.min():.2f}", f"{values.max():.2f}"
    return low if low == high else f"{low} to {high}"


def leakage_table(leakage: pd.DataFrame, names: Mapping[str, str]) -> html_page.Table:
    """List the scores of the leakage checks; `names` maps checks to their names."""
    named = leakage.assign(chance=1 / leakage.classes, check=leakage.probe.map(lambda name: names.get(name, name)))
    frame = named[["check", "corpus", "uar", "chance", "clips", "speakers", "note"]].rename(columns={"uar": "UAR"})
    frame = frame.dropna(axis="columns", how="all").fillna({"corpus": "", "note": ""})  # no corpus column if only one
    formats = {"UAR": format_score, "chance": format_score, "speakers": _format_speakers}
    return html_page.table(frame.set_index("check"), caption="UAR of a random forest in each check", formats=formats)


def _format_speakers(n_known: int) -> str:
    return f"{n_known:,}" if n_known else "unknown"


# One model ------------------------------------------------------------------------------------------------------------


def evaluate_by_class(rows: pd.DataFrame, *, resamples: int, seed: int) -> pd.DataFrame:
    """Evaluate each emotion.

    Returns
    -------
    DataFrame
        One row per emotion (index): clips, recall with low and high, precision, auc, and confusion, the emotion that
        is most often predicted instead. NaN where undefined.
    """
    classes = classes_of(rows)
    names = [f"recall_{name}" for name in classes]
    recalls = bootstrap.bootstrap(rows, names, resamples=resamples, seed=seed).set_axis(classes)
    counts = metrics.confusion(rows, classes=classes)
    n_predicted = counts.sum(axis=0)
    n_correct = pd.Series(np.diag(counts), index=classes)
    frame = recalls.rename(columns={"value": "recall", "ci_low": "low", "ci_high": "high"})[["recall", "low", "high"]]
    frame.insert(0, "clips", rows.groupby("emotion").clip_id.nunique().reindex(classes, fill_value=0))
    pairs = error_analysis.most_confused_pairs(rows, len(classes) ** 2).drop_duplicates("emotion").set_index("emotion")
    curves = metrics.roc_curves(rows).groupby("emotion")
    areas = pd.Series({name: auc(curve.fpr, curve.tpr) for name, curve in curves}, dtype=float)
    return frame.assign(
        precision=(n_correct / n_predicted.where(n_predicted > 0)),
        auc=areas.reindex(classes),
        confusion=pairs.predicted.reindex(classes),
    )


def class_table(scores: pd.DataFrame, *, model: str) -> html_page.Table:
    """Format the result of `evaluate_by_class`."""
    names = {"auc": "ROC-AUC", "confusion": "most frequent confusion", "low": "lower", "high": "upper"}
    frame = _drop_empty_limits(scores.rename(columns=names).rename_axis("emotion"))
    interval = ", with interval of recall over speakers" if "lower" in frame else ""
    formats = dict.fromkeys(["recall", "lower", "upper", "precision", "ROC-AUC"], format_score)
    return html_page.table(frame, caption=f"{model}: scores by emotion{interval}", formats=formats)


def evaluate_binary_tasks(rows: pd.DataFrame, wanted: Mapping[str, BinaryTask], *, model: str) -> BinaryTasks:
    """Evaluate a model in binary tasks, such as valence and arousal."""
    lines, curves, errors = {}, {}, []
    for name, task in wanted.items():
        try:
            scores = binary_tasks.binary(rows, positive=task.positive, negative=task.negative)
        except UserError as error:
            errors.append(f"{name} was not evaluated: {error}")
            continue
        groups = {"positive class": ", ".join(task.positive), "negative class": ", ".join(task.negative)}
        lines[name] = groups | {"clips": scores.clips, "UAR": scores.uar, "ROC-AUC": scores.roc_auc}
        if len(scores.curve):
            curves[name] = scores.curve
    if not lines:
        return BinaryTasks(None, {}, errors)
    frame = pd.DataFrame.from_dict(lines, orient="index").rename_axis("task")
    formats = {"UAR": format_score, "ROC-AUC": format_score}
    caption = f"{model}: binary tasks, from the same probabilities"
    return BinaryTasks(html_page.table(frame, caption=caption, formats=formats), curves, errors)


# Subgroups and errors -------------------------------------------------------------------------------------------------


def has_values(rows: pd.DataFrame, column: str) -> bool:
    """Check whether a column exists and is not empty."""
    return column in rows and bool((rows[column].notna() & (rows[column].astype(str) != "")).any())


def evaluate_subgroups(rows: pd.DataFrame, column: str, *, resamples: int, seed: int) -> pd.DataFrame:
    """Evaluate the clips of each value of a column: `subgroups.SUBGROUP_COLUMNS`, and low and high of the UAR."""
    if column == "duration":
        rows = rows[rows.duration.notna()]
        scores = subgroups.evaluate_by_duration(rows)
        edges = subgroups.DURATION_EDGES
        groups = [group for _, group in rows.groupby(np.digitize(rows.duration, edges))]  # the same order
    else:
        named = rows.assign(**{column: _value_names(rows, column)})
        scores = subgroups.evaluate_by_group(named, column)
        groups = [rows[named[column] == value] for value in scores.value]
    limits = [bootstrap.bootstrap(group, ["uar"], resamples=resamples, seed=seed) for group in groups]
    return scores.assign(**{side: [limit[f"ci_{side}"].iloc[0] for limit in limits] for side in ("low", "high")})


def _value_names(rows: pd.DataFrame, column: str) -> "pd.Series[str]":
    if column == "sex":
        return sex_names(rows.sex)
    return rows[column].fillna("").astype(str).replace("", "unknown")


def subgroup_table(scores: pd.DataFrame, *, name: str, n_classes: int) -> html_page.Table:
    """Format scores of subgroups; of more than `MAX_ROWS`, the lowest and the highest.

    Parameters
    ----------
    scores
        `subgroups.SUBGROUP_COLUMNS`, optionally with low and high.
    name
        Name of the column that defines the subgroups.
    n_classes
        Emotions of the run.
    """
    caption = f"UAR by {name}"
    if (scores.classes < n_classes).any():
        caption += "; over the emotions that occur, so subgroups with different emotions are not comparable"
    listed = scores
    if len(scores) > MAX_ROWS:
        listed = pd.concat([scores.head(MAX_ROWS // 2), scores.tail(MAX_ROWS // 2)])
        caption += f"; the {MAX_ROWS // 2} lowest and the {MAX_ROWS // 2} highest of {len(scores):,}"
    columns = ["uar", *(c for c in ("low", "high") if c in scores), "accuracy", "clips", "speakers", "classes"]
    frame = listed.set_index("value")[columns].rename_axis(name)
    frame = frame.rename(columns={"uar": "UAR", "classes": "emotions", "low": "lower", "high": "upper"})
    formats = dict.fromkeys(["UAR", "lower", "upper", "accuracy"], format_score) | {"speakers": _format_speakers}
    return html_page.table(_drop_empty_limits(frame), caption=caption, formats=formats)


def evaluate_by_speaker(rows: pd.DataFrame) -> pd.DataFrame:
    """Evaluate the clips of each known speaker: `subgroups.SUBGROUP_COLUMNS`, and sex (``female``, ``male``...)."""
    rows = rows[~is_unknown_speaker(rows)]
    speakers = rows.speaker
    if rows.corpus.nunique() == 1:
        speakers = speakers.str.removeprefix(f"{rows.corpus.iloc[0]}-")
    scores = subgroups.evaluate_by_group(rows.assign(speaker=speakers), "speaker")
    sexes = sex_names(rows.sex).groupby(speakers).first() if "sex" in rows else pd.Series(dtype=str)
    return scores.assign(sex=scores.value.map(sexes).fillna("unknown"))


def confusions_table(rows: pd.DataFrame, *, n: int = 10) -> html_page.Table:
    """List the most frequent confusions."""
    pairs = error_analysis.most_confused_pairs(rows, n)
    names = [f"{emotion} → {predicted}" for emotion, predicted in zip(pairs.emotion, pairs.predicted, strict=True)]
    frame = pairs[["clips", "share"]].set_axis(pd.Index(names, name="confusion")).rename(columns={"share": "fraction"})
    caption = "Most frequent confusions, as a fraction of the predictions for the true emotion"
    return html_page.table(frame, caption=caption, formats={"fraction": "{:.0%}".format})


def most_confident_errors(rows: pd.DataFrame, *, n: int) -> pd.DataFrame:
    """List the misclassified clips with the highest confidence, each once: see `error_analysis`."""
    errors = error_analysis.most_confident_errors(rows, len(rows))
    return errors.drop_duplicates("clip_id").head(n).reset_index(drop=True)


def errors_table(errors: pd.DataFrame) -> html_page.Table:
    """Format the result of `most_confident_errors`, numbered like the audio players."""
    names = [f"{n}. {clip_id}" for n, clip_id in enumerate(errors.clip_id, start=1)]
    frame = errors[["emotion", "predicted", "confidence", "truth"]].set_axis(pd.Index(names, name="clip"))
    frame = frame.rename(columns={"emotion": "true emotion", "truth": "p (true emotion)"})
    formats = dict.fromkeys(["confidence", "p (true emotion)"], format_score)
    return html_page.table(frame, caption="Most confident errors", formats=formats)


# Robustness -----------------------------------------------------------------------------------------------------------


def corruption_rows(scores: pd.DataFrame) -> pd.DataFrame:
    """List the UAR of the original and of the corrupted clips, as `plots.plot_confidence_intervals` takes them."""
    names = [describe_condition(condition) for condition in scores.condition]
    corrupted = pd.DataFrame({"name": names, "value": scores.uar, "low": scores.uar_ci_low, "high": scores.uar_ci_high})
    clean = pd.DataFrame({"name": ["original"], "value": scores.uar_clean.iloc[:1], "low": np.nan, "high": np.nan})
    return pd.concat([clean, corrupted], ignore_index=True).assign(strong=lambda table: table.name == "original")


def robustness_table(scores: pd.DataFrame, *, model: str) -> html_page.Table:
    """Format the result of `ser.evaluation.robustness.evaluate_robustness` of one model."""
    shown = {
        "UAR": scores.uar,
        "change": scores.uar_change,
        "lower": scores.uar_change_ci_low,
        "upper": scores.uar_change_ci_high,
        "prediction agreement": scores.agreement,
        "clips": scores.clips,
    }
    names = pd.Index([describe_condition(condition) for condition in scores.condition], name="corruption")
    formats: dict[str, Callable[..., str]] = {"UAR": format_score, "prediction agreement": "{:.0%}".format}
    formats |= dict.fromkeys(["change", "lower", "upper"], format_difference)
    caption = (
        f"{model}: UAR on corrupted test clips, and its change from the original clips with interval over speakers"
    )
    return html_page.table(pd.DataFrame(shown).set_axis(names), caption=caption, formats=formats)


def uar_changes_table(scores: Mapping[str, pd.DataFrame]) -> html_page.Table:
    """List the change of UAR: one row per model, one column per corruption."""
    changes = {model: table.set_index("condition").uar_change for model, table in scores.items()}
    frame = pd.DataFrame(changes).T.rename(columns=describe_condition).rename_axis(index="model", columns=None)
    formats = dict.fromkeys(frame.columns, format_difference)
    return html_page.table(frame, caption="Change of UAR on corrupted test clips", formats=formats)
