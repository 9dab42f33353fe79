"""The network is trained on training clips only, keeps its best or last epoch, and predicts each clip independently."""

import os
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ser.features import store as feature_store
from ser.models import batching, trainer
from ser.models import dataset as training_data
from ser.models.batching import BranchInputs, Examples, LengthBuckets
from ser.models.network import build_model
from tests.helpers import factories, tiny_models

TRAIN, VAL, TEST = tiny_models.examples(24), tiny_models.examples(9, seed=1), tiny_models.examples(24, seed=2)
WRONG_VAL = Examples(VAL.frames, (VAL.labels + 1) % 3)
"""Validation clips with wrong labels: validation metrics become worse during training."""
OPTIONS: dict[str, dict[str, Any]] = {
    "lstm": {"optimizer": "adam", "lr_schedule": "constant"},
    "bilstm": {"optimizer": "adamw", "lr_schedule": "plateau"},
    "cnn_bilstm": {"optimizer": "adamw", "lr_schedule": "cosine"},
}
"""An optimizer and a schedule for each architecture."""
each_architecture = pytest.mark.parametrize("architecture", OPTIONS)


@pytest.fixture(scope="module", autouse=True)
def _set_up() -> None:
    trainer.make_deterministic(1)


def fit(*, train: Examples = TRAIN, val: Examples = VAL, seed: int = 1, **changes: Any) -> tuple[Any, pd.DataFrame]:
    settings = tiny_models.lstm_settings(**{"architecture": "lstm"} | changes)
    return tiny_models.fitted(settings, train=train, val=val, seed=seed)


@cache
def trained(architecture: str) -> tuple[Any, pd.DataFrame]:
    return fit(architecture=architecture, epochs=12, learning_rate=0.05, **OPTIONS[architecture])


def predict(model: Any, frames: Any, *, functionals: Any = None, **changes: Any) -> Any:
    settings = tiny_models.lstm_settings(**changes)
    return trainer.predict(model, frames, settings, hop_seconds=tiny_models.HOP, functionals=functionals)


def check_validation(model: Any, val: Examples, expected: Any) -> None:
    """Compare the validation metrics of a model with a row of a history."""
    metrics = trainer.validation_metrics(predict(model, val.frames), val.labels, smoothing=0.1)
    assert metrics == pytest.approx({key: expected[key] for key in metrics}, abs=1e-4)


def assert_equal_weights(one: Any, other: Any) -> None:
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_training_batches() -> None:
    """Each epoch has every clip once with its target, in batches of equal length and in another order."""
    buckets, fill_value = LengthBuckets(step=4, max_length=24), np.zeros(4, dtype=np.float32)
    options = {"fill_value": fill_value, "buckets": buckets, "seed": 1, "n_classes": tiny_models.N_CLASSES}
    dataset = trainer.training_batches(TRAIN, tiny_models.lstm_settings(batch_size=5), **options)
    position = {clip[0].tobytes(): n for n, clip in enumerate(TRAIN.frames)}
    lengths = buckets.lengths(TRAIN.frames)
    orders = []
    for _ in range(2):
        order = []
        for stacked, targets in dataset.as_numpy_iterator():
            clips = [position[clip[0].tobytes()] for clip in stacked]
            assert set(lengths[clips]) == {stacked.shape[1]}
            assert targets.tolist() == np.eye(3)[TRAIN.labels[clips]].tolist()
            order += clips
        assert sorted(order) == list(range(24))
        orders.append(order)
    assert orders[0] != orders[1]
    assert dataset.options().autotune.enabled is False  # it delays the end of an epoch by seconds


def test_rare_lengths() -> None:
    """Keras does not expect the length of the first batches of all batches."""
    frames = [clip[:3] for clip in TRAIN.frames[:-3]] + [np.repeat(clip[:1], 22, axis=0) for clip in TRAIN.frames[-3:]]
    _, history = fit(train=Examples(frames, TRAIN.labels), epochs=1, batch_size=1)
    assert np.isfinite(history.loss[0])


