"""A loaded model as windows and the service ask it."""

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
    "members": {"__all__": {"usual"}},
    "features": True,
    "cut": True,
    "files": True,
    "origin": {"made_from": True},
}
"""Of a card; it is for programs, not for people."""


class WindowModel:
    """Asks a model for one window at a time.

    Attributes
    ----------
    emotions
        In the order of its probabilities.
    rate
        In Hz, of windows.
    card
        What it is and what it was made of, for people.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self.emotions = model.labels
        self.rate = model.card.preprocess.sample_rate
        self.card: Mapping[str, Any] = model.card.model_dump(mode="json", exclude=HIDDEN_FIELDS)

    def judge(self, signal: Waveform) -> Probabilities:
        """Give the calibrated probabilities, (n_emotions,), of a (n_samples,) signal at `rate`.

        Raises
        ------
        AudioError
            If no voice is heard.
        """
        answer = self._model.predict((signal, self.rate))
        if answer.label == UNCERTAIN:
            raise AudioError(f"nothing to judge: {', '.join(answer.flags)}")
        return np.array([answer.probabilities[name] for name in self.emotions])

    def warm(self) -> None:
        """Judge a hum, so that the first who asks does not wait for libraries."""
        times = np.arange(2 * self.rate) / self.rate
        hum = harmonic_tone(seconds=2, rate=self.rate, n_harmonics=19)
        with suppress(AudioError):
            self.judge(np.asarray(0.1 * hum * (times % 0.5 < 0.3), dtype=np.float32))

    def predict(self, recording: bytes) -> Prediction:
        """Judge a whole recording."""
        return self._model.predict(recording)
