"""From what training left to folders that answer: light weights, and a card that says all that using them needs."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from ser import paths
from ser.corpora.base import is_synthetic
from ser.export import keras_to_onnx
from ser.features import store as feature_store
from ser.inference import quality_flags
from ser.inference.bundle import CARD, write_card
from ser.models import baselines, trainer
from ser.models.batching import LengthBuckets, model_inputs
from ser.params import Features, Preprocess, TrainLstm
from ser.utils.errors import UserError
from ser.utils.files import atomic_write, file_hash, write_csv
from ser.utils.provenance import commands

ATOL = 1e-4
"""How far an exported network may be from what it was made of."""


@dataclass(frozen=True)
class TrainedModel:
    """A model as training left it.

    Attributes
    ----------
    name
        Such as lstm or svm.
    folder
        Holds a folder a member.
    tables
        Of features that it was trained on, one a corpus.
    split
        Who was trained, validated and tested on.
    """

    name: str
    folder: Path
    tables: tuple[Path, ...]
    split: Path

    @property
    def is_network(self) -> bool:
        """Whether its inputs are frames, and not functionals."""
        return self.name == "lstm"


@dataclass(frozen=True)
class PipelineSettings:
    """Sections of the settings that say how recordings become what models are given."""

    preprocess: Preprocess
    features: Features
    train_lstm: TrainLstm


def training_statistics(tables: tuple[Path, ...], split: Path, *, fold: int, kinds: tuple[str, ...]) -> dict[str, Any]:
    """Sum up what the members of a fold were trained on, and how far from that its validation clips are.

    Parameters
    ----------
    tables
        Of frames, or of functionals.
    split
        Who was trained and validated on.
    fold
        One of the split.
    kinds
        Of frame features that are summed up; none where the tables hold functionals.

    Returns
    -------
    dict
        Of training clips, mean and deviation: (values,) each; and the most that a clip's distance is usually.
    """
    rows = pd.read_csv(split, dtype={"clip_id": str})
    train, val = (list(rows.clip_id[(rows.fold == fold) & (rows.split == split)]) for split in ("train", "val"))
    vectors = _summaries(tables, [*train, *val], kinds=kinds)  # together: reading frames is what takes time
    mean, deviation = vectors[: len(train)].mean(axis=0), vectors[: len(train)].std(axis=0)
    centre = {"mean": mean, "std": np.maximum(deviation, 1e-6 + 1e-3 * np.abs(mean))}
    farthest = quality_flags.normalized_distance(vectors[len(train) :], **centre).max()
    return {name: values.tolist() for name, values in centre.items()} | {
        "max_distance": quality_flags.OOD_MARGIN * float(farthest)
    }


def _summaries(tables: tuple[Path, ...], clip_ids: Sequence[str], *, kinds: tuple[str, ...]) -> quality_flags.Vectors:
    if not kinds:
        return feature_store.read_functionals(tables, clip_ids=clip_ids)
    return quality_flags.clip_vectors(feature_store.read_frames(tables, clip_ids=clip_ids, kinds=kinds))


SummarizeTraining: TypeAlias = Callable[..., dict[str, Any]]
"""`training_statistics`, or the same with a memory: seeds of a fold, and all baselines, were trained on the same
clips."""


def export(
    output: Path,
    trained: TrainedModel,
    settings: PipelineSettings,
    *,
    headline: Mapping[str, Any],
    usual: SummarizeTraining = training_statistics,
) -> None:
    """Write a model's folder, whole or not at all.

    Parameters
    ----------
    output
        Such as ``models/exported/lstm``.
    trained
        The model.
    settings
        How recordings became what it was trained on.
    headline
        What the card says of how well it does.
    usual
        Sums up what a member was trained on.

    Raises
    ------
    UserError
        If nothing was trained, or a network has a layer that cannot be exported.
    """
    folders = sorted(path.parent for path in trained.folder.glob("*/card.json"))
    if not folders:
        raise UserError(f"{trained.folder} holds no trained model; run `dvc repro`, which trains {trained.name}.")
    with atomic_write(output) as unfinished:
        members = [_member(folder, unfinished / folder.name, trained, usual=usual) for folder in folders]
        write_card(unfinished, _card(trained, settings, headline=headline, members=members))


def _card(
    trained: TrainedModel,
    settings: PipelineSettings,
    *,
    headline: Mapping[str, Any],
    members: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    card = _read_card(trained.folder / str(members[0]["name"]))
    kinds = _kinds(card) if trained.is_network else []
    by_functionals = not trained.is_network or bool(card["beside"])
    return {
        "model": trained.name,
        "kind": "network" if trained.is_network else "baseline",
        "labels": card["classes"],
        "preprocess": settings.preprocess,
        "features": settings.features if by_functionals else _features(settings.features, kinds),
        "inputs": {"frames": kinds, "functionals": by_functionals},
        "length_buckets": _length_buckets(settings) if trained.is_network else None,
        "members": members,
        "aggregation": _answer(len(members)),
        "origin": {
            "corpora": [path.stem for path in trained.tables],
            "synthetic": all(is_synthetic(path.stem) for path in trained.tables),
            "settings": card["settings"],
            "headline": dict(headline),
            "made_from": _made_from(trained),
            "made_again_by": commands(paths.exported(trained.name) / CARD, lock=paths.MODELS_CSV).splitlines(),
        },
    }


def _features(features: Features, kinds: Sequence[str]) -> Features:
    """Keep the kinds of frame features that a network sees; functionals are made of all."""
    return features.model_copy(
        update={"frame_features": tuple(kind for kind in features.frame_features if kind in kinds)}
    )


def _length_buckets(settings: PipelineSettings) -> LengthBuckets:
    return LengthBuckets.of(settings.train_lstm, hop_seconds=settings.features.hop_seconds)


def _answer(n_members: int) -> str:
    if n_members == 1:
        return "The calibrated probabilities of the one model that was trained."
    return (
        f"The mean of the calibrated probabilities of {n_members} models, one a fold and seed. The headline is of each "
        "alone, on clips that it was not trained on; the mean was tested on none."
    )


def _read_card(folder: Path) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    return card


def _made_from(trained: TrainedModel) -> dict[str, str]:
    tables = [path for table in trained.tables for path in ([table] if table.is_file() else sorted(table.rglob("*")))]
    files = [*tables, trained.split, *sorted(trained.folder.rglob("*.*"))]
    return {path.as_posix(): file_hash(path, "sha256") for path in files}


# Members --------------------------------------------------------------------------------------------------------------


def _member(source: Path, output: Path, trained: TrainedModel, *, usual: SummarizeTraining) -> dict[str, Any]:
    card = _read_card(source)
    output.mkdir(parents=True)
    weights = (_networks if trained.is_network else _baseline)(source, output)
    kinds = tuple(_kinds(card)) if trained.is_network else ()
    return {
        "name": source.name,
        "fold": card["fold"],
        "seed": card["seed"],
        "weights": [path.relative_to(output.parent).as_posix() for path in weights],
        "temperature": card["temperature"],
        "training_statistics": usual(trained.tables, trained.split, fold=card["fold"], kinds=kinds),
        "training_clips": card["training_clips"],
        "training_speakers": card["training_speakers"],
    }


def _kinds(card: Mapping[str, Any]) -> list[str]:
    return sorted({name.partition(".")[0] for name in card["features"]})


def _networks(source: Path, output: Path) -> list[Path]:
    found = sorted(source.rglob("model.keras"))
    paths = [output / f"network{n}.onnx" for n in range(1, len(found) + 1)]
    for model, path in zip(found, paths, strict=True):
        network = trainer.load(model.parent)
        path.write_bytes(keras_to_onnx.convert(network))
        _verify_export(network, path)
    return paths


def _verify_export(network: Any, path: Path) -> None:
    """Compare an exported network with its origin, on noise: a wrong answer would look like any other."""
    from ser.inference import onnx_session

    run = onnx_session.open_network(path)
    rng, (n_features, *n_functionals) = np.random.default_rng(0), [tensor.shape[-1] for tensor in network.inputs]
    for n_frames in (64, 176):
        frames = rng.normal(-40, 20, size=(2, n_frames, n_features)).astype(np.float32)
        functionals = rng.normal(size=(2, *n_functionals)).astype(np.float32) if n_functionals else None
        expected = network(model_inputs(frames, functionals), training=False).numpy()
        away = float(np.abs(run(frames, functionals) - expected).max())
        if not away <= ATOL:
            raise UserError(
                f"{path.name}: probabilities of the exported network differ by {away:.1e} from those of the trained "
                f"one, expected at most {ATOL:g}; tf2onnx converts a layer of ser/models/network.py incorrectly: "
                "replace it."
            )


def _baseline(source: Path, output: Path) -> list[Path]:
    return [Path(shutil.copyfile(source / baselines.MODEL, output / baselines.MODEL))]


# Stage ----------------------------------------------------------------------------------------------------------------


def read_scores(board: Path, *, protocol: str) -> dict[str, dict[str, Any]]:
    """Read what evaluation found of each model: UAR with its interval, and what it means.

    Raises
    ------
    UserError
        If the leaderboard is missing.
    """
    try:
        table = pd.read_csv(board)
    except FileNotFoundError:
        raise UserError(f"{board} was not found; run `dvc repro evaluate`, which makes it.") from None
    columns = ["uar", "uar_ci_low", "uar_ci_high", "accuracy", "ece", "clips", "speakers", "rank"]
    rows = json.loads(table.set_index("model")[columns].to_json(orient="index", double_precision=15))
    return {model: {**row, "protocol": protocol} for model, row in rows.items()}


def write_model_index(models: Path, listing: Path) -> None:
    """List the exported models, so that Git finds the commit that holds one by its card's hash."""
    rows = [_listed(path) for path in sorted(models.glob("*/card.json"))]
    write_csv(listing, rows, columns=["model", "card_md5", "bytes"])


def _listed(card: Path) -> dict[str, Any]:
    return {
        "model": card.parent.name,
        "card_md5": file_hash(card, "md5"),
        "bytes": sum(path.stat().st_size for path in card.parent.rglob("*") if path.is_file()),
    }
