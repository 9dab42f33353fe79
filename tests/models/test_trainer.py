"""The network learns from training clips alone, keeps its best epoch, and judges each clip by itself."""

import os
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ser.features import store as feature_store
from ser.features.store import Frames
from ser.models import batching, trainer
from ser.models import dataset as training_data
from ser.models.batching import BranchInputs, Examples, LengthBuckets
from ser.models.network import build_from_data
from tests.helpers import factories, tiny_models

ARCHITECTURES = ["lstm", "bilstm", "cnn_bilstm"]
TRAIN, VAL, TEST = tiny_models.examples(24), tiny_models.examples(9, seed=1), tiny_models.examples(24, seed=2)


@pytest.fixture(scope="module", autouse=True)
def _set_up() -> None:
    trainer.make_deterministic(1)


@cache
def trained(architecture: str) -> tuple[Any, pd.DataFrame]:
    """Train each architecture with another optimizer and schedule."""
    ways = {
        "lstm": {"optimizer": "adam", "lr_schedule": "constant"},
        "bilstm": {"optimizer": "adamw", "lr_schedule": "plateau"},
        "cnn_bilstm": {"optimizer": "adamw", "lr_schedule": "cosine"},
    }
    settings = tiny_models.lstm_settings(architecture=architecture, epochs=12, learning_rate=0.05, **ways[architecture])
    return tiny_models.fitted(settings, train=TRAIN, val=VAL)


def predict(model: Any, frames: Any, *, functionals: Any = None, **changes: Any) -> Any:
    settings = tiny_models.lstm_settings(**changes)
    return trainer.predict(model, frames, settings, hop_seconds=tiny_models.HOP, functionals=functionals)


# Batches --------------------------------------------------------------------------------------------------------------


def test_training_batches() -> None:
    """In each epoch every clip comes once, with its own target, beside clips of its length, in a new order."""
    buckets = LengthBuckets(step=4, max_length=24)
    settings, blank = tiny_models.lstm_settings(batch_size=5), np.zeros(4, dtype=np.float32)
    dataset = trainer.training_batches(
        TRAIN, settings, blank=blank, buckets=buckets, seed=1, n_classes=tiny_models.N_CLASSES
    )
    by_content = {clip[0].tobytes(): n for n, clip in enumerate(TRAIN.frames)}
    lengths = buckets.lengths(TRAIN.frames)
    orders = []
    for _ in range(2):
        batches = [(np.asarray(stacked), np.asarray(targets)) for stacked, targets in dataset]
        assert len(batches) == len(dataset)
        order = []
        for stacked, targets in batches:
            assert len(stacked) == len(targets) <= 5
            clips = [by_content[clip[0].tobytes()] for clip in stacked]
            assert set(lengths[clips]) == {stacked.shape[1]}
            assert targets.tolist() == np.eye(3)[TRAIN.labels[clips]].tolist()
            order += clips
        assert sorted(order) == list(range(24))
        orders.append(order)
    assert orders[0] != orders[1]
    assert dataset.options().autotune.enabled is False  # or the end of an epoch may wait for seconds


def test_a_rare_length_is_trained_on() -> None:
    """Where the first batches of an epoch are of one length, Keras does not expect it of the others."""
    frames = [clip[:3] for clip in TRAIN.frames[:-3]] + [np.repeat(clip[:1], 22, axis=0) for clip in TRAIN.frames[-3:]]
    settings = tiny_models.lstm_settings(architecture="lstm", epochs=1, batch_size=1)
    _, history = tiny_models.fitted(settings, train=Examples(frames, TRAIN.labels), val=VAL)
    assert np.isfinite(history.loss[0])


# Predicting -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_clip_is_judged_by_itself(architecture: str) -> None:
    """Its probabilities depend neither on the clips that share its batch nor on their order or number."""
    model = tiny_models.untrained(architecture)
    together = predict(model, TEST.frames)
    assert together.shape == (24, 3)
    np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-5)
    assert np.ptp(together, axis=0).max() > 0.01  # clips do differ
    np.testing.assert_allclose(predict(model, TEST.frames[::-1])[::-1], together, atol=1e-6)
    np.testing.assert_allclose(predict(model, TEST.frames, batch_size=3), together, atol=1e-6)
    alone = [predict(model, [clip])[0] for clip in TEST.frames[:6]]
    np.testing.assert_allclose(alone, together[:6], atol=1e-6)


