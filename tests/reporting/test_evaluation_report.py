"""The report says how good the best model is, how sure that is, and where it is wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ser.audio import io as audio_io
from ser.evaluation import bootstrap, robustness, significance
from ser.reporting import evaluation_report, evaluation_tables, evaluation_text
from ser.utils import provenance
from tests.helpers import factories, fake_predictions, signals
from tests.reporting.test_html_page import Outline, Page

EVIL = "<script>alert(1)</script>$ü_"
CLASSES = ["neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"]
PROTOCOL = "ravdess, tested on speakers who are not in training"
NOTE = "The voices of the demo corpus are synthetic: these numbers mean nothing about people."


def write(folder: Path, models: Mapping[str, pd.DataFrame], **changed: Any) -> Page:
    """Write the page of models' test rows, with what the evaluation makes of them."""
    classes = [column.removeprefix("prob_") for column in next(iter(models.values())) if column.startswith("prob_")]
    fake_predictions.draw_confusion(models, folder / "confusion", classes=classes)
    known = {
        "tables": models,
        "ranking": fake_predictions.leaderboard(models),
        "pairs": significance.compare(models, resamples=200, seed=1),
        "leakage": None,
        "protocol": PROTOCOL,
        "caption": "ravdess",
        "notes": [],
        "clips": [],
        "humans": pd.DataFrame(),
        "robustness": {
            model: robustness.evaluate_robustness(table, resamples=200, seed=1) for model, table in models.items()
        },
    }
    evaluation_report.write(
        folder / "report.html",
        folder / "report",
        confusion=folder / "confusion",
        settings=factories.settings(evaluate={"n_resamples": 200}).evaluate,
        seed=1,
        all_settings=factories.settings().model_dump(mode="json"),
        **(known | changed),
    )
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def ravdess(actors: Sequence[int]) -> pd.DataFrame:
    """List a third of the clips of some actors, so that it takes less time."""
    clips = factories.ravdess(actors)
    return clips[clips.groupby("speaker").cumcount() % 3 == 0].reset_index(drop=True)


def write_audio(path: Path, clips: pd.DataFrame, *, seconds: float = 0.1) -> Path:
    sound = audio_io.to_flac(signals.sine(440, seconds=seconds), rate=16000)
    pq.write_table(pa.table({"clip_id": clips.clip_id.to_list(), "audio": [sound] * len(clips)}), path)
    return path


@dataclass
class Full:
    """A page with everything on it, where it is, and the test rows behind it."""

    page: Page
    folder: Path
    models: Mapping[str, pd.DataFrame]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Full:
    """Write the page of two models, two seeds and four folds of eight speakers, with names that try to be HTML."""
    folder = tmp_path_factory.mktemp("full")
    clips = ravdess(range(1, 9))
    clips["emotion"] = clips.emotion.where(clips.index % 7 > 0, "bored")
    for column in ("clip_id", "original_id", "speaker", "sentence"):
        clips[column] = clips[column] + EVIL
    look: dict[str, Any] = {"classes": [*CLASSES, "bored"], "seeds": (1, 2), "folds": 4}
    svm = fake_predictions.scaled(fake_predictions.predictions(clips, skill=2.5, sure=2, **look), 1.5)
    models = {"knn": fake_predictions.predictions(clips, skill=0.3, never="disgust", **look), "svm": svm}
    noisy = svm[::2].assign(augmentation="robustness_noise_0db", clip_id=svm.clip_id + "+robustness_noise_0db.1")
    corrupted = {
        model: robustness.evaluate_robustness(pd.concat([table, noisy]), resamples=200, seed=1)
        for model, table in models.items()
    }
    others = [noisy.assign(predicted="bored"), svm.assign(split="val", predicted="bored")]
    audio_file = write_audio(folder / "ravdess.parquet", clips, seconds=5)
    given = models | {"svm": pd.concat([svm, *others], ignore_index=True)}
    page = write(
        folder,
        models,
        tables=given,
        leakage=fake_predictions.leakage(),
        notes=[NOTE],
        clips=[audio_file],
        robustness=corrupted,
    )
    return Full(page, folder, models)


def row(page: Page, name: str, *, column: int = 0) -> str:
    """Read a cell of the first row of that name."""
    cells = page.html.split(f'<th scope="row">{name}</th>')[1].split("</tr>")[0]
    return Outline(cells.split("<td")[1 + column].partition(">")[2]).text


