"""Write the leaderboard, the confusion matrices and the model card, and describe the evaluation protocol.

`ranking` is a leaderboard of `ser.evaluation.summary.leaderboard`, and `unknown` the text of
`ser.dataset.clip_metadata.describe_unknown_speakers`; of the functions that take `corpora`, the corpora with unknown
speakers.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

import pandas as pd

from ser import paths
from ser.corpora.base import is_synthetic, published_folds
from ser.dataset.clip_metadata import describe_unknown_speakers
from ser.dataset.protocol import describe_protocol
from ser.evaluation import metrics, summary
from ser.evaluation.evaluate import EvaluationResult
from ser.params import Split, TrainLstm
from ser.predictions.table import classes_of
from ser.reporting import evaluation_text, html_page, model_card, plots
from ser.reporting.evaluation_tables import NAMES, not_testable
from ser.utils.errors import UserError
from ser.utils.files import atomic_write, write_json, write_text
from ser.utils.text import pluralize

SYNTHETIC = (
    "The demo corpus contains synthetic speech: these scores only show that the pipeline works; they say nothing about "
    "human speech."
)


class RunDescription(TypedDict):
    """Evaluation protocol, caption of figures, warnings, and data with the style of each corpus' speech."""

    protocol: str
    caption: str
    notes: list[str]
    data: Mapping[str, str]
    styles: Mapping[str, str]


def describe_run(
    result: EvaluationResult, *, split: Split, n_networks: int, data: Mapping[str, str], styles: Mapping[str, str]
) -> RunDescription:
    """Describe the evaluation protocol and the data of a run.

    Parameters
    ----------
    n_networks
        Size of the ensemble `lstm`.
    data
        Result of `ser.dataset.run_data.describe_data`.
    styles
        Corpora of the run -> style of the speech.
    """
    corpora = list(styles)
    unknown, published = result.unknown_speakers, published_folds(corpora, split.fold_table)
    protocol = describe_protocol(corpora, split, unknown=unknown, published=published)
    has_synthetic = any(map(is_synthetic, corpora))
    notes = {
        SYNTHETIC: has_synthetic,
        f"Speaker identity unknown in {' and '.join(unknown)}: the same speakers may occur in training and test, so "
        "these scores are not speaker-independent and overestimate the performance on unseen speakers.": unknown,
        f"lstm is an ensemble: it averages the probabilities of {n_networks} networks.": n_networks > 1,
    }
    return {
        "protocol": protocol,
        "caption": f"{protocol}\nsynthetic speech: says nothing about human speech" if has_synthetic else protocol,
        "notes": [text for text, applies in notes.items() if applies],
        "data": data,
        "styles": styles,
    }


def write(result: EvaluationResult, run: RunDescription, *, lstm: TrainLstm, leaks: Sequence[str]) -> None:
    """Write metrics/metrics.json, and the leaderboard, confusion matrices and model card to reports/.

    Parameters
    ----------
    run
        Result of `describe_run`.
    lstm
        Section `train_lstm` of the settings.
    leaks
        Summary of the leakage check, of `ser.evaluation.leakage.describe_leakage`; the first sentence is shown.
    """
    write_json(paths.METRICS, result.metrics)
    ranking, title, notes = result.leaderboard, run["caption"], [*run["notes"], *leaks[:1]]
    name, chance = str(ranking.model.iloc[0]), 1 / len(result.classes)
    best = summary.select_test_rows(result.predictions[name])
    unknown, test_set = describe_unknown_speakers(best), describe_test_set(run["protocol"], best)
    page = leaderboard_markdown(
        ranking,
        result.human_comparison,
        test_set=test_set,
        chance=chance,
        unknown=unknown,
        notes=notes,
        data=run["data"],
    )
    write_text(paths.LEADERBOARD_MD, page)
    write_text(paths.LEADERBOARD_CSV, ranking.to_csv(index=False, lineterminator="\n"))
    write_text(paths.PAIRWISE_TESTS_CSV, result.pairs.to_csv(index=False, lineterminator="\n"))
    card = model_card.markdown(
        best,
        ranking,
        robustness=result.robustness[name],
        protocol=run["protocol"],
        notes=notes,
        data=run["data"],
        styles=run["styles"],
    )
    write_text(paths.MODEL_CARD_MD, card)
    label = f"UAR on test clips (dashed: chance)\n{interval_legend(ranking, unknown=unknown)}".rstrip()
    strong = ranking.not_significantly_worse.astype(bool)
    plotted = plots.uar_intervals(ranking, ranking.model, strong=strong)
    plots.plot_confidence_intervals(plotted, paths.LEADERBOARD_PNG, chance=chance, label=label, title=title)
    history, last = pd.read_csv(paths.HISTORY_CSV), lstm.early_stopping_patience is None
    plots.plot_history(history, paths.HISTORY_PNG, title=title, last=last)
    with atomic_write(paths.CONFUSION) as folder:
        for model, table in result.predictions.items():
            for split_name, rows in table[table.augmentation == ""].groupby("split"):
                counts = metrics.confusion(rows, classes=result.classes)
                path, subject = folder / f"{model}_{split_name}", f"{model}, {split_name} clips"
                plots.plot_confusion(counts, Path(f"{path}.png"), title=f"{subject}\n{title}")
                pairs = rows[["emotion", "predicted"]].to_csv(index=False, lineterminator="\n")
                write_text(Path(f"{path}.csv"), pairs)


