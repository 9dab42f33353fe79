"""What an answer costs: cold start, memory, and a clip once all is loaded, beside plain TensorFlow and librosa.

    python -m benchmarks.predict [RECORDING [FOLDER]]

Ours is models/exported/lstm. The plain way loads the first member of models/checkpoints/lstm with
keras.models.load_model and the recording with librosa.load; it computes the same features and does not denoise. Without
a recording, both predict a synthetic voice of 3 s at 48 kHz; with a folder, ours also predicts every recording in it,
on all cores. Members are averaged: the cost is that of as many models.
"""

import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import measuring
from ser import paths
from ser.params import read_params

MODEL, REPEATS = paths.DEFAULT_MODEL, 30
STARTED = "SER_BENCHMARK_STARTED"


def ours(recording: Path) -> dict[str, float]:
    """Load and answer once, then measure an answer, and the networks' share of it."""
    from ser import load

    model = load(MODEL)
    model.predict(recording)
    found = _started() | _warm(lambda: model.predict(recording))
    spent: list[float] = []
    predict = model._predict_members
    model._predict_members = lambda clips: _spent(spent, predict, clips)  # type: ignore[method-assign]
    for _ in range(REPEATS):
        model.predict(recording)
    return found | {"network": min(spent), "members": len(model.card.members)}


def _started() -> dict[str, float]:
    return {"cold": time.time() - float(os.environ[STARTED]), "cold_cpu": time.process_time()}


def _warm(work: Callable[[], Any]) -> dict[str, float]:
    start = time.process_time()
    seconds = min(measuring.timed(work) for _ in range(REPEATS))
    return {"clip": seconds, "clip_cpu": (time.process_time() - start) / REPEATS}


def _spent(spent: list[float], work: Any, inputs: Any) -> Any:
    start = time.perf_counter()
    found = work(inputs)
    spent.append(time.perf_counter() - start)
    return found


def plain(recording: Path) -> dict[str, float]:
    """Do as tutorials do, with the same kind of network."""
    import keras
    import librosa

    from ser.features.columns import columns_of, feature_names
    from ser.features.frame_features import frame_features
    from ser.features.functionals import functionals

    params = read_params()
    settings = params.features
    seen = columns_of(
        feature_names(settings), [*params.train_lstm.spectral_features, *params.train_lstm.prosody_features]
    )
    model = keras.models.load_model(sorted(paths.checkpoint("lstm").rglob("model.keras"))[0])

    def inputs() -> Any:
        signal, rate = librosa.load(recording, sr=16000)
        frames = frame_features(signal, settings, rate=int(rate))
        given = {"frames": frames[None, :, seen]}
        if len(model.inputs) > 1:
            given["functionals"] = functionals(frames, settings)[None]
        return given

    model.predict(inputs(), verbose=0)
    found, frames = _started(), inputs()
    network = min(measuring.timed(lambda: model.predict(frames, verbose=0)) for _ in range(REPEATS))
    return found | _warm(lambda: model.predict(inputs(), verbose=0)) | {"network": network, "members": 1}


VARIANTS = {"ours": ours, "plain": plain}


def folder_speed(folder: Path) -> str:
    """Judge a folder on all cores."""
    from ser.inference.folder import predict_folder

    with tempfile.TemporaryDirectory() as place:
        start = time.perf_counter()
        summary = predict_folder(MODEL, folder, Path(place) / "predictions.csv", min_confidence=0)
        seconds = time.perf_counter() - start
    n_files = summary.n_files
    return f"A folder of {n_files} recordings: {n_files / seconds:.0f} a second on {os.cpu_count()} cores."


def write_voice(path: Path) -> None:
    """Write three seconds of something voiced."""
    import soundfile

    times = np.arange(3 * 48000) / 48000
    hum = sum(np.sin(2 * np.pi * 140 * n * times) / n for n in range(1, 20))
    noise = np.random.default_rng(0).normal(size=len(times))
    soundfile.write(path, 0.1 * hum * np.hanning(len(times)) + 0.001 * noise, 48000)


def table(found: dict[str, Any]) -> list[str]:
    """Write what was measured."""
    return [
        "One recording, from the start of Python to its answer, and again when all is loaded, `python -m "
        "benchmarks.predict`. Where other programs run, seconds of the processor say more than those of the clock.",
        "",
        "| | start to answer, s | processor, s | peak MB | warm, ms a clip | processor, ms | network, ms | networks |",
        "|---|---|---|---|---|---|---|---|",
        *(
            f"| {name} | {one['cold']:.2f} | {one['cold_cpu']:.2f} | {one['megabytes']:.0f} | "
            f"{1000 * one['clip']:.1f} | {1000 * one['clip_cpu']:.1f} | "
            f"{1000 * one['network']:.1f} | {one['members']} |"
            for name, one in found.items()
        ),
    ]


def main(arguments: list[str]) -> None:
    """Measure both in processes of their own, and the folder, and write how they compare."""
    with tempfile.TemporaryDirectory() as place:
        recording = Path(arguments[0]) if arguments else Path(place) / "voice.wav"
        if not arguments:
            write_voice(recording)
        found = {}
        for name in VARIANTS:
            os.environ |= {STARTED: str(time.time()), "SER_BENCHMARK_RECORDING": str(recording)}
            found[name] = measuring.in_a_process("benchmarks.predict", name)
    lines = table(found)
    lines += ["", folder_speed(Path(arguments[1]))] if len(arguments) > 1 else []
    measuring.write_section("Predicting", lines)
    print("\n".join(lines))  # noqa: T201


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in VARIANTS:
        with contextlib.redirect_stdout(sys.stderr):
            measured = VARIANTS[sys.argv[1]](Path(os.environ["SER_BENCHMARK_RECORDING"]))
        print(json.dumps(measured | {"megabytes": measuring.peak_megabytes()}))  # noqa: T201
    else:
        main(sys.argv[1:])
