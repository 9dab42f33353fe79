"""Tables of the evaluation report.

`rows` are the test rows of one model's prediction table. `ranking` is a leaderboard of
`ser.evaluation.summary.leaderboard`, `pairs` a result of `ser.evaluation.significance.compare`, and `unknown` the text
of `ser.dataset.clip_metadata.describe_unknown_speakers`.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import auc, precision_score

from ser.dataset.clip_metadata import is_unknown_speaker
from ser.evaluation import binary_tasks, bootstrap, error_analysis, metrics, subgroups
from ser.evaluation.bootstrap import MIN_SPEAKERS
from ser.evaluation.robustness import describe_condition
from ser.params import BinaryTask
from ser.predictions.table import classes_of, probabilities
from ser.reporting import html_page, plots
from ser.reporting.data_tables import sex_names
from ser.utils.errors import UserError

ALPHA = 0.05
MAX_ROWS = 30
"""Largest number of subgroups in a table."""
SUBGROUPS = ("corpus", "sex", "intensity", "sentence", "duration")
CALIBRATION_TOLERANCE = 0.02
"""Largest difference between mean confidence and accuracy of a well-calibrated model."""
LEAKAGE_CHECKS = {
    "leak_clip": "random split: same speakers",
    "leak_augmented_after_split": "random split, then augmentation of the training clips",
    "leak_augmented_before_split": "augmentation before the random split: augmented test clips in training",
    "leak_speaker": "speaker-independent split: unseen speakers",
    "shortcut_corpus": "corpus identification",
    "shortcut_corpus_shared_emotions": "corpus identification, emotions of all corpora only",
}
_LOWER, _UPPER = ([f"{prefix}{end}" for prefix in ("", "ci_", "uar_ci_", "uar_change_ci_")] for end in ("low", "high"))
NAMES = {
    "agreement": "prediction agreement",
    "auc": "ROC-AUC",
    "classes": "emotions",
    "cohen_kappa": "Cohen's kappa",
    "confusion": "most frequent confusion",
    "difference": "UAR difference",
    "ece": "ECE",
    "f1": "F1",
    "only_a": "only first correct",
    "only_b": "only second correct",
    "p_holm": "p",
    "roc_auc": "ROC-AUC",
    "top2_accuracy": "top-2 accuracy",
    "uar": "UAR",
    "uar_change": "change",
    "val_uar": "validation UAR",
    **dict.fromkeys(_LOWER, "lower"),
    **dict.fromkeys(_UPPER, "upper"),
}
format_score = "{:.3f}".format


format_difference = partial(html_page.format_number, decimals=3, sign="+")
FORMATS: dict[str, Callable[..., str]] = {
    "UAR difference": format_difference,
    "change": format_difference,
    "fraction": "{:.0%}".format,
    "p": lambda value: "< 0.001" if value < 0.001 else f"{value:.3f}",
    "prediction agreement": "{:.0%}".format,
    "speakers": lambda n_known: f"{n_known:,}" if n_known else "unknown",
}
"""Formats by header; other numbers have three decimals."""
DIFFERENCES = FORMATS | dict.fromkeys(["lower", "upper"], format_difference)


def _select(table: pd.DataFrame, *columns: str, index: Sequence[Any] | pd.Series, name: str) -> pd.DataFrame:
    """Select and rename columns; confidence limits without values are dropped."""
    frame = table[list(columns)].rename(columns=NAMES).set_axis(pd.Index(index, name=name))
    limits = [header for header in frame if str(header).endswith(("lower", "upper"))]
    return frame.drop(columns=limits) if frame[limits].isna().all(axis=None) else frame


def leaderboard_table(ranking: pd.DataFrame, *, unknown: str = "") -> html_page.Table:
    """Rank the models by UAR, with confidence intervals and the comparison with the best model."""
    header, few = "compared with best", not_testable(ranking, unknown=unknown)
    comparison = ranking.not_significantly_worse.map({True: "not significantly worse", False: "significantly worse"})
    table = ranking.assign(**{header: "not testable" if few else comparison})
    table.loc[0, header] = "best"
    frame = _select(table, "uar", "uar_ci_low", "uar_ci_high", header, "val_uar", index=ranking.model, name="model")
    marked = ~frame[[header]].isin(["best", "significantly worse"])
    interval = "range over speakers" if few else "95 % CI"
    caption = f"Models by UAR on test clips{f', with {interval}' if 'lower' in frame else ''}"
    if marked.any(axis=None):
        caption += "; marked: not significantly worse than the best model, or not testable"
    return html_page.table(frame, caption=caption, marked=marked)


def not_testable(ranking: pd.DataFrame, *, unknown: str = "") -> bool:
    """Check whether test speakers are unknown or too few for significance tests."""
    return bool(unknown) or int(ranking.speakers.iloc[0]) < MIN_SPEAKERS


def other_metrics_table(ranking: pd.DataFrame) -> html_page.Table:
    """List the other metrics of each model."""
    table = ranking.rename(columns={"accuracy_ci_low": "accuracy, lower", "accuracy_ci_high": "accuracy, upper"})
    table = table.rename(columns={"f1_ci_low": "F1, lower", "f1_ci_high": "F1, upper"})
    columns = ["accuracy", "accuracy, lower", "accuracy, upper", "f1", "F1, lower", "F1, upper", "roc_auc"]
    frame = _select(table, *columns, "cohen_kappa", "top2_accuracy", "ece", index=ranking.model, name="model")
    return html_page.table(frame, caption="Other metrics of the same predictions")


def pairwise_tests_table(pairs: pd.DataFrame, ranking: pd.DataFrame, *, unknown: str = "") -> html_page.Table | None:
    """Compare each pair of models; the model with the higher UAR is named first. None with one model."""
    if pairs.empty:
        return None
    swapped = pairs.rename(columns={"a": "b", "b": "a", "only_a": "only_b", "only_b": "only_a"})
    swapped = swapped.assign(difference=-pairs.difference, ci_low=-pairs.ci_high, ci_high=-pairs.ci_low)
    ordered = pairs.where(~(pairs.difference < 0), swapped[list(pairs.columns)]).astype(pairs.dtypes.to_dict())
    ordered["result"] = significance(pairs, ranking, unknown=unknown)
    columns = ["result", "difference", "ci_low", "ci_high", "only_a", "only_b", "p_holm"]
    frame = _select(ordered, *columns, index=ordered.a + " vs. " + ordered.b, name="models")
    interval = " with interval over speakers" if "lower" in frame else ""
    caption = f"UAR difference{interval}, clips that only one of the models classifies correctly, and p (McNemar, Holm)"
    return html_page.table(frame, caption=caption, formats=DIFFERENCES, marked=frame[["result"]] != "significant")


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
    frame = scores[["uar"]].rename(columns=NAMES)
    if (n_seeds := pd.Series({model: rows.seed.nunique() for model, rows in tested.items()})).max() > 1:
        frame = frame.assign(**{"seeds": n_seeds, "SD over seeds": scores.uar_seed_sd})
    if (n_folds := pd.Series({model: rows.fold.nunique() for model, rows in tested.items()})).max() > 1:
        uars = pd.DataFrame({model: subgroups.evaluate_by_group(rows, "fold").uar for model, rows in tested.items()})
        frame = frame.assign(
            **{
                "folds": n_folds,
                "mean over folds": scores.uar_fold_mean,
                "SD over folds": scores.uar_fold_sd,
                "lowest fold": uars.min(),
                "highest fold": uars.max(),
            }
        )
    return html_page.table(frame, caption="Variation of UAR over seeds and folds") if frame.shape[1] > 1 else None


def human_comparison_table(table: pd.DataFrame) -> html_page.Table | None:
    """Compare human listeners and models: model, UAR with its limits, accuracy. None without rows."""
    if table.empty:
        return None
    columns = ["uar", "uar_ci_low", "uar_ci_high", "accuracy"]
    caption = f"Scores on the {int(table.clips.iloc[0])} test clips with published ratings of human listeners"
    return html_page.table(_select(table, *columns, index=table.model, name="classifier"), caption=caption)


def calibration_table(ranking: pd.DataFrame, tested: Mapping[str, pd.DataFrame]) -> html_page.Table:
    """List the calibration of the models before and after temperature scaling."""
    lines = {}
    for scores in ranking.itertuples():
        rows = tested[scores.model]
        confidence, accuracy = confidence_and_accuracy(rows)
        low, high = f"{rows.temperature.min():.2f}", f"{rows.temperature.max():.2f}"
        lines[scores.model] = {
            "ECE before": scores.ece_uncalibrated,
            "temperature": low if low == high else f"{low} to {high}",
            "ECE after": scores.ece,
            "mean confidence": confidence,
            "accuracy": accuracy,
            "calibration": calibration_verdict(rows),
        }
    frame = pd.DataFrame.from_dict(lines, orient="index").rename_axis("model")
    return html_page.table(frame, caption="Calibration before and after temperature scaling")


def confidence_and_accuracy(rows: pd.DataFrame) -> tuple[float, float]:
    """Compute the mean probability of the predicted emotions, and the accuracy."""
    return float(probabilities(rows).max(axis=1).mean()), float((rows.emotion == rows.predicted).mean())


def calibration_verdict(rows: pd.DataFrame) -> str:
    """Describe a model as well calibrated, over-confident or under-confident."""
    confidence, accuracy = confidence_and_accuracy(rows)
    if abs(confidence - accuracy) < CALIBRATION_TOLERANCE:
        return "well calibrated"
    return "over-confident" if confidence > accuracy else "under-confident"


def leakage_table(leakage: pd.DataFrame) -> html_page.Table:
    """List the scores of the leakage checks."""
    table = leakage.assign(chance=1 / leakage.classes).dropna(axis="columns", how="all")  # no corpus column if only one
    columns = [name for name in ("corpus", "uar", "chance", "clips", "speakers", "note") if name in table]
    frame = _select(table, *columns, index=leakage.probe.replace(LEAKAGE_CHECKS), name="check")
    frame = frame.fillna({"corpus": "", "note": ""})
    return html_page.table(frame, caption="UAR of a random forest in each check", formats=FORMATS)


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
    frame = recalls.rename(columns={"value": "recall", "ci_low": "low", "ci_high": "high"})[["recall", "low", "high"]]
    frame.insert(0, "clips", rows.groupby("emotion").clip_id.nunique().reindex(classes, fill_value=0))
    pairs = error_analysis.most_confused_pairs(rows, len(classes) ** 2).drop_duplicates("emotion").set_index("emotion")
    curves = metrics.roc_curves(rows).groupby("emotion")
    areas = pd.Series({name: auc(curve.fpr, curve.tpr) for name, curve in curves}, dtype=float)
    options: dict[str, Any] = {"labels": classes, "average": None, "zero_division": np.nan}
    return frame.assign(
        precision=precision_score(rows.emotion, rows.predicted, **options),
        auc=areas.reindex(classes),
        confusion=pairs.predicted.reindex(classes),
    )


def class_table(scores: pd.DataFrame, *, model: str) -> html_page.Table:
    """Format the result of `evaluate_by_class`."""
    frame = _select(scores, *scores.columns, index=scores.index, name="emotion")
    interval = ", with interval of recall over speakers" if "lower" in frame else ""
    return html_page.table(frame, caption=f"{model}: scores by emotion{interval}")


def evaluate_binary_tasks(rows: pd.DataFrame, wanted: Mapping[str, BinaryTask], *, model: str) -> dict[str, Any]:
    """Evaluate a model in binary tasks, such as valence and arousal: table, ROC curves by task, and messages."""
    lines, curves, errors, table = {}, {}, [], None
    for name, task in wanted.items():
        try:
            scores = binary_tasks.binary(rows, positive=task.positive, negative=task.negative)
        except UserError as error:
            errors.append(f"{name} was not evaluated: {error}")
            continue
        groups = {"positive class": ", ".join(scores.positive), "negative class": ", ".join(scores.negative)}
        lines[name] = groups | {"clips": scores.clips, "UAR": scores.uar, "ROC-AUC": scores.roc_auc}
        if len(scores.curve):
            curves[name] = scores.curve
    if lines:
        frame = pd.DataFrame.from_dict(lines, orient="index").rename_axis("task")
        table = html_page.table(frame, caption=f"{model}: binary tasks, from the same probabilities")
    return {"table": table, "curves": curves, "errors": errors}


def evaluate_subgroups(rows: pd.DataFrame, column: str, *, resamples: int, seed: int) -> pd.DataFrame:
    """Evaluate the clips of each value of a column: `subgroups.SUBGROUP_COLUMNS`, and low and high of the UAR."""
    if column == "duration":
        rows = rows[rows.duration.notna()]
        scores = subgroups.evaluate_by_duration(rows)
        edges = subgroups.DURATION_EDGES
        groups = [group for _, group in rows.groupby(np.digitize(rows.duration, edges))]  # the same order
    else:
        values = sex_names(rows.sex) if column == "sex" else rows[column].fillna("").astype(str).replace("", "unknown")
        scores = subgroups.evaluate_by_group(rows.assign(**{column: values}), column)
        groups = [rows[values == value] for value in scores.value]
    limits = [bootstrap.bootstrap(group, ["uar"], resamples=resamples, seed=seed) for group in groups]
    return scores.assign(**{side: [limit[f"ci_{side}"].iloc[0] for limit in limits] for side in ("low", "high")})


def subgroup_table(scores: pd.DataFrame, *, name: str, n_classes: int) -> html_page.Table:
    """Format scores of subgroups by `name`, see `evaluate_subgroups`; of more than `MAX_ROWS`, those at both ends.

    `n_classes` is the number of emotions of the run.
    """
    caption = f"UAR by {name}"
    if (scores.classes < n_classes).any():
        caption += "; over the emotions that occur, so subgroups with different emotions are not comparable"
    listed = scores
    if len(scores) > MAX_ROWS:
        listed = pd.concat([scores.head(MAX_ROWS // 2), scores.tail(MAX_ROWS // 2)])
        caption += f"; the {MAX_ROWS // 2} lowest and the {MAX_ROWS // 2} highest of {len(scores):,}"
    columns = ["uar", *scores.columns.intersection(["low", "high"]), "accuracy", "clips", "speakers", "classes"]
    return html_page.table(_select(listed, *columns, index=listed.value, name=name), caption=caption, formats=FORMATS)


def evaluate_by_speaker(rows: pd.DataFrame) -> pd.DataFrame:
    """Evaluate the clips of each known speaker: `subgroups.SUBGROUP_COLUMNS`, and sex (``female``, ``male``...)."""
    rows = rows[~is_unknown_speaker(rows)]
    speakers = rows.speaker
    if rows.corpus.nunique() == 1:
        speakers = speakers.str.removeprefix(f"{rows.corpus.iloc[0]}-")
    scores = subgroups.evaluate_by_group(rows.assign(speaker=speakers), "speaker")
    return scores.assign(sex=scores.value.map(sex_names(rows.sex).groupby(speakers).first()))


def confusions_table(rows: pd.DataFrame, *, n: int = 10) -> html_page.Table:
    """List the most frequent confusions."""
    pairs = error_analysis.most_confused_pairs(rows, n)
    frame = _select(pairs, "clips", "fraction", index=pairs.emotion + " → " + pairs.predicted, name="confusion")
    caption = "Most frequent confusions, as a fraction of the predictions for the true emotion"
    return html_page.table(frame, caption=caption, formats=FORMATS)


def most_confident_errors(rows: pd.DataFrame, *, n: int) -> pd.DataFrame:
    """List the misclassified clips with the highest confidence, each once: see `error_analysis`."""
    errors = error_analysis.most_confident_errors(rows, len(rows))
    return errors.drop_duplicates("clip_id").head(n).reset_index(drop=True)


def errors_table(errors: pd.DataFrame) -> html_page.Table:
    """Format the result of `most_confident_errors`, numbered like the audio players."""
    names = [f"{n}. {clip_id}" for n, clip_id in enumerate(errors.clip_id, start=1)]
    table = errors.rename(columns={"emotion": "true emotion", "truth": "p (true emotion)"})
    frame = _select(table, "true emotion", "predicted", "confidence", "p (true emotion)", index=names, name="clip")
    return html_page.table(frame, caption="Most confident errors")


def corruption_rows(scores: pd.DataFrame) -> pd.DataFrame:
    """List the UAR of the original and of the corrupted clips, as `plots.plot_confidence_intervals` takes them."""
    original = plots.uar_intervals(scores[["uar_clean"]][:1].set_axis(["uar"], axis=1), "original", strong=True)
    corrupted = plots.uar_intervals(scores, scores.condition.map(describe_condition), strong=False)
    return pd.concat([original, corrupted], ignore_index=True)


def robustness_table(scores: pd.DataFrame, *, model: str) -> html_page.Table:
    """Format the result of `ser.evaluation.robustness.evaluate_robustness` of one model."""
    columns = ["uar", "uar_change", "uar_change_ci_low", "uar_change_ci_high", "agreement", "clips"]
    frame = _select(scores, *columns, index=scores.condition.map(describe_condition), name="corruption")
    interval = ", with interval over speakers" if "lower" in frame else ""
    caption = f"{model}: UAR on corrupted test clips, and its change from the original clips{interval}"
    return html_page.table(frame, caption=caption, formats=DIFFERENCES)


def uar_changes_table(scores: Mapping[str, pd.DataFrame]) -> html_page.Table:
    """List the change of UAR: one row per model, one column per corruption."""
    changes = {model: table.set_index("condition").uar_change for model, table in scores.items()}
    frame = pd.DataFrame(changes).T.rename(columns=describe_condition).rename_axis(index="model", columns=None)
    formats = dict.fromkeys(frame.columns, format_difference)
    return html_page.table(frame, caption="Change of UAR on corrupted test clips", formats=formats)
