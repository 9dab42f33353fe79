"""Measure the start-up time, memory and latency of a prediction, compared with plain Keras and librosa.

    python -m benchmarks.predict [RECORDING [FOLDER]]

The pipeline's variant predicts with models/exported/lstm. The baseline loads the first network of
models/checkpoints/lstm by Keras and the recording by librosa, computes the same features, and does not denoise. Without
RECORDING, both predict a tone of 3 s at 48 kHz. All recordings in FOLDER are predicted on all cores.
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
import typer

from benchmarks import timing
from ser import paths
from ser.params import read_params
from ser.utils.wav import harmonic_tone, wav_bytes

MODEL, REPEATS = paths.DEFAULT_MODEL, 30
STARTED, RECORDING = "SER_BENCHMARK_STARTED", "SER_BENCHMARK_RECORDING"
"""Environment variables: the start time of a process, and the file to predict."""


def pipeline(recording: Path) -> dict[str, float]:
    """Load the exported model and predict once, then time a prediction and its networks."""
    from ser import load

    model = load(MODEL)
    model.predict(recording)
    result = _startup() | _warm(lambda: model.predict(recording))
    seconds: list[float] = []
    predict_members = model._predict_members

    def timed(clips: Any) -> Any:
        start = time.perf_counter()
        output = predict_members(clips)
        seconds.append(time.perf_counter() - start)
        return output

    model._predict_members = timed  # type: ignore[method-assign]
    for _ in range(REPEATS):
        model.predict(recording)
    return result | {"network": min(seconds), "networks": len(model.card.members)}


def baseline(recording: Path) -> dict[str, float]:
    """Predict with plain Keras and librosa, with the same features and network."""
    import keras
    import librosa

    from ser.features.columns import columns_of, feature_names
    from ser.features.frame_features import frame_features
    from ser.features.functionals import functionals

    params = read_params()
    settings, network = params.features, params.train_lstm
    columns = columns_of(feature_names(settings), [*network.spectral_features, *network.prosody_features])
    model = keras.models.load_model(sorted(paths.checkpoint("lstm").rglob("model.keras"))[0])

    def inputs() -> dict[str, Any]:
        signal, rate = librosa.load(recording, sr=16000)
        frames = frame_features(signal, settings, rate=int(rate))
        arrays = {"frames": frames[None, :, columns]}
        if len(model.inputs) > 1:
            arrays["functionals"] = functionals(frames, settings)[None]
        return arrays

    model.predict(inputs(), verbose=0)
    result, arrays = _startup(), inputs()
    seconds = min(timing.time_call(lambda: model.predict(arrays, verbose=0)) for _ in range(REPEATS))
    return result | _warm(lambda: model.predict(inputs(), verbose=0)) | {"network": seconds, "networks": 1}


VARIANTS = {"pipeline": pipeline, "baseline": baseline}


def _startup() -> dict[str, float]:
    return {"cold": time.time() - float(os.environ[STARTED]), "cold_cpu": time.process_time()}


def _warm(predict: Callable[[], Any]) -> dict[str, float]:
    start = time.process_time()
    seconds = min(timing.time_call(predict) for _ in range(REPEATS))
    return {"clip": seconds, "clip_cpu": (time.process_time() - start) / REPEATS}


def folder_speed(folder: Path) -> str:
    """Predict a folder on all cores, and format the speed."""
    from ser.inference.folder import predict_folder

    with tempfile.TemporaryDirectory() as temporary:
        start = time.perf_counter()
        summary = predict_folder(MODEL, folder, Path(temporary) / "predictions.csv", min_confidence=0)
        seconds = time.perf_counter() - start
    return f"Folder: {summary.n_files} recordings, {summary.n_files / seconds:.0f} per second, {os.cpu_count()} cores."


def main(arguments: list[str]) -> None:
    """Measure both variants, and the folder, and write a table."""
    results = {}
    with tempfile.TemporaryDirectory() as temporary:
        recording = Path(arguments[0]) if arguments else Path(temporary) / "voice.wav"
        if not arguments:
            tone = 3000 * harmonic_tone(seconds=3, rate=48000, n_harmonics=19, pitch=140)
            recording.write_bytes(wav_bytes((tone * np.hanning(len(tone))).astype(np.int16), rate=48000))
        for name in VARIANTS:
            os.environ |= {STARTED: str(time.time()), RECORDING: str(recording)}
            results[name] = timing.run_in_process("benchmarks.predict", name)
    lines = [
        "One recording: from the start of Python to the first prediction (cold), and a further prediction (warm), "
        "`python -m benchmarks.predict`. CPU times depend less on other programs.",
        "",
        "| | cold, s | cold CPU, s | peak MB | warm, ms | warm CPU, ms | network, ms | networks |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, result in results.items():
        cells = [name, f"{result['cold']:.2f}", f"{result['cold_cpu']:.2f}", f"{result['megabytes']:.0f}"]
        cells += [f"{1000 * result[key]:.1f}" for key in ("clip", "clip_cpu", "network")]
        lines.append(f"| {' | '.join(cells)} | {result['networks']} |")
    lines += ["", folder_speed(Path(arguments[1]))] if len(arguments) > 1 else []
    timing.write_section("Prediction", lines)


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in VARIANTS:
        with contextlib.redirect_stdout(sys.stderr):
            measured = VARIANTS[sys.argv[1]](Path(os.environ[RECORDING]))
        typer.echo(json.dumps(measured | {"megabytes": timing.memory_mb()}))
    else:
        main(sys.argv[1:])
