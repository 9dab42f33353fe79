"""Predict emotions in overlapping windows of a signal, with smoothing.

Files, pipes and microphones use the same `SlidingWindowPredictor`, so a stream and a file of the same samples have the
same predictions. Memory use does not depend on the duration.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

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
    """Length, hop and smoothing of windows; invalid values raise a `UserError`.

    Attributes
    ----------
    window : float
        Window length in seconds; the first windows are shorter.
    hop : float
        Hop length in seconds: distance between the ends of successive windows.
    smoothing : float
        Weight of the previous windows in exponential smoothing, 0 (none) to below 1.
    """

    window: float = 3.0
    hop: float = 1.0
    smoothing: float = 0.5

    def __post_init__(self) -> None:
        for name, value in (("window", self.window), ("hop", self.hop)):
            n_frames = value / FRAME_SECONDS
            if not (0.1 <= value <= 60 and abs(n_frames - round(n_frames)) < 1e-6):
                raise UserError(f"{name}: found {value:g}; expected 0.1 to 60 seconds, in steps of {FRAME_SECONDS:g}.")
        if not 0 <= self.smoothing < 1:
            raise UserError(f"smoothing: found {self.smoothing:g}; expected at least 0 and less than 1, such as 0.5.")
        if self.hop > self.window:
            raise UserError(f"hop: found {self.hop:g}; expected at most the window ({self.window:g}).")


@dataclass(frozen=True)
class WindowPrediction:
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
class Summary:
    """Prediction for a whole signal, which equals `Model.predict`; durations in seconds."""

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
        self._hop_length = round(model.rate * settings.hop)
        self._window_length = round(model.rate * settings.window)
        self._n_frames = round(settings.window / FRAME_SECONDS)
        self._vad = EnergyVad()
        self._signal: Waveform = np.empty(0, dtype=np.float32)
        self._speech: Loud = np.empty(0, dtype=bool)
        self._smoothed: Probabilities | None = None
        self._recording = model.start_recording()
        self._n_samples, self._n_speech_frames = 0, 0
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
            self._recording.update(hop)  # takes longer at the end of a passage, so after the prediction of the window
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
        if self._smoothed is None:
            self._smoothed = probabilities
        else:
            self._smoothed = self._smoothing * self._smoothed + (1 - self._smoothing) * probabilities
        return self._smoothed

    def summary(self) -> Summary:
        """End the signal and summarize it."""
        prediction = self._recording.close()
        known = prediction.label != UNCERTAIN
        fields = (prediction.label, prediction.confidence, prediction.probabilities) if known else (None, None, {})
        seconds = round(self._n_samples / self._model.rate, TIME_DECIMALS)
        return Summary(seconds, _seconds(self._n_speech_frames), *fields)

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