def test_a_clip_may_be_longer_or_shorter_than_a_bucket() -> None:
    """A clip lengthened by its last frame, or one cut at the most, is judged as before; what is cut is not heard."""
    model = tiny_models.untrained("bilstm")
    clip = np.vstack(TEST.frames)[:24]
    longer = np.vstack([clip, clip + 50])
    np.testing.assert_allclose(predict(model, [longer]), predict(model, [clip]), atol=1e-6)
    short = clip[:5]
    lengthened = np.vstack([short, np.repeat(short[-1:], 3, axis=0)])
    np.testing.assert_allclose(predict(model, [short]), predict(model, [lengthened]), atol=1e-6)


# Training -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_learns(architecture: str) -> None:
    """The loss falls, and clips it never saw are told apart."""
    model, history = trained(architecture)
    assert history.loss.iloc[-1] < 0.8 * history.loss.iloc[0]
    assert (predict(model, TEST.frames).argmax(axis=1) == TEST.labels).mean() > 0.8


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_history(architecture: str) -> None:
    """A row per epoch, from 1, with finite numbers, shares where they are shares."""
    history = trained(architecture)[1]
    expected = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "val_uar", "learning_rate"]
    assert list(history) == expected
    assert list(history.epoch) == list(range(1, len(history) + 1))
    assert np.isfinite(history.to_numpy()).all()
    assert history[["accuracy", "val_accuracy", "val_uar"]].stack().between(0, 1).all()


def test_the_cosine_schedule_ends_near_zero() -> None:
    """The rate never exceeds what was set, and the last epoch hardly moves; a constant one stays."""
    rates = trained("cnn_bilstm")[1].learning_rate
    assert rates.max() <= 0.05 + 1e-9
    assert rates.iloc[-1] < 0.05 / 10
    assert set(trained("lstm")[1].learning_rate.round(6)) == {0.05}


@pytest.fixture(scope="module")
def contrarily(_set_up: None) -> tuple[Any, pd.DataFrame, Examples]:
    """Train where validation clips bear wrong labels: the more is learned, the worse they are answered."""
    val = Examples(VAL.frames, (VAL.labels + 1) % 3)
    changes = {
        "epochs": 40,
        "early_stopping_patience": 4,
        "learning_rate": 0.05,
        "lr_schedule": "plateau",
        "label_smoothing": 0.1,
    }
    model, history = tiny_models.fitted(tiny_models.lstm_settings(architecture="lstm", **changes), train=TRAIN, val=val)
    return model, history, val


def test_the_best_epoch_is_kept(contrarily: tuple[Any, pd.DataFrame, Examples]) -> None:
    """The model returned answers validation clips as it did after the epoch of the best UAR, not after the last."""
    model, history, val = contrarily
    best = history.loc[history.val_uar.idxmax()]
    found = trainer.validation_metrics(predict(model, val.frames), val.labels, smoothing=0.1)
    assert found == pytest.approx({key: best[key] for key in found}, abs=1e-5)
    assert history.val_loss.iloc[-1] > best.val_loss + 0.05


def test_training_stops_when_nothing_gets_better(contrarily: tuple[Any, pd.DataFrame, Examples]) -> None:
    """After `early_stopping_patience` epochs without a better UAR training ends."""
    history = contrarily[1]
    assert len(history) == history.epoch[history.val_uar.idxmax()] + 4 < 40


def test_the_plateau_schedule_halves_the_rate(contrarily: tuple[Any, pd.DataFrame, Examples]) -> None:
    """Where validation gets no better, steps become smaller by halves."""
    rates = contrarily[1].learning_rate
    assert rates.iloc[0] == pytest.approx(0.05)
    assert rates.iloc[-1] < 0.05
    assert np.log2(0.05 / rates.to_numpy()) == pytest.approx(np.log2(0.05 / rates.to_numpy()).round(), abs=1e-3)
    assert rates.is_monotonic_decreasing


