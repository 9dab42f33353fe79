"""Write the leaderboard, the confusion matrices and the model card, and the text that explains them."""

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
    "The voices of the demo corpus are synthetic: these numbers show that the pipeline works "
    "and mean nothing about people."
)


UNKNOWN = (
    "Nobody knows who speaks in {corpora}: the same voices may stand in training and test, so that these numbers are "
    "not speaker-independent, and new voices will do worse."
)


ENSEMBLE = "lstm is an ensemble: the mean of the probabilities of {networks} networks, which cost as much as they are."


class RunDescription(TypedDict):
    """What every report says of a run: the protocol in a sentence and for pictures, and warnings."""

    protocol: str
    caption: str
    notes: list[str]


def describe_run(judged: EvaluationResult, *, corpora: Sequence[str], split: Split, n_networks: int) -> RunDescription:
    """Say what was tested on what, and of how many networks the model `lstm` is."""
    unknown, published = judged.unknown_speakers, published_folds(corpora, split.fold_table)
    return {
        "protocol": describe_protocol(corpora, split, unknown=unknown, published=published),
        "caption": figure_caption(corpora, split, unknown=unknown),
        "notes": warnings(corpora, unknown=unknown, n_networks=n_networks),
    }


def write(
    judged: EvaluationResult, *, corpora: Sequence[str], split: Split, lstm: TrainLstm, leaks: Sequence[str]
) -> None:
    """Write metrics/metrics.json, the leaderboard and the confusion matrices below reports/.

    Parameters
    ----------
    judged
        As `judge_all` makes it.
    corpora, split, lstm
        Sections of the settings; `lstm` is `train_lstm`.
    leaks
        Sentences of the leak meter.
    """
    write_json(paths.METRICS, judged.metrics)
    said = describe_run(judged, corpora=corpora, split=split, n_networks=lstm.n_networks)
    name, notes = str(judged.leaderboard.model.iloc[0]), [*said["notes"], *leaks[:1]]
    best = summary.select_test_rows(judged.predictions[name])
    _write_leaderboard(judged, best, protocol=said["protocol"], notes=notes)
    card = model_card.markdown(
        best,
        judged.leaderboard,
        robustness=judged.robustness[name],
        protocol=said["protocol"],
        notes=notes,
        corpora=corpora,
    )
    write_text(paths.MODEL_CARD_MD, card)
    plots.plot_leaderboard(
        judged.leaderboard,
        paths.LEADERBOARD_PNG,
        chance=1 / len(judged.classes),
        title=said["caption"],
        limits=interval_legend(judged.leaderboard, unknown=describe_unknown_speakers(best)),
    )
    history, last = pd.read_csv(paths.HISTORY_CSV), lstm.early_stopping_patience is None
    plots.plot_history(history, paths.HISTORY_PNG, title=said["caption"], last=last)
    with atomic_write(paths.CONFUSION) as folder:
        for model, table in judged.predictions.items():
            for split_name, rows in table[table.augmentation == ""].groupby("split"):
                title = f"{model}, {split_name} clips\n{said['caption']}"
                _write_confusion(rows, folder, name=f"{model}_{split_name}", title=title, classes=judged.classes)


def _write_leaderboard(judged: EvaluationResult, best: pd.DataFrame, *, protocol: str, notes: Sequence[str]) -> None:
    board = judged.leaderboard
    page = leaderboard_markdown(
        board,
        basis=describe_test_set(protocol, best),
        chance=1 / len(judged.classes),
        unknown=describe_unknown_speakers(best),
        notes=notes,
    )
    if len(judged.human_comparison):
        page += human_comparison_markdown(judged.human_comparison)
    write_text(paths.LEADERBOARD_MD, page)
    write_text(paths.LEADERBOARD_CSV, board.to_csv(index=False, lineterminator="\n"))
    write_text(paths.PAIRWISE_TESTS_CSV, judged.pairs.to_csv(index=False, lineterminator="\n"))


def _write_confusion(rows: pd.DataFrame, folder: Path, *, name: str, title: str, classes: Sequence[str]) -> None:
    plots.plot_confusion(metrics.confusion(rows, classes=classes), folder / f"{name}.png", title=title)
    write_text(folder / f"{name}.csv", rows[["emotion", "predicted"]].to_csv(index=False, lineterminator="\n"))


def figure_caption(corpora: Sequence[str], split: Split, *, unknown: Sequence[str]) -> str:
    """Say the same in a few words, for the title of a picture; `unknown` are corpora whose speakers nobody knows."""
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
    """Say what every reader of a result must know.

    `unknown` are corpora whose speakers nobody knows, `n_networks` the size of the ensemble `lstm`.
    """
    synthetic = [SYNTHETIC] if any(map(is_synthetic, corpora)) else []
    nobody = [UNKNOWN.format(corpora=" and ".join(unknown))] if unknown else []
    return synthetic + nobody + ([ENSEMBLE.format(networks=n_networks)] if n_networks > 1 else [])


def describe_test_set(protocol: str, rows: pd.DataFrame) -> str:
    """Say on how many clips and in how many trainings each number stands, from the test rows of one model."""
    seeds, folds = rows.seed.nunique(), rows.fold.nunique()
    repeated = f", mean of {seeds} seeds" if seeds > 1 else ""
    pooled = f", {folds} folds together" if folds > 1 else ""
    clips = pluralize(rows.clip_id.nunique(), "test clip")
    return f"{protocol[:1].upper()}{protocol[1:]}. {clips}, {len(classes_of(rows))} emotions{repeated}{pooled}"