def describe_test_set(protocol: str, rows: pd.DataFrame) -> str:
    """Describe the protocol and the numbers of clips, emotions, seeds and folds of one model's test rows."""
    seeds, folds = rows.seed.nunique(), rows.fold.nunique()
    repeated = f", mean of {seeds} seeds" if seeds > 1 else ""
    pooled = f", {folds} folds pooled" if folds > 1 else ""
    clips = pluralize(rows.clip_id.nunique(), "test clip")
    return f"{protocol[:1].upper()}{protocol[1:]}. {clips}, {len(classes_of(rows))} emotions{repeated}{pooled}"


def leaderboard_markdown(
    ranking: pd.DataFrame,
    human_comparison: pd.DataFrame,
    *,
    test_set: str,
    chance: float,
    unknown: str,
    notes: Sequence[str],
    data: Mapping[str, str],
) -> str:
    """Write the leaderboard, the data, and the comparison with human listeners if it has rows, as Markdown."""
    few = not_testable(ranking, unknown=unknown)
    text = html_page.render(
        "leaderboard.md.j2",
        test_set=test_set,
        chance=chance,
        notes=notes,
        data=data,
        table=_displayed_columns(ranking, few=few),
        few_speakers=few,
        interval=evaluation_text.describe_interval(ranking, unknown=unknown),
        human_comparison=human_comparison.rename(columns=NAMES | {"model": "classifier"}),
    )
    return f"{text.rstrip()}\n"


def _displayed_columns(ranking: pd.DataFrame, *, few: bool) -> pd.DataFrame:
    limits = ranking.reindex(columns=["uar_ci_low", "uar_ci_high"])
    table = ranking[["rank", "model", "uar"]].copy()
    if limits.notna().any(axis=None):
        ends = limits.itertuples(index=False)
        interval = [f"{low:.3f} to {high:.3f}" if low == low else "none" for low, high in ends]
        table["range over speakers" if few else "95 % CI"] = interval
    if not few:
        table["best"] = ranking.not_significantly_worse.map({True: "=", False: ""})
    deviations = ranking[["uar_seed_sd", "uar_fold_sd"]].set_axis(["SD over seeds", "SD over folds"], axis=1)
    scores = ranking.reindex(columns=["accuracy", "f1", "roc_auc", "ece", "val_uar"])
    return pd.concat([table, deviations.dropna(axis="columns", how="all"), scores], axis=1).rename(columns=NAMES)


def interval_legend(ranking: pd.DataFrame, *, unknown: str) -> str:
    """Describe the intervals and dots of the leaderboard figure; empty without intervals."""
    if unknown or ranking.reindex(columns=["uar_ci_low", "uar_ci_high"]).isna().all(axis=None):
        return ""
    bars = f"bars: {evaluation_text.describe_interval(ranking, unknown=unknown)}"
    if not_testable(ranking):
        return f"{bars}, too few for significance tests"
    return bars if ranking.not_significantly_worse.all() else f"{bars}; hollow: significantly worse than the best"


def console_summary() -> str:
    """Format the leaderboard and the paths of the other results that exist.

    Raises
    ------
    UserError
        If there is no leaderboard.
    """
    page = paths.LEADERBOARD_MD
    if not page.is_file():
        raise UserError(f"{page} was not found; run `dvc repro` first.")
    places = {
        "Leaderboard": (page, " (and .csv, .png)"),
        "Confusion matrices": (paths.CONFUSION, "/MODEL_test.png"),
        "Learning curves": (paths.HISTORY_PNG, ""),
        "Model card": (paths.MODEL_CARD_MD, ""),
        "Data report": (paths.DATA_REPORT, ""),
        "Evaluation report": (paths.EVALUATION_REPORT, ""),
    }
    lines = [f"{name:<22}{path}{more}" for name, (path, more) in places.items() if path.exists()]
    lines += [
        f"{'MLflow runs':<22}make ui, then http://127.0.0.1:5000",
        f"{'Run inference':<22}.venv/bin/python predict.py --file my_voice.wav, or make serve",
    ]
    return "\n".join([page.read_text(encoding="utf-8"), *lines])
