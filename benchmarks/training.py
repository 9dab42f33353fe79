"""Seconds an epoch of the network's training, beside plain Keras: clips padded to the longest, and masked.

    python -m benchmarks.training

Both train the default network of params.yaml, without validation, on made-up clips as long as those of RAVDESS, on one
thread each, in this order in processes of their own; the ratio is what counts. Blending and masking of features are on
in ours and not in the plain one.
"""

import json
import sys
from typing import Any

import numpy as np

from benchmarks import measuring
from ser import batches, lstm
from ser.batches import Buckets, Examples
from ser.params import TrainLstm, read_params

CLIPS, BANDS, CLASSES, EPOCHS = 2400, 64, 8, 2
SECONDS = (1.95, 0.5)
"""Mean and standard deviation of RAVDESS's clips after trimming, copies included; below, the shortest and longest."""
SHORTEST, LONGEST = 1.0, 4.6


def clips(hop_seconds: float) -> Examples:
    """Make clips of noise: lengths are what matters here."""
    rng = np.random.default_rng(0)
    seconds = rng.normal(*SECONDS, size=CLIPS).clip(SHORTEST, LONGEST)
    seconds[0] = LONGEST
    frames = [rng.standard_normal((round(length / hop_seconds), BANDS), dtype=np.float32) for length in seconds]
    return Examples(frames, rng.integers(0, CLASSES, size=CLIPS))


def model_of(settings: TrainLstm, examples: Examples) -> Any:
    """Build and compile the network."""
    import keras

    mean, variance = (values.tolist() for values in batches.moments(examples.frames))
    model = lstm.build(settings, mean=mean, variance=variance, n_classes=CLASSES)
    model.compile(keras.optimizers.AdamW(settings.learning_rate), "categorical_crossentropy")
    return model


def ours(settings: TrainLstm, examples: Examples, *, hop_seconds: float) -> Any:
    """Train as the pipeline does."""
    dataset = lstm.training_batches(
        examples,
        settings,
        blank=np.zeros(BANDS, dtype=np.float32),
        buckets=Buckets.of(settings, hop_seconds=hop_seconds),
        seed=1,
        n_classes=CLASSES,
    )
    model = model_of(settings, examples)
    return lambda: model.fit(dataset, verbose=0, shuffle=False)


def plain(settings: TrainLstm, examples: Examples, *, hop_seconds: float) -> Any:
    """Train as tutorials do: one array, padded by zeros to the longest clip, and a mask for the recurrent layer."""
    import keras

    longest = max(map(len, examples.frames))
    padded = np.stack([np.pad(clip, ((0, longest - len(clip)), (0, 0))) for clip in examples.frames])
    targets = np.eye(CLASSES, dtype=np.float32)[examples.labels]
    model = model_of(settings, examples)
    model = keras.models.clone_model(model, clone_function=_with_mask(model))
    model.compile(keras.optimizers.AdamW(settings.learning_rate), "categorical_crossentropy")
    return lambda: model.fit(padded, targets, batch_size=settings.batch_size, verbose=0)


def _with_mask(model: Any) -> Any:
    """Give the recurrent layer of a clone a mask: what it hides makes no difference to the time that it costs."""
    import keras

    class Masked(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self, layer: Any) -> None:
            super().__init__(name=layer.name)
            self.inner = layer.__class__.from_config(layer.get_config())

        def call(self, frames: Any, training: bool = False, mask: Any = None) -> Any:
            heard = keras.ops.any(keras.ops.not_equal(frames, 0), axis=-1)
            return 1.0 * self.inner(frames, mask=heard, training=training)  # the product has no mask for later layers

    def clone(layer: Any) -> Any:
        recurrent = isinstance(layer, keras.layers.Bidirectional | keras.layers.LSTM)
        return Masked(layer) if recurrent else layer.__class__.from_config(layer.get_config())

    return clone


VARIANTS = {"ours": ours, "plain": plain}


def measure(variant: str) -> dict[str, float]:
    """Train once to warm up, and measure the epochs after it."""
    params = read_params()
    lstm.set_up(1)
    examples = clips(params.features.hop_seconds)
    epoch = VARIANTS[variant](params.train_lstm, examples, hop_seconds=params.features.hop_seconds)
    epoch()
    seconds = min(measuring.timed(epoch) for _ in range(EPOCHS))
    return {"seconds": seconds, "megabytes": measuring.peak_megabytes()}


def main() -> None:
    """Measure both, and write how they compare."""
    found = {variant: measuring.in_a_process("benchmarks.training", variant) for variant in VARIANTS}
    lines = [
        f"One epoch of the default network over {CLIPS} clips as long as RAVDESS's, `python -m benchmarks.training`.",
        "",
        "| | seconds | clips a second | peak MB |",
        "|---|---|---|---|",
        *(
            f"| {name} | {one['seconds']:.1f} | {CLIPS / one['seconds']:.0f} | {one['megabytes']:.0f} |"
            for name, one in found.items()
        ),
        "",
        f"Ours is {found['plain']['seconds'] / found['ours']['seconds']:.2f} times as fast.",
    ]
    measuring.write_section("Training", lines)
    print("\n".join(lines))  # noqa: T201


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1])))  # noqa: T201
    else:
        main()
