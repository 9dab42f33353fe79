"""The adapter of a loaded model predicts windows and has the model's metadata."""

import numpy as np
import pytest

from ser.audio.io import AudioError
from ser.inference.window_model import WindowModel
from tests.helpers.fake_model import EMOTIONS, RATE, FakeLoadedModel, FakeModel, spoken


def test_probabilities_are_in_the_order_of_the_emotions() -> None:
    """A window is passed on with its sample rate."""
    model, signal = WindowModel(FakeLoadedModel()), spoken(200, seconds=1)  # type: ignore[arg-type]
    np.testing.assert_array_equal(model.predict_proba(signal), FakeModel().predict_proba(signal))
    assert (model.rate, model.emotions, model.card) == (RATE, EMOTIONS, {"model": "fake"})


def test_windows_without_speech_raise_an_error() -> None:
    """The error names the flag."""
    model = WindowModel(FakeLoadedModel(label="uncertain"))  # type: ignore[arg-type]
    with pytest.raises(AudioError, match="no_speech"):
        model.predict_proba(spoken(200, seconds=1))
