"""Request and response schemas of the HTTP API, for validation and the OpenAPI description."""

from typing import Any

from pydantic import BaseModel, Field

from ser.audio.vad import Segment
from ser.inference.sliding_window import WindowPrediction


class PredictOptions(BaseModel, extra="forbid"):
    """Query parameters of ``/predict``: none."""


class TimelineOptions(BaseModel, extra="forbid"):
    """Query parameters of ``/timeline``."""

    window: float = Field(3.0, description="window length in seconds")
    hop: float = Field(1.0, description="hop length in seconds")
    smoothing: float = Field(0.5, description="weight of the previous window, 0 (none) to below 1")


class PredictionResponse(BaseModel):
    """The emotion of a recording."""

    label: str | None = Field(description="the most likely emotion")
    confidence: float | None = Field(description="its probability")
    probabilities: dict[str, float] = Field(description="calibrated probability of each emotion")
    seconds: float = Field(description="duration of the recording")
    flags: list[str] = Field(default=[], description="warnings about the recording")


class TimelineResponse(BaseModel):
    """The emotions of a recording over time."""

    label: str | None
    confidence: float | None
    probabilities: dict[str, float]
    seconds: float
    speech: float
    windows: list[WindowPrediction]
    segments: list[Segment]
    emotions: list[str]
    colours: dict[str, str]
    outline: list[float] = Field(description="peak amplitude of every outline_seconds")
    outline_seconds: float


class ProblemDetails(BaseModel):
    """An error (RFC 9457): the HTTP status in words; what is wrong and how to fix it."""

    title: str
    detail: str


PROBLEM_JSON = "application/problem+json"
_RECORDING = {"type": "string", "format": "binary"}
_FORM = {"type": "object", "properties": {"file": _RECORDING}, "required": ["file"]}
_BODY = {"multipart/form-data": {"schema": _FORM}, "application/octet-stream": {"schema": _RECORDING}}
_PROBLEM = {"content": {PROBLEM_JSON: {"schema": ProblemDetails.model_json_schema()}}}
OPENAPI: dict[str, Any] = {
    "openapi_extra": {"requestBody": {"required": True, "content": _BODY}},
    "responses": dict.fromkeys((400, 408, 413, 422, 503), _PROBLEM),
}
"""The part of the description that FastAPI cannot derive for an endpoint that takes a recording."""
