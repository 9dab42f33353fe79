"""A model as MLflow serves it: recordings in, emotions out. MLflow runs this file to load it: nothing is pickled."""

from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from ser.inference.model import load
from ser.utils.errors import UserError


class EmotionModel(PythonModel):  # type: ignore[misc]
    """Answers for each recording; for one that cannot be heard, why."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the model's folder."""
        self.model = load(context.artifacts["model"])

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Answer for each row of path, audio, or samples with rate."""
        return pd.DataFrame([self._answer(row) for row in model_input.to_dict("records")])

    def _answer(self, row: dict[str, Any]) -> dict[str, Any]:
        nothing = {f"p_{label}": float("nan") for label in self.model.labels}
        try:
            heard = self.model.predict(parse_input(row))
        except UserError as error:
            return {"label": "", "confidence": float("nan"), **nothing, "flags": "", "error": str(error)}
        numbers = {f"p_{label}": value for label, value in heard.probabilities.items()}
        answer = {"label": heard.label, "confidence": heard.confidence, **numbers}
        return {**answer, "flags": ",".join(heard.flags), "error": ""}


def parse_input(row: dict[str, Any]) -> Any:
    """Select what of a row is to be heard: a path, bytes, or samples and their rate.

    Raises
    ------
    InputError
        Unless a row holds one of them.
    """
    given = {name: value for name, value in row.items() if not (pd.api.types.is_scalar(value) and pd.isna(value))}
    found = sorted(set(given) & {"path", "audio", "samples"})
    if len(found) != 1 or ("samples" in given) != ("rate" in given):
        held = ", ".join(sorted(given)) or "nothing"
        raise UserError(
            f"a row holds {held}; expected one of path, audio (bytes, in JSON base64), or samples and rate."
        )
    if "samples" in given:
        return np.asarray(given["samples"], dtype=np.float64), int(given["rate"])
    return given[found[0]]


set_model(EmotionModel())
