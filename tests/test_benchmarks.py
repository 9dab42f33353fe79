"""Test that benchmarks compare the same problem, count correctly, and use validation clips only."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import branch_ablation, model_selection, pipeline, plain_keras, training
from ser.models import batching, trainer
from ser.models import dataset as training_data
from ser.models.dataset import Dataset
from ser.models.network import BRANCHES, build_model
from ser.utils.errors import UserError
from tests.helpers import factories, tiny_models

CODES, TEXTS = ("01", "03", "04"), ("01-01", "01-02", "02-01", "02-02")
NAMES = [f"03-01-{code}-01-{text}-{actor:02}" for actor in range(1, 7) for code in CODES for text in TEXTS]
CLIPS = factories.clips("ravdess", NAMES)
EASY = {"architecture": "lstm", "spectral_features": ["mel"], "early_stopping_patience": None, "epochs": 10}
EASY |= {"learning_rate": 0.05}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Make clips whose level depends on the class: two actors for each of training, validation and test."""
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
    options = {"functionals_dir": folder / "functionals"}
    return training_data.read(folder / "frames", ["ravdess"], folder / "splits.csv", **options)


@pytest.mark.parametrize("architecture", ["lstm", "cnn_bilstm"])
def test_mask_hides_padding(architecture: str) -> None:
    """The masked copy of a network has equal outputs without padding, and others with padding."""
    trainer.make_deterministic(1)
    frames = tiny_models.examples(1).frames[0]
    fill_value = frames.mean(axis=0)
    settings = tiny_models.lstm_settings(architecture=architecture, conv_stride=2)
    network = build_model(batching.Examples([frames], np.zeros(1, dtype=np.int64)), settings, n_classes=3)
    copy = plain_keras.with_masking(network, settings, fill_value=fill_value)
    copy.set_weights(network.get_weights())
    np.testing.assert_array_equal(copy.predict_on_batch(frames[None]), network.predict_on_batch(frames[None]))
    padded = plain_keras.pad([frames], length=3 * len(frames), fill_value=fill_value)
    assert np.abs(copy.predict_on_batch(padded) - network.predict_on_batch(padded)).max() > 1e-5


def test_pad() -> None:
    """Clips are truncated or padded to a length."""
    clips = [np.ones((2, 1), np.float32), np.ones((5, 1), np.float32)]
    padded = plain_keras.pad(clips, length=4, fill_value=np.full(1, 7, np.float32))
    assert padded[..., 0].tolist() == [[1, 1, 7, 7], [1, 1, 1, 1]]


@pytest.mark.slow
def test_both_variants_learn(data: Dataset) -> None:
    """On an easy problem, both variants predict the validation clips, and are compared in a table."""
    changes = tiny_models.lstm_settings(**EASY, mixup=0.1, spec_augment=True, ema_momentum=0.5).model_dump()
    params = factories.settings(train_lstm=changes)
    tables = {
        variant: plain_keras.run_trial((variant, 1), data=data, params=params, seed=1)
        for variant in plain_keras.VARIANTS
    }
    for variant, table in tables.items():
        assert set(table.clip_id) == set(data.fold(1).clips("val").clip_id)
        assert (table.emotion == table.predicted).mean() > 0.8
        assert set(table.variant) == {variant}
    rows = [line.split(" | ") for line in plain_keras.format_comparison(tables, resamples=200)]
    assert [row[0] for row in rows if len(row) == 4][1:] == ["| pipeline", "| baseline"]


def test_trial_is_evaluated_on_validation_clips(data: Dataset, tmp_path: Path) -> None:
    """Predictions and metrics are of validation clips, and the history has a row per epoch."""
    settings = tiny_models.lstm_settings(**EASY)
    options = {"data": data, "settings": settings, "hop_seconds": tiny_models.HOP, "seed": 1}
    assert 0 < model_selection.run_trial(1, **options, folder=tmp_path) < 600
    table = pd.read_parquet(tmp_path / "1.parquet")
    assert set(table.clip_id) == set(data.fold(1).clips("val").clip_id)
    assert len(pd.read_csv(tmp_path / "1.csv")) == settings.epochs
    metrics = model_selection.compute_metrics({1: table, 2: table}, resamples=200)
    assert set(metrics) == {"val_uar", "val_uar_ci_low", "val_uar_ci_high", "val_nll", "fold1_val_uar", "fold2_val_uar"}
    assert 0 < metrics["val_nll"] < np.log(3)
    assert metrics["val_uar"] == pytest.approx(metrics["fold1_val_uar"])
    assert metrics["val_uar"] > 0.9


