"""A model whose answers are known: the faster a signal goes through zero, the angrier it is."""

from dataclasses import dataclass, field

import numpy as np

from ser.audio.io import AudioError
from tests.helpers.signals import RATE, noise, silence, sine

EMOTIONS = ("neutral", "sad", "angry")


@dataclass
class FakeModel:
    """It is angry at 1000 Hz, sad at 0, in between in proportion, and neutral by 0.1; it counts what it was asked."""

    emotions: tuple[str, ...] = EMOTIONS
    rate: int = RATE
    asked: list[int] = field(default_factory=list)

    def judge(self, signal: np.ndarray) -> np.ndarray:
        self.asked.append(len(signal))
        if np.abs(signal).max() < 1e-4:
            raise AudioError("all silence")
        angry = 0.9 * min(hertz(signal) / 1000, 1.0)
        return np.array([0.1, 0.9 - angry, angry])


def hertz(signal: np.ndarray) -> float:
    """Measure the frequency of a tone by its passages through zero."""
    heard = signal[np.abs(signal) > 0.01]
    return float((np.diff(np.sign(heard)) != 0).sum() / 2 / len(heard) * RATE) if len(heard) else 0.0


def spoken(hz: float, *, seconds: float) -> np.ndarray:
    """Make a tone in syllables: four a second, 0.15 s each, over a little noise. (n_samples,) float32."""
    tone = sine(hz, seconds=seconds)
    times = np.arange(len(tone)) / RATE
    return (tone * (times % 0.25 < 0.15) + quiet(seconds)).astype(np.float32)


def quiet(seconds: float) -> np.ndarray:
    """Make noise of a room in which nobody speaks."""
    return noise(seconds=seconds, level_db=-60, seed=1)


def call() -> np.ndarray:
    """Make a call: 5 s sad, 4 s of nobody, 5 s angry, then 0.7 s of a room."""
    parts = [spoken(100, seconds=5), quiet(4), spoken(900, seconds=5), quiet(0.7)]
    return np.concatenate(parts)


__all__ = ["EMOTIONS", "RATE", "FakeModel", "call", "hertz", "quiet", "silence", "spoken"]