def test_the_page_begins_with_the_score_and_how_sure_it_is(full: Full) -> None:
    """The first sentences name the best model, its UAR with the limits, over whom, chance, and the protocol."""
    found = bootstrap.bootstrap(full.models["svm"], ["uar"], resamples=200, seed=1).loc["uar"]
    limits = f"{found.value:.3f} (95 % CI over 8 speakers: {found.ci_low:.3f} to {found.ci_high:.3f})"
    assert f"svm has the highest UAR, {limits}; chance level 0.111." in full.page.text
    said = f"R{PROTOCOL[1:]}. 160 test clips, 9 emotions, mean of 2 seeds, 4 folds together."
    assert said in full.page.text


def test_what_disturbs_the_model_is_shown(full: Full) -> None:
    """A section has a row an alteration, with the change of UAR and the share of the same answers, of every model."""
    section = full.page.text.partition("Robustness: svm")[2]
    assert "noise, 0 dB" in section
    assert row(full.page, "pink noise, 0 dB SNR", column=4) == "100%"
    assert row(full.page, "pink noise, 0 dB SNR", column=1) == "+0.000"
    assert (full.folder / "report" / "robustness.png").stat().st_size > 0


def test_without_altered_clips_there_is_no_section(tmp_path: Path) -> None:
    """A run without copies for testing has nothing to say of them, and no empty table."""
    page = write(tmp_path, {"svm": fake_predictions.predictions(ravdess(range(1, 3)), skill=2, classes=CLASSES)})
    assert "Robustness: svm" not in page.text


def test_the_leak_is_said_before_the_numbers(full: Full) -> None:
    """What a random split would have said stands beside what unseen speakers say, at the top."""
    top = full.page.text.partition("Leaderboard")[0]
    assert "A random forest has a UAR of 0.93 on random clips and of 0.58 on unseen speakers" in top
    assert "synthetic. These numbers mean nothing about people." in top


def test_copies_and_other_parts_are_left_aside(full: Full) -> None:
    """Corrupted copies and validation clips count in no number of the page."""
    found = evaluation_tables.evaluate_by_class(full.models["svm"], resamples=200, seed=1)
    assert row(full.page, "sad", column=0) == str(found.clips["sad"])
    assert row(full.page, "sad", column=1) == f"{found.recall['sad']:.3f}"


def test_the_page_says_how_it_is_made_again(full: Full) -> None:
    """The last section has the commands to type and the settings, in the words of the model card."""
    last = full.page.text.rpartition("Reproduce this result")[2]
    said = f"{provenance.IDENTIFIED} {provenance.commands('reports/evaluation.html')}"
    assert " ".join(said.split()) in last
    assert "protocol: speaker_independent" in last


def test_names_are_text(full: Full) -> None:
    """A clip's, a speaker's or a sentence's name is shown as it is and does nothing."""
    assert not full.page.outline.all("script")
    for clip_id in full.models["svm"].clip_id[:1], full.models["svm"].sentence[:1]:
        assert clip_id.iloc[0].partition("<")[2] in full.page.text


def test_pictures_say_their_numbers_and_all_are_there(full: Full) -> None:
    """Who does not see a picture hears its key number; ids are found, and nothing is fetched."""
    images = full.page.outline.all("img")
    assert len(images) == 1 + 2 * 5 + 1 + 1
    assert all(any(c.isdigit() for c in str(image["alt"])) for image in images)
    assert all(str(a["src"]).startswith("data:") for _, a in full.page.outline.tags if "src" in a)
    anchors = {str(a["href"])[1:] for a in full.page.outline.all("a")}
    assert anchors <= {str(a["id"]) for _, a in full.page.outline.tags if "id" in a}
    assert {"variation", "leakage", "pairwise"} <= anchors


def test_mistakes_are_played_once_each_and_not_for_long(full: Full) -> None:
    """A clip that both seeds got wrong is listed once; long clips are cut, and the page stays below 4 MB."""
    wrong = evaluation_tables.most_confident_errors(full.models["svm"], n=12)
    assert wrong.clip_id.is_unique
    labels = [str(player["aria-label"]) for player in full.page.outline.all("audio")]
    assert len(labels) == len(wrong) == 12
    assert labels[0] == f"1. {wrong.emotion[0]} → {wrong.predicted[0]}, first 4 s"
    assert len(full.page.html) < 4e6


def test_a_class_that_is_never_answered_is_named(full: Full) -> None:
    """A model that never says an emotion has a recall of 0 and no precision, and the page says so."""
    assert "Never predicted: disgust." in full.page.text
    found = evaluation_tables.evaluate_by_class(full.models["knn"], resamples=200, seed=1).loc["disgust"]
    assert (found.recall, pd.isna(found.precision)) == (0, True)


