"""Each fold and seed is trained on its own clips, and an interrupted training is resumed with the same result."""

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ser.models import baselines, cross_validation, trainer
from ser.models import dataset as training_data
from ser.models.dataset import Dataset
from ser.predictions import table as prediction_table
from ser.predictions.temperature import apply_temperature, fit_temperature
from tests.helpers import factories, tiny_models

ROOT = Path(__file__).parents[2]
CLASSES = ["neutral", "happy", "sad"]
FOLDS, SEEDS = [1, 2, 3], [5, 7]
MODELS = [(fold, seed) for fold in FOLDS for seed in SEEDS]
CLIPS = factories.with_copies(
    factories.clips(
        "ravdess",
        [f"03-01-{code}-01-{text}-01-{actor:02}" for actor in range(1, 7) for code in ("01", "03", "04") for text in
         ("01", "02")],
    ),
    kinds=["noise"],
)  # fmt: skip
ORIGINALS = CLIPS[CLIPS.augmentation == ""]
NUMBERS = pd.Series(np.arange(len(CLIPS), dtype=np.float32), index=CLIPS.clip_id)


PAIRS = (ORIGINALS.speaker.str[-2:].astype(int) - 1) // 2
SPLIT = pd.concat(
    ORIGINALS.assign(fold=fold, split=((PAIRS - fold + 1) % 3).map({0: "test", 1: "val", 2: "train"})) for fold in FOLDS
)[["clip_id", "emotion", "fold", "split"]].sort_values(["clip_id", "fold"])
"""Fold n is tested on the n-th pair of actors, validated on the next and trained on the last."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write features, of which the first identifies the clip, a split, and source code that tests may change."""
    vectors = list(np.stack([NUMBERS, -NUMBERS], axis=1))
    factories.write_features(tmp_path / "functionals", CLIPS, payload="functionals", values=vectors)
    frames = [np.tile(vector, (6, 1)) for vector in vectors]
    factories.write_features(tmp_path / "frames", CLIPS, payload="frames", values=frames)
    SPLIT.to_csv(tmp_path / "splits.csv", index=False)
    for name in ("training.py", "features/pitch.py"):
        (tmp_path / "ser" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "ser" / name).write_text("# source\n")
    monkeypatch.setattr(cross_validation, "PACKAGE", tmp_path / "ser")
    return tmp_path


def read(folder: Path, payload: str = "functionals", **options: Any) -> Dataset:
    return training_data.read(folder / payload, ["ravdess"], folder / "splits.csv", **options)


class Trainer:
    """Stores its arguments; the model is a line of text, and predictions depend on fold and seed."""

    def __init__(self, *, fails_in_fold: int | None = None) -> None:
        self.calls: dict[tuple[int, int], Dataset] = {}
        self.fails_in_fold = fails_in_fold

    def __call__(self, data: Dataset, seed: int, folder: Path) -> Any:
        [fold] = data.folds
        (folder / "model").write_text(f"{fold} {seed} {sorted(data.clips('train').clip_id)}")
        if fold == self.fails_in_fold:
            raise KeyboardInterrupt
        self.calls[fold, seed] = data
        return predict(data, seed)


def predict(data: Dataset, seed: int) -> Any:
    """Return random probabilities, most of them correct."""
    rng = np.random.default_rng([seed, *data.folds])
    correct = np.eye(3)[rng.permutation(len(data.clips("val", "test"))) % 3]
    return 0.5 * rng.dirichlet(np.ones(3), size=len(correct)) + 0.5 * correct


def train_all(folder: Path, train: Any, **changes: Any) -> pd.DataFrame:
    inputs = [folder / "functionals", folder / "splits.csv"]
    options = {"output": folder / "models" / "svm", "data": read(folder), "seeds": SEEDS, "settings": {"C": 1}}
    return cross_validation.cross_validate(train=train, **options | {"inputs": inputs} | changes)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def read_card(folder: Path, fold: int, seed: int) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((folder / "models" / "svm" / f"fold{fold}_seed{seed}" / "card.json").read_text())
    return card


