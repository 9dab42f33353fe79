"""Time work, measure memory, run variants in separate processes, and write reports/benchmarks.md."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import typer

from ser import paths

REPORT = paths.REPORTS / "benchmarks.md"


def run_in_process(module: str, variant: str) -> dict[str, Any]:
    """Run ``python -m MODULE VARIANT`` and parse the last line of its output as JSON."""
    done = subprocess.run([sys.executable, "-m", module, variant], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{module} {variant} failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def run_variant(measure: Callable[[str], dict[str, float]], main: Callable[[], None]) -> None:
    """Print what `measure` returns for the variant on the command line; without one, run `main`."""
    if len(sys.argv) > 1:
        typer.echo(json.dumps(measure(sys.argv[1])))
    else:
        main()


def time_call(function: Callable[[], Any]) -> float:
    """Measure the duration of a call, in seconds."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def memory_mb(name: str = "VmHWM", *, process: int | str = "self") -> float:
    """Read the memory of a process in MB: now (``VmRSS``) or at most (``VmHWM``)."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    [kilobytes] = re.findall(rf"{name}:\s+(\d+) kB", status)
    return int(kilobytes) / 1024


def write_section(title: str, lines: Sequence[str]) -> None:
    """Print a section of the report, and replace it in the file or add it."""
    page = REPORT.read_text(encoding="utf-8") if REPORT.is_file() else "# Benchmarks\n"
    head, *sections = re.split(r"^(?=## )", page, flags=re.MULTILINE)
    kept = [section for section in sections if not section.startswith(f"## {title}\n")]
    new = "\n".join([f"## {title}", "", *lines, ""])
    parts = [head, *sorted([*kept, new])]
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text("\n".join(part.rstrip() + "\n" for part in parts), encoding="utf-8")
    typer.echo("\n".join(lines))
