"""Format predictions as bar charts and lines of JSON."""

import json
from dataclasses import dataclass

from ser.inference.model import UNCERTAIN, Model, Prediction, Recording
from ser.inference.quality_flags import FLAGS
from ser.utils.errors import UserError

BAR_WIDTH = 30
"""Length in characters of the bar of a probability of 1."""


@dataclass(frozen=True)
class PredictionOutcome:
    """The prediction for a recording, or the error why there is none.

    The label is `UNCERTAIN` if the confidence is too low. Label or error is empty.
    """

    file: str
    label: str
    prediction: Prediction | None
    error: str


def predict_or_error(model: Model, recording: Recording, *, name: str, min_confidence: float) -> PredictionOutcome:
    """Predict the emotion of a recording, or return the reason why it cannot be used.

    Below `min_confidence` the label is `UNCERTAIN`.
    """
    name = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")  # file names may be any bytes
    try:
        prediction = model.predict(recording)
    except UserError as error:
        return PredictionOutcome(name, "", None, str(error))
    label = prediction.label if prediction.confidence >= min_confidence else UNCERTAIN
    return PredictionOutcome(name, label, prediction, "")


def format_chart(outcome: PredictionOutcome, *, transcript: str | None = None) -> str:
    """Format a prediction as a bar chart, the most likely emotion first, or the error."""
    prediction = outcome.prediction
    if prediction is None:
        return f"{outcome.file}: {outcome.error}"
    ranked = sorted(prediction.probabilities.items(), key=lambda item: -item[1])
    width = max(len(label) for label, _ in ranked)
    lines = [f"{outcome.file}: {outcome.label} ({prediction.confidence:.1%}), {prediction.seconds:.1f} s"]
    lines += [] if transcript is None else [f"  “{transcript}”"]
    lines += [f"  {label:{width}} {value:5.1%} {'█' * round(BAR_WIDTH * value)}".rstrip() for label, value in ranked]
    lines += [f"  {flag}: {FLAGS[flag]}" for flag in prediction.flags]
    return "\n".join(lines)


def format_json(outcome: PredictionOutcome, *, transcript: str | None = None) -> str:
    """Format a prediction as a line of JSON: file, label, confidence, probabilities, seconds, flags; or file, error."""
    prediction = outcome.prediction
    if prediction is None:
        return json.dumps({"file": outcome.file, "error": outcome.error})
    text = {} if transcript is None else {"text": transcript}
    return json.dumps({"file": outcome.file, **vars(prediction), "label": outcome.label, **text})
