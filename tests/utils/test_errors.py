"""A fault that a user can mend ends in one sentence, any other in its traceback."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from ser.utils.errors import UserError, handle_user_errors

ROOT = Path(__file__).parents[2]


@handle_user_errors
def command(fault: str = "") -> str:
    """Do what was asked."""
    if fault == "input":
        raise UserError("params.yaml: seed is missing; add it.")
    if fault:
        raise ValueError(fault)
    return "done"


def test_without_a_fault() -> None:
    """A command that succeeds returns what it returns."""
    assert command() == "done"


@pytest.mark.parametrize("code", [1, 2])
def test_an_input_error_becomes_an_exit(code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence goes to standard error, and the exit code is the one that was asked for."""
    with pytest.raises(SystemExit) as exit_:
        handle_user_errors(command.__wrapped__, code=code)(fault="input")
    assert exit_.value.code == code
    assert capsys.readouterr().err == "error: params.yaml: seed is missing; add it.\n"


def test_other_errors_pass() -> None:
    """A fault of the program itself is not hidden behind a sentence."""
    with pytest.raises(ValueError, match="unforeseen"):
        command(fault="unforeseen")


def test_the_command_line_is_kept() -> None:
    """Name, documentation and parameters are those of the command, from which typer makes its help."""
    assert (command.__name__, command.__doc__) == ("command", "Do what was asked.")
    assert list(inspect.signature(command).parameters) == ["fault"]


@pytest.mark.parametrize(("kind", "lines"), [("UserError", 1), ("ValueError", None)])
def test_at_the_terminal(kind: str, lines: int | None) -> None:
    """Exit code 1 and one line for an UserError, a traceback for others."""
    code = f"""
from ser.utils.errors import UserError, handle_user_errors
@handle_user_errors
def main():
    raise {kind}("corpora: unknown corpus 'tes'")
main()
"""
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.splitlines()[-1].endswith("rror: corpora: unknown corpus 'tes'")
    assert ("Traceback" in ended.stderr) == (lines is None)
    assert lines is None or len(ended.stderr.splitlines()) == lines