@each_architecture
def test_clips_are_predicted_independently(architecture: str) -> None:
    """Probabilities do not depend on the other clips, their order or the batch size."""
    model = tiny_models.untrained(architecture)
    probabilities = predict(model, TEST.frames)
    assert probabilities.shape == (24, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert np.ptp(probabilities, axis=0).max() > 0.01
    np.testing.assert_allclose(predict(model, TEST.frames[::-1])[::-1], probabilities, atol=1e-6)
    np.testing.assert_allclose(predict(model, TEST.frames, batch_size=3), probabilities, atol=1e-6)
    single = [predict(model, [clip])[0] for clip in TEST.frames[:6]]
    np.testing.assert_allclose(single, probabilities[:6], atol=1e-6)


def test_short_and_long_clips() -> None:
    """Clips are padded with their last frame, and frames beyond the maximum length are ignored."""
    model = tiny_models.untrained("bilstm")
    clip = np.vstack(TEST.frames)[:24]
    np.testing.assert_allclose(predict(model, [np.vstack([clip, clip + 50])]), predict(model, [clip]), atol=1e-6)
    padded = np.vstack([clip[:5], np.repeat(clip[4:5], 3, axis=0)])
    np.testing.assert_allclose(predict(model, [clip[:5]]), predict(model, [padded]), atol=1e-6)


@each_architecture
def test_training(architecture: str) -> None:
    """The loss decreases, most unseen clips are classified correctly, and the history has a finite row per epoch."""
    model, history = trained(architecture)
    assert history.loss.iloc[-1] < 0.8 * history.loss.iloc[0]
    assert (predict(model, TEST.frames).argmax(axis=1) == TEST.labels).mean() > 0.8
    columns = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "val_uar", "learning_rate"]
    assert list(history) == columns
    assert list(history.epoch) == list(range(1, len(history) + 1))
    assert np.isfinite(history.to_numpy()).all()
    assert history[["accuracy", "val_accuracy", "val_uar"]].stack().between(0, 1).all()


@cache
def stopped(ema_momentum: float) -> tuple[Any, pd.DataFrame]:
    """Train with early stopping, while validation becomes worse."""
    changes = {"early_stopping_patience": 4, "lr_schedule": "plateau", "label_smoothing": 0.1}
    return fit(val=WRONG_VAL, epochs=40, learning_rate=0.05, ema_momentum=ema_momentum, **changes)


@pytest.mark.parametrize("ema_momentum", [0, 0.5])
def test_early_stopping(ema_momentum: float) -> None:
    """Training stops `early_stopping_patience` epochs after the best validation UAR, and its weights are kept.

    With EMA, these are the averaged weights.
    """
    model, history = stopped(ema_momentum)
    best = history.loc[history.val_uar.idxmax()]
    assert len(history) == best.epoch + 4 < 40
    check_validation(model, WRONG_VAL, best)
    assert history.val_loss.iloc[-1] != pytest.approx(best.val_loss, abs=1e-3)


def test_learning_rate_schedules() -> None:
    """Cosine decays to nearly zero, plateau halves the rate, constant keeps it, and a single step has a rate."""
    import keras

    cosine = trained("cnn_bilstm")[1].learning_rate
    assert cosine.max() <= 0.05 + 1e-9
    assert cosine.iloc[-1] < 0.05 / 10
    assert set(trained("lstm")[1].learning_rate.round(6)) == {0.05}
    halvings = np.log2(0.05 / stopped(0)[1].learning_rate)
    assert halvings.iloc[0] == pytest.approx(0, abs=1e-3)
    assert halvings.iloc[-1] >= 0.99
    assert halvings.to_numpy() == pytest.approx(halvings.round(), abs=1e-3)
    assert halvings.is_monotonic_increasing
    for steps in (1, 2):
        optimizer = trainer.make_optimizer(tiny_models.lstm_settings(lr_schedule="cosine"), steps=steps)
        optimizer.build([keras.Variable(np.zeros(1))])
        assert 0 <= float(optimizer.learning_rate) <= 0.01 + 1e-9


@cache
def after_one_epoch(*, seed: int = 1, shift: float = 0.0) -> Any:
    return fit(val=Examples([clip + shift for clip in VAL.frames], VAL.labels), seed=seed, epochs=1)[0]


