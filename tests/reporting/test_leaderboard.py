"""The leaderboard has protocol, scores, intervals and warnings; results are written as Markdown, CSV, JSON and PNG."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from ser import labels, paths
from ser.evaluation import significance, summary
from ser.reporting import leaderboard
from ser.utils.errors import UserError
from tests.helpers import factories
from tests.helpers.three_models import PREDICTED, TRUE, evaluate, table, write_predictions

EMOTIONS = list(labels.EMOTIONS)
LSTM = factories.settings().train_lstm
SPLIT = factories.split("speaker_independent")
DATA = {"Left out": "81 of 535 clips: bored (81)"}
NAN = float("nan")


def ranking(**changes: object) -> pd.DataFrame:
    """List two models, one of them significantly better, over eight speakers."""
    test = dict.fromkeys(("uar", "accuracy", "precision", "f1", "roc_auc", "ece"), 0.51239)
    test |= {"uar_ci_low": 0.41, "uar_ci_high": 0.62, "speakers": 8}
    scores = {"svm": {"test": test, "val": {"uar": 0.25}}, "lstm": {"test": test | {"uar": 0.75}, "val": {"uar": 0.5}}}
    return summary.leaderboard(scores, not_significantly_worse=["lstm"]).assign(**changes)


def markdown(table: pd.DataFrame, *, unknown: str = "", notes: Sequence[str] = ()) -> str:
    rows = factories.predicted(EMOTIONS * 30, EMOTIONS * 30, classes=EMOTIONS)
    test_set = leaderboard.describe_test_set("ravdess, tested so", rows)
    return leaderboard.leaderboard_markdown(
        table, pd.DataFrame(), test_set=test_set, chance=1 / 8, unknown=unknown, notes=notes, data=DATA
    )


def header(text: str) -> list[str]:
    return next(cells(line) for line in text.splitlines() if "UAR" in line and line.startswith("|"))


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_leaderboard_has_one_row_per_model() -> None:
    """Test set, chance level and warnings precede the table; the best model is first."""
    lines = markdown(ranking(), notes=["Beware."]).splitlines()
    assert "Ravdess, tested so. 240 test clips, 8 emotions, chance UAR 0.125." in lines
    top = next(i for i, line in enumerate(lines) if line.startswith("|"))
    assert lines.index("**Beware.**") < top
    names = ["rank", "model", "UAR", "95 % CI", "best", "accuracy", "F1", "ROC-AUC", "ECE", "validation UAR"]
    assert cells(lines[top]) == names
    rows = [cells(line) for line in lines[top + 2 : top + 4]]
    assert [(*row[:5], row[-1]) for row in rows] == [
        ("1", "lstm", "0.750", "0.410 to 0.620", "=", "0.500"),
        ("2", "svm", "0.512", "0.410 to 0.620", "", "0.250"),
    ]
    assert "**" not in markdown(ranking())


@pytest.mark.parametrize(
    ("speakers", "unknown", "interval", "legend"),
    [
        (8, "", "95 % CI over 8 test speakers", "; hollow: significantly worse than the best"),
        (5, "", "Range over 5 test speakers", ", too few for significance tests"),
        (1, "", "No confidence interval: one test speaker", None),
        (0, "speaker identity unknown", "No confidence interval: speaker identity unknown", None),
        (24, "speaker identity unknown for some clips", "No confidence interval: speaker identity unknown for", None),
    ],
)
def test_few_or_unknown_speakers_have_no_confidence_interval(
    speakers: int, unknown: str, interval: str, legend: str | None
) -> None:
    """The leaderboard and its figure name the interval; models are compared if there are enough speakers."""
    table = ranking(speakers=speakers, **({} if legend else {"uar_ci_low": NAN, "uar_ci_high": NAN}))
    page = markdown(table, unknown=unknown)
    assert interval in page
    assert ("95 % CI" in header(page), "best" in header(page)) == (speakers == 8, speakers == 8)
    assert ("range over speakers" in header(page)) == (speakers == 5)
    about = f"bars: {interval.replace('Range', 'range')}{legend}" if legend else ""
    assert leaderboard.interval_legend(table, unknown=unknown) == about


def test_columns_without_values_are_left_out() -> None:
    """A missing interval is not nan; deviations are listed if there are several seeds or folds."""
    page = markdown(ranking(uar_ci_low=[0.4, None], uar_ci_high=[0.6, None]))
    assert "nan to" not in page
    assert page.count("| none ") == 1
    names = header(markdown(ranking(speakers=1).drop(columns=["uar_ci_low", "uar_ci_high"])))
    assert names[2:4] == ["UAR", "accuracy"]
    page = markdown(ranking(uar_seed_sd=0.011, uar_fold_sd=0.022))
    assert {"SD over seeds", "SD over folds"} <= set(header(page))
    assert page.count("0.011") == page.count("0.022") == 2


def test_test_set_names_seeds_and_folds() -> None:
    rows = factories.predicted(EMOTIONS, EMOTIONS, classes=EMOTIONS)
    seeds = pd.concat([rows, rows.assign(seed=2)])
    tables = [rows, seeds, seeds.assign(fold=[1, 2] * 8)]
    assert [leaderboard.describe_test_set("so", table) for table in tables] == [
        "So. 8 test clips, 8 emotions",
        "So. 8 test clips, 8 emotions, mean of 2 seeds",
        "So. 8 test clips, 8 emotions, mean of 2 seeds, 2 folds pooled",
    ]


def test_console_summary_lists_existing_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the leaderboard, and paths of the results that exist; without a leaderboard, an error."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"leaderboard\.md was not found; run `dvc repro` first"):
        leaderboard.console_summary()
    Path("reports").mkdir()
    for name in ("leaderboard.md", "data.html", "history.png"):
        Path("reports", name).write_text("page\n")
    first, *lines = leaderboard.console_summary().splitlines()
    assert first == "page"
    listed = [line.partition("reports/")[2] for line in lines if "reports/" in line]
    assert listed == ["leaderboard.md (and .csv, .png)", "history.png", "data.html"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a project with predictions and a training history; return the folder of the predictions."""
    monkeypatch.chdir(tmp_path)
    predictions = tmp_path / "data" / "predictions"
    write_predictions(predictions)
    columns = ("loss", "accuracy", "val_loss", "val_accuracy", "val_uar")
    history = pd.DataFrame({"fold": 1, "seed": 1, "epoch": [1, 2], **dict.fromkeys(columns, 0.5)})
    paths.HISTORY_CSV.parent.mkdir(parents=True)
    history.to_csv(paths.HISTORY_CSV, index=False)
    return predictions


