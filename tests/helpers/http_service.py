"""Serve an application on a free port, and send requests to it."""

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


class FakeServedModel(FakeModel):
    """A fake model whose predictions take `seconds`."""

    def __init__(self, *, seconds: float = 0.0) -> None:
        super().__init__()
        self.card = {"name": "fake", "uar": 0.5}
        self.seconds = seconds

    def predict(self, recording: bytes) -> SimpleNamespace:
        time.sleep(self.seconds)
        signal = np.concatenate(list(audio_io.stream_blocks(recording, rate=self.rate)))
        probabilities = dict(zip(self.emotions, self.predict_proba(signal).tolist(), strict=True))
        label = max(probabilities, key=probabilities.__getitem__)
        return SimpleNamespace(
            label=label,
            confidence=probabilities[label],
            probabilities=probabilities,
            seconds=len(signal) / self.rate,
            flags=("odd",),
        )


@dataclass(frozen=True)
class Reply:
    """Status, headers and body of a response."""

    status: int
    headers: http.client.HTTPMessage
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)


@dataclass(frozen=True)
class Service:
    """A running service."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """Send a request and read the response."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named, encode_chunked=not isinstance(body, bytes | None))
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())
        finally:
            connection.close()

    def post(self, path: str, content: bytes) -> Reply:
        """Send a file in a form, as browsers do."""
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
