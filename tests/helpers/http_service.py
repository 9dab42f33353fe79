"""A service on a free port, and requests to it."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI

from ser.audio import io as audio_io
from tests.helpers.fake_model import FakeModel

BOUNDARY = "b0undary"


class FakeServed(FakeModel):
    """A model whose answers are known, that takes its time."""

    def __init__(self, *, seconds: float = 0.0) -> None:
        super().__init__()
        self.card = {"name": "fake", "uar": 0.5}
        self.takes = seconds

    def predict(self, recording: bytes) -> SimpleNamespace:
        time.sleep(self.takes)
        signal = np.concatenate(list(audio_io.stream_blocks(recording, rate=self.rate)))
        found = self.judge(signal)
        named = dict(zip(self.emotions, found.tolist(), strict=True))
        label, seconds = max(named, key=named.__getitem__), len(signal) / self.rate
        return SimpleNamespace(
            label=label, confidence=named[label], probabilities=named, seconds=seconds, flags=("odd",)
        )


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)


@dataclass(frozen=True)
class Service:
    """Where it is."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """Send a request, and read its answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named, encode_chunked=not isinstance(body, bytes | None))
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())
        finally:
            connection.close()

    def post(self, path: str, content: bytes) -> Reply:
        """Send a file as browsers do, in a form."""
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="../../a b.wav"\r\n\r\n'
        body = head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()
        return self.ask("POST", path, body, Content_Type=f"multipart/form-data; boundary={BOUNDARY}")


@contextmanager
def served(app: FastAPI) -> Iterator[Service]:
    """Serve until the block ends."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", server_header=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield Service(server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(30)
