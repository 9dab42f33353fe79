"""A fake model with known predictions: the higher the frequency of a signal, the angrier; and signals for it."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np

from ser.audio.io import AudioError
from tests.helpers.signals import RATE, noise, sine

EMOTIONS = ("neutral", "sad", "angry")


@dataclass
class FakeModel:
    """Predict angry with 0.9 at 1000 Hz and 0 at 0 Hz, neutral with 0.1, sad otherwise; log the lengths of signals."""

    emotions: tuple[str, ...] = EMOTIONS
    rate: int = RATE
    lengths: list[int] = field(default_factory=list)

    def predict_proba(self, signal: np.ndarray) -> np.ndarray:
        self.lengths.append(len(signal))
        if np.abs(signal).max() < 1e-4:
            raise AudioError("all silence")
        angry = 0.9 * min(hertz(signal) / 1000, 1.0)
        return np.array([0.1, 0.9 - angry, angry])


class FakeLoadedModel:
    """The result of `ser.load` as far as sliding windows use it, with the probabilities of `FakeModel`."""

    labels = EMOTIONS

    def __init__(self, *, label: str = "sad") -> None:
        self.label = label
        self.card = SimpleNamespace(
            preprocess=SimpleNamespace(sample_rate=RATE), model_dump=lambda **_: {"model": "fake"}
        )

    def predict(self, recording: tuple[np.ndarray, int]) -> SimpleNamespace:
        signal, rate = recording
        assert rate == RATE
        probabilities = dict(zip(EMOTIONS, FakeModel().predict_proba(signal).tolist(), strict=True))
        return SimpleNamespace(label=self.label, probabilities=probabilities, flags=("no_speech",))


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
