"""Answers over HTTP, and a page to record or drop a voice. The only door to FastAPI and uvicorn.

Nothing is kept: a recording is in memory until it is answered. What is refused says what was found and is expected.
"""

import asyncio
import math
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import uvicorn
from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ser import audio_io, ffmpeg, timeline, timeline_page
from ser.answers import BODY, PROBLEMS, Answer, TimelineAnswer
from ser.errors import InputError
from ser.gate import Full, Gate
from ser.service_page import page
from ser.uploads import Lingering, Refused, read
from ser.windows import Layout, Model

T = TypeVar("T")
RETRY_SECONDS = 2
"""After so long who was not let in may come again."""
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
}


class Found(Protocol):
    """A model's answer to a recording: what `Answer` has."""

    @property
    def label(self) -> str:
        """The most likely emotion, or that nothing was heard."""

    @property
    def probabilities(self) -> Mapping[str, float]:
        """Of every emotion."""


class Served(Model, Protocol):
    """A model that also judges whole recordings."""

    @property
    def card(self) -> Mapping[str, Any]:
        """What it is and what it was made of."""

    def predict(self, recording: bytes) -> Found:
        """Judge a recording."""


@dataclass(frozen=True)
class Limits:
    """What is taken on.

    Attributes
    ----------
    megabytes
        Of a request's body.
    minutes
        Of a recording.
    seconds
        Until an answer, reading the request included.
    workers, waiting
        Requests that are worked on at once, and those that may wait; see `ser.gate.Gate`.
    """

    megabytes: float = 20.0
    minutes: float = 5.0
    seconds: float = 60.0
    workers: int = 2
    waiting: int = 30

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (0 < value < math.inf or (name == "waiting" and value == 0)):
                raise InputError(f"{name}: found {value}; expected a number above 0.")


def application(model: Served, *, limits: Limits) -> FastAPI:
    """Make the service.

    Parameters
    ----------
    model
        Called from several threads at once.
    limits
        What is taken on.
    """
    gate = Gate(workers=limits.workers, waiting=limits.waiting)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        gate.close()

    # The usual pages about the API would load scripts from elsewhere.
    app = FastAPI(title="Speech emotion", version="1", docs_url=None, redoc_url=None, lifespan=lifespan)
    _add_answers(app, model, gate, limits)
    _add_pages(app, model, gate, limits)
    _add_refusals(app)
    app.add_middleware(_Headers)
    app.add_middleware(Lingering, most=round(2e6 * limits.megabytes))
    return app


