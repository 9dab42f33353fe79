"""Fit, save and load the recurrent network, and predict with it. Only this module imports TensorFlow."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import recall_score

from ser.features.columns import Array
from ser.models import batching, serialization
from ser.models.batching import Batch, Examples, Labels, LengthBuckets
from ser.models.network import BRANCHES, build_from_data, feature_means
from ser.params import TrainLstm
from ser.utils import malloc, seeding
from ser.utils.files import write_text
from ser.utils.parallel import n_workers
from ser.utils.progress import progress

if TYPE_CHECKING:
    import keras

    from ser.models.dataset import Dataset

HISTORY = "history.csv"
LOSS_WEIGHT = 0.5
"""Of each branch: constant, as gradients are clipped at a norm: a branch is to learn the same beside any others."""
CLIP_NORM = 1.0
"""Norm at which a weight's gradient is clipped."""
STEPS_PER_EXECUTION = 8
"""Steps of training that TensorFlow takes before it returns to Python: the same numbers, a sixth sooner."""


def make_deterministic(seed: int) -> None:
    """Make Keras repeatable: one seed, deterministic kernels, sums that do not depend on the cores, names anew."""
    _start()
    malloc.tune_malloc()
    import keras

    keras.utils.clear_session()  # which counts layers, and would name those of a second model otherwise
    keras.utils.set_random_seed(seed)


def _start() -> None:
    """Import TensorFlow and set it up; must come before the first tensor is made in a process."""
    # The newest kernels that all processors with AVX-512 have: what is newer still is no faster here, and may round
    # otherwise. (Keeping to AVX2 would cost a third of the speed, and processors differ in the features already.)
    os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE")
    with _suppress_stderr():
        import tensorflow as tf

        # Convolutions add up in another order with several threads inside one operation; threads between operations
        # do not matter to the result, and run both directions of a bidirectional layer at once.
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(n_workers())
        next(iter(tf.data.Dataset.from_generator(lambda: [0], output_signature=tf.TensorSpec((), tf.int32))))
    tf.config.experimental.enable_op_determinism()


