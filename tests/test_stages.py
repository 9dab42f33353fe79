"""Each stage is a command that explains itself, refuses bad settings in a sentence, and trains on training clips."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from ser.dataset import splits
from ser.models import baselines, trainer
from ser.predictions import table as prediction_table
from stages import leakage, train_baselines, train_lstm
from tests.helpers import factories

ROOT = Path(__file__).parents[1]
STAGES = {
    "download": ["data/raw/CORPUS", "data/recordings/CORPUS.csv"],
    "preprocess": [
        "data/raw/CORPUS",
        "data/recordings/CORPUS.csv",
        "data/interim/CORPUS.parquet",
        "data/rejected/CORPUS.csv",
        "data/audio_stats/CORPUS.csv",
    ],
    "augment": ["data/interim/CORPUS.parquet", "data/augmented/CORPUS.parquet"],
    "featurize": [
        "data/interim/CORPUS.parquet",
        "data/augmented/CORPUS.parquet",
        "data/features/frames/CORPUS.parquet",
        "data/features/functionals/CORPUS.parquet",
    ],
    "split": ["data/features/functionals", "data/splits.csv", "data/excluded.csv"],
    "describe": ["data/raw", "data/audio_stats", "data/excluded.csv", "reports/data.html", "reports/data"],
    "leakage": ["data/features/functionals", "reports/leakage.csv"],
    "train_lstm": [
        "data/features/frames",
        "data/features/functionals",
        "data/splits.csv",
        "models/checkpoints/lstm",
        "data/predictions/lstm.parquet",
        "reports/lstm/",
    ],
    "train_baselines": [
        "data/features/functionals",
        "data/splits.csv",
        "models/checkpoints/BASELINE",
        "data/predictions/BASELINE.parquet",
    ],
    "evaluate": ["data/predictions", "metrics/metrics.json", "reports/"],
    "export": [
        "models/checkpoints",
        "data/features/frames",
        "data/features/functionals",
        "data/splits.csv",
        "models/exported",
        "reports/models.csv",
    ],
    "report": ["data/predictions", "reports/"],
    "record": ["metrics", "reports", "models/exported", "data/predictions"],
}
"""Stage -> what its help must name as read or written."""
ITEM = {"train_baselines": ["--baseline", "svm"]} | {
    stage: ["--corpus", "tess"] for stage in ("download", "preprocess", "augment", "featurize")
}


def run(stage: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200", "TERMINAL_WIDTH": "200", "NO_COLOR": "1"}
    command = [sys.executable, "-m", f"stages.{stage}", *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def declared(stage: str) -> dict[str, Any]:
    stages: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    return stages[stage].get("do", stages[stage])


def outputs(stage: str) -> list[str]:
    """Name what dvc.yaml says that a stage writes, with TESS or the svm where it has one of several."""
    listed = [out for kind in ("outs", "metrics", "plots") for out in declared(stage).get(kind, [])]
    names = [next(iter(out)) if isinstance(out, dict) else out for out in listed]
    return [name.replace("${item}", "svm" if stage == "train_baselines" else "tess") for name in names]


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_stage_is_tested() -> None:
    """The list of this file is that of the scripts."""
    scripts = {path.stem for path in (ROOT / "stages").glob("*.py")}
    assert set(STAGES) == scripts - {"__init__", "check_metrics", "promote", "reproduce", "serve"}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_explains_itself(tmp_path: Path, stage: str) -> None:
    """`--help` works anywhere, says what is read and written, shows the options, and leaves no file behind."""
    done = run(stage, "--help", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"python -m stages.{stage}" in done.stdout
    said = re.sub(r"\s+", " ", done.stdout)
    assert [place for place in STAGES[stage] if place not in said] == []
    assert all(option in said for option in ITEM.get(stage, ["--help"])[:1])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_misspelt_key_stops_a_stage(tmp_path: Path, stage: str) -> None:
    """A wrong params.yaml ends in exit code 1 and one line that names the key, and earlier outputs stay as they are."""
    settings = (ROOT / "params.yaml").read_text().replace("\n  hop_seconds:", "\n  hop_second:")
    (tmp_path / "params.yaml").write_text(settings)
    for name in outputs(stage):
        file = tmp_path / name / "file" if not Path(name).suffix else tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"from an earlier run")
    before = content(tmp_path)
    assert (len(before) > 1) == bool(outputs(stage))
    done = run(stage, *ITEM.get(stage, []), folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert "features.hop_second is not a known key; did you mean hop_seconds?" in done.stderr
    assert content(tmp_path) == before


# What reaches training ------------------------------------------------------------------------------------------------

CLIPS = factories.with_copies(factories.joined(factories.ravdess(actors=range(1, 9)), factories.tess(n_words=8)))
SPLIT = splits.split_clips(CLIPS, factories.split("speaker_independent"), emotions=factories.emotions(), seed=1)
MARKS = CLIPS.clip_id.rank().to_numpy(dtype=np.float32)
"""A number for each clip, which its features hold, so that one sees where a clip ends up."""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a project's root with features and a split, but no model yet."""
    monkeypatch.chdir(tmp_path)
    settings = factories.ordinary() | {"corpora": ["tess", "ravdess"], "data_seed": 11, "model_seeds": [13, 17]}
    for section in ("train_lstm", "train_baselines"):
        settings[section]["use_augmented"] = True
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(settings))
    vectors = [np.array([mark, 1], dtype=np.float32) for mark in MARKS]
    factories.write_features(tmp_path / "data/features/functionals", CLIPS, payload="functionals", values=vectors)
    frames = {"payload": "frames", "values": [v[None] for v in vectors], "names": '["mel.0", "mel.1"]'}
    factories.write_features(tmp_path / "data/features/frames", CLIPS, **frames)
    SPLIT.to_csv(tmp_path / "data" / "splits.csv", index=False)
    return tmp_path


