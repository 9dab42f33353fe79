"""Test served models (predictions of paths, bytes and samples, errors per row), and the model registry."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ser.tracking import mlflow_runs, pyfunc_model, registry
from ser.utils.errors import UserError
from tests.helpers import mlflow_store

LABELS = ("happy", "sad")


class FakeModel:
    """Predict the name of the type of a recording."""

    labels = LABELS

    def predict(self, recording: Any) -> Any:
        if recording == "bad.wav":
            raise UserError("bad.wav: cannot be read.")
        probabilities = {"happy": 0.75, "sad": 0.25}
        label, flags = type(recording).__name__, ("short", "clipped")
        return SimpleNamespace(label=label, confidence=0.75, probabilities=probabilities, flags=flags)


def predict(*rows: dict[str, Any]) -> pd.DataFrame:
    model = pyfunc_model.EmotionModel()
    model.model = FakeModel()
    return model.predict(None, pd.DataFrame(rows))


@pytest.mark.parametrize(
    ("row", "label"),
    [
        ({"path": "a.wav"}, "str"),
        ({"path": "a.wav", "audio": None, "samples": None, "rate": float("nan")}, "str"),
        ({"audio": b"RIFF"}, "bytes"),
        ({"samples": [0.0, 0.5], "rate": 16000.0}, "tuple"),
        ({"samples": np.zeros(3), "rate": 8000}, "tuple"),
    ],
)
def test_inputs(row: dict[str, Any], label: str) -> None:
    """A path, bytes, and samples with their rate are predicted; empty columns are ignored."""
    [output] = predict(row).to_dict("records")
    scores = {"confidence": 0.75, "prob_happy": 0.75, "prob_sad": 0.25}
    assert output == {"label": label, **scores, "flags": "short,clipped", "error": ""}


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ({}, "no value"),
        ({"samples": [0.0]}, "samples"),
        ({"rate": 8000}, "rate"),
        ({"path": "a.wav", "audio": b"RIFF"}, "audio, path"),
        ({"path": "bad.wav"}, "bad.wav"),
    ],
)
def test_errors_per_row(row: dict[str, Any], error: str) -> None:
    """An unusable row has an error and no prediction; other rows are predicted."""
    output = predict({"path": None} | row, {"path": "a.wav"})
    assert error in output.error[0]
    assert np.isnan(output.prob_happy[0])
    assert output.label.tolist() == ["", "str"]


def test_integer_samples_keep_their_scale() -> None:
    """Whole numbers in JSON are samples between -1 and 1, not PCM."""
    samples, rate = pyfunc_model.parse_input({"samples": [0, 1, -1], "rate": 16000.0})
    assert samples.dtype == np.float64
    assert (samples.tolist(), rate) == ([0.0, 1.0, -1.0], 16000)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("project")
    return folder


@pytest.fixture(scope="module")
def versions(project: Path, mlflow_db: Path) -> Iterator[list[Any]]:
    """Register two models, the best first."""
    with pytest.MonkeyPatch.context() as patch:
        mlflow_store.enter(project, mlflow_db, patch)
        patch.setattr("ser.inference.model.load", lambda _folder: FakeModel())
        runs = [model_run("svm", "baseline"), model_run("lstm", "network")]
        mlflow_runs.record("speech", mlflow_runs.Run("a", tags={"best_model": "svm"}), runs, key="a:a")
        versions = mlflow_runs.connect().search_model_versions(f"name = '{registry.NAME}'")
        yield sorted(versions, key=lambda version: version.version)


def model_run(name: str, kind: str) -> mlflow_runs.Run:
    folder = Path("models") / name
    folder.mkdir(parents=True)
    (folder / "card.json").write_text(name)
    pd.DataFrame({"model": [name]}).to_parquet(f"{name}.parquet")
    bundle = registry.ModelBundle(name, folder, kind, LABELS)
    files = {Path(f"{name}.parquet"): registry.PREDICTIONS}
    return mlflow_runs.Run(name, tags={"model": name}, metrics={"test.uar": 0.5}, model=bundle, files=files)


def test_registered_versions(versions: list[Any]) -> None:
    """Each model is a version with its metrics, the best one is the challenger, and there is no champion."""
    client = mlflow_runs.connect()
    assert [version.tags["model"] for version in versions] == ["svm", "lstm"]
    assert client.get_registered_model(registry.NAME).aliases == {"challenger": versions[0].version}
    assert registry.champion(client) is None
    [metric] = client.get_logged_model(versions[0].source.removeprefix("models:/")).metrics
    assert (metric.key, metric.value) == ("test.uar", 0.5)


def test_registered_model_is_self_contained(versions: list[Any], project: Path) -> None:
    """It has the bundle, the code, a signature, a WAV example and requirements without TensorFlow, but no pickle."""
    folders = [path.parent for path in (project / "mlartifacts").rglob("MLmodel")]
    [folder] = [path for path in folders if "onnxruntime" in (path / "requirements.txt").read_text()]
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    assert {"artifacts/lstm/card.json", "code/ser/inference/model.py", "input_example.json"} <= names
    assert "code/ser/features/acoustic_classes.csv" in names
    assert not [name for name in names if name.endswith((".pkl", ".pyc"))]
    assert "tensorflow" not in (folder / "requirements.txt").read_text()
    inputs = json.loads(registry.signature(LABELS).to_dict()["inputs"])
    assert {"path", "audio", "samples", "rate"} == {column["name"] for column in inputs}
    assert registry.example().audio[0].startswith(b"RIFF")


def test_promotion(versions: list[Any]) -> None:
    """A version is found by its run, or by the experiment's run if it is the best, and can be promoted."""
    client = mlflow_runs.connect()
    parent = client.get_run(versions[0].run_id).data.tags["mlflow.parentRunId"]
    assert registry.version_of_run(client, versions[1].run_id).number == str(versions[1].version)
    best = registry.version_of_run(client, parent)
    assert (best.number, best.predictions.model.tolist()) == (str(versions[0].version), ["svm"])
    registry.promote(client, best)
    champion = registry.champion(client)
    assert champion is not None
    assert (champion.number, champion.run_id) == (best.number, versions[0].run_id)
    with pytest.raises(UserError, match="--run 0123"):
        registry.version_of_run(client, "0123")
