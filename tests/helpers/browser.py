"""Control a headless Chromium by the DevTools protocol through a pair of pipes; skip the test without Chromium."""

import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
TIMEOUT_SECONDS = 60.0


class Tab:
    """A page in the browser."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading, self._writing = reading, writing
        self._buffer, self._id, self._session = b"", 0, None
        self.events: list[dict[str, Any]] = []

    def ask(self, method: str, **params: Any) -> Any:
        """Send a command of the protocol and return its result."""
        self._id += 1
        message = {"id": self._id, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._writing, json.dumps(message).encode() + b"\0")
        while (reply := self._read()).get("id") != self._id:
            self.events.append(reply)
        assert "error" not in reply, f"{method}: {reply['error']}"
        return reply["result"]

    def _read(self) -> dict[str, Any]:
        end = time.monotonic() + TIMEOUT_SECONDS
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._reading], [], [], max(end - time.monotonic(), 0))
            assert ready, "the browser did not answer"
            received = os.read(self._reading, 1 << 20)
            assert received, "the browser ended"
            self._buffer += received
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def attach(self) -> None:
        """Open a new page."""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "DOM"):
            self.ask(f"{domain}.enable")

    def show(self, *, width: int = 1100, height: int = 900, scale: float = 1, dark: bool = False) -> None:
        """Set the size of the page in CSS pixels, and the colour scheme."""
        size = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 600}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, url: str) -> None:
        """Load a page."""
        self.ask("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def run(self, script: str) -> Any:
        """Run a script in the page, with the rights of a user gesture, and return its value."""
        result = self.ask(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in result, f"{script}: {result['exceptionDetails']}"
        return result["result"].get("value")

    def wait(self, condition: str) -> Any:
        """Wait until the value of a script is true, and return it."""
        end = time.monotonic() + TIMEOUT_SECONDS
        while not (value := self.run(condition)):
            assert time.monotonic() < end, f"{condition} is still false: {self.run('document.body.innerText')}"
            time.sleep(0.05)
        return value

    def choose(self, selector: str, file: Path) -> None:
        """Choose a file in an input element."""
        root = self.ask("DOM.getDocument")["root"]["nodeId"]
        node = self.ask("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.ask("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press and release a key."""
        for kind in ("keyDown", "keyUp"):
            extra = {"text": text} if text and kind == "keyDown" else {}
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **extra)

    def console_errors(self) -> list[str]:
        """Return errors and exceptions of the page's console."""
        self.run("0")
        logged = [e["params"] for e in self.events if e.get("method") == "Log.entryAdded"]
        thrown = [str(e["params"]) for e in self.events if e.get("method") == "Runtime.exceptionThrown"]
        return [log["entry"]["text"] for log in logged if log["entry"]["level"] == "error"] + thrown


@contextmanager
def browsing(folder: Path, *flags: str) -> Iterator[Tab]:
    """Run a browser with its profile in a folder until the block ends."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("Chromium is not installed; on Debian: apt-get install chromium")
    (in_read, in_write), (out_read, out_write) = _pipe(), _pipe()
    process = subprocess.Popen(
        _command(program, folder, flags, reading=in_read, writing=out_write),
        pass_fds=(in_read, out_write),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"HOME": str(folder)},
    )
    os.close(in_read)
    os.close(out_write)
    tab = Tab(out_read, in_write)
    try:
        tab.attach()
        yield tab
    finally:
        os.close(in_write)
        process.terminate()
        process.wait(30)
        os.close(out_read)


def _pipe() -> tuple[int, int]:
    """Make a pipe with descriptors above 9, which do not clash with those of the browser."""
    ends = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return high[0], high[1]


def _command(program: str, folder: Path, flags: Sequence[str], *, reading: int, writing: int) -> list[str]:
    # The browser reads from descriptor 3 and writes to 4.
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe"]
    options += ["--no-first-run", f"--user-data-dir={folder / 'profile'}", "--autoplay-policy=no-user-gesture-required"]
    return ["bash", "-c", f'exec "$@" 3<&{reading} 4>&{writing}', "bash", program, *options, *flags]