def test_the_same_tables_give_the_same_bytes(tmp_path: Path) -> None:
    """Nothing but the tables decides the page and its pictures, and no old picture stays."""
    model = {"svm": fake_predictions.predictions(ravdess([1]), skill=1, classes=CLASSES)}
    once = write(tmp_path / "1", model)
    (tmp_path / "2" / "report").mkdir(parents=True)
    (tmp_path / "2" / "report" / "old.png").touch()
    assert write(tmp_path / "2", model).html == once.html
    pictures = [{path.name: path.read_bytes() for path in (tmp_path / n / "report").iterdir()} for n in "12"]
    assert pictures[0] == pictures[1]


def test_one_test_speaker_has_no_interval(tmp_path: Path) -> None:
    """With one speaker and one model the page says what cannot be said, and shows dashes, not "nan"."""
    clips = ravdess([1]).assign(sex="", intensity="", sentence="")
    rows = fake_predictions.predictions(clips, skill=1, classes=CLASSES).drop(columns="sentence").assign(intensity=None)
    page = write(tmp_path, {"svm": rows}, clips=[tmp_path / "nowhere.parquet"])
    assert "(no confidence interval: one test speaker); chance level 0.125." in page.text
    assert "Scores apply to this speaker only." in page.text
    assert "sex, intensity, sentence" in page.text
    assert "Clips of ravdess cannot be played" in page.text
    assert "nan" not in page.text.lower().split()
    assert "Pairwise significance tests" not in page.text
    assert not page.outline.all("audio")


def test_few_speakers_show_no_difference(tmp_path: Path) -> None:
    """Over three speakers limits are a range, however far apart the models are."""
    clips = ravdess([1, 2, 3])
    models = {
        name: fake_predictions.predictions(clips, skill=skill, classes=CLASSES)
        for name, skill in (("a", 4), ("b", 0.1))
    }
    page = write(tmp_path, models)
    assert "a range over 3 speakers" in page.text
    assert "95 % CI over" not in page.text
    assert "Only 3 test speakers" in page.text
    assert "coverage is at most 75 %" in page.text
    assert row(page, "a vs. b") == "not testable: too few speakers"
    assert row(page, "b", column=3) == "not testable"


@pytest.mark.parametrize(("corpora", "named"), [([None] * 4, False), ([None, None, "tess", "tess"], True)])
def test_leaks_name_corpora_where_there_are_several(corpora: list[str | None], named: bool) -> None:
    """A column that would be empty, as of one corpus, is left out."""
    table = evaluation_tables.leakage_table(
        fake_predictions.leakage().assign(corpus=corpora), evaluation_text.LEAKAGE_CHECKS
    )
    assert ("corpus" in [cell.text for cell in table.columns]) == named
    assert {len(cells) for _, cells in table.rows} == {len(table.columns)}


def test_unknown_speakers_are_not_one_speaker(tmp_path: Path) -> None:
    """Where nobody knows who speaks, the page counts no speakers, too few or otherwise, and says why."""
    clips = ravdess([1]).assign(speaker="ravdess-")
    models = {
        name: fake_predictions.predictions(clips, skill=skill, classes=CLASSES)
        for name, skill in (("a", 4), ("b", 0.1))
    }
    probe = fake_predictions.leakage().query("probe != 'leak_speaker'").assign(speakers=0)
    page = write(tmp_path, models, leakage=probe)
    assert "no confidence interval: speaker identity unknown" in page.text
    assert "Differences between models are not testable: speaker identity unknown." in page.text
    assert row(page, "a vs. b") == "not testable: speaker identity unknown"
    assert "at least two known speakers" in page.text
    assert row(page, "random split: seen speakers", column=4) == "unknown"
    for wrong in (
        "one test speaker",
        "too few",
        "over the speakers",
        "in one that does not",
        "1 speaker",
    ):
        assert wrong not in page.text.lower()
    assert "low" not in page.text.partition("Pairwise significance tests")[0].split()


def test_some_unknown_speakers(tmp_path: Path) -> None:
    """Where speakers of some clips are known, these are compared, and no limits are given of all."""
    clips = ravdess(range(1, 9))
    clips["speaker"] = clips.speaker.replace("ravdess-01", "ravdess-")
    models = {
        name: fake_predictions.predictions(clips, skill=skill, classes=CLASSES)
        for name, skill in (("a", 4), ("b", 0.1))
    }
    page = write(tmp_path, models)
    assert "(no confidence interval: speaker identity unknown for some clips)" in page.text
    assert "Speaker identity unknown for some clips. Lowest per-speaker UAR" in page.text
    assert row(page, "a vs. b") == "not testable: speaker identity unknown for some clips"