@cache
def after_one_epoch(*, seed: int = 1, shift: float = 0.0) -> Any:
    val = Examples([clip + shift for clip in VAL.frames], VAL.labels)
    return tiny_models.fitted(
        tiny_models.lstm_settings(architecture="lstm", epochs=1), train=TRAIN, val=val, seed=seed
    )[0]


@pytest.fixture
def stored(tmp_path: Path) -> Frames:
    """Put the training clips on disk, as the pipeline has them."""
    clips = factories.ravdess(actors=[1])[: len(TRAIN.frames)]
    factories.write_features(tmp_path, clips, payload="frames", values=TRAIN.frames, names='["a", "b", "c", "d"]')
    return feature_store.read_frames([tmp_path / "ravdess.parquet"], clip_ids=list(clips.clip_id))


def test_clips_on_disk_are_not_read_for_their_lengths(stored: Frames, monkeypatch: pytest.MonkeyPatch) -> None:
    """Buckets are chosen, as for a list, without opening a single clip."""
    monkeypatch.delattr(os, "pread")
    buckets = LengthBuckets(step=8, max_length=24)
    assert buckets.lengths(stored).tolist() == buckets.lengths(TRAIN.frames).tolist()


def test_clips_on_disk_teach_what_clips_in_memory_do(stored: Frames) -> None:
    """Matrices read from a table when they are needed give the same weights and answers, bit by bit, as a list does."""
    settings = tiny_models.lstm_settings(architecture="lstm", epochs=1)
    model, _ = tiny_models.fitted(settings, train=Examples(stored, TRAIN.labels), val=VAL)
    for ours, theirs in zip(model.get_weights(), after_one_epoch().get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(predict(model, stored), predict(model, TRAIN.frames))


def test_validation_clips_teach_nothing() -> None:
    """Validation clips of another mean give the same weights and the same standardisation."""
    one, other = after_one_epoch(), after_one_epoch(shift=1000)
    mean, variance = batching.mean_and_variance(TRAIN.frames)
    layer = other.get_layer("standardise")
    np.testing.assert_allclose(np.ravel(layer.mean), mean, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(np.ravel(layer.variance), variance, rtol=1e-5)
    for ours, theirs in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_seed_decides() -> None:
    """Another seed gives other weights after training."""
    one, other = after_one_epoch(), after_one_epoch(seed=2)
    assert any((ours != theirs).any() for ours, theirs in zip(one.get_weights(), other.get_weights(), strict=True))


def test_a_step_is_traced_once() -> None:
    """TensorFlow, which prepares a step for seconds, finds all variables made, and need not do it again."""
    clips = tiny_models.with_functionals(8, seed=1, in_frames=True)
    trainer.make_deterministic(1)
    settings = tiny_models.lstm_settings(architecture="lstm", ema_momentum=0.9)
    learner = trainer.build_training_model(
        build_from_data(clips, settings, n_classes=tiny_models.N_CLASSES), settings, steps=1
    )
    step, traced = learner.train_step, []
    learner.train_step = lambda data: traced.append(data) or step(data)
    targets = batching.targets_of(clips.labels, settings, n_classes=tiny_models.N_CLASSES)
    given = np.stack([clip[:3] for clip in clips.frames]), clips.functionals
    learner.fit(given, [targets] * len(learner.outputs), verbose=0)
    assert len(traced) == 1


@pytest.mark.parametrize("steps", [1, 2, 100])
def test_the_shortest_training_has_a_schedule_too(steps: int) -> None:
    """A single step is a training; the rate is finite and not above what was set."""
    import keras

    optimizer = trainer.optimizer(tiny_models.lstm_settings(lr_schedule="cosine"), steps=steps)
    optimizer.build([keras.Variable(np.zeros(1))])
    assert 0 <= float(optimizer.learning_rate) <= 0.01 + 1e-9


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "adamw", "lr_schedule": "cosine", "ema_momentum": 0.9},
        {"optimizer": "adamw", "ema_momentum": 0, "weight_decay": 0.5},
        {"optimizer": "adam", "lr_schedule": "plateau", "ema_momentum": 0.9},
    ],
)
@pytest.mark.parametrize("steepest", [1.0, 0.01])
def test_one_vector_learns_what_weights_apart_learn(
    changes: dict[str, Any], steepest: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the last bit, what Keras's optimizer does with each weight for itself, cutting gradients of any norm."""
    import keras

    monkeypatch.setattr(trainer, "CLIP_NORM", steepest)

    def taught() -> Any:
        return tiny_models.fitted(tiny_models.lstm_settings(architecture="lstm", **changes), train=TRAIN, val=VAL)[
            0
        ].get_weights()

    ours = taught()
    monkeypatch.setattr(trainer, "_flattened", lambda kind: partial(kind, clipnorm=steepest))
    monkeypatch.setattr(trainer, "_ema_callbacks", lambda _: [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)])
    for one, other in zip(ours, taught(), strict=True):
        np.testing.assert_array_equal(one, other)


