"""Run a piece of work in a process of its own, and say how long it took and how much memory it needed."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ser import paths

REPORT = paths.REPORTS / "benchmarks.md"


def in_a_process(module: str, variant: str) -> dict[str, Any]:
    """Run ``python -m MODULE VARIANT``, which prints what `work` returned."""
    done = subprocess.run([sys.executable, "-m", module, variant], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{module} {variant} failed:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def timed(work: Callable[[], Any]) -> float:
    """Say how many seconds some work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def peak_megabytes() -> float:
    """Say how much memory this process had at most."""
    return megabytes("VmHWM")


def megabytes(name: str, *, process: int | str = "self") -> float:
    """Read how much memory a process has (``VmRSS``) or had at most (``VmHWM``)."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    [kilobytes] = re.findall(rf"{name}:\s+(\d+) kB", status)
    return int(kilobytes) / 1024


def write_section(title: str, lines: list[str]) -> None:
    """Replace a section of the report, or add it; other sections stay as they were."""
    page = REPORT.read_text(encoding="utf-8") if REPORT.is_file() else "# Benchmarks\n"
    head, *sections = re.split(r"^(?=## )", page, flags=re.MULTILINE)
    kept = [section for section in sections if not section.startswith(f"## {title}\n")]
    new = "\n".join([f"## {title}", "", *lines, ""])
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text("\n".join([head.rstrip() + "\n", *(part.rstrip() + "\n" for part in sorted([*kept, new]))]))