def test_an_answer_that_is_always_right(tmp_path: Path) -> None:
    """Without mistakes there is nothing to confuse and nothing to play; a task that cannot be judged says why."""
    clips = ravdess([1, 2])
    clips = clips[clips.emotion.isin(["neutral", "calm"])].reset_index(drop=True)
    page = write(tmp_path, {"svm": fake_predictions.predictions(clips, skill=99, classes=["neutral", "calm"])})
    assert "No errors" in page.text
    assert "binary task: positive is happy, calm" in page.text


def pairs(**columns: Any) -> pd.DataFrame:
    known = {"a": "svm", "b": "knn", "only_a": 9, "only_b": 1, "p": 0.01, "p_holm": 0.01, "difference": 0.1}
    return pd.DataFrame([known | {"ci_low": 0.05, "ci_high": 0.2, "speakers": 24} | columns])


def board(*, equal: bool = False, speakers: int = 24) -> pd.DataFrame:
    return pd.DataFrame({"model": ["svm", "knn"], "not_significantly_worse": [True, equal], "speakers": speakers})


@pytest.mark.parametrize(
    ("pair", "judgement", "verdict"),
    [
        (pairs(), board(), "significant"),
        (
            pairs(a="knn", b="svm", only_a=1, only_b=9, difference=-0.1, ci_low=-0.2, ci_high=-0.05),
            board(),
            "significant",
        ),
        (pairs(only_a=1, only_b=9), board(), "not significant"),  # more clips for one, a higher UAR for the other
        (pairs(p_holm=0.06), board(), "not significant"),
        (pairs(ci_low=-0.01), board(), "not significant"),
        (pairs(), board(equal=True), "not significant"),
        (pairs(ci_low=float("nan"), ci_high=float("nan")), board(), "not significant"),
        (pairs(), board(speakers=5), "not testable: too few speakers"),
    ],
)
def test_a_difference_is_real_if_clips_and_speakers_say_so(
    pair: pd.DataFrame, judgement: pd.DataFrame, verdict: str
) -> None:
    """McNemar's test, the interval over enough speakers and the tie with the best must all agree."""
    assert evaluation_tables.significance(pair, judgement) == [verdict]


def test_the_better_of_two_is_named_first() -> None:
    """A pair that was subtracted the other way round is turned, with its limits and its clips."""
    turned = evaluation_tables.pairwise_tests_table(
        pairs(only_a=1, only_b=9, difference=-0.1, ci_low=-0.2, ci_high=-0.05), board()
    )
    (name, cells), *_ = turned.rows
    assert name == "knn vs. svm"
    assert [cell.text for cell in cells] == ["significant", "+0.100", "+0.050", "+0.200", "9", "1", "0.010"]


def test_slices_of_length_have_the_limits_of_their_own_clips() -> None:
    """Limits stand beside the bin that they are of, also where a bin is empty."""
    rows = fake_predictions.predictions(ravdess(range(1, 9)), skill=1, classes=CLASSES)
    rows["duration"] = [0.5 if n % 3 else 3.2 for n in range(len(rows))]
    found = evaluation_tables.evaluate_subgroups(rows, "duration", resamples=200, seed=1).set_index("value")
    assert list(found.index) == ["0 to 1 s", "3 to 4 s"]
    own = bootstrap.bootstrap(rows[rows.duration > 3], ["uar"], resamples=200, seed=1).loc["uar"]
    assert (found.uar["3 to 4 s"], found.low["3 to 4 s"]) == (pytest.approx(own.value), own.ci_low)


def test_many_values_are_cut_to_the_lowest_and_the_highest() -> None:
    """Two hundred sentences are not all listed, and the caption says which are."""
    found = pd.DataFrame({"value": [f"w{n:03}" for n in range(200)], "uar": [n / 200 for n in range(200)]})
    table = evaluation_tables.subgroup_table(
        found.assign(clips=1, speakers=1, classes=8, accuracy=1.0), name="sentence", n_classes=8
    )
    assert (len(table.rows), table.rows[0][0], table.rows[-1][0]) == (30, "w000", "w199")
    assert "the 15 lowest and the 15 highest of 200" in table.caption


def test_a_model_at_chance_is_said_to_be() -> None:
    """A limit below what guessing gives means that nothing was shown."""
    table = board().assign(uar=0.3, uar_ci_low=[0.1, 0.1])
    assert [note.title for note in evaluation_text.warnings(table, [], classes=8, unknown="")] == [
        "Not significantly better than chance"
    ]
