"""Define TESS: two actresses, 7 emotions, "Say the word …" with 200 words."""

from ser.corpora.base import Corpus, Dataverse

_WORDS = """
back bar base bath bean beg bite boat bone book bought burn cab calm came cause chain chair chalk chat check cheek
chief choice cool dab date dead death deep dime dip ditch dodge dog doll door fail fall far fat fit five food gap
gas gaze germ get gin goal good goose gun half hall hash hate have haze hire hit hole home hurl hush jail jar join
judge jug juice keen keep keg kick kill king kite knock late laud lean learn lease lid life limb live loaf long lore
lose lot love luck make match merge mess met mill mob mode mood moon mop mouse nag name near neat nice note numb pad
page pain pass pearl peg perch phone pick pike pole pool puff rag raid rain raise rat reach read red ring ripe road
room rose rot rough rush said sail search seize sell shack shall shawl sheep shirt should shout size soap soup sour
south sub such sure take talk tape team tell thin third thought thumb time tip tire ton tool tough turn vine voice
void vote wag walk wash week wheat when which whip white wife wire witch yearn yes young youth
"""


def _names() -> list[str]:
    emotions = ("neutral", "happy", "sad", "angry", "fear", "disgust", "ps")
    return [
        f"{speaker}_{word}_{emotion}" for speaker in ("OAF", "YAF") for word in _WORDS.split() for emotion in emotions
    ]


CORPUS = Corpus(
    name="tess",
    title="Toronto Emotional Speech Set",
    license_info="CC BY-NC-ND 4.0",
    citation="Pichora-Fuller & Dupuis (2020), doi:10.5683/SP2/E8H2MF",
    url="https://doi.org/10.5683/SP2/E8H2MF",
    language="en",
    style="acted",
    pattern=r"(?P<speaker>[A-Z]+)_(?P<sentence>[a-z]+)_(?P<emotion>[a-z]+)",
    emotions={name: name for name in ("neutral", "happy", "sad", "angry", "disgust")}
    | {
        "fear": "fearful",
        "ps": "surprised",  # pleasant surprise
    },
    speaker_sex={"OAF": "f", "YAF": "f"},
    aliases={"OA_bite_neutral": "OAF_bite_neutral"},  # as published
    n_recordings=2800,
    expected_files=_names,
    notes=(
        "Surprised is pleasant surprise (ps).",
        "One file of OAF is named OA_bite_neutral.wav.",
        "Two files named .wav are AIFF.",
        "One file has a sample rate of 96 kHz, the others 24.414 kHz.",
        "Some archives contain a second, nested copy of all files.",
    ),
    dataverse=Dataverse("https://borealisdata.ca", "doi:10.5683/SP2/E8H2MF"),
    kaggle="ejlok1/toronto-emotional-speech-set-tess",
    folds={"swap_speakers": (("OAF",), ("YAF",))},
)
