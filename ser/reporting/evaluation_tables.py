"""Tables of how models were judged, as a report shows them.

`rows` are the test rows of one model's prediction table, `headline` and `pairs` what the report is given,
`unknown` the words of `ser.dataset.clip_metadata.describe_unknown_speakers`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import auc

from ser.dataset.clip_metadata import is_unknown_speaker
from ser.evaluation import binary_tasks, bootstrap, error_analysis, metrics, subgroups
from ser.evaluation.bootstrap import MIN_SPEAKERS
from ser.evaluation.robustness import describe_condition
from ser.params import Binary
from ser.predictions.table import classes_of, probabilities
from ser.reporting import html_page
from ser.reporting.data_tables import sex_names
from ser.utils.errors import UserError

ALPHA = 0.05
LISTED = 30
"""Values of a breakdown that are listed; of more, the lowest and the highest."""
SLICES = {"corpus": "corpus", "sex": "sex", "intensity": "intensity", "sentence": "sentence", "duration": "length"}
"""Column -> what it is called, of the breakdowns with intervals."""
FELT_THE_SAME = 0.02
"""Confidence this near to accuracy is about right."""
format_score = "{:.3f}".format


@dataclass(frozen=True)
class Tasks:
    """Binary tasks: how they went, their curves by what a legend says, and why others were not judged."""

    table: html_page.Table | None
    curves: Mapping[str, pd.DataFrame]
    refused: Sequence[str]


def signed(value: float) -> str:
    """Write a difference with its sign, a true minus."""
    return f"{round(value, 3) + 0.0:+.3f}".replace("-", "\N{MINUS SIGN}")


def format_p_value(value: float) -> str:
    """Write a p-value."""
    return "below 0.001" if value < 0.001 else f"{value:.3f}"


# All models -----------------------------------------------------------------------------------------------------------


def leaderboard_table(headline: pd.DataFrame, *, unknown: str = "") -> html_page.Table:
    """Rank the models."""
    shown = {
        "UAR": headline.uar,
        "low": headline.uar_ci_low,
        "high": headline.uar_ci_high,
        "against the best": compare_with_best(headline, unknown=unknown),
        "UAR on validation": headline.val_uar,
    }
    frame = _with_limits(pd.DataFrame(shown).set_axis(pd.Index(headline.model, name="model")))
    marked = pd.DataFrame(False, index=frame.index, columns=frame.columns)
    marked["against the best"] = ~frame["against the best"].isin(["best", "worse"])
    limits = "range over the speakers" if uncertain(headline, unknown=unknown) else "interval over speakers"
    caption = f"Models by UAR on test clips{f', with the limits of its {limits}' if 'low' in frame else ''}"
    if marked.any(axis=None):
        caption += "; marked where a model cannot be told from the best"
    formats = dict.fromkeys(["UAR", "low", "high", "UAR on validation"], format_score)
    return html_page.table(frame, caption=caption, formats=formats, marked=marked)


def _with_limits(frame: pd.DataFrame) -> pd.DataFrame:
    """Drop the columns of limits where there are none."""
    limits = [name for name in frame if str(name).endswith(("low", "high"))]
    return frame.drop(columns=limits) if frame[limits].isna().all(axis=None) else frame


def compare_with_best(headline: pd.DataFrame, *, unknown: str = "") -> list[str]:
    """Say of each model how it stands to the best, in words; over few or unknown speakers nothing can be said."""
    unsure = [uncertain(headline, unknown=unknown)] * len(headline)
    known = ["not shown to be worse" if equal else "worse" for equal in headline.not_significantly_worse]
    return ["best", *("cannot be said" if no else word for no, word in zip(unsure[1:], known[1:], strict=True))]


def uncertain(headline: pd.DataFrame, *, unknown: str = "") -> bool:
    """Say whether test speakers are unknown, or too few, to tell models apart."""
    return bool(unknown) or int(headline.speakers.iloc[0]) < MIN_SPEAKERS


def other_metrics_table(headline: pd.DataFrame) -> html_page.Table:
    """List the other numbers of each model."""
    shown = {
        "accuracy": headline.accuracy,
        "accuracy, low": headline.accuracy_ci_low,
        "accuracy, high": headline.accuracy_ci_high,
        "F1": headline.f1,
        "F1, low": headline.f1_ci_low,
        "F1, high": headline.f1_ci_high,
        "ROC-AUC": headline.roc_auc,
        "kappa": headline.cohen_kappa,
        "among the 2 likeliest": headline.top2_accuracy,
        "ECE": headline.ece,
    }
    frame = _with_limits(pd.DataFrame(shown).set_axis(pd.Index(headline.model, name="model")))
    return html_page.table(
        frame, caption="Other numbers of the same answers", formats=dict.fromkeys(shown, format_score)
    )


def differences(pairs: pd.DataFrame, headline: pd.DataFrame, *, unknown: str = "") -> html_page.Table:
    """Say which of two models is better, and whether that is shown; the better one is named first."""
    ordered = _better_first(pairs)
    names = [f"{pair.a} against {pair.b}" for pair in ordered.itertuples()]
    shown = {
        "verdict": verdicts(pairs, headline, unknown=unknown),
        "UAR": ordered.difference,
        "low": ordered.ci_low,
        "high": ordered.ci_high,
        "only the first right": ordered.only_a,
        "only the second right": ordered.only_b,
        "p": ordered.p_holm,
    }
    frame = _with_limits(pd.DataFrame(shown).set_axis(pd.Index(names, name="models")))
    marked = pd.DataFrame(False, index=frame.index, columns=frame.columns).assign(verdict=frame.verdict != "real")
    formats = dict.fromkeys(["UAR", "low", "high"], signed) | {"p": format_p_value}
    limits = " with its limits over speakers" if "low" in frame else ""
    caption = f"Difference of UAR{limits}, clips that one of the two got right, and McNemar's p"
    return html_page.table(frame, caption=caption, formats=formats, marked=marked)


def _better_first(pairs: pd.DataFrame) -> pd.DataFrame:
    swapped = pairs.rename(columns={"a": "b", "b": "a", "only_a": "only_b", "only_b": "only_a"})
    swapped = swapped.assign(difference=-pairs.difference, ci_low=-pairs.ci_high, ci_high=-pairs.ci_low)[
        list(pairs.columns)
    ]
    return pairs.where(~(pairs.difference < 0), swapped).astype(pairs.dtypes.to_dict())


def verdicts(pairs: pd.DataFrame, headline: pd.DataFrame, *, unknown: str = "") -> list[str]:
    """Say of each pair whether its difference is real: by clips and by speakers, which agree, and no tie for best."""
    if uncertain(headline, unknown=unknown):
        return [f"not shown: {unknown or 'too few speakers'}"] * len(pairs)
    best, equal = headline.model.iloc[0], set(headline.model[headline.not_significantly_worse])
    known = [
        pair.p_holm < ALPHA
        and ((pair.ci_low > 0 and pair.only_a > pair.only_b) or (pair.ci_high < 0 and pair.only_a < pair.only_b))
        and not (best in (pair.a, pair.b) and {pair.a, pair.b} <= equal | {best})
        for pair in pairs.itertuples()
    ]
    return ["real" if real else "not shown" for real in known]


def spread(headline: pd.DataFrame, tested: Mapping[str, pd.DataFrame]) -> html_page.Table | None:
    """Say how far UAR varies with seeds and folds; nothing where there is one of each."""
    judged = headline.set_index("model")
    lines = {model: _spread(judged.loc[model], rows) for model, rows in tested.items()}
    frame = pd.DataFrame.from_dict(lines, orient="index").rename_axis("model")
    if frame.seeds.max() == 1:
        frame = frame.drop(columns=["seeds", "SD over seeds"])
    if frame.folds.max() == 1:
        frame = frame.drop(columns=["folds", "mean over folds", "SD over folds", "lowest fold", "highest fold"])
    if frame.shape[1] == 1:
        return None
    formats = dict.fromkeys(set(frame.columns) - {"seeds", "folds"}, format_score)
    return html_page.table(frame, caption="How far UAR varies with seeds and folds", formats=formats)


def human_comparison_table(table: pd.DataFrame) -> html_page.Table:
    """Compare people and models on the clips that people judged: model, uar and its limits, accuracy, clips."""
    names = {"uar": "UAR", "uar_ci_low": "low", "uar_ci_high": "high"}
    frame = table.set_index("model").rename(columns=names).drop(columns="clips").rename_axis("who")
    caption = f"The {int(table.clips.iloc[0])} test clips of which it is published what most people heard in the voice"
    return html_page.table(frame, caption=caption, formats=dict.fromkeys(frame.columns, format_score))


def _spread(judged: pd.Series, rows: pd.DataFrame) -> dict[str, float]:
    folds = subgroups.evaluate_by_group(rows, "fold").uar
    return {
        "UAR": judged.uar,
        "seeds": rows.seed.nunique(),
        "SD over seeds": judged.uar_seed_sd,
        "folds": rows.fold.nunique(),
        "mean over folds": judged.uar_fold_mean,
        "SD over folds": judged.uar_fold_sd,
        "lowest fold": folds.min(),
        "highest fold": folds.max(),
    }


def calibration(headline: pd.DataFrame, tested: Mapping[str, pd.DataFrame]) -> html_page.Table:
    """Say how far the models' probabilities can be believed."""
    lines = {}
    for judged in headline.itertuples():
        rows = tested[judged.model]
        confidence, accuracy = confidence_and_accuracy(rows)
        lines[judged.model] = {
            "ECE before": judged.ece_uncalibrated,
            "temperature": _range(rows.temperature),
            "ECE after": judged.ece,
            "mean probability of answers": confidence,
            "accuracy": accuracy,
            "so it is": calibration_verdict(rows),
        }
    frame = pd.DataFrame.from_dict(lines, orient="index").rename_axis("model")
    written = dict.fromkeys(["ECE before", "ECE after", "mean probability of answers", "accuracy"], format_score)
    return html_page.table(frame, caption="Calibration before and after temperature scaling", formats=written)


