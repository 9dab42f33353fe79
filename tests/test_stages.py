"""Test the stages as commands, and that training and leakage checks get the clips they should."""

import importlib
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer
import yaml
from click.testing import Result
from typer.testing import CliRunner

from ser.dataset import splits
from ser.models import baselines, trainer
from ser.predictions import table as prediction_table
from stages import leakage, train_baselines, train_lstm
from tests.helpers import factories
from tests.helpers.signals import encode, silence, write_recordings

ROOT = Path(__file__).parents[1]
STAGES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
OPTIONS = {"train_baselines": ["--baseline", "svm"]} | {
    stage: ["--corpus", "tess"] for stage in ("download", "preprocess", "augment", "featurize")
}


def invoke(stage: str, *arguments: str) -> Result:
    app = typer.Typer()
    app.command()(importlib.import_module(f"stages.{stage}").main)
    return CliRunner().invoke(app, arguments)


def declared_files(stage: str, *kinds: str, item: str) -> list[str]:
    """List files of a stage in dvc.yaml, of the given kinds of entries, for a corpus or baseline."""
    definition = STAGES[stage].get("do", STAGES[stage])
    entries = [entry for kind in kinds for entry in definition.get(kind, [])]
    names = [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]
    return [name.replace("${item}", item) for name in names]


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("stage", STAGES)
def test_help(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    """`--help` names the options, the tables that a stage reads and its outputs, or their folders."""
    monkeypatch.chdir(tmp_path)
    result = invoke(stage, "--help")
    assert result.exit_code == 0
    text = " ".join(result.stdout.split())
    assert all(option in text for option in OPTIONS.get(stage, [])[:1])
    item = "BASELINE" if stage == "train_baselines" else "CORPUS"
    files = declared_files(stage, "outs", "plots", item=item)
    files += [name for name in declared_files(stage, "deps", item=item) if name.startswith("data/")]
    missing = [file for file in files if not any(str(path) in text for path in [file, *Path(file).parents[:-1]])]
    assert missing == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stage", STAGES)
def test_unknown_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    """A misspelt key in params.yaml is exit code 1 and one line that names it; earlier outputs do not change."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text((ROOT / "params.yaml").read_text().replace("\n  hop_seconds:", "\n  hop_second:"))
    outputs = declared_files(stage, "outs", "metrics", "plots", item=OPTIONS.get(stage, [""])[-1])
    for name in outputs:
        file = Path(name) if Path(name).suffix else Path(name) / "file"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"from an earlier run")
    before = content(tmp_path)
    assert (len(before) > 1) == bool(outputs)
    result = invoke(stage, *OPTIONS.get(stage, []))
    assert (result.exit_code, result.stdout) == (1, "")
    [line] = result.stderr.splitlines()
    assert "features.hop_second " in line
    assert "hop_seconds" in line
    assert content(tmp_path) == before


CLIPS = factories.with_copies(factories.joined(factories.ravdess(actors=range(1, 9)), factories.tess(n_words=8)))
SPLIT = splits.split_clips(CLIPS, factories.split("speaker_independent"), emotions=factories.emotions(), seed=1)
CLIP_NUMBERS = CLIPS.clip_id.rank().to_numpy(dtype=np.float32)
"""The first feature of each clip, which identifies it."""
SEEDS = [13, 17]
TRAIN = {"lstm": train_lstm.main, "svm": lambda: train_baselines.main("svm")}
LIBRARY = {"lstm": trainer, "svm": baselines}
each_model = pytest.mark.parametrize("model", TRAIN)


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write settings, features and a split."""
    folder: Path = tmp_path_factory.mktemp("features")
    settings = factories.ordinary() | {"corpora": ["tess", "ravdess"], "data_seed": 11, "model_seeds": SEEDS}
    settings["train_lstm"]["use_augmented"] = True
    settings["train_baselines"]["augmentations"] = ["noise", "pitch_shift"]
    (folder / "params.yaml").write_text(yaml.safe_dump(settings))
    vectors = [np.array([number, 1], dtype=np.float32) for number in CLIP_NUMBERS]
    factories.write_features(folder / "data/features/functionals", CLIPS, payload="functionals", values=vectors)
    frames = {"payload": "frames", "values": [v[None] for v in vectors], "names": '["mel.0", "mel.1"]'}
    factories.write_features(folder / "data/features/frames", CLIPS, **frames)
    SPLIT.to_csv(folder / "data" / "splits.csv", index=False)
    return folder


@pytest.fixture
def project(features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Enter a copy of the project, which has no models."""
    monkeypatch.chdir(shutil.copytree(features, tmp_path, dirs_exist_ok=True))
    return tmp_path


def rows(*subsets: str, copies: bool) -> pd.DataFrame:
    """Select the clips of some splits, sorted, with their number and label."""
    assigned = CLIPS.original_id.map(SPLIT.set_index("clip_id").split)
    table = CLIPS.assign(number=CLIP_NUMBERS, split=assigned, label=CLIPS.emotion.map(factories.EMOTIONS.index))
    return table[table.split.isin(subsets) & ((table.augmentation == "") | copies)]


def save(_model: Any, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model").write_text("new")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Replace the training libraries by functions that store their arguments."""
    calls = SimpleNamespace(seeds=[])

    def fit_baseline(name: str, vectors: Any, labels: Any, **options: Any) -> tuple[str, pd.DataFrame]:
        vars(calls).update(name=name, vectors=vectors, labels=labels, **options)
        calls.seeds.append(options["seed"])
        return "model", pd.DataFrame({"rank": [1]})

    def fit_lstm(_settings: Any, **options: Any) -> tuple[str, pd.DataFrame]:
        vars(calls).update(options)
        calls.seeds.append(options["seed"])
        return "model", pd.DataFrame({"epoch": [1]})

    def predict(_model: Any, features: Any, *_: Any, **__: Any) -> Any:
        calls.predicted = features
        return np.full((len(features), 8), 1 / 8)

    monkeypatch.setattr(baselines, "fit", fit_baseline)
    monkeypatch.setattr(trainer, "fit", fit_lstm)
    for library in LIBRARY.values():
        monkeypatch.setattr(library, "predict", predict)
        monkeypatch.setattr(library, "save", save)
    return calls


@pytest.mark.usefixtures("project")
def test_baseline_gets_training_clips(calls: SimpleNamespace) -> None:
    """A baseline is fitted on training clips and their copies, and predicts original validation and test clips."""
    train_baselines.main("knn")
    expected = rows("train", copies=True)
    assert calls.vectors[:, 0].tolist() == expected.number.tolist()
    assert calls.labels.tolist() == expected.label.tolist()
    assert (calls.name, calls.seeds) == ("knn", SEEDS)
    assert calls.predicted[:, 0].tolist() == rows("val", "test", copies=False).number.tolist()


@pytest.mark.usefixtures("project")
def test_grid_search_is_grouped_by_speaker(calls: SimpleNamespace) -> None:
    """The folds of the grid search are indices of training rows, without common speakers."""
    train_baselines.main("svm")
    speaker = rows("train", copies=True).speaker.to_numpy()
    assert len(calls.folds) == factories.settings().train_baselines.folds
    for train, test in calls.folds:
        assert sorted([*train, *test]) == list(range(len(speaker)))
        assert not set(speaker[train]) & set(speaker[test])


@pytest.mark.usefixtures("project")
def test_network_gets_training_clips(calls: SimpleNamespace) -> None:
    """The network is trained on training clips with copies, validated on original clips, and predicts test clips."""
    train_lstm.main()
    for examples, expected in ((calls.train, rows("train", copies=True)), (calls.val, rows("val", copies=False))):
        assert [clip[0, 0] for clip in examples.frames] == expected.number.tolist()
        assert examples.labels.tolist() == expected.label.tolist()
    assert (calls.n_classes, calls.seeds) == (8, SEEDS)
    assert [clip[0, 0] for clip in calls.predicted] == rows("val", "test", copies=False).number.tolist()


@pytest.mark.usefixtures("calls")
@each_model
def test_outputs_of_training(project: Path, model: str) -> None:
    """Training writes a folder per seed with model, settings and table, and predictions of original clips."""
    TRAIN[model]()
    members = sorted((project / "models/checkpoints" / model).iterdir())
    assert [path.name for path in members] == ["fold1_seed13", "fold1_seed17"]
    table = {"lstm": "history.csv", "svm": "grid_search.csv"}[model]
    settings = factories.settings(
        train_lstm={"use_augmented": True}, train_baselines={"augmentations": ["noise", "pitch_shift"]}
    )
    grids = settings.train_baselines
    expected = {
        "lstm": settings.train_lstm.model_dump(mode="json"),
        "svm": {"augmentations": ["noise", "pitch_shift"], "folds": grids.folds, "grid": grids.grid_of("svm")},
    }
    for member in members:
        assert {path.name for path in member.iterdir()} == {"model", "card.json", table}
        assert json.loads((member / "card.json").read_text())["settings"] == expected[model]
    predictions = pd.read_parquet(project / "data" / "predictions" / f"{model}.parquet")
    prediction_table.validate(predictions, name=model)
    assert list(predictions.clip_id) == list(rows("val", "test", copies=False).clip_id) * 2
    assert list(predictions.seed.unique()) == SEEDS
    assert set(predictions.augmentation) == {""}
    if model == "lstm":
        history = pd.read_csv("reports/lstm/history.csv")
        assert history[["fold", "seed", "epoch"]].to_numpy().tolist() == [[1, seed, 1] for seed in SEEDS]


@each_model
def test_failure_keeps_the_earlier_model(
    project: Path, monkeypatch: pytest.MonkeyPatch, calls: SimpleNamespace, model: str
) -> None:
    """If saving the second seed fails, earlier outputs do not change, and the next run continues with that seed."""
    TRAIN[model]()
    before = content(project)

    def broken(_model: Any, folder: Path) -> None:
        save(_model, folder)
        if "seed17" in str(folder):
            (folder / "model").write_text("half of a mod")
            raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(LIBRARY[model], "save", broken)
        with pytest.raises(OSError, match="disk full"):
            TRAIN[model]()
    unfinished = project / "models/checkpoints" / f".{model}.unfinished"
    assert {path.name for path in unfinished.iterdir()} == {"fingerprint", "fold1_seed13"}
    assert {name: file for name, file in content(project).items() if unfinished.name not in name} == before
    calls.seeds.clear()
    TRAIN[model]()
    assert calls.seeds == [17]
    assert content(project) == before


@pytest.mark.parametrize(("model", "table"), [("lstm", "frames"), ("svm", "functionals")])
def test_changed_features_start_training_again(
    project: Path, monkeypatch: pytest.MonkeyPatch, calls: SimpleNamespace, model: str, table: str
) -> None:
    """After an interruption, finished seeds are trained again if a feature table has changed."""
    predict = trainer.predict

    def broken(*arguments: Any, **options: Any) -> Any:
        if calls.seeds[-1] == 17:
            raise KeyboardInterrupt
        return predict(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(LIBRARY[model], "predict", broken)
        with pytest.raises(KeyboardInterrupt):
            TRAIN[model]()
    os.utime(project / "data/features" / table / "tess.parquet", ns=(1, 1))
    calls.seeds.clear()
    TRAIN[model]()
    assert calls.seeds == SEEDS


@pytest.mark.usefixtures("project")
def test_unknown_baseline(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown baseline is an error that names it and the known ones."""
    with pytest.raises(SystemExit):
        train_baselines.main("svc")
    error = capsys.readouterr().err
    assert all(name in error for name in ("svc", "svm", "knn"))


def test_leakage_checks_get_each_row_with_its_features(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips and copies of all corpora have their own functionals, and the table is written as CSV."""

    def run_checks(clips: pd.DataFrame, vectors: Any, **options: Any) -> pd.DataFrame:
        numbers = dict(zip(CLIPS.clip_id, CLIP_NUMBERS, strict=True))
        assert dict(zip(clips.clip_id, vectors[:, 0], strict=True)) == numbers
        n_estimators = factories.settings().leakage.n_estimators
        assert options == {"emotions": factories.emotions(), "n_estimators": n_estimators, "seed": 11}
        return pd.DataFrame([("leak_clip", "", 0.5, 9, 4, 2, "")], columns=list(leakage.leakage.COLUMNS))

    monkeypatch.setattr(leakage.leakage, "run_leakage_checks", run_checks)
    leakage.main()
    written = (project / "reports" / "leakage.csv").read_text().splitlines()
    assert written == ["probe,corpus,uar,clips,speakers,classes,note", "leak_clip,,0.5,9,4,2,"]


@pytest.mark.parametrize(
    ("emotions", "expected"),
    [
        ({}, []),
        (
            {"use": ["neutral", "happy", "sad"]},
            ["in no split:", "emotion calm is not a class of this run (", "excluded.csv"],
        ),
        ({"merge": {"calm": "neutral"}}, ["relabelled by emotions.merge: calm to neutral (64)"]),
    ],
)
def test_split_counts_what_it_leaves_out_or_relabels(emotions: Any, expected: list[str], project: Path) -> None:
    """One line has the number of clips in no split, by reason, and one the number of merged labels."""
    settings = yaml.safe_load(Path("params.yaml").read_text())
    settings["emotions"] |= emotions
    Path("params.yaml").write_text(yaml.safe_dump(settings))
    result = invoke("split")
    assert result.exit_code == 0, result.stderr
    _, *notes = result.stdout.splitlines()
    assert len(notes) == bool(expected)
    assert all(part in notes[0] for part in expected)


def test_download_and_preprocess_count_what_they_leave_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Songs and rejected recordings are one line each on the terminal; songs are also in the notes of the import."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    settings = factories.ordinary() | {"corpora": ["ravdess"]}
    settings["download"] |= {"data_dir": "corpora", "allow_incomplete": True}
    settings["preprocess"]["max_rejected_fraction"] = 0.5
    Path("params.yaml").write_text(yaml.safe_dump(settings))
    names = [f"03-01-0{emotion}-01-01-01-0{actor}.wav" for emotion in (3, 4) for actor in (1, 2, 3)]
    write_recordings(Path("corpora/ravdess"), [*names, "03-02-03-01-01-01-01.wav"])
    Path("corpora/ravdess", names[0]).write_bytes(encode(silence(1)))
    output = invoke("download", "--corpus", "ravdess").stdout
    assert "ravdess: songs: 1 file left out." in output.splitlines()
    assert "ravdess: songs: 1 file left out." in Path("data/recordings/ravdess.txt").read_text().splitlines()
    assert "warning: the stage split will fail" not in output
    output = invoke("preprocess", "--corpus", "ravdess").stdout
    assert output.splitlines() == ["1 of 6 recordings rejected: data/rejected/ravdess.csv"]
