"""A user error ends a command with a one-line message, any other error with its traceback."""

import inspect

import pytest

from ser.utils.errors import UserError, handle_user_errors


@handle_user_errors
def command(error: str = "") -> str:
    """Return or raise."""
    if error == "user":
        raise UserError("params.yaml: seed is missing; add it.")
    if error:
        raise ValueError(error)
    return "done"


def test_other_results_are_unchanged() -> None:
    """Return value, other errors, name, documentation and parameters are those of the command."""
    assert command() == "done"
    with pytest.raises(ValueError, match="unexpected"):
        command(error="unexpected")
    assert (command.__name__, command.__doc__) == ("command", "Return or raise.")
    assert list(inspect.signature(command).parameters) == ["error"]


@pytest.mark.parametrize("code", [1, 2])
def test_a_user_error_becomes_an_exit_code(code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The message is printed to standard error, and the exit code can be chosen."""
    with pytest.raises(SystemExit) as exit_:
        handle_user_errors(command.__wrapped__, code=code)(error="user")
    assert exit_.value.code == code
    assert capsys.readouterr().err == "error: params.yaml: seed is missing; add it.\n"
