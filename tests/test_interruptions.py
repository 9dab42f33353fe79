"""Killed anywhere, as by a power cut, the next `dvc repro` ends where an undisturbed one ends."""

import hashlib
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from ser.corpora.base import load_corpus
from tests.helpers.dvc_project import Project
from tests.helpers.http_servers import Reply, Server, serving

LAST = "featurize@ravdess"
ARCHIVE = "Audio_Speech_Actors_01-24.zip"
PATIENCE = 60  # s


def published(folder: Path, *, actors: int = 24) -> bytes:
    """Pack all names of RAVDESS: a fiftieth are short tones, so that work takes a moment, the others copies of text."""
    path = folder / "published.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for n, name in enumerate(load_corpus("ravdess").expected_files()[: actors * 60]):
            file = folder / "tone.wav"
            rng = np.random.default_rng(n)
            soundfile.write(file, 0.1 * rng.standard_normal(6000 if n % 12 == 0 else 60), 16000)
            archive.writestr(f"Actor_{name[-2:]}/{name}.wav", file.read_bytes())
    return path.read_bytes()


def point_to(project: Project, server: Server, content: bytes) -> None:
    """Let the project's facts about RAVDESS name the archive on a server, with its checksum and size."""
    path = project.folder / "ser/corpora/ravdess.py"
    facts = path.read_text()
    start = facts.index("        RemoteFile(")
    end = facts.index("    ],\n", start)
    checksum = f"md5:{hashlib.md5(content).hexdigest()}"
    entry = f"        RemoteFile({ARCHIVE!r}, {server.url(ARCHIVE)!r}, {checksum!r}, {len(content)})\n"
    path.write_text(facts[:start] + entry + facts[end:])


def smaller(params: dict) -> dict:
    """Use RAVDESS alone, as it is published, most of it too short to use, and as little work as can be."""
    params["corpora"] = ["ravdess"]
    params["download"] |= {"data_dir": None, "allow_incomplete": False}
    params["preprocess"] |= {"denoise_strength": 0, "max_rejected_fraction": 0.95}
    params["augment"]["augmentations"] = ["time_shift"]
    return params


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return published(tmp_path_factory.mktemp("published"))


@pytest.fixture
def server(content: bytes) -> Iterator[Server]:
    with serving({ARCHIVE: content}) as server:
        yield server


def kill_when(project: Project, seen: Callable[[], bool], **environment: str) -> None:
    """Start `dvc repro` and kill it and all that it started, without notice, as soon as something is seen."""
    command = [sys.executable, "-m", "dvc", "repro", LAST]
    running = subprocess.Popen(
        command,
        cwd=project.folder,
        env=project.environment(**environment),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + PATIENCE
    while not seen():
        assert running.poll() is None, "ended before it could be killed"
        assert time.monotonic() < until
        time.sleep(0.002)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()


def outcome(project: Project, **environment: str) -> dict:
    project.dvc("repro", LAST, **environment)
    return {name: stage["outs"] for name, stage in yaml.safe_load(project.lock())["stages"].items()}


def test_killed_anywhere_it_ends_as_if_undisturbed(tmp_path: Path, server: Server, content: bytes) -> None:
    """Killed while it fetches, unpacks, preprocesses and measures features, a run goes on to the same hashes."""
    undisturbed, project = Project(tmp_path / "undisturbed"), Project(tmp_path / "killed")
    for one in (undisturbed, project):
        one.change(smaller)
        point_to(one, server, content)
    expected = outcome(undisturbed, SER_CACHE=str(tmp_path / "cache of the undisturbed"))
    server.asked.clear()

    data, cache = project.folder / "data", tmp_path / "cache"
    begun = cache / "ravdess" / f".{ARCHIVE}.part"
    server.will(ARCHIVE, Reply(stall=len(content) // 2))
    kill_when(project, lambda: begun.exists() and begun.stat().st_size > 0, SER_CACHE=str(cache))
    for unfinished in (
        "raw/.ravdess.unfinished",
        "interim/.ravdess.parquet.unfinished",
        "features/frames/.ravdess.parquet.unfinished",
    ):
        kill_when(project, (data / unfinished).exists, SER_CACHE=str(cache))
        assert not (data / unfinished.replace(".ravdess", "ravdess").removesuffix(".unfinished")).exists()

    assert outcome(project, SER_CACHE=str(cache)) == expected
    first, second = [asked for _, asked in server.asked]
    assert first is None
    assert int(second.removeprefix("bytes=").removesuffix("-")) > 0, "fetched anew what was there"
    left = [path for path in data.rglob("*") if "unfinished" in path.name]
    assert left == []
