"""Fit, save and load the network, and predict with it. Only this module imports TensorFlow."""

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
from ser.models.network import BRANCHES, build_model, feature_means
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
"""Weight of the loss of each branch; the same for any number of branches, because gradients are clipped."""
CLIP_NORM = 1.0
"""Maximum norm of the gradient of each weight."""
STEPS_PER_EXECUTION = 8
"""Training steps per call into TensorFlow; does not change results and saves a sixth of the time."""


def make_deterministic(seed: int) -> None:
    """Seed Keras, enable deterministic kernels, and restart the numbering of layer names."""
    _start_tensorflow()
    malloc.tune_malloc()
    import keras

    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)


def _start_tensorflow() -> None:
    """Import and configure TensorFlow; required before the first tensor of a process."""
    # Newer instruction sets are not faster and may round differently; AVX2 would cost a third of the speed.
    os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE")
    with _suppress_stderr():
        import tensorflow as tf

        # Several threads within an operation change the summation order of convolutions. Threads between operations do
        # not, and run both directions of a bidirectional layer in parallel.
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(n_workers())
        next(iter(tf.data.Dataset.from_generator(lambda: [0], output_signature=tf.TensorSpec((), tf.int32))))
    tf.config.experimental.enable_op_determinism()


@contextmanager
def _suppress_stderr() -> Iterator[None]:
    """Suppress start-up messages of TensorFlow, which ignores TF_CPP_MIN_LOG_LEVEL (tensorflow/tensorflow#100442)."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    stderr = os.dup(2)
    with Path(os.devnull).open("w", encoding="utf-8") as null:
        os.dup2(null.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def build_training_model(model: keras.Model, settings: TrainLstm, *, steps: int) -> keras.Model:
    """Compile a model for a training of `steps` steps.

    Returns
    -------
    Model
        Shares its weights with `model`. Outputs are the fused probabilities, which have no loss, and those of each
        branch in `BRANCHES`.
    """
    import keras

    branches = [keras.layers.Softmax()(layer.output) for layer in model.layers if layer.name in BRANCHES]
    learner = keras.Model(model.inputs, [model.output, *branches])
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=settings.label_smoothing)
    learner.compile(
        make_optimizer(settings, steps=steps),
        loss=[None, *[loss] * len(branches)],
        loss_weights=[0, *[LOSS_WEIGHT] * len(branches)],
        metrics=[["accuracy"], *[[]] * len(branches)],
        steps_per_execution=STEPS_PER_EXECUTION,
    )
    # Create all variables now, or TensorFlow would trace a step twice, which takes seconds.
    learner.optimizer.build(learner.trainable_variables)
    zeros = [np.zeros((1, learner.output_shape[0][-1]), dtype=np.float32)] * len(learner.outputs)
    learner.compute_loss(y=zeros, y_pred=zeros)
    learner.compute_metrics(None, y=zeros, y_pred=zeros)
    return learner


def training_batches(
    examples: Examples, settings: TrainLstm, *, fill_value: Array, buckets: LengthBuckets, seed: int, n_classes: int
) -> Any:
    """Create a `tf.data.Dataset` of training batches, which are prepared in the background and differ per epoch."""
    import tensorflow as tf

    epochs = itertools.count()

    def epoch() -> Iterator[Batch]:
        rng = seeding.make_rng(seed, "batches", str(next(epochs)))
        return batching.iterate_epoch(examples, buckets, settings, n_classes=n_classes, fill_value=fill_value, rng=rng)

    # Without a signature, Keras would expect the shape of the first batches of all.
    frames, targets = tf.TensorSpec((None, None, len(fill_value))), tf.TensorSpec((None, n_classes))
    functionals = None if examples.functionals is None else tf.TensorSpec((None, examples.functionals.shape[1]))
    signature = batching.model_inputs(frames, functionals), targets
    steps = len(batching.group_by_length(buckets.lengths(examples.frames), size=settings.batch_size))
    dataset = tf.data.Dataset.from_generator(epoch, output_signature=signature)
    options = tf.data.Options()
    options.autotune.enabled = False  # its timer may delay the end of an epoch by up to 20 s
    options.threading.private_threadpool_size = 1  # leave the other threads to the network
    return dataset.apply(tf.data.experimental.assert_cardinality(steps)).prefetch(4).with_options(options)


def predict(
    model: keras.Model,
    frames: Sequence[Array],
    settings: TrainLstm,
    *,
    hop_seconds: float,
    functionals: Array | None = None,
) -> npt.NDArray[np.float32]:
    """Predict (n_clips, n_classes) probabilities from the (n_frames, n_features) arrays of clips.

    Models that use functionals require these, too: (n_clips, n_functionals).
    """
    buckets = LengthBuckets.from_settings(settings, hop_seconds=hop_seconds)
    lengths = buckets.lengths(frames)
    probabilities = np.empty((len(frames), model.output_shape[-1]), dtype=np.float32)
    for batch in batching.group_by_length(lengths, size=settings.batch_size):
        stacked = buckets.stack((frames[clip] for clip in batch), length=lengths[batch[0]])
        inputs = batching.model_inputs(stacked, None if functionals is None else functionals[batch])
        probabilities[batch] = model.predict_on_batch(inputs)
    return probabilities


def fit(
    settings: TrainLstm, *, train: Examples, val: Examples, n_classes: int, hop_seconds: float, seed: int
) -> tuple[keras.Model, pd.DataFrame]:
    """Build and train a model.

    The weights of the last epoch are kept or, with early stopping, those of the epoch with the best validation UAR.
    With `ema_momentum`, they are exponential moving averages over training steps.

    Parameters
    ----------
    settings : TrainLstm
        Section `train_lstm` of the settings.
    train, val : Examples
        Training clips, including augmented ones, and validation clips.
    n_classes : int
    hop_seconds : float
        Distance between frames in seconds.
    seed : int
        Seed of initial weights, dropout and batches.

    Returns
    -------
    model : Model
    history : DataFrame
        One row per epoch: epoch, loss, accuracy, val_loss, val_accuracy, val_uar, learning_rate.
    """
    make_deterministic(seeding.derive_seed(seed, "lstm"))
    import keras

    model = build_model(train, settings, n_classes=n_classes)
    buckets, fill_value = LengthBuckets.from_settings(settings, hop_seconds=hop_seconds), feature_means(model)
    dataset = training_batches(train, settings, fill_value=fill_value, buckets=buckets, seed=seed, n_classes=n_classes)
    learner = build_training_model(model, settings, steps=len(dataset) * settings.epochs)
    callbacks = _ema_callbacks(learner) if settings.ema_momentum else []
    callbacks.append(_validation_callback(learner, model, val, settings, hop_seconds=hop_seconds))
    patience = settings.early_stopping_patience
    if settings.lr_schedule == "plateau":
        plateau = max(1, (patience or settings.epochs) // 3)
        callbacks.append(keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=plateau))
    if patience is not None:
        callbacks.append(
            keras.callbacks.EarlyStopping(monitor="val_uar", mode="max", patience=patience, restore_best_weights=True)
        )
    dataset = dataset.map(lambda inputs, targets: (inputs, (targets,) * len(learner.outputs)))
    history = learner.fit(dataset, epochs=settings.epochs, shuffle=False, verbose=0, callbacks=callbacks).history
    columns = ["loss", "emotions_accuracy", "val_loss", "val_accuracy", "val_uar", "learning_rate"]
    table = pd.DataFrame({column.removeprefix("emotions_"): history[column] for column in columns})
    table.insert(0, "epoch", np.arange(1, len(table) + 1))
    return model, table


def make_optimizer(settings: TrainLstm, *, steps: int) -> Any:
    """Create the optimizer and learning-rate schedule for a training of `steps` steps."""
    import keras

    rate: Any = settings.learning_rate
    if settings.lr_schedule == "cosine":
        warm_up = max(1, steps // 20)
        rate = keras.optimizers.schedules.CosineDecay(
            rate / 10, decay_steps=max(1, steps - warm_up), warmup_target=rate, warmup_steps=warm_up
        )
    ema = {"use_ema": settings.ema_momentum > 0, "ema_momentum": settings.ema_momentum or 0.99}
    if settings.optimizer == "adam":
        return _flatten_variables(keras.optimizers.Adam)(rate, **ema)
    return _flatten_variables(keras.optimizers.AdamW)(rate, weight_decay=settings.weight_decay, **ema)


def _flatten_variables(optimizer_class: Any) -> Any:
    """Derive an optimizer that updates all weights as one vector, after clipping each weight's gradient at `CLIP_NORM`.

    Results equal those of separate weights bit by bit. Keras takes fifty operations for each weight, which were 80 % of
    the time of a training step.
    """
    import keras
    from keras import ops

    def flatten(arrays: Iterable[Any]) -> Any:
        return ops.concatenate([ops.ravel(array) for array in arrays])

    def clip(gradient: Any) -> Any:
        return gradient * CLIP_NORM / ops.maximum(ops.sqrt(ops.sum(ops.square(gradient))), CLIP_NORM)

    class FlattenedOptimizer(optimizer_class):  # type: ignore[misc]
        def build(self, variables: Sequence[Any]) -> None:
            self.weights = list(variables)
            self.ends = np.cumsum([np.prod(weight.shape) for weight in variables])[:-1].tolist()
            self.vector = keras.Variable(flatten(variables), trainable=False, name="weights")
            super().build([self.vector])

        def apply(self, grads: Sequence[Any], trainable_variables: Any = None) -> None:
            super().apply([flatten(map(clip, grads))], [self.vector])
            self.assign_weights()

        def assign_weights(self) -> None:
            """Copy the vector to the weights of the model."""
            for weight, part in zip(self.weights, ops.split(self.vector, self.ends), strict=True):
                weight.assign(ops.reshape(part, weight.shape))

        def finalize_variable_values(self, var_list: Any) -> None:
            super().finalize_variable_values([self.vector])
            self.assign_weights()

    return FlattenedOptimizer


def _ema_callbacks(learner: keras.Model) -> list[Any]:
    """Swap weights and moving averages at the end of each epoch, for validation, and back at the next."""
    import keras

    def assign_weights(*_: Any) -> None:
        learner.optimizer.assign_weights()

    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    return [swap, keras.callbacks.LambdaCallback(on_epoch_begin=assign_weights, on_epoch_end=assign_weights)]


def _validation_callback(
    learner: keras.Model, model: keras.Model, val: Examples, settings: TrainLstm, *, hop_seconds: float
) -> Any:
    """Compute validation metrics after each epoch, and report progress."""
    import keras

    bar = progress((), description="train lstm", total=settings.epochs, unit="epoch")

    def on_epoch_end(_: int, logs: dict[str, Any]) -> None:
        probabilities = predict(model, val.frames, settings, hop_seconds=hop_seconds, functionals=val.functionals)
        logs |= validation_metrics(probabilities, val.labels, smoothing=settings.label_smoothing)
        logs["learning_rate"] = float(keras.ops.convert_to_numpy(learner.optimizer.learning_rate))
        bar.set_postfix(loss=f"{logs['loss']:.3f}", val_uar=f"{logs['val_uar']:.3f}", refresh=False)
        bar.update()

    return keras.callbacks.LambdaCallback(on_epoch_end=on_epoch_end, on_train_end=lambda _: bar.close())


def validation_metrics(probabilities: npt.NDArray[np.float32], labels: Labels, *, smoothing: float) -> dict[str, float]:
    """Compute loss with label smoothing, accuracy and UAR, with the keys of a Keras history."""
    n_classes = probabilities.shape[1]
    log = np.log(np.clip(probabilities.astype(np.float64), 1e-7, 1))
    targets = np.eye(n_classes)[labels] * (1 - smoothing) + smoothing / n_classes
    predicted = probabilities.argmax(axis=1)
    return {
        "val_loss": float(-(targets * log).sum(axis=1).mean()),
        "val_accuracy": float((predicted == labels).mean()),
        "val_uar": float(recall_score(labels, predicted, average="macro", zero_division=np.nan)),
    }


def load_examples(data: Dataset, settings: TrainLstm, *splits: str) -> Examples:
    """Load the inputs of the network, and the labels, of some splits of a fold."""
    functionals = data.functionals(*splits) if settings.functionals_units else None
    return Examples(data.frames(*splits), data.labels(*splits), functionals, data.branch_inputs(settings))


def train(data: Dataset, seed: int, folder: Path, *, settings: TrainLstm, hop_seconds: float) -> Array:
    """Train a model on one fold, save it with its history, and predict the validation and test clips.

    Parameters
    ----------
    data : Dataset
        One fold.
    folder : Path
        Folder for the model and `HISTORY`; an ensemble has a folder per network, and the mean of their histories.
    seed, settings, hop_seconds
        Parameters of `fit`.

    Returns
    -------
    ndarray of shape (n_clips, n_classes)
        Probabilities; of an ensemble, their mean.
    """
    examples = {split: load_examples(data, settings, split) for split in ("train", "val")}
    held_out, probabilities, histories = load_examples(data, settings, "val", "test"), [], []
    n_classes, networks = len(data.classes), {folder: seed}
    if settings.n_networks > 1:
        numbers = range(1, settings.n_networks + 1)
        networks = {folder / f"network{n}": seeding.derive_seed(seed, "network", str(n)) for n in numbers}
    for path, network_seed in networks.items():
        model, history = fit(settings, **examples, n_classes=n_classes, hop_seconds=hop_seconds, seed=network_seed)
        save(model, path)
        histories.append(history)
        probabilities.append(
            predict(model, held_out.frames, settings, hop_seconds=hop_seconds, functionals=held_out.functionals)
        )
    mean = pd.concat(histories).groupby("epoch", as_index=False).mean()
    write_text(folder / HISTORY, mean.to_csv(index=False, lineterminator="\n"))
    return np.mean(probabilities, axis=0)


def save(model: keras.Model, folder: Path) -> None:
    """Save a model as ``model.keras``, its architecture as JSON and its weights as H5, without dates and addresses."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.keras"
    model.save(path)
    path.write_bytes(serialization.canonical_keras(path.read_bytes()))
    architecture = serialization.canonical_json(model.to_json(indent=2)) + "\n"
    (folder / "architecture.json").write_text(architecture, encoding="utf-8")
    model.save_weights(folder / "model.weights.h5")


def load(folder: Path) -> keras.Model:
    """Load a model saved by `save`."""
    _start_tensorflow()
    import keras

    return keras.models.load_model(folder / "model.keras")
