"""Convert trained models into self-contained folders with ONNX or skops weights and a card of metadata."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.covariance import ledoit_wolf
from sklearn.model_selection import GroupKFold
from threadpoolctl import threadpool_limits

from ser import paths
from ser.corpora.base import is_synthetic
from ser.dataset.clips import read_clips
from ser.export import keras_to_onnx
from ser.features import store as feature_store
from ser.inference import quality_flags
from ser.inference.bundle import CARD, write_card
from ser.inference.quality_flags import TrainingStatistics
from ser.models import baselines, trainer
from ser.models.batching import LengthBuckets, model_inputs
from ser.params import Features, Preprocess, TrainLstm
from ser.utils.errors import UserError
from ser.utils.files import atomic_write, file_hash, write_csv
from ser.utils.provenance import commands

ATOL = 1e-4
"""Largest allowed difference of probabilities between an exported network and the trained one."""

OUTLIERS = 0.02
"""Largest fraction of the recordings, of speakers that were left out, whose distances exceed the limits."""
GROUPS = 10
"""Largest number of groups of speakers that are left out in turn."""
RIDGE = 1e-3
"""Added to the variances of z-scores, so that constant features do not make the covariance singular."""
STATISTICS = "training_statistics.npz"


@dataclass(frozen=True)
class TrainedModel:
    """A trained model: its folder of checkpoints, feature tables (one per corpus) and table of splits."""

    name: str
    folder: Path
    tables: tuple[Path, ...]
    split: Path

    @property
    def is_network(self) -> bool:
        """True for the network, whose inputs are frames; False for baselines, whose inputs are functionals."""
        return self.name == "lstm"


@dataclass(frozen=True)
class PipelineSettings:
    """Sections of the settings that determine the inputs of models."""

    preprocess: Preprocess
    features: Features
    train_lstm: TrainLstm


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]  # the number of threads changes the last digits
def training_statistics(
    tables: tuple[Path, ...], split: Path, *, fold: int, kinds: tuple[str, ...]
) -> TrainingStatistics:
    """Compute the statistics that detect clips out of distribution, from a fold of the table of splits.

    The tables are of frames, of which these kinds are used, or of functionals, if there are no kinds. Functionals are
    too many for a whitening matrix.

    The limits are exceeded by at most a fraction `OUTLIERS` of the training and validation recordings, an equal number
    by each distance, when up to `GROUPS` groups of speakers are left out in turn.
    """
    rows = pd.read_csv(split, dtype={"clip_id": str})
    rows = rows[(rows.fold == fold) & rows.split.isin(["train", "val"])]
    clips, clip_ids = read_clips(tables).set_index("clip_id").loc[rows.clip_id], list(rows.clip_id)
    if kinds:
        vectors = quality_flags.clip_vectors(feature_store.read_frames(tables, clip_ids=clip_ids, kinds=kinds))
    else:
        vectors = feature_store.read_functionals(tables, clip_ids=clip_ids)
    groups = clips.speaker if clips.speaker.nunique() > 1 else clips.recording_id
    distances = np.empty((len(vectors), 2 if kinds else 1))
    for others, left_out in GroupKFold(min(GROUPS, groups.nunique())).split(vectors, groups=groups):
        fitted = _fit_distribution(vectors[others], whiten=bool(kinds))
        distances[left_out] = quality_flags.distances(vectors[left_out], **fitted)
    # As in predictions, a recording is out of distribution if more than half of its segments are.
    by_recording = pd.DataFrame(distances).groupby(clips.recording_id.to_numpy()).quantile(0.5, interpolation="lower")
    fitted = _fit_distribution(vectors[(rows.split == "train").to_numpy()], whiten=bool(kinds))
    limits = by_recording.quantile(1 - OUTLIERS / distances.shape[1])
    return TrainingStatistics(**fitted, limits=limits.to_numpy())


def _fit_distribution(vectors: quality_flags.Vectors, *, whiten: bool) -> dict[str, quality_flags.Vectors]:
    mean, deviation = vectors.mean(axis=0), vectors.std(axis=0)
    std = np.maximum(deviation, 1e-6 + 1e-3 * np.abs(mean))
    whitening = np.empty((len(mean), 0))
    if whiten:
        covariance, _ = ledoit_wolf((vectors - mean) / std)
        whitening = np.linalg.inv(np.linalg.cholesky(covariance + RIDGE * np.eye(len(mean)))).T
    return {"mean": mean, "std": std, "whitening": whitening}


def export(
    output: Path,
    trained: TrainedModel,
    settings: PipelineSettings,
    *,
    scores: Mapping[str, Any],
    data: Mapping[str, str],
    statistics: Callable[..., TrainingStatistics] = training_statistics,
) -> None:
    """Write the self-contained folder of a model, such as ``models/exported/lstm``, atomically.

    The card gets the test scores of `read_scores`, and `data`, the result of `ser.dataset.run_data.describe_data`.
    `statistics` is `training_statistics` or a cached version, as seeds
    of a fold, and all baselines, have the same training clips.

    Raises
    ------
    UserError
        If there is no checkpoint, or a network has a layer that cannot be exported.
    """
    folders = sorted(path.parent for path in trained.folder.glob("*/card.json"))
    if not folders:
        raise UserError(f"{trained.folder}: found no checkpoints; run `dvc repro` to train {trained.name}.")
    with atomic_write(output) as unfinished:
        members = [
            _export_member(folder, unfinished / folder.name, trained, statistics=statistics) for folder in folders
        ]
        write_card(unfinished, _card(trained, settings, scores=scores, data=data, members=members))


def _card(
    trained: TrainedModel,
    settings: PipelineSettings,
    *,
    scores: Mapping[str, Any],
    data: Mapping[str, str],
    members: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    card = _read_card(trained.folder / str(members[0]["name"]))
    features, kinds = settings.features, _frame_kinds(card) if trained.is_network else []
    by_functionals = not trained.is_network or bool(card["functionals"])
    if not by_functionals:  # functionals need all kinds of frame features
        used = tuple(kind for kind in features.frame_features if kind in kinds)
        features = features.model_copy(update={"frame_features": used})
    buckets = LengthBuckets.from_settings(settings.train_lstm, hop_seconds=settings.features.hop_seconds)
    tables = [path for table in trained.tables for path in ([table] if table.is_file() else sorted(table.rglob("*")))]
    sources = [*tables, trained.split, *sorted(trained.folder.rglob("*.*"))]
    return {
        "model": trained.name,
        "kind": "network" if trained.is_network else "baseline",
        "labels": card["classes"],
        "preprocess": settings.preprocess,
        "features": features,
        "inputs": {"frames": kinds, "functionals": by_functionals},
        "length_buckets": buckets if trained.is_network else None,
        "members": members,
        "aggregation": _describe_aggregation(len(members)),
        "origin": {
            "corpora": [path.stem for path in trained.tables],
            "synthetic": all(is_synthetic(path.stem) for path in trained.tables),
            "data": dict(data),
            "settings": card["settings"],
            "scores": dict(scores),
            "sources": {path.as_posix(): file_hash(path, "sha256") for path in sources},
            "instructions": commands(paths.exported(trained.name) / CARD, lock=paths.MODELS_CSV).splitlines(),
        },
    }


def _describe_aggregation(n_members: int) -> str:
    if n_members == 1:
        return "Calibrated probabilities of a single trained model"
    return (
        f"Mean of the calibrated probabilities of {n_members} models, one per fold and seed; the test scores are those "
        "of the single models on their test clips, and the mean is not evaluated"
    )


def _read_card(folder: Path) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    return card


def _frame_kinds(card: Mapping[str, Any]) -> list[str]:
    return sorted({name.partition(".")[0] for name in card["features"]})


def _export_member(
    source: Path, output: Path, trained: TrainedModel, *, statistics: Callable[..., TrainingStatistics]
) -> dict[str, Any]:
    card = _read_card(source)
    output.mkdir(parents=True)
    if trained.is_network:
        weights, kinds = _export_networks(source, output), tuple(_frame_kinds(card))
    else:
        weights, kinds = [Path(shutil.copyfile(source / baselines.MODEL, output / baselines.MODEL))], ()
    statistics(trained.tables, trained.split, fold=card["fold"], kinds=kinds).save(output / STATISTICS)
    return {
        "name": source.name,
        "fold": card["fold"],
        "seed": card["seed"],
        "weights": [path.relative_to(output.parent).as_posix() for path in weights],
        "temperature": card["temperature"],
        "training_statistics": f"{output.name}/{STATISTICS}",
        "training_clips": card["training_clips"],
        "training_speakers": card["training_speakers"],
    }


def _export_networks(source: Path, output: Path) -> list[Path]:
    weights = []
    for n, checkpoint in enumerate(sorted(source.rglob("model.keras")), start=1):
        network, path = trainer.load(checkpoint.parent), output / f"network{n}.onnx"
        path.write_bytes(keras_to_onnx.convert(network))
        _verify_export(network, path)
        weights.append(path)
    return weights


def _verify_export(network: Any, path: Path) -> None:
    """Compare an exported network with the trained one on noise, as tf2onnx may convert a layer incorrectly."""
    from ser.inference import onnx_session

    run = onnx_session.open_network(path)
    rng, (n_features, *n_functionals) = np.random.default_rng(0), [tensor.shape[-1] for tensor in network.inputs]
    for n_frames in (64, 176):
        frames = rng.normal(-40, 20, size=(2, n_frames, n_features)).astype(np.float32)
        functionals = rng.normal(size=(2, *n_functionals)).astype(np.float32) if n_functionals else None
        expected = network(model_inputs(frames, functionals), training=False).numpy()
        difference = float(np.abs(run(frames, functionals) - expected).max())
        if not difference <= ATOL:
            raise UserError(
                f"{path.name}: probabilities of the exported network differ by {difference:.1e} from those of the "
                f"trained one, expected at most {ATOL:g}; tf2onnx converts a layer of ser/models/network.py "
                "incorrectly: replace it."
            )


def read_scores(leaderboard: Path, *, protocol: str) -> dict[str, dict[str, Any]]:
    """Read the test scores of each model from the leaderboard, and add a description of the protocol.

    Returns
    -------
    dict
        {model: {uar, uar_ci_low, uar_ci_high, accuracy, ece, clips, speakers, rank, protocol}}; None for missing
        values.

    Raises
    ------
    UserError
        If the leaderboard is missing.
    """
    try:
        table = pd.read_csv(leaderboard)
    except FileNotFoundError:
        raise UserError(f"{leaderboard} not found; run `dvc repro evaluate` to create it.") from None
    columns = ["uar", "uar_ci_low", "uar_ci_high", "accuracy", "ece", "clips", "speakers", "rank"]
    rows = json.loads(table.set_index("model")[columns].to_json(orient="index", double_precision=15))
    return {model: {**row, "protocol": protocol} for model, row in rows.items()}


def write_model_index(models: Path, output: Path) -> None:
    """Write a CSV file of the exported models, so that Git finds the commit of a model by the MD5 of its card."""
    rows = [
        {
            "model": card.parent.name,
            "card_md5": file_hash(card, "md5"),
            "bytes": sum(path.stat().st_size for path in card.parent.rglob("*") if path.is_file()),
        }
        for card in sorted(models.glob("*/card.json"))
    ]
    write_csv(output, rows, columns=["model", "card_md5", "bytes"])
