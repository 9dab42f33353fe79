"""`make repro` refuses settings that no run can have before DVC clears anything."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ser.download.preflight import check
from ser.utils.errors import UserError
from tests.helpers import factories

ROOT = Path(__file__).parents[2]


def write(folder: Path, **changes: Any) -> Path:
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(factories.ordinary() | changes))
    return path


def test_settings_that_a_run_can_have(tmp_path: Path) -> None:
    """Published corpora and one's own pass, and are given back."""
    assert check(write(tmp_path, corpora=["ravdess", "mine"])).corpora == ("ravdess", "mine")


@pytest.mark.parametrize(("name", "meant"), [("demoo", "demo"), ("mien", "mine"), ("tes", "tess")])
def test_an_unknown_corpus_is_named_with_the_nearest_known_one(tmp_path: Path, name: str, meant: str) -> None:
    """A misspelt corpus, or own recordings, are refused with what was meant."""
    with pytest.raises(UserError, match=f"unknown corpus '{name}' .*, mine. Did you mean {meant}\\? "):
        check(write(tmp_path, corpora=["ravdess", name]))


def test_folds_that_nobody_published(tmp_path: Path) -> None:
    """A table that a corpus of the run does not have is found before recordings are fetched."""
    split = factories.split("speaker_independent", published="emobox").model_dump()
    with pytest.raises(UserError, match="'emobox' of demo"):
        check(write(tmp_path, corpora=["demo"], split=split))


def test_make_checks(tmp_path: Path) -> None:
    """What the Makefile runs before DVC ends with one sentence and a failure."""
    write(tmp_path, corpora=["demoo"])
    [command] = re.findall("^CHECK := (.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {command}"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: unknown corpus 'demoo'")
    assert len(done.stderr.splitlines()) == 1
