"""Print every output whose content differs between two builds of the pipeline.

Usage: ``python -m tools.compare_builds BEFORE AFTER``, each a checkout in which ``dvc repro`` has run.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
import yaml


def list_outputs(checkout: Path) -> dict[str, str]:
    """Hash every file of every output that dvc.lock names.

    Parameters
    ----------
    checkout : Path
        Root of a checkout with a dvc.lock.

    Returns
    -------
    dict of str to str
        MD5 of each file by its path relative to the checkout; ``missing`` where an output is not in the workspace.
    """
    lock = yaml.safe_load((checkout / "dvc.lock").read_text(encoding="utf-8"))
    outputs = [checkout / out["path"] for stage in lock["stages"].values() for out in stage.get("outs", [])]
    return {
        file.relative_to(checkout).as_posix(): _md5(file) if file.is_file() else "missing"
        for output in outputs
        for file in _files(output)
    }


def _files(output: Path) -> Iterator[Path]:
    if not output.is_dir():
        yield output
    yield from (path for path in output.rglob("*") if path.is_file())


def _md5(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "md5").hexdigest()


def main(
    before: Annotated[Path, typer.Argument(help="Checkout of the first build.")],
    after: Annotated[Path, typer.Argument(help="Checkout of the second build.")],
) -> None:
    """Print every output whose content differs between two builds; the exit code is 1 if there is any."""
    old, new = list_outputs(before), list_outputs(after)
    for path in sorted(old.keys() | new.keys()):
        if path not in new:
            typer.echo(f"removed  {path}")
        elif path not in old:
            typer.echo(f"added    {path}")
        elif old[path] != new[path]:
            typer.echo(f"changed  {path}")
    same = sum(old.get(path) == content for path, content in new.items())
    typer.echo(f"{same} of {len(old.keys() | new.keys())} files are identical")
    raise typer.Exit(int(old != new))


if __name__ == "__main__":
    typer.run(main)
