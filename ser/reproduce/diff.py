"""Compare a rebuilt result with the original, by dvc.lock, `dvc diff` and `dvc metrics diff`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ser import paths
from ser.reproduce._dvc import DVC, outputs, read_lock, run
from ser.tracking.mlflow_runs import RunInfo, flatten
from ser.utils.errors import UserError


@dataclass(frozen=True)
class Diff:
    """Differences between a rebuilt result and the original.

    Attributes
    ----------
    n_outputs : int
        Number of outputs that were compared.
    changed : dict of str to list of str
        Outputs that differ, each with the files that differ if it is a folder.
    metrics : DataFrame
        Metrics that differ, the largest change first, with the columns metric, before, after and change.
    """

    n_outputs: int
    changed: Mapping[str, list[str]]
    metrics: pd.DataFrame


def compare(folder: Path, commit: str, hashes: Mapping[str, str], *, info: RunInfo | None = None) -> Diff:
    """Compare a rebuilt result with that of a commit, and with the metrics of an MLflow run.

    Parameters
    ----------
    folder : Path
        Worktree of the rebuilt result.
    commit : str
        Original commit.
    hashes : mapping of str to str
        Outputs to compare, from `ser.reproduce.rebuild.rebuild`; empty if the commit has other settings.
    info : RunInfo, optional
        MLflow run to compare with.

    Raises
    ------
    UserError
        If the model of the run was not rebuilt.
    """
    rebuilt = outputs(read_lock(folder))
    changed = sorted(path for path, md5 in hashes.items() if rebuilt.get(path) != md5)
    kinds = _diff(folder, "diff", "--hide-missing", commit).values() if changed else []
    entries = [entry["path"] for kind in kinds for entry in kind]
    files = sorted(entry["new"] if isinstance(entry, dict) else entry for entry in entries)
    metrics = _diff(folder, "metrics", "diff", commit).values() if hashes else []
    pairs = {name: (value["old"], value["new"]) for file in metrics for name, value in file.items()}
    pairs |= _run_metrics(folder, info) if info else {}
    table = pd.DataFrame.from_dict(pairs, orient="index", columns=["before", "after"], dtype=float)
    table = table[table.before != table.after].rename_axis("metric").reset_index()
    table = table.assign(change=table.after - table.before).sort_values("change", key=abs, ascending=False)
    contents = {path: [file for file in files if file.startswith(f"{path}/") and file[-1] != "/"] for path in changed}
    return Diff(len(hashes), contents, table)


def _diff(folder: Path, *command: str) -> dict[str, Any]:
    diff: dict[str, Any] = json.loads(run([*DVC, *command, "--json"], cwd=folder, capture=True))
    return diff


def _run_metrics(folder: Path, info: RunInfo) -> dict[str, tuple[float, float]]:
    metrics = json.loads((folder / paths.METRICS).read_text(encoding="utf-8"))
    rebuilt = flatten(metrics.get(info.model, {}))
    pairs = {f"{info.model}.{name}": (old, rebuilt[name]) for name, old in info.metrics.items() if name in rebuilt}
    if not pairs:
        raise UserError(f"{paths.METRICS}: expected metrics of {info.model!r}, found only {', '.join(metrics)}.")
    return pairs


def format_diff(diff: Diff) -> str:
    """Format the differences for the terminal."""
    identical = f"{diff.n_outputs - len(diff.changed)} of {diff.n_outputs} outputs are identical"
    lines = [identical] if diff.n_outputs else []
    for output, files in diff.changed.items():
        lines += [f"differs: {output}", *(f"         {file}" for file in files)]
    table = diff.metrics.to_markdown(index=False, tablefmt="simple", floatfmt=".4f") if len(diff.metrics) else ""
    return "\n".join([*lines, f"{len(diff.metrics)} metrics differ", table])
