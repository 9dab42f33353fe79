"""TESS: two actresses, 7 emotions, "Say the word …" with 200 words."""

from ser.corpora.facts import Corpus

CORPUS = Corpus(
    name="tess",
    title="Toronto Emotional Speech Set",
    licence="CC BY-NC-ND 4.0",
    citation="Pichora-Fuller & Dupuis (2020), doi:10.5683/SP2/E8H2MF",
    url="https://doi.org/10.5683/SP2/E8H2MF",
    language="en",
    pattern=r"(?P<speaker>[A-Z]+)_(?P<text>[a-z]+)_(?P<emotion>[a-z]+)",
    emotions={
        "neutral": "neutral",
        "happy": "happy",
        "sad": "sad",
        "angry": "angry",
        "fear": "fearful",
        "disgust": "disgust",
        "ps": "surprised",  # pleasant surprise
    },
    sexes={"OAF": "f", "YAF": "f"},
    aliases={"OA": "OAF"},  # one file is named OA_bite_neutral.wav
    n_clips=2800,
)