def test_training_depends_on_training_clips_and_seed_only() -> None:
    """Validation clips do not influence weights and standardization; another seed gives other weights."""
    other = after_one_epoch(shift=1000)
    mean, variance = batching.mean_and_variance(TRAIN.frames)
    layer = other.get_layer("standardise")
    np.testing.assert_allclose(np.ravel(layer.mean), mean, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(np.ravel(layer.variance), variance, rtol=1e-5)
    assert_equal_weights(after_one_epoch(), other)
    pairs = zip(other.get_weights(), after_one_epoch(seed=2).get_weights(), strict=True)
    assert any((a != b).any() for a, b in pairs)


def test_stored_clips_equal_clips_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips read from disk give the same weights and predictions, and their lengths are known without reading them."""
    clips = factories.ravdess(actors=[1])[: len(TRAIN.frames)]
    factories.write_features(tmp_path, clips, payload="frames", values=TRAIN.frames, names='["a", "b", "c", "d"]')
    stored = feature_store.read_frames([tmp_path / "ravdess.parquet"], clip_ids=list(clips.clip_id))
    buckets = LengthBuckets(step=8, max_length=24)
    with monkeypatch.context() as patch:
        patch.delattr(os, "pread")
        assert buckets.lengths(stored).tolist() == buckets.lengths(TRAIN.frames).tolist()
    model, _ = fit(train=Examples(stored, TRAIN.labels), epochs=1)
    assert_equal_weights(model, after_one_epoch())
    np.testing.assert_array_equal(predict(model, stored), predict(model, TRAIN.frames))


def test_training_step_is_traced_once() -> None:
    """All variables exist before the first step, so that TensorFlow traces it once."""
    clips = tiny_models.with_functionals(8, seed=1, in_frames=True)
    trainer.make_deterministic(1)
    settings = tiny_models.lstm_settings(architecture="lstm", ema_momentum=0.9)
    model = build_model(clips, settings, n_classes=tiny_models.N_CLASSES)
    learner = trainer.build_training_model(model, settings, steps=1)
    step, traces = learner.train_step, []
    learner.train_step = lambda data: traces.append(data) or step(data)
    targets = batching.encode_targets(clips.labels, settings, n_classes=tiny_models.N_CLASSES)
    inputs = np.stack([clip[:3] for clip in clips.frames]), clips.functionals
    learner.fit(inputs, [targets] * len(learner.outputs), verbose=0)
    assert len(traces) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "adamw", "lr_schedule": "cosine", "ema_momentum": 0.9},
        {"optimizer": "adamw", "ema_momentum": 0, "weight_decay": 0.5},
        {"optimizer": "adam", "lr_schedule": "plateau", "ema_momentum": 0.9},
    ],
)
@pytest.mark.parametrize("clip_norm", [1.0, 0.01])
def test_flattened_optimizer_equals_keras(
    changes: dict[str, Any], clip_norm: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Updating all weights as one vector gives the same weights, bit by bit, as Keras with `clipnorm`."""
    import keras

    monkeypatch.setattr(trainer, "CLIP_NORM", clip_norm)
    model, _ = fit(**changes)
    monkeypatch.setattr(trainer, "_flatten_variables", lambda kind: partial(kind, clipnorm=clip_norm))
    monkeypatch.setattr(trainer, "_ema_callbacks", lambda _: [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)])
    assert_equal_weights(model, fit(**changes)[0])


def test_last_epoch_is_kept_without_early_stopping() -> None:
    """The model has the weights of the last epoch, even if an earlier one has a lower validation loss."""
    model, history = fit(val=WRONG_VAL, epochs=8, early_stopping_patience=None, learning_rate=0.05, label_smoothing=0.1)
    assert len(history) == 8
    assert history.val_loss.iloc[-1] > history.val_loss.min() + 0.05
    check_validation(model, WRONG_VAL, history.iloc[-1])


def test_averaged_weights_are_validated_and_kept() -> None:
    """A slow average stays close to the initial weights, while training continues with the weights themselves."""
    changes = {"epochs": 6, "early_stopping_patience": None, "learning_rate": 0.05, "label_smoothing": 0.1}
    slow, slow_history = fit(ema_momentum=0.9999, **changes)
    plain, plain_history = fit(ema_momentum=0, **changes)
    np.testing.assert_allclose(slow_history.loss, plain_history.loss, rtol=1e-3)
    assert np.ptp(predict(slow, TEST.frames), axis=0).max() < 0.2 < np.ptp(predict(plain, TEST.frames), axis=0).max()
    check_validation(slow, VAL, slow_history.iloc[-1])