# Keeping and averaging ------------------------------------------------------------------------------------------------


def test_without_patience_the_last_epoch_is_kept() -> None:
    """Where every epoch is run, the model answers validation clips as it did after the last, however bad that is."""
    val = Examples(VAL.frames, (VAL.labels + 1) % 3)
    settings = tiny_models.lstm_settings(
        architecture="lstm", epochs=8, early_stopping_patience=None, learning_rate=0.05
    )
    model, history = tiny_models.fitted(settings, train=TRAIN, val=val)
    assert len(history) == 8
    assert history.val_loss.iloc[-1] > history.val_loss.min() + 0.05
    found = trainer.validation_metrics(predict(model, val.frames), val.labels, smoothing=settings.label_smoothing)
    assert found == pytest.approx({key: history.iloc[-1][key] for key in found}, abs=1e-5)


def test_the_average_of_the_best_epoch_is_kept() -> None:
    """With patience too it is the averaged weights of the best epoch that are given back, though training stopped."""
    val = Examples(VAL.frames, (VAL.labels + 1) % 3)
    changes = {"epochs": 40, "early_stopping_patience": 2, "learning_rate": 0.05, "ema_momentum": 0.5}
    settings = tiny_models.lstm_settings(architecture="lstm", **changes)
    model, history = tiny_models.fitted(settings, train=TRAIN, val=val)
    best = history.loc[history.val_uar.idxmax()]
    assert best.epoch < len(history) < 40
    found = trainer.validation_metrics(predict(model, val.frames), val.labels, smoothing=settings.label_smoothing)
    assert found == pytest.approx({key: best[key] for key in found}, abs=1e-5)
    assert history.val_loss.iloc[-1] != pytest.approx(best.val_loss, abs=1e-3)


def test_averaged_weights_are_judged_and_kept() -> None:
    """With an average that hardly moves, the model still answers nearly as an untrained one, in history and in the end.

    Training itself goes on from the weights that are not averaged, so that its loss falls as without.
    """
    changes = {"architecture": "lstm", "epochs": 6, "early_stopping_patience": None, "learning_rate": 0.05}
    slow, slow_history = tiny_models.fitted(
        tiny_models.lstm_settings(ema_momentum=0.9999, **changes), train=TRAIN, val=VAL
    )
    usual, usual_history = tiny_models.fitted(
        tiny_models.lstm_settings(ema_momentum=0, **changes), train=TRAIN, val=VAL
    )
    np.testing.assert_allclose(slow_history.loss, usual_history.loss, rtol=1e-3)
    assert np.ptp(predict(slow, TEST.frames), axis=0).max() < 0.2 < np.ptp(predict(usual, TEST.frames), axis=0).max()
    found = trainer.validation_metrics(predict(slow, VAL.frames), VAL.labels, smoothing=0.1)
    assert found["val_loss"] == pytest.approx(slow_history.val_loss.iloc[-1], abs=1e-4)


