"""Define RAVDESS (speech only): 24 actors, 8 emotions, 2 sentences."""

from itertools import product

from ser.corpora.base import Corpus, RemoteFile

_EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")


def _names() -> list[str]:
    """List the files: each actor repeats each statement, at two intensities except for neutral."""
    takes = product(range(1, 9), (1, 2), (1, 2), (1, 2), range(1, 25))
    return ["03-01-" + "-".join(f"{code:02}" for code in take) for take in takes if take[:2] != (1, 2)]


CORPUS = Corpus(
    name="ravdess",
    title="Ryerson Audio-Visual Database of Emotional Speech and Song (speech, audio only)",
    license_info="CC BY-NC-SA 4.0",
    citation="Livingstone & Russo (2018), PLOS ONE 13(5): e0196391, doi:10.1371/journal.pone.0196391",
    url="https://zenodo.org/records/1188976",
    language="en",
    style="acted",
    # modality-channel-emotion-intensity-statement-repetition-actor; 03 is audio only, 01 is speech
    pattern=r"03-01-(?P<emotion>\d\d)-(?P<intensity>0[12])-(?P<sentence>0[12])-(?P<repetition>0[12])-(?P<speaker>\d\d)",
    emotions={f"{code:02}": emotion for code, emotion in enumerate(_EMOTIONS, start=1)},
    speaker_sex={f"{actor:02}": "m" if actor % 2 else "f" for actor in range(1, 25)},
    n_recordings=1440,
    intensities={"01": "normal", "02": "strong"},
    left_out={r"0[123]-02(-\d\d){5}": "songs", r"0[12]-01(-\d\d){5}": "recordings with video"},
    expected_files=_names,
    notes=(
        "Songs (03-02-…) and recordings with video are left out and counted.",
        "Five files are stereo.",
        "Neutral has half as many clips as other emotions, as it has no strong intensity.",
    ),
    published=lambda: [
        RemoteFile(
            filename="Audio_Speech_Actors_01-24.zip",
            url="https://zenodo.org/records/1188976/files/Audio_Speech_Actors_01-24.zip?download=1",
            known_hash="md5:bc696df654c87fed845eb13823edef8a",
            size=208_468_073,
        )
    ],
    folds={
        # Ma et al. (2024), EmoBox, Interspeech, arXiv:2406.07162
        "emobox": (
            ("01", "11", "20", "21"),
            ("04", "10", "12", "14"),
            ("08", "09", "19", "23"),
            ("03", "05", "07", "24"),
            ("02", "15", "16", "18"),
            ("06", "13", "17", "22"),
        ),
        # Luna-Jiménez et al. (2021), Sensors 21(22): 7665, doi:10.3390/s21227665
        "luna_jimenez": (
            ("02", "05", "14", "15", "16"),
            ("03", "06", "07", "13", "18"),
            ("10", "11", "12", "19", "20"),
            ("08", "17", "21", "23", "24"),
            ("01", "04", "09", "22"),
        ),
    },
)
