"""Compare the metrics of all models with those of another revision, and fail if they are worse."""

from functools import partial
from pathlib import Path
from typing import Annotated, get_args

import typer

from ser import paths
from ser.evaluation import regression_check
from ser.params import Change, read_params
from ser.reporting import regression_report
from ser.reproduce import revisions
from ser.utils.errors import UserError, handle_user_errors
from ser.utils.files import write_text


@partial(handle_user_errors, code=2)
def main(
    against: Annotated[str, typer.Option(help="The Git revision to compare with.")] = "main",
    candidate: Annotated[str | None, typer.Option(help="The revision to check; by default the workspace.")] = None,
    accept: Annotated[list[str] | None, typer.Option(help=f"Accept a change: {get_args(Change)}.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Also write a comment for a pull request here.")] = None,
    picture: Annotated[list[str] | None, typer.Option(help="URL of a picture for the comment.")] = None,
) -> None:
    """Compare the metrics of all models with those of another revision, and fail if they are worse.

    Reads metrics/metrics.json, dvc.lock and data/predictions of both revisions, and the limits in the section `check`
    of params.yaml. Exit code 0: not worse, 1: worse, 2: could not compare. See docs/regression.md for the checks.
    """
    params = read_params()
    after, notes = revisions.read_result(candidate)
    before, others = revisions.read_result(against)
    if after is None:
        raise UserError(f"{candidate or 'the workspace'} has no {paths.METRICS}; run `make repro` to create it.")
    if regression_check.is_outdated(after.metrics):
        raise UserError(f"metrics of {after.name} were written by an earlier version; run `make repro` to update them.")
    if before is None:
        report = regression_check.skip_comparison(against, after, reason=f"{against} has no {paths.METRICS}")
    elif regression_check.is_outdated(before.metrics):
        report = regression_check.skip_comparison(against, after, reason=f"{against} has metrics of an earlier version")
    else:
        report = regression_check.compare(
            before, after, params.check, evaluate=params.evaluate, seed=params.data_seed, accepted=accept or []
        )
    report.notes += [*notes, *others]
    if markdown is not None:
        write_text(markdown, regression_report.markdown(report, pictures=picture or []))
    typer.echo(regression_report.console_report(report))
    raise typer.Exit(report.code)


if __name__ == "__main__":
    typer.run(main)
