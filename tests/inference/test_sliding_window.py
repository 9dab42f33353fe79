"""Windows lie on a grid of hops, have the model's predictions, and do not depend on the blocks of the signal."""

from collections.abc import Iterator

import numpy as np
import pytest

from ser.inference.model import Prediction
from ser.inference.sliding_window import SlidingWindowPredictor, WindowPrediction, WindowSettings
from ser.utils.errors import UserError
from tests.helpers.fake_model import RATE, FakeModel, call, hertz, quiet, spoken

RAW = WindowSettings(smoothing=0)


def predict(
    signal: np.ndarray, settings: WindowSettings = RAW, *, size: int = 7000
) -> tuple[list[WindowPrediction], SlidingWindowPredictor]:
    predictor = SlidingWindowPredictor(FakeModel(), settings)
    return list(predictor.windows(blocks(signal, size))), predictor


def blocks(signal: np.ndarray, size: int) -> Iterator[np.ndarray]:
    yield from (signal[start : start + size] for start in range(0, len(signal), size))


def test_windows_end_at_each_hop_and_at_the_end() -> None:
    """The first windows are shorter, and the last one ends with the signal."""
    windows, _ = predict(spoken(300, seconds=4.5))
    assert [(w.start, w.end) for w in windows] == [(0, 1), (0, 2), (0, 3), (1, 4), (1.5, 4.5)]


def test_windows_have_the_predictions_of_the_model() -> None:
    """Each window's probabilities are those of its samples, and the label is the most likely one."""
    signal = call()
    windows, _ = predict(signal)
    for window in windows:
        if window.label is not None:
            samples = signal[round(window.start * RATE) : round(window.end * RATE)]
            assert window.probabilities["angry"] == pytest.approx(0.9 * min(hertz(samples) / 1000, 1))
            assert sum(window.probabilities.values()) == pytest.approx(1)
            assert window.confidence == max(window.probabilities.values()) == window.probabilities[window.label]
    assert [w.label for w in windows[:5]] == ["sad"] * 5
    assert windows[13].label == "angry"


def test_windows_without_speech_have_no_prediction() -> None:
    """The model is not called."""
    predictor = SlidingWindowPredictor(model := FakeModel(), RAW)
    windows = list(predictor.windows([quiet(5)]))
    assert {(w.label, w.confidence, len(w.probabilities)) for w in windows} == {(None, None, 0)}
    assert model.n_calls == 0
    assert predictor.summary().label is None


def test_smoothing_is_exponential_and_restarts_after_a_pause() -> None:
    """With a weight of 0.5 each window is the mean of the previous one and of its own prediction."""
    raw, _ = predict(call())
    smoothed, _ = predict(call(), WindowSettings(smoothing=0.5))
    previous = None
    for window, unsmoothed in zip(smoothed, raw, strict=True):
        value = unsmoothed.probabilities.get("angry")
        expected = value if previous is None or value is None else 0.5 * previous + 0.5 * value
        assert window.probabilities.get("angry") == (None if expected is None else pytest.approx(expected))
        if expected is not None or window.speech < 0.3:
            previous = expected


@pytest.mark.parametrize("size", [99, 16000, 1 << 20])
def test_block_size_does_not_matter(size: int) -> None:
    """Windows, segments and summary are equal for blocks of any size."""
    signal = call()
    expected, first = predict(signal, WindowSettings(), size=len(signal))
    windows, second = predict(signal, WindowSettings(), size=size)
    assert windows == expected
    assert second.segments == first.segments
    assert second.summary() == first.summary()


def test_summary_is_the_prediction_for_the_recording() -> None:
    """It does not depend on windows and smoothing."""
    recording = FakeModel().start_recording()
    recording.update(call())
    summary = predict(call(), WindowSettings())[1].summary()
    assert (summary.label, summary.probabilities) == ("sad", recording.close().probabilities)
    assert summary.seconds == pytest.approx(len(call()) / RATE)
    assert summary.speech == pytest.approx(6.0, abs=0.1)


def test_uncertain_windows_have_no_prediction() -> None:
    """The model may find no speech in a window that has speech according to its level."""

    class Silencing(FakeModel):
        def predict(self, recording: tuple[np.ndarray, int]) -> Prediction:
            return super().predict((0 * recording[0], recording[1]))

    windows = list(SlidingWindowPredictor(Silencing(), RAW).windows([spoken(200, seconds=2)]))
    assert [w.label for w in windows] == [None, None]


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("window", 0.05, "0.1 to 60 seconds"),
        ("hop", 0.123, "steps of 0.01"),
        ("hop", 9, "at most the window [(]3[)]"),
        ("hop", float("nan"), "0.1 to 60 seconds"),
        ("smoothing", 1.0, "less than 1"),
    ],
)
def test_invalid_settings_are_rejected(option: str, value: float, expected: str) -> None:
    """The error names the setting, the value, and what is expected."""
    with pytest.raises(UserError, match=f"^{option}: found {value:g}; expected .*{expected}"):
        WindowSettings(**{option: value})
