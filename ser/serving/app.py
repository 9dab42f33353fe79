"""The HTTP API and the page to record or upload a voice. Only this module imports FastAPI and uvicorn."""

import asyncio
import math
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

import uvicorn
from fastapi import APIRouter, FastAPI, Query
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response

from ser.audio import io as audio_io
from ser.inference import timeline
from ser.inference.model import Model
from ser.inference.sliding_window import WindowSettings
from ser.serving import timeline_page
from ser.serving.concurrency import ConcurrencyLimiter, Overloaded
from ser.serving.page import page
from ser.serving.schemas import (
    OPENAPI,
    PROBLEM_JSON,
    PredictionResponse,
    PredictOptions,
    TimelineOptions,
    TimelineResponse,
)
from ser.serving.uploads import read_recording
from ser.utils.errors import UserError

T = TypeVar("T")
RETRY_SECONDS = 2
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
}
HIDDEN_FIELDS: Any = {
    "members": {"__all__": {"training_statistics"}},
    "features": True,
    "length_buckets": True,
    "files": True,
    "origin": {"sources": True},
}
"""Fields of the model's card that the service does not show."""
router = APIRouter()


@dataclass(frozen=True)
class Limits:
    """Limits of the service.

    Attributes
    ----------
    megabytes, minutes
        Maximum size of a request body, and maximum duration of a recording.
    seconds
        Maximum time from the request's headers to the response.
    workers, max_queued
        Number of requests that run at once, and that may wait; see `ser.serving.concurrency`.
    """

    megabytes: float = 20.0
    minutes: float = 5.0
    seconds: float = 60.0
    workers: int = 2
    max_queued: int = 30

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (0 < value < math.inf or (name == "max_queued" and value == 0)):
                raise UserError(f"{name}: found {value}; expected a number above 0.")


def create_app(model: Model, *, limits: Limits) -> FastAPI:
    """Create the application; the model is called from several threads at once."""
    expected = HTTPException, UserError, RequestValidationError
    handlers: dict[Any, Any] = {**dict.fromkeys(expected, _client_error), Exception: _internal_error}
    # FastAPI's own documentation pages load scripts from other sites.
    app = FastAPI(title="Speech emotion", version="1", docs_url=None, redoc_url=None, exception_handlers=handlers)
    app.add_middleware(BaseHTTPMiddleware, dispatch=_add_security_headers)
    app.include_router(router)
    app.state.model, app.state.limits = model, limits
    app.state.limiter = ConcurrencyLimiter(workers=limits.workers, max_queued=limits.max_queued)
    app.state.card = model.card.model_dump(mode="json", exclude=HIDDEN_FIELDS)
    app.state.page, app.state.policy = page(app.state.card, emotions=model.labels, limits=vars(limits))
    return app


@router.get("/", response_class=HTMLResponse, include_in_schema=False)
async def _index(request: Request) -> Response:
    policy = f"{request.app.state.policy}; frame-ancestors 'none'"
    return HTMLResponse(request.app.state.page, headers={"Content-Security-Policy": policy})


@router.get("/health")
async def health(request: Request) -> dict[str, str | int]:
    """Return the status and the number of slots in use."""
    limiter = request.app.state.limiter
    return {"status": "ok", "busy": limiter.in_use, "places": limiter.capacity}


@router.get("/model")
async def model_card(request: Request) -> dict[str, Any]:
    """Return the model's metadata."""
    return request.app.state.card


@router.post("/predict", response_model=PredictionResponse, **OPENAPI)
async def predict(request: Request, options: Annotated[PredictOptions, Query()]) -> Any:
    """Predict the emotion of a recording."""
    return await _run_limited(request, request.app.state.model.predict)


@router.post("/timeline", response_model=TimelineResponse, **OPENAPI)
async def predict_timeline(request: Request, options: Annotated[TimelineOptions, Query()]) -> Any:
    """Predict the emotions of a recording over time, in sliding windows."""
    model, settings = request.app.state.model, WindowSettings(**options.model_dump())
    return await _run_limited(
        request, lambda content: timeline_page.data(timeline.predict_timeline(content, model, settings))
    )


async def _run_limited(request: Request, function: Callable[[bytes], T]) -> T:
    limits: Limits = request.app.state.limits
    limiter: ConcurrencyLimiter = request.app.state.limiter
    content = None
    try:
        with limiter.slot():
            async with asyncio.timeout(limits.seconds):
                content = await read_recording(request, max_bytes=round(limits.megabytes * 1e6))
                return await limiter.run(partial(_run_checked, function, content, max_minutes=limits.minutes))
    except Overloaded:
        raise _service_unavailable("the server is busy") from None
    except TimeoutError:
        if content is None:
            raise HTTPException(408, f"the request was not received within {limits.seconds:g} seconds") from None
        raise _service_unavailable(f"the prediction took longer than {limits.seconds:g} seconds") from None
    except audio_io.AudioError as error:
        expected = f"a recording of at most {limits.minutes:g} minutes, such as WAV, FLAC, MP3, M4A or WebM"
        raise HTTPException(422, f"invalid recording: {error}; expected {expected}") from None


def _run_checked(function: Callable[[bytes], T], content: bytes, *, max_minutes: float) -> T:
    minutes = audio_io.get_duration(content) / 60
    if minutes > max_minutes:
        raise audio_io.AudioError(f"too long: {minutes:.1f} minutes")
    return function(content)


def _service_unavailable(detail: str) -> HTTPException:
    return HTTPException(503, f"{detail}; retry in {RETRY_SECONDS} seconds", {"Retry-After": str(RETRY_SECONDS)})


async def _add_security_headers(request: Request, call_next: RequestResponseEndpoint) -> Response:
    response = await call_next(request)
    response.headers.update(SECURITY_HEADERS)
    return response


async def _client_error(_: Request, error: Any) -> Response:
    if isinstance(error, HTTPException):
        return _problem(error.status_code, str(error.detail), headers=error.headers)
    if isinstance(error, RequestValidationError):
        return _problem(422, "; ".join(f"{item['loc'][-1]}: {item['msg']}" for item in error.errors()))
    return _problem(422, str(error))


async def _internal_error(_: Request, error: Exception) -> Response:
    # Starlette runs this handler outside of the middleware.
    return _problem(500, "internal server error; see the server log", headers=SECURITY_HEADERS)


def _problem(status: int, detail: str, *, headers: Mapping[str, str] | None = None) -> Response:
    content = {"title": HTTPStatus(status).phrase, "detail": detail}
    return JSONResponse(content, status, headers, media_type=PROBLEM_JSON)


def run(app: FastAPI, *, host: str, port: int, started: Callable[[str], None]) -> None:
    """Serve until interrupted; call `started` with the URL once the socket listens.

    Raises
    ------
    UserError
        If the address is not available.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        sock = socket.create_server((host, port), backlog=1024, family=family)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{host}:{port}: {reason}; expected an address of this computer and a free --port.") from None
    with sock:
        name = f"[{host}]" if ":" in host else host
        started(f"http://{name}:{sock.getsockname()[1]}/ (press Ctrl-C to stop)")
        config = uvicorn.Config(app, log_level="warning", server_header=False, timeout_graceful_shutdown=5)
        uvicorn.Server(config).run(sockets=[sock])
