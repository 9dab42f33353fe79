"""`make repro` rejects invalid settings before DVC removes outputs."""

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


def write(folder: Path, **changes: Any) -> Path:
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(factories.ordinary() | changes))
    return path


def test_valid_settings_are_returned(tmp_path: Path) -> None:
    """Published and custom corpora are accepted."""
    assert check(write(tmp_path, corpora=["ravdess", "mine"])).corpora == ("ravdess", "mine")


@pytest.mark.parametrize(("name", "suggestion"), [("demoo", "demo"), ("mien", "mine"), ("tes", "tess")])
def test_an_unknown_corpus_is_an_error(tmp_path: Path, name: str, suggestion: str) -> None:
    """The error names the corpus, the known ones and the most similar one."""
    with pytest.raises(UserError, match=rf"'{name}' .*, mine.* {suggestion}\?"):
        check(write(tmp_path, corpora=["ravdess", name]))


def test_unpublished_folds_are_an_error(tmp_path: Path) -> None:
    """A fold table that a corpus lacks is reported before recordings are downloaded."""
    split = factories.split("speaker_independent", published="emobox").model_dump()
    with pytest.raises(UserError, match="'emobox' of demo"):
        check(write(tmp_path, corpora=["demo"], split=split))


def test_make_checks_the_settings(tmp_path: Path) -> None:
    """The command of the Makefile prints a one-line error and fails."""
    write(tmp_path, corpora=["demoo"])
    [command] = re.findall("^CHECK := (.*)$", (factories.ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    program = f"import sys; sys.path.insert(0, {str(factories.ROOT)!r}); {command}"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and "'demoo'" in done.stderr