class _Headers:
    """Adds to every answer what browsers should know."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, receive, sent)


def _add_answers(app: FastAPI, model: Served, gate: Gate, limits: Limits) -> None:
    formats = "WAV, FLAC, OGG, MP3 or AIFF"
    expected = f"a recording of speech of at most {limits.minutes:g} minutes, as {formats}"

    async def answered(request: Request, judge: Callable[[bytes], T]) -> T:
        def checked(content: bytes) -> T:
            try:
                _check_minutes(content, most=limits.minutes)
            except audio_io.UnknownFormatError:
                raise audio_io.AudioError(ffmpeg.found(content[: ffmpeg.HEAD])) from None
            return judge(content)

        try:
            return await _in_turn(request, checked, gate, limits)
        except audio_io.AudioError as error:
            raise Refused(422, found=str(error), expected=expected) from None

    asked: Any = {"openapi_extra": BODY, "responses": PROBLEMS, "dependencies": [Depends(_check_options)]}

    @app.post("/predict", **asked)
    async def predict(request: Request) -> Answer:
        """Say what a recording sounds like."""
        found = await answered(request, model.predict)
        return Answer(**{name: getattr(found, name) for name in Answer.model_fields})

    @app.post("/timeline", **asked)
    async def over_time(
        request: Request, window: float = 3.0, hop: float = 1.0, smoothing: float = 0.5
    ) -> TimelineAnswer:
        """Say what a recording sounds like from second to second."""
        layout = Layout.of_options(window=window, hop=hop, smoothing=smoothing)
        found = await answered(request, lambda content: timeline.of(content, model, layout))
        return TimelineAnswer.model_validate(timeline_page.data(found))


def _check_options(request: Request) -> None:
    """Refuse options that the address does not have: a misspelt one would do nothing, and nobody would know."""
    known = [option.alias for option in request.scope["route"].dependant.query_params]
    if unknown := sorted(set(request.query_params) - set(known)):
        raise Refused(
            422, found=f"an option that is unknown: {', '.join(unknown)}", expected=", ".join(known) or "no options"
        )


def _check_minutes(content: bytes, *, most: float) -> None:
    minutes = audio_io.seconds(content) / 60
    if minutes > most:
        raise audio_io.AudioError(f"too long: {minutes:.1f} minutes")


async def _in_turn(request: Request, judge: Callable[[bytes], T], gate: Gate, limits: Limits) -> T:
    """Read a request and judge it, if there is room and while there is time."""
    reading = True
    try:
        with gate.place():
            async with asyncio.timeout(limits.seconds):
                content = await read(request, most=round(limits.megabytes * 1e6))
                reading = False
                return await gate.run(judge, content)
    except Full:
        raise _later("as many requests as are taken on at once") from None
    except TimeoutError:
        if reading:
            raise Refused(408, found="a request that was still coming", expected=_in_time(limits)) from None
        raise _later(f"no answer within {limits.seconds:g} seconds") from None


def _in_time(limits: Limits) -> str:
    return f"the whole of it within {limits.seconds:g} seconds"


def _later(found: str) -> Refused:
    headers = {"Retry-After": str(RETRY_SECONDS)}
    return Refused(503, found=found, expected=f"the same request {RETRY_SECONDS} seconds later", headers=headers)


def _add_pages(app: FastAPI, model: Served, gate: Gate, limits: Limits) -> None:
    html, policy = page(model.card, emotions=model.emotions, limits=vars(limits))

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def front() -> Response:
        return HTMLResponse(html, headers={"Content-Security-Policy": f"{policy}; frame-ancestors 'none'"})

    @app.get("/health")
    async def health() -> dict[str, str | int]:
        """Say that the service is there, and how busy it is."""
        return {"status": "ok", "busy": gate.taken, "places": gate.places}

    @app.get("/model")
    async def card() -> dict[str, Any]:
        """Say what the model is and what it was made of."""
        return dict(model.card)


def _add_refusals(app: FastAPI) -> None:
    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> Response:
        return _problem(error.status, error.found, error.expected, error.headers)

    @app.exception_handler(InputError)
    async def wrong(_: Request, error: InputError) -> Response:
        found, _nothing, expected = str(error).partition("; expected ")
        return _problem(422, found, expected)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        names = ", ".join(sorted({str(one["loc"][-1]) for one in error.errors()}))
        return _problem(422, f"an option that cannot be read: {names}", "numbers")

    @app.exception_handler(HTTPException)
    async def elsewhere(_: Request, error: HTTPException) -> Response:
        return _problem(error.status_code, str(error.detail), "see /openapi.json", dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def unforeseen(_: Request, error: Exception) -> Response:
        return _problem(500, "a mistake of ours", "an answer; the service's own log says more")


def _problem(status: int, found: str, expected: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"found": found, "expected": expected}, status_code=status, headers=dict(headers or {}))


def run(app: FastAPI, *, host: str, port: int, started: Callable[[str], None]) -> None:
    """Serve until interrupted; `started` is told where, once it listens.

    Raises
    ------
    InputError
        If the address cannot be had.
    """
    try:
        line = socket.create_server((host, port), backlog=1024, family=_family(host))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{host}:{port}: {reason}; expected an address of this computer and a free --port.") from None
    with line:
        place = f"[{host}]" if ":" in host else host
        started(f"http://{place}:{line.getsockname()[1]}/ (Ctrl-C ends it)")
        config = uvicorn.Config(app, log_level="warning", server_header=False, timeout_graceful_shutdown=5)
        uvicorn.Server(config).run(sockets=[line])


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
