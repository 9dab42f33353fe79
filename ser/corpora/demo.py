"""Define the demo corpus: synthetic voices, generated locally without a network."""

from ser.corpora.base import Corpus

CORPUS = Corpus(
    name="demo",
    title="Synthetic demo corpus (espeak-ng)",
    license_info="GPL-3.0-or-later for the synthesiser; the recordings are generated on your machine",
    citation="espeak-ng; emotional prosody after Schröder (2001), Burkhardt & Sendlmeier (2000) and Cahn (1990)",
    url="https://github.com/espeak-ng/espeak-ng",
    language="en",
    style="synthetic",
    pattern=r"(?P<speaker>\d\d)_(?P<emotion>[a-z]+)_(?P<sentence>[a-z]+)",
    emotions={name: name for name in ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")},
    speaker_sex={f"{speaker:02}": "m" if speaker % 2 else "f" for speaker in range(1, 13)},
    n_recordings=288,
)
