"""Windows lie on a grid of hops, their answers are the model's, and how a signal is cut up changes nothing."""

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from ser.inference.sliding_window import SlidingWindowPredictor, Summary, WindowPrediction, WindowSettings, rechunk
from ser.utils.errors import UserError
from tests.helpers.fake_model import EMOTIONS, RATE, FakeModel, call, hertz, quiet, spoken

RAW = WindowSettings(smoothing=0)


def judged(
    signal: np.ndarray, layout: WindowSettings = RAW, *, size: int = 7000
) -> tuple[list[WindowPrediction], SlidingWindowPredictor]:
    watch = SlidingWindowPredictor(FakeModel(), layout)
    return list(watch.windows(cut(signal, size))), watch


def cut(signal: np.ndarray, size: int) -> Iterator[np.ndarray]:
    yield from (signal[start : start + size] for start in range(0, len(signal), size))


def test_windows_end_at_every_hop_and_at_the_end() -> None:
    """The first are shorter than a window, so that an answer comes after one hop; the last ends with the signal."""
    windows, _ = judged(spoken(300, seconds=4.5))
    assert [(w.start, w.end) for w in windows] == [(0, 1), (0, 2), (0, 3), (1, 4), (1.5, 4.5)]


def test_answers_are_the_models() -> None:
    """Each window's probabilities are what the model says of these very samples, and the label is the best of them."""
    signal = call()
    windows, _ = judged(signal)
    for window in windows:
        if window.label is not None:
            part = signal[round(window.start * RATE) : round(window.end * RATE)]
            assert window.probabilities["angry"] == pytest.approx(0.9 * min(hertz(part) / 1000, 1))
            assert sum(window.probabilities.values()) == pytest.approx(1)
            assert window.confidence == max(window.probabilities.values()) == window.probabilities[window.label]
    assert [w.label for w in windows[:5]] == ["sad"] * 5
    assert windows[13].label == "angry"


def test_nobody_speaks_nobody_answers() -> None:
    """A window without speech has no label, and the model is not asked."""
    watch = SlidingWindowPredictor(model := FakeModel(), RAW)
    windows = list(watch.windows([quiet(5)]))
    assert {(w.label, w.confidence, len(w.probabilities)) for w in windows} == {(None, None, 0)}
    assert model.asked == []
    assert watch.summary().label is None


def test_smoothing_takes_a_share_of_the_answer_before() -> None:
    """With a share of 0.5 a change of mind comes by halves, and a silence makes all forget."""
    raw, _ = judged(call())
    smooth, _ = judged(call(), WindowSettings(smoothing=0.5))
    before = None
    for window, found in zip(smooth, raw, strict=True):
        now = found.probabilities.get("angry")
        expected = now if before is None or now is None else 0.5 * before + 0.5 * now
        assert window.probabilities.get("angry") == (None if expected is None else pytest.approx(expected))
        if expected is not None or window.speech < 0.3:
            before = expected


@pytest.mark.parametrize("size", [1, 160, 999, 16000, 1 << 20])
def test_pieces_of_any_size_give_the_same_answers(size: int) -> None:
    """A pipe hands over what it has: windows, segments and summary are equal to the last bit."""
    signal = call()[: 6 * RATE] if size == 1 else call()
    whole, first = judged(signal, WindowSettings(), size=len(signal))
    pieces, second = judged(signal, WindowSettings(), size=size)
    assert pieces == whole
    assert second.segments == first.segments
    assert second.summary() == first.summary()


def test_the_summary_is_the_mean_of_the_windows() -> None:
    """It counts windows with an answer, before smoothing."""
    windows, _ = judged(call())
    _, watch = judged(call(), WindowSettings())
    summary = watch.summary()
    for name in EMOTIONS:
        mean = np.mean([w.probabilities[name] for w in windows if w.label])
        assert summary.probabilities[name] == pytest.approx(mean)
    assert summary.seconds == pytest.approx(len(call()) / RATE)
    assert summary.speech == pytest.approx(6.0, abs=0.1)


def test_a_window_of_which_nothing_is_left_has_no_answer() -> None:
    """What the model refuses as silent ends no stream."""

    class Deaf(FakeModel):
        def judge(self, signal: np.ndarray) -> np.ndarray:
            return super().judge(0 * signal)

    windows = list(SlidingWindowPredictor(Deaf(), RAW).windows([spoken(200, seconds=2)]))
    assert [w.label for w in windows] == [None, None]


def test_memory_does_not_grow() -> None:
    """Ten minutes take the memory of one window, not more than half a minute does."""

    def peak(seconds: int) -> int:
        hop = spoken(300, seconds=1)
        tracemalloc.start()
        for _ in SlidingWindowPredictor(FakeModel(), WindowSettings()).windows(hop for _ in range(seconds)):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    short, long = peak(30), peak(600)
    assert long < 1.2 * short + 50_000


def test_hops_are_whole_but_for_the_last() -> None:
    """Nothing is lost or said twice."""
    parts = list(rechunk(cut(np.arange(1003, dtype=np.float32), 37), size=100))
    assert [len(part) for part in parts] == [100] * 10 + [3]
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(1003))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"window_seconds": 0.05}, "window_seconds: found 0.05"),
        ({"hop_seconds": 0.123}, "hop_seconds: found 0.123"),
        ({"window_seconds": 1, "hop_seconds": 2}, "hop_seconds: found 2; expected at most window_seconds"),
        ({"smoothing": 1.0}, "smoothing: found 1"),
        ({"hop_seconds": float("nan")}, "hop_seconds: found nan"),
    ],
)
def test_layouts_that_make_no_sense_are_refused(wrong: dict[str, float], said: str) -> None:
    """The message names the option, what was found and what is expected."""
    with pytest.raises(UserError, match=said):
        WindowSettings(**wrong)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"window": 0}, "--window: found 0; expected 0.1"),
        ({"hop": 0.123}, "--hop: found 0.123"),
        ({"hop": 9}, "--hop: found 9; expected at most --window [(]3[)]"),
        ({"smoothing": 1}, "--smoothing: found 1"),
    ],
)
def test_options_are_named_as_they_were_typed(wrong: dict[str, float], said: str) -> None:
    """Who typed an option need not know what it is called inside."""
    with pytest.raises(UserError, match=f"^{said}"):
        WindowSettings.of_options(**{"window": 3, "hop": 1, "smoothing": 0.5} | wrong, mark="--")


def test_windows_and_their_summary_are_written_alike() -> None:
    """By the same code, and what is written may be changed without changing the answer."""
    windows, watch = judged(spoken(300, seconds=2))
    assert WindowPrediction.as_dict is Summary.as_dict
    for answer in (windows[0], watch.summary()):
        written = answer.as_dict()
        assert written == {**vars(answer), "probabilities": dict(answer.probabilities)}
        assert written["probabilities"] is not answer.probabilities
