"""Answers as people and programs read them: a chart, a line of JSON, a row of a table."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ser.inference.model import UNCERTAIN, Model, Prediction, Recording
from ser.inference.quality_flags import FLAGS
from ser.utils.errors import UserError

BAR = 30
"""Characters of a probability of 1."""


@dataclass(frozen=True)
class PredictionOutcome:
    """An answer, or why there is none, under the name of what was asked about; `label` may be `UNCERTAIN`."""

    file: str
    label: str
    answer: Prediction | None
    error: str


def predict_or_error(model: Model, recording: Recording, *, name: str, least: float) -> PredictionOutcome:
    """Judge a recording; one that cannot be judged is told with its reason.

    Parameters
    ----------
    model
        A loaded one.
    recording
        As `ser.inference.model.Model.predict` takes it.
    name
        What it is called.
    least
        The confidence below which the label is `UNCERTAIN`.
    """
    name = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")  # file names may be any bytes
    try:
        answer = model.predict(recording)
    except UserError as error:
        return PredictionOutcome(name, "", None, str(error))
    return PredictionOutcome(name, answer.label if answer.confidence >= least else UNCERTAIN, answer, "")


def chart(told: PredictionOutcome, *, text: str | None = None) -> str:
    """Draw the probabilities of a recording as bars, the likeliest emotion first; `text` is what is said in it."""
    if told.answer is None:
        return f"{told.file}: {told.error}"
    answer = told.answer
    ranked = sorted(answer.probabilities.items(), key=lambda item: -item[1])
    width = max(len(label) for label, _ in ranked)
    bars = [f"  {label:{width}} {share:5.1%} {'█' * round(BAR * share)}".rstrip() for label, share in ranked]
    remarks = [f"  {flag}: {FLAGS[flag]}" for flag in answer.flags]
    head = f"{told.file}: {told.label} ({answer.confidence:.1%}), {answer.seconds:.1f} s"
    said = [] if text is None else [f"  “{text}”"]
    return "\n".join([head, *said, *bars, *remarks])


def json_line(told: PredictionOutcome, *, text: str | None = None) -> str:
    """Write an answer as one line of JSON: file, label, confidence, probabilities, seconds, flags; or file, error."""
    if told.answer is None:
        return json.dumps({"file": told.file, "error": told.error})
    answer = told.answer
    content = {"confidence": answer.confidence, "probabilities": answer.probabilities}
    times = {"seconds": answer.seconds, "flags": list(answer.flags)}
    said = {} if text is None else {"text": text}
    return json.dumps({"file": told.file, "label": told.label, **content, **times, **said})


def columns(labels: Sequence[str]) -> list[str]:
    """Name the columns of a table of answers."""
    return ["file", "label", "confidence", *(f"p_{label}" for label in labels), "seconds", "flags", "error"]


def row(told: PredictionOutcome) -> Mapping[str, Any]:
    """Write an answer as a row of such a table, probabilities to six digits."""
    if told.answer is None:
        return {"file": told.file, "error": told.error}
    answer = told.answer
    shares = {f"p_{label}": f"{share:.6f}" for label, share in answer.probabilities.items()}
    numbers = {"confidence": f"{answer.confidence:.6f}", "seconds": f"{answer.seconds:.3f}"}
    return {"file": told.file, "label": told.label, **numbers, **shares, "flags": " ".join(answer.flags)}


def recordings_in(folder: Path, *, but: Path) -> list[Path]:
    """List the files in a folder and its folders, hidden ones and one other left out, sorted.

    Raises
    ------
    InputError
        If there is no such folder, or nothing in it.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; name one that holds recordings.")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.resolve() != but.resolve())
    shown = [path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    if not shown:
        raise UserError(f"{folder} holds no files; name a folder that holds recordings.")
    return shown
