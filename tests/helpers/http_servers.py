"""A local web server with planned faults: it breaks off, stalls, refuses requests or sends other content."""

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
    """A response to one request; by default the correct one."""

    status: int = 200  # the file is only sent with 200
    headers: Mapping[str, str] = field(default_factory=dict)  # in addition
    content: bytes | None = None  # instead of the file's
    ranges: bool = True  # whether the requested range is sent, or the whole file
    skew: int = 0  # bytes between the requested range and the one that is sent
    close_after: int | None = None  # bytes after which the connection is closed
    stall_after: int | None = None  # bytes after which nothing is sent until the server stops
    delay: float = 0.0  # seconds between chunks of 8 kB


class Server(ThreadingHTTPServer):
    """Files by name, planned replies by name, and a log of requests: name and range, and all headers."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = dict(files)
        self.planned: defaultdict[str, deque[Reply]] = defaultdict(deque)
        self.requests: list[tuple[str, str | None]] = []
        self.headers: list[Message] = []
        self.connections = 0
        self.closing = threading.Event()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"

    def plan(self, name: str, *replies: Reply) -> None:
        """Plan the replies to the next requests for a file."""
        self.planned[name].extend(replies)

    def get_request(self):
        self.connections += 1
        return super().get_request()

    def handle_error(self, request, client_address) -> None:
        """Ignore clients that closed the connection."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # otherwise each small file takes 40 ms
    server: Server

    def do_GET(self) -> None:
        name = self.path.lstrip("/")
        byte_range = self.headers["Range"]
        self.server.requests.append((name, byte_range))
        self.server.headers.append(self.headers)
        reply = self.server.planned[name].popleft() if self.server.planned[name] else Reply()
        content = self.server.files.get(name) if reply.content is None else reply.content
        if reply.status != 200 or content is None:
            self._send_head(404 if content is None else reply.status, {"Content-Length": "0", **reply.headers})
            return
        start, total = 0, len(content)
        if byte_range and reply.ranges:
            start = int(byte_range.removeprefix("bytes=").removesuffix("-")) + reply.skew
        if start >= total > 0:
            self._send_head(416, {"Content-Range": f"bytes */{total}", "Content-Length": "0"})
            return
        headers = {"Content-Range": f"bytes {start}-{total - 1}/{total}"} if start else {}
        headers |= {"Content-Length": str(total - start)} | dict(reply.headers)
        self._send_head(206 if start else 200, headers)
        self._send_body(content[start:], reply)

    def _send_head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()

    def _send_body(self, content: bytes, reply: Reply) -> None:
        if reply.delay:
            for start in range(0, len(content), 8192):
                self.wfile.write(content[start : start + 8192])
                time.sleep(reply.delay)
        elif reply.stall_after is not None:
            self.wfile.write(content[: reply.stall_after])
            self.server.closing.wait(30)
        else:
            self.wfile.write(content[: reply.close_after])
        self.close_connection |= reply.close_after is not None or reply.stall_after is not None

    def log_message(self, format, *args) -> None:
        """Write no log."""


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
