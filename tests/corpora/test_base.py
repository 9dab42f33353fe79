"""Test the metadata of all corpora, also against the published file lists."""

import re
from pathlib import Path, PurePosixPath

import pandas as pd
import pytest

from ser.corpora.base import Corpus, known_corpora, load_corpus
from ser.download import demo_speech
from ser.labels import EMOTIONS, validate_labels
from ser.utils.errors import UserError

EMOBOX = {"fear": "fearful", "surprise": "surprised"}
"""Emotion names of EmoBox that are not canonical."""
SPEAKERS = {"ravdess": 24, "tess": 2, "crema_d": 91, "savee": 4, "demo": 12}
LISTED = set(SPEAKERS) - {"demo"}


@pytest.fixture(params=known_corpora())
def corpus(request: pytest.FixtureRequest) -> Corpus:
    return load_corpus(request.param)


def parse(corpus: str, name: str) -> tuple[str, ...] | None:
    recording = load_corpus(corpus).parse(PurePosixPath(name))
    return recording and (recording.speaker, recording.sex, recording.emotion, recording.sentence)


def test_metadata_are_complete(corpus: Corpus, request: pytest.FixtureRequest) -> None:
    """The name is that of the module; title, licence, citation, URL and language are given; only demo is synthetic."""
    assert corpus.name == request.node.callspec.params["corpus"]
    assert re.fullmatch(r"[a-z][a-z0-9_]*", corpus.name)
    assert all((corpus.title, corpus.license_info, corpus.citation))
    assert corpus.url.startswith(("https://", "http://"))
    assert re.fullmatch("[a-z]{2}", corpus.language)
    assert corpus.is_synthetic == (corpus.name == "demo")


def test_emotions_and_speakers_are_valid(corpus: Corpus) -> None:
    """At least two emotions are canonical; each speaker has a sex."""
    validate_labels(list(corpus.emotions.values()), where=corpus.name)
    assert len(set(corpus.emotions.values()) & set(EMOTIONS)) >= 2
    assert set(corpus.speaker_sex.values()) <= {"f", "m"}
    assert len(corpus.speaker_sex) == SPEAKERS.get(corpus.name, len(corpus.speaker_sex)) >= 2
    assert {"speaker", "emotion"} <= set(re.compile(corpus.pattern).groupindex)
    assert corpus.n_recordings >= len(corpus.speaker_sex) * len(corpus.emotions)


def test_expected_files_are_parsed_to_their_keys(corpus: Corpus) -> None:
    """File lists are complete and unique."""
    names = corpus.expected_files()
    assert len(names) == len(set(names)) == (corpus.n_recordings if names else 0)
    assert bool(names) == (corpus.name in LISTED) or corpus.name not in SPEAKERS
    assert {corpus.recording_key(PurePosixPath(f"a/{name}.wav")) for name in names} == set(names)
    assert all(corpus.parse(PurePosixPath(f"{name}.wav")) for name in names)
    assert set(corpus.known_bad) <= set(names)
    assert set(corpus.aliases.values()) <= set(names)
    assert not set(corpus.aliases) & set(names)
    assert not any(corpus.left_out_as(PurePosixPath(f"a/{name}.wav")) for name in names)


