"""Equal models are saved as equal bytes, in any process and with any number of cores, and can be loaded."""

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser.models import baselines, serialization, trainer
from tests.helpers import tiny_models

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Train and save every model in two processes with different numbers of workers, hash seeds and addresses."""
    folders = [tmp_path_factory.mktemp(name) for name in ("one", "two")]
    processes = []
    for workers, folder in enumerate(folders, start=1):
        env = os.environ | {"SER_WORKERS": str(workers), "PYTHONHASHSEED": str(workers), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "tests.helpers.tiny_models", folder]
        processes.append(subprocess.Popen(command, env=env, cwd=folder, stderr=subprocess.PIPE, text=True))
    for process in processes:
        _, stderr = process.communicate(timeout=300)
        assert process.returncode == 0, stderr
    return folders


@pytest.mark.slow
@pytest.mark.parametrize("model", ["lstm", *baselines.BASELINES])
def test_two_processes_save_the_same_bytes(saved: list[Path], model: str) -> None:
    """Weights, architecture, grid search, history and predictions are equal."""
    one, two = ({path.name: path.read_bytes() for path in (folder / model).iterdir()} for folder in saved)
    assert one == two
    assert ("model.weights.h5" if model == "lstm" else "model.skops") in one


@pytest.mark.slow
@pytest.mark.parametrize("model", list(baselines.BASELINES))
def test_loaded_baseline_gives_the_same_predictions(saved: list[Path], model: str) -> None:
    """The canonical archive is the trained model, and contains trusted types only."""
    before = np.load(saved[0] / model / "predicted.npy")
    after = baselines.predict(baselines.load(saved[0] / model), tiny_models.vectors(30, seed=2)[0])
    np.testing.assert_allclose(after, before, atol=1e-12)
    assert np.ptp(before) > 0.5


@pytest.mark.slow
def test_loaded_network_gives_the_same_predictions(saved: list[Path]) -> None:
    """The Keras archive, and architecture with weights, are the trained network."""
    trainer.make_deterministic(1)
    import keras

    folder = saved[0] / "lstm"
    before = np.load(folder / "predicted.npy")
    rebuilt = keras.models.model_from_json((folder / "architecture.json").read_text())
    rebuilt.load_weights(folder / "model.weights.h5")
    frames, settings = tiny_models.examples(12, seed=2).frames, tiny_models.lstm_settings()
    for model in (trainer.load(folder), rebuilt):
        after = trainer.predict(model, frames, settings, hop_seconds=tiny_models.HOP)
        np.testing.assert_allclose(after, before, atol=1e-6)
    assert np.ptp(before) > 0.01


def archive(entries: dict[str, str], *, year: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in entries.items():
            file.writestr(zipfile.ZipInfo(name, date_time=(year, 2, 3, 4, 5, 6)), content)
    return buffer.getvalue()


def entries(content: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return {name: file.read(name).decode() for name in file.namelist()}


def keras_archive(*ids: int, year: int = 2024, units: int = 5) -> bytes:
    layers = [{"units": units, "shared_object_id": number} for number in ids]
    metadata = json.dumps({"keras_version": "3", "date_saved": f"{year}-01-01@10:00:00"})
    return archive({"metadata.json": metadata, "config.json": json.dumps(layers), "weights": "140"}, year=year)


def skops_archive(*ids: int, year: int = 2024) -> bytes:
    nodes = [{"__id__": number, "file": f"{number}.npy", "content": "140"} for number in ids]
    arrays = {f"{number}.npy": f"array {n}" for n, number in enumerate(dict.fromkeys(ids))}
    return archive(arrays | {"schema.json": json.dumps(nodes)}, year=year)


@pytest.mark.parametrize(
    ("canonical", "make"),
    [(serialization.canonical_keras, keras_archive), (serialization.canonical_skops, skops_archive)],
)
def test_canonical_archives(canonical: Any, make: Any) -> None:
    """Archives that differ only in times and addresses become equal; shared references and content are kept."""
    result = canonical(make(140, 77, 140))
    assert make(140, 77, 140) != make(9, 1003, 9, year=2031)
    assert result == canonical(make(9, 1003, 9, year=2031)) == canonical(result)
    assert canonical(make(140, 77, 78)) != result != canonical(make(140, 140, 77))
    with zipfile.ZipFile(io.BytesIO(result)) as file:
        assert file.namelist() == sorted(file.namelist())
        assert {entry.date_time for entry in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_values_that_equal_an_address_are_kept() -> None:
    """Only addresses are renumbered, in order of appearance; array files are renamed accordingly."""
    result = entries(serialization.canonical_keras(keras_archive(140, 77, units=140)))
    assert json.loads(result["config.json"]) == [{"units": 140, "shared_object_id": n} for n in (1, 2)]
    assert result["weights"] == "140"
    assert json.loads(result["metadata.json"])["keras_version"] == "3"
    result = entries(serialization.canonical_skops(skops_archive(140, 77)))
    nodes = [(node["__id__"], node["content"], result[node["file"]]) for node in json.loads(result["schema.json"])]
    assert nodes == [(1, "140", "array 0"), (2, "140", "array 1")]
