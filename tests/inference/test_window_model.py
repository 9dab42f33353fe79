"""A loaded model answers windows as it answers clips, and has a card for people."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ser.audio.io import AudioError
from ser.inference.window_model import WindowModel
from tests.helpers.fake_model import RATE, spoken


class Loaded:
    """What `ser.load` gives, as far as it is used."""

    labels = ("sad", "angry")

    def __init__(self, label: str) -> None:
        self.label, self.asked = label, []
        self.card = SimpleNamespace(
            preprocess=SimpleNamespace(sample_rate=RATE), model_dump=lambda **_: {"model": "fake"}
        )

    def predict(self, recording: Any) -> SimpleNamespace:
        self.asked.append(recording)
        return SimpleNamespace(label=self.label, probabilities={"sad": 0.25, "angry": 0.75}, flags=("no_speech",))


def test_a_window_is_asked_as_samples_and_their_rate() -> None:
    """Probabilities come in the order of the emotions."""
    model = WindowModel(loaded := Loaded("angry"))
    signal = spoken(200, seconds=1)
    np.testing.assert_array_equal(model.judge(signal), [0.25, 0.75])
    [(asked, rate)] = loaded.asked
    assert asked is signal
    assert (rate, model.rate, model.emotions) == (RATE, RATE, ("sad", "angry"))
    assert model.card == {"model": "fake"}


def test_where_no_voice_is_heard_there_is_nothing_to_judge() -> None:
    """The reason is the model's flag."""
    with pytest.raises(AudioError, match="nothing to judge: no_speech"):
        WindowModel(Loaded("uncertain")).judge(spoken(200, seconds=1))
