"""SAVEE, the audio: four men, 7 emotions, 15 sentences each (30 for neutral)."""

from ser.corpora.facts import Corpus

CORPUS = Corpus(
    name="savee",
    title="Surrey Audio-Visual Expressed Emotion database",
    licence="free for research after registration",
    citation="Haq & Jackson (2010), in Machine Audition, IGI Global; Jackson & Haq (2014), University of Surrey",
    url="http://kahlan.eps.surrey.ac.uk/savee/",
    language="en",
    # speaker_emotion+sentence, such as DC_sa07; in the official tree the speaker is a folder: DC/sa07
    # the number alone names the text: three sentences are the same in all emotions, so all of a number stay together
    pattern=r"(?P<speaker>DC|JE|JK|KL)[_/](?P<emotion>a|d|f|h|n|sa|su)(?P<text>\d\d)",
    emotions={
        "a": "angry",
        "d": "disgust",
        "f": "fearful",
        "h": "happy",
        "n": "neutral",
        "sa": "sad",
        "su": "surprised",
    },
    sexes={"DC": "m", "JE": "m", "JK": "m", "KL": "m"},
    n_clips=480,
)
