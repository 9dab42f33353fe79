"""Rebuilding somebody's result in a folder of its own: their code, their settings, and nothing of what they built.

The folder is a clone with an empty cache, so that DVC has to run the stages. What is not to be rebuilt, and data that
DVC only keeps, is taken from this project's cache.
"""

import ast
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
import yaml

from ser import paths
from ser.reproduce import diff, revisions
from ser.tracking.mlflow_runs import RunInfo, flatten
from ser.utils.errors import UserError
from ser.utils.files import remove, write_text

PINNED = ("requirements.txt", "constraints.txt")


# Settings -------------------------------------------------------------------------------------------------------------


def recorded_settings(found: RunInfo, committed: Mapping[str, Any]) -> dict[str, Any]:
    """Lay the settings that a run recorded over those of its commit.

    Parameters
    ----------
    found
        The run. Where it kept params.yaml, that holds; else its flat params, from which empty settings are missing.
    committed
        params.yaml of the commit.
    """
    if found.settings is not None:
        return {**committed, **(yaml.safe_load(found.settings) or {})}
    settings = json.loads(json.dumps(committed))
    known = flatten(committed)
    for key, text in found.params.items():
        if key in known or key.split(".")[0] in committed:
            _put(settings, key.split("."), _value(text))
    return dict(settings)


def _put(settings: dict[str, Any], key: Sequence[str], value: Any) -> None:
    *sections, last = key
    for name in sections:
        settings = settings.setdefault(name, {})
    settings[last] = value


