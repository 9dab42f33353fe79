"""Write the leaderboard, the confusion matrices and the model card, and describe the evaluation protocol."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

import pandas as pd

from ser import paths
from ser.corpora.base import is_synthetic, published_folds
from ser.dataset.clip_metadata import describe_unknown_speakers
from ser.dataset.protocol import HELD_OUT, count_folds, describe_protocol, effective_protocol
from ser.evaluation import metrics, summary
from ser.evaluation.bootstrap import MIN_SPEAKERS
from ser.evaluation.evaluate import EvaluationResult
from ser.params import Split, TrainLstm
from ser.predictions.table import classes_of
from ser.reporting import model_card, plots
from ser.utils.errors import UserError
from ser.utils.files import atomic_write, write_json, write_text
from ser.utils.text import pluralize

SYNTHETIC = (
    "The demo corpus contains synthetic speech: these scores only show that the pipeline works; they say nothing about "
    "human speech."
)
UNKNOWN = (
    "Speaker identity unknown in {corpora}: the same speakers may occur in training and test, so these scores are not "
    "speaker-independent and overestimate the performance on unseen speakers."
)
ENSEMBLE = "lstm is an ensemble: it averages the probabilities of {networks} networks."


class RunDescription(TypedDict):
    """Evaluation protocol as a sentence and for titles of figures, and warnings."""

    protocol: str
    caption: str
    notes: list[str]


def describe_run(result: EvaluationResult, *, corpora: Sequence[str], split: Split, n_networks: int) -> RunDescription:
    """Describe the evaluation protocol of a run; `n_networks` is the size of the ensemble `lstm`."""
    unknown, published = result.unknown_speakers, published_folds(corpora, split.fold_table)
    return {
        "protocol": describe_protocol(corpora, split, unknown=unknown, published=published),
        "caption": figure_caption(corpora, split, unknown=unknown),
        "notes": warnings(corpora, unknown=unknown, n_networks=n_networks),
    }


def write(
    result: EvaluationResult, *, corpora: Sequence[str], split: Split, lstm: TrainLstm, leaks: Sequence[str]
) -> None:
    """Write metrics/metrics.json, and the leaderboard, confusion matrices and model card to reports/.

    Parameters
    ----------
    result
        Result of `ser.evaluation.evaluate.evaluate_models`.
    corpora, split, lstm
        Sections of the settings; `lstm` is `train_lstm`.
    leaks
        Summary of the leakage check, of `ser.evaluation.leakage.describe_leakage`; the first sentence is shown.
    """
    write_json(paths.METRICS, result.metrics)
    run = describe_run(result, corpora=corpora, split=split, n_networks=lstm.n_networks)
    name, notes = str(result.leaderboard.model.iloc[0]), [*run["notes"], *leaks[:1]]
    best, chance = summary.select_test_rows(result.predictions[name]), 1 / len(result.classes)
    unknown = describe_unknown_speakers(best)
    test_set = describe_test_set(run["protocol"], best)
    page = leaderboard_markdown(result.leaderboard, test_set=test_set, chance=chance, unknown=unknown, notes=notes)
    write_text(paths.LEADERBOARD_MD, page + human_comparison_markdown(result.human_comparison))
    write_text(paths.LEADERBOARD_CSV, result.leaderboard.to_csv(index=False, lineterminator="\n"))
    write_text(paths.PAIRWISE_TESTS_CSV, result.pairs.to_csv(index=False, lineterminator="\n"))
    card = model_card.markdown(
        best,
        result.leaderboard,
        robustness=result.robustness[name],
        protocol=run["protocol"],
        notes=notes,
        corpora=corpora,
    )
    write_text(paths.MODEL_CARD_MD, card)
    limits = interval_legend(result.leaderboard, unknown=unknown)
    plots.plot_leaderboard(
        result.leaderboard, paths.LEADERBOARD_PNG, chance=chance, title=run["caption"], limits=limits
    )
    history, last = pd.read_csv(paths.HISTORY_CSV), lstm.early_stopping_patience is None
    plots.plot_history(history, paths.HISTORY_PNG, title=run["caption"], last=last)
    with atomic_write(paths.CONFUSION) as folder:
        for model, table in result.predictions.items():
            for split_name, rows in table[table.augmentation == ""].groupby("split"):
                title, stem = f"{model}, {split_name} clips\n{run['caption']}", folder / f"{model}_{split_name}"
                counts = metrics.confusion(rows, classes=result.classes)
                plots.plot_confusion(counts, stem.with_name(f"{stem.name}.png"), title=title)
                pairs = rows[["emotion", "predicted"]].to_csv(index=False, lineterminator="\n")
                write_text(stem.with_name(f"{stem.name}.csv"), pairs)


def figure_caption(corpora: Sequence[str], split: Split, *, unknown: Sequence[str]) -> str:
    """Describe the evaluation protocol for the title of a figure; `unknown` are corpora with unknown speakers."""
    protocol = effective_protocol(corpora, split, unknown=unknown)
    folds = count_folds(corpora, split, published=published_folds(corpora, split.fold_table))
    once: Mapping[str, str] = {
        "speaker_independent": "tested on unseen speakers",
        "text_independent": "tested on unseen sentences",
        "random": "random clips held out",
    }
    how = once[protocol] if folds == 1 else f"{folds}-fold cross-validation over {HELD_OUT[protocol]}"
    optimistic = " (optimistic)" if protocol in ("text_independent", "random") else ""
    synthetic = "\nsynthetic speech: says nothing about human speech" if any(map(is_synthetic, corpora)) else ""
    speakers = f"\nnot speaker-independent: speakers of {' + '.join(unknown)} are unknown" if unknown else ""
    return f"{' + '.join(sorted(corpora))}, {how}{optimistic}{synthetic}{speakers}"


def warnings(corpora: Sequence[str], *, unknown: Sequence[str], n_networks: int) -> list[str]:
    """List the warnings of a run.

    Parameters
    ----------
    corpora
        Corpora of the run.
    unknown
        Those with unknown speakers.
    n_networks
        Number of networks of the model `lstm`.
    """
    synthetic = [SYNTHETIC] if any(map(is_synthetic, corpora)) else []
    speakers = [UNKNOWN.format(corpora=" and ".join(unknown))] if unknown else []
    return synthetic + speakers + ([ENSEMBLE.format(networks=n_networks)] if n_networks > 1 else [])


def describe_test_set(protocol: str, rows: pd.DataFrame) -> str:
    """Describe the protocol and the numbers of clips, emotions, seeds and folds of one model's test rows."""
    seeds, folds = rows.seed.nunique(), rows.fold.nunique()
    repeated = f", mean of {seeds} seeds" if seeds > 1 else ""
    pooled = f", {folds} folds pooled" if folds > 1 else ""
    clips = pluralize(rows.clip_id.nunique(), "test clip")
    return f"{protocol[:1].upper()}{protocol[1:]}. {clips}, {len(classes_of(rows))} emotions{repeated}{pooled}"


