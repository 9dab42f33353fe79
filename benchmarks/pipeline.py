"""Every stage of the pipeline on the corpora of params.yaml, with all cores and with one process.

    .venv/bin/dvc repro        # so that all inputs are there
    .venv/bin/python -m benchmarks.pipeline

Runs the stages' own scripts, in the order of dvc.yaml, in a copy of the project without Git, where nothing is lost and
nothing is recorded. Peak memory is of the largest process; the real-time factor is of all recordings' length.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import typer
import yaml

from benchmarks import measuring
from ser import paths
from ser.params import Params, read_params
from ser.utils.errors import handle_user_errors

LEFT = (".git", ".dvc", ".venv", "mlartifacts", "mlflow.db", "data", "models", "tests", "docs")


def commands(params: Params) -> Iterator[tuple[str, list[str]]]:
    """Name the scripts of every stage that computes, in order, for all of its corpora or baselines."""
    items = {"corpus": params.corpora, "baseline": params.baselines}
    for stage, declared in yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"].items():
        command = declared.get("do", declared)["cmd"]
        option = re.search(r"--(corpus|baseline|name|model)", command)
        if stage == "record":
            continue
        if option is None:
            yield stage, ["-m", f"stages.{stage}"]
        else:
            chosen = items["corpus" if option[1] == "corpus" else "baseline"]
            yield from ((stage, ["-m", f"stages.{stage}", option[0], item]) for item in chosen)


def run(command: list[str], folder: Path, *, processes: int) -> tuple[float, float]:
    """Run a stage, and say how many seconds it took and how many MB its largest process had."""
    environment = os.environ | {"SER_WORKERS": str(processes)}
    start = time.perf_counter()
    done = subprocess.Popen(
        [sys.executable, *command], cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    peak = 0.0
    while done.poll() is None:
        peak = max([peak, *map(_megabytes, _family(done.pid))])
        time.sleep(0.05)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed; run `make repro` first, and see what it says.")
    return time.perf_counter() - start, peak


def _family(pid: int) -> Iterator[int]:
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
    except OSError:
        return
    for child in children:
        yield from _family(int(child))


def _megabytes(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


def measure(params: Params, *, processes: int) -> pd.DataFrame:
    """Run all stages in a copy of the project: a row a stage, with seconds and megabytes."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "project"
        shutil.copytree(".", folder, ignore=shutil.ignore_patterns(*LEFT))
        rows = [(stage, *run(command, folder, processes=processes)) for stage, command in commands(params)]
    table = pd.DataFrame(rows, columns=["stage", "seconds", "megabytes"])
    return table.groupby("stage", sort=False).agg({"seconds": "sum", "megabytes": "max"})


def heard(params: Params) -> tuple[int, float]:
    """Count the recordings, and their seconds."""
    tables = [pd.read_csv(paths.audio_stats(corpus)) for corpus in params.corpora]
    return sum(map(len, tables)), float(sum(table.duration.sum() for table in tables))


@handle_user_errors
def main() -> None:
    """Measure both, and write how they compare."""
    params = read_params()
    (recordings, seconds), cores = heard(params), len(os.sched_getaffinity(0))
    many, one = measure(params, processes=cores), measure(params, processes=1)
    among = f"{recordings} recordings ({', '.join(params.corpora)}), {seconds / 60:.0f} minutes"
    heads = ["stage", f"seconds, {cores} processes", "recordings a second", "real-time factor", "peak MB of one"]
    ratio = one.seconds.sum() / many.seconds.sum()
    lines = [
        f"{among}, `python -m benchmarks.pipeline`.",
        "",
        f"| {' | '.join([*heads, 'seconds, 1 process', 'ratio'])} |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {stage} | {row.seconds:.1f} | {recordings / row.seconds:.0f} | {row.seconds / seconds:.4f} | "
            f"{row.megabytes:.0f} | {one.seconds[stage]:.1f} | {one.seconds[stage] / row.seconds:.2f} |"
            for stage, row in many.iterrows()
        ),
        "",
        f"All together {many.seconds.sum():.0f} s; with one process {ratio:.2f} times that.",
    ]
    measuring.write_section("Pipeline", lines)
    print("\n".join(lines))  # noqa: T201


if __name__ == "__main__":
    typer.run(main)