def test_branches(data: Dataset, tmp_path: Path) -> None:
    """Each branch predicts the test clips; the fused logits are the weighted mean of the branches'."""
    settings, fold = tiny_models.lstm_settings(functionals_fusion_weight=2), data.fold(1)
    inputs = batching.BranchInputs(dynamics=[(0, 1), (2, 3)])
    train = replace(trainer.load_examples(fold, settings, "train"), branch_inputs=inputs)
    trainer.make_deterministic(1)
    trainer.save(build_model(train, settings, n_classes=3), tmp_path)
    trainer.make_deterministic(1)  # resets automatic layer names, as in another process
    model = trainer.load(tmp_path)
    results = branch_ablation.predict_branches(model, fold, settings, hop_seconds=tiny_models.HOP)
    assert list(results) == ["by_frames", "by_functionals", "by_movement", "fused"]
    assert {probabilities.shape for probabilities in results.values()} == {(len(fold.clips("test")), 3)}
    logits = sum(weight * np.log(results[name]) for name, weight in zip(results, (1, 2, 2, 0), strict=True)) / 5
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(results["fused"], expected, rtol=1e-4)


def test_overrides() -> None:
    """Overrides are YAML values of known keys of train_lstm."""
    settings = tiny_models.lstm_settings()
    changed = model_selection.override(settings, ["lstm_units=7", "train_lstm.conv_filters=[3, 4]"])
    assert (changed.lstm_units, changed.conv_filters) == (7, (3, 4))
    for override in ("unitz=7", "lstm_units"):
        with pytest.raises(UserError, match=override.partition("=")[0]):
            model_selection.override(settings, [override])


def test_count_flops() -> None:
    """The count is right for strided convolutions with pooling, two recurrent branches and two dense branches."""
    options = {"lstm_units": 5, "dense_units": 7}
    clip, label = [np.ones((8, 7), np.float32)], np.zeros(1, np.int64)
    settings = tiny_models.lstm_settings(architecture="cnn_bilstm", conv_filters=[6], conv_stride=2, **options)
    convolution, recurrent = 4 * 5 * 7 * 6, 2 * 2 * (6 + 5) * 4 * 5
    dense = 2 * 10 * 1 + 10 * 7 + 7 * training.N_CLASSES
    flops = training.count_flops(settings, batching.Examples(clip, label), hop_seconds=tiny_models.HOP)
    assert flops == 3 * 2 * (convolution + recurrent + dense)
    settings = tiny_models.lstm_settings(architecture="lstm", functionals_units=3, **options)
    inputs = batching.BranchInputs(spectral=[(0, 4)], prosody=[(4, 7)], dynamics=[(0, 2)])
    examples = batching.Examples(clip, label, np.ones((1, 6), np.float32), inputs)
    recurrent = sum(8 * (features + 5) * 4 * 5 + 8 * 5 + 5 * 7 + 7 * training.N_CLASSES for features in (4, 3))
    dense = sum(values * 3 + 3 * training.N_CLASSES for values in (6, 2))
    flops = training.count_flops(settings, examples, hop_seconds=tiny_models.HOP)
    assert flops == 3 * 2 * (recurrent + dense)


@pytest.mark.slow
@pytest.mark.parametrize("variant", training.VARIANTS)
def test_epoch_trains_all_branches(variant: str) -> None:
    """Both variants train every branch of the default network on synthetic clips."""
    params = factories.settings(train_lstm=tiny_models.lstm_settings(architecture="lstm").model_dump())
    clips = training.make_clips(params)
    assert clips.functionals is not None and clips.branch_inputs.prosody and clips.branch_inputs.dynamics
    few = batching.Examples(clips.frames[:9], clips.labels[:9], clips.functionals[:9], clips.branch_inputs)
    trainer.make_deterministic(1)
    epoch = training.VARIANTS[variant](params.train_lstm, few, hop_seconds=params.features.hop_seconds)
    history = epoch().history
    assert sum(name.endswith("_loss") for name in history) == len(BRANCHES), history
    assert np.isfinite(history["loss"]).all()


def test_copies_of_the_project_have_all_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Excluded are folders of the root only: the package `ser/models` is copied, the folder `models` is not."""
    monkeypatch.chdir(tmp_path)
    for name in ("models/exported", "data/raw", "ser/models", "reports/data"):
        (tmp_path / name).mkdir(parents=True)
    pipeline.copy_project(tmp_path.parent / "copy")
    copied = {path.relative_to(tmp_path.parent / "copy").as_posix() for path in (tmp_path.parent / "copy").rglob("*")}
    assert copied == {"ser", "ser/models", "reports", "reports/data"}
