"""Define the error for user mistakes, and report it as one line instead of a traceback."""

import functools
import os
import subprocess
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class UserError(ValueError):
    """Invalid settings, files or recordings, which the user can fix.

    The message names the file or key, the value found, the value expected, and how to fix it.
    """


def how_to_set(key: str, value: str) -> str:
    """Describe how to change a setting: in params.yaml, or for a single run of DVC."""
    return f"set {key}: {value} in params.yaml (or dvc exp run -S {key}={value})"


def handle_user_errors(command: Callable[P, R], *, code: int = 1) -> Callable[P, R]:
    """Wrap a command: print the message of a `UserError` to standard error, and exit.

    If DVC runs the command as a stage, any error is also recorded as a failed run in MLflow.

    Raises
    ------
    SystemExit
        With `code`, after a `UserError`. Other errors are raised unchanged.
    """

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except UserError as error:
            _record_failure(str(error))
            sys.stderr.write(f"error: {error}\n")
            raise SystemExit(code) from None
        except Exception as error:
            _record_failure(f"{type(error).__name__}: {error}")
            raise

    return wrapped


def _record_failure(message: str) -> None:
    stage = os.environ.get("DVC_STAGE")
    if stage:  # in a separate process, so that no stage imports mlflow or depends on ser.tracking
        subprocess.run([sys.executable, "-m", "ser.tracking.failures", stage, message], check=False)
