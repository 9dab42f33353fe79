"""A registered model is complete; it predicts paths, bytes and samples, and reports errors per row."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ser.tracking import mlflow_runs, pyfunc_model, registry
from ser.tracking import store as tracking_store
from ser.utils.errors import UserError

LABELS = ("happy", "sad")


class Parrot:
    """Answers with the kind of what it was given."""

    labels = LABELS

    def predict(self, recording: Any) -> Any:
        if recording == "bad.wav":
            raise UserError("bad.wav: cannot be read.")
        shares = {"happy": 0.75, "sad": 0.25}
        kind = type(recording).__name__
        return SimpleNamespace(label=kind, confidence=0.75, probabilities=shares, flags=("short", "clipped"))


@pytest.fixture
def listener() -> pyfunc_model.EmotionModel:
    listener = pyfunc_model.EmotionModel()
    listener.model = Parrot()
    return listener


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"path": "a.wav"}, "str"),
        ({"path": "a.wav", "audio": None, "samples": None, "rate": float("nan")}, "str"),
        ({"audio": b"RIFF"}, "bytes"),
        ({"samples": [0.0, 0.5], "rate": 16000.0}, "tuple"),
        ({"samples": np.zeros(3), "rate": 8000}, "tuple"),
    ],
)
def test_each_way_of_handing_over_a_recording(
    listener: pyfunc_model.EmotionModel, row: dict[str, Any], kind: str
) -> None:
    """A path, bytes, and samples with their rate are heard; what else the table has columns for is not there."""
    answer = listener.predict(None, pd.DataFrame([row])).iloc[0]
    assert (answer.label, answer.confidence, answer.prob_happy, answer.prob_sad) == (kind, 0.75, 0.75, 0.25)
    assert (answer["flags"], answer.error) == ("short,clipped", "")


@pytest.mark.parametrize("row", [{}, {"samples": [0.0]}, {"rate": 8000}, {"path": "a.wav", "audio": b"RIFF"}])
def test_a_row_that_is_no_recording_says_so(listener: pyfunc_model.EmotionModel, row: dict[str, Any]) -> None:
    """A row with none, or with two, is answered by what was expected, and the rows beside it by emotions."""
    answers = listener.predict(None, pd.DataFrame([{"path": None} | row, {"path": "a.wav"}]))
    assert "expected one of path" in answers.error[0]
    assert np.isnan(answers.prob_happy[0])
    assert answers.label.tolist() == ["", "str"]


def test_a_recording_that_cannot_be_heard_says_why(listener: pyfunc_model.EmotionModel) -> None:
    """The row has the reason, and no emotion."""
    answer = listener.predict(None, pd.DataFrame({"path": ["bad.wav"]})).iloc[0]
    assert (answer.label, answer.error) == ("", "bad.wav: cannot be read.")


def test_samples_keep_their_scale() -> None:
    """Whole numbers that arrive as JSON are samples between -1 and 1, not PCM."""
    samples, rate = pyfunc_model.parse_input({"samples": [0, 1, -1], "rate": 16000.0})
    assert samples.dtype == np.float64
    assert (samples.tolist(), rate) == ([0.0, 1.0, -1.0], 16000)


# In the registry ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, list[Any]]]:
    """Register two models in a store of their own, the first the best; what they answer with is not loaded."""
    place = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("DVC_ROOT", str(place))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr("ser.inference.model.load", lambda _folder: Parrot())
        runs = [model_run(name, kind) for name, kind in (("svm", "baseline"), ("lstm", "network"))]
        mlflow_runs.record("speech", mlflow_runs.Run("a", tags={"best_model": "svm"}), runs, key="a:a")
        client = mlflow_runs.connect()
        yield client, sorted(client.search_model_versions(f"name = '{registry.NAME}'"), key=lambda one: one.version)


def model_run(name: str, kind: str) -> mlflow_runs.Run:
    folder = Path("models") / name
    folder.mkdir(parents=True)
    (folder / "card.json").write_text(name)
    pd.DataFrame({"model": [name]}).to_parquet(f"{name}.parquet")
    model = registry.ModelBundle(name, folder, kind, LABELS)
    files = {Path(f"{name}.parquet"): registry.PREDICTIONS}
    return mlflow_runs.Run(name, tags={"model": name}, metrics={"test.uar": 0.5}, model=model, files=files)


def test_a_version_a_model_and_the_best_is_the_challenger(versions: tuple[Any, list[Any]]) -> None:
    """Each model is a version with its run, the best one is the challenger, and nobody is champion by itself."""
    client, found = versions
    assert [version.tags["model"] for version in found] == ["svm", "lstm"]
    assert client.get_registered_model(registry.NAME).aliases == {"challenger": found[0].version}
    assert registry.champion(client) is None


def test_a_model_is_whole_and_nothing_is_pickled(versions: tuple[Any, list[Any]]) -> None:
    """It has the folder, the code, a signature, an example, and requirements without TensorFlow; no pickle."""
    made = [path.parent for path in (tracking_store.root() / "mlartifacts").rglob("MLmodel")]
    [folder] = [path for path in made if "onnxruntime" in (path / "requirements.txt").read_text()]
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    assert {"artifacts/lstm/card.json", "code/ser/inference/model.py", "input_example.json"} <= names
    assert "code/ser/features/acoustic_classes.csv" in names
    assert not [name for name in names if name.endswith((".pkl", ".pyc"))]
    assert "tensorflow" not in (folder / "requirements.txt").read_text()
    signature = json.loads(json.dumps(registry.signature(LABELS).to_dict()))
    assert {"path", "audio", "samples", "rate"} == {column["name"] for column in json.loads(signature["inputs"])}


def test_metrics_stand_with_the_model_too(versions: tuple[Any, list[Any]]) -> None:
    """MLflow's page of a model has its metrics."""
    client, found = versions
    [metric] = client.get_logged_model(found[0].source.removeprefix("models:/")).metrics
    assert (metric.key, metric.value) == ("test.uar", 0.5)


def test_champions(versions: tuple[Any, list[Any]]) -> None:
    """A version is found by its run, or by the experiment's if it is the best, and can be crowned."""
    client, found = versions
    parent = client.get_run(found[0].run_id).data.tags["mlflow.parentRunId"]
    assert registry.version_of_run(client, found[1].run_id).number == str(found[1].version)
    best = registry.version_of_run(client, parent)
    assert (best.number, best.predictions.model.tolist()) == (str(found[0].version), ["svm"])
    registry.promote(client, best)
    now = registry.champion(client)
    assert now is not None
    assert (now.number, now.run_id) == (best.number, found[0].run_id)
    with pytest.raises(UserError, match="--run 0123"):
        registry.version_of_run(client, "0123")


def test_the_example_is_a_recording() -> None:
    """What a model is tried with is the same WAV file every time."""
    [audio] = registry.example().audio
    assert audio.startswith(b"RIFF")
    assert audio == registry.example().audio[0]
    assert len(base64.b64encode(audio)) < 20000
