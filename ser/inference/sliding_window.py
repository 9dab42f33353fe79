"""Predict emotions in overlapping windows of a signal, with smoothing.

Files, pipes and microphones use the same `SlidingWindowPredictor`, so a stream and a file of the same samples have the
same predictions. Memory use does not depend on the duration.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from ser.audio.types import Waveform
from ser.audio.vad import FRAME_SECONDS, MIN_SPEECH_SECONDS, EnergyVad, Loud, Segment, frame_levels_db
from ser.inference.model import UNCERTAIN, Model
from ser.utils.errors import UserError

Probabilities = npt.NDArray[np.float64]

MIN_WINDOW_SPEECH_SECONDS = 0.3
"""Windows with less speech have no prediction, nor do windows whose last hop has less than `MIN_SPEECH_SECONDS`."""
TIME_DECIMALS = 4


@dataclass(frozen=True)
class WindowSettings:
    """Length, hop and smoothing of windows.

    Attributes
    ----------
    window_seconds : float
        Window length; the first windows are shorter.
    hop_seconds : float
        Hop length: distance between the ends of successive windows.
    smoothing : float
        Weight of the previous windows in exponential smoothing, 0 (none) to below 1.
    """

    window_seconds: float = 3.0
    hop_seconds: float = 1.0
    smoothing: float = 0.5

    def __post_init__(self) -> None:
        _validate(vars(self))

    @classmethod
    def from_options(cls, *, window: float, hop: float, smoothing: float, prefix: str = "") -> Self:
        """Create settings from options; errors name the options, with `prefix` in front."""
        _validate({f"{prefix}window": window, f"{prefix}hop": hop, f"{prefix}smoothing": smoothing})
        return cls(window_seconds=window, hop_seconds=hop, smoothing=smoothing)


def _validate(values: Mapping[str, float]) -> None:
    """Validate a window, a hop and a smoothing, in this order, given by their names in errors."""
    (window_name, window), (hop_name, hop), (smoothing_name, smoothing) = values.items()
    for name, value in ((window_name, window), (hop_name, hop)):
        n_frames = value / FRAME_SECONDS
        if not (0.1 <= value <= 60 and abs(n_frames - round(n_frames)) < 1e-6):
            raise UserError(f"{name}: found {value:g}; expected 0.1 to 60 seconds, in steps of {FRAME_SECONDS:g}.")
    if not 0 <= smoothing < 1:
        raise UserError(f"{smoothing_name}: found {smoothing:g}; expected at least 0 and less than 1, such as 0.5.")
    if hop > window:
        raise UserError(f"{hop_name}: found {hop:g}; expected at most {window_name} ({window:g}).")


class _AsDict:
    probabilities: Mapping[str, float]

    def as_dict(self) -> dict[str, object]:
        """Convert to a dictionary of plain values."""
        return {**vars(self), "probabilities": dict(self.probabilities)}


@dataclass(frozen=True)
class WindowPrediction(_AsDict):
    """Prediction for a window.

    Attributes
    ----------
    start, end : float
        Position in seconds.
    speech : float
        Seconds of speech in the window.
    label, confidence, probabilities
        The most likely emotion, its probability, and the calibrated and smoothed probability of each emotion; None,
        None and empty without speech.
    """

    start: float
    end: float
    speech: float
    label: str | None
    confidence: float | None
    probabilities: Mapping[str, float]


@dataclass(frozen=True)
class Summary(_AsDict):
    """Prediction for a whole signal: the mean over its windows before smoothing; durations in seconds."""

    seconds: float
    speech: float
    label: str | None
    confidence: float | None
    probabilities: Mapping[str, float]


class SlidingWindowPredictor:
    """Predict the windows of one signal, which arrives in blocks.

    Attributes
    ----------
    segments : list of Segment
        Speech segments that have ended.
    """

    def __init__(self, model: Model, settings: WindowSettings) -> None:
        self._model, self._smoothing = model, settings.smoothing
        self._hop_length = round(model.rate * settings.hop_seconds)
        self._window_length = round(model.rate * settings.window_seconds)
        self._n_frames = round(settings.window_seconds / FRAME_SECONDS)
        self._vad = EnergyVad()
        self._signal: Waveform = np.empty(0, dtype=np.float32)
        self._speech: Loud = np.empty(0, dtype=bool)
        self._smoothed: Probabilities | None = None
        self._sum: Probabilities = np.zeros(len(model.labels))
        self._n_samples, self._n_predictions, self._n_speech_frames = 0, 0, 0
        self.segments: list[Segment] = []

    def windows(self, blocks: Iterable[Waveform]) -> Iterator[WindowPrediction]:
        """Predict each window as soon as its last sample has arrived.

        Parameters
        ----------
        blocks : iterable of ndarray of shape (n_samples,)
            Consecutive blocks of the signal, of any length, at the model's sample rate.

        Yields
        ------
        WindowPrediction
            One per hop, and one for the rest at the end.
        """
        for hop in rechunk(blocks, size=self._hop_length):
            yield self._predict_window(hop)
        self.segments.extend(self._vad.close())

    def _predict_window(self, hop: Waveform) -> WindowPrediction:
        speech, ended = self._vad.update(frame_levels_db(hop, rate=self._model.rate))
        self.segments.extend(ended)
        self._signal = np.concatenate([self._signal, hop])[-self._window_length :]
        self._speech = np.concatenate([self._speech, speech])[-self._n_frames :]
        self._n_samples += len(hop)
        self._n_speech_frames += int(speech.sum())
        end = self._n_samples / self._model.rate
        start = end - len(self._signal) / self._model.rate
        n_window, n_hop = int(self._speech.sum()), int(speech.sum())
        fields = self._fields(self._predict(n_window, n_hop))
        return WindowPrediction(round(start, TIME_DECIMALS), round(end, TIME_DECIMALS), _seconds(n_window), *fields)

    def _predict(self, n_window: int, n_hop: int) -> Probabilities | None:
        """Predict the current window, which has so many frames of speech, in the whole window and in its last hop."""
        if n_window < round(MIN_WINDOW_SPEECH_SECONDS / FRAME_SECONDS):
            self._smoothed = None  # do not smooth across a pause
            return None
        if n_hop < round(MIN_SPEECH_SECONDS / FRAME_SECONDS):
            return None
        prediction = self._model.predict((self._signal, self._model.rate))
        if prediction.label == UNCERTAIN:  # such as a click, which denoising removes
            return None
        probabilities = np.array([prediction.probabilities[name] for name in self._model.labels])
        self._sum, self._n_predictions = self._sum + probabilities, self._n_predictions + 1
        if self._smoothed is None:
            self._smoothed = probabilities
        else:
            self._smoothed = self._smoothing * self._smoothed + (1 - self._smoothing) * probabilities
        return self._smoothed

    def summary(self) -> Summary:
        """Summarize the signal received so far."""
        mean = self._sum / self._n_predictions if self._n_predictions else None
        seconds = round(self._n_samples / self._model.rate, TIME_DECIMALS)
        return Summary(seconds, _seconds(self._n_speech_frames), *self._fields(mean))

    def _fields(self, probabilities: Probabilities | None) -> tuple[str | None, float | None, Mapping[str, float]]:
        if probabilities is None:
            return None, None, {}
        labels, best = self._model.labels, int(probabilities.argmax())
        return labels[best], float(probabilities[best]), dict(zip(labels, probabilities.tolist(), strict=True))


def rechunk(blocks: Iterable[Waveform], *, size: int) -> Iterator[Waveform]:
    """Split consecutive blocks of a signal into blocks of `size` samples; the last one may be shorter."""
    pending: list[Waveform] = []
    n_pending = 0
    for block in blocks:
        pending.append(block)
        n_pending += len(block)
        if n_pending >= size:
            joined = np.concatenate(pending)
            n_complete = n_pending - n_pending % size
            yield from joined[:n_complete].reshape(-1, size)
            pending, n_pending = [joined[n_complete:]], n_pending - n_complete
    if n_pending:
        yield np.concatenate(pending)


def _seconds(n_frames: int) -> float:
    return round(n_frames * FRAME_SECONDS, 2)
