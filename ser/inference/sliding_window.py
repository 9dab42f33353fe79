"""Answers for a signal that passes by: overlapping windows, each judged as a clip of its own, and smoothed.

Files, pipes and microphones go through the same `SlidingWindowPredictor`, sample by sample in the same windows, so
that the answers of a
stream are those of the file. Memory holds one window, however long the signal is.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from ser.audio.io import AudioError
from ser.audio.types import Waveform
from ser.audio.vad import FRAME_SECONDS, MIN_SPEECH_SECONDS, EnergyVad, Loud, Segment, frame_levels_db
from ser.utils.errors import UserError

Probabilities = npt.NDArray[np.float64]
_Answer = tuple[str | None, float | None, Mapping[str, float]]
PLACES = 4
"""Digits behind the point of seconds that are written."""


class Model(Protocol):
    """What answers: `ser.load` makes one, and tests make others."""

    @property
    def emotions(self) -> Sequence[str]:
        """Its answers, in the order of its probabilities."""

    @property
    def rate(self) -> int:
        """The sample rate (Hz) that windows are handed over at."""

    def judge(self, signal: Waveform) -> Probabilities:
        """Give the calibrated probabilities, (n_emotions,), of a (n_samples,) signal at `rate`.

        Raises
        ------
        AudioError
            If there is nothing in it to judge.
        """


@dataclass(frozen=True)
class WindowSettings:
    """Which windows are judged.

    Attributes
    ----------
    window_seconds
        Their length; the first ones, which end before, are shorter.
    hop_seconds
        How far apart their ends are.
    smoothing
        The share of the answer before in an answer, 0 (none) to below 1.
    speech_seconds
        A window with less speech gets no answer, nor does one in whose last hop nobody speaks.
    """

    window_seconds: float = 3.0
    hop_seconds: float = 1.0
    smoothing: float = 0.5
    speech_seconds: float = 0.3

    def __post_init__(self) -> None:
        names = ("window_seconds", "hop_seconds", "smoothing")
        _check(dict(zip(names, (self.window_seconds, self.hop_seconds, self.smoothing), strict=True)))

    @classmethod
    def of_options(cls, *, window: float, hop: float, smoothing: float, mark: str = "") -> Self:
        """Make a layout of options, and name them in errors as they were typed: `mark` stands before each name."""
        _check({f"{mark}window": window, f"{mark}hop": hop, f"{mark}smoothing": smoothing})
        return cls(window_seconds=window, hop_seconds=hop, smoothing=smoothing)


def _check(values: Mapping[str, float]) -> None:
    """Refuse what makes no sense of a window, a hop and a smoothing, in this order, by the names that they have."""
    (of_window, window), (of_hop, hop), (of_smoothing, smoothing) = values.items()
    _check_frames(of_window, window)
    _check_frames(of_hop, hop)
    if not 0 <= smoothing < 1:
        raise UserError(f"{of_smoothing}: found {smoothing:g}; expected at least 0 and less than 1, such as 0.5.")
    if hop > window:
        raise UserError(
            f"{of_hop}: found {hop:g}; expected at most {of_window} ({window:g}), "
            "or some of the recording would be in no window."
        )


def _check_frames(name: str, value: float) -> None:
    frames = value / FRAME_SECONDS
    if not (0.1 <= value <= 60 and abs(frames - round(frames)) < 1e-6):
        raise UserError(f"{name}: found {value:g}; expected 0.1 to 60 seconds, in steps of {FRAME_SECONDS:g}.")


class _AsDict:
    """What can be written as plain values: a dataclass of numbers, words and probabilities."""

    probabilities: Mapping[str, float]

    def as_dict(self) -> dict[str, object]:
        """Write it as plain values."""
        return {**vars(self), "probabilities": dict(self.probabilities)}


@dataclass(frozen=True)
class WindowPrediction(_AsDict):
    """A window and its answer.

    Attributes
    ----------
    start, end
        In seconds from the beginning.
    speech
        Seconds within it that stand out of the noise.
    label, confidence, probabilities
        The most likely emotion, its probability, and those of all, calibrated and smoothed over the windows before.
        Where nobody speaks: None, None and empty.
    """

    start: float
    end: float
    speech: float
    label: str | None
    confidence: float | None
    probabilities: Mapping[str, float]


@dataclass(frozen=True)
class Summary(_AsDict):
    """What a whole signal came to: the mean of its windows' answers before smoothing; all in seconds."""

    seconds: float
    speech: float
    label: str | None
    confidence: float | None
    probabilities: Mapping[str, float]


