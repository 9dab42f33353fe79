"""The evaluation report contains the results of the models, with intervals, subgroups, errors and warnings."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ser.audio import io as audio_io
from ser.evaluation import bootstrap, robustness, significance
from ser.evaluation.evaluate import EvaluationResult
from ser.reporting import evaluation_report, evaluation_tables, evaluation_text
from ser.utils import provenance
from tests.helpers import factories, fake_predictions, signals
from tests.reporting.test_html_page import Page

EVIL = "<script>alert(1)</script>$ü_"
CLASSES = ["neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"]
LEAKAGE = fake_predictions.leakage()


def write(
    folder: Path,
    models: Mapping[str, pd.DataFrame],
    *,
    corrupted: pd.DataFrame | None = None,
    leakage: pd.DataFrame = LEAKAGE,
    notes: Sequence[str] = (),
    clips: Sequence[Path] = (),
    **changed: Any,
) -> Page:
    """Write the report of models' test rows; `changed` are attributes of the result."""
    result = EvaluationResult(
        predictions=models,
        metrics={},
        leaderboard=fake_predictions.leaderboard(models),
        pairs=significance.compare(models, resamples=200, seed=1),
        human_comparison=pd.DataFrame(),
        robustness={
            model: robustness.evaluate_robustness(pd.concat([table, corrupted]), resamples=200, seed=1)
            for model, table in models.items()
        },
    )
    fake_predictions.draw_confusion(models, folder / "confusion", classes=result.classes)
    protocol = "ravdess, tested on speakers who are not in training"
    evaluation_report.write(
        folder / "report.html",
        folder / "report",
        result=replace(result, **changed),
        description={
            "protocol": protocol,
            "caption": "ravdess",
            "notes": list(notes),
            "data": {"Left out": "81 of 535 clips: bored (81)"},
            "styles": {"ravdess": "acted"},
        },
        leakage=leakage,
        confusion=folder / "confusion",
        clips=clips,
        settings=factories.settings(evaluate={"n_resamples": 200}).evaluate,
        seed=1,
        all_settings=factories.settings().model_dump(mode="json"),
    )
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def ravdess(actors: Sequence[int]) -> pd.DataFrame:
    """List a third of the clips of some actors."""
    clips = factories.ravdess(actors)
    return clips[clips.groupby("speaker").cumcount() % 3 == 0].reset_index(drop=True)


def two_models(clips: pd.DataFrame) -> dict[str, pd.DataFrame]:
    skills = {"a": 4, "b": 0.1}
    return {name: fake_predictions.predictions(clips, skill=skill, classes=CLASSES) for name, skill in skills.items()}


@pytest.fixture(scope="module")
def models() -> dict[str, pd.DataFrame]:
    """Predict with two models, two seeds and four folds of eight speakers, with markup in the names."""
    clips = ravdess(range(1, 9))
    clips["emotion"] = clips.emotion.where(clips.index % 7 > 0, "bored")
    for column in ("clip_id", "original_id", "speaker", "sentence"):
        clips[column] = clips[column] + EVIL
    options: dict[str, Any] = {"classes": [*CLASSES, "bored"], "seeds": (1, 2), "folds": 4}
    svm = fake_predictions.scaled(fake_predictions.predictions(clips, skill=2.5, sure=2, **options), 1.5)
    return {"knn": fake_predictions.predictions(clips, skill=0.3, never="disgust", **options), "svm": svm}


