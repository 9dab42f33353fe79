"""Build the recurrent network: layers and branches.

A model maps (batch, frames, features) to (batch, classes); standardisation with the training rows' statistics is its
first layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ser.features.columns import Array, Span
from ser.models import batching
from ser.models.batching import ALL_FEATURES, BranchInputs, Examples
from ser.params import TrainLstm

if TYPE_CHECKING:
    import keras

CLIP_SIGMA = 5.0
"""Standard deviations from the mean of training at which functionals are clipped: an odd clip may have any."""
BRANCHES = ("by_frames", "by_functionals", "by_movement", "by_prosody")
"""Layers whose logits are averaged. Each branch has its own loss: with one loss, one branch would dominate.

TensorFlow orders operations by name: other names would change the last bits of trained weights."""
Moments = tuple[Sequence[float], Sequence[float]]
"""Mean and variance of each feature."""


def build(
    settings: TrainLstm,
    *,
    mean: Sequence[float],
    variance: Sequence[float],
    n_classes: int,
    functionals: Moments | None = None,
    seen: BranchInputs = ALL_FEATURES,
) -> keras.Model:
    """Build a model.

    Parameters
    ----------
    settings
        The section `train_lstm` of the settings.
    mean, variance
        Of each feature over the frames of the training clips: the first layer standardises by them.
    n_classes
        Size of the softmax.
    functionals
        Moments of the clips' functionals, where the model sees them beside the frames.
    seen
        What of the frames and functionals each branch sees.

    Returns
    -------
    Model
        Frames (batch, frames, features), or these and functionals (batch, values) -> (batch, n_classes), probabilities.
    """
    from keras import Input, Model, layers

    inputs = [Input((None, len(mean)), name="frames")]
    frames = layers.Normalization(mean=list(mean), variance=list(variance), name="standardise")(inputs[0])
    spectral = _features(frames, seen.spectral)
    branches = [_recurrent_branch(spectral, settings, name="by_frames", n_classes=n_classes)]
    if functionals is not None:
        inputs.append(Input((len(functionals[0]),), name="functionals"))
        values = _standardised(inputs[1], functionals)
        dense = [_dense_branch(values, settings, name="by_functionals", n_classes=n_classes)]
        if seen.dynamics:
            dynamics = _values(values, seen.dynamics)
            dense.append(_dense_branch(dynamics, settings, name="by_movement", n_classes=n_classes))
        branches += dense * settings.functionals_fusion_weight
    if seen.prosody:  # last, as initial weights of the others depend on what was made before
        prosody = _features(frames, seen.prosody)
        branches.append(_recurrent_branch(prosody, settings, name="by_prosody", n_classes=n_classes))
    together = layers.Average(name="together")(branches) if len(branches) > 1 else branches[0]
    outputs = layers.Softmax(name="emotions")(together)
    return Model(inputs if len(inputs) > 1 else inputs[0], outputs, name=settings.architecture)


def _standardised(x: Any, functionals: Moments) -> Any:
    """Standardise functionals by those of training, and clip them at `CLIP_SIGMA`: (batch, values) -> the same."""
    from keras import layers

    mean, variance = functionals
    shares = layers.Normalization(
        mean=list(mean), variance=[CLIP_SIGMA**2 * value for value in variance], name="shrink"
    )(x)
    return layers.Rescaling(CLIP_SIGMA, name="cut")(layers.Activation("hard_tanh")(shares))


def _recurrent_branch(x: Any, settings: TrainLstm, *, name: str, n_classes: int) -> Any:
    """Answer by a recurrent network: (batch, frames, features) -> logits (batch, n_classes)."""
    from keras import layers

    if settings.architecture == "cnn_bilstm":
        x = _convolutions(x, settings)
    x = _recurrent(x, settings)
    x = layers.Dropout(settings.dropout)(_attention_pooling(x))
    x = layers.Dense(settings.dense_units, activation="relu", name=f"{name}_units")(x)
    return layers.Dense(n_classes, name=name)(layers.Dropout(settings.dropout)(x))


def _dense_branch(x: Any, settings: TrainLstm, *, name: str, n_classes: int) -> Any:
    """Answer by a dense layer: (batch, values) -> logits (batch, n_classes)."""
    from keras import layers

    # Functionals are many, and tell voices apart: hence a dropout of their own, before the units too.
    x = layers.Dropout(settings.functionals_dropout)(x)
    x = layers.Dense(settings.functionals_units, activation="relu", name=f"{name}_units")(x)
    return layers.Dense(n_classes, name=name)(layers.Dropout(settings.functionals_dropout)(x))


def _convolutions(x: Any, settings: TrainLstm) -> Any:
    """Shorten time by 2 in each block, and in the first by the stride too: (batch, frames, features) -> the same."""
    from keras import layers

    for block, filters in enumerate(settings.conv_filters):
        strides = 1 if block else settings.conv_stride
        x = layers.Conv1D(filters, 5, strides=strides, padding="same", use_bias=False)(x)
        # The maximum first: what comes after it is half as much work.
        x = layers.BatchNormalization()(layers.MaxPooling1D(2, padding="same")(x))
        x = layers.SpatialDropout1D(settings.dropout / 2)(layers.Activation("relu")(x))
    return x


def _recurrent(x: Any, settings: TrainLstm) -> Any:
    from keras import layers

    if settings.architecture == "lstm":
        return layers.LSTM(settings.lstm_units, return_sequences=True)(x)
    for depth in range(2 if settings.architecture == "bilstm" else 1):
        x = layers.Dropout(settings.dropout)(x) if depth else x
        x = layers.Bidirectional(layers.LSTM(settings.lstm_units, return_sequences=True))(x)
    return x


def _attention_pooling(x: Any) -> Any:
    """Average frames by learned weights: (batch, frames, units) -> (batch, units)."""
    from keras import layers

    weights = layers.Softmax(axis=1)(layers.Dense(1)(x))
    return layers.Flatten()(layers.Dot(axes=1)([weights, x]))


def _features(x: Any, spans: Sequence[Span]) -> Any:
    """Take some features, or all where none are named: (batch, frames, features) -> (batch, frames, fewer)."""
    from keras import layers

    if not spans or list(spans) == [(0, x.shape[2])]:
        return x
    return layers.Reshape((-1, sum(stop - start for start, stop in spans)))(
        _columns(layers.Reshape((-1, x.shape[2], 1))(x), spans)
    )


def _values(x: Any, spans: Sequence[Span]) -> Any:
    """Take some values: (batch, values) -> (batch, fewer)."""
    from keras import layers

    return layers.Flatten()(_columns(layers.Reshape((1, x.shape[1], 1))(x), spans))


def _columns(x: Any, spans: Sequence[Span]) -> Any:
    """Take some columns: (batch, rows, columns, 1) -> (batch, rows, fewer, 1)."""
    from keras import layers

    parts = [layers.Cropping2D(((0, 0), (start, x.shape[2] - stop)))(x) for start, stop in spans]
    return layers.Concatenate(axis=2)(parts) if len(parts) > 1 else parts[0]


def build_from_data(train: Examples, settings: TrainLstm, *, n_classes: int) -> keras.Model:
    """Build a model that standardises by the training clips."""
    mean, variance = _moments(train.frames)
    whole = None if train.functionals is None else _moments([train.functionals])
    return build(settings, mean=mean, variance=variance, n_classes=n_classes, functionals=whole, seen=train.seen)


def _moments(frames: Sequence[Array]) -> Moments:
    mean, variance = batching.mean_and_variance(frames)
    return mean.tolist(), variance.tolist()


def feature_means(model: keras.Model) -> Array:
    """Give the training clips' mean, by which a model standardises: (features,)."""
    import keras

    mean: Array = keras.ops.convert_to_numpy(model.get_layer("standardise").mean).ravel()
    return mean
