"""What people read says what was tested on what, and what it does not mean; results are written once and whole."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pandas as pd
import pytest

from ser import labels, paths
from ser.corpora.base import published_folds
from ser.dataset.protocol import describe_protocol
from ser.evaluation import significance, summary
from ser.params import Protocol, Split
from ser.reporting import leaderboard, plots
from ser.utils.errors import UserError
from tests.helpers import factories
from tests.helpers.three_models import PREDICTED, TRUE, evaluate, table, write_predictions

EMOTIONS = list(labels.EMOTIONS)
LSTM = factories.settings().train_lstm


def board(**changes: object) -> pd.DataFrame:
    """List two models of which one is better by far, over eight speakers, or as the changes say."""
    test = dict.fromkeys(("uar", "accuracy", "precision", "f1", "roc_auc", "ece"), 0.51239)
    test |= {"uar_ci_low": 0.41, "uar_ci_high": 0.62, "speakers": 8}
    judged = {"svm": {"test": test, "val": {"uar": 0.25}}, "lstm": {"test": test | {"uar": 0.75}, "val": {"uar": 0.5}}}
    return summary.leaderboard(judged, not_significantly_worse=["lstm"]).assign(**changes)


def page(*notes: str, **changes: object) -> str:
    return markdown(board(**changes), notes=notes)


def markdown(table: pd.DataFrame, *, unknown: str = "", notes: Sequence[str] = ()) -> str:
    basis = leaderboard.describe_test_set(
        "ravdess, tested so", factories.predicted(EMOTIONS * 30, EMOTIONS * 30, classes=EMOTIONS)
    )
    return leaderboard.leaderboard_markdown(table, basis=basis, chance=1 / 8, unknown=unknown, notes=notes)


def protocol(corpora: Sequence[str], split: Split, *, unknown: Sequence[str]) -> str:
    published = published_folds(corpora, split.fold_table)
    return describe_protocol(corpora, split, unknown=unknown, published=published)


def header(said: str) -> list[str]:
    return next(cells(line) for line in said.splitlines() if "UAR" in line and line.startswith("|"))


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize("say", [partial(protocol, unknown=[]), partial(leaderboard.figure_caption, unknown=[])])
def test_random_clips_are_called_optimistic(say: object) -> None:
    """Page and pictures say that the usual random split flatters, and do not say so of unseen speakers."""
    assert callable(say)
    assert "optimistic" in say(["ravdess"], factories.split("random"))
    by_speaker = say(["ravdess"], factories.split("speaker_independent"))
    assert "optimistic" not in by_speaker
    assert "speakers" in by_speaker


@pytest.mark.parametrize("name", get_args(Protocol))
def test_every_protocol_has_its_words(name: str) -> None:
    """Page and pictures say what was held out, each protocol in words of its own, and where old voices flatter."""
    others = set(get_args(Protocol)) - {name}
    for say in (partial(protocol, unknown=[]), partial(leaderboard.figure_caption, unknown=[])):
        said = say(["ravdess", "tess"], factories.split(name))
        assert said not in {say(["ravdess", "tess"], factories.split(other)) for other in others}
        assert ("optimistic" in said) == (name in ("text_independent", "random"))


@pytest.mark.parametrize("say", [partial(protocol, unknown=[]), partial(leaderboard.figure_caption, unknown=[])])
def test_corpora_are_named_in_one_order(say: object) -> None:
    """The same run says the same, in whatever order params.yaml lists its corpora."""
    assert callable(say)
    one, other = (
        say(corpora, factories.split("speaker_independent")) for corpora in (["tess", "ravdess"], ["ravdess", "tess"])
    )
    assert one == other
    assert one.startswith("ravdess + tess, ")


@pytest.mark.parametrize(
    ("corpora", "warned"), [(["demo"], True), (["ravdess", "demo"], True), (["ravdess"], False), (["tess"], False)]
)
def test_synthetic_voices_are_warned_of(corpora: list[str], warned: bool) -> None:
    """Where synthetic voices had a part, pictures and page say that the numbers mean nothing about people."""
    assert (
        "synthetic" in leaderboard.figure_caption(corpora, factories.split("speaker_independent"), unknown=[])
    ) == warned
    assert leaderboard.warnings(corpora, unknown=[], n_networks=1) == ([leaderboard.SYNTHETIC] if warned else [])
    assert "nothing about people" in leaderboard.SYNTHETIC


def test_unknown_speakers_are_warned_of() -> None:
    """Where nobody knows who speaks, pictures and page say that the score is not speaker-independent."""
    assert "not speaker-independent" in leaderboard.figure_caption(
        ["mine"], factories.split("speaker_independent"), unknown=["mine"]
    )
    for say in (protocol, leaderboard.figure_caption):
        assert "optimistic" in say(["mine"], factories.split("speaker_independent"), unknown=["mine"])
        assert "optimistic" not in say(["mine", "tess"], factories.split("speaker_independent"), unknown=["mine"])
    [warning] = leaderboard.warnings(["mine", "tess"], unknown=["mine"], n_networks=1)
    assert "mine" in warning and "tess" not in warning
    assert "not speaker-independent" in warning


@pytest.mark.parametrize(
    ("corpora", "settings", "said", "optimistic"),
    [
        ("ravdess", {"protocol": "speaker_independent", "folds": 5}, "5-fold cross-validation over speakers", False),
        ("ravdess", {"protocol": "text_independent"}, "sentences", True),
        ("tess", {"protocol": "text_independent", "folds": 4}, "4-fold cross-validation over sentences", True),
        ("ravdess", {"protocol": "random", "folds": 10}, "10-fold cross-validation over random clips", True),
        ("ravdess tess demo", {"protocol": "cross_corpus"}, "3-fold cross-validation over corpora", False),
        (
            "savee ravdess",
            {"protocol": "speaker_independent", "published": "emobox"},
            "6-fold cross-validation over speakers",
            False,
        ),
        (
            "tess",
            {"protocol": "speaker_independent", "published": "swap_speakers"},
            "2-fold cross-validation over speakers",
            False,
        ),
    ],
)
def test_each_protocol_is_said(corpora: str, settings: dict[str, Any], said: str, optimistic: bool) -> None:
    """Page and pictures name the folds and what they hold out, and call those optimistic that know the voices."""
    for say in (protocol, leaderboard.figure_caption):
        sentence = say(corpora.split(), factories.split(**settings), unknown=[])
        assert said in sentence
        assert ("optimistic" in sentence) == optimistic


def test_the_leaderboard_page() -> None:
    """The page has the protocol, chance, the warnings before the numbers, and a row per model, best first."""
    lines = page("Beware.").splitlines()
    assert lines[0] == "# Leaderboard"
    assert "Ravdess, tested so. 240 test clips, 8 emotions, chance UAR 0.125." in lines
    top = next(i for i, line in enumerate(lines) if line.startswith("|"))
    assert lines.index("**Beware.**") < top
    assert cells(lines[top]) == [
        *["rank", "model", "UAR", "95 % interval", "best"],
        *["accuracy", "F1", "ROC-AUC", "ECE", "UAR on validation"],
    ]
    rows = [cells(line) for line in lines[top + 2 : top + 4]]
    assert [row[:5] for row in rows] == [
        ["1", "lstm", "0.750", "0.410 to 0.620", "="],
        ["2", "svm", "0.512", "0.410 to 0.620", ""],
    ]
    assert [row[-1] for row in rows] == ["0.500", "0.250"]
    assert "UAR is the unweighted average" in page()


@pytest.mark.parametrize(
    ("speakers", "said"),
    [
        (8, "bootstrap over the 8 test speakers, not over clips.\n"),
        (5, "With 5 test speakers no model can be told from another"),
        (1, "One speaker was tested: the numbers speak of that speaker, and there is no interval."),
    ],
)
def test_the_page_says_what_an_interval_is_worth(speakers: int, said: str) -> None:
    """An interval over few speakers is called too narrow, and where there is none the page says why."""
    assert said in page(speakers=speakers)


def test_a_page_without_intervals() -> None:
    """A model without limits has none, not nan; a column that no model has is not shown."""
    assert "nan to" not in page(uar_ci_low=[0.4, None], uar_ci_high=[0.6, None])
    assert page(uar_ci_low=[0.4, None], uar_ci_high=[0.6, None]).count("| none ") == 1
    said = markdown(board(speakers=1).drop(columns=["uar_ci_low", "uar_ci_high"]))
    assert header(said)[2:4] == ["UAR", "accuracy"]
    assert not [name for name in header(said) if name.startswith("sd")]


@pytest.mark.parametrize(("speakers", "where"), [(0, ""), (24, " in some clips")])
def test_a_page_of_unknown_speakers(speakers: int, where: str) -> None:
    """Where nobody knows who speaks, be it in some clips, there is no range or interval, and the page says why."""
    table = board(speakers=speakers, uar_ci_low=float("nan"), uar_ci_high=float("nan"))
    said = markdown(table, unknown=f"speaker identity unknown{where}")
    assert f"Speaker identity unknown{where}, so nothing here says how much scores vary between speakers." in said
    assert header(said)[2:4] == ["UAR", "accuracy"]
    assert not [word for word in ("range", "interval", "test speakers", "= marks") if word in said]


def test_a_page_says_how_many_seeds_and_folds_are_one_number() -> None:
    """A mean of several trainings is called one; a single one is not."""
    rows = factories.predicted(EMOTIONS, EMOTIONS, classes=EMOTIONS)
    assert leaderboard.describe_test_set("so", rows) == "So. 8 test clips, 8 emotions"
    both = pd.concat([rows, rows.assign(seed=2)])
    assert leaderboard.describe_test_set("so", both) == "So. 8 test clips, 8 emotions, mean of 2 seeds"
    folds = both.assign(fold=[1, 2] * 8)
    assert (
        leaderboard.describe_test_set("so", folds) == "So. 8 test clips, 8 emotions, mean of 2 seeds, 2 folds together"
    )


def test_the_page_shows_spread_over_seeds_and_folds() -> None:
    """Where there are several, their standard deviations stand beside UAR."""
    said = page(uar_seed_sd=0.011, uar_fold_sd=0.022)
    assert {"sd over seeds", "sd over folds"} <= set(header(said))
    assert said.count("0.011") == said.count("0.022") == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "lines: 95 % CI over 8 test speakers; pale: significantly worse than the best"),
        ({"not_significantly_worse": True}, "lines: 95 % CI over 8 test speakers"),
        (
            {"speakers": 5, "not_significantly_worse": True},
            "lines: range over 5 test speakers, too few for significance tests",
        ),
        ({"uar_ci_low": float("nan"), "uar_ci_high": float("nan")}, ""),
    ],
)
def test_a_picture_says_what_its_limits_are(changes: dict[str, object], said: str) -> None:
    """A range over few speakers is not called an interval, and what colour means is said where it means something."""
    assert leaderboard.interval_legend(board(**changes), unknown="") == said
    assert leaderboard.interval_legend(board(**changes), unknown="speaker identity unknown") == ""


def test_an_ensemble_is_called_one() -> None:
    """Who reads a score learns that it took several networks."""
    [warning] = leaderboard.warnings(["ravdess"], unknown=[], n_networks=5)
    assert "5 networks" in warning


def test_a_page_without_warnings() -> None:
    """Nothing is printed in bold where there is nothing to warn of."""
    assert "**" not in page()


def test_the_terminal_shows_the_page_and_where_to_look(tmp_path: Path) -> None:
    """After a run one sees the leaderboard and the places of matrices, history and all runs."""
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/leaderboard.md").write_text(page(), encoding="utf-8")
    for made in ("confusion", "history.png"):
        (tmp_path / "reports" / made).touch()
    said = leaderboard.console_summary(tmp_path)
    assert said.startswith(page())
    for place in ("leaderboard.md", "confusion", "history.png"):
        assert str(tmp_path / "reports" / place) in said
    assert "http://127.0.0.1:5000" in said
    assert "predict.py --file" in said


def test_the_terminal_names_no_page_that_is_not_there(tmp_path: Path) -> None:
    """Pages that other stages make, or that a clone did not get, are named once they are there."""
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/leaderboard.md").write_text(page(), encoding="utf-8")
    (tmp_path / "reports/leaderboard.csv").touch()
    (tmp_path / "reports/data.html").touch()
    said = leaderboard.console_summary(tmp_path).removeprefix(page())
    assert [line.split(str(tmp_path))[-1] for line in said.splitlines() if str(tmp_path) in line] == [
        "/reports/leaderboard.md (and .csv)",
        "/reports/data.html",
    ]
    (tmp_path / "reports/leaderboard.png").touch()
    assert f"{tmp_path / 'reports/leaderboard.md'} (and .csv, .png)" in leaderboard.console_summary(tmp_path)


def test_the_terminal_before_the_first_run(tmp_path: Path) -> None:
    """Without a leaderboard the error says what makes one."""
    with pytest.raises(UserError, match=r"leaderboard\.md was not found; run `dvc repro` first"):
        leaderboard.console_summary(tmp_path)


# Writing --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def titles(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the titles of pictures instead of drawing them, which takes a second."""
    found: list[str] = []

    def draw(_table: pd.DataFrame, path: Path, *, title: str, **_: object) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        found.append(title)

    fake = SimpleNamespace(plot_leaderboard=draw, plot_history=draw, plot_confusion=draw)
    monkeypatch.setattr(leaderboard, "plots", fake)
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, titles: list[str]) -> Path:
    """Stand in a project's root that has predictions and a history."""
    monkeypatch.chdir(tmp_path)
    predictions = tmp_path / "data" / "predictions"
    write_predictions(predictions)
    numbers = {"loss": [2.0, 1.0], "accuracy": [0.3, 0.6], "val_loss": [2.0, 1.5], "val_accuracy": [0.3, 0.5]}
    one = pd.DataFrame({"epoch": [1, 2], **numbers, "val_uar": [0.3, 0.5], "learning_rate": [0.001, 0.001]})
    history = pd.concat([one.assign(fold=1, seed=1), one.assign(fold=1, seed=2, val_uar=[0.7, 0.6])[:1]])
    paths.HISTORY_CSV.parent.mkdir(parents=True)
    history.to_csv(paths.HISTORY_CSV, index=False)
    return predictions


