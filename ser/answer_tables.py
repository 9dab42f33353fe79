"""Answers for a folder of recordings, on all cores, as a CSV file with a row for every file in it."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from ser.answering import ask, columns, recordings_in, row
from ser.errors import InputError
from ser.files import replacing
from ser.inference import Model, load
from ser.parallel import batches, map_batches

AT_ONCE = 8
"""Recordings that a worker is given at a time."""


def judge_folder(model: Path, folder: Path, output: Path, *, least: float) -> dict[str, int]:
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
    dict
        How many files there were, and of how many there is no answer: ``files``, ``failed``.

    Raises
    ------
    InputError
        If the model cannot be loaded, or there is nothing to judge.
    """
    labels, files = load(model).labels, recordings_in(folder, but=output)
    rows = _judged(model, files, folder=folder, least=least)
    try:
        failed = _write(output, rows, labels=labels)
    except OSError as error:
        raise InputError(f"{output} cannot be written ({error.strerror or error}); name another file.") from None
    return {"files": len(files), "failed": failed}


def _write(output: Path, rows: Iterator[list[Mapping[str, Any]]], *, labels: Sequence[str]) -> int:
    """Write rows as they come, and count those without an answer."""
    failed = 0
    with replacing(output) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as table:
        writer = csv.DictWriter(table, columns(labels), restval="", lineterminator="\n")
        writer.writeheader()
        for some in rows:
            writer.writerows(some)
            failed += sum("error" in one for one in some)
    return failed


def _judged(model: Path, files: list[Path], *, folder: Path, least: float) -> Iterator[list[Mapping[str, Any]]]:
    work = partial(_judge, model=model, folder=folder, least=least)
    total = -(-len(files) // AT_ONCE)
    return map_batches(work, batches(files, size=AT_ONCE), description=f"predict {folder.name}", total=total)


def _judge(files: list[Path], *, model: Path, folder: Path, least: float) -> list[Mapping[str, Any]]:
    loaded = _loaded(model)
    return [row(ask(loaded, path, name=path.relative_to(folder).as_posix(), least=least)) for path in files]


@lru_cache(maxsize=1)
def _loaded(model: Path) -> Model:
    """Load a model once in each worker."""
    return load(model)
