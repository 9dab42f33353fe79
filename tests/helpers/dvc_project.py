"""A copy of this project with its own Git and DVC, and tiny corpora, for tests of the whole pipeline."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile
import yaml

ROOT = Path(__file__).parents[2]
PROJECT = ["dvc.yaml", "params.yaml", ".gitignore", ".dvcignore", ".dvc/config", "ser", "stages"]
RATE = 16000


def voice(*, f0: float, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Make a voiced sound, of a few harmonics and a little noise: (n_samples,)."""
    t = np.arange(int(RATE * seconds)) / RATE
    harmonics = sum(np.sin(2 * np.pi * f0 * n * t) / n for n in range(1, 6))
    return 0.2 * np.hanning(len(t)) * harmonics + 0.001 * rng.standard_normal(len(t))


def write_corpora(folder: Path) -> None:
    """Write a small RAVDESS (5 actors, 4 emotions) and a small TESS (2 speakers, 4 emotions, 6 words)."""
    rng = np.random.default_rng(0)
    for actor in range(1, 6):
        for n, emotion in enumerate(("01", "03", "04", "05")):
            for text in ("01", "02"):
                path = folder / "ravdess" / f"Actor_{actor:02}" / f"03-01-{emotion}-01-{text}-01-{actor:02}.wav"
                write(path, voice(f0=100 + 10 * actor + 40 * n, seconds=0.7, rng=rng))
    for speaker in ("OAF", "YAF"):
        for n, emotion in enumerate(("neutral", "happy", "sad", "angry")):
            for word in ("back", "bar", "base", "bath", "bean", "beg"):
                path = folder / "tess" / f"{speaker}_{emotion}" / f"{speaker}_{word}_{emotion}.wav"
                write(path, voice(f0=150 + 30 * n, seconds=0.6, rng=rng))


def write(path: Path, signal: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, signal, RATE)


def tiny(params: dict) -> dict:
    """Reduce the settings to small models and few features."""
    params["corpora"] = ["ravdess", "tess"]
    params["baselines"] = ["svm", "decision_tree"]
    params["download"] |= {"data_dir": "corpora", "allow_incomplete": True}
    params["preprocess"]["min_duration"] = 0.2
    params["augment"]["robustness"] |= {"n_clips": 8, "noise_snr_db": [10], "telephone": False, "rt60_seconds": []}
    params["features"]["frame_features"] = ["mfcc", "rms"]
    params["split"] |= {"test_fraction": 0.2, "val_fraction": 0.2}
    params["model_seeds"] = [1, 2]
    params["evaluate"]["n_resamples"] = 100
    params["train_lstm"] |= {
        "spectral_features": ["mfcc", "rms"],
        "epochs": 2,
        "conv_filters": [8, 8],
        "lstm_units": 8,
        "dense_units": 8,
    }
    params["train_baselines"]["folds"] = 2
    params["train_baselines"]["grids"]["svm"] = {"C": [1, 10]}
    params["leakage"]["n_estimators"] = 5
    return params


class Project:
    """A copy of this project with its own Git and DVC."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in PROJECT:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
            copy(ROOT / name, folder / name)
        self.change(tiny)
        with (folder / ".gitignore").open("a") as file:
            file.write("/corpora/\n")
        write_corpora(folder / "corpora")
        self.git("init", "-q", "-b", "main")
        self.commit("start")

    def environment(self, **more: str) -> dict[str, str]:
        prefixes = ("DVC_", "SER_", "MLFLOW_", "GIT_")
        env = {key: value for key, value in os.environ.items() if not key.startswith(prefixes)}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        user = {f"GIT_{who}_{what}": "test@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        return env | user | {"PATH": path, "CI": "true", "DVC_NO_ANALYTICS": "1"} | more

    def run(self, *command: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment(**environment), capture_output=True, text=True, check=False
        )
        assert not check or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def dvc(self, *arguments: str, **environment: str) -> str:
        return self.run(sys.executable, "-m", "dvc", *arguments, **environment).stdout

    def git(self, *arguments: str) -> str:
        return self.run("git", *arguments).stdout

    def commit(self, message: str) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)

    def change(self, edit) -> None:
        path = self.folder / "params.yaml"
        path.write_text(yaml.safe_dump(edit(yaml.safe_load(path.read_text())), sort_keys=False))

    def lock(self) -> str:
        return (self.folder / "dvc.lock").read_text()

    def changed(self) -> set[str]:
        """List the stages whose settings, code or inputs have changed, without `record`, which always runs."""
        return set(json.loads(self.dvc("status", "--json"))) - {"record"}
