"""Measure frame features and functionals of the default settings, and a plain loop over librosa's functions.

    python -m benchmarks.features

Both process synthetic clips in one process on one thread. The loop calls one librosa function per feature, each with an
STFT of its own. It computes the same kinds of features, but no pitch and no voice quality.
"""

import json
import sys
from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks import measuring
from ser.features.columns import Array
from ser.features.frame_features import frame_features
from ser.features.functionals import functionals
from ser.params import Features, read_params

CLIPS, SECONDS, RATE = 100, 2.5, 16_000


def clips() -> list[Array]:
    """Make voices of a kind: a buzz whose pitch wanders, and noise."""
    rng = np.random.default_rng(0)
    time = np.arange(int(SECONDS * RATE)) / RATE
    made = []
    for pitch in rng.uniform(90, 250, size=CLIPS):
        phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.1 * np.sin(2 * np.pi * time))) / RATE
        buzz = sum(np.sin(n * phase) / n for n in range(1, 20))
        made.append((0.05 * buzz + 0.002 * rng.standard_normal(len(time))).astype(np.float32))
    return made


def ours(settings: Features) -> Callable[[Array], Array]:
    """Measure as the pipeline does."""
    return lambda clip: functionals(frame_features(clip, settings, rate=RATE), settings)


def plain(settings: Features) -> Callable[[Array], Array]:
    """Measure as tutorials do, and take mean, deviation and percentiles."""
    from librosa import feature

    hop, window = round(settings.hop_seconds * RATE), round(settings.window_seconds * RATE)
    frame = {"n_fft": window, "hop_length": hop}

    def measure(clip: Array) -> Array:
        mfcc = feature.mfcc(y=clip, sr=RATE, n_mfcc=settings.mfcc.n_mfcc, **frame)
        rows = [
            feature.melspectrogram(y=clip, sr=RATE, n_mels=settings.mel.n_mels, **frame),
            *(mfcc, feature.delta(mfcc), feature.delta(mfcc, order=2)),
            feature.chroma_stft(y=clip, sr=RATE, n_chroma=settings.chroma.n_chroma, tuning=0, **frame),
            feature.rms(y=clip, frame_length=window, hop_length=hop),
            feature.zero_crossing_rate(clip, frame_length=window, hop_length=hop),
            feature.spectral_centroid(y=clip, sr=RATE, **frame),
            feature.spectral_bandwidth(y=clip, sr=RATE, **frame),
            feature.spectral_rolloff(y=clip, sr=RATE, **frame),
            feature.spectral_flatness(y=clip, **frame),
            feature.spectral_contrast(y=clip, sr=RATE, **frame),
        ]
        frames = np.concatenate(rows)
        return np.concatenate([frames.mean(axis=1), frames.std(axis=1), *np.percentile(frames, [10, 50, 90], axis=1)])

    return measure


VARIANTS = {"ours": ours, "librosa loop": plain}


def measure(variant: str) -> dict[str, float]:
    """Measure one clip to warm up, then all."""
    work, made = VARIANTS[variant](read_params().features), clips()
    with threadpool_limits(1):
        size = len(work(made[0]))
        seconds = min(measuring.timed(lambda: [work(clip) for clip in made]) for _ in range(2))
    return {"seconds": seconds, "columns": size, "megabytes": measuring.peak_megabytes()}


def main() -> None:
    """Measure both, and write how they compare."""
    found = {variant: measuring.in_a_process("benchmarks.features", variant) for variant in VARIANTS}
    lines = [
        f"{CLIPS} clips of {SECONDS:g} s, one process, one thread, `python -m benchmarks.features`.",
        "",
        "| | ms a clip | clips a second | real-time factor | functionals | peak MB |",
        "|---|---|---|---|---|---|",
        *(_row(name, one) for name, one in found.items()),
        "",
        f"Ours is {found['librosa loop']['seconds'] / found['ours']['seconds']:.2f} times as fast.",
    ]
    measuring.write_section("Features", lines)
    print("\n".join(lines))  # noqa: T201


def _row(name: str, found: dict[str, float]) -> str:
    seconds = found["seconds"] / CLIPS
    cells = [f"{1000 * seconds:.1f}", f"{1 / seconds:.0f}", f"{seconds / SECONDS:.4f}"]
    return f"| {name} | {' | '.join(cells)} | {found['columns']:.0f} | {found['megabytes']:.0f} |"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1])))  # noqa: T201
    else:
        main()
