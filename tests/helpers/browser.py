"""A headless Chromium, driven by the DevTools protocol through a pair of pipes, with the standard library alone.

Skips the test where there is no Chromium.
"""

import base64
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
SECONDS = 60.0
"""A browser on a busy machine takes its time."""


class Tab:
    """A page in the browser."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading, self._writing = reading, writing
        self._held, self._number, self._session = b"", 0, None
        self.events: list[dict[str, Any]] = []

    def ask(self, method: str, **params: Any) -> Any:
        """Send a command of the protocol, and wait for what it gives."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._writing, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._number:
            self.events.append(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def _read(self) -> dict[str, Any]:
        end = time.monotonic() + SECONDS
        while b"\0" not in self._held:
            ready, _, _ = select.select([self._reading], [], [], max(end - time.monotonic(), 0))
            assert ready, "the browser did not answer"
            piece = os.read(self._reading, 1 << 20)
            assert piece, "the browser ended"
            self._held += piece
        message, _, self._held = self._held.partition(b"\0")
        return json.loads(message)

    def attach(self) -> None:
        """Open a page of its own."""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "DOM"):
            self.ask(f"{domain}.enable")

    def show(self, *, width: int = 1100, height: int = 900, scale: float = 1, dark: bool = False) -> None:
        """Give the page a size, in its own pixels, and a colour scheme."""
        size = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 600}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, url: str) -> None:
        """Go to a page, and wait until it is there."""
        self.ask("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def run(self, script: str) -> Any:
        """Run a script in the page as if a user had done something, and wait for its value."""
        result = self.ask(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in result, f"{script}: {result['exceptionDetails']}"
        return result["result"].get("value")

    def wait(self, condition: str) -> Any:
        """Wait until a script's value is true, and give it."""
        end = time.monotonic() + SECONDS
        while not (value := self.run(condition)):
            assert time.monotonic() < end, f"{condition} never was: {self.run('document.body.innerText')}"
            time.sleep(0.05)
        return value

    def choose(self, selector: str, file: Path) -> None:
        """Choose a file in a field, as in the system's window."""
        root = self.ask("DOM.getDocument")["root"]["nodeId"]
        node = self.ask("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.ask("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press a key and let it go."""
        for kind in ("keyDown", "keyUp"):
            typed = {"text": text} if text and kind == "keyDown" else {}
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **typed)

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """Save what is seen, or all of the page, as PNG."""
        content = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(content))

    def complaints(self) -> list[str]:
        """Collect what the page's console has of errors and refusals."""
        self.run("0")
        logged = [e["params"] for e in self.events if e.get("method") == "Log.entryAdded"]
        thrown = [str(e["params"]) for e in self.events if e.get("method") == "Runtime.exceptionThrown"]
        return [log["entry"]["text"] for log in logged if log["entry"]["level"] == "error"] + thrown


@contextmanager
def browsing(folder: Path, *flags: str) -> Iterator[Tab]:
    """Start a browser whose profile is in a folder, until the block ends."""
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
    """Make a pipe whose descriptors are none of those that the browser gets."""
    ends = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return high[0], high[1]


def _command(program: str, folder: Path, flags: Sequence[str], *, reading: int, writing: int) -> list[str]:
    # The browser reads from descriptor 3 and writes to 4.
    words = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe"]
    words += ["--no-first-run", f"--user-data-dir={folder / 'profile'}", "--autoplay-policy=no-user-gesture-required"]
    return ["bash", "-c", f'exec "$@" 3<&{reading} 4>&{writing}', "bash", program, *words, *flags]
