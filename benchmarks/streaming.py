"""Measure the latency and memory of ``predict.py --stream`` over ten minutes of audio.

    python -m benchmarks.streaming

Each hop of audio is written when the prediction of the previous hop has arrived, so this takes less than ten minutes.
"""

import json
import subprocess
import sys
import time
from statistics import median

import numpy as np

from benchmarks import timing
from ser.utils.text import pluralize
from ser.utils.wav import harmonic_tone

RATE, MINUTES = 16000, 10


def one_second() -> bytes:
    """Make one second of a harmonic tone in syllables, as 16-bit samples."""
    tone = harmonic_tone(seconds=1, rate=RATE, n_harmonics=24, pitch=140)
    is_voiced = np.arange(RATE) / RATE % 0.25 < 0.17
    signal = 0.15 * tone * is_voiced + 0.0005 * np.random.default_rng(1).standard_normal(RATE)
    return (np.clip(signal, -1, 1) * 32767).astype("<i2").tobytes()


def main() -> None:
    """Measure, and write the results."""
    hop, seconds, megabytes, n_predicted = one_second(), [], [], 0
    command = [sys.executable, "predict.py", "--stream"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(60 * MINUTES):
            start = time.perf_counter()
            process.stdin.write(hop)
            process.stdin.flush()
            n_predicted += json.loads(process.stdout.readline())["label"] is not None
            seconds.append(time.perf_counter() - start)
            megabytes.append(timing.memory_mb("VmRSS", process=process.pid))
        process.stdin.close()
    latencies = [1000 * latency for latency in seconds[1:]]
    lines = [
        f"{MINUTES} minutes through `predict.py --stream` with models/exported/lstm, windows of 3 s every second, "
        "`python -m benchmarks.streaming`.",
        "",
        f"- Latency after the last sample of a hop: {median(latencies):.0f} ms (median), {max(latencies):.0f} ms "
        f"(maximum of {pluralize(len(latencies), 'hop')}); first hop, including start-up: {seconds[0]:.1f} s.",
        f"- Hops with a prediction: {n_predicted}.",
        f"- Memory: {megabytes[60]:.0f} MB after a minute, {megabytes[-1]:.0f} MB after {MINUTES} minutes.",
    ]
    timing.write_section("Streaming", lines)


if __name__ == "__main__":
    main()
