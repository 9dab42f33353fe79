"""Write ser/features/acoustic_classes.csv: python -m tools.make_acoustic_classes.

The classes are the k-means clusters of the MFCC of synthetic speech. The voices of the demo corpus read the first
twenty Harvard sentences (IEEE, 1969), which are phonetically balanced. params.yaml sets preprocessing and features.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from ser.audio import clean as audio_clean
from ser.audio import effects
from ser.audio import io as audio_io
from ser.download import demo_speech
from ser.features.acoustic_classes import CENTROIDS, N_COEFFICIENTS, cmvn
from ser.features.columns import Floats, columns_of, feature_names
from ser.features.frame_features import frame_features
from ser.params import Params, read_params

CLASSES = 32
SENTENCES = """
The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background. It's easy to tell the depth of a
well. These days a chicken leg is a rare dish. Rice is often served in round bowls. The juice of lemons makes fine
punch. The box was thrown beside the parked truck. The hogs were fed chopped corn and garbage. Four hours of steady work
faced us. A large size in stockings is hard to sell. The boy was there when the sun rose. A rod is used to catch pink
salmon. The source of the huge river is the clear spring. Kick the ball straight and follow through. Help the woman get
back to her feet. A pot of tea helps to pass the evening. Smoky fires lack flame and heat. The soft cushion broke the
man's fall. The salt breeze came across from the sea. The girl at the booth sold fifty bonds.
"""


def texts() -> dict[str, str]:
    """Split the sentences: number -> sentence."""
    sentences = " ".join(SENTENCES.split()).rstrip(".").split(". ")
    return {f"{number:02}": sentence for number, sentence in enumerate(sentences, start=1)}


def normalized_mfcc(params: Params) -> Iterator[Floats]:
    """Yield the normalized MFCC of each synthesized sentence: (n_frames, n_coefficients)."""
    chosen = columns_of(feature_names(params.features), ["mfcc"])[1 : 1 + N_COEFFICIENTS]
    for speaker in demo_speech.SPEAKERS:
        for text in texts():
            utterance = demo_speech.Utterance(speaker, "neutral", text)
            speech = demo_speech.synthesize(utterance, seed=params.data_seed, texts=texts())
            try:
                resampled = effects.resample(speech, rate=demo_speech.SAMPLE_RATE, to=params.preprocess.sample_rate)
                clip = audio_clean.apply_effects(resampled, params.preprocess)
            except audio_io.NoSpeechError:  # the synthesizer fails at a sentence for two voices
                continue
            frames = frame_features(clip, params.features, rate=params.preprocess.sample_rate)
            yield cmvn(frames[:, chosen])


def write(rows: npt.NDArray[np.float64]) -> None:
    """Write one row per class, with a header."""
    lines = [[f"mfcc_{number}" for number in range(1, N_COEFFICIENTS + 1)], *rows.tolist()]
    CENTROIDS.write_text("".join(f"{','.join(map(str, line))}\n" for line in lines), encoding="utf-8")


def main() -> None:
    """Cluster the frames and write the centroids, sorted by their first coefficient."""
    frames = np.concatenate(list(normalized_mfcc(read_params()))).astype(np.float64)
    with threadpool_limits(1):
        centroids = KMeans(CLASSES, n_init=3, random_state=0).fit(frames).cluster_centers_
    write(centroids[centroids[:, 0].argsort()].round(2) + 0.0)  # + 0.0 turns -0.0 into 0.0


if __name__ == "__main__":
    main()
