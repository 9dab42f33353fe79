"""Write stand-ins for corpora: every published file name, with noise instead of speech.

As a script: python -m tests.helpers.fake_corpora FOLDER crema_d savee. With real corpora in the same folder,
-S download.data_dir=FOLDER then runs the pipeline at its full size.
"""

import hashlib
import sys
from pathlib import Path

import numpy as np
import soundfile

from ser.corpora.base import load_corpus

RATE = 16000

RAVDESS = [
    "Actor_01/03-01-01-01-01-01-01.wav",
    "Actor_01/03-01-05-01-01-01-01.wav",
    "Actor_02/03-01-03-02-02-01-02.wav",
    "Actor_24/03-01-08-02-02-02-24.wav",
]
TESS = ["OAF_angry/OAF_back_angry.wav", "OAF_neutral/OA_bite_neutral.wav", "YAF_pleasant_surprise/YAF_dog_ps.wav"]


def noise_burst(name: str) -> np.ndarray:
    """Make one to three seconds of noise with an envelope that depends on the name: (n_samples,) float32."""
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))
    n_samples = int(RATE * rng.uniform(1, 3))
    envelope = np.sin(np.pi * np.linspace(0, 1, n_samples)) * (
        1.2 + np.sin(np.arange(n_samples) / rng.uniform(300, 900))
    )
    return (0.05 * envelope * rng.standard_normal(n_samples)).astype(np.float32)


def main(folder: Path, corpora: list[str]) -> None:
    """Write each corpus to a folder of its name."""
    for corpus in corpora:
        (folder / corpus).mkdir(parents=True, exist_ok=True)
        for name in load_corpus(corpus).expected_files():
            soundfile.write(folder / corpus / f"{name}.wav", noise_burst(name), RATE)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
