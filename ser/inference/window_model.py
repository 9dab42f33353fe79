"""Adapt a loaded model to sliding-window prediction and the HTTP service."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from ser.audio.io import AudioError
from ser.audio.types import Waveform
from ser.inference.model import UNCERTAIN, Model, Prediction
from ser.inference.sliding_window import Probabilities
from ser.utils.wav import harmonic_tone

HIDDEN_FIELDS: Any = {
    "members": {"__all__": {"training_statistics"}},
    "features": True,
    "length_buckets": True,
    "files": True,
    "origin": {"made_from": True},
}
"""Fields of the card that the service does not show."""


class WindowModel:
    """A loaded model that predicts windows of a signal.

    Attributes
    ----------
    emotions : tuple of str
        Labels, in the order of the probabilities.
    rate : int
        Sample rate of the windows in Hz.
    card : mapping
        Metadata of the model.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self.emotions = model.labels
        self.rate = model.card.preprocess.sample_rate
        self.card: Mapping[str, Any] = model.card.model_dump(mode="json", exclude=HIDDEN_FIELDS)

    def predict_proba(self, signal: Waveform) -> Probabilities:
        """Predict the calibrated probabilities, of shape (n_emotions,), of a signal of shape (n_samples,).

        Raises
        ------
        AudioError
            If the signal contains no speech.
        """
        prediction = self._model.predict((signal, self.rate))
        if prediction.label == UNCERTAIN:
            raise AudioError(f"no prediction: {', '.join(prediction.flags)}")
        return np.array([prediction.probabilities[name] for name in self.emotions])

    def warm_up(self) -> None:
        """Predict a synthetic signal, so that the first request does not wait for imports."""
        times = np.arange(2 * self.rate) / self.rate
        tone = harmonic_tone(seconds=2, rate=self.rate, n_harmonics=19)
        with suppress(AudioError):
            self.predict_proba(np.asarray(0.1 * tone * (times % 0.5 < 0.3), dtype=np.float32))

    def predict(self, recording: bytes) -> Prediction:
        """Predict the emotion of a recording."""
        return self._model.predict(recording)
