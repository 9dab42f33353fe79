"""Every corpus is facts that keep one contract, and agree with the files as they are published."""

import re
from pathlib import Path, PurePosixPath

import pandas as pd
import pytest

from ser.corpora.base import Corpus, known_corpora, load_corpus
from ser.download import demo_speech
from ser.labels import EMOTIONS, validate_labels
from ser.utils.errors import UserError

ROOT = Path(__file__).parents[2]
EMOBOX = {"fear": "fearful", "surprise": "surprised"}
"""EmoBox's names of emotions where they are not the canonical ones."""
SPEAKERS = {"ravdess": 24, "tess": 2, "crema_d": 91, "savee": 4, "demo": 12}

LISTED = set(SPEAKERS) - {"demo"}


@pytest.fixture(params=known_corpora())
def corpus(request: pytest.FixtureRequest) -> Corpus:
    return load_corpus(request.param)


def parse(corpus: str, name: str) -> tuple[str, ...] | None:
    recording = load_corpus(corpus).parse(PurePosixPath(name))
    return recording and (recording.speaker, recording.sex, recording.emotion, recording.sentence)


def test_the_corpora_there_are() -> None:
    """The corpora are the modules beside the facts, sorted."""
    modules = sorted(path.stem for path in (ROOT / "ser" / "corpora").glob("*.py"))
    assert known_corpora() == [name for name in modules if name not in ("__init__", "base")]
    assert {"demo", "ravdess", "tess"} <= set(known_corpora())


def test_a_corpus_is_called_like_its_module(corpus: Corpus, request: pytest.FixtureRequest) -> None:
    """Folders, speakers and clips get the name under which a user asks for the corpus."""
    assert corpus.name == request.node.callspec.params["corpus"]
    assert re.fullmatch(r"[a-z][a-z0-9_]*", corpus.name)


def test_a_corpus_names_its_source(corpus: Corpus) -> None:
    """Nobody uses recordings without knowing title, licence, whom to cite, and where they are from."""
    assert all((corpus.title, corpus.license_info, corpus.citation))
    assert corpus.url.startswith(("https://", "http://"))
    assert re.fullmatch("[a-z]{2}", corpus.language)


def test_a_corpus_speaks_of_emotions(corpus: Corpus) -> None:
    """Codes mean words; at least two are canonical, so that there is something to tell apart."""
    validate_labels(list(corpus.emotions.values()), where=corpus.name)
    assert len(set(corpus.emotions.values()) & set(EMOTIONS)) >= 2


def test_a_corpus_lists_its_recordings(corpus: Corpus) -> None:
    """Where names are listed, there are as many as clips, each once, and each reads as its own key."""
    names = corpus.expected_files()
    assert len(names) == len(set(names)) == (corpus.n_recordings if names else 0)
    assert bool(names) == (corpus.name in LISTED) or corpus.name not in SPEAKERS
    assert {corpus.recording_key(PurePosixPath(f"a/{name}.wav")) for name in names} == set(names)
    assert all(corpus.parse(PurePosixPath(f"{name}.wav")) for name in names)
    assert set(corpus.known_bad) <= set(names)


def test_a_misspelt_or_nested_name_is_the_same_recording() -> None:
    """Aliases of speakers, and speakers who are folders, lead to the key that is listed."""
    tess, savee = load_corpus("tess"), load_corpus("savee")
    assert tess.recording_key(PurePosixPath("OAF_neutral/OA_bite_neutral.wav")) == "OAF_bite_neutral"
    assert (
        savee.recording_key(PurePosixPath("AudioData/DC/sa07.wav"))
        == savee.recording_key(PurePosixPath("DC_sa07.wav"))
        == "DC_sa07"
    )


def test_a_known_fault_is_a_problem() -> None:
    """A recording that is faulty as published is read, and says why it can be no clip."""
    faulty = load_corpus("crema_d").parse(PurePosixPath("AudioWAV/1076_MTI_SAD_XX.wav"))
    assert faulty is not None
    assert (faulty.emotion, faulty.rejection_reason) == ("sad", "holds no speech, a known fault of the corpus")


def test_a_corpus_knows_its_speakers(corpus: Corpus) -> None:
    """Each speaker has a sex, f or m; an alias is no speaker itself and leads to one."""
    assert set(corpus.speaker_sex.values()) <= {"f", "m"}
    assert len(corpus.speaker_sex) == SPEAKERS.get(corpus.name, len(corpus.speaker_sex)) >= 2
    assert set(corpus.aliases.values()) <= set(corpus.speaker_sex)
    assert not set(corpus.aliases) & set(corpus.speaker_sex)