def _value(text: str) -> Any:
    """Read what `str` made of a setting."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


# The folder -----------------------------------------------------------------------------------------------------------


def prepare(commit: str, folder: Path, *, settings: Mapping[str, Any] | None, root: Path = Path()) -> None:
    """Make a clone at a commit, with this project's environment and recordings.

    Parameters
    ----------
    commit
        To check out.
    folder
        The clone; what was there is removed.
    settings
        Of a run, in place of the commit's params.yaml; None: the commit's.
    root
        The project.

    Raises
    ------
    InputError
        If Git cannot do so.
    """
    remove(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _run(["git", "clone", "--quiet", "--shared", "--no-checkout", str(root.resolve()), str(folder)], cwd=root)
    _run(["git", "checkout", "--quiet", "--detach", commit], cwd=folder)
    if settings is not None:
        write_text(folder / paths.PARAMS, yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True))
    used = yaml.safe_load((folder / paths.PARAMS).read_bytes()) or {}
    for name in [".venv", *_places(used)]:
        _link(name, folder, root)


def _places(settings: Mapping[str, Any]) -> list[str]:
    """Name the settings' recordings that are looked for in the project's folder."""
    own = [mine.get(key) for mine in (settings.get("own") or {}).values() for key in ("folder", "labels")]
    places = [(settings.get("download") or {}).get("local_dir"), *own]
    return [place for place in places if place and not place.startswith(("/", "~"))]


def _link(name: str, folder: Path, root: Path) -> None:
    here, there = root.resolve() / name, folder / name
    if here.exists() and not there.exists():
        there.parent.mkdir(parents=True, exist_ok=True)
        there.symlink_to(here, target_is_directory=here.is_dir())


def warnings(commit: str, *, root: Path = Path()) -> list[str]:
    """Say what a rebuild here cannot bring back."""
    differing = [
        name
        for name in PINNED
        if revisions.content(commit, Path(name), root=root) != revisions.content(None, Path(name), root=root)
    ]
    if not differing:
        return []
    return [f"{' and '.join(differing)} differ from the commit's: the rebuild uses the packages installed here."]


def _run(command: Sequence[str], *, cwd: Path, what: str = "") -> None:
    """Run a command without this project's DVC and MLflow around it; it may show its progress."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("DVC_", "MLFLOW_", "GIT_", "MAKE"))}
    env = kept | {"DVC_NO_ANALYTICS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
    if subprocess.run(command, cwd=cwd, env=env, check=False).returncode != 0:
        raise UserError(f"`{' '.join(command)}` failed in {cwd}, as said above. {what}".strip())


# The rebuild ----------------------------------------------------------------------------------------------------------


def rebuild(
    folder: Path, *, stages: Sequence[str] = (), keep: Sequence[str] = (), root: Path = Path()
) -> Mapping[str, Any]:
    """Run stages anew, whatever was built before.

    Parameters
    ----------
    folder
        As `prepare` leaves it.
    stages
        Those to run, a name or that of a group; none: all.
    keep
        Those of them to take from this project's cache instead, such as a download.
    root
        The project.

    Returns
    -------
    Mapping
        The rebuilt stages as the folder's dvc.lock had them before: {name: {deps, outs, …}}.

    Raises
    ------
    InputError
        If a stage is unknown or fails, or the cache lacks what a stage reads.
    """
    before = revisions.read_lock(None, root=folder)
    chosen = _select(_listed(folder), stages, keep)
    _restore(folder, before, chosen, root=root)
    command = [sys.executable, "-m", "dvc", "repro", "--force", "--no-run-cache"]
    whole = not stages and not keep
    _run(command if whole else [*command, "--single-item", *chosen], cwd=folder, what="The folder stays as it is.")
    return {name: stage for name, stage in before.items() if name in chosen}


def _listed(folder: Path) -> list[str]:
    """List a project's stages in the order of dvc.yaml."""
    command = [sys.executable, "-m", "dvc", "stage", "list", "--name-only"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UserError(f"{folder}: DVC cannot read dvc.yaml of this commit: {done.stderr.strip()}")
    return done.stdout.split()


def _select(listed: Sequence[str], stages: Sequence[str], keep: Sequence[str]) -> list[str]:
    groups = [name.split("@")[0] for name in listed]
    unknown = [name for name in [*stages, *keep] if name not in listed and name not in groups]
    if unknown:
        raise UserError(f"stage {unknown[0]!r} is not in dvc.yaml of this commit; it has {', '.join(listed)}.")
    chosen = [name for name in listed if not stages or _named(name, stages)]
    chosen = [name for name in chosen if not _named(name, keep)]
    if not chosen:
        raise UserError("no stage is left to rebuild; name fewer in --keep.")
    return chosen


def _named(stage: str, names: Sequence[str]) -> bool:
    return stage in names or stage.split("@")[0] in names


def _restore(folder: Path, lock: Mapping[str, Any], chosen: Sequence[str], *, root: Path) -> None:
    """Take from this project's cache what the stages to be run read and do not make themselves."""
    made = revisions.outputs({name: stage for name, stage in lock.items() if name in chosen})
    others = [path for path in revisions.outputs(lock) if path not in made]
    read = {dep["path"] for name, stage in lock.items() if name in chosen for dep in stage.get("deps", [])}
    needed = [path for path in others if any(_overlap(path, dep) for dep in read)]
    missing = [path for path in needed if not (folder / path).exists()]  # others are in Git
    kept = [str(file.relative_to(folder)) for file in sorted(folder.rglob("*.dvc")) if file.is_file()]
    if missing or kept:
        dvc = [sys.executable, "-m", "dvc"]
        _run([*dvc, "remote", "add", "--quiet", "--local", "--force", "original", str(cache(root))], cwd=folder)
        what = "The cache here lacks what the stages read; rebuild the stages that make it too, or `dvc pull` it first."
        _run([*dvc, "pull", "--quiet", "--remote", "original", *missing, *kept], cwd=folder, what=what)


def _overlap(a: str, b: str) -> bool:
    """Say whether one path is the other, or lies in it."""
    first, second = PurePosixPath(a), PurePosixPath(b)
    return first.is_relative_to(second) or second.is_relative_to(first)


def cache(root: Path) -> Path:
    """Locate DVC's cache of a project."""
    command = [sys.executable, "-m", "dvc", "cache", "dir"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UserError(f"{root.resolve()} is no DVC project: {done.stderr.strip()}")
    return (root / done.stdout.strip()).resolve()


# What came of it ------------------------------------------------------------------------------------------------------


def compare(
    commit: str, folder: Path, stages: Mapping[str, Any], *, root: Path = Path()
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Compare what was rebuilt with what a commit's dvc.lock names, file by file.

    Parameters
    ----------
    commit
        The original.
    folder
        The rebuilt.
    stages
        As `rebuild` returns them.
    root
        The project.

    Returns
    -------
    DataFrame
        As `ser.reproduce.diff.compare_hashes` makes it; of a folder that differs, its files.
    dict
        {path: as `ser.reproduce.diff.compare_numbers` makes it} of JSON that differs.
    """
    lock = revisions.read_lock(None, root=folder)
    before = revisions.outputs(stages)
    after = revisions.outputs({name: stage for name, stage in lock.items() if name in stages})
    for path in [path for path in before if path in after and before[path] != after[path]]:
        old, new = _files(commit, path, before[path], root=root), _files(None, path, after[path], root=folder)
        if old and new:
            del before[path], after[path]
            before |= old
            after |= new
    hashes = diff.compare_hashes(before, after)
    differing = hashes.path[(hashes.verdict == diff.CHANGED) & hashes.path.str.endswith(".json")]
    sides = {path: (_numbers(commit, path, root=root), _numbers(None, path, root=folder)) for path in differing}
    return hashes, {path: diff.compare_numbers(*both) for path, both in sides.items() if all(both)}


def compare_run(found: RunInfo, folder: Path) -> dict[str, pd.DataFrame]:
    """Compare what was rebuilt with the metrics that a run recorded.

    Raises
    ------
    InputError
        If the rebuild has no metrics of the run's model.
    """
    flat = _numbers(None, paths.METRICS.as_posix(), root=folder)
    own = f"{found.model}."
    rebuilt = {name.removeprefix(own): number for name, number in flat.items() if name.startswith(own)}
    recorded = {name: value for name, value in found.metrics.items() if name in rebuilt}
    if not recorded:
        raise UserError(
            f"{folder / paths.METRICS} and the run have no metric of {found.model!r} in common, found "
            f"{', '.join(sorted({name.split('.')[0] for name in flat})) or 'nothing'} there; rebuild `evaluate` too."
        )
    what = f"{len(recorded)} metrics of {found.model} that the run recorded"
    return {what: diff.compare_numbers(recorded, {name: rebuilt[name] for name in recorded})}


def _files(commit: str | None, path: str, md5: str, *, root: Path) -> dict[str, str]:
    """List the files in an output that is a folder, with their hashes; nothing where they are not known."""
    if not md5.endswith(".dir"):
        return {}
    listing = cache(root) / "files" / "md5" / md5[:2] / md5[2:]
    if listing.is_file():
        return {f"{path}/{entry['relpath']}": entry["md5"] for entry in json.loads(listing.read_bytes())}
    if commit is None:
        names = [file.relative_to(root).as_posix() for file in sorted((root / path).rglob("*")) if file.is_file()]
    else:
        names = revisions.names(commit, Path(path), root=root)
    texts = {name: revisions.content(commit, Path(name), root=root) or b"" for name in names}
    return {name: hashlib.md5(text, usedforsecurity=False).hexdigest() for name, text in texts.items()}


def _numbers(commit: str | None, path: str, *, root: Path) -> dict[str, float]:
    """Read every number of a JSON file by its path in it; nothing where there is no such file."""
    try:
        found = json.loads(revisions.content(commit, Path(path), root=root) or b"{}")
    except ValueError:
        return {}
    flat = flatten(found) if isinstance(found, dict) else {}
    return {name: float(value) for name, value in flat.items() if isinstance(value, (int, float))}