def leaderboard_markdown(table: pd.DataFrame, *, basis: str, chance: float, unknown: str, notes: Sequence[str]) -> str:
    """Write the leaderboard as a page.

    Parameters
    ----------
    table
        As `ser.evaluation.summary.leaderboard` makes it.
    basis
        As `describe_test_set` says it.
    chance
        The UAR of guessing.
    unknown
        As `ser.dataset.clip_metadata.describe_unknown_speakers` says it.
    notes
        Warnings that stand above the numbers.
    """
    lines = [
        "# Leaderboard",
        "",
        f"{basis}, chance UAR {chance:.3f}.",
        *(line for note in notes for line in ("", f"**{note}**")),
        "",
        _displayed_columns(table, unknown=unknown).to_markdown(index=False, floatfmt=".3f"),
        "",
        *(f"{sentence}\n" for sentence in _explanations(table, unknown=unknown)),
    ]
    return "\n".join(lines)


def _displayed_columns(table: pd.DataFrame, *, unknown: str) -> pd.DataFrame:
    """Choose and name the columns that fit a page."""
    limits = table.reindex(columns=["uar_ci_low", "uar_ci_high"])
    interval = [f"{low:.3f} to {high:.3f}" if low == low else "none" for low, high in limits.itertuples(index=False)]
    enough = int(table.speakers.iloc[0]) >= MIN_SPEAKERS and not unknown
    names = {"accuracy": "accuracy", "f1": "F1", "roc_auc": "ROC-AUC", "ece": "ECE", "val_uar": "UAR on validation"}
    shown = table[["rank", "model", "uar"]].rename(columns={"uar": "UAR"})
    if limits.notna().any(axis=None):
        shown["95 % interval" if enough else "range over speakers"] = interval
    if enough:
        shown["best"] = table.not_significantly_worse.map({True: "=", False: ""})
    if table.uar_seed_sd.notna().any():
        shown["sd over seeds"] = table.uar_seed_sd
    if table.uar_fold_sd.notna().any():
        shown["sd over folds"] = table.uar_fold_sd
    return shown.join(table.reindex(columns=list(names)).rename(columns=names))


def _explanations(table: pd.DataFrame, *, unknown: str) -> list[str]:
    speakers = int(table.speakers.iloc[0])
    sentences = [
        "UAR is the unweighted average of the emotions' recalls (balanced accuracy), F1 a macro average, ECE the "
        "expected calibration error."
    ]
    if unknown:
        return [*sentences, f"{unknown.capitalize()}, so nothing here says how much scores vary between speakers."]
    if speakers < 2:
        return [*sentences, "One speaker was tested: the numbers speak of that speaker, and there is no interval."]
    if speakers < MIN_SPEAKERS:
        few = (
            f"With {speakers} test speakers no model can be told from another: the range over them is no interval yet."
        )
        return [*sentences, few]
    interval = f"The interval is a bootstrap over the {speakers} test speakers, not over clips."
    return [*sentences, interval, "= marks models that are not shown to be worse than the best."]


def interval_legend(table: pd.DataFrame, *, unknown: str) -> str:
    """Say below a picture of the leaderboard what the limits of its bars are, and what they tell; nothing without.

    `table` is as `ser.evaluation.summary.leaderboard` makes it, `unknown` as
    `ser.dataset.clip_metadata.describe_unknown_speakers` says it.
    """
    speakers = int(table.speakers.iloc[0])
    if unknown or table.reindex(columns=["uar_ci_low", "uar_ci_high"]).isna().all(axis=None):
        return ""
    if speakers < MIN_SPEAKERS:
        return f"lines: range over {speakers} test speakers, too few for significance tests"
    pale = "" if table.not_significantly_worse.all() else "; pale: significantly worse than the best"
    return f"lines: 95 % CI over {speakers} test speakers{pale}"


def human_comparison_markdown(table: pd.DataFrame) -> str:
    """Write how people and models do on the clips that people judged, as a section of the leaderboard's page.

    Parameters
    ----------
    table
        model, uar, uar_ci_low, uar_ci_high, accuracy and clips.
    """
    named = table.rename(columns={"model": "who", "uar": "UAR", "uar_ci_low": "low", "uar_ci_high": "high"})
    shown = named[["who", "UAR", "low", "high", "accuracy"]].to_markdown(index=False, floatfmt=".3f")
    about = (
        f"On the {int(table.clips.iloc[0])} test clips of which it is published what most people heard in the voice."
    )
    return f"\n## Beside people\n\n{about}\n\n{shown}\n"


def console_summary(root: Path = Path()) -> str:
    """Say what came out and where to look next, from the files that `write` left below `root`.

    Only what is there is named: other stages write some of it, and a clone has what Git or DVC brought.

    Raises
    ------
    UserError
        If nothing was evaluated yet.
    """
    page = root / paths.LEADERBOARD_MD
    if not page.is_file():
        raise UserError(f"{page} was not found; run `dvc repro` first.")
    kinds = [kind for kind in (".csv", ".png") if page.with_suffix(kind).exists()]
    places = {
        "Leaderboard": (page, f" (and {', '.join(kinds)})" if kinds else ""),
        "Confusion matrices": (root / paths.CONFUSION, "/MODEL_test.png"),
        "Training": (root / paths.HISTORY_PNG, ""),
        "The best model": (root / paths.MODEL_CARD_MD, ""),
        "The data": (root / paths.DATA_REPORT, ""),
        "Where scores are from": (root / paths.EVALUATION_REPORT, ""),
    }
    lines = [f"{what:<22}{path}{more}" for what, (path, more) in places.items() if path.exists()]
    lines += [
        f"{'All runs':<22}make ui, then http://127.0.0.1:5000",
        f"{'Try a voice':<22}.venv/bin/python predict.py --file my_voice.wav, or make serve",
    ]
    return "\n".join([page.read_text(encoding="utf-8"), *lines])
