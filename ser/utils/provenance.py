"""How a result is made again, in the same words wherever it is said.

No page holds the commit it belongs to: it is itself part of what that commit names. But dvc.lock has the hash of every
page, so that Git finds the commit by the page's own bytes.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ser import paths

IDENTIFIED = (
    "The settings are params.yaml; code, data and results are named by their hashes in dvc.lock. The first command "
    "finds the commit that holds this page, or the experiment that made it, by the hash of the page itself: put it in "
    "place of COMMIT. Where it finds none, the result was never committed. Every run in MLflow has the tag "
    "git_revision, the commit that was checked out, and all its settings. Recordings that were not fetched have to be "
    "where params.yaml says (download.data_dir, custom_corpora)."
)


def commands(page: Path, *, listed: Path = paths.LOCK) -> str:
    """Write what to type, a command a line; `page` is the path of what says so, `listed` of a file with its hash."""
    return (
        f'git log --all --format=%H -S "$(md5sum < {page} | cut -c -32)" -- {listed} | tail -n 1\n'
        "git checkout COMMIT\n"
        "make repro\n"
    )


def settings_text(settings: Mapping[str, Any]) -> str:
    """Write settings as YAML, without the places on somebody's computer where recordings were.

    Parameters
    ----------
    settings
        All of params.yaml. Within a section, keys are sorted: DVC does not rerun for another order of them.
    """
    ordered = {
        name: json.loads(json.dumps(section, sort_keys=True)) for name, section in _without_places(settings).items()
    }
    return str(yaml.safe_dump(ordered, sort_keys=False, default_flow_style=None, allow_unicode=True, width=100))


def _without_places(settings: Mapping[str, Any]) -> dict[str, Any]:
    custom_corpora = {
        name: {key: value for key, value in corpus.items() if key not in ("folder", "labels")}
        for name, corpus in settings["custom_corpora"].items()
    }
    download = {key: value for key, value in settings["download"].items() if key != "data_dir"}
    return {**settings, "download": download, "custom_corpora": custom_corpora}
