"""Define CREMA-D: 91 actors, 6 emotions, 12 sentences."""

import base64
import csv
import gzip
from pathlib import Path

from ser.corpora.base import Corpus, RemoteFile

_WOMEN = (
    *(1002, 1003, 1004, 1006, 1007, 1008, 1009, 1010, 1012, 1013, 1018, 1020, 1021, 1024, 1025, 1028, 1029, 1030),
    *(1037, 1043, 1046, 1047, 1049, 1052, 1053, 1054, 1055, 1056, 1058, 1060, 1061, 1063, 1072, 1073, 1074, 1075),
    *(1076, 1078, 1079, 1082, 1084, 1089, 1091),
)

_URL = "https://media.githubusercontent.com/media/CheyneyComputerScience/CREMA-D/master/AudioWAV/"


def _published() -> list[RemoteFile]:
    """Load the list of files of the repository: name, size in bytes, and sha256 in base64 without padding."""
    with gzip.open(Path(__file__).with_name("crema_d.csv.gz"), "rt", encoding="ascii") as file:
        return [
            RemoteFile(
                filename=f"AudioWAV/{row['name']}.wav",
                url=f"{_URL}{row['name']}.wav",
                known_hash=f"sha256:{base64.b64decode(row['sha256'] + '=').hex()}",
                size=int(row["size"]),
            )
            for row in csv.DictReader(file)
        ]


_VOTE_CODES = {"A": "angry", "D": "disgust", "F": "fearful", "H": "happy", "N": "neutral", "S": "sad"}


def _majority_votes() -> dict[str, list[str]]:
    """Load the majority votes of audio-only listeners from the summary table of the repository."""
    with gzip.open(Path(__file__).with_name("crema_d_votes.csv.gz"), "rt", encoding="ascii") as file:
        return {row["name"]: [_VOTE_CODES[code] for code in row["voice"].split(":")] for row in csv.DictReader(file)}


_SAME_FILES = (
    ("1006_TIE_HAP_XX", "1006_TIE_NEU_XX"),
    ("1013_WSI_DIS_XX", "1013_WSI_SAD_XX"),
    ("1017_IWW_ANG_XX", "1017_IWW_FEA_XX"),
)
"""Recordings that were published twice, with different emotions. It is unknown which emotion is right."""

CORPUS = Corpus(
    name="crema_d",
    title="Crowd-sourced Emotional Multimodal Actors Dataset (audio)",
    license_info="ODbL 1.0",
    citation="Cao et al. (2014), IEEE Transactions on Affective Computing 5(4), doi:10.1109/TAFFC.2014.2336244",
    url="https://github.com/CheyneyComputerScience/CREMA-D",
    language="en",
    style="acted",
    # actor_sentence_emotion_intensity; the intensity is XX (unspecified) except for one sentence
    pattern=r"(?P<speaker>1\d{3})_(?P<sentence>[A-Z]{3})_(?P<emotion>[A-Z]{3})_(?P<intensity>XX|LO|MD|HI)",
    emotions={"ANG": "angry", "DIS": "disgust", "FEA": "fearful", "HAP": "happy", "NEU": "neutral", "SAD": "sad"},
    # from the corpus's VideoDemographics.csv
    speaker_sex={str(actor): "f" if actor in _WOMEN else "m" for actor in range(1001, 1092)},
    n_recordings=7442,
    intensities={"LO": "low", "MD": "medium", "HI": "high"},
    expected_files=lambda: [Path(file.filename).stem for file in _published()],
    aliases={"1040_ITH_SAD_X": "1040_ITH_SAD_XX"},  # the name in earlier releases, and on Kaggle
    known_bad={"1076_MTI_SAD_XX": "contains no speech"}
    | {name: f"is the same file as {other}" for pair in _SAME_FILES for name, other in (pair, pair[::-1])},
    majority_votes=_majority_votes,
    notes=(
        "Intensity is given for one sentence (IEO) only.",
        "One file was named 1040_ITH_SAD_X in earlier releases.",
    ),
    published=_published,
)
