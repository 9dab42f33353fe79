"""Rebuild the result of a commit, or of an MLflow run, in a Git worktree by `dvc repro --force`."""

from collections.abc import Sequence
from pathlib import Path

import yaml
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.repo.reproduce import plan_repro

from ser import paths
from ser.reproduce._dvc import DVC, outputs, read_lock, run
from ser.tracking.mlflow_runs import flatten
from ser.utils.errors import UserError
from ser.utils.files import write_text

PINNED = ("requirements.txt", "constraints.txt")


def create_worktree(commit: str, folder: Path, *, params: str | None = None) -> None:
    """Check out a commit in a Git worktree with the project's environment, recordings and DVC cache.

    Parameters
    ----------
    commit
        The commit.
    folder
        The worktree, which replaces an earlier one, but no other folder.
    params
        Replaces the text of the commit's params.yaml.
    """
    git = ["git", "-c", "core.hooksPath=/dev/null", "worktree"]
    if (folder / ".git").is_file():
        run([*git, "remove", "--force", str(folder)])
    run([*git, "add", "--quiet", "--force", "--detach", str(folder), commit])
    if not (folder / paths.LOCK).is_file():
        raise UserError(f"{commit} has no {paths.LOCK}, so there is no result to rebuild; expected a commit with one.")
    with Repo() as repo, Repo(str(folder)) as worktree, worktree.config.edit("local") as config:
        config["cache"]["dir"] = repo.cache.local_cache_dir
    if params is not None:
        write_text(folder / paths.PARAMS, params)
    settings = yaml.safe_load((folder / paths.PARAMS).read_text(encoding="utf-8")) or {}
    for name in [".venv", *flatten(settings).values()]:  # the environment, and recordings that settings name
        if isinstance(name, str) and Path(name).exists() and not (folder / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).symlink_to(Path(name).resolve())


def package_warnings(commit: str) -> list[str]:
    """Warn if the commit pins other packages than the workspace, whose packages are used."""
    changed = run(["git", "diff", "--name-only", commit, "--", *PINNED], capture=True).split()
    return [f"{name} differs from that of the commit; the rebuild uses the packages installed here" for name in changed]


def rebuild(folder: Path, *, stages: Sequence[str] = (), keep: Sequence[str] = ()) -> dict[str, str]:
    """Run stages in a worktree, also if DVC's cache has their outputs.

    Parameters
    ----------
    folder
        The worktree.
    stages, keep
        Stages, or groups of stages, to run (empty: all) and not to run. What the former read of the latter is taken
        from DVC's cache.

    Returns
    -------
    dict
        Outputs of the stages that ran, with their hashes in the commit's dvc.lock: {path: md5}.
    """
    try:
        with Repo(str(folder)) as repo:
            listed = [stage.name for stage in plan_repro(repo.index.graph) if stage.cmd]
    except DvcException as error:
        raise UserError(f"{folder}: DVC cannot read the pipeline of this commit: {error}") from None
    names = {stage: {stage, stage.split("@")[0]} for stage in listed}
    unknown = {*stages, *keep}.difference(*names.values())
    chosen = [stage for stage in listed if names[stage] & set(stages or listed) and not names[stage] & set(keep)]
    if unknown or not chosen:
        problem = f"stage {min(unknown)!r} is not in dvc.yaml" if unknown else "no stage is left to rebuild"
        raise UserError(f"{problem}; expected one of {', '.join(listed)}.")
    lock = read_lock(folder)
    rebuilt = {stage: lock.get(stage, {}) for stage in chosen}
    deps = [f"{dep['path']}/" for stage in rebuilt.values() for dep in stage.get("deps", [])]
    others = [f"{path}/" for path in outputs(lock) if path not in outputs(rebuilt)]
    inputs = [path for path in others if any(path.startswith(dep) or dep.startswith(path) for dep in deps)]
    if inputs:
        run([*DVC, "checkout", "--quiet", *(path.rstrip("/") for path in inputs)], cwd=folder)
    run([*DVC, "repro", "--force", *([] if chosen == listed else ["--single-item", *chosen])], cwd=folder)
    return outputs(rebuilt)
