"""Time every stage of the pipeline on the corpora of params.yaml, with all cores and with one process.

    .venv/bin/dvc repro        # creates all inputs
    .venv/bin/python -m benchmarks.pipeline

The scripts of the stages run in the order of dvc.yaml, in a copy of the project without Git, and nothing is recorded.
Peak memory is that of the largest process. The real-time factor refers to the duration of all recordings.
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

from benchmarks import timing
from ser import paths
from ser.params import Params, read_params
from ser.utils.errors import handle_user_errors

EXCLUDED = (".git", ".dvc", ".venv", "mlartifacts", "mlflow.db", "data", "models", "tests", "docs")


def commands(params: Params) -> Iterator[tuple[str, list[str]]]:
    """List the command of every stage except `record`, in order, for all of its corpora or baselines."""
    items = {"corpus": params.corpora, "baseline": params.baselines}
    for stage, definition in yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"].items():
        option = re.search(r"--(corpus|baseline)", definition.get("do", definition)["cmd"])
        if stage == "record":
            continue
        if option is None:
            yield stage, ["-m", f"stages.{stage}"]
        else:
            yield from ((stage, ["-m", f"stages.{stage}", option[0], item]) for item in items[option[1]])


def run(command: list[str], folder: Path, *, n_processes: int) -> tuple[float, float]:
    """Run a stage: its duration in seconds, and the peak memory of its largest process in MB."""
    env = os.environ | {"SER_WORKERS": str(n_processes)}
    output = subprocess.DEVNULL
    start, peak = time.perf_counter(), 0.0
    process = subprocess.Popen([sys.executable, *command], cwd=folder, env=env, stdout=output, stderr=output)
    while process.poll() is None:
        peak = max(peak, _largest_peak_mb(process.pid))
        time.sleep(0.05)
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed; run `make repro` first, and check its output.")
    return time.perf_counter() - start, peak


def _largest_peak_mb(pid: int) -> float:
    """Get the largest peak memory of a process and its descendants; 0 if it has ended."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
        return max([timing.memory_mb(process=pid), *map(_largest_peak_mb, map(int, children))])
    except (OSError, ValueError):
        return 0.0


def copy_project(folder: Path) -> None:
    """Copy the project without `EXCLUDED` files and folders of its root."""
    shutil.copytree(".", folder, ignore=lambda source, _: EXCLUDED if source == "." else ())


def measure(params: Params, *, n_processes: int) -> pd.DataFrame:
    """Run all stages in a copy of the project: one row per stage, with seconds and megabytes."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "project"
        copy_project(folder)
        rows = [(stage, *run(command, folder, n_processes=n_processes)) for stage, command in commands(params)]
    table = pd.DataFrame(rows, columns=["stage", "seconds", "megabytes"])
    return table.groupby("stage", sort=False).agg({"seconds": "sum", "megabytes": "max"})


@handle_user_errors
def main() -> None:
    """Measure both, and write a table."""
    params, n_cores = read_params(), len(os.sched_getaffinity(0))
    recordings = pd.concat([pd.read_csv(paths.audio_stats(corpus)) for corpus in params.corpora])
    n_recordings, duration = len(recordings), recordings.duration.sum()
    parallel, sequential = measure(params, n_processes=n_cores), measure(params, n_processes=1)
    columns = ["stage", f"seconds, {n_cores} processes", "recordings per second", "real-time factor", "peak MB"]
    columns += ["seconds, 1 process", "speed-up"]
    rows = [
        f"| {stage} | {row.seconds:.1f} | {n_recordings / row.seconds:.0f} | {row.seconds / duration:.4f} | "
        f"{row.megabytes:.0f} | {sequential.seconds[stage]:.1f} | {sequential.seconds[stage] / row.seconds:.2f} |"
        for stage, row in parallel.iterrows()
    ]
    total = parallel.seconds.sum()
    lines = [
        f"{n_recordings} recordings ({', '.join(params.corpora)}), {duration / 60:.0f} minutes, "
        "`python -m benchmarks.pipeline`.",
        "",
        f"| {' | '.join(columns)} |",
        "|---" * len(columns) + "|",
        *rows,
        "",
        f"Total: {total:.0f} s; with one process {sequential.seconds.sum() / total:.2f} times as long.",
    ]
    timing.write_section("Pipeline", lines)


if __name__ == "__main__":
    typer.run(main)
