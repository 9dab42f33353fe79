"""Time an epoch of the network's training, compared with plain Keras (clips padded to the longest one, and masked).

    python -m benchmarks.training

Both variants train the default network of params.yaml, without validation, on synthetic clips as long as those of
RAVDESS, in separate processes on one core. The pipeline's variant includes mixup, SpecAugment, gradient clipping and
averaged weights, the baseline does not.
"""

import os
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks import timing
from benchmarks.plain_keras import pad, with_masking
from ser.features.columns import columns_of, feature_names
from ser.features.functionals import functional_names
from ser.models import trainer
from ser.models.batching import BranchInputs, Examples, LengthBuckets
from ser.models.network import BRANCHES, build_model, feature_means
from ser.params import Params, TrainLstm, read_params

N_CLIPS, N_CLASSES, N_EPOCHS = 2400, 8, 2
DURATION_MEAN, DURATION_STD = 1.95, 0.5
"""In seconds, of RAVDESS's clips after trimming, with augmented ones."""
MIN_DURATION, MAX_DURATION = 1.0, 4.6


def make_clips(params: Params) -> Examples:
    """Make clips of noise with realistic durations."""
    settings, rng = params.train_lstm, np.random.default_rng(0)
    seconds = rng.normal(DURATION_MEAN, DURATION_STD, size=N_CLIPS).clip(MIN_DURATION, MAX_DURATION)
    seconds[0] = MAX_DURATION
    names = feature_names(params.features)
    columns = columns_of(names, [*settings.spectral_features, *settings.prosody_features])
    frame_names = [names[column] for column in columns]
    vector_names = functional_names(params.features) if settings.functionals_units else []
    shapes = [(round(duration / params.features.hop_seconds), len(frame_names)) for duration in seconds]
    frames = [rng.standard_normal(shape, dtype=np.float32) for shape in shapes]
    functionals = rng.standard_normal((N_CLIPS, len(vector_names)), dtype=np.float32) if vector_names else None
    branch_inputs = BranchInputs.from_names(frame_names, vector_names, settings)
    return Examples(frames, rng.integers(0, N_CLASSES, size=N_CLIPS), functionals, branch_inputs)


def pipeline(settings: TrainLstm, examples: Examples, *, hop_seconds: float) -> Any:
    """Prepare an epoch as the pipeline trains it: a function that runs it."""
    model = build_model(examples, settings, n_classes=N_CLASSES)
    buckets, fill_value = LengthBuckets.from_settings(settings, hop_seconds=hop_seconds), feature_means(model)
    dataset = trainer.training_batches(
        examples, settings, fill_value=fill_value, buckets=buckets, seed=1, n_classes=N_CLASSES
    )
    learner = trainer.build_training_model(model, settings, steps=len(dataset) * (1 + N_EPOCHS))
    dataset = dataset.map(lambda inputs, targets: (inputs, (targets,) * len(learner.outputs)))
    return lambda: learner.fit(dataset, verbose=0, shuffle=False)


def baseline(settings: TrainLstm, examples: Examples, *, hop_seconds: float) -> Any:
    """Prepare an epoch with one array, padded to the longest clip, and masks: a function that runs it."""
    import keras

    network = build_model(examples, settings, n_classes=N_CLASSES)
    fill_value = feature_means(network)
    frames = pad(examples.frames, length=max(map(len, examples.frames)), fill_value=fill_value)
    inputs = [frames] if examples.functionals is None else [frames, examples.functionals]
    model = with_masking(network, settings, fill_value=fill_value)
    branches = [keras.layers.Softmax()(layer.output) for layer in model.layers if layer.name in BRANCHES]
    learner = keras.Model(model.inputs, branches)
    learner.compile(keras.optimizers.AdamW(settings.learning_rate), ["categorical_crossentropy"] * len(branches))
    targets = [np.eye(N_CLASSES, dtype=np.float32)[examples.labels]] * len(branches)
    return lambda: learner.fit(inputs, targets, batch_size=settings.batch_size, verbose=0)


VARIANTS = {"pipeline": pipeline, "baseline": baseline}


def count_flops(settings: TrainLstm, examples: Examples, *, hop_seconds: float) -> float:
    """Count the floating-point operations of an epoch's matrix products; the backward pass has twice as many."""
    import keras

    network = build_model(examples, settings, n_classes=N_CLASSES)
    sizes = {
        layer: sum(np.prod(w.shape) for w in layer.trainable_weights if len(w.shape) > 1) for layer in network.layers
    }
    sizes = {layer: size for layer, size in sizes.items() if size}
    probe = keras.Model(network.inputs, [layer.output for layer in sizes])
    lengths = LengthBuckets.from_settings(settings, hop_seconds=hop_seconds).lengths(examples.frames)
    total = 0.0
    for length, count in zip(*np.unique(lengths, return_counts=True), strict=True):
        shapes = ([1, *(size or int(length) for size in tensor.shape[1:])] for tensor in network.inputs)
        outputs = probe.predict_on_batch([np.zeros(shape, np.float32) for shape in shapes])
        # A layer uses its kernels once per frame of its output, or once per clip.
        uses = [output.shape[1] if output.ndim == 3 else 1 for output in outputs]
        total += int(count) * sum(2 * size * n for size, n in zip(sizes.values(), uses, strict=True))
    return 3 * total


def peak_flops() -> float:
    """Measure the floating-point operations per second of a product of two large matrices on one thread."""
    a, b = (np.random.default_rng(0).standard_normal((2048, 2048), dtype=np.float32) for _ in range(2))
    with threadpool_limits(1):
        seconds = min(timing.time_call(lambda: a @ b) for _ in range(5))
    return 2 * 2048**3 / seconds


def measure(variant: str) -> dict[str, float]:
    """Train an epoch to warm up, and time the following ones."""
    params = read_params()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    trainer.make_deterministic(1)
    examples, hop_seconds = make_clips(params), params.features.hop_seconds
    epoch = VARIANTS[variant](params.train_lstm, examples, hop_seconds=hop_seconds)
    epoch()
    seconds = min(timing.time_call(epoch) for _ in range(N_EPOCHS))
    result = {"seconds": seconds, "megabytes": timing.memory_mb()}
    flops = count_flops(params.train_lstm, examples, hop_seconds=hop_seconds)
    return result | {"flops": flops, "peak_flops": peak_flops()}


def main() -> None:
    """Measure both variants, and write a table."""
    results = {variant: timing.run_in_process("benchmarks.training", variant) for variant in VARIANTS}
    lines = [
        f"One epoch of the default network, {N_CLIPS} clips with the durations of RAVDESS, one core, "
        "`python -m benchmarks.training`.",
        "",
        "| | seconds | clips per second | peak MB |",
        "|---|---|---|---|",
    ]
    for variant, result in results.items():
        seconds = result["seconds"]
        lines.append(f"| {variant} | {seconds:.1f} | {N_CLIPS / seconds:.0f} | {result['megabytes']:.0f} |")
    pipeline, baseline = results["pipeline"], results["baseline"]
    speed = pipeline["flops"] / pipeline["seconds"]
    text = (
        f"Speed-up: {baseline['seconds'] / pipeline['seconds']:.2f}. The matrix products of the pipeline are "
        f"{pipeline['flops'] / 1e9:.0f} GFLOP at {speed / 1e9:.0f} GFLOP/s: {speed / pipeline['peak_flops']:.0%} of "
        f"the {pipeline['peak_flops'] / 1e9:.0f} GFLOP/s of a product of large matrices."
    )
    timing.write_section("Training", [*lines, "", text])


if __name__ == "__main__":
    timing.run_variant(measure, main)
