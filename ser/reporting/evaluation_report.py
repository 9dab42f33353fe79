"""Write the evaluation report, an HTML page made of prediction tables and the results computed from them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.metrics import auc

from ser import paths
from ser.dataset.clip_metadata import describe_unknown_speakers
from ser.evaluation import calibration, error_analysis, metrics, subgroups
from ser.evaluation.evaluate import EvaluationResult
from ser.evaluation.leakage import describe_leakage
from ser.evaluation.summary import select_test_rows
from ser.params import Evaluate
from ser.predictions.temperature import undo_temperature
from ser.reporting import evaluation_tables, evaluation_text, html_page, players, plots
from ser.reporting.leaderboard import RunDescription, describe_test_set, interval_legend
from ser.utils import provenance
from ser.utils.files import atomic_write, write_text
from ser.utils.text import shorten

MAX_ERRORS = 12
"""Number of most confident errors that are listed and played."""


@dataclass(frozen=True)
class _Run:
    """Inputs of all sections: test rows and results of the models, best model first, and texts for captions."""

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
        return evaluation_text.describe_interval(self.ranking, unknown=self.unknown)

    def plot(
        self, name: str, function: Callable[..., None], data: Any, *, title: str, alt: str, caption: str, **options: Any
    ) -> html_page.Picture:
        """Plot and embed a figure, with the protocol in its title."""
        path, title = self.pictures / f"{name}.png", f"{title}\n{self.caption}".lstrip()
        return html_page.plot(function, data, path, alt=alt, caption=caption, title=title, **options)

    def plot_intervals(
        self, name: str, table: pd.DataFrame, *, title: str, subject: str, caption: str, **options: Any
    ) -> html_page.Picture:
        """Plot and embed scores with intervals and chance level; `subject` is what they are, for screen readers."""
        alt = evaluation_text.alt_text(subject, dict(zip(table.name, table.value, strict=True)))
        options |= {"chance": self.chance, "title": title, "alt": alt, "caption": caption}
        return self.plot(name, plots.plot_confidence_intervals, table, **options)


def write(
    path: Path,
    pictures: Path,
    *,
    result: EvaluationResult,
    description: RunDescription,
    leakage: pd.DataFrame,
    confusion: Path,
    clips: Sequence[Path],
    settings: Evaluate,
    seed: int,
    all_settings: Mapping[str, Any],
) -> None:
    """Write the report, and its figures as separate files.

    Parameters
    ----------
    pictures
        Folder of the PNGs; it is replaced.
    result
        Result of `ser.evaluation.evaluate.evaluate_models`. Only test rows of original clips are used.
    leakage
        Table of `ser.evaluation.evaluate.read_leakage`.
    confusion
        Folder of the confusion matrices, ``<model>_test.png``.
    clips
        Clip tables with the column ``audio``, named by their corpora, to play errors. They may be missing.
    all_settings
        Content of params.yaml, which the report lists.

    Raises
    ------
    UserError
        If the audio of a clip cannot be decoded.
    """
    ranking, classes, tables = result.leaderboard, result.classes, evaluation_tables
    tested = {str(model): select_test_rows(result.predictions[model]) for model in ranking.model}
    with atomic_write(pictures) as folder:
        folder.mkdir()
        run = _Run(tested, ranking, classes, settings, seed, description["caption"], folder, confusion)
        best, unknown = tested[run.best], run.unknown
        page = html_page.render(
            "evaluation.html.j2",
            headline=evaluation_text.headline(ranking, classes=len(classes), unknown=unknown),
            test_set=f"{describe_test_set(description['protocol'], best)}.",
            data=description["data"],
            is_acted="acted" in description["styles"].values(),
            ties=evaluation_text.describe_ties(ranking, unknown=unknown),
            notes=evaluation_text.warnings(ranking, description["notes"], classes=len(classes), unknown=unknown),
            leakage_summary=describe_leakage(leakage),
            leakage_measurable=(leakage.probe == "leak_speaker").any(),
            leakage=tables.leakage_table(leakage),
            leaderboard=_leaderboard(run),
            pairwise_tests=tables.pairwise_tests_table(result.pairs, ranking, unknown=unknown),
            human_comparison=tables.human_comparison_table(result.human_comparison),
            variation=tables.variation_table(ranking, tested),
            calibration=tables.calibration_table(ranking, tested),
            models=[_model(run, model) for model in tested],
            subgroups=_subgroups(run),
            robustness=_robustness(run, result.robustness),
            errors=_errors(best, clips),
            instructions=provenance.INSTRUCTIONS,
            commands=provenance.commands(paths.EVALUATION_REPORT),
            settings=provenance.settings_text(all_settings),
            shorten=shorten,
        )
    write_text(path, page)


def _leaderboard(run: _Run) -> dict[str, Any]:
    ranking = run.ranking
    not_testable = evaluation_tables.not_testable(ranking, unknown=run.unknown)
    strong = ranking.not_significantly_worse.astype(bool) | not_testable
    plotted = plots.uar_intervals(ranking, ranking.model, strong=strong)
    legend = interval_legend(ranking, unknown=run.unknown)
    caption = f"{'; '.join(filter(None, ['Dots: UAR', f'dashed: chance level, {run.chance:.3f}', legend]))}."
    options = {"label": "UAR on test clips", "subject": "UAR of each model", "caption": caption}
    return {
        "picture": run.plot_intervals("models", plotted, title="", **options),
        "table": evaluation_tables.leaderboard_table(ranking, unknown=run.unknown),
        "other_metrics": evaluation_tables.other_metrics_table(ranking),
    }


def _model(run: _Run, model: str) -> dict[str, Any]:
    rows = run.tested[model]
    scores = evaluation_tables.evaluate_by_class(rows, resamples=run.settings.n_resamples, seed=run.seed)
    curves = metrics.roc_curves(rows).groupby("emotion", sort=False)
    tasks = evaluation_tables.evaluate_binary_tasks(rows, run.settings.binary_tasks, model=model)
    return {
        "name": model,
        "uar": evaluation_tables.format_score(run.ranking.set_index("model").uar[model]),
        "never_predicted": evaluation_text.never_predicted(rows, run.classes),
        "confusion": _confusion(run, model, rows),
        "pictures": [
            _recalls(run, model, scores),
            _roc(run, model, "roc", dict(list(curves)), subject="one emotion versus the rest"),
            *([_roc(run, model, "tasks", tasks["curves"], subject="binary tasks")] if tasks["curves"] else []),
            _reliability(run, model, rows),
        ],
        "classes": evaluation_tables.class_table(scores, model=model),
        "tasks": tasks,
    }


def _confusion(run: _Run, model: str, rows: pd.DataFrame) -> html_page.Picture:
    pairs = error_analysis.most_confused_pairs(rows, 1).itertuples()
    top = [f"most frequent confusion: {pair.emotion} → {pair.predicted}, {pair.fraction:.0%}" for pair in pairs]
    return html_page.picture(
        run.confusion / f"{model}_test.png",
        alt=f"Confusion matrix of {model}; {top[0] if top else 'no errors'}.",
        caption="Rows: true emotion. Columns: predicted emotion. Percent of the row, and number of predictions.",
    )


def _recalls(run: _Run, model: str, scores: pd.DataFrame) -> html_page.Picture:
    plotted = scores.rename(columns={"recall": "value"}).rename_axis("name").reset_index().assign(strong=True)
    interval = f", with {run.interval}" if scores.low.notna().any() else ""
    caption = f"Recall of each emotion{interval}; dashed: chance level."
    options: dict[str, Any] = {"label": "Recall", "width": 3.0, "caption": caption}
    return run.plot_intervals(
        f"{model}_recall", plotted, title=model, subject=f"Recall of {model} by emotion", **options
    )


def _roc(run: _Run, model: str, name: str, curves: Mapping[str, pd.DataFrame], *, subject: str) -> html_page.Picture:
    areas = {key: auc(curve.fpr, curve.tpr) for key, curve in curves.items()}
    alt = evaluation_text.alt_text(f"ROC curves of {model}, {subject}; AUC", areas)
    caption = f"ROC curves, {subject}."
    return run.plot(f"{model}_{name}", plots.plot_roc, curves, title=model, alt=alt, caption=caption)


def _reliability(run: _Run, model: str, rows: pd.DataFrame) -> html_page.Picture:
    uncalibrated, calibrated = calibration.reliability(undo_temperature(rows)), calibration.reliability(rows)
    bins = {"before temperature scaling": uncalibrated, "after temperature scaling": calibrated}
    if (rows.temperature == 1).all():
        bins = {"no temperature scaling": calibrated}
    scores = run.ranking.set_index("model").loc[model]
    numbers = {"ECE before temperature scaling": scores.ece_uncalibrated, "after": scores.ece}
    alt = evaluation_text.alt_text(f"Reliability diagram of {model}", numbers)
    verdict = evaluation_tables.calibration_verdict(rows)
    caption = f"Reliability diagram: {model} is {verdict}. Diagonal: accuracy equals confidence."
    return run.plot(f"{model}_reliability", plots.plot_reliability, bins, title=model, alt=alt, caption=caption)


def _subgroups(run: _Run) -> dict[str, Any]:
    rows, n_classes, names = run.tested[run.best], len(run.classes), evaluation_tables.SUBGROUPS
    speakers = evaluation_tables.evaluate_by_speaker(rows)
    missing = [name for name in names if (rows[name].isna() | (rows[name] == "")).all()]
    scores = {
        name: evaluation_tables.evaluate_subgroups(rows, name, resamples=run.settings.n_resamples, seed=run.seed)
        for name in names
        if name not in missing
    }
    return {
        "model": run.best,
        "unknown_speakers": run.unknown,
        "scores_by_speaker": speakers,
        "speakers": evaluation_tables.subgroup_table(speakers, name="speaker", n_classes=n_classes),
        "picture": _uar_by_speaker(run, speakers) if len(speakers) > 1 else None,
        "sex_gap": subgroups.uar_sex_gap(rows),
        "tables": {
            name: evaluation_tables.subgroup_table(table, name=name, n_classes=n_classes)
            for name, table in scores.items()
            if len(table) > 1
        },
        "missing": missing,
        "constant": [name for name, table in scores.items() if len(table) == 1],
    }


def _uar_by_speaker(run: _Run, scores: pd.DataFrame) -> html_page.Picture:
    plotted = scores.assign(speaker=[shorten(name) for name in scores.value])
    low, high = scores.iloc[0], scores.iloc[-1]
    ends = {f"lowest {low.value}": low.uar, f"highest {high.value}": high.uar}
    alt = evaluation_text.alt_text(f"UAR of {run.best} by speaker", ends)
    options: dict[str, Any] = {"overall": float(run.ranking.uar.iloc[0]), "chance": run.chance, "alt": alt}
    caption = "One dot per speaker, lowest UAR first."
    return run.plot("speakers", plots.plot_uar_by_speaker, plotted, title=run.best, caption=caption, **options)


def _robustness(run: _Run, scores: Mapping[str, pd.DataFrame]) -> dict[str, Any] | None:
    best = scores[run.best]
    if best.empty:
        return None
    plotted, title = evaluation_tables.corruption_rows(best), f"{run.best}, corrupted test clips"
    caption = f"UAR of the same clips without and with corruption; bars: {run.interval}; dashed: chance level."
    options = {"label": "UAR", "subject": f"UAR of {title}", "caption": caption}
    return {
        "model": run.best,
        "picture": run.plot_intervals("robustness", plotted, title=title, **options),
        "table": evaluation_tables.robustness_table(best, model=run.best),
        "changes": evaluation_tables.uar_changes_table(scores),
    }


def _errors(rows: pd.DataFrame, clips: Sequence[Path]) -> dict[str, Any]:
    errors = evaluation_tables.most_confident_errors(rows, n=MAX_ERRORS)
    if errors.empty:
        return {"most_confident": None}
    playable, missing_audio = players.make_players(errors, clips)
    return {
        "confusions": evaluation_tables.confusions_table(rows),
        "most_confident": evaluation_tables.errors_table(errors),
        "players": playable,
        "missing_audio": missing_audio,
    }