def test_each_model_uses_its_fold_only(folder: Path) -> None:
    """A model gets the training clips of its fold with copies, validation and test clips without, and their features.

    Speakers of training are not in validation or test. The card describes the training data.
    """
    train = Trainer()
    train_all(folder, train)
    assert list(train.calls) == MODELS
    for (fold, seed), data in train.calls.items():
        rows = SPLIT[SPLIT.fold == fold]
        for subset in ("train", "val", "test"):
            clips, expected = data.clips(subset), set(rows.clip_id[rows.split == subset])
            assert set(clips.original_id) == expected
            assert len(clips) == len(expected) * (2 if subset == "train" else 1)
            assert data.functionals(subset)[:, 0].tolist() == NUMBERS[clips.clip_id].tolist()
        speakers = data.table.groupby("split").speaker.agg(set)
        assert not speakers["train"] & (speakers["val"] | speakers["test"])
        card = read_card(folder, fold, seed)
        assert (card["classes"], card["features"], card["functionals"]) == (CLASSES, ["a", "b"], [])
        assert (card["fold"], card["seed"], card["settings"]) == (fold, seed, {"C": 1})
        assert card["training_clips"] == len(data.clips("train"))
        assert card["training_speakers"] == sorted(speakers["train"])
    files = {f"svm/fold{fold}_seed{seed}/{name}" for fold, seed in MODELS for name in ("model", "card.json")}
    assert set(content(folder / "models")) == files


def test_each_clip_is_predicted_once_per_fold_and_seed(folder: Path) -> None:
    """The table contains the original validation and test clips of every model, sorted by fold and seed.

    The UAR of the summary is that of validation clips.
    """
    table = train_all(folder, Trainer())
    keys = ["clip_id", "fold", "split"]
    expected = SPLIT.loc[SPLIT.split != "train", keys].to_numpy().tolist()
    for seed in SEEDS:
        rows = table[table.seed == seed]
        assert sorted(rows[keys].to_numpy().tolist()) == sorted(expected)
        assert sorted(rows.clip_id[rows.split == "test"]) == sorted(ORIGINALS.clip_id)
    assert list(table.groupby(["fold", "seed"], sort=False).groups) == MODELS
    correct = table.assign(predicted=table.predicted.where(table.split == "test", table.emotion))
    summary = cross_validation.format_training_summary("svm", correct)
    assert f"{len(MODELS)} models" in summary
    assert "1.000" in summary


def test_temperature_is_fitted_per_model(folder: Path) -> None:
    """The temperature of each model is fitted on its validation clips and applied to all its probabilities."""
    train = Trainer()
    table = train_all(folder, train)
    for (fold, seed), data in train.calls.items():
        rows = table[(table.fold == fold) & (table.seed == seed)].reset_index(drop=True)
        raw = rows.assign(**dict(zip(["prob_neutral", "prob_happy", "prob_sad"], predict(data, seed).T, strict=True)))
        expected = fit_temperature(raw[raw.split == "val"])
        assert set(rows.temperature) == {expected} == {read_card(folder, fold, seed)["temperature"]}
        pd.testing.assert_frame_equal(rows, apply_temperature(raw, expected))
    assert table.temperature.nunique() == len(MODELS)


def test_test_labels_have_no_influence(folder: Path) -> None:
    """Other emotions of the test clips do not change models, cards, temperatures or probabilities."""
    before, files = train_all(folder, Trainer()), content(folder / "models")
    rows = SPLIT.copy()
    test = rows.split == "test"
    rows.loc[test, "emotion"] = rows.emotion[test].map({"neutral": "happy", "happy": "sad", "sad": "neutral"})
    rows.to_csv(folder / "splits.csv", index=False)
    after = train_all(folder, Trainer())
    assert content(folder / "models") == files
    assert (after.emotion != before.emotion)[before.split == "test"].all()
    pd.testing.assert_frame_equal(after.drop(columns="emotion"), before.drop(columns="emotion"))


