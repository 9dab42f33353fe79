"""Serve an exported model with MLflow, which runs this file instead of unpickling a model."""

from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from ser.inference.model import load
from ser.utils.errors import UserError


class EmotionModel(PythonModel):  # type: ignore[misc]
    """Predict the emotion of each recording; report an error per row."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the exported model."""
        self.model = load(context.artifacts["model"])

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Predict each row, which has a path, audio, or samples with rate."""
        return pd.DataFrame([self._predict_row(row) for row in model_input.to_dict("records")])

    def _predict_row(self, row: dict[str, Any]) -> dict[str, Any]:
        try:
            result = self.model.predict(parse_input(row))
        except UserError as error:
            scores = dict.fromkeys(["confidence", *(f"prob_{label}" for label in self.model.labels)], float("nan"))
            return {"label": "", **scores, "flags": "", "error": str(error)}
        scores = {f"prob_{label}": value for label, value in result.probabilities.items()}
        flags = ",".join(result.flags)
        return {"label": result.label, "confidence": result.confidence, **scores, "flags": flags, "error": ""}


def parse_input(row: dict[str, Any]) -> Any:
    """Get the recording of a row: a path, bytes, or samples with their sample rate in Hz.

    Raises
    ------
    UserError
        If the row does not have exactly one of them.
    """
    given = {name: value for name, value in row.items() if not (pd.api.types.is_scalar(value) and pd.isna(value))}
    kinds = sorted(set(given) & {"path", "audio", "samples"})
    if len(kinds) != 1 or ("samples" in given) != ("rate" in given):
        raise UserError(
            f"a row has {', '.join(sorted(given)) or 'no value'}; expected one of path, audio (bytes, base64 in JSON), "
            "or samples and rate."
        )
    if "samples" in given:
        return np.asarray(given["samples"], dtype=np.float64), int(given["rate"])
    return given[kinds[0]]


set_model(EmotionModel())