def test_ensemble_is_the_mean_of_its_networks(tmp_path: Path) -> None:
    """An ensemble consists of networks with different seeds, and its probabilities are the mean of theirs."""
    clips = factories.ravdess(actors=range(1, 5)).groupby("emotion").head(8).reset_index(drop=True)
    rng = np.random.default_rng(0)
    frames = [rng.normal(size=(12, 2)).astype(np.float32) for _ in range(len(clips))]
    factories.write_features(tmp_path / "frames", clips, payload="frames", values=frames, names='["mel.0", "rms.0"]')
    functionals = list(rng.normal(size=(len(clips), 2)).astype(np.float32))
    factories.write_features(tmp_path / "functionals", clips, payload="functionals", values=functionals)
    split = clips[["clip_id", "emotion"]].assign(fold=1, split=np.resize(["train", "val", "test"], len(clips)))
    split.to_csv(tmp_path / "splits.csv", index=False)
    options = {"augmentations": (), "kinds": ["mel"], "functionals_dir": tmp_path / "functionals"}
    data = training_data.read(tmp_path / "frames", ["ravdess"], tmp_path / "splits.csv", **options)
    settings = tiny_models.lstm_settings(architecture="lstm", n_networks=2, epochs=1, spectral_features=["mel"])
    probabilities = trainer.train(data, 1, tmp_path / "model", settings=settings, hop_seconds=tiny_models.HOP)
    held_out, members = trainer.load_examples(data, settings, "val", "test"), []
    for name in ("network1", "network2"):
        model = trainer.load(tmp_path / "model" / name)
        assert model.input_shape == [(None, None, 1), (None, 2)]
        members.append(predict(model, held_out.frames, functionals=held_out.functionals))
    assert np.abs(members[0] - members[1]).max() > 1e-3
    np.testing.assert_allclose(probabilities, np.mean(members, axis=0), atol=1e-6)
    assert data.metadata()["features"] == ["mel.0"]


@pytest.mark.parametrize("in_frames", [True, False])
def test_frames_and_functionals_are_used(in_frames: bool) -> None:
    """The network learns classes that are in the frames only or in the functionals only."""
    train, val = (tiny_models.with_functionals(n, seed=seed, in_frames=in_frames) for n, seed in ((60, 1), (30, 2)))
    changes = {"functionals_units": 16, "epochs": 20, "learning_rate": 0.02, "early_stopping_patience": None}
    model, history = fit(train=train, val=val, **changes)
    accuracy = (predict(model, val.frames, functionals=val.functionals).argmax(axis=1) == val.labels).mean()
    assert accuracy > 0.8
    assert history.val_accuracy.iloc[-1] == pytest.approx(accuracy)


@pytest.mark.parametrize(
    "inputs", [BranchInputs(spectral=[(0, 2)], dynamics=[(1, 3)]), BranchInputs(spectral=[(0, 2)], prosody=[(2, 4)])]
)
def test_branches_are_trained_independently(inputs: BranchInputs, monkeypatch: pytest.MonkeyPatch) -> None:
    """An additional branch, or another `STEPS_PER_EXECUTION`, does not change the weights of the other branches."""
    train, val = (tiny_models.with_functionals(n, seed=seed, in_frames=True) for n, seed in ((24, 1), (9, 2)))
    changes = {"early_stopping_patience": None, "ema_momentum": 0.9, "mixup": 0.2, "spec_augment": True}
    more, _ = fit(train=replace(train, branch_inputs=inputs), val=val, **changes)
    monkeypatch.setattr(trainer, "STEPS_PER_EXECUTION", 1)
    fewer, _ = fit(train=replace(train, branch_inputs=BranchInputs(spectral=inputs.spectral)), val=val, **changes)
    assert {layer.name for layer in more.layers} > {layer.name for layer in fewer.layers} > {"by_functionals", "lstm"}
    for layer in fewer.layers:
        assert_equal_weights(layer, more.get_layer(layer.name))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_validation_metrics(smoothing: float) -> None:
    """The loss equals that of Keras; accuracy and UAR are those of the most probable class."""
    import keras

    rows = [[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.5, 0.3, 0.2], [0.3, 0.3, 0.4]]
    probabilities, labels = np.array(rows, dtype=np.float32), np.array([0, 1, 1, 2])
    metrics = trainer.validation_metrics(probabilities, labels, smoothing=smoothing)
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=smoothing)(np.eye(3)[labels], probabilities)
    assert metrics["val_loss"] == pytest.approx(float(loss), rel=1e-5)
    assert metrics["val_accuracy"] == 3 / 4
    assert metrics["val_uar"] == pytest.approx((1 + 1 / 2 + 1) / 3)
