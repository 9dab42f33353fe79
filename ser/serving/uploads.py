"""Read the recording from a request: a file in a multipart form, or the raw body. It is never written to disk.

FastAPI's `UploadFile` spools to disk. Its `max_body_size` replaces the error response by plain text without security
headers, and uvicorn then reads the rest of the body, however long.
"""

import sys
from collections.abc import AsyncGenerator

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

MAX_FORM_FIELDS = 8
MAX_READ = 2
"""Multiple of the size limit up to which a larger body is read and discarded. If the connection were closed before, a
client that is still sending would get a connection reset instead of the response (RFC 9112, section 9.6)."""


class _InMemoryParser(MultiPartParser):
    spool_max_size = sys.maxsize  # starlette writes files larger than 1 MB to disk


async def read_recording(request: Request, *, max_bytes: int) -> bytes:
    """Read the uploaded recording into memory, from a body of at most `max_bytes`.

    Raises
    ------
    HTTPException
        413 if the body is too large, 400 if the form is malformed or the client disconnects, 422 if the form has no
        file.
    """
    body = _limited_body(request, max_bytes=max_bytes)
    try:
        if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
            return b"".join([chunk async for chunk in body])
        form = await _InMemoryParser(request.headers, body, max_files=1, max_fields=MAX_FORM_FIELDS).parse()
    except ClientDisconnect:
        raise HTTPException(400, "the client disconnected before the request was complete") from None
    except MultiPartException as error:
        raise HTTPException(400, f"malformed form: {error.message} Send multipart/form-data with one file.") from None
    files = [value for value in form.values() if isinstance(value, UploadFile)]
    if not files:
        raise HTTPException(422, "the form has no file; send multipart/form-data with one file")
    return await files[0].read()


async def _limited_body(request: Request, *, max_bytes: int) -> AsyncGenerator[bytes, None]:
    size = int(request.headers.get("content-length", 0))
    if size <= MAX_READ * max_bytes:
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size <= max_bytes:
                yield chunk
            elif size > MAX_READ * max_bytes:
                break
    if size > max_bytes:
        limit = f"the request body exceeds {max_bytes / 1e6:g} MB"
        raise HTTPException(413, f"{limit}; send FLAC or MP3, or a shorter recording", {"Connection": "close"})
