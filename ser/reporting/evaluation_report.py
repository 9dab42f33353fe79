"""The page on which a reader sees where a score comes from, made of prediction tables and what was judged of them."""

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
from ser.evaluation.summary import select_test_rows as rows_tested
from ser.params import Evaluate
from ser.predictions.table import classes_of
from ser.predictions.temperature import undo_temperature
from ser.reporting import evaluation_tables, evaluation_text, html_page, leaderboard, players, plots
from ser.utils import provenance
from ser.utils.files import atomic_write
from ser.utils.text import shorten

MISTAKES = 12
"""Surest mistakes that are listed and played."""


@dataclass(frozen=True)
class _Run:
    """What all parts of the page need; `tested` holds each model's test rows, best first."""

    tested: Mapping[str, pd.DataFrame]
    headline: pd.DataFrame
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
        return str(self.headline.model.iloc[0])

    @property
    def unknown(self) -> str:
        return describe_unknown_speakers(self.tested[self.best])

    @property
    def interval(self) -> str:
        """Name of the intervals in figures."""
        few = evaluation_tables.uncertain(self.headline, unknown=self.unknown)
        return "range over the test speakers" if few else "95 % CI (bootstrap over speakers)"


def write(
    path: Path,
    pictures: Path,
    *,
    tables: Mapping[str, pd.DataFrame],
    headline: pd.DataFrame,
    pairs: pd.DataFrame,
    people: pd.DataFrame,
    robustness: Mapping[str, pd.DataFrame],
    probe: pd.DataFrame | None,
    protocol: str,
    caption: str,
    notes: Sequence[str],
    confusion: Path,
    clips: Sequence[Path],
    settings: Evaluate,
    seed: int,
    all_settings: Mapping[str, Any],
) -> None:
    """Write the page, and beside it the pictures that it holds.

    Parameters
    ----------
    path
        Of the page.
    pictures
        Folder of PNGs; it is made anew.
    tables
        {model: prediction table}; test rows are shown, altered copies left aside.
    headline
        A row a model, the best first, of test rows: model; uar, accuracy and f1, each with ``_ci_low`` and
        ``_ci_high``; roc_auc, cohen_kappa, top2_accuracy, ece, ece_uncalibrated (before temperature), uar_seed_sd,
        uar_fold_mean, uar_fold_sd (NaN where there is one), val_uar, speakers, clips, and not_significantly_worse,
        whether it is not shown to be below the best.
    pairs
        As `ser.evaluation.significance.compare` makes it; no rows with one model.
    people
        People and models on the clips that people judged, as `ser.evaluation.evaluate.evaluate_models` makes it; or
        no rows.
    robustness
        {model: table of `ser.evaluation.robustness.evaluate_robustness`}; they may have no rows.
    probe
        Columns probe, corpus, uar, clips, speakers, classes and note, or nothing, where leaks were not probed.
    protocol, caption
        What was tested on what: as a sentence, and for the titles of pictures; of `ser.reporting.leaderboard`.
    notes
        Warnings, of `ser.reporting.leaderboard`.
    confusion
        Folder of the confusion matrices, ``<model>_test.png``.
    clips
        Clip tables with audio, named by their corpora, for the players of mistakes. They may be absent.
    settings
        The section `evaluate` of the settings.
    seed
        Of the run: the bootstrap's draws.
    all_settings
        The whole of params.yaml, to be shown.

    Raises
    ------
    UserError
        If the audio of a clip that is played is broken.
    """
    tested = {str(model): rows_tested(tables[model]) for model in headline.model}
    classes = classes_of(next(iter(tested.values())))
    with atomic_write(pictures) as folder:
        folder.mkdir()
        run = _Run(tested, headline, classes, settings, seed, caption, folder, confusion)
        best = tested[run.best]
        html_page.write(
            path,
            "report.html.j2",
            headline=evaluation_text.headline(headline, classes=len(classes), unknown=run.unknown),
            basis=f"{leaderboard.describe_test_set(protocol, best)}.",
            rivals=evaluation_text.describe_ties(headline, unknown=run.unknown),
            notes=evaluation_text.warnings(headline, notes, classes=len(classes), unknown=run.unknown),
            leaks=[] if probe is None else describe_leakage(probe),
            about_leaks="" if probe is None else evaluation_text.leaks(probe),
            probe=None if probe is None else evaluation_tables.leakage_table(probe, evaluation_text.PROBES),
            board=_board(run),
            differences=evaluation_tables.differences(pairs, headline, unknown=run.unknown) if len(pairs) else None,
            people=evaluation_tables.human_comparison_table(people) if len(people) else None,
            spread=evaluation_tables.spread(headline, tested),
            calibration=evaluation_tables.calibration(headline, tested),
            models=[_model(run, model) for model in tested],
            where=_where(run),
            robustness=_robustness(run, robustness),
            errors=_errors(best, clips),
            meanings=evaluation_text.GLOSSARY,
            again={
                "words": provenance.IDENTIFIED,
                "commands": provenance.commands(paths.EVALUATION_REPORT),
                "settings": provenance.settings_text(all_settings),
            },
        )


