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
    """Prediction tables by model, and the results of their evaluation.

    Attributes
    ----------
    predictions
        {model: prediction table}.
    metrics
        {model: {split: {metric: number}}}; the conditions of `robustness` are listed like splits.
    leaderboard
        One row per model, best first; see `ser.evaluation.summary.leaderboard`.
    pairs
        One row per pair of models; see `ser.evaluation.significance.compare`.
    human_comparison
        One row per model and one for human listeners, by UAR, on the test clips with votes; empty without votes.
    robustness
        {model: one row per condition}; see `ser.evaluation.robustness.evaluate_robustness`.
    """

    predictions: Mapping[str, pd.DataFrame]
    metrics: Mapping[str, Mapping[str, Mapping[str, float]]]
    leaderboard: pd.DataFrame
    pairs: pd.DataFrame
    human_comparison: pd.DataFrame
    robustness: Mapping[str, pd.DataFrame]

    @property
    def classes(self) -> list[str]:
        """The classes of the models."""
        return prediction_table.classes_of(next(iter(self.predictions.values())))

    @property
    def unknown_speakers(self) -> list[str]:
        """The corpora with unknown speakers."""
        table = next(iter(self.predictions.values()))
        return sorted(table.corpus[is_unknown_speaker(table)].unique())


def evaluate_models(
    folder: Path, models: Sequence[str], settings: Evaluate, *, emotions: Emotions, seed: int
) -> EvaluationResult:
    """Load and evaluate the prediction tables of models.

    Parameters
    ----------
    folder : Path
        Folder of the tables, ``<model>.parquet``.
    models : sequence of str
        Names of the models.
    settings, emotions
        The sections `evaluate` and `emotions`.
    seed : int
        Seed of the bootstrap.

    Raises
    ------
    UserError
        If a table is missing or invalid, or the models were evaluated on different clips.
    """
    tables = {model: _read(folder / f"{model}.parquet", model) for model in models}
    clips = {model: set(zip(table.clip_id, table.split, table.emotion, strict=True)) for model, table in tables.items()}
    first = models[0]
    for model in models:
        if clips[model] != clips[first]:
            raise UserError(
                f"{folder}: {model} and {first} were evaluated on different clips or classes; "
                "run `dvc repro` to train both on the same split."
            )
    summaries = {model: summary.summarize(table, settings, seed=seed) for model, table in tables.items()}
    test_rows = {model: summary.select_test_rows(table) for model, table in tables.items()}
    corrupted = {
        model: robustness.evaluate_robustness(table, resamples=settings.n_resamples, seed=seed)
        for model, table in tables.items()
    }
    not_worse = list(test_rows)  # with too few known speakers, no difference is significant
    if n_known_speakers(test_rows[first]) >= bootstrap.MIN_SPEAKERS:
        not_worse = significance.not_significantly_worse(test_rows, resamples=settings.n_resamples, seed=seed)
    return EvaluationResult(
        predictions=tables,
        metrics={model: summaries[model] | robustness.robustness_metrics(rows) for model, rows in corrupted.items()},
        leaderboard=summary.leaderboard(summaries, not_significantly_worse=not_worse),
        pairs=significance.compare(test_rows, resamples=settings.n_resamples, seed=seed),
        human_comparison=_compare_with_humans(test_rows, settings, emotions=emotions, seed=seed),
        robustness=corrupted,
    )


def _compare_with_humans(
    test_rows: Mapping[str, pd.DataFrame], settings: Evaluate, *, emotions: Emotions, seed: int
) -> pd.DataFrame:
    """Evaluate human listeners, and each model on the same clips."""
    columns = ["model", "uar", "uar_ci_low", "uar_ci_high", "accuracy", "clips"]
    humans = human_baseline.human_predictions(next(iter(test_rows.values())), emotions, seed=seed)
    if humans.empty:
        return pd.DataFrame(columns=columns)
    same = {model: rows[rows.clip_id.isin(humans.clip_id)] for model, rows in test_rows.items()}
    scores = {
        model: metrics.compute_metrics(rows, classes=prediction_table.classes_of(rows))
        | summary.test_summary(rows.reset_index(drop=True), settings, seed=seed)
        for model, rows in {human_baseline.HUMAN_BASELINE: humans, **same}.items()
    }
    table = pd.DataFrame.from_dict(scores, orient="index").rename_axis("model").reset_index()
    return table[columns].sort_values(["uar", "model"], ascending=[False, True], ignore_index=True)


def _read(path: Path, model: str) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path)
    except FileNotFoundError:
        raise UserError(f"{path} not found; run `dvc repro` to train {model}.") from None
    prediction_table.validate(table, name=model)
    return table


def read_leakage(path: Path) -> pd.DataFrame:
    """Load the table of the leakage checks.

    Raises
    ------
    UserError
        If it is missing.
    """
    try:
        return pd.read_csv(path)
    except FileNotFoundError:
        raise UserError(f"{path} not found; run `dvc repro leakage` to create it.") from None
