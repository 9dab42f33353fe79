"""Read and write exported models: the folder ``models/exported/NAME`` with weights and ``card.json``.

The card holds the SHA-256 of each file and of itself, so that changed or missing files are detected on loading.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from ser import paths
from ser.models.batching import LengthBuckets
from ser.params import Features, FrameFeature, Preprocess, Settings
from ser.utils.errors import UserError
from ser.utils.files import file_hash, write_json

FORMAT = 5
"""Version of the card; increase it with each incompatible change."""
CARD = "card.json"

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
PositiveFloat = Annotated[float, Field(gt=0)]


class ModelInputs(Settings):
    """Inputs of a model: kinds of frame-level features, functionals, or both."""

    frames: tuple[FrameFeature, ...]
    functionals: bool


class FoldModel(Settings):
    """A trained model of one fold and seed: a member of the exported model.

    `weights` and `training_statistics` are paths in its folder; see `ser.inference.quality_flags.TrainingStatistics`.
    """

    name: str
    fold: int
    seed: int
    weights: tuple[str, ...]
    temperature: PositiveFloat
    training_statistics: str
    training_clips: int
    training_speakers: tuple[str, ...]


class Card(Settings):
    """Metadata of an exported model.

    `aggregation` describes how the members' predictions are combined; `origin` holds the training data, settings and
    test scores; `files` the SHA-256 of each file.
    """

    format: Literal[5]
    model: str
    kind: Literal["network", "baseline"]
    labels: Annotated[tuple[str, ...], Field(min_length=2)]
    preprocess: Preprocess
    features: Features
    inputs: ModelInputs
    length_buckets: LengthBuckets | None
    members: Annotated[tuple[FoldModel, ...], Field(min_length=1)]
    aggregation: str
    origin: dict[str, Any]
    files: dict[str, Sha256]


def write_card(folder: Path, content: Mapping[str, Any]) -> None:
    """Write the card of a folder that holds the weights; `content` has the other fields of `Card`."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    hashes = {path.relative_to(folder).as_posix(): file_hash(path, "sha256") for path in files}
    card = Card.model_validate({**content, "format": FORMAT, "files": hashes}).model_dump(mode="json")
    write_json(folder / CARD, card | {"sha256": _card_hash(card)})


def read_card(folder: Path) -> Card:
    """Read a card and verify the files of the folder.

    Raises
    ------
    UserError
        If there is no card, it has another format or was changed, or a file is missing or was changed.
    """
    path = folder / CARD
    content = _read_json(path)
    if content.get("format") != FORMAT:
        raise UserError(
            f"{path}: found format {content.get('format')!r}, expected {FORMAT}; export the model again with "
            "`dvc repro export` (or `make repro`), or use the version of the program that exported it."
        )
    if content.pop("sha256", None) != _card_hash(content):
        raise _damaged(path, "its content does not match its SHA-256")
    for name, sha256 in content["files"].items():
        if not (folder / name).is_file():
            raise _damaged(folder / name, "is missing")
        if file_hash(folder / name, "sha256") != sha256:
            raise _damaged(folder / name, "its SHA-256 differs from the card")
    try:
        return Card.model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
        raise _damaged(path, f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}") from None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        folder = path.parent
        if not folder.exists():
            raise UserError(f"{folder}: not found; run `make repro`, or choose another folder with --model.") from None
        problem = f"has no {CARD}" if folder.is_dir() else "is a file"
        expected = f"expected the folder of an exported model, such as {paths.DEFAULT_MODEL}"
        raise UserError(f"{folder}: {problem}; {expected} (--model).") from None
    except (OSError, ValueError) as error:
        raise _damaged(path, f"cannot be read ({error})") from None
    if not isinstance(content, dict):
        raise _damaged(path, f"found {type(content).__name__}, expected an object")
    return content


def _damaged(path: Path, problem: str) -> UserError:
    return UserError(f"{path}: {problem}; copy the folder of the model again, or restore it (dvc checkout).")


def _card_hash(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()
