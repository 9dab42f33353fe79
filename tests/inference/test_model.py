"""An exported model answers what the trained one answered, to whatever it is given, and says what it cannot judge."""

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

import ser
from benchmarks import predict as benchmark
from ser.audio import io as audio_io
from ser.audio.io import AudioError
from ser.inference.model import UNCERTAIN, Model, load
from ser.utils.errors import UserError
from tests.helpers import dvc_project, exported_models, signals

MODELS = ["lstm", "svm"]
GIVEN = {
    "file": lambda path: path,
    "name": str,
    "bytes": lambda path: path.read_bytes(),
    "open file": lambda path: io.BytesIO(path.read_bytes()),
    "samples": lambda path: soundfile.read(path, dtype="float32"),
    "whole numbers": lambda path: soundfile.read(path, dtype="int16"),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    dvc_project.write_corpora(folder / "corpora")
    exported_models.build(folder, _two_networks)
    return folder


def _two_networks(params: dict[str, Any]) -> dict[str, Any]:
    params["corpora"], params["baselines"] = ["ravdess"], ["svm"]
    params["features"]["frames"] = ["mel", "rms"]
    params["train_lstm"] |= {"inputs": ["mel"], "prosody": [], "ensemble": 2, "epochs": 1}
    return params


@pytest.fixture(scope="module")
def lstm(built: Path) -> Model:
    return load(built / "models/exported/lstm")


@pytest.fixture(scope="module")
def voice() -> Any:
    return dvc_project.voice(f0=120, seconds=1.5, rng=np.random.default_rng(1)).astype(np.float32)


# The same answers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("how", GIVEN)
def test_a_member_answers_what_it_predicted(built: Path, model: str, how: str) -> None:
    """From the recording itself, however it is given, come the probabilities that training stored of the clip."""
    table = exported_models.tested(built, model)
    assert exported_models.away(built, model, table.iloc[:: 1 if how == "file" else 5], GIVEN[how]) < 1e-4


@pytest.mark.parametrize("model", ["lstm", "svm"])
def test_real_clips_are_answered_as_predicted(corpora: Path, tmp_path: Path, model: str) -> None:
    """200 test clips of RAVDESS and TESS, by file, bytes and samples, have the probabilities that are stored."""
    for corpus in ("ravdess", "tess"):
        for path in sorted((corpora / corpus).rglob("*.*"))[:: 7 if corpus == "ravdess" else 14]:
            place = tmp_path / "corpora" / path.relative_to(corpora)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
    exported_models.build(tmp_path, lambda params: _real(params, model=model))
    table = exported_models.tested(tmp_path, model)
    assert len(table) >= 200
    for n, how in enumerate(("file", "bytes", "samples")):
        assert exported_models.away(tmp_path, model, table.iloc[n::3], GIVEN[how]) < 1e-4


def _real(params: dict[str, Any], *, model: str) -> dict[str, Any]:
    split = params["split"] | {"hold_out": "clip", "test": 0.55, "val": 0.15}
    features = params["features"] | {"frames": ["mel"] if model == "lstm" else ["mfcc", "pitch", "spectral", "chroma"]}
    inputs = {"inputs": ["mel"] if model == "lstm" else ["mfcc"], "epochs": 1}
    augment = params["augment"] | {"copies": 0, "stress": params["augment"]["stress"] | {"clips": 0}}
    return params | {
        "split": split,
        "features": features,
        "augment": augment,
        "seeds": [1],
        "baselines": ["svm"],
        "train_lstm": params["train_lstm"] | inputs,
    }


def test_all_members_answer_by_their_mean(built: Path, lstm: Model, voice: Any) -> None:
    """Without a member's name, the answer is the mean of the members' calibrated probabilities."""
    members = [load(built / "models/exported/lstm", member=one.name) for one in lstm.card.members]
    assert len(members) == 2
    alone = [list(one.predict((voice, 16000)).probabilities.values()) for one in members]
    together = lstm.predict((voice, 16000))
    np.testing.assert_allclose(list(together.probabilities.values()), np.mean(alone, axis=0), atol=1e-9)
    assert np.ptp(alone, axis=0).max() > 1e-4
    assert together.confidence == max(together.probabilities.values()) == together.probabilities[together.label]


def test_several_signals_are_judged_as_each_alone(lstm: Model, voice: Any) -> None:
    """A batch, at any rate and with silence in it, has a row a signal; that of silence says nothing."""
    other = dvc_project.voice(f0=200, seconds=0.8, rng=np.random.default_rng(2)).astype(np.float32)
    found = lstm.probabilities([voice, np.zeros(8000, dtype=np.float32), other], rate=8000)
    alone = [list(lstm.predict((signal, 8000)).probabilities.values()) for signal in (voice, other)]
    np.testing.assert_allclose(found[[0, 2]], alone, atol=1e-6)
    np.testing.assert_allclose(found[1], 1 / len(lstm.labels))
    assert lstm.probabilities([], rate=8000).shape == (0, len(lstm.labels))


def test_no_heavy_package_is_imported(built: Path) -> None:
    """A network answers without TensorFlow, librosa, SciPy, pandas and scikit-learn, which take seconds to import."""
    dvc_project.write(built / "voice.wav", dvc_project.voice(f0=150, seconds=0.7, rng=np.random.default_rng(0)))
    code = (
        "import sys, ser; ser.load('models/exported/lstm').predict('voice.wav')\n"
        "heavy = {'tensorflow', 'keras', 'tf2onnx', 'onnx', 'librosa', 'scipy', 'pandas', 'sklearn', 'joblib'}\n"
        "print(heavy & set(sys.modules))"
    )
    command = [sys.executable, "-c", code]
    env = {"PYTHONPATH": str(dvc_project.ROOT), "PATH": ""}
    done = subprocess.run(command, cwd=built, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_plain_way_of_the_benchmark_answers_too(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It loads the network that was trained, whatever that sees, and says what an answer costs."""
    dvc_project.write(built / "voice.wav", dvc_project.voice(f0=150, seconds=0.7, rng=np.random.default_rng(0)))
    monkeypatch.chdir(built)
    monkeypatch.setattr(benchmark, "REPEATS", 1)
    monkeypatch.setenv(benchmark.STARTED, "0")
    assert benchmark.plain(Path("voice.wav"))["network"] > 0


def test_load_is_the_package_s() -> None:
    """`ser.load` is what loads, and nothing else hides there."""
    assert ser.load is load
    with pytest.raises(AttributeError, match="no attribute 'train'"):
        _ = ser.train  # type: ignore[attr-defined]


# What speaks against an answer ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("signal", "flags"),
    [
        (signals.silence(2), {"silence", "quiet"}),
        (signals.sine(200, seconds=0.1), {"too_short"}),
        (signals.noise(seconds=2), {"no_speech"}),
    ],
)
def test_what_is_no_voice_is_not_answered(lstm: Model, signal: Any, flags: set[str]) -> None:
    """Silence, noise and what is too short have no label, equal probabilities, and a flag that says why."""
    answer = lstm.predict((signal, signals.RATE))
    assert answer.label == UNCERTAIN
    assert set(answer.flags) == flags
    np.testing.assert_allclose(list(answer.probabilities.values()), 1 / len(lstm.labels))


def test_what_is_unlike_training_is_answered_with_less_confidence(built: Path, voice: Any) -> None:
    """The farther from training, the nearer are the probabilities to equal ones, and it is said."""
    model = load(built / "models/exported/lstm", member="fold1_seed1")
    usual = model.card.members[0].usual
    near = model.predict((voice, 16000))
    strange = model.predict((np.sign(signals.sine(590, seconds=1.5)) * np.float32(0.3), 16000))
    assert "unlike_training" in strange.flags
    assert usual.most > 0
    assert "unlike_training" not in near.flags


def test_recordings_that_are_hard_to_hear_are_said(lstm: Model, voice: Any) -> None:
    """A recording is judged all the same where it is overdriven or hardly audible, with a flag."""
    assert "clipped" in lstm.predict((np.clip(100 * voice, -1, 1), 16000)).flags
    assert "quiet" in lstm.predict((voice / 1000, 16000)).flags
    assert not {"clipped", "quiet"} & set(lstm.predict((voice, 16000)).flags)


def test_a_long_recording_is_judged_in_pieces(lstm: Model, voice: Any, tmp_path: Path) -> None:
    """Beyond ten seconds the answer is the mean over pieces in which something is heard; of a file as of samples."""
    long = np.concatenate([np.tile(voice, 5), signals.silence(12)])
    dvc_project.write(tmp_path / "long.wav", long)
    samples, rate = audio_io.decode(tmp_path / "long.wav")  # rounded to 16 bits, which functionals notice
    answer = lstm.predict((samples, rate))
    assert "long" in answer.flags
    assert "silence" not in answer.flags
    assert answer.seconds == pytest.approx(len(long) / 16000)
    by_file = lstm.predict(tmp_path / "long.wav").probabilities
    np.testing.assert_allclose(list(by_file.values()), list(answer.probabilities.values()), atol=1e-6)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (b"", "empty"),
        (b"no audio at all", "not decodable as audio"),
        ((np.array([]), 16000), "samples are an array"),
        ((np.array(["a"]), 16000), "samples are an array"),
        ((np.zeros((2, 2, 2)), 16000), "samples are an array"),
        ((np.zeros((9, 99)), 16000), "99 channels"),
        ((np.full(16000, np.nan), 16000), "not numbers"),
        ((np.ones(16000), 10), "10 Hz"),
        ("no such file.wav", "No such file"),
    ],
)
def test_what_is_no_recording_is_refused(lstm: Model, given: Any, reason: str) -> None:
    """The error says what is wrong with what was given."""
    with pytest.raises(AudioError, match=reason):
        lstm.predict(given)


# The folder -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built / "models/exported/lstm", tmp_path / "lstm"))


def test_a_folder_answers_anywhere(folder: Path, lstm: Model, voice: Any) -> None:
    """A copied folder needs nothing of the project it was made in."""
    with contextlib.chdir("/"):
        assert load(folder).predict((voice, 16000)) == lstm.predict((voice, 16000))


def test_the_card_says_what_the_model_is(lstm: Model) -> None:
    """Labels, processing, members with their speakers, headline and hashes are there, and no place on a computer."""
    card = lstm.card
    assert card.labels == lstm.labels == ("neutral", "happy", "sad", "angry")
    assert (card.sees.frames, card.sees.functionals) == (("mel",), True)
    assert card.features.frames == ("mel", "rms")  # of which functionals are made
    assert card.origin["corpora"] == ["ravdess"]
    assert card.origin["headline"]["uar"] == 0.5
    assert card.origin["headline"]["uar_ci_low"] is None
    assert [(one.fold, one.seed, len(one.weights)) for one in card.members] == [(1, 1, 2), (1, 2, 2)]
    assert all(one.training_speakers for one in card.members)
    made_from = card.origin["made_from"]
    assert {"data/splits.csv", "models/checkpoints/lstm/fold1_seed1/network1/model.keras"} <= set(made_from)
    assert not any(Path(name).is_absolute() for name in made_from)


def test_exporting_again_gives_the_same_bytes(built: Path, tmp_path: Path) -> None:
    """Weights and cards do not depend on when they were written."""
    from stages import export

    before = {path: path.read_bytes() for path in sorted((built / "models").rglob("*")) if path.is_file()}
    with contextlib.chdir(built):
        export.main()
    assert {path: path.read_bytes() for path in sorted((built / "models").rglob("*")) if path.is_file()} == before


def change(path: Path, old: bytes, new: bytes) -> None:
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: (folder / "card.json").unlink(), r"has no model in it \(no card.json\): name another"),
        (lambda folder: (folder / "card.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "card.json").write_text("[]"), "holds list"),
        (lambda folder: change(folder / "card.json", b'"format": 2', b'"format": 3'), "its format is 3"),
        (lambda folder: change(folder / "card.json", b'"denoise": 0.5', b'"denoise": 0.6'), "not as it was written"),
        (lambda folder: (folder / "fold1_seed2/network1.onnx").unlink(), "network1.onnx: is missing"),
        (lambda folder: change(folder / "fold1_seed2/network2.onnx", b"Sub", b"Add"), "its SHA-256 differs"),
        (shutil.rmtree, "is not there: run `make repro` first, or name another by --model"),
        (lambda folder: (shutil.rmtree(folder), folder.write_text("")), "is a file, and not the folder of a model"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused(folder: Path, damage: Any, reason: str) -> None:
    """Another format, and whatever is lost or altered, is an error that names it, before any answer."""
    damage(folder)
    with pytest.raises(UserError, match=reason):
        load(folder)


def test_a_member_that_is_not_there_is_refused(folder: Path) -> None:
    """The error names those that there are."""
    with pytest.raises(UserError, match="it has fold1_seed1, fold1_seed2"):
        load(folder, member="fold9_seed1")


def test_a_model_of_synthetic_voices_says_so(lstm: Model, voice: Any) -> None:
    """Whoever asks the demo's model about a person is told, with every answer, that it never heard one."""
    card = lstm.card.model_copy(update={"origin": lstm.card.origin | {"synthetic": True}})
    told = Model(card, lstm._members).predict((voice, 16000))
    assert "synthetic" in told.flags
    assert "synthetic" not in lstm.predict((voice, 16000)).flags


def test_what_is_no_recording_is_named(lstm: Model) -> None:
    """A wrong argument ends in a sentence, and not in an AttributeError."""
    with pytest.raises(UserError, match="found int; expected a path, bytes"):
        lstm.predict(3)  # type: ignore[arg-type]
