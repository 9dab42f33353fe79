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
    commit : str
        Commit to check out.
    folder : Path
        Worktree to create; an earlier worktree is replaced, but no other folder.
    params : str, optional
        Text that replaces the commit's params.yaml.

    Raises
    ------
    UserError
        If the commit has no dvc.lock, or Git cannot create the worktree.
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
    for name in [".venv", *flatten(settings).values()]:  # settings may name recordings
        if isinstance(name, str) and Path(name).exists() and not (folder / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).symlink_to(Path(name).resolve())


def package_warnings(commit: str) -> list[str]:
    """List the requirement files that differ between the commit and the workspace, whose packages are used."""
    changed = run(["git", "diff", "--name-only", commit, "--", *PINNED], capture=True).split()
    return [f"{name} differs from that of the commit; the rebuild uses the packages installed here" for name in changed]


def rebuild(folder: Path, *, stages: Sequence[str] = (), keep: Sequence[str] = ()) -> dict[str, str]:
    """Run stages in a worktree, also if DVC's cache has their outputs.

    Parameters
    ----------
    folder : Path
        Worktree from `create_worktree`.
    stages : sequence of str
        Stages, or groups of stages, to run; empty runs all.
    keep : sequence of str
        Stages, or groups of stages, not to run. Their outputs come from DVC's cache.

    Returns
    -------
    dict of str to str
        Outputs of the stages that ran, with their MD5 in the commit's dvc.lock.

    Raises
    ------
    UserError
        If dvc.yaml is invalid, a stage is unknown, no stage is left, or a DVC command fails.
    """
    try:
        with Repo(str(folder)) as repo:
            known = [stage.name for stage in plan_repro(repo.index.graph) if stage.cmd]
    except DvcException as error:
        raise UserError(f"{folder}: DVC cannot read the pipeline of this commit: {error}") from None
    names = {stage: {stage, stage.split("@")[0]} for stage in known}
    unknown = {*stages, *keep}.difference(*names.values())
    chosen = [stage for stage in known if names[stage] & set(stages or known) and not names[stage] & set(keep)]
    if unknown or not chosen:
        problem = f"stage {min(unknown)!r} is not in dvc.yaml" if unknown else "no stage is left to rebuild"
        raise UserError(f"{problem}; expected one of {', '.join(known)}.")
    lock = read_lock(folder)
    rebuilt = {stage: lock.get(stage, {}) for stage in chosen}
    deps = [f"{dep['path']}/" for stage in rebuilt.values() for dep in stage.get("deps", [])]
    others = [f"{path}/" for path in outputs(lock) if path not in outputs(rebuilt)]
    inputs = [path for path in others if any(path.startswith(dep) or dep.startswith(path) for dep in deps)]
    if inputs:
        run([*DVC, "checkout", "--quiet", *(path.rstrip("/") for path in inputs)], cwd=folder)
    run([*DVC, "repro", "--force", *([] if chosen == known else ["--single-item", *chosen])], cwd=folder)
    return outputs(rebuilt)