def test_a_corpus_has_a_grammar_of_names(corpus: Corpus) -> None:
    """The pattern finds speaker and emotion, and the corpus has a clip for every speaker and emotion."""
    assert {"speaker", "emotion"} <= set(re.compile(corpus.pattern).groupindex)
    assert corpus.n_recordings >= len(corpus.speaker_sex) * len(corpus.emotions)


def test_only_the_demo_is_synthetic(corpus: Corpus) -> None:
    """Results of real voices carry no warning that they mean nothing."""
    assert corpus.is_synthetic == (corpus.name == "demo")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ravdess", "03-01-06-01-02-01-12.wav: ravdess-12 f fearful 02"),
        ("ravdess", "Actor_01/03-01-01-01-01-02-01.wav: ravdess-01 m neutral 01"),
        ("ravdess", "a/b c/03-01-08-02-02-02-24.flac: ravdess-24 f surprised 02"),
        ("tess", "YAF_bite_ps.wav: tess-YAF f surprised bite"),
        ("tess", "OAF_Fear/OAF_back_fear.wav: tess-OAF f fearful back"),
        ("tess", "OA_bite_neutral.wav: tess-OAF f neutral bite"),
        ("demo", "07_calm_kids.wav: demo-07 m calm kids"),
    ],
)
def test_a_name_is_read(name: str, expected: str) -> None:
    """Speaker, sex, emotion and sentence come from the file's name, whatever its folder and format."""
    file, _, fields = expected.partition(": ")
    assert parse(name, file) == tuple(fields.split())


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("ravdess", "01-01-06-01-02-01-12.mp4"),  # full audio-video
        ("ravdess", "03-02-06-01-02-01-12.wav"),  # song
        ("ravdess", "03-01-09-01-02-01-12.wav"),  # no such emotion
        ("ravdess", "03-01-06-01-02-01-25.wav"),  # no such actor
        ("ravdess", "03-01-06-01-02-01-00.wav"),
        ("ravdess", "03-01-06-01-02-01-12 (1).wav"),  # downloaded twice
        ("ravdess", "03-01-06-01-02-01.wav"),
        ("tess", "MAF_back_fear.wav"),
        ("tess", "OAF_back_fearful.wav"),
        ("tess", "OAF_back.wav"),
        ("tess", "xOAF_back_fear.wav"),
        ("demo", "13_calm_kids.wav"),
        ("demo", "07_bored_kids.wav"),
        ("demo", "._07_calm_kids.wav"),  # left by macOS
    ],
)
def test_a_foreign_name_is_not_read(name: str, file: str) -> None:
    """A name outside the grammar, or with a speaker or emotion that the corpus does not have, gives nothing."""
    assert parse(name, file) is None


@pytest.mark.parametrize("name", ["tes", "base", "", "../tess", "TESS"])
def test_an_unknown_corpus_is_refused(name: str) -> None:
    """The error names what was asked for, what there is, and what to do."""
    with pytest.raises(UserError) as error:
        load_corpus(name)
    assert (
        f"unknown corpus {name!r} (corpora in params.yaml, or --corpus); known are {', '.join(known_corpora())}."
        in str(error.value)
    )


def test_the_demo_is_what_the_synthesiser_makes() -> None:
    """Facts and synthesiser agree on voices, sexes and emotions, and every clip's name reads back as what was said."""
    facts = load_corpus("demo")
    assert dict(facts.speaker_sex) == {name: speaker.sex for name, speaker in demo_speech.SPEAKERS.items()}
    assert set(facts.emotions) == set(demo_speech.PROSODIES)
    listed = demo_speech.utterances()
    assert facts.n_recordings == len(listed) == len(facts.speaker_sex) * len(facts.emotions) * len(demo_speech.TEXTS)
    for said in listed:
        expected = (f"demo-{said.speaker}", facts.speaker_sex[said.speaker], said.emotion, said.text)
        assert parse("demo", f"{said.name}.wav") == expected


@pytest.mark.parametrize("name", [name for name in known_corpora() if name != "demo"])
def test_every_published_file_is_read(name: str, corpora: Path) -> None:
    """Each file that EmoBox lists reads as the emotion it lists, of as many speakers as there are."""
    listing = corpora / "listings" / f"{name}.csv"
    if not listing.is_file():
        pytest.skip(f"{listing} is not there; set SER_CORPORA to a folder that has it")
    table = pd.read_csv(listing)
    recordings = [load_corpus(name).parse(PurePosixPath(file)) for file in table.file]
    assert [file for file, found in zip(table.file, recordings, strict=True) if found is None] == []
    emotions = [EMOBOX.get(label, label) for label in table.emobox_label]
    assert [found.emotion for found in recordings if found] == emotions
    assert len({found.speaker for found in recordings if found}) == len(load_corpus(name).speaker_sex)
    assert len(table) == load_corpus(name).n_recordings
