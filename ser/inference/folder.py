"""Predict all recordings of a folder in parallel and write a CSV file."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from ser.inference.formatting import PredictionOutcome, predict_or_error
from ser.inference.model import Model, load
from ser.utils.errors import UserError
from ser.utils.files import atomic_write
from ser.utils.parallel import batches, map_batches

BATCH_SIZE = 8
"""Number of recordings in a task of a worker."""
MAX_ERRORS = 5
"""Number of errors in a summary; the CSV file has all."""


@dataclass
class FolderSummary:
    """Number of files and of failed files, and the first errors by file."""

    n_files: int = 0
    n_failed: int = 0
    errors: dict[str, str] = field(default_factory=dict)


def predict_folder(model: Path, folder: Path, output: Path, *, min_confidence: float) -> FolderSummary:
    """Predict all recordings of a folder in parallel and write a CSV file.

    Parameters
    ----------
    model : Path
        Folder of an exported model.
    folder : Path
        Searched recursively; hidden files are skipped.
    output : Path
        CSV file with one row per file: file, label, confidence, prob_EMOTION, duration, flags, error.
    min_confidence : float
        Below this confidence the label is ``uncertain``.

    Returns
    -------
    FolderSummary

    Raises
    ------
    UserError
        If the model cannot be loaded, the folder has no files, or `output` exists and is not a CSV file.
    """
    if output.is_dir() or (output.exists() and output.suffix.lower() != ".csv"):
        raise UserError(f"{output}: exists and is not a CSV file; choose another --csv.")
    labels, files = load(model).labels, list_recordings(folder, exclude=output)
    predict = partial(_predict_batch, model=model, folder=folder, min_confidence=min_confidence)
    n_batches = -(-len(files) // BATCH_SIZE)
    results = map_batches(
        predict, batches(files, size=BATCH_SIZE), description=f"predict {folder.name}", total=n_batches
    )
    columns = ["file", "label", "confidence", *(f"prob_{label}" for label in labels), "duration", "flags", "error"]
    summary = FolderSummary()
    try:
        with atomic_write(output) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as table:
            writer = csv.DictWriter(table, columns, restval="", lineterminator="\n")
            writer.writeheader()
            for rows in results:
                writer.writerows(rows)
                failed = [row for row in rows if "error" in row]
                summary.n_files += len(rows)
                summary.n_failed += len(failed)
                summary.errors.update({row["file"]: row["error"] for row in failed[: MAX_ERRORS - len(summary.errors)]})
    except OSError as error:
        raise UserError(f"{output}: cannot be written ({error.strerror or error}); choose another --csv.") from None
    return summary


def list_recordings(folder: Path, *, exclude: Path) -> list[Path]:
    """List the files of a folder recursively in sorted order, except hidden files and `exclude`.

    Raises
    ------
    UserError
        If the folder does not exist or has no files.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: not a folder; choose a folder of recordings.")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.resolve() != exclude.resolve())
    visible = [path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    if not visible:
        raise UserError(f"{folder}: has no files; choose a folder of recordings.")
    return visible


def _predict_batch(files: list[Path], *, model: Path, folder: Path, min_confidence: float) -> list[Mapping[str, Any]]:
    loaded = _load_once(model)
    names = [path.relative_to(folder).as_posix() for path in files]
    return [
        _row(predict_or_error(loaded, path, name=name, min_confidence=min_confidence))
        for path, name in zip(files, names, strict=True)
    ]


@lru_cache(maxsize=1)
def _load_once(model: Path) -> Model:
    return load(model)  # once per worker process


def _row(outcome: PredictionOutcome) -> Mapping[str, Any]:
    if outcome.prediction is None:
        return {"file": outcome.file, "error": outcome.error}
    prediction = outcome.prediction
    return {
        "file": outcome.file,
        "label": outcome.label,
        "confidence": f"{prediction.confidence:.6f}",
        **{f"prob_{label}": f"{value:.6f}" for label, value in prediction.probabilities.items()},
        "duration": f"{prediction.seconds:.3f}",
        "flags": " ".join(prediction.flags),
    }