def test_quirks_of_corpora() -> None:
    """Misspelt names, and speakers that are folders, are normalized; known bad recordings have a reason."""
    tess, savee, crema_d = load_corpus("tess"), load_corpus("savee"), load_corpus("crema_d")
    assert tess.recording_key(PurePosixPath("OAF_neutral/OA_bite_neutral.wav")) == "OAF_bite_neutral"
    for file in ("AudioData/DC/sa07.wav", "DC_sa07.wav"):
        assert savee.recording_key(PurePosixPath(file)) == "DC_sa07"
    misspelt = PurePosixPath("AudioWAV/1040_ITH_SAD_X.wav")
    assert crema_d.recording_key(misspelt) == "1040_ITH_SAD_XX" and parse("crema_d", str(misspelt))
    recording = crema_d.parse(PurePosixPath("AudioWAV/1076_MTI_SAD_XX.wav"))
    assert recording is not None and recording.emotion == "sad" and "no speech" in recording.rejection_reason


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ravdess", "03-01-06-01-02-01-12.wav: ravdess-12 f fearful 02"),
        ("ravdess", "a/b c/03-01-08-02-02-02-23.flac: ravdess-23 m surprised 02"),
        ("tess", "OAF_Fear/OAF_back_fear.wav: tess-OAF f fearful back"),
        ("tess", "OA_bite_neutral.wav: tess-OAF f neutral bite"),
        ("demo", "07_calm_kids.wav: demo-07 m calm kids"),
    ],
)
def test_file_names_are_parsed(name: str, expected: str) -> None:
    """Folder and format do not matter."""
    file, _, fields = expected.partition(": ")
    assert parse(name, file) == tuple(fields.split())


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("ravdess", "01-01-06-01-02-01-12.mp4"),  # full audio-video
        ("ravdess", "03-02-06-01-02-01-12.wav"),  # song
        ("ravdess", "03-01-09-01-02-01-12.wav"),  # no such emotion
        ("ravdess", "03-01-06-01-02-01-25.wav"),  # no such actor
        ("ravdess", "03-01-06-01-02-01-12 (1).wav"),  # downloaded twice
        ("tess", "xOAF_back_fear.wav"),
        ("demo", "._07_calm_kids.wav"),  # left by macOS
    ],
)
def test_other_file_names_are_not_parsed(name: str, file: str) -> None:
    """Names that do not match the pattern, or with an unknown speaker or emotion, give None."""
    assert parse(name, file) is None


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a/03-02-06-01-02-01-12.wav", "songs"),
        ("01-02-06-01-02-01-12.mp4", "songs"),
        ("02-01-06-01-02-01-12.mp4", "recordings with video"),
        ("03-01-06-01-02-01-12.wav", None),
        ("03-02-06-01-02-01-12 (1).wav", None),
    ],
)
def test_other_recordings_of_ravdess(name: str, kind: str | None) -> None:
    """Songs and videos beside the speech are told apart by their names."""
    assert load_corpus("ravdess").left_out_as(PurePosixPath(name)) == kind


def test_files_that_crema_d_published_twice_are_rejected() -> None:
    """The list of checksums has three pairs with different emotions; which label is right is unknown."""
    crema_d = load_corpus("crema_d")
    names = pd.DataFrame([(Path(file.filename).stem, file.known_hash) for file in crema_d.published()])
    twice = names[names[1].duplicated(keep=False)]
    assert len(twice) == 6 and set(twice[0]) <= set(crema_d.known_bad)


@pytest.mark.parametrize("name", ["tes", "base", "", "../tess", "TESS"])
def test_unknown_corpus_is_rejected(name: str) -> None:
    """The error lists the known corpora."""
    with pytest.raises(UserError) as error:
        load_corpus(name)
    assert repr(name) in str(error.value) and ", ".join(known_corpora()) in str(error.value)


def test_demo_metadata_match_the_synthesizer() -> None:
    """Speakers, sexes, emotions and file names agree."""
    demo, listed = load_corpus("demo"), demo_speech.utterances()
    assert dict(demo.speaker_sex) == {name: speaker.sex for name, speaker in demo_speech.SPEAKERS.items()}
    assert set(demo.emotions) == set(demo_speech.PROSODIES)
    assert demo.n_recordings == len(set(listed)) == len(listed)
    for utterance in listed:
        sex = demo.speaker_sex[utterance.speaker]
        expected = (f"demo-{utterance.speaker}", sex, utterance.emotion, utterance.text)
        assert parse("demo", f"{utterance.name}.wav") == expected


@pytest.mark.parametrize("name", [name for name in known_corpora() if name != "demo"])
def test_files_listed_by_emobox_are_parsed(name: str, corpora: Path) -> None:
    """Emotions and the number of speakers and recordings agree."""
    listing = corpora / "listings" / f"{name}.csv"
    if not listing.is_file():
        pytest.skip(f"{listing} not found; set SER_CORPORA to a folder that has it")
    table = pd.read_csv(listing)
    recordings = [load_corpus(name).parse(PurePosixPath(file)) for file in table.file]
    assert [file for file, recording in zip(table.file, recordings, strict=True) if recording is None] == []
    emotions = [EMOBOX.get(label, label) for label in table.emobox_label]
    assert [recording.emotion for recording in recordings if recording] == emotions
    assert len({recording.speaker for recording in recordings if recording}) == len(load_corpus(name).speaker_sex)
    assert len(table) == load_corpus(name).n_recordings
