"""What is compared beside the pipeline is the same problem, and is judged on validation clips alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import branches, plain_keras, selection, training
from ser.models import batching, trainer
from ser.models import dataset as training_data
from ser.models.dataset import Dataset
from ser.models.network import BRANCHES, build, build_from_data
from ser.utils.errors import UserError
from tests.helpers import factories, tiny_models

NAMES = [f"03-01-{code}-01-{text}-{actor:02}" for actor in range(1, 7) for code in ("01", "03", "04")
         for text in ("01-01", "01-02", "02-01", "02-02")]  # fmt: skip
CLIPS = factories.clips("ravdess", NAMES)
EASY = {
    "architecture": "lstm",
    "spectral_features": ["mel"],
    "early_stopping_patience": None,
    "epochs": 10,
    "learning_rate": 0.05,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Stand beside clips whose class is in their level: two actors train, two validate, and two test."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    classes = sorted(set(CLIPS.emotion))
    levels = 4.0 * np.eye(3)[[classes.index(emotion) for emotion in CLIPS.emotion]] + 50
    frames = [(level + rng.normal(size=(rng.integers(10, 17), 3))).astype(np.float32) for level in levels]
    factories.write_features(folder / "frames", CLIPS, payload="frames", values=frames)
    vectors = list(np.stack([clip.mean(axis=0) for clip in frames]))
    factories.write_features(folder / "functionals", CLIPS, payload="functionals", values=vectors)
    subsets = CLIPS.speaker.str[-2:].map({"01": "test", "02": "test", "03": "val", "04": "val"})
    split = CLIPS.assign(fold=1, split=subsets.fillna("train"))[["clip_id", "emotion", "fold", "split"]]
    split.sort_values("clip_id").to_csv(folder / "splits.csv", index=False)
    functionals = folder / "functionals"
    return training_data.read(folder / "frames", ["ravdess"], folder / "splits.csv", augmented=True, beside=functionals)


def test_a_mask_hides_padding_and_nothing_else() -> None:
    """Without padding the copy answers as the network does; with padding, its recurrent layer hears less of it."""
    trainer.make_deterministic(1)
    frames = tiny_models.examples(1).frames[0]
    mean, variance = batching.mean_and_variance([frames])
    blank = mean.astype(np.float32)
    for architecture in ("lstm", "cnn_bilstm"):
        settings = tiny_models.lstm_settings(architecture=architecture, conv_stride=2)
        network = build(settings, mean=mean.tolist(), variance=variance.tolist(), n_classes=3)
        copy = plain_keras.masked(network, settings, blank=blank)
        copy.set_weights(network.get_weights())
        np.testing.assert_array_equal(copy.predict_on_batch(frames[None]), network.predict_on_batch(frames[None]))
        long = plain_keras.padded([frames], length=3 * len(frames), blank=blank)
        assert np.abs(copy.predict_on_batch(long) - network.predict_on_batch(long)).max() > 1e-5


def test_padding_cuts_and_lengthens() -> None:
    """Clips get the length asked for, by blank frames."""
    clips = [np.ones((2, 1), np.float32), np.ones((5, 1), np.float32)]
    found = plain_keras.padded(clips, length=4, blank=np.full(1, 7, np.float32))
    assert found[..., 0].tolist() == [[1, 1, 7, 7], [1, 1, 1, 1]]


def test_both_ways_of_training_learn(data: Dataset) -> None:
    """On an easy problem either is right about validation clips, which alone are in its table."""
    changes = tiny_models.lstm_settings(**EASY, mixup=0.1, spec_augment=True, ema_momentum=0.5).model_dump()
    params = factories.settings(train_lstm=changes)
    found_by = {way: plain_keras.trial((way, 1), data=data, params=params, seed=1) for way in ("ours", "plain")}
    for way, found in found_by.items():
        assert set(found.clip_id) == set(data.fold(1).clips("val").clip_id)
        assert (found.emotion == found.predicted).mean() > 0.8
        assert (found.way == way).all()
    *rows, _, apart = plain_keras.rows(found_by, resamples=200)
    assert [row[:8] for row in rows] == ["| | vali", "|---|---", "| ours |", "| plain "]
    assert apart.startswith("Ours is better by ")


def test_a_trial_is_judged_on_validation_clips(data: Dataset, tmp_path: Path) -> None:
    """Its table and numbers are of those, and its history has an epoch a row."""
    settings = tiny_models.lstm_settings(**EASY)
    seconds = selection.trial(1, data=data, settings=settings, hop_seconds=tiny_models.HOP, seed=1, folder=tmp_path)
    assert 0 < seconds < 600
    table = pd.read_parquet(tmp_path / "1.parquet")
    assert set(table.clip_id) == set(data.fold(1).clips("val").clip_id)
    assert len(pd.read_csv(tmp_path / "1.csv")) == settings.epochs
    numbers = selection.numbers({1: table, 2: table}, resamples=200)
    assert set(numbers) == {"val_uar", "val_uar_ci_low", "val_uar_ci_high", "val_nll", "fold1_val_uar", "fold2_val_uar"}
    assert 0 < numbers["val_nll"] < np.log(3)
    assert numbers["val_uar"] == pytest.approx(numbers["fold1_val_uar"])
    assert numbers["val_uar"] > 0.9


def test_each_branch_is_asked(data: Dataset, tmp_path: Path) -> None:
    """Alone each gives shares of test clips, and the weighted mean of their logits is the answer of all."""
    settings, fold = tiny_models.lstm_settings(functionals_fusion_weight=2), data.fold(1)
    train = replace(trainer.examples(fold, settings, "train"), seen=batching.BranchInputs(dynamics=[(0, 1), (2, 3)]))
    trainer.make_deterministic(1)
    trainer.save(build_from_data(train, settings, n_classes=3), tmp_path)
    trainer.make_deterministic(1)  # names of layers are counted anew, as in another process
    model = trainer.load(tmp_path)
    found = branches.shares_of(model, fold, settings, hop_seconds=tiny_models.HOP)
    assert list(found) == ["by_frames", "by_functionals", "by_movement", "together"]
    assert {share.shape for share in found.values()} == {(len(fold.clips("test")), 3)}
    logits = sum(weight * np.log(found[name]) for name, weight in zip(found, (1, 2, 2, 0), strict=True)) / 5
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found["together"], expected, rtol=1e-4)


def test_a_trial_changes_known_keys_only() -> None:
    """Values are YAML; what is no key of train_lstm is refused by name."""
    settings = tiny_models.lstm_settings()
    assert selection.replaced(settings, ["lstm_units=7", "train_lstm.conv_filters=[3, 4]"]).conv_filters == (3, 4)
    assert selection.replaced(settings, ["lstm_units=7"]).lstm_units == 7
    with pytest.raises(UserError, match="unitz"):
        selection.replaced(settings, ["unitz=7"])
    with pytest.raises(UserError, match="KEY=VALUE"):
        selection.replaced(settings, ["lstm_units"])


def test_operations_are_counted() -> None:
    """Of a convolution at every second frame, its pooling, a recurrent layer and dense ones, by hand; three times."""
    settings = tiny_models.lstm_settings(
        architecture="cnn_bilstm", conv_filters=[6], conv_stride=2, lstm_units=5, dense_units=7
    )
    clips = batching.Examples([np.ones((8, 7), np.float32)], np.zeros(1, np.int64))
    convolution, recurrent = 4 * 5 * 7 * 6, 2 * 2 * (6 + 5) * 4 * 5
    dense = 2 * 10 * 1 + 10 * 7 + 7 * training.CLASSES
    found = training.operations(settings, clips, hop_seconds=tiny_models.HOP)
    assert found == 3 * 2 * (convolution + recurrent + dense)


def test_operations_of_all_branches_are_counted() -> None:
    """A second recurrent branch has those of its own features, and dense ones those of functionals, once a clip."""
    settings = tiny_models.lstm_settings(architecture="lstm", lstm_units=5, dense_units=7, functionals_units=3)
    seen = batching.BranchInputs(spectral=[(0, 4)], prosody=[(4, 7)], dynamics=[(0, 2)])
    clips = batching.Examples([np.ones((8, 7), np.float32)], np.zeros(1, np.int64), np.ones((1, 6), np.float32), seen)
    recurrent = sum(8 * (features + 5) * 4 * 5 + 8 * 5 + 5 * 7 + 7 * training.CLASSES for features in (4, 3))
    dense = sum(values * 3 + 3 * training.CLASSES for values in (6, 2))
    found = training.operations(settings, clips, hop_seconds=tiny_models.HOP)
    assert found == 3 * 2 * (recurrent + dense)


def test_an_epoch_is_measured_with_all_branches() -> None:
    """Both ways of training take made-up clips with what each branch of the settings sees."""
    params = factories.settings(train_lstm=tiny_models.lstm_settings(architecture="lstm").model_dump())
    clips = training.clips(params)
    assert clips.functionals is not None and clips.seen.prosody and clips.seen.dynamics
    few = batching.Examples(clips.frames[:9], clips.labels[:9], clips.functionals[:9], clips.seen)
    for way in training.VARIANTS.values():
        trainer.make_deterministic(1)
        history = way(params.train_lstm, few, hop_seconds=params.features.hop_seconds)().history
        assert sum(name.endswith("_loss") for name in history) == len(BRANCHES), history
        assert np.isfinite(history["loss"]).all()
