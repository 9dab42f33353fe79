"""Write the evaluation report, an HTML page made of prediction tables and the results computed from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.metrics import auc

from ser import paths
from ser.dataset.clip_metadata import describe_unknown_speakers
from ser.evaluation import calibration, error_analysis, metrics
from ser.evaluation.leakage import describe_leakage
from ser.evaluation.summary import select_test_rows
from ser.params import Evaluate
from ser.predictions.table import classes_of
from ser.predictions.temperature import undo_temperature
from ser.reporting import evaluation_tables, evaluation_text, html_page, players, plots
from ser.reporting import leaderboard as leaderboard_text
from ser.utils import provenance
from ser.utils.files import atomic_write
from ser.utils.text import shorten

MAX_ERRORS = 12
"""Number of most confident errors that are listed and played."""


@dataclass(frozen=True)
class _Run:
    """Inputs that all sections need; `tested` has the test rows of each model, best model first."""

    tested: Mapping[str, pd.DataFrame]
    ranking: pd.DataFrame
    classes: Sequence[str]
    settings: Evaluate
    seed: int
    caption: str
    pictures: Path
    confusion: Path

    @property
    def chance(self) -> float:
        return 1 / len(self.classes)

    @property
    def best(self) -> str:
        return str(self.ranking.model.iloc[0])

    @property
    def unknown(self) -> str:
        return describe_unknown_speakers(self.tested[self.best])

    @property
    def interval(self) -> str:
        """Name of the intervals in captions."""
        few = evaluation_tables.not_testable(self.ranking, unknown=self.unknown)
        return "range over test speakers" if few else "95 % CI (cluster bootstrap over speakers)"


def write(
    path: Path,
    pictures: Path,
    *,
    tables: Mapping[str, pd.DataFrame],
    ranking: pd.DataFrame,
    pairs: pd.DataFrame,
    humans: pd.DataFrame,
    robustness: Mapping[str, pd.DataFrame],
    leakage: pd.DataFrame | None,
    protocol: str,
    caption: str,
    notes: Sequence[str],
    confusion: Path,
    clips: Sequence[Path],
    settings: Evaluate,
    seed: int,
    all_settings: Mapping[str, Any],
) -> None:
    """Write the report, and its figures as separate files.

    Parameters
    ----------
    path
        Path of the report.
    pictures
        Folder of the PNGs; it is replaced.
    tables
        Prediction table by model. Only test rows of original clips are used.
    ranking
        One row per model, best first: model; uar, accuracy and f1, each with ``_ci_low`` and ``_ci_high``; roc_auc,
        cohen_kappa, top2_accuracy, ece, ece_uncalibrated (before temperature scaling), uar_seed_sd, uar_fold_mean,
        uar_fold_sd (NaN with one seed or fold), val_uar, speakers, clips, and not_significantly_worse.
    pairs
        Result of `ser.evaluation.significance.compare`; no rows with one model.
    humans
        Human listeners and models on the clips with published ratings, of
        `ser.evaluation.evaluate.evaluate_models`; possibly without rows.
    robustness
        Result of `ser.evaluation.robustness.evaluate_robustness` by model; possibly without rows.
    leakage
        Columns probe, corpus, uar, clips, speakers, classes and note, or None if no checks were run.
    protocol, caption
        Evaluation protocol as a sentence, and for titles of figures: see `ser.reporting.leaderboard`.
    notes
        Warnings of `ser.reporting.leaderboard`.
    confusion
        Folder of the confusion matrices, ``<model>_test.png``.
    clips
        Clip tables with the column ``audio``, named by their corpora, to play errors. They may be missing.
    settings
        The section `evaluate` of the settings.
    seed
        Seed of the bootstrap.
    all_settings
        Content of params.yaml, which the report lists.

    Raises
    ------
    UserError
        If the audio of a clip cannot be decoded.
    """
    tested = {str(model): select_test_rows(tables[model]) for model in ranking.model}
    classes = classes_of(next(iter(tested.values())))
    with atomic_write(pictures) as folder:
        folder.mkdir()
        run = _Run(tested, ranking, classes, settings, seed, caption, folder, confusion)
        best, unknown = tested[run.best], run.unknown
        html_page.write(
            path,
            "evaluation.html.j2",
            headline=evaluation_text.headline(ranking, classes=len(classes), unknown=unknown),
            test_set=f"{leaderboard_text.describe_test_set(protocol, best)}.",
            ties=evaluation_text.describe_ties(ranking, unknown=unknown),
            notes=evaluation_text.warnings(ranking, notes, classes=len(classes), unknown=unknown),
            leakage_summary=[] if leakage is None else describe_leakage(leakage),
            leakage_intro="" if leakage is None else evaluation_text.describe_leakage_checks(leakage),
            leakage=leakage
            if leakage is None
            else evaluation_tables.leakage_table(leakage, evaluation_text.LEAKAGE_CHECKS),
            leaderboard=_leaderboard(run),
            pairwise_tests=evaluation_tables.pairwise_tests_table(pairs, ranking, unknown=unknown)
            if len(pairs)
            else None,
            human_comparison=evaluation_tables.human_comparison_table(humans) if len(humans) else None,
            variation=evaluation_tables.variation_table(ranking, tested),
            calibration=evaluation_tables.calibration_table(ranking, tested),
            models=[_model(run, model) for model in tested],
            subgroups=_subgroups(run),
            robustness=_robustness(run, robustness),
            errors=_errors(best, clips),
            glossary=evaluation_text.GLOSSARY,
            reproduce={
                "text": provenance.IDENTIFIED,
                "commands": provenance.commands(paths.EVALUATION_REPORT),
                "settings": provenance.settings_text(all_settings),
            },
        )


def _leaderboard(run: _Run) -> dict[str, Any]:
    table, path = run.ranking, run.pictures / "models.png"
    drawn = pd.DataFrame({"name": table.model, "value": table.uar, "low": table.uar_ci_low, "high": table.uar_ci_high})
    not_testable = evaluation_tables.not_testable(table, unknown=run.unknown)
    drawn["strong"] = table.not_significantly_worse.astype(bool) | not_testable
    plots.plot_confidence_intervals(drawn, path, chance=run.chance, label="UAR on test clips", title=run.caption)
    filled = "" if drawn.strong.all() else " Filled: the best model, and models not significantly worse."
    bars = f"Bars: {run.interval}. " if table.uar_ci_low.notna().any() else ""
    caption = f"Dots: UAR. {bars}Dashed: chance level, {run.chance:.3f}.{filled}"
    alt = evaluation_text.alt_text("UAR of each model", dict(zip(table.model, table.uar, strict=True)))
    return {
        "picture": html_page.picture(path, alt=alt, caption=caption),
        "table": evaluation_tables.leaderboard_table(table, unknown=run.unknown),
        "other_metrics": evaluation_tables.other_metrics_table(table),
    }


# Results by model -----------------------------------------------------------------------------------------------------


def _model(run: _Run, model: str) -> dict[str, Any]:
    rows = run.tested[model]
    scores = evaluation_tables.evaluate_by_class(rows, resamples=run.settings.n_resamples, seed=run.seed)
    tasks = evaluation_tables.evaluate_binary_tasks(rows, run.settings.binary_tasks, model=model)
    return {
        "name": model,
        "uar": evaluation_tables.format_score(run.ranking.set_index("model").uar[model]),
        "never_predicted": evaluation_text.never_predicted(rows, run.classes),
        "confusion": _confusion(run, model, rows),
        "pictures": [
            _recalls(run, model, scores),
            _roc(run, model, scores, rows),
            *([_binary_tasks(run, model, tasks)] if tasks.curves else []),
            _reliability(run, model, rows),
        ],
        "classes": evaluation_tables.class_table(scores, model=model),
        "tasks": tasks,
    }


def _confusion(run: _Run, model: str, rows: pd.DataFrame) -> html_page.Picture:
    pairs = error_analysis.most_confused_pairs(rows, 1).itertuples()
    top = [f"most frequent confusion: {pair.emotion} → {pair.predicted}, {pair.share:.0%}" for pair in pairs]
    return html_page.picture(
        run.confusion / f"{model}_test.png",
        alt=f"Confusion matrix of {model}; {top[0] if top else 'no errors'}.",
        caption="Rows: true emotion. Columns: predicted emotion. Percent of the row, and number of predictions.",
    )


def _recalls(run: _Run, model: str, scores: pd.DataFrame) -> html_page.Picture:
    path = run.pictures / f"{model}_recall.png"
    drawn = scores.rename(columns={"recall": "value"}).rename_axis("name").reset_index().assign(strong=True)
    title = f"{model}\n{run.caption}"
    plots.plot_confidence_intervals(drawn, path, chance=run.chance, label="Recall", title=title, width=4.6)
    alt = evaluation_text.alt_text(f"Recall of {model} by emotion", dict(scores.recall), max_numbers=20)
    interval = f", with {run.interval}" if scores.low.notna().any() else ""
    return html_page.picture(path, alt=alt, caption=f"Recall of each emotion{interval}; dashed: chance level.")


def _roc(run: _Run, model: str, scores: pd.DataFrame, rows: pd.DataFrame) -> html_page.Picture:
    path = run.pictures / f"{model}_roc.png"
    curves = dict(list(metrics.roc_curves(rows).groupby("emotion")))
    ordered = {name: curves[name] for name in run.classes if name in curves}
    plots.plot_roc(ordered, path, title=f"{model}\n{run.caption}")
    title = f"ROC curves of {model}, one emotion versus the rest; AUC"
    alt = evaluation_text.alt_text(title, dict(scores.auc), max_numbers=20)
    return html_page.picture(path, alt=alt, caption="ROC curves, one emotion versus the rest.")


def _binary_tasks(run: _Run, model: str, tasks: evaluation_tables.BinaryTasks) -> html_page.Picture:
    path = run.pictures / f"{model}_tasks.png"
    plots.plot_roc(tasks.curves, path, title=f"{model}\n{run.caption}")
    areas = {name: auc(curve.fpr, curve.tpr) for name, curve in tasks.curves.items()}
    alt = evaluation_text.alt_text(f"ROC curves of {model} in binary tasks; AUC", areas)
    return html_page.picture(path, alt=alt, caption="ROC curves of the binary tasks in the table below.")


def _reliability(run: _Run, model: str, rows: pd.DataFrame) -> html_page.Picture:
    path = run.pictures / f"{model}_reliability.png"
    uncalibrated, calibrated = calibration.reliability(undo_temperature(rows)), calibration.reliability(rows)
    bins = {"before temperature scaling": uncalibrated, "after temperature scaling": calibrated}
    if (rows.temperature == 1).all():
        bins = {"no temperature scaling": calibrated}
    plots.plot_reliability(bins, path, title=f"{model}\n{run.caption}")
    scores = run.ranking.set_index("model").loc[model]
    numbers = {"ECE before temperature scaling": scores.ece_uncalibrated, "after": scores.ece}
    verdict = evaluation_tables.calibration_verdict(rows)
    caption = f"Reliability diagram: {model} is {verdict}. Diagonal: accuracy equals confidence."
    alt = evaluation_text.alt_text(f"Reliability diagram of {model}", numbers)
    return html_page.picture(path, alt=alt, caption=caption)


# Results of the best model --------------------------------------------------------------------------------------------


def _subgroups(run: _Run) -> dict[str, Any]:
    rows, n_classes, names = run.tested[run.best], len(run.classes), evaluation_tables.SUBGROUPS
    speakers = evaluation_tables.evaluate_by_speaker(rows)
    known = [column for column in names if evaluation_tables.has_values(rows, column)]
    scores = {
        column: evaluation_tables.evaluate_subgroups(rows, column, resamples=run.settings.n_resamples, seed=run.seed)
        for column in known
    }
    return {
        "model": run.best,
        "speaker_range": evaluation_text.describe_speaker_range(speakers, unknown=run.unknown),
        "speakers": evaluation_tables.subgroup_table(speakers, name="speaker", n_classes=n_classes)
        if len(speakers)
        else None,
        "picture": _uar_by_speaker(run, speakers) if len(speakers) > 1 else None,
        "sex_gap": evaluation_text.describe_sex_gap(rows),
        "tables": {
            names[column]: evaluation_tables.subgroup_table(table, name=names[column], n_classes=n_classes)
            for column, table in scores.items()
            if len(table) > 1
        },
        "missing": [names[column] for column in names if column not in known],
        "constant": [names[column] for column, table in scores.items() if len(table) == 1],
    }


def _uar_by_speaker(run: _Run, scores: pd.DataFrame) -> html_page.Picture:
    path = run.pictures / "speakers.png"
    drawn = scores.assign(speaker=[shorten(name) for name in scores.value])
    overall = float(run.ranking.uar.iloc[0])
    plots.plot_uar_by_speaker(drawn, path, overall=overall, chance=run.chance, title=f"{run.best}\n{run.caption}")
    low, high = scores.iloc[0], scores.iloc[-1]
    ends = {f"lowest {low.value}": low.uar, f"highest {high.value}": high.uar}
    alt = evaluation_text.alt_text(f"UAR of {run.best} by speaker", ends)
    return html_page.picture(path, alt=alt, caption="One dot per speaker, lowest UAR first.")


def _robustness(run: _Run, scores: Mapping[str, pd.DataFrame]) -> dict[str, Any] | None:
    best, path = scores[run.best], run.pictures / "robustness.png"
    if best.empty:
        return None
    drawn = evaluation_tables.corruption_rows(best)
    title = f"{run.best}, corrupted test clips"
    plots.plot_confidence_intervals(drawn, path, chance=run.chance, label="UAR", title=f"{title}\n{run.caption}")
    uars = dict(zip(drawn.name, drawn.value, strict=True))
    alt = evaluation_text.alt_text(f"UAR of {title}", uars)
    caption = f"UAR of the same clips without and with corruption; bars: {run.interval}; dashed: chance level."
    return {
        "model": run.best,
        "picture": html_page.picture(path, alt=alt, caption=caption),
        "table": evaluation_tables.robustness_table(best, model=run.best),
        "changes": evaluation_tables.uar_changes_table(scores),
    }


def _errors(rows: pd.DataFrame, clips: Sequence[Path]) -> dict[str, Any]:
    errors = evaluation_tables.most_confident_errors(rows, n=MAX_ERRORS)
    if errors.empty:
        return {"most_confident": None}
    playable = players.make_players(errors, clips)
    return {
        "confusions": evaluation_tables.confusions_table(rows),
        "most_confident": evaluation_tables.errors_table(errors),
        "players": playable.players,
        "missing_audio": playable.missing_audio,
    }
