"""Compute the metrics, ranking and pairwise comparisons of all models from their prediction tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ser.dataset.clip_metadata import is_unknown_speaker, n_known_speakers
from ser.evaluation import bootstrap, human_baseline, metrics, robustness, significance, summary
from ser.params import Emotions, Evaluate
from ser.predictions import table as prediction_table
from ser.utils.errors import UserError


@dataclass(frozen=True)
class EvaluationResult:
    """Prediction tables by model, and what follows from them.

    Attributes
    ----------
    predictions
        {model: prediction table}.
    metrics
        {model: {split: {metric: number}}}; beside the splits stand the conditions of `robustness`.
    board
        A row a model, best first, as `ser.evaluation.summary.leaderboard` makes it.
    pairs
        A row a pair of models, as `ser.evaluation.significance.compare` makes it.
    people
        A row a model and one of people, by UAR, over the test clips that people judged; empty where there are none.
    robustness
        {model: a row a condition, as `ser.evaluation.robustness.evaluate_robustness` makes it}.
    """

    predictions: Mapping[str, pd.DataFrame]
    metrics: Mapping[str, Mapping[str, Mapping[str, float]]]
    board: pd.DataFrame
    pairs: pd.DataFrame
    people: pd.DataFrame
    robustness: Mapping[str, pd.DataFrame]

    @property
    def classes(self) -> list[str]:
        """The emotions that were told apart."""
        return prediction_table.classes_of(next(iter(self.predictions.values())))

    @property
    def unknown_speakers(self) -> list[str]:
        """The corpora of which nobody knows who speaks."""
        table = next(iter(self.predictions.values()))
        return sorted(table.corpus[is_unknown_speaker(table)].unique())


def evaluate_models(
    folder: Path, models: Sequence[str], settings: Evaluate, *, emotions: Emotions, seed: int
) -> EvaluationResult:
    """Read and judge the prediction tables of some models.

    Parameters
    ----------
    folder
        Holds ``<model>.parquet``.
    models
        Names.
    settings, emotions
        The sections `evaluate` and `emotions`.
    seed
        Of the bootstrap.

    Raises
    ------
    UserError
        If a table is missing or invalid, or models were judged on different clips.
    """
    tables = {model: _read(folder / f"{model}.parquet", model) for model in models}
    clips = {model: set(zip(table.clip_id, table.split, table.emotion, strict=True)) for model, table in tables.items()}
    first = models[0]
    for model in models:
        if clips[model] != clips[first]:
            raise UserError(
                f"{folder}: {model} and {first} were judged on different clips or classes; "
                "run `dvc repro` to train both on one split."
            )
    judged = {model: summary.summarize(table, settings, seed=seed) for model, table in tables.items()}
    tested = {model: summary.select_test_rows(table) for model, table in tables.items()}
    corrupted = {
        model: robustness.evaluate_robustness(table, resamples=settings.n_resamples, seed=seed)
        for model, table in tables.items()
    }
    return EvaluationResult(
        predictions=tables,
        metrics={model: judged[model] | robustness.robustness_metrics(found) for model, found in corrupted.items()},
        board=summary.leaderboard(
            judged, not_significantly_worse=_not_significantly_worse(tested, settings, seed=seed)
        ),
        pairs=significance.compare(tested, resamples=settings.n_resamples, seed=seed),
        people=_compare_with_humans(tested, settings, emotions=emotions, seed=seed),
        robustness=corrupted,
    )


def _not_significantly_worse(tested: Mapping[str, pd.DataFrame], settings: Evaluate, *, seed: int) -> list[str]:
    """Name the models that are not shown to be worse than the best: all of them, where too few speakers are known."""
    if n_known_speakers(next(iter(tested.values()))) < bootstrap.MIN_SPEAKERS:
        return list(tested)
    return significance.not_significantly_worse(tested, resamples=settings.n_resamples, seed=seed)


def _compare_with_humans(
    tested: Mapping[str, pd.DataFrame], settings: Evaluate, *, emotions: Emotions, seed: int
) -> pd.DataFrame:
    """Judge people, and each model on the clips that they judged, by the same code."""
    heard = human_baseline.human_predictions(next(iter(tested.values())), emotions, seed=seed)
    if heard.empty:
        return pd.DataFrame(columns=["model", "uar", "uar_ci_low", "uar_ci_high", "accuracy", "clips"])
    same = {model: rows[rows.clip_id.isin(heard.clip_id)] for model, rows in tested.items()}
    scores = {
        model: metrics.compute_metrics(rows, classes=prediction_table.classes_of(rows))
        | summary.test_summary(rows.reset_index(drop=True), settings, seed=seed)
        for model, rows in {human_baseline.HUMAN_BASELINE: heard, **same}.items()
    }
    table = pd.DataFrame([{"model": model, **numbers} for model, numbers in scores.items()])
    columns = ["model", "uar", "uar_ci_low", "uar_ci_high", "accuracy", "clips"]
    return table[columns].sort_values(["uar", "model"], ascending=[False, True], ignore_index=True)


def _read(path: Path, model: str) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path)
    except FileNotFoundError:
        raise UserError(f"{path} was not found; run `dvc repro`, which trains {model}.") from None
    prediction_table.validate(table, name=model)
    return table


def read_leakage(path: Path) -> pd.DataFrame:
    """Read the table that the stage `probe` writes.

    Raises
    ------
    UserError
        If it is missing.
    """
    try:
        return pd.read_csv(path)
    except FileNotFoundError:
        raise UserError(f"{path} was not found; run `dvc repro probe`, which makes it.") from None
