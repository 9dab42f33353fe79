"""A model to take away: the folder ``models/exported/NAME``, its card, and whether it is whole.

The card says how recordings are processed, what the weights are, what they were made from and how well they did. It
names every file by its hash, and itself by the hash of the rest of it: a part that was changed, lost or damaged is
noticed before anybody is answered.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from ser import paths
from ser.params import Features, FrameFeature, Preprocess, Settings
from ser.utils.errors import UserError
from ser.utils.files import file_hash, write_json

FORMAT = 2
"""Changes whenever a program that reads today's folders would misunderstand tomorrow's."""
CARD = "card.json"

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Number = Annotated[float, Field(gt=0)]


class LengthLimits(Settings):
    """Lengths that clips are brought to, in frames: multiples of `step`, and never more than `most`."""

    step: Annotated[int, Field(ge=1)]
    most: Annotated[int, Field(ge=1)]


class ModelInputs(Settings):
    """What a model is given of a clip: some kinds of its frame features, its functionals, or both."""

    frames: tuple[FrameFeature, ...]
    functionals: bool


class TrainingStatistics(Settings):
    """What a member's inputs are like in training: mean and deviation of each, and how far from it clips may be.

    `most` is `ser.inference.quality_flags.OOD_MARGIN` times the distance of the farthest validation clip, as
    `ser.inference.quality_flags.normalized_distance` computes it.
    """

    mean: tuple[float, ...]
    deviation: tuple[Number, ...]
    most: Number


class FoldModel(Settings):
    """One trained model: its fold and seed, weights, temperature, and whose voices taught it."""

    name: str
    fold: int
    seed: int
    weights: tuple[str, ...]
    temperature: Number
    usual: TrainingStatistics
    training_clips: int
    training_speakers: tuple[str, ...]


class Card(Settings):
    """What a folder holds. `answer` says how members make one answer, `origin` is for people to read."""

    format: Literal[2]
    model: str
    kind: Literal["network", "baseline"]
    labels: Annotated[tuple[str, ...], Field(min_length=2)]
    preprocess: Preprocess
    features: Features
    sees: ModelInputs
    cut: LengthLimits | None
    members: Annotated[tuple[FoldModel, ...], Field(min_length=1)]
    answer: str
    origin: dict[str, Any]
    files: dict[str, Sha256]


def write_card(folder: Path, content: Mapping[str, Any]) -> None:
    """Write the card of a folder that has its weights already; files and hashes are added.

    Parameters
    ----------
    content
        The fields of `Card` but for `format` and `files`.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = {path.relative_to(folder).as_posix(): file_hash(path, "sha256") for path in paths}
    card = Card.model_validate({**content, "format": FORMAT, "files": files}).model_dump(mode="json")
    write_json(folder / CARD, card | {"sha256": _sum(card)})


def read_card(folder: Path) -> Card:
    """Read a card and check that the folder is what it says.

    Raises
    ------
    InputError
        If there is no card, it is of another format or was changed, or a file is missing or is not the one that was
        written.
    """
    content = _read(folder)
    if content.get("format") != FORMAT:
        raise UserError(
            f"{folder / CARD}: its format is {content.get('format')!r}, this program reads {FORMAT}; "
            "use the program that came with the model, or make it anew (dvc repro export)."
        )
    if content.pop("sha256", None) != _sum(content):
        raise _broken(folder / CARD, "is not as it was written")
    _check_files(folder, content)
    try:
        return Card.model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
        raise _broken(folder / CARD, f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}") from None


def _read(folder: Path) -> dict[str, Any]:
    path = folder / CARD
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise _no_model(folder) from None
    except (OSError, ValueError) as error:
        raise _broken(path, f"cannot be read ({error})") from None
    if not isinstance(content, dict):
        raise _broken(path, f"holds {type(content).__name__}, expected an object")
    return content


def _no_model(folder: Path) -> UserError:
    if not folder.exists():
        return UserError(f"{folder} is not there: run `make repro` first, or name another by --model.")
    found = f"has no model in it (no {CARD})" if folder.is_dir() else "is a file, and not the folder of a model"
    return UserError(
        f"{folder} {found}: name another by --model; `make repro` writes {paths.DEFAULT_MODEL} and others."
    )


def _check_files(folder: Path, content: Mapping[str, Any]) -> None:
    for name, expected in content["files"].items():
        path = folder / name
        if not path.is_file():
            raise _broken(path, "is missing")
        if file_hash(path, "sha256") != expected:
            raise _broken(path, "is not as it was written (its SHA-256 differs)")


def _broken(path: Path, what: str) -> UserError:
    return UserError(f"{path}: {what}; copy the model's folder anew, or make it anew (dvc checkout, dvc repro export).")


def _sum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()
