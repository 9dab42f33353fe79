"""A fake model with known predictions: the higher the frequency of a signal, the angrier; and signals for it."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from ser.audio import io as audio_io
from ser.inference.model import UNCERTAIN, Prediction
from tests.helpers.signals import RATE, noise, sine

EMOTIONS = ("neutral", "sad", "angry")


class FakeModel:
    """Predict angry with 0.9 at 1000 Hz and 0 at 0 Hz, neutral with 0.1, sad otherwise; call `hook` first."""

    labels, rate = EMOTIONS, RATE
    card = SimpleNamespace(model_dump=lambda **_: {"model": "fake"})

    def __init__(self, hook: Callable[[], object] = lambda: None) -> None:
        self.hook, self.n_calls = hook, 0

    def warm_up(self) -> None: ...

    def predict(self, recording: Any) -> Prediction:
        self.n_calls += 1
        self.hook()
        if isinstance(recording, tuple):
            signal, rate = recording
            assert rate == RATE
        else:
            signal = np.concatenate(list(audio_io.stream_blocks(recording, rate=RATE)))
        angry = 0.9 * min(hertz(signal) / 1000, 1.0)
        probabilities = dict(zip(EMOTIONS, (0.1, 0.9 - angry, angry), strict=True))
        label = max(probabilities, key=probabilities.__getitem__)
        if silent := np.abs(signal).max() < 1e-4:
            label, probabilities = UNCERTAIN, dict.fromkeys(EMOTIONS, 1 / 3)
        flags = ("silence",) if silent else ("odd",)
        return Prediction(label, max(probabilities.values()), probabilities, len(signal) / RATE, flags)

    def start_recording(self) -> "FakeRecording":
        return FakeRecording(self)


class FakeRecording:
    """Predict the first three seconds of a recording."""

    def __init__(self, model: FakeModel) -> None:
        self.model, self.signal = model, np.empty(0, dtype=np.float32)

    def update(self, block: np.ndarray) -> None:
        self.signal = np.concatenate([self.signal, block[: 3 * RATE - len(self.signal)]])

    def close(self) -> Prediction:
        loud = np.abs(self.signal).max(initial=0) > 0.01
        return FakeModel().predict((self.signal if loud else np.zeros(1), RATE))


def hertz(signal: np.ndarray) -> float:
    """Estimate the frequency of a tone from its zero crossings."""
    loud = signal[np.abs(signal) > 0.01]
    return float((np.diff(np.sign(loud)) != 0).sum() / 2 / len(loud) * RATE) if len(loud) else 0.0


def spoken(hz: float, *, seconds: float) -> np.ndarray:
    """Make a tone in syllables, four per second of 0.15 s each, with a little noise: (n_samples,) float32."""
    tone = sine(hz, seconds=seconds)
    times = np.arange(len(tone)) / RATE
    return (tone * (times % 0.25 < 0.15) + quiet(seconds)).astype(np.float32)


def quiet(seconds: float) -> np.ndarray:
    """Make room noise without speech."""
    return noise(seconds=seconds, level_db=-60, seed=1)


def call() -> np.ndarray:
    """Make a call: 5 s sad, 4 s of room noise, 5 s angry, 0.7 s of room noise."""
    return np.concatenate([spoken(100, seconds=5), quiet(4), spoken(900, seconds=5), quiet(0.7)])