def confidence_and_accuracy(rows: pd.DataFrame) -> tuple[float, float]:
    """Compute the mean probability of a model's answers, and the share of them that is right."""
    return float(probabilities(rows).max(axis=1).mean()), float((rows.emotion == rows.predicted).mean())


def calibration_verdict(rows: pd.DataFrame) -> str:
    """Describe the calibration of a model in words."""
    confidence, accuracy = confidence_and_accuracy(rows)
    if abs(confidence - accuracy) < FELT_THE_SAME:
        return "well calibrated"
    return "over-confident" if confidence > accuracy else "under-confident"


def _range(values: "pd.Series[float]") -> str:
    low, high = f"{values.min():.2f}", f"{values.max():.2f}"
    return low if low == high else f"{low} to {high}"


def leakage_table(probe: pd.DataFrame, names: Mapping[str, str]) -> html_page.Table:
    """List what the cheap probe found; `names` says what its rows are called."""
    found = probe.assign(chance=1 / probe.classes, probe=probe.probe.map(lambda name: names.get(name, name)))
    frame = found[["probe", "corpus", "uar", "chance", "clips", "speakers", "note"]].rename(columns={"uar": "UAR"})
    frame = frame.dropna(axis="columns", how="all").fillna({"corpus": "", "note": ""})  # of one corpus nothing is named
    other = " and in one that does not" if (probe.probe == "leak_speaker").any() else ""
    caption = f"UAR of a random forest, trained and tested in ways that leak{other}"
    formats = {"UAR": format_score, "chance": format_score, "speakers": _speakers}
    return html_page.table(frame.set_index("probe"), caption=caption, formats=formats)