def leaderboard_markdown(
    table: pd.DataFrame, *, test_set: str, chance: float, unknown: str, notes: Sequence[str]
) -> str:
    """Write the leaderboard as Markdown.

    Parameters
    ----------
    table
        Leaderboard, of `ser.evaluation.summary.leaderboard`.
    test_set
        Text of `describe_test_set`.
    chance
        UAR of random guessing.
    unknown
        Text of `ser.dataset.clip_metadata.describe_unknown_speakers`.
    notes
        Warnings, placed above the scores.
    """
    lines = [
        "# Leaderboard",
        "",
        f"{test_set}, chance UAR {chance:.3f}.",
        *(line for note in notes for line in ("", f"**{note}**")),
        "",
        _displayed_columns(table, unknown=unknown).to_markdown(index=False, floatfmt=".3f"),
        "",
        *(f"{sentence}\n" for sentence in _explanations(table, unknown=unknown)),
    ]
    return "\n".join(lines)


def _displayed_columns(table: pd.DataFrame, *, unknown: str) -> pd.DataFrame:
    limits = table.reindex(columns=["uar_ci_low", "uar_ci_high"])
    interval = [f"{low:.3f} to {high:.3f}" if low == low else "none" for low, high in limits.itertuples(index=False)]
    enough = int(table.speakers.iloc[0]) >= MIN_SPEAKERS and not unknown
    names = {"accuracy": "accuracy", "f1": "F1", "roc_auc": "ROC-AUC", "ece": "ECE", "val_uar": "validation UAR"}
    shown = table[["rank", "model", "uar"]].rename(columns={"uar": "UAR"})
    if limits.notna().any(axis=None):
        shown["95 % CI" if enough else "range over speakers"] = interval
    if enough:
        shown["best"] = table.not_significantly_worse.map({True: "=", False: ""})
    if table.uar_seed_sd.notna().any():
        shown["SD over seeds"] = table.uar_seed_sd
    if table.uar_fold_sd.notna().any():
        shown["SD over folds"] = table.uar_fold_sd
    return shown.join(table.reindex(columns=list(names)).rename(columns=names))


