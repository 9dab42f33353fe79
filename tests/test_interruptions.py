"""After a run is killed at any point, the next `dvc repro` has the results of an uninterrupted run."""

import hashlib
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml

from ser.corpora.base import load_corpus
from tests.helpers.dvc_project import Project
from tests.helpers.http_servers import Reply, Server, serving

pytestmark = pytest.mark.slow
STAGE = "featurize@ravdess"
ARCHIVE = "Audio_Speech_Actors_01-24.zip"
TIMEOUT = 60  # s


def make_archive(path: Path) -> bytes:
    """Zip all file names of RAVDESS; one in twelve is long enough for a clip, so that stages take some time."""
    with zipfile.ZipFile(path, "w") as archive:
        for n, name in enumerate(load_corpus("ravdess").expected_files()):
            file = path.with_name("noise.wav")
            rng = np.random.default_rng(n)
            soundfile.write(file, 0.1 * rng.standard_normal(6000 if n % 12 == 0 else 60), 16000)
            archive.writestr(f"Actor_{name[-2:]}/{name}.wav", file.read_bytes())
    return path.read_bytes()


def set_remote(project: Project, server: Server, content: bytes) -> None:
    """Replace the archive in the project's metadata of RAVDESS by that of a server."""
    path = project.folder / "ser/corpora/ravdess.py"
    code = path.read_text()
    start = code.index("        RemoteFile(")
    end = code.index("    ],\n", start)
    checksum = f"md5:{hashlib.md5(content).hexdigest()}"
    entry = f"        RemoteFile({ARCHIVE!r}, {server.url(ARCHIVE)!r}, {checksum!r}, {len(content)})\n"
    path.write_text(code[:start] + entry + code[end:])


def use_ravdess(params: dict[str, Any]) -> dict[str, Any]:
    """Use RAVDESS alone, accept that most recordings are too short, and process them with little work."""
    params["corpora"] = ["ravdess"]
    params["download"] |= {"data_dir": None, "allow_incomplete": False}
    params["preprocess"] |= {"denoise_strength": 0, "max_rejected_fraction": 0.95}
    params["augment"]["augmentations"] = ["time_shift"]
    return params


def kill_when(project: Project, condition: Callable[[], bool], **environment: str) -> None:
    """Start `dvc repro`, and kill it and its child processes as soon as a condition is true."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", STAGE],
        cwd=project.folder,
        env=project.environment(**environment),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert process.poll() is None, "ended before it was killed"
        assert time.monotonic() < end
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def reproduce(project: Project, **environment: str) -> dict[str, Any]:
    project.dvc("repro", STAGE, **environment)
    return {name: stage["outs"] for name, stage in yaml.safe_load(project.lock())["stages"].items()}


def test_a_killed_run_is_resumed_with_the_same_result(tmp_path: Path) -> None:
    """Killed while it downloads, unpacks, preprocesses and extracts features, a run ends with the same hashes."""
    content = make_archive(tmp_path / "published.zip")
    with serving({ARCHIVE: content}) as server:
        uninterrupted, project = Project(tmp_path / "uninterrupted"), Project(tmp_path / "killed")
        for each in (uninterrupted, project):
            each.change(use_ravdess)
            set_remote(each, server, content)
        expected = reproduce(uninterrupted, SER_CACHE=str(tmp_path / "uninterrupted cache"))
        server.requests.clear()

        data, cache = project.folder / "data", tmp_path / "cache"
        partial = cache / "ravdess" / f".{ARCHIVE}.part"
        server.plan(ARCHIVE, Reply(stall_after=len(content) // 2))
        kill_when(project, lambda: partial.exists() and partial.stat().st_size > 0, SER_CACHE=str(cache))
        for unfinished in (
            "raw/.ravdess.unfinished",
            "interim/.ravdess.parquet.unfinished",
            "features/frames/.ravdess.parquet.unfinished",
        ):
            kill_when(project, (data / unfinished).exists, SER_CACHE=str(cache))
            assert not (data / unfinished.replace(".ravdess", "ravdess").removesuffix(".unfinished")).exists()

        assert reproduce(project, SER_CACHE=str(cache)) == expected
    first, second = [byte_range for _, byte_range in server.requests]
    assert first is None
    assert int(second.removeprefix("bytes=").removesuffix("-")) > 0, "the download was not resumed"
    assert [path for path in data.rglob("*") if "unfinished" in path.name] == []
