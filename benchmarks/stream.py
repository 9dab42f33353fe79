"""How long after its sound an answer comes, and whether memory grows: ten minutes through ``predict.py --stream``.

    python -m benchmarks.stream

A hop of sound is written when the answer to the one before has come, so that ten minutes take less.
"""

import json
import subprocess
import sys
import time
from statistics import median

import numpy as np

from benchmarks import measuring
from ser.utils.text import pluralize

RATE, MINUTES = 16000, 10
EARLY = 60
"""Hops after which memory is looked at first."""


def syllables() -> bytes:
    """Make a second of something that a model takes for a voice: a hum with harmonics, in syllables."""
    times = np.arange(RATE) / RATE
    hum = sum(np.sin(2 * np.pi * 140 * harmonic * times) / harmonic for harmonic in range(1, 25))
    noise = np.random.default_rng(1).standard_normal(RATE)
    sound = 0.15 * hum * (times % 0.25 < 0.17) + 0.0005 * noise
    return (np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes()


def main() -> None:
    """Measure, and write what was found."""
    hop, seconds, megabytes, answered = syllables(), [], [], 0
    command = [sys.executable, "predict.py", "--stream"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(60 * MINUTES):
            start = time.perf_counter()
            process.stdin.write(hop)
            process.stdin.flush()
            answered += json.loads(process.stdout.readline())["label"] is not None
            seconds.append(time.perf_counter() - start)
            megabytes.append(measuring.megabytes("VmRSS", process=process.pid))
        process.stdin.close()
    milliseconds = [1000 * one for one in seconds[1:]]
    lines = [
        f"{MINUTES} minutes through `predict.py --stream` with models/exported/lstm, windows of 3 s every second, "
        "`python -m benchmarks.stream`.",
        "",
        f"- From a hop's last sample to its answer: {median(milliseconds):.0f} ms (median), {max(milliseconds):.0f} ms "
        f"(longest of {pluralize(len(milliseconds), 'hop')}); the first, with the program's start, {seconds[0]:.1f} s.",
        f"- Hops with an answer: {answered}.",
        f"- Memory: {megabytes[EARLY]:.0f} MB after a minute, {megabytes[-1]:.0f} MB after {MINUTES}.",
    ]
    measuring.write_section("Stream", lines)
    print("\n".join(lines))  # noqa: T201


if __name__ == "__main__":
    main()