def _speakers(known: int) -> str:
    return f"{known:,}" if known else "unknown"


# One model ------------------------------------------------------------------------------------------------------------


def by_class(rows: pd.DataFrame, *, resamples: int, seed: int) -> pd.DataFrame:
    """Judge each emotion.

    Returns
    -------
    DataFrame
        A row an emotion (index) with clips, recall, low, high, precision, auc, and what it is most often taken for;
        NaN where it does not occur.
    """
    classes = classes_of(rows)
    names = [f"recall_{name}" for name in classes]
    found = bootstrap.bootstrap(rows, names, resamples=resamples, seed=seed).set_axis(classes)
    counts = metrics.confusion(rows, classes=classes)
    answers = counts.sum(axis=0)
    right = pd.Series(np.diag(counts), index=classes)
    frame = found.rename(columns={"value": "recall", "ci_low": "low", "ci_high": "high"})[["recall", "low", "high"]]
    frame.insert(0, "clips", rows.groupby("emotion").clip_id.nunique().reindex(classes, fill_value=0))
    pairs = error_analysis.most_confused_pairs(rows, len(classes) ** 2).drop_duplicates("emotion").set_index("emotion")
    return frame.assign(
        precision=(right / answers.where(answers > 0)),
        auc=areas(metrics.roc_curves(rows)).reindex(classes),
        mistaken=pairs.predicted.reindex(classes),
    )