def write(folder: Path, *corpora: str, protocol: str = "speaker_independent") -> None:
    leaderboard.write(
        evaluate(folder),
        corpora=corpora or ["ravdess"],
        split=factories.split(protocol),
        lstm=LSTM,
        leaks=["Leaks are worth 0.1."],
    )


def written() -> dict[str, bytes]:
    files = [path for name in ("metrics", "reports") for path in Path(name).rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in files}


def test_what_is_written(folder: Path) -> None:
    """Metrics, leaderboard and history, and a confusion matrix a model and split, as picture and as table."""
    write(folder)
    matrices = {
        f"reports/confusion/{model}_{split}.{kind}"
        for model in PREDICTED
        for split in ("val", "test")
        for kind in ("png", "csv")
    }
    pages = {f"reports/leaderboard.{kind}" for kind in ("md", "csv", "png")}
    assert set(written()) == {
        "metrics/metrics.json", "reports/history.png", "reports/lstm/history.csv", "reports/pairwise_tests.csv",
        "reports/model_card.md",
        *pages, *matrices,
    }  # fmt: skip


def test_the_same_bytes_twice(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing again changes nothing, pictures included, so that dvc.lock stays as it is."""
    monkeypatch.setattr(leaderboard, "plots", plots)
    write(folder)
    once = written()
    write(folder)
    assert written() == once
    assert all(content.startswith(b"\x89PNG") for name, content in once.items() if name.endswith(".png"))


def test_metrics_json_has_every_number(folder: Path) -> None:
    """{model: {split: {metric: number}}}, as they were judged, for `dvc metrics diff`."""
    write(folder)
    assert json.loads(Path("metrics/metrics.json").read_text()) == evaluate(folder).metrics


def test_the_leaderboard_as_a_table(folder: Path) -> None:
    """leaderboard.csv is the ranking as it was computed."""
    write(folder)
    pd.testing.assert_frame_equal(pd.read_csv("reports/leaderboard.csv"), evaluate(folder).leaderboard)


def test_the_pairs_as_a_table(folder: Path) -> None:
    """pairs.csv is the comparison of each two models as it was computed."""
    write(folder)
    pd.testing.assert_frame_equal(pd.read_csv("reports/pairwise_tests.csv"), evaluate(folder).pairs)


def test_the_results_of_one_model_alone(folder: Path) -> None:
    """A run without baselines has a leaderboard of one, and a table of pairs without rows."""
    leaderboard.write(
        evaluate(folder, "lstm"), corpora=["ravdess"], split=factories.split("speaker_independent"), lstm=LSTM, leaks=[]
    )
    assert len(pd.read_csv("reports/leaderboard.csv")) == 1
    assert list(pd.read_csv("reports/pairwise_tests.csv")) == list(significance.PAIR_COLUMNS)


def test_confusion_tables_have_a_row_a_clip(folder: Path) -> None:
    """DVC draws its own matrix from true and predicted emotions of the split's clips."""
    write(folder)
    rows = pd.read_csv("reports/confusion/knn_test.csv")
    assert rows.to_numpy().tolist() == [list(pair) for pair in zip(TRUE[6:], PREDICTED["knn"][6:], strict=True)]


def test_copies_are_in_no_confusion_matrix(folder: Path) -> None:
    """Altered copies of test clips, which test robustness, are not drawn among the clips."""
    own = table("svm")
    copies = own.assign(augmentation="noise", clip_id=own.clip_id + "+noise.1")
    for model in PREDICTED:
        pd.concat([table(model), copies]).to_parquet(folder / f"{model}.parquet")
    write(folder)
    assert len(pd.read_csv("reports/confusion/svm_test.csv")) == 6


def test_a_model_that_is_gone_leaves_no_matrix(folder: Path) -> None:
    """The folder of matrices has those of this run's models, and none of an earlier run's."""
    write(folder)
    fewer = evaluate(folder, "lstm", "svm")
    leaderboard.write(fewer, corpora=["ravdess"], split=factories.split("speaker_independent"), lstm=LSTM, leaks=[])
    assert {path.stem for path in Path("reports/confusion").iterdir()} == {
        "lstm_test", "lstm_val", "svm_test", "svm_val"
    }  # fmt: skip


@pytest.mark.parametrize(("corpora", "warned"), [(["demo"], True), (["demo", "tess"], True), (["ravdess"], False)])
def test_synthetic_voices_are_warned_of_wherever_results_stand(
    folder: Path, titles: list[str], corpora: list[str], warned: bool
) -> None:
    """On the page and in every picture it stands that synthetic voices mean nothing, and only for synthetic voices."""
    write(folder, *corpora)
    assert (leaderboard.SYNTHETIC in Path("reports/leaderboard.md").read_text()) == warned
    assert len(titles) == 2 + 2 * len(PREDICTED)
    assert [("synthetic" in title) for title in titles] == [warned] * len(titles)


def test_what_leaks_are_worth_stands_on_the_page(folder: Path) -> None:
    """The sentences of the leak meter are among the warnings of the leaderboard's page."""
    write(folder)
    assert "**Leaks are worth 0.1.**" in Path("reports/leaderboard.md").read_text()


def test_the_page_of_random_clips_calls_them_optimistic(folder: Path) -> None:
    """The page of a random split says that it flatters."""
    write(folder, protocol="random")
    assert "optimistic" in Path("reports/leaderboard.md").read_text()


def test_chance_is_that_of_the_classes(folder: Path) -> None:
    """With three classes chance is a third, and clips are those of the test split."""
    write(folder)
    assert "6 test clips, 3 emotions, chance UAR 0.333" in Path("reports/leaderboard.md").read_text()
