"""What becomes of many requests at the same time: answered right, refused, or lost.

    python -m benchmarks.service FOLDER

It serves models/exported/lstm in a separate process, and sends the first 200 recordings below FOLDER all at once,
twice: first each asks once; then those who are refused come again when they are told to, until all are answered.
"""

import http.client
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from json import loads
from pathlib import Path
from statistics import median

from benchmarks import measuring
from ser import load, paths

CLIPS = 200
CLOSE = 1e-6
"""Probabilities that differ by less are the same."""
SUFFIXES = {".wav", ".flac", ".mp3", ".ogg"}


@dataclass(frozen=True)
class Outcome:
    """What became of a request, after how many seconds."""

    kind: str
    seconds: float


@contextmanager
def serving() -> Iterator[int]:
    """Serve on a free port until the block ends, and say which."""
    command = [sys.executable, "-m", "stages.serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        place = process.stdout.readline().split("/ ")[0]
        try:
            yield int(place.rpartition(":")[2])
        finally:
            process.terminate()


def ask(port: int, content: bytes, expected: dict[str, float], *, patient: bool) -> Outcome:
    """Send a recording, again and again if patient, and compare the answer."""
    start = time.perf_counter()
    status, answer, retry = post(port, content)
    while patient and status in (429, 503):
        time.sleep(retry)
        status, answer, retry = post(port, content)
    return Outcome(kind(status, answer, expected), time.perf_counter() - start)


def post(port: int, content: bytes) -> tuple[int, bytes, float]:
    """Give status, answer and after how many seconds to come again; a connection that breaks has status 0."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request("POST", "/predict", content)
        response = connection.getresponse()
        return response.status, response.read(), float(response.headers.get("Retry-After", 0))
    except OSError:
        return 0, b"", 0.0
    finally:
        connection.close()


def kind(status: int, answer: bytes, expected: dict[str, float]) -> str:
    """Name an outcome."""
    if status != 200:
        return {429: "refused", 503: "refused", 0: "lost"}.get(status, f"status {status}")
    found = loads(answer)["probabilities"]
    return "right" if all(abs(found[name] - share) < CLOSE for name, share in expected.items()) else "wrong"


def all_at_once(port: int, contents: Sequence[bytes], expected: Sequence[dict[str, float]], *, patient: bool) -> str:
    """Send all at the same time, and write a row of the table."""
    with ThreadPoolExecutor(len(contents)) as pool:
        start = time.perf_counter()
        futures = [pool.submit(ask, port, *pair, patient=patient) for pair in zip(contents, expected, strict=True)]
        outcomes = [future.result() for future in futures]
        seconds = time.perf_counter() - start
    counts = Counter(outcome.kind for outcome in outcomes)
    waited = sorted(outcome.seconds for outcome in outcomes if outcome.kind == "right")
    kinds = " | ".join(str(counts.pop(name, 0)) for name in ("right", "refused", "wrong", "lost"))
    assert not counts, counts
    how = "again when told to" if patient else "once"
    return f"| {how} | {kinds} | {median(waited):.1f} | {waited[-1]:.1f} | {seconds:.1f} |"


def main(folder: str) -> None:
    """Measure, and write what was found."""
    files = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in SUFFIXES)[:CLIPS]
    contents = [path.read_bytes() for path in files]
    model = load(paths.DEFAULT_MODEL)
    expected = [dict(model.predict(content).probabilities) for content in contents]
    with serving() as port:
        rows = [all_at_once(port, contents, expected, patient=patient) for patient in (False, True)]
    lines = [
        f"{len(files)} recordings sent at the same time to `make serve` with its default limits, "
        "`python -m benchmarks.service FOLDER`.",
        "",
        "| each asks | right | refused (503) | wrong | lost | median s to an answer | longest s | all, s |",
        "|---|---|---|---|---|---|---|---|",
        *rows,
    ]
    measuring.write_section("Service", lines)
    print("\n".join(lines))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1])
