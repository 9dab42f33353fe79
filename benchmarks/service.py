"""Count the outcomes of many simultaneous requests to the HTTP service: correct, rejected, wrong or lost.

    python -m benchmarks.service FOLDER

This serves models/exported/lstm in a separate process and sends the first 200 recordings below FOLDER simultaneously,
twice: first without retries, then with retries after the time that the service asks for.
"""

import http.client
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks import timing
from ser import load, paths

N_RECORDINGS = 200
ATOL = 1e-6
"""Tolerance of probabilities."""
SUFFIXES = {".wav", ".flac", ".mp3", ".ogg"}


@contextmanager
def serving() -> Iterator[int]:
    """Serve on a free port until the block ends; yield the port."""
    command = [sys.executable, "-m", "stages.serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split("/ ")[0]
        try:
            yield int(address.rpartition(":")[2])
        finally:
            process.terminate()


def request(port: int, content: bytes, expected: dict[str, float], *, retry: bool) -> tuple[str, float]:
    """Send a recording, again while the service rejects it if `retry`: the outcome, and its duration in seconds."""
    start = time.perf_counter()
    status, body, wait = post(port, content)
    while retry and status in (429, 503):
        time.sleep(wait)
        status, body, wait = post(port, content)
    seconds = time.perf_counter() - start
    if status != 200:
        return {429: "rejected", 503: "rejected", 0: "lost"}.get(status, f"status {status}"), seconds
    probabilities = json.loads(body)["probabilities"]
    is_correct = all(abs(probabilities[label] - value) < ATOL for label, value in expected.items())
    return "correct" if is_correct else "wrong", seconds


def post(port: int, content: bytes) -> tuple[int, bytes, float]:
    """Send a recording: status (0 if the connection broke), body, and seconds to wait before a retry."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request("POST", "/predict", content)
        response = connection.getresponse()
        return response.status, response.read(), float(response.headers.get("Retry-After", 0))
    except OSError:
        return 0, b"", 0.0
    finally:
        connection.close()


def send_all(port: int, contents: Sequence[bytes], expected: Sequence[dict[str, float]], *, retry: bool) -> str:
    """Send all recordings simultaneously, and format a row of the table."""
    with ThreadPoolExecutor(len(contents)) as pool:
        start = time.perf_counter()
        futures = [pool.submit(request, port, *pair, retry=retry) for pair in zip(contents, expected, strict=True)]
        outcomes = [future.result() for future in futures]
        seconds = time.perf_counter() - start
    counts = Counter(kind for kind, _ in outcomes)
    latencies = sorted(latency for kind, latency in outcomes if kind == "correct")
    cells = [str(counts.pop(kind, 0)) for kind in ("correct", "rejected", "wrong", "lost")]
    assert not counts, counts
    cells += [f"{median(latencies):.1f}", f"{latencies[-1]:.1f}", f"{seconds:.1f}"]
    return f"| {'yes' if retry else 'no'} | {' | '.join(cells)} |"


def main(folder: str) -> None:
    """Measure, and write a table."""
    files = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in SUFFIXES)[:N_RECORDINGS]
    contents = [path.read_bytes() for path in files]
    model = load(paths.DEFAULT_MODEL)
    expected = [dict(model.predict(content).probabilities) for content in contents]
    with serving() as port:
        rows = [send_all(port, contents, expected, retry=retry) for retry in (False, True)]
    lines = [
        f"{len(files)} simultaneous requests to `make serve` with default limits, "
        "`python -m benchmarks.service FOLDER`.",
        "",
        "| retries | correct | rejected (503) | wrong | lost | median latency, s | maximum latency, s | total, s |",
        "|---|---|---|---|---|---|---|---|",
        *rows,
    ]
    timing.write_section("Service", lines)


if __name__ == "__main__":
    main(sys.argv[1])
