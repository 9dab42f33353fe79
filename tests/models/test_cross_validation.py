"""Every fold and seed is trained on its own clips, and what an interruption leaves is taken up or thrown away whole."""

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
MEMBERS = [(fold, seed) for fold in FOLDS for seed in SEEDS]
CLIPS = factories.with_copies(
    factories.clips(
        "ravdess",
        [f"03-01-{code}-01-{text}-01-{actor:02}" for actor in range(1, 7) for code in ("01", "03", "04") for text in
         ("01", "02")],
    ),
    kinds=["noise"],
)  # fmt: skip
ORIGINALS = CLIPS[CLIPS.augmentation == ""]


class BrokenError(Exception):
    """What interrupts training here."""


def split() -> pd.DataFrame:
    """Test fold n on the n-th two actors, stop by the next two, and train on the others."""
    actor = ORIGINALS.speaker.str[-2:].astype(int)
    pair = (actor - 1) // 2
    folds = [
        ORIGINALS.assign(fold=fold, split=((pair - fold + 1) % 3).map({0: "test", 1: "val", 2: "train"}))
        for fold in FOLDS
    ]
    return pd.concat(folds)[["clip_id", "emotion", "fold", "split"]].sort_values(["clip_id", "fold"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Stand beside features of two numbers a clip and a split of three folds."""
    number = CLIPS.clip_id.rank().to_numpy()
    vectors = list(np.stack([number, -number], axis=1).astype(np.float32))
    factories.write_features(tmp_path / "functionals", CLIPS, payload="functionals", values=vectors)
    split().to_csv(tmp_path / "splits.csv", index=False)
    for name in ("training.py", "features/pitch.py"):
        (tmp_path / "ser" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "ser" / name).write_text("# as it was\n")
    return tmp_path


def read(folder: Path) -> Dataset:
    return training_data.read(folder / "functionals", ["ravdess"], folder / "splits.csv", augmented=True)


class Trainer:
    """Remembers what it is given; its models are a line of text, and its answers depend on fold and seed."""

    def __init__(self, *, fails_in_fold: int | None = None) -> None:
        self.calls: list[tuple[int, int]] = []
        self.seen: dict[tuple[int, int], Dataset] = {}
        self.fails_in_fold = fails_in_fold

    def __call__(self, data: Dataset, seed: int, folder: Path) -> Any:
        [fold] = data.folds
        (folder / "model").write_text(f"{fold} {seed} {sorted(data.clips('train').clip_id)}")
        if fold == self.fails_in_fold:
            raise BrokenError
        self.calls.append((fold, seed))
        self.seen[fold, seed] = data
        return shares(data, seed)


def shares(data: Dataset, seed: int) -> Any:
    """Answer at random, but mostly right."""
    rng = np.random.default_rng([seed, *data.folds])
    right = np.eye(3)[rng.permutation(len(data.clips("val", "test"))) % 3]
    return 0.5 * rng.dirichlet(np.ones(3), size=len(right)) + 0.5 * right


def train_all(folder: Path, train: Any, **changes: Any) -> pd.DataFrame:
    output = changes.pop("output", folder / "models" / "svm")
    inputs = [folder / "functionals", folder / "splits.csv"]
    more = {"seeds": SEEDS, "settings": {"C": 1}, "inputs": inputs} | changes
    return cross_validation.cross_validate(output, read(folder), train, **more)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# What a member sees, and what is kept of it ---------------------------------------------------------------------------


def test_each_fold_and_seed_is_a_model_of_its_own(folder: Path) -> None:
    """There is a folder a member, with the model and its card and nothing else, and nothing unfinished."""
    train = Trainer()
    train_all(folder, train)
    assert train.calls == MEMBERS
    expected = {f"fold{fold}_seed{seed}/{name}" for fold, seed in MEMBERS for name in ("model", "card.json")}
    assert set(content(folder / "models")) == {f"svm/{name}" for name in expected}


def test_what_is_told_of_a_run(folder: Path) -> None:
    """Its UAR is over validation clips alone, of all folds and seeds."""
    table = train_all(folder, Trainer())
    right = table.predicted.where(table.split == "test", table.emotion)
    told = cross_validation.format_training_summary("svm", table.assign(predicted=right))
    assert told == f"svm: {len(MEMBERS)} models, UAR 1.000 on validation clips"


def test_a_member_sees_its_fold_alone(folder: Path) -> None:
    """It trains on its fold's training clips with copies, stops by validation clips without; speakers are apart."""
    train = Trainer()
    train_all(folder, train)
    for (fold, _), data in train.seen.items():
        rows = split()[lambda table, n=fold: table.fold == n]
        for subset in ("train", "val", "test"):
            found = data.clips(subset)
            own = set(rows.clip_id[rows.split == subset])
            assert set(found.original_id) == own
            assert len(found) == len(own) * (2 if subset == "train" else 1)
            positions = CLIPS.set_index("clip_id").index.get_indexer(found.clip_id)
            assert data.functionals(subset)[:, 0].tolist() == (CLIPS.clip_id.rank()[positions]).tolist()
        speakers = data.table.groupby("split").speaker.agg(set)
        assert not speakers["train"] & (speakers["val"] | speakers["test"])


def test_each_clip_is_predicted_once_a_fold_and_seed(folder: Path) -> None:
    """The table has validation and test clips of every member once, no copies, in the order of folds and seeds."""
    table = train_all(folder, Trainer())
    assert not table.duplicated(["clip_id", "fold", "seed"]).any()
    wanted = split()[lambda rows: rows.split != "train"]
    for seed in SEEDS:
        found = table[table.seed == seed]
        assert set(zip(found.clip_id, found.fold, found.split, strict=True)) == set(
            zip(wanted.clip_id, wanted.fold, wanted.split, strict=True)
        )
    assert (table.augmentation == "").all()
    assert list(table.groupby(["fold", "seed"], sort=False).groups) == MEMBERS
    tested = table[(table.split == "test") & (table.seed == 5)]
    assert sorted(tested.clip_id) == sorted(ORIGINALS.clip_id)


def test_a_temperature_is_that_of_the_member_s_validation_clips(folder: Path) -> None:
    """Each member has its own, in its card and its rows, and its probabilities are divided by it."""
    train = Trainer()
    table = train_all(folder, train)
    for (fold, seed), data in train.seen.items():
        rows = table[(table.fold == fold) & (table.seed == seed)].reset_index(drop=True)
        raw = rows.assign(**dict(zip(["prob_neutral", "prob_happy", "prob_sad"], shares(data, seed).T, strict=True)))
        expected = fit_temperature(raw[raw.split == "val"])
        assert set(rows.temperature) == {expected}
        card = json.loads((folder / "models" / "svm" / f"fold{fold}_seed{seed}" / "card.json").read_text())
        assert (card["fold"], card["seed"], card["temperature"]) == (fold, seed, expected)
        pd.testing.assert_frame_equal(rows, apply_temperature(raw, expected))
    assert table.temperature.nunique() == len(MEMBERS)


def test_test_labels_change_nothing_but_themselves(folder: Path) -> None:
    """With other emotions for the test clips, cards, models, temperatures and probabilities are as they were."""
    before, files = train_all(folder, Trainer()), content(folder / "models")
    rows = split()
    test = rows.split == "test"
    rows.loc[test, "emotion"] = rows.emotion[test].map({"neutral": "happy", "happy": "sad", "sad": "neutral"})
    rows.to_csv(folder / "splits.csv", index=False)
    after = train_all(folder, Trainer())
    assert content(folder / "models") == files
    assert (after.emotion != before.emotion)[before.split == "test"].all()
    pd.testing.assert_frame_equal(after.drop(columns="emotion"), before.drop(columns="emotion"))


def test_a_card_says_how_a_model_was_trained(folder: Path) -> None:
    """A saved model is known by its classes, its input columns, its settings and its own fold's training speakers."""
    train_all(folder, Trainer())
    card = json.loads((folder / "models" / "svm" / "fold2_seed7" / "card.json").read_text())
    rows = split()[lambda table: (table.fold == 2) & (table.split == "train")]
    assert card["classes"] == CLASSES
    assert card["features"] == ["a", "b"]
    assert card["settings"] == {"C": 1}
    assert card["training_clips"] == 2 * len(rows)
    assert card["training_speakers"] == sorted({f"ravdess-{name[-2:]}" for name in rows.clip_id})


# Interruptions --------------------------------------------------------------------------------------------------------


@pytest.fixture
def undisturbed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., None]:
    """Compare table and files with those of a run that nothing interrupted."""

    def check(table: pd.DataFrame, **changes: Any) -> None:
        elsewhere: Path = tmp_path_factory.mktemp("elsewhere") / "svm"
        expected = train_all(folder, Trainer(), output=elsewhere, **changes)
        pd.testing.assert_frame_equal(table, expected)
        assert content(folder / "models" / "svm") == content(elsewhere)
        assert [path.name for path in (folder / "models").iterdir()] == ["svm"]

    return check


@pytest.fixture
def interrupted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Fail in the second fold, with the models of an earlier run in place and the library in a folder to be edited."""
    monkeypatch.setattr(cross_validation, "PACKAGE", folder / "ser")
    (folder / "models" / "svm").mkdir(parents=True)
    (folder / "models" / "svm" / "model").write_text("from an earlier run")
    with pytest.raises(BrokenError):
        train_all(folder, Trainer(fails_in_fold=2))
    return folder


def test_an_interruption_keeps_what_was_finished_and_the_earlier_run(interrupted: Path) -> None:
    """Members of the first fold wait beside the output, which is as it was; nothing is left of the one that failed."""
    waiting = content(interrupted / "models" / ".svm.unfinished")
    names = ("model", "card.json", "predictions.parquet")
    assert set(waiting) == {"made_from", *(f"fold1_seed{seed}/{name}" for seed in SEEDS for name in names)}
    assert content(interrupted / "models" / "svm") == {"model": b"from an earlier run"}


def test_training_goes_on_where_it_was_interrupted(interrupted: Path, undisturbed: Callable[..., None]) -> None:
    """The next run trains what is missing, and ends with the files and the table of an undisturbed one."""
    train = Trainer()
    table = train_all(interrupted, train)
    assert train.calls == [(2, 5), (2, 7), (3, 5), (3, 7)]
    undisturbed(table)


def test_a_killed_member_leaves_nothing(interrupted: Path, undisturbed: Callable[..., None]) -> None:
    """What a kill, which nobody tidies up after, leaves of a member half trained is not among the models."""
    half = interrupted / "models" / ".svm.unfinished" / ".fold2_seed5.unfinished"
    half.mkdir()
    (half / "model").write_text("half of a mod")
    undisturbed(train_all(interrupted, Trainer()))


def touch(file: Path) -> None:
    file.write_text(file.read_text() + "\n")


@pytest.mark.parametrize(
    ("change", "changes"),
    [
        (lambda folder: None, {"settings": {"C": 2}}),
        (lambda folder: None, {"seeds": [7]}),
        (lambda folder: touch(folder / "splits.csv"), {}),
        (lambda folder: touch(folder / "ser" / "training.py"), {}),
        (lambda folder: touch(folder / "ser" / "features" / "pitch.py"), {}),
        (lambda folder: (folder / "ser" / "new.py").touch(), {}),
        (lambda folder: (folder / "models" / ".svm.unfinished" / "made_from").unlink(), {}),
    ],
    ids=["setting", "seeds", "split", "library", "another package", "new module", "unknown"],
)
def test_what_was_made_from_something_else_is_not_used(
    interrupted: Path, undisturbed: Callable[..., None], change: Callable[[Path], Any], changes: dict[str, Any]
) -> None:
    """After another setting, split or library every member is trained anew, and none of before is left."""
    change(interrupted)
    train = Trainer()
    table = train_all(interrupted, train, **changes)
    assert train.calls == [(fold, seed) for fold in FOLDS for seed in changes.get("seeds", SEEDS)]
    undisturbed(table, **changes)


def test_the_whole_library_is_watched() -> None:
    """Wherever the module lies that trains, code that measures features counts."""
    assert cross_validation.PACKAGE.resolve() == ROOT / "ser"
    assert any(
        "features" in str(path.relative_to(cross_validation.PACKAGE)) for path in cross_validation.PACKAGE.rglob("*.py")
    )


def test_bytecode_is_no_change(interrupted: Path) -> None:
    """That Python compiles the library does not start training anew."""
    (interrupted / "ser" / "__pycache__").mkdir()
    (interrupted / "ser" / "__pycache__" / "training.pyc").touch()
    train = Trainer()
    train_all(interrupted, train)
    assert (1, 5) not in train.calls


@pytest.mark.parametrize(
    ("method", "name"),
    [("unlink", "predictions.parquet"), ("unlink", "made_from"), ("replace", ".svm.unfinished")],
)
def test_interrupted_at_the_very_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: Callable[..., None], method: str, name: str
) -> None:
    """Between taking the predictions and putting models in place, too, an interruption costs time but no result."""
    original = getattr(Path, method)

    def broken(path: Path, *arguments: Any, **more: Any) -> Any:
        if path.name == name and ".svm.unfinished" in path.parts:
            raise BrokenError
        return original(path, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Path, method, broken)
        with pytest.raises(BrokenError):
            train_all(folder, Trainer())
    assert not (folder / "models" / "svm").exists()
    undisturbed(train_all(folder, Trainer()))


def test_predictions_are_let_go_when_all_were_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the last member's cannot be read, those before it are still there, and nothing is trained again."""
    read_parquet = pd.read_parquet

    def broken(file: Path) -> pd.DataFrame:
        if file.parent.name == "fold3_seed7":
            raise BrokenError
        return read_parquet(file)

    with monkeypatch.context() as patch:
        patch.setattr(cross_validation.pd, "read_parquet", broken)
        with pytest.raises(BrokenError):
            train_all(folder, Trainer())
    train = Trainer()
    train_all(folder, train)
    assert train.calls == []


# Tables of all members, and the network -------------------------------------------------------------------------------


def test_tables_are_collected_by_fold_and_seed(tmp_path: Path) -> None:
    """Rows keep their order within a member, and members stand by number and not by name: 2 before 10."""
    for fold, seed in ((10, 1), (2, 30), (2, 4)):
        member = tmp_path / f"fold{fold}_seed{seed}"
        member.mkdir()
        (member / "card.json").write_text(json.dumps({"fold": fold, "seed": seed}))
        pd.DataFrame({"epoch": [1, 2], "loss": [fold, seed]}).to_csv(member / "history.csv", index=False)
    found = cross_validation.concat_member_csvs(tmp_path, "history.csv")
    assert list(found) == ["fold", "seed", "epoch", "loss"]
    assert found.to_numpy().tolist() == [
        [2, 4, 1, 2], [2, 4, 2, 4], [2, 30, 1, 2], [2, 30, 2, 30], [10, 1, 1, 10], [10, 1, 2, 1]
    ]  # fmt: skip


def test_a_saved_baseline_gives_its_predictions(folder: Path) -> None:
    """What is loaded from a member's folder, divided by the card's temperature, answers as the run's table says."""
    train = partial(baselines.train, name="knn", grid=tiny_models.GRIDS["knn"], folds=2, protocol="speaker_independent")
    table = train_all(folder, train, seeds=[1])
    for fold in FOLDS:
        member = folder / "models" / "svm" / f"fold{fold}_seed1"
        assert {path.name for path in member.iterdir()} == {"model.skops", "grid_search.csv", "card.json"}
        data = read(folder).fold(fold)
        raw = baselines.predict(baselines.load(member), data.functionals("val", "test"))
        temperature = json.loads((member / "card.json").read_text())["temperature"]
        made = prediction_table.prediction_table(data.clips("val", "test"), raw, classes=CLASSES, seed=1)
        expected = apply_temperature(made, temperature).assign(temperature=temperature)
        pd.testing.assert_frame_equal(table[table.fold == fold].reset_index(drop=True), expected)


def test_a_network_does_not_depend_on_those_before_it(folder: Path) -> None:
    """The second fold's model is the same bytes, with the same predictions, whether the first was trained or not."""
    frames = list(np.random.default_rng(0).normal(size=(len(CLIPS), 6, 2)).astype(np.float32))
    factories.write_features(folder / "frames", CLIPS, payload="frames", values=frames)
    functionals = folder / "functionals"
    data = training_data.read(folder / "frames", ["ravdess"], folder / "splits.csv", augmented=True, beside=functionals)
    settings = tiny_models.lstm_settings(architecture="cnn_bilstm", epochs=1, batch_size=64)
    train = partial(trainer.train, settings=settings, hop_seconds=tiny_models.HOP)

    def run(name: str, *folds: int) -> tuple[dict[str, bytes], pd.DataFrame]:
        some = Dataset(data.table[data.table.fold.isin(folds)], data.classes, data.store)
        table = cross_validation.cross_validate(folder / name, some, train, seeds=[1], settings={}, inputs=[])
        return content(folder / name / "fold2_seed1"), table[table.fold == 2].reset_index(drop=True)

    after, after_table = run("both", 1, 2)
    alone, alone_table = run("second", 2)
    assert set(after) == {"model.keras", "architecture.json", "model.weights.h5", "history.csv", "card.json"}
    assert [name for name in after if after[name] != alone[name]] == []
    pd.testing.assert_frame_equal(after_table, alone_table)


# Side by side ---------------------------------------------------------------------------------------------------------


def answer_by_frames(data: Dataset, seed: int, folder: Path) -> Any:
    """Leave who was at work, and answer by the first number of each clip's frames."""
    (folder / "process").write_text(str(os.getpid()))
    first = [float(clip[0, 0]) % 1 for clip in data.frames("val", "test")]
    found = np.array([[value, 1 - value, seed / 10] for value in first])
    return found / found.sum(axis=1, keepdims=True)


def test_members_side_by_side_are_the_same(tmp_path: Path) -> None:
    """Trained in two processes, which read the same frames, all members come out as they do one after the other."""
    values = [np.full((3, 2), n / 1000, dtype=np.float32) for n in range(len(CLIPS))]
    factories.write_features(tmp_path / "frames", CLIPS, payload="frames", values=values)
    split().to_csv(tmp_path / "splits.csv", index=False)
    found, processes = [], []
    for n_jobs in (1, 2):
        data = training_data.read(tmp_path / "frames", ["ravdess"], tmp_path / "splits.csv", augmented=True)
        output = tmp_path / f"n_jobs{n_jobs}"
        about = {"seeds": SEEDS, "settings": {}, "inputs": [tmp_path / "splits.csv"], "n_jobs": n_jobs}
        found.append(cross_validation.cross_validate(output, data, answer_by_frames, **about))
        processes.append({path.read_text() for path in output.glob("*/process")})
    pd.testing.assert_frame_equal(*found)
    assert processes[0] == {str(os.getpid())}
    assert str(os.getpid()) not in processes[1]
