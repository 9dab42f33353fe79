"""A local web server that misbehaves as planned: it breaks off, stalls, refuses or sends other content."""

import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Reply:
    """How to answer one request; by default correctly.

    Attributes
    ----------
    status
        If not 200, the file is not sent.
    headers
        Additional headers.
    content
        Content instead of the file's.
    ranges
        Whether the requested range is sent, or the whole file.
    skew
        Offset in bytes of the range that is sent from the requested one.
    cut
        Number of bytes after which the connection is closed.
    stall
        Number of bytes after which nothing is sent until the server closes.
    trickle
        Seconds between chunks of 8 kB.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    ranges: bool = True
    skew: int = 0
    cut: int | None = None
    stall: int | None = None
    trickle: float = 0.0


class Server(ThreadingHTTPServer):
    """Files by name, planned replies by name, and a log of requests: name and range, and all headers."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = dict(files)
        self.plan: defaultdict[str, deque[Reply]] = defaultdict(deque)
        self.asked: list[tuple[str, str | None]] = []
        self.headers: list[Message] = []
        self.connections = 0
        self.closing = threading.Event()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"

    def will(self, name: str, *replies: Reply) -> None:
        """Plan the replies to the next requests for a file."""
        self.plan[name].extend(replies)

    def get_request(self):
        self.connections += 1
        return super().get_request()

    def handle_error(self, request, client_address) -> None:
        """Ignore clients that closed the connection."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else every small file takes 40 ms
    server: Server

    def do_GET(self) -> None:
        name = self.path.lstrip("/")
        wanted = self.headers["Range"]
        self.server.asked.append((name, wanted))
        self.server.headers.append(self.headers)
        reply = self.server.plan[name].popleft() if self.server.plan[name] else Reply()
        content = self.server.files.get(name) if reply.content is None else reply.content
        if reply.status != 200 or content is None:
            self._head(404 if content is None else reply.status, {"Content-Length": "0", **reply.headers})
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) + reply.skew if wanted and reply.ranges else 0
        if start >= len(content) > 0:
            self._head(416, {"Content-Range": f"bytes */{len(content)}", "Content-Length": "0"})
            return
        self._head(206 if start else 200, self._headers(reply, start=start, total=len(content)))
        self._body(content[start:], reply)

    def _headers(self, reply: Reply, *, start: int, total: int) -> dict[str, str]:
        headers = {"Content-Range": f"bytes {start}-{total - 1}/{total}"} if start else {}
        return headers | {"Content-Length": str(total - start)} | dict(reply.headers)

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()

    def _body(self, content: bytes, reply: Reply) -> None:
        if reply.trickle:
            for at in range(0, len(content), 8192):
                self.wfile.write(content[at : at + 8192])
                time.sleep(reply.trickle)
        elif reply.stall is not None:
            self.wfile.write(content[: reply.stall])
            self.server.closing.wait(30)
        else:
            self.wfile.write(content[: reply.cut])
        self.close_connection |= reply.cut is not None or reply.stall is not None

    def log_message(self, format, *args) -> None:
        """Stay silent."""


@contextmanager
def serving(files: Mapping[str, bytes]) -> Iterator[Server]:
    """Serve files on a free port until the block ends."""
    server = Server(files)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