def _board(run: _Run) -> dict[str, Any]:
    """Draw and list the models by UAR."""
    table, path = run.headline, run.pictures / "models.png"
    drawn = pd.DataFrame({"name": table.model, "value": table.uar, "low": table.uar_ci_low, "high": table.uar_ci_high})
    unsure = evaluation_tables.uncertain(table, unknown=run.unknown)
    drawn["strong"] = table.not_significantly_worse.astype(bool) | unsure
    plots.plot_confidence_intervals(drawn, path, chance=run.chance, label="UAR on test clips", title=run.caption)
    filled = "" if unsure or drawn.strong.all() else " Filled: the best model, and models not significantly worse."
    bars = f"Bars: {run.interval}. "
    said = f"{bars if table.uar_ci_low.notna().any() else ''}Dashed: chance level, {run.chance:.3f}.{filled}"
    alt = evaluation_text.alt("UAR of each model", dict(zip(table.model, table.uar, strict=True)))
    return {
        "picture": html_page.picture(path, alt=alt, caption=f"Dots: UAR. {said}"),
        "table": evaluation_tables.leaderboard_table(table, unknown=run.unknown),
        "further": evaluation_tables.other_metrics_table(table),
    }


# Each model -----------------------------------------------------------------------------------------------------------


def _model(run: _Run, model: str) -> dict[str, Any]:
    """Show what one model gets right and how sure it is."""
    rows = run.tested[model]
    found = evaluation_tables.by_class(rows, resamples=run.settings.resamples, seed=run.seed)
    tasks = evaluation_tables.tasks(rows, run.settings.binary, model=model)
    pictures = [
        _recalls(run, model, found),
        _roc(run, model, found, rows),
        *([_tasks(run, model, tasks)] if tasks.curves else []),
        _reliability(run, model, rows),
    ]
    return {
        "name": model,
        "uar": evaluation_tables.format_score(run.headline.set_index("model").uar[model]),
        "silent": evaluation_text.never_predicted(rows, run.classes),
        "confusion": _confusion(run, model, rows),
        "pictures": pictures,
        "classes": evaluation_tables.classes(found, model=model),
        "tasks": tasks,
    }


def _confusion(run: _Run, model: str, rows: pd.DataFrame) -> html_page.Picture:
    pairs = error_analysis.most_confused_pairs(rows, 1)
    most = [f"most frequent confusion: {one.emotion} → {one.predicted}, {one.share:.0%}" for one in _rows(pairs)]
    return html_page.picture(
        run.confusion / f"{model}_test.png",
        alt=f"Confusion matrix of {model}; {most[0] if most else 'no errors'}.",
        caption="Rows: true emotion. Columns: predicted emotion. Percent of the row, and number of predictions.",
    )


def _rows(table: pd.DataFrame) -> list[Any]:
    return list(table.itertuples(index=False))


def _recalls(run: _Run, model: str, found: pd.DataFrame) -> html_page.Picture:
    path = run.pictures / f"{model}_recall.png"
    drawn = found.rename(columns={"recall": "value"}).rename_axis("name").reset_index().assign(strong=True)
    plots.plot_confidence_intervals(
        drawn, path, chance=run.chance, label="Recall", title=f"{model}\n{run.caption}", width=4.6
    )
    alt = evaluation_text.alt(f"Recall of {model} by emotion", dict(found.recall), most=20)
    limits = f", with {run.interval}" if found.low.notna().any() else ""
    return html_page.picture(path, alt=alt, caption=f"Recall of each emotion{limits}; dashed: chance level.")


def _roc(run: _Run, model: str, found: pd.DataFrame, rows: pd.DataFrame) -> html_page.Picture:
    path = run.pictures / f"{model}_roc.png"
    curves = dict(list(metrics.roc_curves(rows).groupby("emotion")))
    ordered = {name: curves[name] for name in run.classes if name in curves}
    plots.plot_roc(ordered, path, title=f"{model}\n{run.caption}")
    alt = evaluation_text.alt(f"ROC curves of {model}, one emotion versus the rest; AUC", dict(found.auc), most=20)
    return html_page.picture(path, alt=alt, caption="ROC curves, one emotion versus the rest.")


def _tasks(run: _Run, model: str, tasks: evaluation_tables.Tasks) -> html_page.Picture:
    path = run.pictures / f"{model}_tasks.png"
    plots.plot_roc(tasks.curves, path, title=f"{model}\n{run.caption}")
    areas = {name: auc(curve.fpr, curve.tpr) for name, curve in tasks.curves.items()}
    alt = evaluation_text.alt(f"ROC curves of {model} in binary tasks; AUC", areas)
    return html_page.picture(path, alt=alt, caption="ROC curves of the binary tasks in the table below.")


