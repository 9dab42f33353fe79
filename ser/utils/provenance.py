"""Describe how to reproduce a result: Git commands and settings.

A page cannot contain the commit it belongs to, as its bytes are part of that commit. Instead, dvc.lock contains the
hash of every page, by which Git finds the commit.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ser import paths

INSTRUCTIONS = (
    "The settings are in params.yaml; dvc.lock contains the hashes of code, data and results. The first command finds "
    "the commit, or the experiment, that produced this page, by the hash of the page; replace COMMIT by its output. If "
    "it prints nothing, the result was never committed. Each MLflow run contains all settings and, in the tag "
    "git_revision, the commit that was checked out. Recordings that are not downloaded must be where params.yaml says "
    "(download.data_dir, custom_corpora)."
)


def commands(page: Path, *, lock: Path = paths.LOCK) -> str:
    """Format the shell commands that reproduce a page, one per line; `lock` is the file that contains its hash."""
    return (
        f'git log --all --format=%H -S "$(md5sum < {page} | cut -c -32)" -- {lock} | tail -n 1\n'
        "git checkout COMMIT\n"
        "make repro\n"
    )


def settings_text(settings: Mapping[str, Any]) -> str:
    """Format all of params.yaml as YAML, without the local paths of recordings.

    Keys within a section are sorted, as DVC does not rerun if only their order changes.
    """
    download = {key: value for key, value in settings["download"].items() if key != "data_dir"}
    custom_corpora = {
        name: {key: value for key, value in corpus.items() if key not in ("folder", "labels")}
        for name, corpus in settings["custom_corpora"].items()
    }
    public = {**settings, "download": download, "custom_corpora": custom_corpora}
    ordered = {name: json.loads(json.dumps(section, sort_keys=True)) for name, section in public.items()}
    return str(yaml.safe_dump(ordered, sort_keys=False, default_flow_style=None, allow_unicode=True, width=100))
