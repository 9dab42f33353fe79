"""A model saved twice is the same bytes, in whatever process and on however many cores, and loads as what it was."""

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ser.models import baselines, serialization, trainer
from tests.helpers import tiny_models

ROOT = Path(__file__).parents[2]
MODELS = ["lstm", *baselines.BASELINES]


def archive(entries: dict[str, str], *, year: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in entries.items():
            file.writestr(zipfile.ZipInfo(name, date_time=(year, 2, 3, 4, 5, 6)), content)
    return buffer.getvalue()


def entries(content: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return {name: file.read(name).decode() for name in file.namelist()}


# Models that two processes trained and saved --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Train and save every model in two processes: on one core and on two, with other hashes and other addresses."""
    folders = [tmp_path_factory.mktemp(name) for name in ("one", "two")]
    running = []
    for workers, folder in enumerate(folders, start=1):
        env = os.environ | {"SER_WORKERS": str(workers), "PYTHONHASHSEED": str(workers), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "tests.helpers.tiny_models", folder]
        running.append(subprocess.Popen(command, env=env, cwd=folder, stderr=subprocess.PIPE, text=True))
    for process in running:
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
    return folders


@pytest.mark.parametrize("model", MODELS)
def test_two_processes_save_the_same_bytes(saved: list[Path], model: str) -> None:
    """Weights, architecture, search, history and predictions are equal byte for byte, with one worker and with two."""
    one, two = ({path.name: path.read_bytes() for path in (folder / model).iterdir()} for folder in saved)
    assert sorted(one) == sorted(two)
    assert [name for name in one if one[name] != two[name]] == []
    assert ("model.weights.h5" if model == "lstm" else "model.skops") in one


@pytest.mark.parametrize("model", list(baselines.BASELINES))
def test_a_loaded_baseline_predicts_as_before(saved: list[Path], model: str) -> None:
    """The archive without addresses is the model that was trained, in another process too."""
    before = np.load(saved[0] / model / "predicted.npy")
    loaded = baselines.load(saved[0] / model)
    np.testing.assert_allclose(baselines.predict(loaded, tiny_models.vectors(30, seed=2)[0]), before, atol=1e-12)
    assert np.ptp(before) > 0.5  # it does predict something


def test_a_loaded_network_predicts_as_before(saved: list[Path]) -> None:
    """Both ways to load it, whole or as architecture and weights, give the network that was trained."""
    trainer.make_deterministic(1)
    import keras

    folder = saved[0] / "lstm"
    before = np.load(folder / "predicted.npy")
    rebuilt = keras.models.model_from_json((folder / "architecture.json").read_text())
    rebuilt.load_weights(folder / "model.weights.h5")
    frames, settings = tiny_models.examples(12, seed=2).frames, tiny_models.lstm_settings()
    for model in (trainer.load(folder), rebuilt):
        np.testing.assert_allclose(
            trainer.predict(model, frames, settings, hop_seconds=tiny_models.HOP), before, atol=1e-6
        )
    assert np.ptp(before) > 0.01


# What is rewritten, by hand -------------------------------------------------------------------------------------------


def keras_archive(*ids: int, year: int = 2024, units: int = 5) -> bytes:
    layers = [{"units": units, "shared_object_id": number} for number in ids]
    metadata = json.dumps({"keras_version": "3", "date_saved": f"{year}-01-01@10:00:00"})
    return archive({"metadata.json": metadata, "config.json": json.dumps(layers), "weights": "140"}, year=year)


def skops_archive(*ids: int, year: int = 2024, value: str = "140") -> bytes:
    nodes = [{"__id__": number, "file": f"{number}.npy", "content": value} for number in ids]
    arrays = {f"{number}.npy": f"array {n}" for n, number in enumerate(dict.fromkeys(ids))}
    return archive(arrays | {"schema.json": json.dumps(nodes)}, year=year)


@pytest.mark.parametrize(
    ("canonical", "make"),
    [(serialization.canonical_keras, keras_archive), (serialization.canonical_skops, skops_archive)],
)
class TestCanonical:
    def test_times_and_addresses_are_forgotten(self, canonical, make) -> None:
        """Archives that differ in the time of saving and in addresses alone become equal."""
        assert make(140, 77, 140) != make(9, 1003, 9, year=2031)
        assert canonical(make(140, 77, 140)) == canonical(make(9, 1003, 9, year=2031))

    def test_what_was_shared_stays_shared(self, canonical, make) -> None:
        """Two references to one object do not become two objects, or the other way round."""
        assert canonical(make(140, 77, 140)) != canonical(make(140, 77, 78))
        assert canonical(make(140, 77, 140)) != canonical(make(140, 140, 77))

    def test_doing_it_twice_changes_nothing(self, canonical, make) -> None:
        """A canonical archive is its own canonical form."""
        once = canonical(make(140, 77, 140))
        assert canonical(once) == once

    def test_entries_have_one_order_and_one_time(self, canonical, make) -> None:
        """The archive's directory says nothing about when and in which order it was written."""
        with zipfile.ZipFile(io.BytesIO(canonical(make(140, 77)))) as file:
            assert file.namelist() == sorted(file.namelist())
            assert {entry.date_time for entry in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_other_numbers_of_a_keras_archive_stay() -> None:
    """A number that happens to equal an address is content, and stays; so do weights and version."""
    found = entries(serialization.canonical_keras(keras_archive(140, 77, units=140)))
    layers = json.loads(found["config.json"])
    assert [layer["units"] for layer in layers] == [140, 140]
    assert [layer["shared_object_id"] for layer in layers] == [1, 2]
    assert found["weights"] == "140"
    assert json.loads(found["metadata.json"])["keras_version"] == "3"
    assert serialization.canonical_keras(keras_archive(1, units=5)) != serialization.canonical_keras(
        keras_archive(1, units=6)
    )


def test_other_numbers_of_a_skops_archive_stay() -> None:
    """Arrays are found under the new names of their files, and values that equal an address stay."""
    found = entries(serialization.canonical_skops(skops_archive(140, 77, value="140")))
    nodes = json.loads(found.pop("schema.json"))
    assert [node["content"] for node in nodes] == ["140", "140"]
    assert [found[node["file"]] for node in nodes] == ["array 0", "array 1"]
    assert [node["__id__"] for node in nodes] == [1, 2]


def test_an_architecture_as_json() -> None:
    """Addresses in a model's JSON are numbered in the order of their first appearance."""
    text = (
        '{"a": {"shared_object_id": 139}, "b": {"shared_object_id": 7}, "c": {"shared_object_id": 139}, "units": 139}'
    )
    assert serialization.canonical_json(text) == text.replace('_id": 139', '_id": 1').replace('_id": 7', '_id": 2')
