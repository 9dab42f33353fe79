"""Compare the pipeline's training with plain Keras on validation clips: the effect of its optimizations on UAR.

    .venv/bin/dvc exp run -S 'corpora=[ravdess]' -S split.fold_table=emobox -S split.val_fraction=0.25 split    # once
    .venv/bin/python -m benchmarks.plain_keras --folds 1 --folds 2

Both variants have the same layers, settings, seed, mixup and SpecAugment. The baseline draws each batch from all clips,
pads them to the longest clip, and masks the padding in recurrent layers. Test clips are not read.
"""

import time
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer

from benchmarks import timing
from benchmarks.model_selection import fit_fold
from ser.evaluation import bootstrap, significance
from ser.features.columns import Array
from ser.models import batching, trainer
from ser.models import dataset as training_data
from ser.models.batching import Inputs
from ser.models.cross_validation import Probabilities
from ser.models.dataset import Dataset
from ser.models.network import build_model, feature_means
from ser.params import Params, TrainLstm, read_params
from ser.predictions import table as prediction_table
from ser.utils import seeding
from ser.utils.errors import handle_user_errors
from ser.utils.parallel import map_tasks, n_workers

VARIANTS = ("pipeline", "baseline")


def with_masking(model: Any, settings: TrainLstm, *, fill_value: Array) -> Any:
    """Copy a network with masks in its recurrent layers: of frames that equal (n_features,) `fill_value`."""
    import keras

    # number of frames that become one before a recurrent layer
    stride = settings.conv_stride * 2 ** len(settings.conv_filters) if settings.architecture == "cnn_bilstm" else 1
    is_signal = keras.ops.any(keras.ops.not_equal(model.inputs[0], fill_value), axis=-1, keepdims=True)
    is_signal = keras.ops.cast(is_signal, "float32")

    def call(layer: Any, *inputs: Any, **options: Any) -> Any:
        if not isinstance(layer, keras.layers.Bidirectional | keras.layers.LSTM):
            return layer(*inputs, **options)
        steps = keras.layers.MaxPooling1D(stride, padding="same")(is_signal)
        # Later layers do not support masks; the product removes the mask.
        return 1.0 * layer(*inputs, **options | {"mask": keras.ops.cast(steps[..., 0], "bool")})

    return keras.models.clone_model(model, input_tensors=model.input, call_function=call)


def pad(frames: Iterable[Array], *, length: int, fill_value: Array) -> Array:
    """Truncate clips to a length or pad them with (n_features,) `fill_value`: (n_clips, length, n_features)."""
    clips = [clip[:length] for clip in frames]
    return np.stack([np.concatenate([clip, np.tile(fill_value, (length - len(clip), 1))]) for clip in clips])


def fit_baseline(fold: Dataset, settings: TrainLstm, *, seed: int) -> Probabilities:
    """Train the baseline on a fold, and predict its validation clips: (n_clips, n_classes)."""
    trainer.make_deterministic(seeding.derive_seed(seed, "lstm"))
    train, val = (trainer.load_examples(fold, settings, split) for split in ("train", "val"))
    n_classes = len(fold.classes)
    network = build_model(train, settings, n_classes=n_classes)
    frames, fill_value = train.frames, feature_means(network)
    model, max_length = with_masking(network, settings, fill_value=fill_value), max(map(len, frames))
    steps = -(-len(frames) // settings.batch_size)
    learner = trainer.build_training_model(model, settings, steps=steps * settings.epochs)
    targets = batching.encode_targets(train.labels, settings, n_classes=n_classes)

    def batches() -> Iterator[tuple[Inputs, tuple[Array, ...]]]:
        for epoch in range(settings.epochs):
            rng = seeding.make_rng(seed, "batches", str(epoch))
            for batch in np.array_split(rng.permutation(len(frames)), steps):
                padded = pad((frames[clip] for clip in batch), length=max_length, fill_value=fill_value)
                functionals = None if train.functionals is None else train.functionals[batch]
                inputs, mixed = batching.augment_batch(
                    padded, functionals, targets[batch], settings, train.branch_inputs, fill_value=fill_value, rng=rng
                )
                yield inputs, (mixed,) * len(learner.outputs)

    learner.steps_per_execution = 1  # Keras's default, which ends each epoch correctly
    learner.fit(batches(), steps_per_epoch=steps, epochs=settings.epochs, shuffle=False, verbose=0)
    probabilities = []
    for n, clip in enumerate(val.frames):
        functionals = None if val.functionals is None else val.functionals[[n]]
        inputs = batching.model_inputs(pad([clip], length=max_length, fill_value=fill_value), functionals)
        probabilities.append(model.predict_on_batch(inputs))
    return np.concatenate(probabilities)


def run_trial(task: tuple[str, int], *, data: Dataset, params: Params, seed: int) -> pd.DataFrame:
    """Train a variant on a fold: the prediction table, with columns for the variant and the minutes."""
    variant, fold = task
    subset, settings, start = data.fold(fold), params.train_lstm, time.perf_counter()
    if variant == "pipeline":
        probabilities, _, _ = fit_fold(subset, settings, hop_seconds=params.features.hop_seconds, seed=seed)
    else:
        probabilities = fit_baseline(subset, settings, seed=seed)
    table = prediction_table.prediction_table(subset.clips("val"), probabilities, classes=data.classes, seed=fold)
    return table.assign(variant=variant, minutes=(time.perf_counter() - start) / 60)


@handle_user_errors
def main(
    folds: Annotated[list[int] | None, typer.Option(help="Folds of data/splits.csv; by default all.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the networks.")] = 1,
) -> None:
    """Train both variants on the training clips of some folds, and compare them on the validation clips."""
    params = read_params()
    data = training_data.load_training_data(params.train_lstm, params.corpora)
    data.frames()  # read once, not in each process
    tasks = [(variant, fold) for fold in folds or data.folds for variant in VARIANTS]
    trial = partial(run_trial, data=data, params=params, seed=seed)
    table = pd.concat(map_tasks(trial, tasks, n_jobs=n_workers(), description="both", unit="network"))
    tables = {variant: table[table.variant == variant] for variant in VARIANTS}
    title = f"`python -m benchmarks.plain_keras`, {', '.join(params.corpora)}, validation clips."
    lines = format_comparison(tables, resamples=params.evaluate.n_resamples)
    timing.write_section("Training with plain Keras", [title, "", *lines])


def format_comparison(tables: dict[str, pd.DataFrame], *, resamples: int) -> list[str]:
    """Format the table of both variants, and their difference."""
    lines = ["| | validation UAR | 95 % CI (speakers) | minutes per network |", "|---|---|---|---|"]
    for variant, table in tables.items():
        uar = bootstrap.bootstrap(table, ["uar"], resamples=resamples, seed=1).loc["uar"]
        interval = f"{uar.ci_low:.3f} to {uar.ci_high:.3f}"
        lines.append(f"| {variant} | {uar.value:.3f} | {interval} | {table.minutes.mean():.1f} |")
    delta = significance.paired_difference(tables["pipeline"], tables["baseline"], resamples=resamples, seed=1)
    difference = f"{delta.difference:+.3f} [{delta.ci_low:.3f}, {delta.ci_high:.3f}]"
    return [*lines, "", f"UAR of the pipeline minus the baseline: {difference}."]


if __name__ == "__main__":
    typer.run(main)
