"""What the service takes and gives, as its OpenAPI description has it."""

from typing import Any

from pydantic import BaseModel, Field


class Answer(BaseModel):
    """What a recording sounds like."""

    label: str | None = Field(description="the most likely emotion")
    confidence: float | None = Field(description="its probability")
    probabilities: dict[str, float] = Field(description="of every emotion, calibrated on clips like those of training")
    seconds: float = Field(description="of the recording")
    flags: list[str] = Field(default=[], description="what is unusual about the recording")


class WindowAnswer(BaseModel):
    """What some seconds of a recording sound like; null where nobody speaks."""

    start: float
    end: float
    speech: float = Field(description="seconds that stand out of the noise")
    label: str | None
    confidence: float | None
    probabilities: dict[str, float]


class SegmentAnswer(BaseModel):
    """Where somebody speaks, in seconds."""

    start: float
    end: float


class TimelineAnswer(BaseModel):
    """What a recording sounds like from second to second."""

    label: str | None
    confidence: float | None
    probabilities: dict[str, float]
    seconds: float
    speech: float
    windows: list[WindowAnswer]
    segments: list[SegmentAnswer]
    emotions: list[str]
    colours: dict[str, str]
    outline: list[float] = Field(description="the largest sample of every outline_seconds")
    outline_seconds: float


class Problem(BaseModel):
    """Why a request is not answered."""

    found: str
    expected: str


_RECORDING = {"type": "string", "format": "binary"}
_FORM = {"type": "object", "properties": {"file": _RECORDING}, "required": ["file"]}
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": _FORM},
            "application/octet-stream": {"schema": _RECORDING},
        },
    }
}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "the form is broken, or the request broke off"},
    408: {"model": Problem, "description": "the request did not arrive in time"},
    413: {"model": Problem, "description": "the body is larger than is taken"},
    422: {"model": Problem, "description": "no usable recording, or options that make no sense"},
    503: {"model": Problem, "description": "others are being answered, or it took too long; see Retry-After"},
}