@pytest.fixture
def check(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., None]:
    """Compare a table and the files with those of an uninterrupted run."""

    def check_result(table: pd.DataFrame, **changes: Any) -> None:
        output: Path = tmp_path_factory.mktemp("expected") / "svm"
        pd.testing.assert_frame_equal(table, train_all(folder, Trainer(), output=output, **changes))
        assert content(folder / "models" / "svm") == content(output)
        assert [path.name for path in (folder / "models").iterdir()] == ["svm"]

    return check_result


@pytest.fixture
def interrupted(folder: Path) -> Path:
    """Fail in the second fold; the output folder contains the model of an earlier run."""
    (folder / "models" / "svm").mkdir(parents=True)
    (folder / "models" / "svm" / "model").write_text("from an earlier run")
    with pytest.raises(KeyboardInterrupt):
        train_all(folder, Trainer(fails_in_fold=2))
    return folder


@pytest.mark.parametrize("killed", [False, True])
def test_training_is_resumed(interrupted: Path, check: Callable[..., None], killed: bool) -> None:
    """An interruption keeps finished models and the output of an earlier run; the next run trains the missing models.

    Partial files of a killed process and bytecode have no influence.
    """
    names = ("model", "card.json", "predictions.parquet")
    files = {"fingerprint", *(f"fold1_seed{seed}/{name}" for seed in SEEDS for name in names)}
    assert set(content(interrupted / "models" / ".svm.unfinished")) == files
    assert content(interrupted / "models" / "svm") == {"model": b"from an earlier run"}
    (interrupted / "ser" / "__pycache__").mkdir()
    (interrupted / "ser" / "__pycache__" / "training.pyc").touch()
    if killed:
        partial_model = interrupted / "models" / ".svm.unfinished" / ".fold2_seed5.unfinished"
        partial_model.mkdir()
        (partial_model / "model").write_text("half of a mod")
    train = Trainer()
    table = train_all(interrupted, train)
    assert list(train.calls) == [(2, 5), (2, 7), (3, 5), (3, 7)]
    check(table)


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        (None, {"settings": {"C": 2}}),
        (None, {"seeds": [7]}),
        ("splits.csv", {}),
        ("ser/training.py", {}),
        ("ser/features/pitch.py", {}),
        ("ser/new.py", {}),
        ("models/.svm.unfinished/fingerprint", {}),
    ],
)
def test_changed_inputs_start_training_again(
    interrupted: Path, check: Callable[..., None], file: str | None, changes: dict[str, Any]
) -> None:
    """After a change of settings, seeds, inputs or source code, no earlier model is used or kept."""
    if file:
        with (interrupted / file).open("a") as stream:
            stream.write("\n")
    train = Trainer()
    table = train_all(interrupted, train, **changes)
    assert list(train.calls) == [(fold, seed) for fold in FOLDS for seed in changes.get("seeds", SEEDS)]
    check(table, **changes)


def test_fingerprint_covers_the_library() -> None:
    """Changes in all packages of the library start training again."""
    assert cross_validation.PACKAGE.resolve() == ROOT / "ser"