def _explanations(table: pd.DataFrame, *, unknown: str) -> list[str]:
    speakers = int(table.speakers.iloc[0])
    metric_names = (
        "UAR: unweighted average recall (balanced accuracy). F1: macro average. ECE: expected calibration error."
    )
    if unknown:
        return [metric_names, f"No confidence intervals: {unknown}."]
    if speakers < 2:
        return [metric_names, "No confidence intervals: one test speaker. The scores apply to this speaker only."]
    if speakers < MIN_SPEAKERS:
        few = f"{speakers} test speakers: the range over speakers is not a CI, and differences are not testable."
        return [metric_names, few]
    interval = f"95 % CI: cluster bootstrap over the {speakers} test speakers."
    return [metric_names, interval, "`=`: the best model, or not significantly different from the best."]


def interval_legend(table: pd.DataFrame, *, unknown: str) -> str:
    """Describe the intervals and colors of the leaderboard figure; empty without intervals.

    Parameters
    ----------
    table
        Leaderboard, of `ser.evaluation.summary.leaderboard`.
    unknown
        Text of `ser.dataset.clip_metadata.describe_unknown_speakers`.
    """
    speakers = int(table.speakers.iloc[0])
    if unknown or table.reindex(columns=["uar_ci_low", "uar_ci_high"]).isna().all(axis=None):
        return ""
    if speakers < MIN_SPEAKERS:
        return f"lines: range over {speakers} test speakers, too few for significance tests"
    pale = "" if table.not_significantly_worse.all() else "; pale: significantly worse than the best"
    return f"lines: 95 % CI over {speakers} test speakers{pale}"


def human_comparison_markdown(table: pd.DataFrame) -> str:
    """Write the comparison with human listeners as a section of the leaderboard; empty without rows.

    Parameters
    ----------
    table
        model, uar, uar_ci_low, uar_ci_high, accuracy and clips.
    """
    if table.empty:
        return ""
    names = {"model": "classifier", "uar": "UAR", "uar_ci_low": "lower", "uar_ci_high": "upper"}
    columns = [*names.values(), "accuracy"]
    shown = table.rename(columns=names)[columns].to_markdown(index=False, floatfmt=".3f")
    about = f"Scores on the {int(table.clips.iloc[0])} test clips with published ratings of human listeners."
    return f"\n## Human performance\n\n{about}\n\n{shown}\n"


def console_summary(root: Path = Path()) -> str:
    """Format the leaderboard and the paths of the other results below `root` that exist.

    Raises
    ------
    UserError
        If there is no leaderboard.
    """
    page = root / paths.LEADERBOARD_MD
    if not page.is_file():
        raise UserError(f"{page} was not found; run `dvc repro` first.")
    kinds = [kind for kind in (".csv", ".png") if page.with_suffix(kind).exists()]
    places = {
        "Leaderboard": (page, f" (and {', '.join(kinds)})" if kinds else ""),
        "Confusion matrices": (root / paths.CONFUSION, "/MODEL_test.png"),
        "Learning curves": (root / paths.HISTORY_PNG, ""),
        "Model card": (root / paths.MODEL_CARD_MD, ""),
        "Data report": (root / paths.DATA_REPORT, ""),
        "Evaluation report": (root / paths.EVALUATION_REPORT, ""),
    }
    lines = [f"{name:<22}{path}{more}" for name, (path, more) in places.items() if path.exists()]
    lines += [
        f"{'MLflow runs':<22}make ui, then http://127.0.0.1:5000",
        f"{'Run inference':<22}.venv/bin/python predict.py --file my_voice.wav, or make serve",
    ]
    return "\n".join([page.read_text(encoding="utf-8"), *lines])
