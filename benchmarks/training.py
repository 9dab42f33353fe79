"""Seconds an epoch of the network's training, beside plain Keras: clips padded to the longest, and masked.

    python -m benchmarks.training

Both train the default network of params.yaml, without validation, on made-up clips as long as those of RAVDESS, on one
core each, in this order in processes of their own; the ratio is what counts. Blending and masking of features, cut
gradients and averaged weights are on in ours and not in the plain one. What the processor could do at best is a
product of large matrices on one thread.
"""

import json
import os
import sys
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks import measuring
from benchmarks.plain_keras import masked, padded
from ser.features.columns import columns_of, feature_names
from ser.features.functionals import functional_names
from ser.models import trainer
from ser.models.batching import BranchInputs, Examples, LengthBuckets
from ser.models.network import BRANCHES, build_from_data, feature_means
from ser.params import Params, TrainLstm, read_params

CLIPS, CLASSES, EPOCHS = 2400, 8, 2
SECONDS = (1.95, 0.5)
"""Mean and standard deviation of RAVDESS's clips after trimming, copies included; below, the shortest and longest."""
SHORTEST, LONGEST = 1.0, 4.6


def clips(params: Params) -> Examples:
    """Make clips of noise: lengths are what matters here."""
    settings, rng = params.train_lstm, np.random.default_rng(0)
    seconds = rng.normal(*SECONDS, size=CLIPS).clip(SHORTEST, LONGEST)
    seconds[0] = LONGEST
    measured = feature_names(params.features)
    heard = [
        measured[column] for column in columns_of(measured, [*settings.spectral_features, *settings.prosody_features])
    ]
    beside = functional_names(params.features) if settings.functionals_units else []
    frames = [
        rng.standard_normal((round(length / params.features.hop_seconds), len(heard)), dtype=np.float32)
        for length in seconds
    ]
    functionals = rng.standard_normal((CLIPS, len(beside)), dtype=np.float32) if beside else None
    seen = BranchInputs.among(heard, beside, settings)
    return Examples(frames, rng.integers(0, CLASSES, size=CLIPS), functionals, seen=seen)


def ours(settings: TrainLstm, examples: Examples, *, hop_seconds: float) -> Any:
    """Train as the pipeline does."""
    model = build_from_data(examples, settings, n_classes=CLASSES)
    dataset = trainer.training_batches(
        examples,
        settings,
        blank=feature_means(model),
        buckets=LengthBuckets.of(settings, hop_seconds=hop_seconds),
        seed=1,
        n_classes=CLASSES,
    )
    learner = trainer.build_training_model(model, settings, steps=len(dataset) * (1 + EPOCHS))
    dataset = trainer.replicate_targets(dataset, learner)
    return lambda: learner.fit(dataset, verbose=0, shuffle=False)


def plain(settings: TrainLstm, examples: Examples, *, hop_seconds: float) -> Any:
    """Train as tutorials do: one array, padded to the longest clip, and a mask for the recurrent layers."""
    import keras

    network = build_from_data(examples, settings, n_classes=CLASSES)
    blank = feature_means(network)
    frames = padded(examples.frames, length=max(map(len, examples.frames)), blank=blank)
    inputs = [frames] if examples.functionals is None else [frames, examples.functionals]
    model = masked(network, settings, blank=blank)
    branches = [keras.layers.Softmax()(layer.output) for layer in model.layers if layer.name in BRANCHES]
    learner = keras.Model(model.inputs, branches)
    learner.compile(keras.optimizers.AdamW(settings.learning_rate), ["categorical_crossentropy"] * len(branches))
    targets = [np.eye(CLASSES, dtype=np.float32)[examples.labels]] * len(branches)
    return lambda: learner.fit(inputs, targets, batch_size=settings.batch_size, verbose=0)


def operations(settings: TrainLstm, examples: Examples, *, hop_seconds: float) -> float:
    """Count the multiplications and additions of an epoch's matrix products; the backward pass has two for each."""
    import keras

    network = build_from_data(examples, settings, n_classes=CLASSES)
    sizes = {
        layer: sum(np.prod(w.shape) for w in layer.trainable_weights if len(w.shape) > 1) for layer in network.layers
    }
    sizes = {layer: size for layer, size in sizes.items() if size}
    probe = keras.Model(network.inputs, [layer.output for layer in sizes])
    lengths = LengthBuckets.of(settings, hop_seconds=hop_seconds).lengths(examples.frames)
    total = 0.0
    for length, count in zip(*np.unique(lengths, return_counts=True), strict=True):
        shapes = ([1, *(size or int(length) for size in given.shape[1:])] for given in network.inputs)
        made = probe.predict_on_batch([np.zeros(shape, np.float32) for shape in shapes])
        # A layer's kernels are used once for each frame that it makes, or once a clip.
        uses = [layer.shape[1] if layer.ndim == 3 else 1 for layer in made]
        total += int(count) * sum(2 * size * often for size, often in zip(sizes.values(), uses, strict=True))
    return 3 * total


def fastest() -> float:
    """Measure the operations a second of a product of two large matrices on one thread."""
    a, b = (np.random.default_rng(0).standard_normal((2048, 2048), dtype=np.float32) for _ in range(2))
    with threadpool_limits(1):
        seconds = min(measuring.timed(lambda: a @ b) for _ in range(5))
    return 2 * 2048**3 / seconds


VARIANTS = {"ours": ours, "plain": plain}


def measure(variant: str) -> dict[str, float]:
    """Train once to warm up, and measure the epochs after it."""
    params = read_params()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    trainer.make_deterministic(1)
    examples = clips(params)
    epoch = VARIANTS[variant](params.train_lstm, examples, hop_seconds=params.features.hop_seconds)
    epoch()
    seconds = min(measuring.timed(epoch) for _ in range(EPOCHS))
    found = {"seconds": seconds, "megabytes": measuring.peak_megabytes()}
    needed = operations(params.train_lstm, examples, hop_seconds=params.features.hop_seconds)
    return found | {"operations": needed, "fastest": fastest()}


def _limit(ours: dict[str, float]) -> str:
    reached = ours["operations"] / ours["seconds"]
    return (
        f"Its matrix products are {ours['operations'] / 1e9:.0f} GFLOP, so it runs at {reached / 1e9:.0f} GFLOP/s: "
        f"{reached / ours['fastest']:.0%} of the {ours['fastest'] / 1e9:.0f} that a product of large matrices reaches."
    )


def main() -> None:
    """Measure both, and write how they compare."""
    found = {variant: measuring.in_a_process("benchmarks.training", variant) for variant in VARIANTS}
    lines = [
        f"One epoch of the default network over {CLIPS} clips as long as RAVDESS's, on one core, "
        "`python -m benchmarks.training`.",
        "",
        "| | seconds | clips a second | peak MB |",
        "|---|---|---|---|",
        *(
            f"| {name} | {one['seconds']:.1f} | {CLIPS / one['seconds']:.0f} | {one['megabytes']:.0f} |"
            for name, one in found.items()
        ),
        "",
        f"Ours is {found['plain']['seconds'] / found['ours']['seconds']:.2f} times as fast. {_limit(found['ours'])}",
    ]
    measuring.write_section("Training", lines)
    print("\n".join(lines))  # noqa: T201


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1])))  # noqa: T201
    else:
        main()
