"""A page says how it is made again: by which commands, with which settings, and at which commit."""

import hashlib
import subprocess
from pathlib import Path
from typing import Any

import yaml

from ser.utils import provenance
from tests.helpers import factories

PAGE = "reports/evaluation.html"


def everything(**sections: Any) -> dict[str, Any]:
    return factories.settings(**sections).model_dump(mode="json")


def test_the_settings_can_be_read_back() -> None:
    """Every setting is shown as params.yaml has it, sections in its order, but for where recordings were."""
    shown = yaml.safe_load(provenance.settings_text(everything()))
    known = yaml.safe_load(yaml.safe_dump(everything()))
    del known["download"]["data_dir"]
    for mine in known["custom_corpora"].values():
        del mine["folder"], mine["labels"]
    assert shown == known
    assert list(shown) == list(everything())


def test_no_place_on_a_computer_is_shown() -> None:
    """A page that is passed on does not say where somebody keeps recordings."""
    mine = everything()["custom_corpora"]["mine"] | {"folder": "/home/somebody/a", "labels": "/home/somebody/b.csv"}
    content = everything(download={"data_dir": "/home/somebody/c"}, custom_corpora={"mine": mine})
    assert "somebody" not in provenance.settings_text(content)


def test_the_order_of_keys_does_not_show() -> None:
    """DVC takes settings in another order for the same: so are the bytes of the page."""
    grids = everything()["train_baselines"]["grids"]
    turned = everything() | {
        "train_baselines": everything()["train_baselines"] | {"grids": dict(reversed(grids.items()))}
    }
    assert list(turned["train_baselines"]["grids"]) != list(grids)
    assert provenance.settings_text(turned) == provenance.settings_text(everything())


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    return subprocess.run(["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout


def committed(folder: Path, page: str) -> str:
    """Commit a dvc.lock that names the page by its hash, and say at which commit."""
    (folder / "dvc.lock").write_text(f"path: {PAGE}\nmd5: {hashlib.md5(page.encode()).hexdigest()}\n")
    git(folder, "add", "dvc.lock")
    git(folder, "commit", "-q", "-m", page)
    return git(folder, "rev-parse", "HEAD").strip()


def test_the_command_finds_the_commit_of_a_page(tmp_path: Path) -> None:
    """The bytes of a page lead to the commit, or to the experiment, that made it, and to none if none did."""
    (tmp_path / "reports").mkdir()
    git(tmp_path, "init", "-q")
    commits = {page: committed(tmp_path, page) for page in ("first", "second", "experiment")}
    git(tmp_path, "update-ref", "refs/exps/some-name", "HEAD")
    git(tmp_path, "reset", "-q", "--hard", "HEAD~1")
    for page, commit in (commits | {"never committed": ""}).items():
        (tmp_path / PAGE).write_text(page)
        find = provenance.commands(PAGE).splitlines()[0]
        assert subprocess.check_output(find, shell=True, cwd=tmp_path, text=True).strip() == commit
