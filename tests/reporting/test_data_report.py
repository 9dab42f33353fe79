"""The data report describes the corpora of a run, their preprocessing and exclusions."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ser.audio import io as audio_io
from ser.reporting import data_examples, data_report, data_tables, players
from ser.reporting.data_tables import CorpusTables
from tests.helpers import factories, signals
from tests.reporting.test_html_page import Page

EVIL = "<script>alert(1)</script>$ü_"
ROW = {"language": "en", "intensity": "", "sentence": "01", "audio_sha256": "", "augmentation": ""}
METADATA = {"license_info": "CC0", "citation": "Nobody (1900)", "url": "https://example.org/", "is_synthetic": False}


def corpus(
    folder: Path, name: str, emotions: Sequence[str], *, speakers: Mapping[str, str], **metadata: Any
) -> CorpusTables:
    """Write a recording of 0.5 s for each speaker (id -> sex) and emotion, and its clip."""
    keys = [(speaker, emotion) for speaker in speakers for emotion in emotions]
    files = [f"s{speaker}/{emotion}{EVIL.replace('/', '')}.wav" for speaker, emotion in keys]
    signals.write_recordings(folder / "raw" / name, files)
    sound = audio_io.to_flac(signals.sine(440, seconds=0.25), rate=16000)
    rows = [
        ROW
        | {"clip_id": f"{name}/{file.removesuffix('.wav')}", "corpus": name, "speaker": f"{name}-{speaker}"}
        | {"sex": speakers[speaker], "emotion": emotion, "n_samples": 4000, "sample_rate": 16000, "audio": sound}
        for (speaker, emotion), file in zip(keys, files, strict=True)
    ]
    clips = pd.DataFrame(rows).sort_values("clip_id", ignore_index=True)
    clips = clips.assign(original_id=clips.clip_id, recording_id=clips.clip_id)
    pq.write_table(pa.Table.from_pandas(clips), folder / f"{name}.parquet")
    return CorpusTables(
        name=name,
        metadata={"title": f"Corpus {name}"} | METADATA | metadata,
        folder=folder / "raw" / name,
        clips=folder / f"{name}.parquet",
        recordings=pd.DataFrame({"file": files, "emotion": [emotion for _, emotion in keys]}),
        audio_stats=audio_stats(files),
        rejected=table_of({}, "file"),
    )


def audio_stats(files: Sequence[str]) -> pd.DataFrame:
    before = {"sample_rate": 16000, "channels": 1, "duration": 0.5, "level_db": -9.0, "peak_db": -6.0}
    return pd.DataFrame({"file": files} | before | {"segments": 1, "clip_duration": 0.25, "clip_level_db": -23.0})


def table_of(reasons: Mapping[str, str], column: str) -> pd.DataFrame:
    return pd.DataFrame({column: list(reasons), "reason": list(reasons.values())}, dtype=object)


def write(folder: Path, *sources: CorpusTables, excluded: Mapping[str, str] | None = None, **labels: str) -> Page:
    """Write the report of all clips of the recordings that are not rejected."""
    clips = pd.concat([pd.read_parquet(source.clips)[: len(source.audio_stats)] for source in sources])
    clips = clips.drop(columns="audio").reset_index(drop=True)
    settings = factories.settings()
    data_report.write(
        folder / "data.html",
        folder / "data",
        sources=sources,
        clips=clips,
        excluded=table_of(excluded or {}, "clip_id"),
        excluded_file="data/excluded.csv",
        labels=labels or {emotion: emotion for emotion in clips.emotion},
        settings=settings.preprocess,
        features=settings.features,
    )
    return Page((folder / "data.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Page, Path]:
    """Write the report of two corpora; one has unknown speakers, no license and another emotion."""
    folder = tmp_path_factory.mktemp("two")
    short = {f"bad {i:03}{EVIL}.wav": f"too short: 0.{i:03} s, at least 0.3 s are needed" for i in range(120)}
    one = corpus(folder, "one", ["neutral", "sad"], speakers={"a": "f", "b": "m"})
    own = corpus(folder, "own", ["neutral", "bored"], speakers={"": ""}, license_info="", citation="", url="")
    own = replace(own, rejected=table_of(short | {"none.wav": "the file is empty (0 bytes)"}, "file"))
    own = replace(own, import_notes=[f"own: songs: 1012 files left out {EVIL}"])
    clip_ids = pd.read_parquet(one.clips).clip_id
    excluded = {clip_ids[n]: f"the same recording as own/x{n}" for n in (0, 1)}
    return write(folder, one, own, excluded=excluded), folder


def test_report_has_counts_warnings_and_exclusions(two: tuple[Page, Path]) -> None:
    """Names are escaped, and the list of exclusions is truncated."""
    texts = [
        "6 clips by 2 known speakers, 0.0 minutes, from 2 corpora: one, own.",
        "This run uses 4 of them, in 3 emotions; 2 are excluded (filtered). 121 recordings are excluded (invalid).",
        "own: scores are not speaker-independent",
        "No bored in one; no sad in own.",
        "71 more are listed in data/rejected/own.csv.",
        "bad 049",
        f"own: songs: 1012 files left out {EVIL}",
        "the same recording as own/x1",
        EVIL,
    ]
    assert [text for text in texts if text not in two[0].text] == []
    assert "bad 050" not in two[0].text
    assert not two[0].all("script")


def test_tables_of_the_report(two: tuple[Page, Path]) -> None:
    """Missing emotions are marked, and reasons that differ only in a number or a name are counted together."""
    html = two[0].html
    assert html.count('class="number marked">none</td>') == 2
    for reason, count in (("too short", 120), ("the file is empty (0 bytes)", 1), ("the same recording as …", 2)):
        assert f'<th scope="row">{reason}</th><td class="number">{count}</td>' in html
    assert html.count("<dd>unknown</dd>") == 2  # custom recordings have no license and no citation
    assert [a["href"] for a in two[0].all("a") if "://" in str(a["href"])] == ["https://example.org/"]


def test_figures_and_players_have_labels(two: tuple[Page, Path]) -> None:
    """All figures are embedded and written as PNG."""
    page, folder = two
    images, players = page.all("img"), page.all("audio")
    assert all([*(image["alt"] for image in images), *(player["aria-label"] for player in players)])
    assert len(images) == len(list((folder / "data").glob("*.png"))) == 4 + 3 + 2
    assert len(players) == 2 * (3 + 2)


def test_same_tables_give_the_same_bytes(tmp_path: Path) -> None:
    """The order of the corpora does not matter, and figures of an earlier report are removed."""
    corpora = [corpus(tmp_path, name, ["sad"], speakers={"a": "f"}) for name in ("one", "two")]
    first = write(tmp_path / "1", *corpora)
    (tmp_path / "2" / "data").mkdir(parents=True)
    (tmp_path / "2" / "data" / "old.png").touch()
    assert write(tmp_path / "2", *reversed(corpora)).html == first.html
    figures = [{path.name: path.read_bytes() for path in (tmp_path / n / "data").iterdir()} for n in "12"]
    assert figures[0] == figures[1]


def test_corpus_without_valid_recordings(tmp_path: Path) -> None:
    """The report still lists the reasons and the warnings."""
    source = corpus(tmp_path, "one", ["sad"], speakers={"a": "f"}, is_synthetic=True)
    reasons = dict.fromkeys(source.audio_stats.file, "the file is empty (0 bytes)")
    source = replace(source, audio_stats=audio_stats([]), rejected=table_of(reasons, "file"))
    page = write(tmp_path, source, sad="sad")
    assert "0 clips by 0 speakers" in page.text
    assert "Synthetic speech" in page.text
    assert '<th scope="row">the file is empty (0 bytes)</th><td class="number">1</td>' in page.html


def test_merged_and_excluded_emotions(tmp_path: Path) -> None:
    """Clips are counted by class of the run; an emotion without a class is excluded."""
    page = write(
        tmp_path,
        corpus(tmp_path, "one", ["calm", "neutral", "bored"], speakers={"a": "f"}),
        calm="neutral",
        neutral="neutral",
    )
    assert '<th scope="row">one</th><td class="number">2</td><td class="number">2</td>' in page.html
    assert "Merged emotions: calm → neutral (1 clip)." in page.text
    assert data_tables.NO_CLASS in page.text


def test_examples_differ_and_do_not_depend_on_the_order_of_rows() -> None:
    clips = factories.ravdess()
    selected = data_examples.select_examples(clips)
    assert (selected.speaker.nunique(), selected.emotion.nunique(), selected.sex.nunique()) == (3, 3, 2)
    shuffled = clips.sample(frac=1, random_state=1)
    assert list(data_examples.select_examples(shuffled).clip_id) == list(selected.clip_id)
    assert len(data_examples.select_examples(clips[:2])) == 2


@pytest.mark.parametrize(("rate", "seconds"), [(16000, 10), (48000, 5), (96000, 5)])
def test_long_recordings_are_truncated(rate: int, seconds: float) -> None:
    recording = signals.encode(signals.sine(99, seconds=12, rate=rate), rate=rate)
    signal, played, is_complete = players.decode_beginning(recording, **data_examples.LIMITS)
    assert (played, is_complete) == (min(rate, 48000), False)
    assert len(signal) / played == pytest.approx(seconds, abs=0.01)