class SlidingWindowPredictor:
    """Judges a signal while it passes by; of use once."""

    def __init__(self, model: Model, layout: WindowSettings) -> None:
        self._model, self._layout = model, layout
        self._hop = round(model.rate * layout.hop_seconds)
        self._window = round(model.rate * layout.window_seconds)
        self._n_loud = round(layout.window_seconds / FRAME_SECONDS)
        self._listener = EnergyVad()
        self._signal: Waveform = np.empty(0, dtype=np.float32)
        self._loud: Loud = np.empty(0, dtype=bool)
        self._smooth: Probabilities | None = None
        self._total: Probabilities = np.zeros(len(model.emotions))
        self._n_samples, self._n_answers, self._n_speech = 0, 0, 0
        self.segments: list[Segment] = []
        """Where somebody spoke, as far as it has ended."""

    def windows(self, blocks: Iterable[Waveform]) -> Iterator[WindowPrediction]:
        """Judge every window of a signal, each as soon as its last sample is there.

        Parameters
        ----------
        blocks
            Signals of any length at the model's rate, the parts of one. How it is cut up changes nothing.

        Yields
        ------
        Window
            One for each hop, and one for what is left at the end.
        """
        for hop in rechunk(blocks, size=self._hop):
            yield self._next(hop)
        self.segments.extend(self._listener.close())

    def _next(self, hop: Waveform) -> WindowPrediction:
        loud, ended = self._listener.hear(frame_levels_db(hop, rate=self._model.rate))
        self.segments.extend(ended)
        self._signal = np.concatenate([self._signal, hop])[-self._window :]
        self._loud = np.concatenate([self._loud, loud])[-self._n_loud :]
        self._n_samples += len(hop)
        self._n_speech += int(loud.sum())
        end = self._n_samples / self._model.rate
        start = end - len(self._signal) / self._model.rate
        speech = float(self._loud.sum()) * FRAME_SECONDS
        answer = self._answer(speech=speech, now=float(loud.sum()) * FRAME_SECONDS)
        named = _named(answer, self._model.emotions)
        return WindowPrediction(round(start, PLACES), round(end, PLACES), round(speech, 2), *named)

    def _answer(self, *, speech: float, now: float) -> Probabilities | None:
        """Judge the window; `speech` are the seconds in it, and `now` those in its last hop."""
        if _less(speech, self._layout.speech_seconds):
            self._smooth = None  # what is said after a silence is not what was said before it
            return None
        found = None if _less(now, MIN_SPEECH_SECONDS) else self._judge()
        return None if found is None else self._smoothed(found)

    def _judge(self) -> Probabilities | None:
        try:
            return self._model.judge(self._signal)
        except AudioError:  # silence with a click, say, of which nothing is left when its noise is taken away
            return None

    def _smoothed(self, found: Probabilities) -> Probabilities:
        self._total, self._n_answers = self._total + found, self._n_answers + 1
        share = self._layout.smoothing
        self._smooth = found if self._smooth is None else share * self._smooth + (1 - share) * found
        return self._smooth

    def summary(self) -> Summary:
        """Say what the signal came to so far."""
        mean = self._total / self._n_answers if self._n_answers else None
        seconds, speech = self._n_samples / self._model.rate, self._n_speech * FRAME_SECONDS
        return Summary(round(seconds, PLACES), round(speech, 2), *_named(mean, self._model.emotions))


def rechunk(blocks: Iterable[Waveform], *, size: int) -> Iterator[Waveform]:
    """Cut a signal that comes in blocks into parts of a size, and what is left at the end."""
    waiting: list[Waveform] = []
    n_waiting = 0
    for block in blocks:
        waiting.append(block)
        n_waiting += len(block)
        if n_waiting >= size:
            joined = np.concatenate(waiting)
            whole = n_waiting - n_waiting % size
            yield from joined[:whole].reshape(-1, size)
            waiting, n_waiting = [joined[whole:]], n_waiting - whole
    if n_waiting:
        yield np.concatenate(waiting)


def _less(seconds: float, least: float) -> bool:
    return seconds < least - FRAME_SECONDS / 2  # sums of frames are not exact


def _named(
    found: Probabilities | None, emotions: Sequence[str]
) -> tuple[str | None, float | None, Mapping[str, float]]:
    if found is None:
        return None, None, {}
    best = int(found.argmax())
    return emotions[best], float(found[best]), dict(zip(emotions, found.tolist(), strict=True))