@pytest.fixture(scope="module")
def page(models: dict[str, pd.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> Page:
    """Write a report with all sections."""
    folder, svm = tmp_path_factory.mktemp("report"), models["svm"]
    noisy = svm[::2].assign(augmentation="robustness_noise_0db", clip_id=svm.clip_id + "+robustness_noise_0db.1")
    others = [noisy.assign(predicted="bored"), svm.assign(split="val", predicted="bored")]
    sound = audio_io.to_flac(signals.sine(440, seconds=5), rate=16000)
    clip_ids = list(svm.clip_id.unique())
    audio = pa.table({"clip_id": clip_ids, "recording_id": clip_ids, "audio": [sound] * len(clip_ids)})
    pq.write_table(audio, folder / "ravdess.parquet")
    return write(
        folder,
        models,
        predictions=models | {"svm": pd.concat([svm, *others], ignore_index=True)},
        notes=["A warning: a reason."],
        clips=[folder / "ravdess.parquet"],
        corrupted=noisy,
    )


def cell(page: Page, row: str, *, column: int = 0) -> str:
    """Read a cell of the first row of that name."""
    cells = page.html.split(f'<th scope="row">{row}</th>')[1].split("</tr>")[0]
    return Page(cells.split("<td")[1 + column].partition(">")[2]).text


def test_lead_has_the_best_score_and_the_warnings(page: Page, models: dict[str, pd.DataFrame]) -> None:
    """Best model, UAR with interval, chance level, test set, leakage check and warnings precede the leaderboard."""
    lead = page.text.partition("Dots: UAR")[0]
    uar = bootstrap.bootstrap(models["svm"], ["uar"], resamples=200, seed=1).loc["uar"]
    interval = f"{uar.value:.3f} (95 % CI over 8 test speakers: {uar.ci_low:.3f} to {uar.ci_high:.3f})"
    assert f"svm has the highest UAR, {interval}; chance level 0.111." in lead
    assert "Ravdess, tested on speakers who are not in training. 160 test clips, 9 emotions, mean of 2 seeds, 4" in lead
    assert "A random forest has a UAR of 0.93 on random clips and of 0.58 on unseen speakers" in lead
    assert "A warning. A reason." in lead


def test_tables_have_the_scores(page: Page, models: dict[str, pd.DataFrame]) -> None:
    """Only original test clips are evaluated; corrupted clips have the change of UAR and the agreement."""
    scores = evaluation_tables.evaluate_by_class(models["svm"], resamples=200, seed=1)
    assert cell(page, "sad", column=0) == str(scores.clips["sad"])
    assert cell(page, "sad", column=1) == f"{scores.recall['sad']:.3f}"
    assert cell(page, "pink noise, 0 dB SNR", column=1) == "+0.000"
    assert cell(page, "pink noise, 0 dB SNR", column=4) == "100%"
    assert "Never predicted: disgust." in page.text
    scores = evaluation_tables.evaluate_by_class(models["knn"], resamples=200, seed=1)
    assert scores.recall["disgust"] == 0
    assert pd.isna(scores.precision["disgust"])


def test_names_are_escaped_and_settings_listed(page: Page, models: dict[str, pd.DataFrame]) -> None:
    """Markup in clip ids and sentences is shown as text; the last section has the commands and all settings."""
    assert not page.all("script")
    for names in models["svm"].clip_id, models["svm"].sentence:
        assert names.iloc[0].partition("<")[2] in page.text
    last = page.text.rpartition("Reproduce this result")[2]
    assert " ".join(provenance.commands(Path("reports/evaluation.html")).split()) in last
    assert "protocol: speaker_independent" in last


def test_figures_have_alternative_texts_with_numbers(page: Page) -> None:
    """All figures are embedded, and all links lead to a section."""
    images = page.all("img")
    assert len(images) == 1 + 2 * 5 + 1 + 1
    assert all(any(c.isdigit() for c in str(image["alt"])) for image in images)
    assert all(str(a["src"]).startswith("data:") for _, a in page.tags if "src" in a)
    anchors = {str(a["href"])[1:] for a in page.all("a")}
    assert anchors <= {str(a["id"]) for _, a in page.tags if "id" in a}
    assert {"variation", "leakage", "pairwise"} <= anchors


def test_most_confident_errors_are_played_once(page: Page, models: dict[str, pd.DataFrame]) -> None:
    """Two seeds with the same error make one player; long clips are truncated, so the report stays below 4 MB."""
    errors = evaluation_tables.most_confident_errors(models["svm"], n=12)
    labels = [str(player["aria-label"]) for player in page.all("audio")]
    assert len(labels) == len(errors) == errors.clip_id.nunique() == 12
    assert labels[0] == f"1. {errors.emotion[0]} → {errors.predicted[0]}, first 4 s"
    assert len(page.html) < 4e6


def test_one_test_speaker_and_missing_metadata(tmp_path: Path) -> None:
    """There is no interval and no test; missing values are dashes; the same tables give the same bytes."""
    clips = ravdess([1]).assign(sex="", intensity="", sentence="")
    rows = fake_predictions.predictions(clips, skill=1, classes=CLASSES).assign(intensity=None)
    (tmp_path / "2" / "report").mkdir(parents=True)
    (tmp_path / "2" / "report" / "old.png").touch()
    page, same = (write(tmp_path / n, {"svm": rows}, clips=[tmp_path / "missing" / "ravdess.parquet"]) for n in "12")
    assert "(no confidence interval: one test speaker); chance level 0.125." in page.text
    assert "No metadata: sex, intensity, sentence." in page.text
    assert "Clips of ravdess cannot be played" in page.text
    assert "nan" not in page.text.lower().split()
    assert not [title for title in ("Pairwise significance tests", "Robustness") if title in page.text]
    assert not page.all("audio")
    assert page.html == same.html
    files = [{path.name: path.read_bytes() for path in (tmp_path / n / "report").iterdir()} for n in "12"]
    assert files[0] == files[1]


def test_few_speakers_are_not_testable(tmp_path: Path) -> None:
    """Over three speakers, limits are a range and not a confidence interval."""
    page = write(tmp_path, two_models(ravdess([1, 2, 3])))
    assert "(range over 3 test speakers: " in page.text
    assert "95 % CI over" not in page.text
    assert "coverage is at most 75 %" in page.text
    assert cell(page, "a vs. b") == "not testable: too few speakers"
    assert cell(page, "b", column=3) == "not testable"


def test_unknown_speakers(tmp_path: Path) -> None:
    """Unknown speakers are not counted, neither as one speaker nor as too few."""
    leakage = LEAKAGE.query("probe != 'leak_speaker'").assign(speakers=0)
    page = write(tmp_path, two_models(ravdess([1]).assign(speaker="ravdess-")), leakage=leakage)
    assert "no confidence interval: speaker identity unknown" in page.text
    assert "cannot be measured" in page.text
    assert cell(page, "a vs. b") == "not testable: speaker identity unknown"
    assert cell(page, "random split: same speakers", column=4) == "unknown"
    assert not [text for text in ("one test speaker", "too few", "1 speaker") if text in page.text.lower()]
    assert "lower" not in page.text.partition("Pairwise significance tests")[0].split()
    clips = ravdess(range(1, 9))
    clips["speaker"] = clips.speaker.replace("ravdess-01", "ravdess-")
    page = write(tmp_path, two_models(clips))
    assert "Speaker identity unknown for some clips. Lowest per-speaker UAR" in page.text
    assert cell(page, "a vs. b") == "not testable: speaker identity unknown for some clips"


def test_model_without_errors(tmp_path: Path) -> None:
    """There are no confusions and no players; a task without clips of a class is reported."""
    clips = ravdess([1, 2])
    clips = clips[clips.emotion.isin(["neutral", "calm"])].reset_index(drop=True)
    page = write(tmp_path, {"svm": fake_predictions.predictions(clips, skill=99, classes=["neutral", "calm"])})
    assert "No errors: all test clips are classified correctly." in page.text
    assert "valence was not evaluated: " in page.text


def pairs(**columns: Any) -> pd.DataFrame:
    known = {"a": "svm", "b": "knn", "only_a": 9, "only_b": 1, "p": 0.01, "p_holm": 0.01, "difference": 0.1}
    return pd.DataFrame([known | {"ci_low": 0.05, "ci_high": 0.2, "speakers": 24} | columns])


def ranking(*, equal: bool = False, speakers: int = 24) -> pd.DataFrame:
    return pd.DataFrame({"model": ["svm", "knn"], "not_significantly_worse": [True, equal], "speakers": speakers})


KNN_BETTER = {"only_a": 1, "only_b": 9, "difference": -0.1, "ci_low": -0.2, "ci_high": -0.05}


@pytest.mark.parametrize(
    ("pair", "models", "result"),
    [
        (pairs(), ranking(), "significant"),
        (pairs(**KNN_BETTER, a="knn", b="svm"), ranking(), "significant"),
        (pairs(only_a=1, only_b=9), ranking(), "not significant"),  # the counts contradict the UAR difference
        (pairs(p_holm=0.06), ranking(), "not significant"),
        (pairs(ci_low=-0.01), ranking(), "not significant"),
        (pairs(), ranking(equal=True), "not significant"),
        (pairs(ci_low=float("nan"), ci_high=float("nan")), ranking(), "not significant"),
        (pairs(), ranking(speakers=5), "not testable: too few speakers"),
    ],
)
def test_significance_requires_all_tests(pair: pd.DataFrame, models: pd.DataFrame, result: str) -> None:
    """McNemar's test, the interval over enough speakers and the comparison with the best must agree."""
    assert evaluation_tables.significance(pair, models) == [result]


def test_pairwise_tests_name_the_better_model_first() -> None:
    """The difference, its limits and the counts are swapped."""
    [(name, cells)] = evaluation_tables.pairwise_tests_table(pairs(**KNN_BETTER), ranking()).rows
    assert name == "knn vs. svm"
    assert [cell.text for cell in cells] == ["significant", "+0.100", "+0.050", "+0.200", "9", "1", "0.010"]


def test_subgroups_of_duration_have_their_own_intervals() -> None:
    """Intervals belong to their bins, even if a bin is empty."""
    rows = fake_predictions.predictions(ravdess(range(1, 9)), skill=1, classes=CLASSES)
    rows["duration"] = [0.5 if n % 3 else 3.2 for n in range(len(rows))]
    scores = evaluation_tables.evaluate_subgroups(rows, "duration", resamples=200, seed=1).set_index("value")
    assert list(scores.index) == ["0 to 1 s", "3 to 4 s"]
    long = bootstrap.bootstrap(rows[rows.duration > 3], ["uar"], resamples=200, seed=1).loc["uar"]
    assert (scores.uar["3 to 4 s"], scores.low["3 to 4 s"]) == (pytest.approx(long.value), long.ci_low)


def test_many_subgroups_are_truncated() -> None:
    scores = pd.DataFrame({"value": [f"w{n:03}" for n in range(200)], "uar": [n / 200 for n in range(200)]})
    scores = scores.assign(clips=1, speakers=1, classes=8, accuracy=1.0)
    table = evaluation_tables.subgroup_table(scores, name="sentence", n_classes=8)
    assert (len(table.rows), table.rows[0][0], table.rows[-1][0]) == (30, "w000", "w199")
    assert "15 lowest and the 15 highest of 200" in table.caption


def test_score_near_chance_has_a_warning() -> None:
    table = ranking().assign(uar=0.3, uar_ci_low=[0.1, 0.1])
    [note] = evaluation_text.warnings(table, [], classes=8, unknown="")
    assert note.title == "Not significantly better than chance"
