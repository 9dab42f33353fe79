"""The page of a run's data says what is there, what is missing, and what was done to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ser.audio import io as audio_io
from ser.reporting import data_examples, data_report, data_tables
from ser.reporting.data_tables import CorpusTables
from tests.helpers import factories, signals
from tests.reporting.test_html_page import Page

EVIL = "<script>alert(1)</script>$ü_"
ROW = {"language": "en", "intensity": "", "sentence": "01", "audio_sha256": "", "augmentation": ""}


@dataclass
class Made:
    """A corpus made up: its source and its clips."""

    source: CorpusTables
    clips: pd.DataFrame


def corpus(
    folder: Path, name: str, emotions: Sequence[str], *, speakers: Mapping[str, str], n: int = 1, **facts: Any
) -> Made:
    """Write `n` recordings of half a second for each speaker (id -> sex) and emotion, and clips of them."""
    keys = [(s, e, i) for s in speakers for e in emotions for i in range(n)]
    files = [f"s{speaker}/{emotion}{i}{EVIL.replace('/', '')}.wav" for speaker, emotion, i in keys]
    signals.write_recordings(folder / "raw" / name, files)
    sound = audio_io.to_flac(signals.sine(440, seconds=0.25), rate=16000)
    rows = [
        ROW
        | {"clip_id": f"{name}/{file.removesuffix('.wav')}", "corpus": name, "speaker": f"{name}-{speaker}"}
        | {"sex": speakers[speaker], "emotion": emotion, "n_samples": 4000, "sample_rate": 16000, "audio": sound}
        for (speaker, emotion, _), file in zip(keys, files, strict=True)
    ]
    clips = pd.DataFrame(rows).assign(original_id=lambda table: table.clip_id).sort_values("clip_id", ignore_index=True)
    pq.write_table(pa.Table.from_pandas(clips), folder / f"{name}.parquet")
    words = {
        "title": f"Corpus {name}",
        "license_info": "CC0",
        "citation": "Nobody (1900)",
        "url": "https://example.org/",
    }
    source = CorpusTables(
        **({"name": name, **words, "is_synthetic": False} | facts),
        folder=folder / "raw" / name,
        clips=folder / f"{name}.parquet",
        recordings=pd.DataFrame({"file": files, "emotion": [emotion for _, emotion, _ in keys]}),
        measured=measured(files),
        unusable=unusable({}),
    )
    return Made(source, clips.drop(columns="audio"))


def measured(files: Sequence[str]) -> pd.DataFrame:
    before = {"sample_rate": 16000, "channels": 1, "duration": 0.5, "level_db": -9.0, "peak_db": -6.0}
    return pd.DataFrame({"file": files} | before | {"clip_duration": 0.25, "clip_level_db": -23.0})


def unusable(reasons: Mapping[str, str]) -> pd.DataFrame:
    return pd.DataFrame({"file": list(reasons), "reason": list(reasons.values())}, dtype=object)


def write(folder: Path, *made: Made, left_out: Mapping[str, str] | None = None, **labels: str) -> Page:
    clips = pd.concat([one.clips for one in made], ignore_index=True)
    settings = factories.settings()
    data_report.write(
        folder / "corpora.html",
        folder / "corpora",
        sources=[one.source for one in made],
        clips=clips,
        left_out=pd.DataFrame(
            {"clip_id": list(left_out or {}), "reason": list((left_out or {}).values())}, dtype=object
        ),
        left_out_file="data/excluded.csv",
        labels=labels or {emotion: emotion for emotion in clips.emotion},
        settings=settings.preprocess,
        features=settings.features,
    )
    return Page((folder / "corpora.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Page, Path]:
    """Write the page of two corpora, one of which has no speakers and an emotion of its own."""
    folder = tmp_path_factory.mktemp("two")
    many = {f"bad {i:03}{EVIL}.wav": f"too short: 0.{i:03} s, at least 0.3 s are needed" for i in range(120)}
    one = corpus(folder, "one", ["neutral", "sad"], speakers={"a": "f", "b": "m"})
    own = corpus(folder, "own", ["neutral", "bored"], speakers={"": ""}, license_info="", citation="", url="")
    own.source = replace(own.source, unusable=unusable(many | {"none.wav": "the file is empty (0 bytes)"}))
    left = {one.clips.clip_id[0]: "the same recording as own/x1", one.clips.clip_id[1]: "the same recording as own/x2"}
    return write(folder, one, own, left_out=left), folder


def test_the_page_begins_with_what_there_is(two: tuple[Page, Path]) -> None:
    """The first sentences count clips, speakers, time and corpora, and what is not used."""
    text = two[0].text
    assert "6 clips by 2 known speakers, 0.0 minutes, from 2 corpora: one, own." in text
    assert "This run uses 4 of them, in 3 emotions; 2 are left out. 121 recordings could not be used." in text


def test_names_are_text(two: tuple[Page, Path]) -> None:
    """A file's name is shown as it is and does nothing."""
    page, _ = two
    assert not page.outline.all("script")
    assert EVIL in page.text


def test_unknown_speakers_are_said(two: tuple[Page, Path]) -> None:
    """Where nobody knows who speaks, no score is of unseen speakers."""
    assert "own: speakers unknown: scores on this corpus are not speaker-independent" in two[0].text


