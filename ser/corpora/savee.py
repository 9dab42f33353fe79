"""Define SAVEE (audio): four men, 7 emotions, 15 sentences each (30 for neutral)."""

from ser.corpora.base import Corpus


def _names() -> list[str]:
    counts = {"a": 15, "d": 15, "f": 15, "h": 15, "n": 30, "sa": 15, "su": 15}
    return [
        f"{speaker}_{emotion}{number:02}"
        for speaker in ("DC", "JE", "JK", "KL")
        for emotion, count in counts.items()
        for number in range(1, count + 1)
    ]


CORPUS = Corpus(
    name="savee",
    title="Surrey Audio-Visual Expressed Emotion database",
    license_info="free for research after registration",
    citation="Haq & Jackson (2010), in Machine Audition, IGI Global; Jackson & Haq (2014), University of Surrey",
    url="http://kahlan.eps.surrey.ac.uk/savee/",
    language="en",
    style="acted",
    # speaker_emotion+sentence, such as DC_sa07; in the official archive the speaker is a folder: DC/sa07
    # the sentence is the number alone, as three sentences are the same in all emotions and must stay together
    pattern=r"(?P<speaker>DC|JE|JK|KL)[_/](?P<emotion>a|d|f|h|n|sa|su)(?P<sentence>\d\d)",
    emotions={
        "a": "angry",
        "d": "disgust",
        "f": "fearful",
        "h": "happy",
        "n": "neutral",
        "sa": "sad",
        "su": "surprised",
    },
    speaker_sex={"DC": "m", "JE": "m", "JK": "m", "KL": "m"},
    n_recordings=480,
    expected_files=_names,
    notes=(
        "Speakers are folders in the official archive (DC/a01.wav) and prefixes on Kaggle (DC_a01.wav); both work.",
    ),
    kaggle="ejlok1/surrey-audiovisual-expressed-emotion-savee",
    folds={"emobox": (("JE",), ("KL",), ("DC",), ("JK",))},  # Ma et al. (2024), EmoBox, Interspeech, arXiv:2406.07162
)
