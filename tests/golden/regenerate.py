"""Write the golden numbers anew, after a change that is meant to change them: python tests/golden/regenerate.py.

The numbers are mean and standard deviation over frames of every feature of a fixed signal, under settings of their
own, so that editing params.yaml does not touch them. Look at the difference in Git before committing it.
"""

import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
FEATURES = HERE / "features.json"
SETTINGS = {
    "frame_features": ["mel", "mfcc", "chroma", "rms", "zcr", "pitch", "spectral"],
    "functionals": ["mean", "std"],
    "window_seconds": 0.032,
    "hop_seconds": 0.01,
    "mfcc": {"n_mfcc": 13, "delta_order": 2},
    "mel": {"n_mels": 32, "fmin": 50},
    "chroma": {"n_chroma": 12},
}
RATE = 16000


def signal() -> np.ndarray:
    """Make one second of a voice-like sound: gliding harmonics that swell and fade, and some noise."""
    times = np.arange(RATE) / RATE
    phase = 2 * np.pi * np.cumsum(150 + 50 * np.sin(2 * np.pi * 3 * times)) / RATE
    voice = sum(np.sin(n * phase) / n for n in range(1, 20))
    hiss = np.random.default_rng(0).standard_normal(RATE)
    return (0.1 * np.hanning(RATE) * voice + 0.001 * hiss).astype(np.float32)


def measure() -> dict[str, list[float]]:
    """Measure mean and standard deviation of every feature."""
    from ser.features.columns import feature_names
    from ser.features.frame_features import frame_features
    from ser.features.functionals import functionals
    from ser.params import Features

    settings = Features.model_validate(SETTINGS)
    vector = functionals(frame_features(signal(), settings, rate=RATE), settings)
    pairs = vector.reshape(2, -1).T.astype(float).round(4).tolist()
    return dict(zip(feature_names(settings), pairs, strict=True))


def main() -> None:
    """Write one line a feature."""
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(pair)}" for name, pair in measure().items())
    FEATURES.write_text(f"{{\n{lines}\n}}\n")


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parents[1]))
    main()
