"""Serve an exported model with MLflow, which runs this file instead of unpickling a model."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from mlflow.exceptions import INVALID_PARAMETER_VALUE, MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from ser.inference.model import load
from ser.utils.errors import UserError

ACCEPTED = {"path", "audio", "samples", "rate"}
EXPECTED = "one of path, audio (bytes of a file, base64 in JSON), or samples with rate"


class EmotionModel(PythonModel):  # type: ignore[misc]
    """Predict the emotion of each recording; report an error per row."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the exported model."""
        self.model = load(context.artifacts["model"])

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Predict each row, which has a path, audio, or samples with rate.

        Returns
        -------
        DataFrame
            One row per row of the input, with its index: label, confidence, prob_EMOTION, flags, error. If a row has
            an error, its other columns are None, which is null in JSON, as opposed to NaN.

        Raises
        ------
        MlflowException
            If the input has no column that is accepted.
        """
        columns = set(model_input.columns)
        if not (columns & {"path", "audio"} or columns >= {"samples", "rate"}):
            found = ", ".join(sorted(columns & ACCEPTED)) or "no row, or no column that is accepted"
            raise MlflowException(f"The input has {found}; expected {EXPECTED}.", INVALID_PARAMETER_VALUE)
        recordings = _split_columns(model_input)
        names = ["label", "confidence", *(f"prob_{label}" for label in self.model.labels), "flags", "error"]
        rows = [self._predict_row(row) for row in recordings.to_dict("records")]
        output = pd.DataFrame(rows, index=recordings.index, columns=names)
        return output.astype(object).where(output.notna(), None) if output.isna().any(axis=None) else output

    def _predict_row(self, row: dict[Any, Any]) -> dict[str, Any]:
        try:
            result = self.model.predict(parse_input(row))
        except (OSError, ValueError) as error:  # including UserError
            return {"error": str(error)}
        scores = {f"prob_{label}": value for label, value in result.probabilities.items()}
        flags = ",".join(result.flags)
        return {"label": result.label, "confidence": result.confidence, **scores, "flags": flags, "error": ""}


def _split_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Split the single row that MLflow makes of a dict of lists of paths or base64."""
    if len(table) != 1:
        return table
    lists = {name: cell for name, cell in table.iloc[0].items() if isinstance(cell, list | tuple | np.ndarray)}
    if not lists.keys() & {"path", "audio"}:
        return table
    return pd.DataFrame({name: pd.Series(list(cells), dtype=object) for name, cells in lists.items()})


def parse_input(row: dict[Any, Any]) -> Any:
    """Get the recording of a row: a path, bytes, or samples with their sample rate in Hz.

    Raises
    ------
    UserError
        If the row does not have exactly one of them, or its value is invalid.
    """
    given = {name: row[name] for name in sorted(ACCEPTED & row.keys()) if not _is_missing(row[name])}
    if set(given) not in ({"path"}, {"audio"}, {"samples", "rate"}):
        raise UserError(f"the row has {', '.join(given) or 'no value'}; expected {EXPECTED}.")
    if "samples" in given:
        return _parse_samples(**given)
    [(name, value)] = given.items()
    if name == "path" and isinstance(value, str | Path):
        return value
    if name == "audio" and isinstance(value, bytes | bytearray):
        return bytes(value)
    if name == "audio" and isinstance(value, str):
        try:
            return base64.b64decode("".join(value.split()), validate=True)
        except ValueError:
            raise UserError("audio is text that is not base64; expected the bytes of a file, in base64.") from None
    raise UserError(f"{name} is of type {type(value).__name__}; expected {EXPECTED}.")


def _is_missing(value: Any) -> bool:
    return pd.api.types.is_scalar(value) and (pd.isna(value) or value in ("", b""))


def _parse_samples(samples: Any, rate: Any) -> tuple[npt.NDArray[np.float64], int]:
    try:
        values, hertz = np.array(samples, dtype=np.float64), float(rate)
    except (TypeError, ValueError):
        expected = "samples between -1 and 1, and a rate in Hz"
        raise UserError(f"samples or rate are not numbers; expected {expected}.") from None
    if not hertz.is_integer():
        raise UserError(f"rate is {rate}; expected the sample rate in Hz, a whole number such as 16000.")
    return values, int(hertz)


set_model(EmotionModel())