def write(folder: Path, *models: str) -> dict[str, bytes]:
    """Write the results of some models, and read all files."""
    result = evaluate(folder, *models)
    run = leaderboard.describe_run(result, split=SPLIT, n_networks=1, data=DATA, styles={"ravdess": "acted"})
    leaderboard.write(result, run, lstm=LSTM, leaks=["A leak.", "Others."])
    files = [path for name in ("metrics", "reports") for path in Path(name).rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in files}


def test_write_creates_all_files(folder: Path) -> None:
    """Tables have the values of the evaluation, and the same results give the same bytes, figures included."""
    files = write(folder)
    assert write(folder) == files
    ends = ("val.png", "val.csv", "test.png", "test.csv")
    names = {"leaderboard.md", "leaderboard.csv", "leaderboard.png", "pairwise_tests.csv", "model_card.md"}
    names |= {"history.png", "lstm/history.csv"} | {f"confusion/{model}_{end}" for model in PREDICTED for end in ends}
    assert set(files) == {"metrics/metrics.json", *(f"reports/{name}" for name in names)}
    assert all(content.startswith(b"\x89PNG") for name, content in files.items() if name.endswith(".png"))
    result = evaluate(folder)
    assert json.loads(files["metrics/metrics.json"]) == result.metrics
    pd.testing.assert_frame_equal(pd.read_csv("reports/leaderboard.csv"), result.leaderboard)
    pd.testing.assert_frame_equal(pd.read_csv("reports/pairwise_tests.csv"), result.pairs)
    rows = pd.read_csv("reports/confusion/knn_test.csv")
    assert rows.to_numpy().tolist() == [list(pair) for pair in zip(TRUE[6:], PREDICTED["knn"][6:], strict=True)]
    page = files["reports/leaderboard.md"].decode()
    assert "6 test clips, 3 emotions, chance UAR 0.333" in page
    assert "- Left out: 81 of 535 clips: bored (81)" in page.splitlines()
    assert "**A leak.**" in page and "Others" not in page


def test_files_of_earlier_runs_are_removed(folder: Path) -> None:
    """With one model, there are no pairs; augmented samples are in no confusion matrix."""
    write(folder, "lstm", "svm")
    augmented = table("lstm").assign(augmentation="noise", clip_id=lambda rows: rows.clip_id + "+noise.1")
    pd.concat([table("lstm"), augmented]).to_parquet(folder / "lstm.parquet")
    write(folder, "lstm")
    assert {path.stem for path in Path("reports/confusion").iterdir()} == {"lstm_test", "lstm_val"}
    assert len(pd.read_csv("reports/confusion/lstm_test.csv")) == 6
    assert len(pd.read_csv("reports/leaderboard.csv")) == 1
    assert list(pd.read_csv("reports/pairwise_tests.csv")) == list(significance.PAIR_COLUMNS)


def test_warnings_of_a_run(folder: Path) -> None:
    """Synthetic speech has one, also in the titles of figures, and so have unknown speakers and ensembles."""
    result = replace(evaluate(folder), predictions={"lstm": table("lstm").assign(corpus="mine", speaker="mine-")})
    styles = {"demo": "synthetic", "mine": "unknown", "tess": "acted"}
    run = leaderboard.describe_run(result, split=SPLIT, n_networks=5, data=DATA, styles=styles)
    synthetic, speakers, ensemble = run["notes"]
    assert synthetic == leaderboard.SYNTHETIC and "synthetic" in run["caption"]
    assert "not speaker-independent" in speakers and "mine" in speakers and "tess" not in speakers
    assert "5 networks" in ensemble
    run = leaderboard.describe_run(evaluate(folder), split=SPLIT, n_networks=1, data=DATA, styles={"ravdess": "acted"})
    assert run["notes"] == [] and "synthetic" not in run["caption"]
