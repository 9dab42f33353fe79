"""Speech emotion recognition: ``ser.load("models/exported/lstm").predict("voice.wav")``."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ser.inference.model import load

__all__ = ["load"]


def __getattr__(name: str) -> Any:
    if name != "load":
        raise AttributeError(f"module 'ser' has no attribute {name!r}")
    from ser.inference.model import load

    return load