@contextmanager
def _suppress_stderr() -> Iterator[None]:
    """Hide what TensorFlow says when it starts; it no longer heeds TF_CPP_MIN_LOG_LEVEL (its issue 100442)."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    terminal = os.dup(2)
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)


def build_training_model(model: keras.Model, settings: TrainLstm, *, steps: int) -> keras.Model:
    """Make a model ready for a training of so many steps.

    Returns
    -------
    Model
        With the same weights, and the probabilities of each of `BRANCHES` as outputs after the answer, from which
        nothing is learned.
    """
    import keras

    branches = [keras.layers.Softmax()(layer.output) for layer in model.layers if layer.name in BRANCHES]
    learner = keras.Model(model.inputs, [model.output, *branches])
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=settings.label_smoothing)
    learner.compile(
        optimizer(settings, steps=steps),
        loss=[None, *[loss] * len(branches)],
        loss_weights=[0, *[LOSS_WEIGHT] * len(branches)],
        metrics=[["accuracy"], *[[]] * len(branches)],
        steps_per_execution=STEPS_PER_EXECUTION,
    )
    _make_variables(learner)
    return learner


def replicate_targets(dataset: Any, learner: keras.Model) -> Any:
    """Give the targets of each batch to every output of a learner."""
    return dataset.map(lambda inputs, targets: (inputs, (targets,) * len(learner.outputs)))


def _make_variables(learner: keras.Model) -> None:
    """Make what optimizer, losses and metrics keep, or TensorFlow would trace a step twice, which takes seconds."""
    learner.optimizer.build(learner.trainable_variables)
    shares = [np.zeros((1, learner.output_shape[0][-1]), dtype=np.float32)] * len(learner.outputs)
    learner.compute_loss(y=shares, y_pred=shares)
    learner.compute_metrics(None, y=shares, y_pred=shares)


def training_batches(
    examples: Examples, settings: TrainLstm, *, blank: Array, buckets: LengthBuckets, seed: int, n_classes: int
) -> Any:
    """Make training batches, epoch after epoch, ahead of the network, as a data set of TensorFlow."""
    import tensorflow as tf

    epochs = itertools.count()

    def epoch() -> Iterator[Batch]:
        rng = seeding.make_rng(seed, "batches", str(next(epochs)))
        return batching.iterate_epoch(examples, buckets, settings, n_classes=n_classes, blank=blank, rng=rng)

    # Keras would take the shape of the first batches for that of all, hence the signature.
    frames, shares = tf.TensorSpec((None, None, len(blank))), tf.TensorSpec((None, n_classes))
    beside = None if examples.functionals is None else tf.TensorSpec((None, examples.functionals.shape[1]))
    shapes = batching.model_inputs(frames, beside), shares
    steps = len(batching.group_by_length(buckets.lengths(examples.frames), size=settings.batch_size))
    dataset = tf.data.Dataset.from_generator(epoch, output_signature=shapes)
    options = tf.data.Options()
    # TensorFlow would tune the data set with a timer that an epoch's end often waits for: until 5, 10 or 20 seconds.
    options.autotune.enabled = False
    options.threading.private_threadpool_size = 1  # those of the network are for the network
    return dataset.apply(tf.data.experimental.assert_cardinality(steps)).prefetch(4).with_options(options)


def predict(
    model: keras.Model,
    frames: Sequence[Array],
    settings: TrainLstm,
    *,
    hop_seconds: float,
    functionals: Array | None = None,
) -> npt.NDArray[np.float32]:
    """Compute the (clips, classes) probabilities of clips given as (n_frames, features) arrays.

    A model that sees functionals too needs these: (clips, values).
    """
    buckets = LengthBuckets.of(settings, hop_seconds=hop_seconds)
    lengths = buckets.lengths(frames)
    probabilities = np.empty((len(frames), model.output_shape[-1]), dtype=np.float32)
    for batch in batching.group_by_length(lengths, size=settings.batch_size):
        stacked = buckets.stack((frames[clip] for clip in batch), length=lengths[batch[0]])
        beside = None if functionals is None else functionals[batch]
        probabilities[batch] = model.predict_on_batch(batching.model_inputs(stacked, beside))
    return probabilities


def fit(
    settings: TrainLstm, *, train: Examples, val: Examples, n_classes: int, hop_seconds: float, seed: int
) -> tuple[keras.Model, pd.DataFrame]:
    """Build and train a model; keep the weights of the last epoch, or with early stopping of the best on validation.

    With `ema_momentum`, weights are evaluated and kept as exponential moving averages over the training steps.

    Parameters
    ----------
    settings
        The section `train_lstm` of the settings.
    train, val
        Training clips with their copies, and validation clips without.
    n_classes
        How many classes labels count.
    hop_seconds
        Distance of frames.
    seed
        The run's; also of weights, dropout and the order of batches.

    Returns
    -------
    model : Model
    history : DataFrame
        A row per epoch: epoch, loss, accuracy, val_loss, val_accuracy, val_uar, learning_rate.
    """
    make_deterministic(seeding.derive_seed(seed, "lstm"))
    model = build_from_data(train, settings, n_classes=n_classes)
    buckets, blank = LengthBuckets.of(settings, hop_seconds=hop_seconds), feature_means(model)
    dataset = training_batches(train, settings, blank=blank, buckets=buckets, seed=seed, n_classes=n_classes)
    learner = build_training_model(model, settings, steps=len(dataset) * settings.epochs)
    callbacks = [
        *(_ema_callbacks(learner) if settings.ema_momentum else []),
        _validation(model, val, settings, hop_seconds=hop_seconds),
        *_schedule(settings),
        *_stopping(settings),
    ]
    history = learner.fit(
        replicate_targets(dataset, learner), epochs=settings.epochs, shuffle=False, verbose=0, callbacks=callbacks
    )
    return model, _history(history)


def optimizer(settings: TrainLstm, *, steps: int) -> Any:
    """Make the optimizer of a training of so many steps."""
    import keras

    rate: Any = settings.learning_rate
    if settings.lr_schedule == "cosine":
        warm_up = max(1, steps // 20)
        rate = keras.optimizers.schedules.CosineDecay(
            rate / 10, decay_steps=max(1, steps - warm_up), warmup_target=rate, warmup_steps=warm_up
        )
    ema = {"use_ema": settings.ema_momentum > 0, "ema_momentum": settings.ema_momentum or 0.99}
    if settings.optimizer == "adam":
        return _flattened(keras.optimizers.Adam)(rate, **ema)
    return _flattened(keras.optimizers.AdamW)(rate, weight_decay=settings.weight_decay, **ema)


def _flattened(kind: Any) -> Any:
    """Make a kind of optimizer take all weights as one vector, each one's gradient clipped at a norm of `CLIP_NORM`.

    The same numbers, bit by bit, as of the weights one after the other, each of which takes Keras fifty operations:
    these were four fifths of all of a step.
    """
    import keras
    from keras import ops

    def joined(arrays: Iterable[Any]) -> Any:
        return ops.concatenate([ops.ravel(array) for array in arrays])

    def clipped(gradient: Any) -> Any:
        return gradient * CLIP_NORM / ops.maximum(ops.sqrt(ops.sum(ops.square(gradient))), CLIP_NORM)

    class OfOneVector(kind):  # type: ignore[misc]
        def build(self, variables: Sequence[Any]) -> None:
            self.weights = list(variables)
            self.ends = np.cumsum([np.prod(weight.shape) for weight in variables])[:-1].tolist()
            self.vector = keras.Variable(joined(variables), trainable=False, name="weights")
            super().build([self.vector])

        def apply(self, grads: Sequence[Any], trainable_variables: Any = None) -> None:
            super().apply([joined(map(clipped, grads))], [self.vector])
            self.hand_out()

        def hand_out(self) -> None:
            """Give each weight its part of the vector."""
            for weight, part in zip(self.weights, ops.split(self.vector, self.ends), strict=True):
                weight.assign(ops.reshape(part, weight.shape))

        def finalize_variable_values(self, var_list: Any) -> None:
            super().finalize_variable_values([self.vector])
            self.hand_out()

    return OfOneVector


def _ema_callbacks(learner: keras.Model) -> list[Any]:
    """Judge and keep moving averages: swapped for the weights at the end of an epoch, and back as the next begins."""
    import keras

    def hand_out(*_: Any) -> None:
        learner.optimizer.hand_out()

    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    return [swap, keras.callbacks.LambdaCallback(on_epoch_begin=hand_out, on_epoch_end=hand_out)]


def _schedule(settings: TrainLstm) -> list[Any]:
    import keras

    if settings.lr_schedule != "plateau":
        return []
    patience = max(1, (settings.early_stopping_patience or settings.epochs) // 3)
    return [keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=patience)]


def _stopping(settings: TrainLstm) -> list[Any]:
    """With `early_stopping_patience`: stop after that many epochs without a better one; restore the best weights."""
    import keras

    patience = settings.early_stopping_patience
    if patience is None:
        return []
    return [keras.callbacks.EarlyStopping(monitor="val_uar", mode="max", patience=patience, restore_best_weights=True)]


def _validation(model: keras.Model, val: Examples, settings: TrainLstm, *, hop_seconds: float) -> Any:
    """Judge each epoch on the validation clips, and show where training stands."""
    import keras

    class Validation(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_begin(self, logs: Any = None) -> None:
            self.bar = progress((), description="train lstm", total=settings.epochs, unit="epoch")

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            probabilities = predict(model, val.frames, settings, hop_seconds=hop_seconds, functionals=val.functionals)
            logs |= validation_metrics(probabilities, val.labels, smoothing=settings.label_smoothing)
            logs["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
            self.bar.set_postfix(loss=f"{logs['loss']:.3f}", val_uar=f"{logs['val_uar']:.3f}", refresh=False)
            self.bar.update()

        def on_train_end(self, logs: Any = None) -> None:
            self.bar.close()

    return Validation()


def validation_metrics(probabilities: npt.NDArray[np.float32], labels: Labels, *, smoothing: float) -> dict[str, float]:
    """Compute a validation's loss, accuracy and UAR, under the names that Keras would give them."""
    n_classes = probabilities.shape[1]
    log = np.log(np.clip(probabilities.astype(np.float64), 1e-7, 1))
    targets = np.eye(n_classes)[labels] * (1 - smoothing) + smoothing / n_classes
    predicted = probabilities.argmax(axis=1)
    return {
        "val_loss": float(-(targets * log).sum(axis=1).mean()),
        "val_accuracy": float((predicted == labels).mean()),
        "val_uar": float(recall_score(labels, predicted, average="macro", zero_division=np.nan)),
    }


