"""Every model is judged alike, on the same clips, and the results are written once and whole."""

import json
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import tables

from ser import evaluation, headline, leaderboard, paths, plots, uncertainty
from ser.errors import InputError

CLASSES = ["neutral", "happy", "sad"]
TRUE = CLASSES * 4
PARTS = ["val"] * 6 + ["test"] * 6
ANSWERS = {
    "lstm": TRUE,
    "svm": ["neutral"] * 12,
    "knn": ["neutral", "neutral", "sad"] * 4,
}
LSTM = tables.settings().train_lstm
SETTINGS = tables.settings(evaluate={"resamples": 100}).evaluate


def table(model: str) -> pd.DataFrame:
    """Let two speakers say three clips of each part."""
    speakers = (["ravdess-01"] * 3 + ["ravdess-02"] * 3) * 2
    return tables.predicted(TRUE, ANSWERS[model], part=PARTS, classes=CLASSES).assign(speaker=speakers)


def numbers_of(model: str) -> dict[str, dict[str, float]]:
    return headline.judge(table(model), SETTINGS, seed=1)


@pytest.fixture
def titles(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the titles of pictures instead of drawing them, which takes a second."""
    found: list[str] = []

    def draw(_table: pd.DataFrame, path: Path, *, title: str, **_: object) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        found.append(title)

    monkeypatch.setattr(evaluation, "plots", SimpleNamespace(leaderboard=draw, history=draw, confusion=draw))
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, titles: list[str]) -> Path:
    """Stand in a project's root that has predictions and a history."""
    monkeypatch.chdir(tmp_path)
    predictions = tmp_path / "data" / "predictions"
    predictions.mkdir(parents=True)
    for model in ANSWERS:
        table(model).to_parquet(predictions / f"{model}.parquet", index=False)
    numbers = {"loss": [2.0, 1.0], "accuracy": [0.3, 0.6], "val_loss": [2.0, 1.5], "val_accuracy": [0.3, 0.5]}
    one = pd.DataFrame({"epoch": [1, 2], **numbers, "val_uar": [0.3, 0.5], "learning_rate": [0.001, 0.001]})
    history = pd.concat([one.assign(fold=1, seed=1), one.assign(fold=1, seed=2, val_uar=[0.7, 0.6])[:1]])
    paths.HISTORY_CSV.parent.mkdir(parents=True)
    history.to_csv(paths.HISTORY_CSV, index=False)
    return predictions


def judged(folder: Path) -> evaluation.Judged:
    return evaluation.judge_all(folder, list(ANSWERS), SETTINGS, emotions=tables.emotions(), seed=1)


def write(folder: Path, *corpora: str, hold_out: str = "speaker") -> None:
    evaluation.write(
        judged(folder),
        corpora=corpora or ["ravdess"],
        split=tables.split(hold_out),
        lstm=LSTM,
        leaks=["Leaks are worth 0.1."],
    )


def written() -> dict[str, bytes]:
    files = [path for name in ("metrics", "reports") for path in Path(name).rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in files}


# Judging --------------------------------------------------------------------------------------------------------------


def test_models_are_judged_and_ranked(folder: Path) -> None:
    """Each model gets the metrics of its own table, and the best on test clips comes first."""
    found = judged(folder)
    assert list(found.board.model) == ["lstm", "knn", "svm"]
    assert list(found.board.uar) == pytest.approx([1, 2 / 3, 1 / 3])
    assert found.classes == CLASSES
    assert found.metrics == {model: numbers_of(model) for model in ANSWERS}


def test_models_are_compared_on_test_clips(folder: Path) -> None:
    """Each two models are compared, and those marked that are not shown to be worse than the best."""
    found = judged(folder)
    tested = {model: headline.tested(table(model)) for model in ANSWERS}
    pd.testing.assert_frame_equal(found.pairs, uncertainty.compare(tested, resamples=100, seed=1))
    assert list(found.board.model[found.board.tied_with_best]) == ["lstm", "knn", "svm"]  # two speakers tell nothing


def test_the_best_are_marked_where_there_are_enough_speakers(folder: Path) -> None:
    """With six speakers a model that is worse for each is shown to be worse; where nobody knows who speaks, none."""
    for speakers, marked in ((list("abcdef") * 2, ["lstm"]), ([""] * 12, ["lstm", "knn", "svm"])):
        for model in ANSWERS:
            named = table(model).assign(speaker=[f"ravdess-{who}" for who in speakers])
            named.to_parquet(folder / f"{model}.parquet", index=False)
        board = judged(folder).board
        assert list(board.model[board.tied_with_best])[: len(marked)] == marked
        assert board.uar_low.notna().all() == (speakers[0] != "")


def test_one_model_alone(folder: Path) -> None:
    """A run without baselines has a leaderboard of one, and no pair."""
    found = evaluation.judge_all(folder, ["lstm"], SETTINGS, emotions=tables.emotions(), seed=1)
    assert list(found.board.tied_with_best) == [True]
    assert found.pairs.empty
    evaluation.write(found, corpora=["ravdess"], split=tables.split("speaker"), lstm=LSTM, leaks=[])
    assert list(pd.read_csv("reports/pairs.csv")) == list(uncertainty.COMPARED)


def test_a_missing_table_is_named(folder: Path) -> None:
    """The error names the table and the model that makes it."""
    (folder / "knn.parquet").unlink()
    with pytest.raises(InputError, match=r"knn\.parquet was not found; run `dvc repro`, which trains knn"):
        judged(folder)


def test_an_invalid_table_is_named(folder: Path) -> None:
    """A table that breaks the contract is refused with the name of its model."""
    table("knn").assign(p_sad=7.0).to_parquet(folder / "knn.parquet")
    with pytest.raises(InputError, match="predictions of knn: "):
        judged(folder)


@pytest.mark.parametrize("change", ["fewer", "more", "others", "parts", "truth"])
def test_models_of_different_clips_are_not_compared(folder: Path, change: str) -> None:
    """Models are ranked only where they answered the same questions: clips, parts, and what is right."""
    own = table("svm")
    changed = {
        "fewer": own.iloc[:-1],
        "more": pd.concat([own, own.iloc[:1].assign(clip_id="tess/OAF_back_sad")]),
        "others": own.assign(clip_id=own.clip_id.str.replace("ravdess", "savee")),
        "parts": own.assign(part=PARTS[::-1]),
        "truth": own.assign(emotion=TRUE[::-1]),
    }
    changed[change].to_parquet(folder / "svm.parquet")
    with pytest.raises(InputError, match=r"svm and lstm|lstm and svm"):
        judged(folder)


def test_the_order_of_rows_does_not_matter(folder: Path) -> None:
    """A model may write its clips in any order."""
    table("svm").sample(frac=1, random_state=0).to_parquet(folder / "svm.parquet")
    assert judged(folder).metrics["svm"] == numbers_of("svm")


# Writing --------------------------------------------------------------------------------------------------------------


def test_what_is_written(folder: Path) -> None:
    """Metrics, leaderboard and history, and a confusion matrix a model and part, as picture and as table."""
    write(folder)
    matrices = {
        f"reports/confusion/{model}_{part}.{kind}"
        for model in ANSWERS
        for part in ("val", "test")
        for kind in ("png", "csv")
    }
    pages = {f"reports/leaderboard.{kind}" for kind in ("md", "csv", "png")}
    assert set(written()) == {
        "metrics/metrics.json", "reports/history.png", "reports/lstm/history.csv", "reports/pairs.csv",
        "reports/model_card.md",
        *pages, *matrices,
    }  # fmt: skip


def test_the_same_bytes_twice(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing again changes nothing, pictures included, so that dvc.lock stays as it is."""
    monkeypatch.setattr(evaluation, "plots", plots)
    write(folder)
    once = written()
    write(folder)
    assert written() == once
    assert all(content.startswith(b"\x89PNG") for name, content in once.items() if name.endswith(".png"))


def test_metrics_json_has_every_number(folder: Path) -> None:
    """{model: {part: {metric: number}}}, as they were judged, for `dvc metrics diff`."""
    write(folder)
    assert json.loads(Path("metrics/metrics.json").read_text()) == judged(folder).metrics


def test_the_leaderboard_as_a_table(folder: Path) -> None:
    """leaderboard.csv is the ranking as it was computed."""
    write(folder)
    pd.testing.assert_frame_equal(pd.read_csv("reports/leaderboard.csv"), judged(folder).board)


def test_the_pairs_as_a_table(folder: Path) -> None:
    """pairs.csv is the comparison of each two models as it was computed."""
    write(folder)
    pd.testing.assert_frame_equal(pd.read_csv("reports/pairs.csv"), judged(folder).pairs)


def test_confusion_tables_have_a_row_a_clip(folder: Path) -> None:
    """DVC draws its own matrix from true and predicted emotions of the part's clips."""
    write(folder)
    rows = pd.read_csv("reports/confusion/knn_test.csv")
    assert rows.to_numpy().tolist() == [list(pair) for pair in zip(TRUE[6:], ANSWERS["knn"][6:], strict=True)]


def test_copies_are_in_no_confusion_matrix(folder: Path) -> None:
    """Altered copies of test clips, which test robustness, are not drawn among the clips."""
    own = table("svm")
    copies = own.assign(augmentation="noise", clip_id=own.clip_id + "+noise.1")
    for model in ANSWERS:
        pd.concat([table(model), copies]).to_parquet(folder / f"{model}.parquet")
    write(folder)
    assert len(pd.read_csv("reports/confusion/svm_test.csv")) == 6


def test_a_model_that_is_gone_leaves_no_matrix(folder: Path) -> None:
    """The folder of matrices has those of this run's models, and none of an earlier run's."""
    write(folder)
    fewer = evaluation.judge_all(folder, ["lstm", "svm"], SETTINGS, emotions=tables.emotions(), seed=1)
    evaluation.write(fewer, corpora=["ravdess"], split=tables.split("speaker"), lstm=LSTM, leaks=[])
    assert {path.stem for path in Path("reports/confusion").iterdir()} == {
        "lstm_test", "lstm_val", "svm_test", "svm_val"
    }  # fmt: skip


@pytest.mark.parametrize(("corpora", "warned"), [(["demo"], True), (["demo", "tess"], True), (["ravdess"], False)])
def test_synthetic_voices_are_warned_of(folder: Path, titles: list[str], corpora: list[str], warned: bool) -> None:
    """On the page and in every picture it stands that synthetic voices mean nothing, and only for synthetic voices."""
    write(folder, *corpora)
    assert (leaderboard.SYNTHETIC in Path("reports/leaderboard.md").read_text()) == warned
    assert len(titles) == 2 + 2 * len(ANSWERS)
    assert [("synthetic" in title) for title in titles] == [warned] * len(titles)


def test_what_leaks_are_worth_stands_on_the_page(folder: Path) -> None:
    """The sentences of the leak meter are among the warnings of the leaderboard's page."""
    write(folder)
    assert "**Leaks are worth 0.1.**" in Path("reports/leaderboard.md").read_text()


def test_random_clips_are_called_optimistic(folder: Path) -> None:
    """The page of a random split says that it flatters."""
    write(folder, hold_out="clip")
    assert "optimistic" in Path("reports/leaderboard.md").read_text()


def test_chance_is_that_of_the_classes_judged(folder: Path) -> None:
    """With three classes chance is a third, and clips are those of the test part."""
    write(folder)
    assert "6 test clips, 3 emotions, chance UAR 0.333" in Path("reports/leaderboard.md").read_text()
