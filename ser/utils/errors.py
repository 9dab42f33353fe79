"""What goes wrong in ways a user can mend, and how a command ends when it does."""

import functools
import os
import subprocess
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class UserError(ValueError):
    """Settings, files or recordings are not what was expected.

    The message is complete for the reader: it names the file or key, what was found,
    what was expected, and what to do.
    """


def how_to_set(key: str, value: str) -> str:
    """Say how a setting is changed: in the file, which always works, or for one run of DVC."""
    return f"set {key}: {value} in params.yaml (or dvc exp run -S {key}={value})"


def handle_user_errors(command: Callable[P, R], *, code: int = 1) -> Callable[P, R]:
    """Make a command end with the message of an `UserError` on standard error instead of a traceback.

    Parameters
    ----------
    command
        The command.
    code
        Exit code of such an end, where 1 has another meaning.

    A stage that DVC runs leaves a failed run in MLflow, whatever the error.

    Raises
    ------
    SystemExit
        With `code`.
    """

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except UserError as error:
            _leave_a_record(str(error))
            sys.stderr.write(f"error: {error}\n")
            raise SystemExit(code) from None
        except Exception as error:
            _leave_a_record(f"{type(error).__name__}: {error}")
            raise

    return wrapped


def _leave_a_record(sentence: str) -> None:
    """Have a failure recorded, by a process of its own: so no stage imports mlflow, or depends on what records."""
    stage = os.environ.get("DVC_STAGE")
    if stage:
        subprocess.run([sys.executable, "-m", "ser.tracking.failures", stage, sentence], check=False)
