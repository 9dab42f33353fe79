"""Build the network: recurrent branches on frame features and dense branches on functionals, fused late.

The first layer of each input standardizes with training statistics. The order in which layers are constructed decides
their names and the seeds of initial weights and dropout.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ser.features.columns import Array, Span
from ser.models.batching import Examples, mean_and_variance
from ser.params import TrainLstm

if TYPE_CHECKING:
    import keras

CLIP_SIGMA = 5.0
"""Standard deviations from the training mean at which functionals are clipped."""
BRANCHES = ("by_frames", "by_functionals", "by_movement", "by_prosody")
"""Layers whose logits are averaged. Each branch has its own loss: with one loss, one branch would dominate.

TensorFlow orders operations by name: other names would change the last bits of trained weights."""


def build_model(train: Examples, settings: TrainLstm, *, n_classes: int) -> keras.Model:
    """Build an untrained model that standardizes with the statistics of training clips.

    Parameters
    ----------
    train : Examples
        Training clips, and the columns that each branch uses.
    settings : TrainLstm
        Section `train_lstm` of the settings.
    n_classes : int

    Returns
    -------
    Model
        Maps frames (batch, n_frames, n_features), or a list of these and functionals (batch, n_functionals), to
        probabilities (batch, n_classes).
    """
    from keras import Input, Model, layers

    mean, variance = (moment.tolist() for moment in mean_and_variance(train.frames))
    inputs = [Input((None, len(mean)), name="frames")]
    frames = layers.Normalization(mean=mean, variance=variance, name="standardise")(inputs[0])
    spectral = _select_features(frames, train.branch_inputs.spectral)
    branches = [_recurrent_branch(spectral, settings, name="by_frames", n_classes=n_classes)]
    if train.functionals is not None:
        inputs.append(Input((train.functionals.shape[1],), name="functionals"))
        values = _standardize_and_clip(inputs[1], train.functionals)
        dense = [_dense_branch(values, settings, name="by_functionals", n_classes=n_classes)]
        if train.branch_inputs.dynamics:
            rows = layers.Reshape((1, values.shape[1], 1))(values)
            dynamics = layers.Flatten()(_select_columns(rows, train.branch_inputs.dynamics))
            dense.append(_dense_branch(dynamics, settings, name="by_movement", n_classes=n_classes))
        branches += dense * settings.functionals_fusion_weight
    if train.branch_inputs.prosody:  # last, because the initial weights of a layer depend on the layers built before
        prosody = _select_features(frames, train.branch_inputs.prosody)
        branches.append(_recurrent_branch(prosody, settings, name="by_prosody", n_classes=n_classes))
    fused = layers.Average(name="together")(branches) if len(branches) > 1 else branches[0]
    outputs = layers.Softmax(name="emotions")(fused)
    return Model(inputs if len(inputs) > 1 else inputs[0], outputs, name=settings.architecture)


def _standardize_and_clip(x: Any, functionals: Array) -> Any:
    from keras import layers

    mean, variance = mean_and_variance([functionals])
    limits = (CLIP_SIGMA**2 * variance).tolist()
    x = layers.Normalization(mean=mean.tolist(), variance=limits, name="shrink")(x)
    return layers.Rescaling(CLIP_SIGMA, name="cut")(layers.Activation("hard_tanh")(x))


def _recurrent_branch(x: Any, settings: TrainLstm, *, name: str, n_classes: int) -> Any:
    """Map frames (batch, n_frames, n_features) to logits (batch, n_classes)."""
    from keras import layers

    if settings.architecture == "cnn_bilstm":
        for block, filters in enumerate(settings.conv_filters):
            strides = 1 if block else settings.conv_stride
            x = layers.Conv1D(filters, 5, strides=strides, padding="same", use_bias=False)(x)
            # Pooling first halves the work of the following layers.
            x = layers.BatchNormalization()(layers.MaxPooling1D(2, padding="same")(x))
            x = layers.SpatialDropout1D(settings.dropout / 2)(layers.Activation("relu")(x))
    if settings.architecture == "lstm":
        x = layers.LSTM(settings.lstm_units, return_sequences=True)(x)
    else:
        for depth in range(2 if settings.architecture == "bilstm" else 1):
            x = layers.Dropout(settings.dropout)(x) if depth else x
            x = layers.Bidirectional(layers.LSTM(settings.lstm_units, return_sequences=True))(x)
    x = layers.Dropout(settings.dropout)(_attention_pooling(x))
    x = layers.Dense(settings.dense_units, activation="relu", name=f"{name}_units")(x)
    return layers.Dense(n_classes, name=name)(layers.Dropout(settings.dropout)(x))


def _attention_pooling(x: Any) -> Any:
    """Average frames with learned weights: (batch, n_frames, units) -> (batch, units)."""
    from keras import layers

    weights = layers.Softmax(axis=1)(layers.Dense(1)(x))
    return layers.Flatten()(layers.Dot(axes=1)([weights, x]))


def _dense_branch(x: Any, settings: TrainLstm, *, name: str, n_classes: int) -> Any:
    """Map functionals (batch, n_functionals) to logits (batch, n_classes)."""
    from keras import layers

    # The many functionals identify speakers, so they need more dropout than frames, also before the first layer.
    x = layers.Dropout(settings.functionals_dropout)(x)
    x = layers.Dense(settings.functionals_units, activation="relu", name=f"{name}_units")(x)
    return layers.Dense(n_classes, name=name)(layers.Dropout(settings.functionals_dropout)(x))


def _select_features(x: Any, spans: Sequence[Span]) -> Any:
    """Select some features, or all if `spans` is empty: (batch, n_frames, n_features) -> (batch, n_frames, fewer)."""
    from keras import layers

    if not spans or list(spans) == [(0, x.shape[2])]:
        return x
    return layers.Reshape((-1, sum(stop - start for start, stop in spans)))(
        _select_columns(layers.Reshape((-1, x.shape[2], 1))(x), spans)
    )


def _select_columns(x: Any, spans: Sequence[Span]) -> Any:
    """Select columns: (batch, n_rows, n_columns, 1) -> (batch, n_rows, fewer, 1)."""
    from keras import layers

    parts = [layers.Cropping2D(((0, 0), (start, x.shape[2] - stop)))(x) for start, stop in spans]
    return layers.Concatenate(axis=2)(parts) if len(parts) > 1 else parts[0]


def feature_means(model: keras.Model) -> Array:
    """Get the training mean with which a model standardizes frames: (n_features,)."""
    import keras

    mean: Array = keras.ops.convert_to_numpy(model.get_layer("standardise").mean).ravel()
    return mean
