"""Time frame features and functionals of the default settings, compared with a loop over librosa's functions.

    python -m benchmarks.features

Both process synthetic clips in one process on one thread. The loop calls one librosa function per feature, each with an
STFT of its own. It computes the same kinds of features, but no pitch and no voice quality.
"""

from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks import timing
from ser.features.columns import Array
from ser.features.frame_features import frame_features
from ser.features.functionals import functionals
from ser.params import Features, read_params

N_CLIPS, SECONDS, RATE = 100, 2.5, 16_000


def make_clips() -> list[Array]:
    """Make harmonic signals with varying pitch and a little noise: arrays of shape (n_samples,)."""
    rng = np.random.default_rng(0)
    times = np.arange(int(SECONDS * RATE)) / RATE
    clips = []
    for pitch in rng.uniform(90, 250, size=N_CLIPS):
        phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.1 * np.sin(2 * np.pi * times))) / RATE
        voice = sum(np.sin(n * phase) / n for n in range(1, 20))
        clips.append((0.05 * voice + 0.002 * rng.standard_normal(len(times))).astype(np.float32))
    return clips


def pipeline(settings: Features) -> Callable[[Array], Array]:
    """Compute features as the pipeline does."""
    return lambda clip: functionals(frame_features(clip, settings, rate=RATE), settings)


def librosa_loop(settings: Features) -> Callable[[Array], Array]:
    """Compute features by one librosa function each; then mean, standard deviation and percentiles."""
    from librosa import feature

    hop_length, n_fft = round(settings.hop_seconds * RATE), round(settings.window_seconds * RATE)
    spectral = {"sr": RATE, "n_fft": n_fft, "hop_length": hop_length}
    temporal = {"frame_length": n_fft, "hop_length": hop_length}

    def extract(clip: Array) -> Array:
        mfcc = feature.mfcc(y=clip, n_mfcc=settings.mfcc.n_mfcc, **spectral)
        rows = [
            feature.melspectrogram(y=clip, n_mels=settings.mel.n_mels, **spectral),
            *(mfcc, feature.delta(mfcc), feature.delta(mfcc, order=2)),
            feature.chroma_stft(y=clip, n_chroma=settings.chroma.n_chroma, tuning=0, **spectral),
            feature.rms(y=clip, **temporal),
            feature.zero_crossing_rate(clip, **temporal),
            feature.spectral_centroid(y=clip, **spectral),
            feature.spectral_bandwidth(y=clip, **spectral),
            feature.spectral_rolloff(y=clip, **spectral),
            feature.spectral_flatness(y=clip, n_fft=n_fft, hop_length=hop_length),
            feature.spectral_contrast(y=clip, **spectral),
        ]
        frames = np.concatenate(rows)
        return np.concatenate([frames.mean(axis=1), frames.std(axis=1), *np.percentile(frames, [10, 50, 90], axis=1)])

    return extract


VARIANTS = {"pipeline": pipeline, "librosa loop": librosa_loop}


def measure(variant: str) -> dict[str, float]:
    """Process one clip to warm up, then time all."""
    extract, clips = VARIANTS[variant](read_params().features), make_clips()
    with threadpool_limits(1):
        n_features = len(extract(clips[0]))
        seconds = min(timing.time_call(lambda: [extract(clip) for clip in clips]) for _ in range(2))
    return {"seconds": seconds, "features": n_features, "megabytes": timing.memory_mb()}


def main() -> None:
    """Measure both variants, and write a table."""
    results = {variant: timing.run_in_process("benchmarks.features", variant) for variant in VARIANTS}
    lines = [
        f"{N_CLIPS} clips of {SECONDS:g} s, one process, one thread, `python -m benchmarks.features`.",
        "",
        "| | ms per clip | clips per second | real-time factor | functionals | peak MB |",
        "|---|---|---|---|---|---|",
    ]
    for variant, result in results.items():
        seconds = result["seconds"] / N_CLIPS
        cells = [variant, f"{1000 * seconds:.1f}", f"{1 / seconds:.0f}", f"{seconds / SECONDS:.4f}"]
        lines.append(f"| {' | '.join(cells)} | {result['features']:.0f} | {result['megabytes']:.0f} |")
    speedup = results["librosa loop"]["seconds"] / results["pipeline"]["seconds"]
    timing.write_section("Features", [*lines, "", f"Speed-up: {speedup:.2f}."])


if __name__ == "__main__":
    timing.run_variant(measure, main)
