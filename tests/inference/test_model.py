"""An exported model has the predictions of the trained model for any kind of input, and rejects damaged folders."""

import contextlib
import io
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from benchmarks import predict as benchmark
from ser.audio import io as audio_io
from ser.inference.model import UNCERTAIN, Model, load
from ser.utils.errors import UserError
from tests.helpers import dvc_project, exported_models, signals

pytestmark = pytest.mark.slow
MODELS = ["lstm", "svm"]
READERS = {
    "file": lambda path: path,
    "name": str,
    "bytes": lambda path: path.read_bytes(),
    "file object": lambda path: io.BytesIO(path.read_bytes()),
    "samples": lambda path: soundfile.read(path, dtype="float32"),
    "integers": lambda path: soundfile.read(path, dtype="int16"),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    dvc_project.write_corpora(folder / "corpora")
    dvc_project.write(folder / "voice.wav", dvc_project.voice(f0=150, seconds=0.7, rng=np.random.default_rng(0)))
    exported_models.build(folder, _two_networks)
    return folder


def _two_networks(params: dict[str, Any]) -> dict[str, Any]:
    params["corpora"], params["baselines"] = ["ravdess"], ["svm"]
    params["features"]["frame_features"] = ["mel", "rms"]
    params["train_lstm"] |= {"spectral_features": ["mel"], "prosody_features": [], "n_networks": 2, "epochs": 1}
    return params


@pytest.fixture(scope="module")
def lstm(built: Path) -> Model:
    return load(built / "models/exported/lstm")


@pytest.fixture(scope="module")
def voice() -> Any:
    return dvc_project.voice(f0=120, seconds=1.5, rng=np.random.default_rng(1)).astype(np.float32)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", READERS)
def test_members_have_the_stored_predictions(built: Path, model: str, kind: str) -> None:
    """Recordings of any kind of input have the probabilities that training stored."""
    table = exported_models.stored_predictions(built, model).iloc[:: 1 if kind == "file" else 5]
    assert exported_models.max_difference(built, model, table, READERS[kind]) < 1e-4


@pytest.mark.parametrize("model", MODELS)
def test_real_clips_have_the_stored_predictions(corpora: Path, tmp_path: Path, model: str) -> None:
    """200 test clips of RAVDESS and TESS, as file, bytes and samples, have the probabilities that training stored."""
    for corpus in ("ravdess", "tess"):
        for path in sorted((corpora / corpus).rglob("*.*"))[:: 7 if corpus == "ravdess" else 14]:
            copy = tmp_path / "corpora" / path.relative_to(corpora)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    exported_models.build(tmp_path, lambda params: _real(params, model=model))
    table = exported_models.stored_predictions(tmp_path, model)
    assert len(table) >= 200
    for n, kind in enumerate(("file", "bytes", "samples")):
        assert exported_models.max_difference(tmp_path, model, table.iloc[n::3], READERS[kind]) < 1e-4


def _real(params: dict[str, Any], *, model: str) -> dict[str, Any]:
    kinds = ["mel"] if model == "lstm" else ["mfcc", "pitch", "spectral", "chroma"]
    params["split"] |= {"protocol": "random", "test_fraction": 0.55, "val_fraction": 0.15}
    params["features"]["frame_features"] = kinds
    params["train_lstm"] |= {"spectral_features": kinds[:1], "epochs": 1}
    params["augment"]["copies_per_clip"] = params["augment"]["robustness"]["n_clips"] = 0
    return params | {"model_seeds": [1], "baselines": ["svm"]}


def test_members_are_averaged(built: Path, lstm: Model, voice: Any) -> None:
    """By default, the probabilities are the mean over the members; an unknown member is an error."""
    names = [member.name for member in lstm.card.members]
    predictions = [load(built / "models/exported/lstm", member=name).predict((voice, 16000)) for name in names]
    members = [list(prediction.probabilities.values()) for prediction in predictions]
    mean = lstm.predict((voice, 16000))
    np.testing.assert_allclose(list(mean.probabilities.values()), np.mean(members, axis=0), atol=1e-9)
    assert len(members) == 2
    assert np.ptp(members, axis=0).max() > 1e-4
    assert mean.confidence == max(mean.probabilities.values()) == mean.probabilities[mean.label]
    with pytest.raises(UserError, match="expected one of fold1_seed1, fold1_seed2"):
        load(built / "models/exported/lstm", member="fold9_seed1")


def test_batches_have_the_probabilities_of_single_signals(lstm: Model, voice: Any) -> None:
    """Silence in a batch has uniform probabilities."""
    other = dvc_project.voice(f0=200, seconds=0.8, rng=np.random.default_rng(2)).astype(np.float32)
    batch = lstm.predict_proba([voice, np.zeros(8000, dtype=np.float32), other], rate=8000)
    single = [list(lstm.predict((signal, 8000)).probabilities.values()) for signal in (voice, other)]
    np.testing.assert_allclose(batch[[0, 2]], single, atol=1e-6)
    np.testing.assert_allclose(batch[1], 1 / len(lstm.labels))
    assert lstm.predict_proba([], rate=8000).shape == (0, len(lstm.labels))


def test_no_heavy_package_is_imported(built: Path) -> None:
    """A network predicts without TensorFlow, pandas, scikit-learn and matplotlib, which take long to import."""
    code = (
        "import sys, ser; ser.load('models/exported/lstm').predict('voice.wav')\n"
        "heavy = {'tensorflow', 'keras', 'tf2onnx', 'onnx', 'pandas', 'sklearn', 'matplotlib'}\n"
        "print(heavy & set(sys.modules))"
    )
    command = [sys.executable, "-c", code]
    env = {"PYTHONPATH": str(dvc_project.ROOT), "PATH": ""}
    done = subprocess.run(command, cwd=built, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_baseline_of_the_benchmark_runs(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmark loads the Keras network of the checkpoint, whatever its inputs."""
    monkeypatch.chdir(built)
    monkeypatch.setattr(benchmark, "REPEATS", 1)
    monkeypatch.setenv(benchmark.STARTED, "0")
    assert benchmark.baseline(Path("voice.wav"))["network"] > 0


@pytest.mark.parametrize(
    ("signal", "flags"),
    [
        (signals.silence(2), {"silence", "quiet"}),
        (signals.sine(200, seconds=0.1), {"too_short"}),
        (signals.noise(seconds=2), {"no_speech"}),
    ],
)
def test_recordings_without_speech_have_no_prediction(lstm: Model, signal: Any, flags: set[str]) -> None:
    """The label is uncertain, the probabilities are uniform, and a flag has the reason."""
    prediction = lstm.predict((signal, signals.RATE))
    assert prediction.label == UNCERTAIN
    assert set(prediction.flags) == flags
    np.testing.assert_allclose(list(prediction.probabilities.values()), 1 / len(lstm.labels))


def test_flags_describe_the_recording_and_the_model(built: Path, voice: Any) -> None:
    """Signals out of distribution, clipped or quiet ones, and models of synthetic speech have their flags."""
    model = load(built / "models/exported/lstm", member="fold1_seed1")
    synthetic = Model(model.card.model_copy(update={"origin": {"synthetic": True}}), model._members)
    square = np.sign(signals.sine(590, seconds=1.5)) * np.float32(0.3)
    special = {"out_of_distribution", "clipped", "quiet", "synthetic"}
    assert not special & set(model.predict((voice, 16000)).flags)
    assert "out_of_distribution" in model.predict((square, 16000)).flags
    assert "clipped" in model.predict((np.clip(100 * voice, -1, 1), 16000)).flags
    assert "quiet" in model.predict((voice / 1000, 16000)).flags
    assert "synthetic" in synthetic.predict((voice, 16000)).flags


def test_a_pause_does_not_change_the_prediction(lstm: Model, voice: Any) -> None:
    """A sentence said twice is combined from two segments; the confidence does not decrease."""
    alone = lstm.predict((voice, 16000))
    for seconds in (0.5, 1, 2):
        twice = lstm.predict((np.concatenate([voice, signals.silence(seconds), voice]), 16000))
        assert ("segmented" in twice.flags, "segmented" in alone.flags) == (True, False)
        assert twice.label == alone.label
        assert twice.confidence > alone.confidence - 0.05


def test_blocks_have_the_prediction_of_the_recording(lstm: Model, voice: Any) -> None:
    """Files, timelines and streams have one answer, also beyond the longest passage."""
    signal = np.concatenate([np.concatenate([voice, signals.silence(0.5)]) for _ in range(20)])
    recording = lstm.start_recording()
    for start in range(0, len(signal), 777):
        recording.update(signal[start : start + 777])
    assert recording.close() == lstm.predict((signal, 16000))


def test_long_recordings_are_predicted_by_segment(lstm: Model, voice: Any, tmp_path: Path) -> None:
    """Segments with speech are combined, for a file as for samples."""
    signal = np.concatenate([np.tile(voice, 5), signals.silence(12)])
    dvc_project.write(tmp_path / "long.wav", signal)
    samples, rate = audio_io.decode(tmp_path / "long.wav")  # 16-bit rounding changes functionals
    prediction = lstm.predict((samples, rate))
    assert ("segmented" in prediction.flags, "silence" in prediction.flags) == (True, False)
    assert prediction.seconds == pytest.approx(len(signal) / 16000)
    by_file = lstm.predict(tmp_path / "long.wav").probabilities
    np.testing.assert_allclose(list(by_file.values()), list(prediction.probabilities.values()), atol=1e-6)


@pytest.mark.parametrize(
    ("recording", "message"),
    [
        (b"", "empty"),
        (b"no audio at all", "not decodable as audio"),
        ((np.array(["a"]), 16000), "samples: found"),
        ((np.full(16000, np.nan), 16000), "not numbers"),
        ("no such file.wav", "No such file"),
        (3, "found int; expected a path, bytes"),
    ],
)
def test_invalid_recordings_are_rejected(lstm: Model, recording: Any, message: str) -> None:
    """The error names the problem."""
    with pytest.raises(UserError, match=message):
        lstm.predict(recording)


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built / "models/exported/lstm", tmp_path / "lstm"))


def test_folders_can_be_moved(folder: Path, lstm: Model, voice: Any) -> None:
    """A copied folder needs no other file of the project."""
    with contextlib.chdir("/"):
        assert load(folder).predict((voice, 16000)) == lstm.predict((voice, 16000))


def test_card_describes_the_model(lstm: Model) -> None:
    """The card has labels, inputs, members, scores and hashes, and no absolute paths."""
    card = lstm.card
    assert card.labels == lstm.labels == ("neutral", "happy", "sad", "angry")
    assert (card.inputs.frames, card.inputs.functionals) == (("mel",), True)
    assert card.features.frame_features == ("mel", "rms")  # for the functionals
    assert card.origin["corpora"] == ["ravdess"]
    assert (card.origin["scores"]["uar"], card.origin["scores"]["uar_ci_low"]) == (0.5, None)
    assert [(member.fold, member.seed, len(member.weights)) for member in card.members] == [(1, 1, 2), (1, 2, 2)]
    assert all(member.training_speakers for member in card.members)
    sources = card.origin["sources"]
    assert {"data/splits.csv", "models/checkpoints/lstm/fold1_seed1/network1/model.keras"} <= set(sources)
    assert not any(Path(name).is_absolute() for name in sources)


def test_export_is_deterministic(built: Path) -> None:
    """A second export has the same bytes."""
    from stages import export

    def contents() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in sorted((built / "models").rglob("*")) if path.is_file()}

    before = contents()
    with contextlib.chdir(built):
        export.main()
    assert contents() == before


def change(path: Path, old: bytes, new: bytes) -> None:
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "card.json").unlink(), "has no card.json"),
        (lambda folder: (folder / "card.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "card.json").write_text("[]"), "found list"),
        (lambda folder: change(folder / "card.json", b'"format": 5', b'"format": 4'), "found format 4"),
        (lambda folder: change(folder / "card.json", b'"fold": 1', b'"fold": 2'), "not match its SHA-256"),
        (lambda folder: (folder / "fold1_seed2/network1.onnx").unlink(), "network1.onnx: is missing"),
        (lambda folder: change(folder / "fold1_seed2/network2.onnx", b"Sub", b"Add"), "SHA-256 differs"),
        (shutil.rmtree, "not found; run `make repro`"),
        (lambda folder: (shutil.rmtree(folder), folder.write_text("")), "is a file"),
    ],
)
def test_damaged_folders_are_rejected(folder: Path, damage: Any, message: str) -> None:
    """The error names the missing, changed or incompatible file."""
    damage(folder)
    with pytest.raises(UserError, match=message):
        load(folder)
