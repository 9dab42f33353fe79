"""Rebuild somebody's result in a folder of its own, and say which outputs are identical and which differ."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from ser import paths
from ser.reproduce import diff, rebuild, revisions
from ser.tracking import mlflow_runs
from ser.utils.errors import UserError, handle_user_errors


@partial(handle_user_errors, code=2)
def main(
    rev: Annotated[str, typer.Option(help="A Git revision.")] = "",
    run: Annotated[str, typer.Option(help="Or the id of a run in MLflow.")] = "",
    stage: Annotated[list[str] | None, typer.Option(help="Rebuild only this stage; may be repeated.")] = None,
    keep: Annotated[list[str] | None, typer.Option(help="Take this stage's outputs from DVC's cache.")] = None,
    folder: Annotated[Path, typer.Option(help="Where to rebuild.")] = paths.REPRODUCTION,
) -> None:
    """Rebuild somebody's result in a folder of its own, and say which outputs are identical and which differ.

    Takes code and settings from Git and MLflow. Exit code 0: all identical, 1: something differs, 2: not rebuilt.
    """
    if bool(rev) == bool(run):
        raise UserError("name one of --rev and --run: make reproduce REV=<revision> or RUN=<MLflow's run id>.")
    found = mlflow_runs.find_run(run) if run else None
    commit = revisions.resolve(found.revision if found else rev)
    committed = revisions.read_settings(commit)
    settings = rebuild.recorded_settings(found, committed) if found else committed
    rebuild.prepare(commit, folder, settings=settings if settings != committed else None)
    for sentence in rebuild.warnings(commit):
        typer.echo(f"note: {sentence}")
    stages = rebuild.rebuild(folder, stages=stage or [], keep=keep or [])
    if settings == committed:
        hashes, numbers = rebuild.compare(commit, folder, stages)
    else:  # the commit's outputs are those of other settings
        hashes, numbers = diff.compare_hashes({}, {}), {}
    if found:
        numbers |= rebuild.compare_run(found, folder)
    typer.echo(f"\n{diff.format_diff(hashes, numbers)}\nRebuilt from {commit[:7]} in {folder}")
    differs = (hashes.verdict != diff.IDENTICAL).any() or any(len(table) for table in numbers.values())
    raise typer.Exit(int(differs))


if __name__ == "__main__":
    typer.run(main)
