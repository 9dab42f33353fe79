"""Test served models (predictions of paths, bytes and samples, errors per row), and the model registry."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import scoring_server

from ser.tracking import mlflow_runs, pyfunc_model, registry
from ser.utils.errors import UserError
from tests.helpers import mlflow_store

LABELS = ("happy", "sad")
OUTPUT = ["label", "confidence", "prob_happy", "prob_sad", "flags", "error"]


class FakeModel:
    """Predict the name of the type of a recording."""

    labels = LABELS

    def predict(self, recording: Any) -> Any:
        if recording == "bad.wav":
            raise UserError("bad.wav: cannot be read.")
        probabilities = {"happy": 0.75, "sad": 0.25}
        label, flags = type(recording).__name__, ("short", "clipped")
        return SimpleNamespace(label=label, confidence=0.75, probabilities=probabilities, flags=flags)


def predict(table: pd.DataFrame) -> pd.DataFrame:
    model = pyfunc_model.EmotionModel()
    model.model = FakeModel()
    return model.predict(None, table)


@pytest.mark.parametrize(
    ("row", "label"),
    [
        ({"path": "a.wav"}, "str"),
        ({"path": "a.wav", "audio": None, "samples": None, "rate": float("nan")}, "str"),
        ({"audio": b"RIFF"}, "bytes"),
        ({"audio": "UklG\nRg==\n"}, "bytes"),
        ({"audio": bytearray(b"RIFF")}, "bytes"),
        ({"samples": [0.0, 0.5], "rate": 16000.0}, "tuple"),
        ({"samples": np.zeros(3), "rate": 8000}, "tuple"),
    ],
)
def test_inputs(row: dict[str, Any], label: str) -> None:
    """A path, bytes, and samples with their rate are predicted; empty columns are ignored."""
    [output] = predict(pd.DataFrame([row])).to_dict("records")
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
        ({"path": ""}, "path"),
        ({"path": 3}, "int"),
        ({"audio": "no base64!"}, "base64"),
        ({"audio": 3}, "audio"),
        ({"samples": ["a"], "rate": 8000}, "samples"),
        ({"samples": [[0.0], [0.0, 1.0]], "rate": 8000}, "samples"),
        ({"samples": [0.0], "rate": 0.5}, "rate"),
        ({"samples": [0.0], "rate": float("inf")}, "rate"),
        ({"samples": [0.0], "rate": "fast"}, "rate"),
    ],
)
def test_errors_per_row(row: dict[str, Any], error: str) -> None:
    """An unusable row has an error and None otherwise; other rows are predicted, with the index of the input."""
    table = pd.DataFrame([{"path": None} | row, {"path": "a.wav"}], index=[7, 3])
    output = predict(table)
    assert error in output.error[7]
    assert output.index.tolist() == [7, 3]
    assert list(output) == OUTPUT
    assert all(value is None for value in output.loc[7].drop("error"))
    assert (output.label[3], output.prob_happy[3], output.error[3]) == ("str", 0.75, "")


@pytest.mark.parametrize(
    ("columns", "found"), [(["file"], "no column"), ([], "no row"), (["rate"], "rate"), (["samples", "sr"], "samples")]
)
def test_missing_columns(columns: list[str], found: str) -> None:
    """An input without a column that is accepted is an error that names those, with HTTP status 400."""
    with pytest.raises(MlflowException, match=rf"{found}.*path.*audio.*samples.*rate") as caught:
        predict(pd.DataFrame([["a"] * len(columns)] * 2, columns=columns))
    assert caught.value.get_http_status_code() == 400


def test_no_rows() -> None:
    """An empty table with columns gives an empty table of predictions."""
    output = predict(pd.DataFrame({"path": []}))
    assert (len(output), list(output)) == (0, OUTPUT)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Save a model with its signature, and load it as the scoring server does."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "card.json").write_text("{}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ser.inference.model.load", lambda _folder: FakeModel())
        mlflow.pyfunc.save_model(
            str(folder / "model"),
            python_model=pyfunc_model.__file__,
            artifacts={"model": str(folder / "card.json")},
            pip_requirements=[],
            signature=registry.signature(LABELS),
        )
        return mlflow.pyfunc.load_model(str(folder / "model"))


def post(served: Any, body: Any) -> Any:
    """Send JSON to the scoring server, and read strict JSON."""
    schema = served.metadata.get_input_schema()
    response = scoring_server.invocations(json.dumps(body).encode(), "application/json", served, schema)
    assert (response.status, response.mimetype) == (200, "application/json")

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not valid in JSON")

    return json.loads(response.response, parse_constant=refuse)["predictions"]


AUDIO = base64.b64encode(b"RIFF\0\0").decode()


@pytest.mark.parametrize("key", ["dataframe_records", "inputs"])
def test_served_rows_may_differ(served: Any, key: str) -> None:
    """There is one prediction or error per row, in order, whatever the rows have."""
    samples = {"samples": [0, 0.5], "rate": 8000}
    rows = [{"path": "a.wav"}, {"audio": AUDIO}, samples, {"path": "bad.wav"}, {"file": "b.wav"}, {}, {"path": None}]
    predictions = post(served, {key: rows})
    assert [row["label"] for row in predictions] == ["str", "bytes", "tuple", None, None, None, None]
    assert [bool(row["error"]) for row in predictions] == [False] * 3 + [True] * 4
    assert predictions[3] == dict.fromkeys(OUTPUT) | {"error": "bad.wav: cannot be read."}


@pytest.mark.parametrize(
    "column",
    [
        {"path": ["a.wav", "bad.wav"]},
        {"audio": [AUDIO, AUDIO]},
        {"samples": [[0, 0.5], [0.5]], "rate": [8000, 8000]},
    ],
)
@pytest.mark.parametrize("key", ["dataframe_split", "dataframe_records", "inputs", "columns", "instances"])
def test_every_format_has_as_many_predictions_as_rows(served: Any, key: str, column: dict[str, list[Any]]) -> None:
    """Tables by row and by column are equal; only samples of different length cannot be `instances`."""
    rows = [dict(zip(column, values, strict=True)) for values in zip(*column.values(), strict=True)]
    split = {"columns": list(column), "data": [list(row.values()) for row in rows]}
    body = {"dataframe_split": split, "columns": column}.get(key, rows)
    if key == "instances" and "samples" in column:
        with pytest.raises(MlflowException, match="shape"):
            post(served, {key: body})
        return
    predictions = post(served, {"inputs" if key == "columns" else key: body})
    expected = {"path": ["str", None], "audio": ["bytes", "bytes"], "samples": ["tuple", "tuple"]}
    assert [row["label"] for row in predictions] == expected[next(iter(column))]


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_records": [{"file": "a"}, {"file": "b"}]},
        {"dataframe_records": []},
        {"dataframe_split": {"columns": ["file"], "data": [["a"]]}},
        {"instances": ["a", "b"]},
        {"instances": []},
        {"inputs": {"file": ["a", "b"]}},
        {"inputs": ["a"]},
        {"inputs": {}},
    ],
)
def test_served_input_without_columns(served: Any, body: Any) -> None:
    """Wrong and missing columns are an error that names the accepted ones."""
    with pytest.raises(MlflowException, match=r"path.*audio.*samples.*rate") as caught:
        post(served, body)
    assert caught.value.get_http_status_code() == 400


def test_served_empty_table(served: Any) -> None:
    """No rows give no predictions."""
    assert post(served, {"dataframe_split": {"columns": ["path"], "data": []}}) == []


@pytest.mark.parametrize(
    ("columns", "labels"),
    [
        ({"path": ["a.wav", "bad.wav"]}, ["str", None]),
        ({"path": ["a.wav"]}, ["str"]),
        ({"path": []}, []),
        ({"path": "a.wav"}, ["str"]),
        ({"audio": [AUDIO, "no base64!"]}, ["bytes", None]),
        ({"samples": [[0.0], [0.5]], "rate": [8000, 8000]}, ["tuple", "tuple"]),
    ],
)
def test_dict_of_columns(served: Any, columns: dict[str, Any], labels: list[str | None]) -> None:
    """A dict of lists has a row per value."""
    assert served.predict(columns).label.tolist() == labels


def test_pandas_input_with_all_columns(served: Any) -> None:
    """Tables as Spark passes them, with missing values in unused columns, are predicted."""
    columns = {"path": ["a.wav", None], "audio": [None, b"RIFF\0"], "samples": [None, None], "rate": [None, None]}
    for table in (pd.DataFrame(columns), pd.DataFrame(columns, dtype=object)):
        assert served.predict(table).label.tolist() == ["str", "bytes"]


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