@pytest.mark.parametrize(
    ("owner", "method", "path", "n_trained"),
    [
        (pd, "read_parquet", "fold3_seed7/predictions.parquet", 0),
        (Path, "unlink", "fold1_seed5/predictions.parquet", 0),
        (Path, "unlink", "fingerprint", 6),
        (Path, "replace", "", 6),
    ],
)
def test_interruption_at_the_end(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    check: Callable[..., None],
    owner: Any,
    method: str,
    path: str,
    n_trained: int,
) -> None:
    """An interruption while the models are moved to the output does not change the result of the next run.

    Models are trained again only if predictions are deleted, that is after all of them are read.
    """
    original = getattr(owner, method)

    def broken(file: Path, *arguments: Any, **options: Any) -> Any:
        if file == folder / "models" / ".svm.unfinished" / path:
            raise KeyboardInterrupt
        return original(file, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(owner, method, broken)
        with pytest.raises(KeyboardInterrupt):
            train_all(folder, Trainer())
    assert not (folder / "models" / "svm").exists()
    train = Trainer()
    check(train_all(folder, train))
    assert len(train.calls) == n_trained


def test_csv_files_of_models_are_concatenated(tmp_path: Path) -> None:
    """Rows are sorted numerically by fold and seed, and keep their order within a model."""
    for fold, seed in ((10, 1), (2, 30), (2, 4)):
        model = tmp_path / f"fold{fold}_seed{seed}"
        model.mkdir()
        (model / "card.json").write_text(json.dumps({"fold": fold, "seed": seed}))
        pd.DataFrame({"epoch": [1, 2], "loss": [fold, seed]}).to_csv(model / "history.csv", index=False)
    table = cross_validation.concat_member_csvs(tmp_path, "history.csv")
    assert list(table) == ["fold", "seed", "epoch", "loss"]
    assert table.to_numpy().tolist() == [
        [2, 4, 1, 2], [2, 4, 2, 4], [2, 30, 1, 2], [2, 30, 2, 30], [10, 1, 1, 10], [10, 1, 2, 1]
    ]  # fmt: skip


def test_saved_baseline_gives_the_predictions_of_the_table(folder: Path) -> None:
    """A loaded model, with the temperature of its card, predicts the probabilities in the table."""
    train = partial(baselines.train, name="knn", grid=tiny_models.GRIDS["knn"], folds=2, protocol="speaker_independent")
    table = train_all(folder, train, seeds=[1])
    for fold in FOLDS:
        model = folder / "models" / "svm" / f"fold{fold}_seed1"
        assert {path.name for path in model.iterdir()} == {"model.skops", "grid_search.csv", "card.json"}
        data = read(folder).fold(fold)
        raw = baselines.predict(baselines.load(model), data.functionals("val", "test"))
        temperature = read_card(folder, fold, 1)["temperature"]
        expected = prediction_table.prediction_table(data.clips("val", "test"), raw, classes=CLASSES, seed=1)
        expected = apply_temperature(expected, temperature).assign(temperature=temperature)
        pd.testing.assert_frame_equal(table[table.fold == fold].reset_index(drop=True), expected)


@pytest.mark.slow
def test_network_does_not_depend_on_earlier_training(folder: Path) -> None:
    """The model of the second fold has the same bytes and predictions whether or not the first fold is trained."""
    data = read(folder, "frames", functionals_dir=folder / "functionals")
    settings = tiny_models.lstm_settings(architecture="cnn_bilstm", epochs=1, batch_size=64)
    train = partial(trainer.train, settings=settings, hop_seconds=tiny_models.HOP)

    def run(name: str, *folds: int) -> tuple[dict[str, bytes], pd.DataFrame]:
        subset = Dataset(data.table[data.table.fold.isin(folds)], data.classes, data.store)
        table = train_all(folder, train, output=folder / name, data=subset, seeds=[1])
        return content(folder / name / "fold2_seed1"), table[table.fold == 2].reset_index(drop=True)

    (both, both_table), (second, second_table) = run("both", 1, 2), run("second", 2)
    assert set(both) == {"model.keras", "architecture.json", "model.weights.h5", "history.csv", "card.json"}
    assert both == second
    pd.testing.assert_frame_equal(both_table, second_table)


def predict_from_frames(data: Dataset, seed: int, folder: Path) -> Any:
    """Store the process ID and return probabilities that depend on the frames."""
    (folder / "process").write_text(str(os.getpid()))
    raw = np.array([[float(clip[0, 0]) + 1, 20, seed] for clip in data.frames("val", "test")])
    return raw / raw.sum(axis=1, keepdims=True)


def test_parallel_training_gives_the_same_result(folder: Path) -> None:
    """Two processes read the same frames and give the same predictions as one."""
    tables, processes = [], []
    for n_jobs in (1, 2):
        output = folder / f"n_jobs{n_jobs}"
        tables.append(train_all(folder, predict_from_frames, output=output, data=read(folder, "frames"), n_jobs=n_jobs))
        processes.append({path.read_text() for path in output.glob("*/process")})
    pd.testing.assert_frame_equal(*tables)
    assert processes[0] == {str(os.getpid())}
    assert str(os.getpid()) not in processes[1]