def areas(curves: pd.DataFrame) -> "pd.Series[float]":
    """Compute the area below each emotion's curve, of `ser.evaluation.metrics.roc_curves`."""
    return pd.Series({name: auc(curve.fpr, curve.tpr) for name, curve in curves.groupby("emotion")}, dtype=float)


def classes(found: pd.DataFrame, *, model: str) -> html_page.Table:
    """Write what `by_class` found."""
    renamed = found.rename(columns={"auc": "ROC-AUC", "mistaken": "most often taken for"}).rename_axis("emotion")
    renamed = _with_limits(renamed)
    limits = ", with limits of recall over speakers" if "low" in renamed else ""
    formats = dict.fromkeys(["recall", "low", "high", "precision", "ROC-AUC"], format_score)
    return html_page.table(renamed, caption=f"{model}: each emotion{limits}", formats=formats)


def tasks(rows: pd.DataFrame, wanted: Mapping[str, Binary], *, model: str) -> Tasks:
    """Judge a model in tasks of two classes."""
    lines, curves, refused = {}, {}, []
    for name, task in wanted.items():
        try:
            found = binary_tasks.binary(rows, positive=task.positive, negative=task.negative)
        except UserError as error:
            refused.append(f"{name} was not judged: {error}")
            continue
        groups = {"this": ", ".join(task.positive), "from": ", ".join(task.negative)}
        lines[name] = groups | {"clips": found.clips, "UAR": found.uar, "ROC-AUC": found.roc_auc}
        if len(found.curve):
            curves[name] = found.curve
    if not lines:
        return Tasks(None, {}, refused)
    frame = pd.DataFrame.from_dict(lines, orient="index").rename_axis("task")
    caption = f"{model}: emotions told from emotions, by the same probabilities"
    return Tasks(
        html_page.table(frame, caption=caption, formats={"UAR": format_score, "ROC-AUC": format_score}), curves, refused
    )


# Where it is right and wrong ------------------------------------------------------------------------------------------


def known(rows: pd.DataFrame, column: str) -> bool:
    """Say whether something is said in a column, which may be missing."""
    return column in rows and bool((rows[column].notna() & (rows[column].astype(str) != "")).any())


def sliced(rows: pd.DataFrame, column: str, *, resamples: int, seed: int) -> pd.DataFrame:
    """Judge the clips of each value of a column apart: `subgroups.SLICE`, with limits over speakers."""
    if column == "duration":
        rows = rows[rows.duration.notna()]
        found = subgroups.evaluate_by_duration(rows)
        groups = [own for _, own in rows.groupby(np.digitize(rows.duration, subgroups.SECONDS))]  # also short to long
    else:
        values = _named(rows, column)
        found = subgroups.evaluate_by_group(rows.assign(**{column: values}), column)
        groups = [rows[values == value] for value in found.value]
    limits = [bootstrap.bootstrap(own, ["uar"], resamples=resamples, seed=seed) for own in groups]
    return found.assign(**{side: [one[f"ci_{side}"].iloc[0] for one in limits] for side in ("low", "high")})


def _named(rows: pd.DataFrame, column: str) -> "pd.Series[str]":
    if column == "sex":
        return sex_names(rows.sex)
    return rows[column].fillna("").astype(str).replace("", "unknown")