def test_gaps_are_marked_and_said(two: tuple[Page, Path]) -> None:
    """An emotion that one corpus lacks is marked in the matrix, with a word and not by colour alone."""
    page, _ = two
    assert page.html.count('class="number marked">none</td>') == 2
    assert "one lacks bored; own lacks sad." in page.text


def test_unusable_recordings_are_counted_and_the_first_listed(two: tuple[Page, Path]) -> None:
    """Reasons that differ in a number alone are one; fifty are named, and where the rest is."""
    page, _ = two
    assert '<th scope="row">too short</th><td class="number">120</td>' in page.html
    assert '<th scope="row">the file is empty (0 bytes)</th><td class="number">1</td>' in page.html
    assert "71 more are in data/rejected/own.csv." in page.text
    assert ("bad 049" in page.text, "bad 050" in page.text) == (True, False)


def test_clips_left_out_are_counted(two: tuple[Page, Path]) -> None:
    """Duplicates of different clips are one reason, and each is listed with its own."""
    page, _ = two
    assert '<th scope="row">the same recording as …</th><td class="number">2</td>' in page.html
    assert "the same recording as own/x1" in page.text


def test_every_picture_is_described_and_every_player_named(two: tuple[Page, Path]) -> None:
    """Who does not see a picture reads what it shows; the PNGs are also files."""
    page, folder = two
    images, players = page.outline.all("img"), page.outline.all("audio")
    assert all(image["alt"] for image in images)
    assert all(player["aria-label"] for player in players)
    assert len(images) == len(list((folder / "corpora").glob("*.png"))) == 4 + 3 + 2
    assert len(players) == 2 * (3 + 2)


def test_licences_that_nobody_said(two: tuple[Page, Path]) -> None:
    """A user's own recordings have no licence and no address, and the page does not make them up."""
    assert two[0].text.count("not said") == 2
    assert [a["href"] for a in two[0].outline.all("a") if "://" in str(a["href"])] == ["https://example.org/"]


def test_the_same_tables_give_the_same_bytes(tmp_path: Path) -> None:
    """Nothing but the tables decides the page and its pictures, not even the order of corpora; no old one stays."""
    made = [corpus(tmp_path, name, ["sad"], speakers={"a": "f"}) for name in ("one", "two")]
    once = write(tmp_path / "1", *made)
    (tmp_path / "2" / "corpora").mkdir(parents=True)
    (tmp_path / "2" / "corpora" / "old.png").touch()
    assert write(tmp_path / "2", *reversed(made)).html == once.html
    pictures = [{path.name: path.read_bytes() for path in (tmp_path / n / "corpora").iterdir()} for n in "12"]
    assert pictures[0] == pictures[1]


def test_a_corpus_of_which_nothing_is_usable(tmp_path: Path) -> None:
    """Without a single clip the page still says why."""
    made = corpus(tmp_path, "one", ["sad"], speakers={"a": "f"})
    reasons = dict.fromkeys(made.source.measured.file, "the file is empty (0 bytes)")
    nothing = replace(made.source, measured=measured([]), unusable=unusable(reasons), is_synthetic=True)
    page = write(tmp_path, Made(nothing, made.clips.iloc[:0]), sad="sad")
    assert "0 clips by 0 speakers" in page.text
    assert "mean nothing about people" in page.text
    assert '<th scope="row">the file is empty (0 bytes)</th><td class="number">1</td>' in page.html


def test_merged_emotions_and_those_that_are_no_class(tmp_path: Path) -> None:
    """The matrix counts what the models see; an emotion that is no class is left out with that reason."""
    made = corpus(tmp_path, "one", ["calm", "neutral", "bored"], speakers={"a": "f"})
    page = write(tmp_path, made, calm="neutral", neutral="neutral")
    assert '<th scope="row">one</th><td class="number">2</td><td class="number">2</td>' in page.html
    assert "Counted as another emotion: calm as neutral." in page.text
    assert data_tables.NO_CLASS in page.text


def test_examples_differ_and_do_not_depend_on_the_order_of_rows() -> None:
    """Three clips of a corpus show three speakers and emotions and both sexes, the same ones in every run."""
    clips = factories.ravdess()
    chosen = data_examples.select_examples(clips)
    assert (chosen.speaker.nunique(), chosen.emotion.nunique(), chosen.sex.nunique()) == (3, 3, 2)
    shuffled = clips.sample(frac=1, random_state=1)
    assert list(data_examples.select_examples(shuffled).clip_id) == list(chosen.clip_id)
    assert len(data_examples.select_examples(clips[:2])) == 2


def test_a_long_recording_is_cut_for_its_player(tmp_path: Path) -> None:
    """Ten seconds are enough, fewer at high rates, and nothing is played above 48 kHz."""
    for rate, seconds in ((16000, 10), (48000, 5), (96000, 5)):
        (tmp_path / "long.wav").write_bytes(signals.encode(signals.sine(99, seconds=12, rate=rate), rate=rate))
        signal, played = data_examples._shortened(tmp_path / "long.wav")
        assert (played, len(signal) / played) == (min(rate, 48000), pytest.approx(seconds, abs=0.01))
