"""Answers for a folder of recordings, on all cores, as a CSV file with a row for every file in it."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from ser.inference.formatting import columns, predict_or_error, recordings_in, row
from ser.inference.model import Model, load
from ser.utils.errors import UserError
from ser.utils.files import atomic_write
from ser.utils.parallel import batches, map_batches

AT_ONCE = 8
"""Recordings that a worker is given at a time."""
NAMED = 5
"""So many of the files without an answer are named; the table has all."""


@dataclass
class FolderSummary:
    """What became of a folder: how many files, how many without an answer, and the errors of the first of these."""

    files: int = 0
    failed: int = 0
    errors: dict[str, str] = field(default_factory=dict)

    def add(self, one: Mapping[str, Any]) -> None:
        """Count a row of the table."""
        self.files += 1
        if "error" in one:
            self.failed += 1
            if len(self.errors) < NAMED:
                self.errors[one["file"]] = one["error"]


def predict_folder(model: Path, folder: Path, output: Path, *, least: float) -> FolderSummary:
    """Judge all recordings in a folder.

    Parameters
    ----------
    model
        Folder of an exported model.
    folder
        Its files, and those of its folders, are judged; hidden ones are not.
    output
        CSV: file, label, confidence, p_EMOTION…, seconds, flags, error. A file that cannot be judged has the reason.
    least
        The confidence below which the label is ``uncertain``.

    Returns
    -------
    Counts
        The names in its ``errors`` are those of the table.

    Raises
    ------
    InputError
        If the model cannot be loaded, there is nothing to judge, or something else than a CSV stands at `output`.
    """
    if output.is_dir() or (output.exists() and output.suffix.lower() != ".csv"):
        raise UserError(f"{output} is there already and is no .csv file; name another for the answers.")
    labels, files = load(model).labels, recordings_in(folder, but=output)
    rows = _predict_files(model, files, folder=folder, least=least)
    try:
        return _write(output, rows, labels=labels)
    except OSError as error:
        raise UserError(f"{output} cannot be written ({error.strerror or error}); name another file.") from None


def _write(output: Path, rows: Iterator[list[Mapping[str, Any]]], *, labels: Sequence[str]) -> FolderSummary:
    """Write rows as they come, and count them."""
    counts = FolderSummary()
    with atomic_write(output) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as table:
        writer = csv.DictWriter(table, columns(labels), restval="", lineterminator="\n")
        writer.writeheader()
        for some in rows:
            writer.writerows(some)
            for one in some:
                counts.add(one)
    return counts


def _predict_files(model: Path, files: list[Path], *, folder: Path, least: float) -> Iterator[list[Mapping[str, Any]]]:
    work = partial(_predict_batch, model=model, folder=folder, least=least)
    total = -(-len(files) // AT_ONCE)
    return map_batches(work, batches(files, size=AT_ONCE), description=f"predict {folder.name}", total=total)


def _predict_batch(files: list[Path], *, model: Path, folder: Path, least: float) -> list[Mapping[str, Any]]:
    loaded = _loaded(model)
    return [
        row(predict_or_error(loaded, path, name=path.relative_to(folder).as_posix(), least=least)) for path in files
    ]


@lru_cache(maxsize=1)
def _loaded(model: Path) -> Model:
    """Load a model once in each worker."""
    return load(model)
