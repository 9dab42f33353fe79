"""Rebuild the result of a commit or an MLflow run in a Git worktree, and compare it with the original."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
import yaml

from ser import paths
from ser.reproduce import diff, rebuild, revisions
from ser.tracking import mlflow_runs
from ser.utils.errors import UserError, handle_user_errors


@partial(handle_user_errors, code=2)
def main(
    rev: Annotated[str, typer.Option(help="A Git revision.")] = "",
    run: Annotated[str, typer.Option(help="Or an MLflow run id.")] = "",
    stage: Annotated[list[str] | None, typer.Option(help="Rebuild only this stage; may be repeated.")] = None,
    keep: Annotated[list[str] | None, typer.Option(help="Take this stage's outputs from DVC's cache.")] = None,
    folder: Annotated[Path, typer.Option(help="Where to create the worktree.")] = paths.REPRODUCTION,
) -> None:
    """Rebuild the result of a commit or an MLflow run in a Git worktree, and compare it with the original.

    Takes code from Git, and settings from Git or MLflow. Exit code 0: identical, 1: different, 2: not rebuilt.
    """
    if bool(rev) == bool(run):
        raise UserError("expected one of --rev and --run: make reproduce REV=<revision> or RUN=<MLflow run id>.")
    info = mlflow_runs.find_run(run) if run else None
    commit = revisions.resolve(info.revision if info else rev)
    own_params = info.params if info and yaml.safe_load(info.params) != revisions.read_params(commit) else None
    rebuild.create_worktree(commit, folder, params=own_params)
    for warning in rebuild.package_warnings(commit):
        typer.echo(f"warning: {warning}")
    hashes = rebuild.rebuild(folder, stages=stage or [], keep=keep or [])
    result = diff.compare(folder, commit, {} if own_params else hashes, info=info)
    typer.echo(f"\n{diff.format_diff(result)}\nRebuilt from {commit[:7]} in {folder}")
    raise typer.Exit(int(bool(result.changed) or not result.metrics.empty))


if __name__ == "__main__":
    typer.run(main)
