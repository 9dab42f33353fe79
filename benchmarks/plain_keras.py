"""The network trained as tutorials do, beside ours, judged on validation clips: what the speed costs in accuracy.

    .venv/bin/dvc exp run -S 'corpora=[ravdess]' -S split.fold_table=emobox -S split.val_fraction=0.25 split    # once
    .venv/bin/python -m benchmarks.plain_keras --folds 1 --folds 2

Both have the same layers, recipe and seed, and mix and mask clips in the same way. The plain one draws each batch from
all clips, pads them to the longest of all, and masks the padding in the recurrent layer. Test clips are never read.
"""

import time
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer

from benchmarks import measuring
from ser.evaluation import bootstrap, significance
from ser.features.columns import Array
from ser.models import batching, trainer
from ser.models import dataset as training_data
from ser.models.batching import Inputs
from ser.models.cross_validation import Probabilities
from ser.models.dataset import Dataset
from ser.models.network import build_from_data, feature_means
from ser.params import Params, TrainLstm, read_params
from ser.predictions import table as prediction_table
from ser.utils import seeding
from ser.utils.errors import handle_user_errors
from ser.utils.parallel import map_tasks, n_workers


def masked(model: Any, settings: TrainLstm, *, blank: Array) -> Any:
    """Copy a network, and hide from its recurrent layers what only padding of (features,) `blank` has led to."""
    import keras

    # So many frames become one before a recurrent layer.
    frames = settings.conv_stride * 2 ** len(settings.conv_filters) if settings.architecture == "cnn_bilstm" else 1
    heard = keras.ops.any(keras.ops.not_equal(model.inputs[0], blank), axis=-1, keepdims=True)
    heard = keras.ops.cast(heard, "float32")

    def call(layer: Any, *inputs: Any, **options: Any) -> Any:
        if not isinstance(layer, keras.layers.Bidirectional | keras.layers.LSTM):
            return layer(*inputs, **options)
        steps = keras.layers.MaxPooling1D(frames, padding="same")(heard)
        # Later layers know no masks: the product has none.
        return 1.0 * layer(*inputs, **options | {"mask": keras.ops.cast(steps[..., 0], "bool")})

    return keras.models.clone_model(model, input_tensors=model.input, call_function=call)


def padded(frames: Iterable[Array], *, length: int, blank: Array) -> Array:
    """Cut clips to a length, or pad them by (features,) `blank`: (clips, length, features)."""
    clips = [clip[:length] for clip in frames]
    return np.stack([np.concatenate([clip, np.tile(blank, (length - len(clip), 1))]) for clip in clips])


def plain(one: Dataset, settings: TrainLstm, *, seed: int) -> Probabilities:
    """Train the plain network on a fold, and predict its validation clips."""
    trainer.make_deterministic(seeding.derive_seed(seed, "lstm"))
    (train, val), n_classes = (trainer.examples(one, settings, split) for split in ("train", "val")), len(one.classes)
    network = build_from_data(train, settings, n_classes=n_classes)
    frames, blank = train.frames, feature_means(network)
    model, longest = masked(network, settings, blank=blank), max(map(len, frames))
    steps = -(-len(frames) // settings.batch_size)
    learner = trainer.build_training_model(model, settings, steps=steps * settings.epochs)
    targets = batching.targets_of(train.labels, settings, n_classes=n_classes)

    def stream() -> Iterator[tuple[Inputs, tuple[Array, ...]]]:
        for epoch in range(settings.epochs):
            rng = seeding.make_rng(seed, "batches", str(epoch))
            for chosen in np.array_split(rng.permutation(len(frames)), steps):
                stacked = padded((frames[clip] for clip in chosen), length=longest, blank=blank)
                functionals = None if train.functionals is None else train.functionals[chosen]
                inputs, shares = batching.augment_batch(
                    stacked, functionals, targets[chosen], settings, blank=blank, rng=rng, seen=train.seen
                )
                yield inputs, (shares,) * len(learner.outputs)

    learner.steps_per_execution = 1  # which is Keras's default, and ends each epoch where it should
    learner.fit(stream(), steps_per_epoch=steps, epochs=settings.epochs, shuffle=False, verbose=0)
    shares = []
    for n, clip in enumerate(val.frames):
        beside = None if val.functionals is None else val.functionals[[n]]
        given = batching.model_inputs(padded([clip], length=longest, blank=blank), beside)
        shares.append(model.predict_on_batch(given))
    return np.concatenate(shares)


def ours(one: Dataset, settings: TrainLstm, *, seed: int, hop_seconds: float) -> Probabilities:
    """Train the network on a fold as the pipeline does, and predict its validation clips."""
    train, val = (trainer.examples(one, settings, split) for split in ("train", "val"))
    model, _ = trainer.fit(
        settings, train=train, val=val, n_classes=len(one.classes), hop_seconds=hop_seconds, seed=seed
    )
    return trainer.predict(model, val.frames, settings, hop_seconds=hop_seconds, functionals=val.functionals)


def trial(work: tuple[str, int], *, data: Dataset, params: Params, seed: int) -> pd.DataFrame:
    """Train one of the two on a fold, and give a prediction table with the seconds that it took."""
    way, fold = work
    one, start = data.fold(fold), time.perf_counter()
    if way == "ours":
        shares = ours(one, params.train_lstm, seed=seed, hop_seconds=params.features.hop_seconds)
    else:
        shares = plain(one, params.train_lstm, seed=seed)
    table = prediction_table.prediction_table(one.clips("val"), shares, classes=data.classes, seed=fold)
    return table.assign(way=way, minutes=(time.perf_counter() - start) / 60)


@handle_user_errors
def main(
    folds: Annotated[list[int] | None, typer.Option(help="Of data/splits.csv; all unless said.")] = None,
    seed: Annotated[int, typer.Option(help="Of the networks.")] = 1,
) -> None:
    """Train both on the training clips of some folds, and judge them on the validation clips."""
    params = read_params()
    settings, resamples = params.train_lstm, params.evaluate.n_resamples
    data = training_data.load_training_data(settings, params.corpora)
    data.frames()  # read now, or each process would read all of them
    works = [(way, fold) for fold in folds or data.folds for way in ("ours", "plain")]
    found = pd.concat(
        map_tasks(
            partial(trial, data=data, params=params, seed=seed),
            works,
            n_jobs=n_workers(),
            description="both",
            unit="network",
        )
    )
    tables = {way: found[found.way == way] for way in ("ours", "plain")}
    lines = [
        f"`python -m benchmarks.plain_keras`, {', '.join(params.corpora)}, validation clips.",
        "",
        *rows(tables, resamples=resamples),
    ]
    measuring.write_section("Training as tutorials do", lines)
    print("\n".join(lines))  # noqa: T201


def rows(tables: dict[str, pd.DataFrame], *, resamples: int) -> Iterator[str]:
    """Write the table that compares both, and their difference."""
    yield from ("| | validation UAR | 95 % interval over speakers | minutes a network |", "|---|---|---|---|")
    for way, table in tables.items():
        uar = bootstrap.bootstrap(table, ["uar"], resamples=resamples, seed=1).loc["uar"]
        yield f"| {way} | {uar.value:.3f} | {uar.ci_low:.3f} to {uar.ci_high:.3f} | {table.minutes.mean():.1f} |"
    apart = significance.paired_difference(tables["ours"], tables["plain"], resamples=resamples, seed=1)
    yield from ("", f"Ours is better by {apart.difference:.3f} [{apart.ci_low:.3f}, {apart.ci_high:.3f}].")


if __name__ == "__main__":
    typer.run(main)