def rows(*subsets: str, copies: bool) -> pd.DataFrame:
    """Pick clips of some splits by hand, sorted, each with its mark and label."""
    assigned = CLIPS.original_id.map(SPLIT.set_index("clip_id").split)
    found = CLIPS.assign(mark=MARKS, split=assigned, label=CLIPS.emotion.map(list(factories.EMOTIONS).index))
    return found[found.split.isin(subsets) & ((found.augmentation == "") | copies)]


def shares(n: int) -> Any:
    return np.full((n, len(factories.EMOTIONS)), 1 / len(factories.EMOTIONS))


def saved(_model: Any, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model").write_text("new")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Replace both libraries of models by ones that remember what they were given."""
    seen = SimpleNamespace(seeds=[])

    def fit_baseline(name: str, vectors: Any, labels: Any, **more: Any) -> tuple[str, pd.DataFrame]:
        vars(seen).update(name=name, vectors=vectors, labels=labels, **more)
        seen.seeds.append(more["seed"])
        return "model", pd.DataFrame({"rank": [1]})

    def fit_lstm(_settings: Any, **more: Any) -> tuple[str, pd.DataFrame]:
        vars(seen).update(more)
        seen.seeds.append(more["seed"])
        return "model", pd.DataFrame({"epoch": [1]})

    def predict(_model: Any, features: Any, *_: Any, **__: Any) -> Any:
        seen.judged = features
        return shares(len(features))

    monkeypatch.setattr(baselines, "fit", fit_baseline)
    monkeypatch.setattr(trainer, "fit", fit_lstm)
    for library in (baselines, trainer):
        monkeypatch.setattr(library, "predict", predict)
        monkeypatch.setattr(library, "save", saved)
    return seen


@pytest.mark.usefixtures("project")
def test_a_baseline_is_fitted_on_training_clips(calls: SimpleNamespace) -> None:
    """It gets each training clip and its copies with their labels, and nothing of validation or test."""
    train_baselines.main("knn")
    expected = rows("train", copies=True)
    assert calls.vectors[:, 0].tolist() == expected.mark.tolist()
    assert calls.labels.tolist() == expected.label.tolist()
    assert (calls.name, calls.seeds) == ("knn", [13, 17])
    assert calls.judged[:, 0].tolist() == rows("val", "test", copies=False).mark.tolist()


@pytest.mark.usefixtures("project")
def test_the_grid_search_has_folds_of_training_speakers(calls: SimpleNamespace) -> None:
    """Positions in the folds are of training rows, and no speaker is on both sides of a fold."""
    train_baselines.main("svm")
    speaker = rows("train", copies=True).speaker.to_numpy()
    assert len(calls.folds) == factories.settings().train_baselines.folds
    for train, test in calls.folds:
        assert sorted([*train, *test]) == list(range(len(speaker)))
        assert not set(speaker[train]) & set(speaker[test])


@pytest.mark.usefixtures("project")
def test_the_network_is_trained_on_training_clips(calls: SimpleNamespace) -> None:
    """It learns from training clips with copies, stops by validation clips without, and test clips it only predicts."""
    train_lstm.main()
    for examples, expected in ((calls.train, rows("train", copies=True)), (calls.val, rows("val", copies=False))):
        assert [clip[0, 0] for clip in examples.frames] == expected.mark.tolist()
        assert examples.labels.tolist() == expected.label.tolist()
    assert (calls.n_classes, calls.seeds) == (8, [13, 17])
    assert [clip[0, 0] for clip in calls.judged] == rows("val", "test", copies=False).mark.tolist()


@pytest.mark.usefixtures("calls")
@pytest.mark.parametrize(("train", "model"), [(train_lstm.main, "lstm"), (lambda: train_baselines.main("svm"), "svm")])
def test_what_training_leaves(project: Path, train: Any, model: str) -> None:
    """A folder a seed with model and card, and predictions of validation and test clips alone, none of them a copy."""
    train()
    members = sorted((project / "models/checkpoints" / model).iterdir())
    assert [path.name for path in members] == ["fold1_seed13", "fold1_seed17"]
    table = {"lstm": "history.csv", "svm": "grid_search.csv"}[model]
    for member in members:
        assert {path.name for path in member.iterdir()} == {"model", "card.json", table}
    predicted = pd.read_parquet(project / "data" / "predictions" / f"{model}.parquet")
    prediction_table.validate(predicted, name=model)
    assert list(predicted.clip_id) == list(rows("val", "test", copies=False).clip_id) * 2
    assert list(predicted.seed.unique()) == [13, 17]
    assert set(predicted.augmentation) == {""}


@pytest.mark.usefixtures("calls")
@pytest.mark.parametrize(
    ("train", "section"), [(train_lstm.main, "lstm"), (lambda: train_baselines.main("svm"), "svm")]
)
def test_a_card_has_the_settings_of_its_model(project: Path, train: Any, section: str) -> None:
    """One who finds a model finds with it all settings that it was trained with."""
    train()
    settings = factories.settings(train_lstm={"use_augmented": True}, train_baselines={"use_augmented": True})
    grids = settings.train_baselines
    expected = {
        "lstm": settings.train_lstm.model_dump(mode="json"),
        "svm": {"use_augmented": True, "folds": grids.folds, "grid": grids.grid_of("svm")},
    }
    card = json.loads((project / "models/checkpoints" / section / "fold1_seed17" / "card.json").read_text())
    assert card["settings"] == expected[section]


@pytest.mark.usefixtures("project", "calls")
def test_the_histories_of_all_seeds_are_one_table() -> None:
    """The history has the epochs of each seed, which are told apart."""
    train_lstm.main()
    history = pd.read_csv("reports/lstm/history.csv")
    assert history[["fold", "seed", "epoch"]].to_numpy().tolist() == [[1, 13, 1], [1, 17, 1]]


@pytest.mark.usefixtures("calls")
@pytest.mark.parametrize(
    ("train", "model", "library"),
    [(train_lstm.main, "lstm", trainer), (lambda: train_baselines.main("svm"), "svm", baselines)],
)
def test_a_failure_leaves_the_earlier_model(
    project: Path, monkeypatch: pytest.MonkeyPatch, calls: SimpleNamespace, train: Any, model: str, library: Any
) -> None:
    """Where saving the second seed fails half way, models and predictions of before stand untouched.

    The next run takes up the first seed, unless the features have changed.
    """
    train()
    before = content(project)

    def broken(_model: Any, folder: Path) -> None:
        saved(_model, folder)
        if "seed17" in str(folder):
            (folder / "model").write_text("half of a mod")
            raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(library, "save", broken)
        with pytest.raises(OSError, match="disk full"):
            train()
    waiting = project / "models/checkpoints" / f".{model}.unfinished"
    assert {path.name for path in waiting.iterdir()} == {"made_from", "fold1_seed13"}
    assert {name: file for name, file in content(project).items() if waiting.name not in name} == before
    calls.seeds.clear()
    train()
    assert calls.seeds == [17]
    assert content(project) == before


@pytest.mark.usefixtures("calls")
@pytest.mark.parametrize(
    ("train", "features"), [(train_lstm.main, "frames"), (lambda: train_baselines.main("svm"), "functionals")]
)
def test_other_features_start_training_anew(
    project: Path, monkeypatch: pytest.MonkeyPatch, calls: SimpleNamespace, train: Any, features: str
) -> None:
    """What an interruption left was made from the tables of then: with another one no seed is taken up."""
    predict = trainer.predict

    def broken(*given: Any, **more: Any) -> Any:
        if calls.seeds[-1] == 17:
            raise KeyboardInterrupt
        return predict(*given, **more)

    with monkeypatch.context() as patch:
        for library in (trainer, baselines):
            patch.setattr(library, "predict", broken)
        with pytest.raises(KeyboardInterrupt):
            train()
    os.utime(project / "data/features" / features / "tess.parquet", ns=(1, 1))
    calls.seeds.clear()
    train()
    assert calls.seeds == [13, 17]


@pytest.mark.usefixtures("project", "calls")
def test_an_unknown_baseline(capsys: pytest.CaptureFixture[str]) -> None:
    """A name that is no baseline ends in a sentence with those that are."""
    with pytest.raises(SystemExit):
        train_baselines.main("svc")
    assert "no grid for 'svc'; known are" in capsys.readouterr().err


# What probes learn from -----------------------------------------------------------------------------------------------


def test_probes_get_each_row_with_its_features(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips and copies of the run's corpora come with their own functionals, and the table is left as CSV."""

    def measure(clips: pd.DataFrame, vectors: Any, **more: Any) -> pd.DataFrame:
        assert dict(zip(clips.clip_id, vectors[:, 0], strict=True)) == dict(zip(CLIPS.clip_id, MARKS, strict=True))
        assert more == {
            "emotions": factories.emotions(),
            "n_estimators": factories.settings().leakage.n_estimators,
            "seed": 11,
        }
        return pd.DataFrame([("leak_clip", "", 0.5, 9, 4, 2, "")], columns=list(leakage.leakage.COLUMNS))

    monkeypatch.setattr(leakage.leakage, "run_leakage_checks", measure)
    leakage.main()
    written = (project / "reports" / "leakage.csv").read_text().splitlines()
    assert written == ["probe,corpus,uar,clips,speakers,classes,note", "leak_clip,,0.5,9,4,2,"]
