"""A recording out of a request: a field of a form, or the body as it is; no more than allowed, and never on disk."""

import asyncio
from collections.abc import AsyncGenerator

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ser.text import count

FORM = "multipart/form-data"
MOST_FIELDS = 8
"""Of a form; one of them is the recording."""


class Refused(Exception):  # noqa: N818 - it is an answer, not a mistake
    """A request is answered by an HTTP status, what was found and what is expected."""

    def __init__(self, status: int, *, found: str, expected: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(found)
        self.status, self.found, self.expected = status, found, expected
        self.headers = headers or {}


class Lingering:
    """Keeps a connection that is to be closed after an answer until its request has come, or for `seconds`.

    Who sends a body that is not read would find the connection broken before having read why (RFC 9112, 9.6). What
    comes is thrown away, and no more of it than `most` bytes is waited for.
    """

    def __init__(self, app: ASGIApp, *, most: int, seconds: float = 2) -> None:
        self._app, self._most, self._seconds = app, most, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request as ASGI has it."""
        closing = False

        async def sent(message: Message) -> None:
            nonlocal closing
            if message["type"] == "http.response.start":
                closing = Headers(raw=message["headers"]).get("connection") == "close"
            elif closing and not message.get("more_body"):
                await send({**message, "more_body": True})  # all of the answer is on its way now
                await self._throw_away(receive)
                message = {"type": "http.response.body"}
            await send(message)

        await self._app(scope, receive, sent)

    async def _throw_away(self, receive: Receive) -> None:
        left = self._most
        try:
            async with asyncio.timeout(self._seconds):
                while left > 0:
                    message = await receive()
                    left -= len(message.get("body", b""))
                    if not message.get("more_body"):
                        break
        except TimeoutError:
            pass


class _InMemory(MultiPartParser):
    """Keeps files in memory, whose size is limited before."""

    spool_max_size = 1 << 40


async def read(request: Request, *, most: int) -> bytes:
    """Read the recording that a request brings.

    Parameters
    ----------
    request
        Its body is a form with one file, or else the recording itself.
    most
        Bytes that are read; a larger body is refused by its announced length, or else as soon as it is longer.

    Raises
    ------
    Refused
        413 for too large a body, 400 for a form that is broken, and 422 for one without a file.
    """
    body = await _body(request, most=most)
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    return await _file(request, body) if kind == FORM else body


async def _body(request: Request, *, most: int) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > most:
        raise _too_large(f"{int(announced)} bytes", most=most)
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > most:
                raise _too_large(f"more than {most} bytes", most=most)
    except ClientDisconnect:
        raise Refused(400, found="a request that broke off", expected="the whole of it") from None
    return bytes(body)


def _too_large(found: str, *, most: int) -> Refused:
    # The rest is not taken: the connection ends.
    expected = f"at most {most / 1e6:g} MB; FLAC or MP3 takes less room than WAV, or cut it up"
    return Refused(413, found=found, expected=expected, headers={"Connection": "close"})


async def _file(request: Request, body: bytes) -> bytes:
    try:
        form = await _InMemory(request.headers, _once(body), max_files=1, max_fields=MOST_FIELDS).parse()
    except (MultiPartException, KeyError) as error:  # no boundary is a KeyError
        found = error.message if isinstance(error, MultiPartException) else "no boundary"
        raise Refused(400, found=f"a broken form: {found}", expected=f"{FORM} with one file") from None
    files = [value for value in form.values() if isinstance(value, UploadFile)]
    if not files:
        raise Refused(422, found=f"a form of {count(len(form), 'field')} and no file", expected="a file in one of them")
    content = await files[0].read()
    await form.close()
    return content


async def _once(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body