def _reliability(run: _Run, model: str, rows: pd.DataFrame) -> html_page.Picture:
    path = run.pictures / f"{model}_reliability.png"
    judged = run.headline.set_index("model").loc[model]
    uncalibrated, calibrated = calibration.reliability(undo_temperature(rows)), calibration.reliability(rows)
    found = {"before temperature scaling": uncalibrated, "after temperature scaling": calibrated}
    if (rows.temperature == 1).all():
        found = {"no temperature scaling": calibrated}
    plots.plot_reliability(found, path, title=f"{model}\n{run.caption}")
    numbers = {"ECE before temperature": judged.ece_uncalibrated, "after": judged.ece}
    verdict = evaluation_tables.calibration_verdict(rows)
    said = f"{model} is {verdict}. On the diagonal, accuracy equals confidence."
    return html_page.picture(path, alt=evaluation_text.alt(f"Reliability of {model}", numbers), caption=said)


# Where the best model is right and wrong ------------------------------------------------------------------------------


def _where(run: _Run) -> dict[str, Any]:
    """Break down the best model's answers."""
    rows, total = run.tested[run.best], len(run.classes)
    voices = evaluation_tables.by_speaker(rows)
    wanted = [name for name in evaluation_tables.SLICES if evaluation_tables.known(rows, name)]
    found = {
        name: evaluation_tables.sliced(rows, name, resamples=run.settings.resamples, seed=run.seed) for name in wanted
    }
    return {
        "model": run.best,
        "voices": evaluation_text.describe_speaker_range(voices, unknown=run.unknown),
        "speakers": evaluation_tables.slices(voices, what="speaker", total=total) if len(voices) else None,
        "picture": _speakers(run, voices) if len(voices) > 1 else None,
        "sexes": evaluation_text.sexes(rows),
        "slices": {
            evaluation_tables.SLICES[name]: evaluation_tables.slices(
                one, what=evaluation_tables.SLICES[name], total=total
            )
            for name, one in found.items()
            if len(one) > 1
        },
        "unsaid": [evaluation_tables.SLICES[name] for name in evaluation_tables.SLICES if name not in wanted],
        "alike": [evaluation_tables.SLICES[name] for name, one in found.items() if len(one) == 1],
    }


def _speakers(run: _Run, voices: pd.DataFrame) -> html_page.Picture:
    path = run.pictures / "speakers.png"
    drawn = voices.assign(speaker=[shorten(name) for name in voices.value])
    overall = float(run.headline.uar.iloc[0])
    plots.plot_uar_by_speaker(drawn, path, overall=overall, chance=run.chance, title=f"{run.best}\n{run.caption}")
    ends = {
        f"lowest {voices.value.iloc[0]}": voices.uar.iloc[0],
        f"highest {voices.value.iloc[-1]}": voices.uar.iloc[-1],
    }
    alt = evaluation_text.alt(f"UAR of {run.best} by speaker", ends)
    return html_page.picture(path, alt=alt, caption="One dot per speaker, lowest UAR first.")


def _robustness(run: _Run, found: Mapping[str, pd.DataFrame]) -> dict[str, Any] | None:
    """Show what altering test clips does to the best model, and to all."""
    best, path = found[run.best], run.pictures / "robustness.png"
    if best.empty:
        return None
    drawn = evaluation_tables.corruption_rows(best)
    plots.plot_confidence_intervals(
        drawn, path, chance=run.chance, label="UAR", title=f"{run.best}, corrupted test clips\n{run.caption}"
    )
    alt = evaluation_text.alt(
        f"UAR of {run.best} on corrupted test clips", dict(zip(drawn.name, drawn.value, strict=True))
    )
    said = f"UAR of the same clips without and with corruption; bars: {run.interval}; dashed: chance level."
    return {
        "model": run.best,
        "picture": html_page.picture(path, alt=alt, caption=said),
        "table": evaluation_tables.robustness(best, model=run.best),
        "models": evaluation_tables.robustness_of_all(found),
    }


def _errors(rows: pd.DataFrame, clips: Sequence[Path]) -> dict[str, Any]:
    """List the mistakes, and play the surest."""
    wrong = evaluation_tables.surest_mistakes(rows, n=MISTAKES)
    if wrong.empty:
        return {"confused": None, "wrong": None, "players": [], "why_not": ""}
    playable = players.make(wrong, clips)
    return {
        "confused": evaluation_tables.confused(rows),
        "wrong": evaluation_tables.mistakes(wrong),
        "players": playable.players,
        "why_not": playable.why_not,
    }