def slices(found: pd.DataFrame, *, what: str, total: int) -> html_page.Table:
    """Write what `sliced` found; where there are many values, the lowest and the highest.

    Parameters
    ----------
    found
        `subgroups.SLICE`, maybe with low and high.
    what
        Its values are.
    total
        Emotions of the run.
    """
    caption = f"UAR by {what}"
    if (found.classes < total).any():
        caption += "; over the emotions that there are, so that rows with other emotions are not quite comparable"
    listed = found
    if len(found) > LISTED:
        listed = pd.concat([found.head(LISTED // 2), found.tail(LISTED // 2)])
        caption += f"; the {LISTED // 2} lowest and the {LISTED // 2} highest of {len(found):,}"
    wanted = ["uar", *(c for c in ("low", "high") if c in found), "accuracy", "clips", "speakers", "classes"]
    frame = _with_limits(listed.set_index("value")[wanted].rename_axis(what))
    frame = frame.rename(columns={"uar": "UAR", "classes": "emotions"})
    formats = dict.fromkeys(["UAR", "low", "high", "accuracy"], format_score) | {"speakers": _speakers}
    return html_page.table(frame, caption=caption, formats=formats)


def by_speaker(rows: pd.DataFrame) -> pd.DataFrame:
    """Judge the clips of each known speaker apart: `subgroups.SLICE`, and sex in words."""
    rows = rows[~is_unknown_speaker(rows)]
    who = rows.speaker
    if rows.corpus.nunique() == 1:
        who = who.str.removeprefix(f"{rows.corpus.iloc[0]}-")
    found = subgroups.evaluate_by_group(rows.assign(speaker=who), "speaker")
    sexes = sex_names(rows.sex).groupby(who).first() if "sex" in rows else pd.Series(dtype=str)
    return found.assign(sex=found.value.map(sexes).fillna("unknown"))


def confused(rows: pd.DataFrame, *, n: int = 10) -> html_page.Table:
    """List the emotions most often taken for another."""
    found = error_analysis.most_confused_pairs(rows, n)
    names = [f"{emotion} taken for {answer}" for emotion, answer in zip(found.emotion, found.predicted, strict=True)]
    frame = found[["clips", "share"]].set_axis(pd.Index(names, name="mistake"))
    caption = "The most frequent mistakes, as a share of the emotion's clips"
    return html_page.table(frame, caption=caption, formats={"share": "{:.0%}".format})


def surest_mistakes(rows: pd.DataFrame, *, n: int) -> pd.DataFrame:
    """List the clips that a model was surest about and wrong, each once: as `error_analysis.confidently_wrong`."""
    found = error_analysis.most_confident_errors(rows, len(rows))
    return found.drop_duplicates("clip_id").head(n).reset_index(drop=True)


def mistakes(wrong: pd.DataFrame) -> html_page.Table:
    """Write what `surest_mistakes` found, numbered as the players are."""
    names = [f"{n}. {clip_id}" for n, clip_id in enumerate(wrong.clip_id, start=1)]
    frame = wrong[["emotion", "predicted", "confidence", "truth"]].set_axis(pd.Index(names, name="clip"))
    renamed = {"predicted": "answer", "confidence": "p of the answer", "truth": "p of the emotion"}
    caption = "The mistakes that the model was surest about"
    return html_page.table(
        frame.rename(columns=renamed),
        caption=caption,
        formats=dict.fromkeys(["p of the answer", "p of the emotion"], format_score),
    )


# What disturbs it ----------------------------------------------------------------------------------------------------


def corruption_rows(found: pd.DataFrame) -> pd.DataFrame:
    """List UARs on altered clips, and first that of the same clips unaltered, as `plots.intervals` draws them."""
    names = [describe_condition(condition) for condition in found.condition]
    altered = pd.DataFrame({"name": names, "value": found.uar, "low": found.uar_ci_low, "high": found.uar_ci_high})
    clean = pd.DataFrame({"name": ["unaltered"], "value": found.uar_clean.iloc[:1], "low": np.nan, "high": np.nan})
    return pd.concat([clean, altered], ignore_index=True).assign(strong=lambda drawn: drawn.name == "unaltered")


def robustness(found: pd.DataFrame, *, model: str) -> html_page.Table:
    """Write what `ser.evaluation.robustness.evaluate_robustness` found of one model."""
    shown = {
        "UAR": found.uar,
        "change": found.uar_change,
        "low": found.uar_change_ci_low,
        "high": found.uar_change_ci_high,
        "same answers": found.agreement,
        "clips": found.clips,
    }
    names = pd.Index([describe_condition(condition) for condition in found.condition], name="test clips, altered")
    formats = {"UAR": format_score, "same answers": "{:.0%}".format} | dict.fromkeys(["change", "low", "high"], signed)
    caption = f"{model}: UAR on altered test clips, and its change, with limits over speakers, against them unaltered"
    return html_page.table(pd.DataFrame(shown).set_axis(names), caption=caption, formats=formats)


def robustness_of_all(found: Mapping[str, pd.DataFrame]) -> html_page.Table:
    """Write how much UAR changes, a row a model and a column a condition."""
    changes = {model: table.set_index("condition").uar_change for model, table in found.items()}
    frame = pd.DataFrame(changes).T.rename(columns=describe_condition).rename_axis(index="model", columns=None)
    return html_page.table(frame, caption="Change of UAR, of all models", formats=dict.fromkeys(frame.columns, signed))