def _history(history: Any) -> pd.DataFrame:
    columns = ["loss", "emotions_accuracy", "val_loss", "val_accuracy", "val_uar", "learning_rate"]
    table = pd.DataFrame({column.removeprefix("emotions_"): history.history[column] for column in columns})
    table.insert(0, "epoch", np.arange(1, len(table) + 1))
    return table


def examples(data: Dataset, settings: TrainLstm, *splits: str) -> Examples:
    """Take from some splits of a fold what the network of these settings is given."""
    frames, labels, seen = data.frames(*splits), data.labels(*splits), data.seen(settings)
    return Examples(frames, labels, data.functionals(*splits) if settings.functionals_units else None, seen=seen)


def train(data: Dataset, seed: int, folder: Path, *, settings: TrainLstm, hop_seconds: float) -> Array:
    """Train a model on one fold, save it with its history, and predict the fold's validation and test clips.

    Parameters
    ----------
    data
        A fold.
    seed
        Of weights, dropout and the order of batches.
    folder
        Gets the model and `HISTORY`; of an ensemble, a folder a network, and their mean history.
    settings
        The section `train_lstm` of the settings.
    hop_seconds
        Distance of frames.

    Returns
    -------
    (clips, classes) float32
        Probabilities.
    """
    given = {split: examples(data, settings, split) for split in ("train", "val")}
    asked, shares, histories = examples(data, settings, "val", "test"), [], []
    for place, own in _networks(folder, settings, seed=seed).items():
        model, history = fit(settings, **given, n_classes=len(data.classes), hop_seconds=hop_seconds, seed=own)
        save(model, place)
        histories.append(history)
        shares.append(predict(model, asked.frames, settings, hop_seconds=hop_seconds, functionals=asked.functionals))
    mean = pd.concat(histories).groupby("epoch", as_index=False).mean()
    write_text(folder / HISTORY, mean.to_csv(index=False, lineterminator="\n"))
    return np.mean(shares, axis=0)


def _networks(folder: Path, settings: TrainLstm, *, seed: int) -> dict[Path, int]:
    """Say where the networks of a model go, and their seeds."""
    if settings.n_networks == 1:
        return {folder: seed}
    numbers = range(1, settings.n_networks + 1)
    return {folder / f"network{n}": seeding.derive_seed(seed, "network", str(n)) for n in numbers}


def save(model: keras.Model, folder: Path) -> None:
    """Save a model as ``model.keras``, its architecture as JSON and its weights as H5; the same bytes every time."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.keras"
    model.save(path)
    path.write_bytes(serialization.canonical_keras(path.read_bytes()))
    (folder / "architecture.json").write_text(
        serialization.canonical_json(model.to_json(indent=2)) + "\n", encoding="utf-8"
    )
    model.save_weights(folder / "model.weights.h5")


def load(folder: Path) -> keras.Model:
    """Load what `save` wrote."""
    _start()
    import keras

    return keras.models.load_model(folder / "model.keras")