def test_an_ensemble_is_the_mean_of_its_networks(tmp_path: Path) -> None:
    """Two networks of other seeds are trained and saved, and the model's probabilities are the mean of theirs."""
    clips = factories.ravdess(actors=range(1, 5)).groupby("emotion").head(8).reset_index(drop=True)
    rng = np.random.default_rng(0)
    values = [rng.normal(size=(12, 2)).astype(np.float32) for _ in range(len(clips))]
    factories.write_features(tmp_path / "frames", clips, payload="frames", values=values, names='["mel.0", "rms.0"]')
    vectors = list(rng.normal(size=(len(clips), 2)).astype(np.float32))
    factories.write_features(tmp_path / "functionals", clips, payload="functionals", values=vectors)
    split = clips[["clip_id", "emotion"]].assign(fold=1, split=np.resize(["train", "val", "test"], len(clips)))
    split.to_csv(tmp_path / "splits.csv", index=False)
    data = training_data.read(
        tmp_path / "frames",
        ["ravdess"],
        tmp_path / "splits.csv",
        augmented=False,
        kinds=["mel"],
        beside=tmp_path / "functionals",
    )
    settings = tiny_models.lstm_settings(architecture="lstm", n_networks=2, epochs=1, spectral_features=["mel"])
    shares = trainer.train(data, 1, tmp_path / "model", settings=settings, hop_seconds=tiny_models.HOP)
    asked, each = trainer.examples(data, settings, "val", "test"), []
    for name in ("network1", "network2"):
        model = trainer.load(tmp_path / "model" / name)
        assert model.input_shape == [(None, None, 1), (None, 2)]
        each.append(predict(model, asked.frames, functionals=asked.functionals))
    assert np.abs(each[0] - each[1]).max() > 1e-3
    np.testing.assert_allclose(shares, np.mean(each, axis=0), atol=1e-6)
    assert data.card()["features"] == ["mel.0"]


# Functionals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_frames", [True, False])
def test_frames_and_functionals_both_teach(in_frames: bool) -> None:
    """Where the class is in one of them alone, the answer finds it."""
    train, val = (tiny_models.with_functionals(n, seed=seed, in_frames=in_frames) for n, seed in ((60, 1), (30, 2)))
    settings = tiny_models.lstm_settings(
        functionals_units=16, epochs=20, learning_rate=0.02, architecture="lstm", early_stopping_patience=None
    )
    model, history = tiny_models.fitted(settings, train=train, val=val)
    shares = predict(model, val.frames, functionals=val.functionals)
    assert (shares.argmax(axis=1) == val.labels).mean() > 0.8
    assert history.val_accuracy.iloc[-1] == pytest.approx((shares.argmax(axis=1) == val.labels).mean())


@pytest.mark.parametrize(
    "added", [BranchInputs(spectral=[(0, 2)], dynamics=[(1, 3)]), BranchInputs(spectral=[(0, 2)], prosody=[(2, 4)])]
)
def test_a_branch_learns_the_same_beside_another(added: BranchInputs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Branches of frames and of all functionals end with the same weights, whether or not one more learns.

    Nor does it matter after how many steps TensorFlow returns to Python.
    """
    train, val = (tiny_models.with_functionals(n, seed=seed, in_frames=True) for n, seed in ((24, 1), (9, 2)))
    settings = tiny_models.lstm_settings(
        architecture="lstm", early_stopping_patience=None, ema_momentum=0.9, mixup=0.2, spec_augment=True
    )
    beside, _ = tiny_models.fitted(settings, train=replace(train, seen=added), val=val)
    monkeypatch.setattr(trainer, "STEPS_PER_EXECUTION", 1)
    alone, _ = tiny_models.fitted(settings, train=replace(train, seen=BranchInputs(spectral=added.spectral)), val=val)
    assert {layer.name for layer in beside.layers} > {layer.name for layer in alone.layers} > {"by_functionals", "lstm"}
    for layer in alone.layers:
        for one, other in zip(layer.get_weights(), beside.get_layer(layer.name).get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


# Judging --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_judging(smoothing: float) -> None:
    """Loss is the cross-entropy that training minimises, accuracy and UAR are those of the likeliest class."""
    import keras

    shares = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.5, 0.3, 0.2], [0.3, 0.3, 0.4]], dtype=np.float32)
    labels = np.array([0, 1, 1, 2])
    found = trainer.validation_metrics(shares, labels, smoothing=smoothing)
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=smoothing)(np.eye(3)[labels], shares)
    assert found["val_loss"] == pytest.approx(float(loss), rel=1e-5)
    assert found["val_accuracy"] == 3 / 4
    assert found["val_uar"] == pytest.approx((1 + 1 / 2 + 1) / 3)
