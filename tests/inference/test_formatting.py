"""Predictions are formatted as bar charts and JSON, and errors as the reason."""

import json
from pathlib import Path
from typing import Any

import pytest

from ser.audio.io import AudioError
from ser.inference import formatting
from ser.inference.model import UNCERTAIN, Prediction

PREDICTION = Prediction("sad", 0.7, {"neutral": 0.1, "sad": 0.7, "angry": 0.2}, 2.5, ("quiet",))


class ConstantModel:
    """Predict the same for each recording, except for those whose name contains bad."""

    labels = tuple(PREDICTION.probabilities)

    def predict(self, recording: Any) -> Prediction:
        if "bad" in str(recording):
            raise AudioError("is broken")
        return PREDICTION


def outcome(name: str = "a.wav", *, min_confidence: float = 0) -> formatting.PredictionOutcome:
    return formatting.predict_or_error(ConstantModel(), Path(name), name=name, min_confidence=min_confidence)


def test_charts_rank_the_emotions() -> None:
    """The bars are sorted by probability below the label; flags are explained."""
    lines = formatting.format_chart(outcome()).splitlines()
    assert lines[0] == "a.wav: sad (70.0%), 2.5 s"
    assert [line.split()[0] for line in lines[1:4]] == ["sad", "angry", "neutral"]
    assert [line.count("█") for line in lines[1:4]] == [21, 6, 3]
    assert lines[4].startswith("  quiet: ")
    assert formatting.format_chart(outcome("bad.wav")) == "bad.wav: is broken"


def test_json_has_all_fields() -> None:
    """The line has the prediction and the transcript, or the error."""
    expected = {"file": "a.wav", **vars(PREDICTION), "flags": ["quiet"], "text": "hello"}
    assert json.loads(formatting.format_json(outcome(), transcript="hello")) == expected
    assert json.loads(formatting.format_json(outcome("bad\udcff.wav"))) == {"file": "bad�.wav", "error": "is broken"}


@pytest.mark.parametrize(("min_confidence", "label"), [(0.7, "sad"), (0.71, UNCERTAIN)])
def test_low_confidence_is_uncertain(min_confidence: float, label: str) -> None:
    """Below the minimum the label is uncertain; the prediction stays."""
    result = outcome(min_confidence=min_confidence)
    assert (result.label, result.prediction) == (label, PREDICTION)
    assert json.loads(formatting.format_json(result))["label"] == label
