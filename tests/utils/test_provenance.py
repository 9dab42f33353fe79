"""A page contains the commands and settings that reproduce it."""

import hashlib
import subprocess
from pathlib import Path
from typing import Any

import yaml

from ser.utils import provenance
from tests.helpers import factories

PAGE = "reports/evaluation.html"


def all_settings(**sections: Any) -> dict[str, Any]:
    return factories.settings(**sections).model_dump(mode="json")


def test_settings_are_complete_except_for_local_paths() -> None:
    """All other settings can be read back, in the order of the sections."""
    mine = all_settings()["custom_corpora"]["mine"] | {"folder": "/home/user/a", "labels": "/home/user/b.csv"}
    settings = all_settings(download={"data_dir": "/home/user/c"}, custom_corpora={"mine": mine})
    text = provenance.settings_text(settings)
    assert "/home" not in text
    expected = yaml.safe_load(yaml.safe_dump(settings))
    del expected["download"]["data_dir"]
    del expected["custom_corpora"]["mine"]["folder"], expected["custom_corpora"]["mine"]["labels"]
    assert yaml.safe_load(text) == expected
    assert list(yaml.safe_load(text)) == list(settings)


def test_the_order_of_keys_does_not_change_the_text() -> None:
    """DVC considers settings in another order equal, so the bytes of a page must be equal too."""
    settings = all_settings()
    reordered = settings | {"split": dict(reversed(settings["split"].items()))}
    assert provenance.settings_text(reordered) == provenance.settings_text(settings)


def git(folder: Path, *arguments: str) -> str:
    user = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    return subprocess.run(["git", *user, *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout


def commit(folder: Path, page: str) -> str:
    """Commit a dvc.lock with the hash of a page, and return the commit."""
    (folder / "dvc.lock").write_text(f"path: {PAGE}\nmd5: {hashlib.md5(page.encode()).hexdigest()}\n")
    git(folder, "add", "dvc.lock")
    git(folder, "commit", "-q", "-m", page)
    return git(folder, "rev-parse", "HEAD").strip()


def test_the_command_finds_the_commit_of_a_page(tmp_path: Path) -> None:
    """The bytes of a page identify the commit or the experiment that produced it, if there is one."""
    (tmp_path / "reports").mkdir()
    git(tmp_path, "init", "-q")
    commits = {page: commit(tmp_path, page) for page in ("first", "second", "experiment")}
    git(tmp_path, "update-ref", "refs/exps/some-name", "HEAD")
    git(tmp_path, "reset", "-q", "--hard", "HEAD~1")
    for page, expected in (commits | {"never committed": ""}).items():
        (tmp_path / PAGE).write_text(page)
        command = provenance.commands(PAGE).splitlines()[0]
        assert subprocess.check_output(command, shell=True, cwd=tmp_path, text=True).strip() == expected
