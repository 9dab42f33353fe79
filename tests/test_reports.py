"""What people read says what was tested on what, and what it does not mean."""

from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tables

from ser import metrics, reports
from ser.corpora.facts import known_corpora, load_corpus
from ser.errors import InputError


def board() -> pd.DataFrame:
    test = dict.fromkeys(("uar", "accuracy", "precision", "recall", "f1", "roc_auc"), 0.51239)
    return metrics.leaderboard(
        {"svm": {"test": test, "val": {"uar": 0.25}}, "lstm": {"test": test | {"uar": 0.75}, "val": {"uar": 0.5}}}
    )


def page(*notes: str) -> str:
    return reports.leaderboard_markdown(board(), protocol="ravdess, tested so", clips=240, classes=8, notes=notes)


@pytest.mark.parametrize("say", [partial(reports.protocol, unknown=[]), partial(reports.caption, unknown=[])])
def test_random_clips_are_called_optimistic(say: object) -> None:
    """Page and pictures say that the usual random split flatters, and do not say so of unseen speakers."""
    assert callable(say)
    assert "optimistic" in say(["ravdess"], tables.split("clip"))
    by_speaker = say(["ravdess"], tables.split("speaker"))
    assert "optimistic" not in by_speaker
    assert "speakers" in by_speaker


@pytest.mark.parametrize("say", [partial(reports.protocol, unknown=[]), partial(reports.caption, unknown=[])])
def test_corpora_are_named_in_one_order(say: object) -> None:
    """The same run says the same, in whatever order params.yaml lists its corpora."""
    assert callable(say)
    one, other = (say(corpora, tables.split("speaker")) for corpora in (["tess", "ravdess"], ["ravdess", "tess"]))
    assert one == other
    assert one.startswith("ravdess + tess, ")


@pytest.mark.parametrize(
    ("corpora", "warned"), [(["demo"], True), (["ravdess", "demo"], True), (["ravdess"], False), (["tess"], False)]
)
def test_synthetic_voices_are_warned_of(corpora: list[str], warned: bool) -> None:
    """Where synthetic voices had a part, pictures and page say that the numbers mean nothing about people."""
    assert ("synthetic" in reports.caption(corpora, tables.split("speaker"), unknown=[])) == warned
    assert reports.warnings(corpora, unknown=[]) == ([reports.SYNTHETIC] if warned else [])
    assert "nothing about people" in reports.SYNTHETIC


def test_unknown_speakers_are_warned_of() -> None:
    """Where nobody knows who speaks, pictures and page say that the score is not speaker-independent."""
    assert "not speaker-independent" in reports.caption(["mine"], tables.split("speaker"), unknown=["mine"])
    for say in (reports.protocol, reports.caption):
        assert "optimistic" in say(["mine"], tables.split("speaker"), unknown=["mine"])
        assert "optimistic" not in say(["mine", "tess"], tables.split("speaker"), unknown=["mine"])
    [warning] = reports.warnings(["mine", "tess"], unknown=["mine"])
    assert "mine" in warning and "tess" not in warning
    assert "not speaker-independent" in warning


@pytest.mark.parametrize(
    ("corpora", "settings", "said", "optimistic"),
    [
        ("ravdess", {"hold_out": "speaker", "folds": 5}, "5-fold cross-validation over speakers", False),
        ("ravdess", {"hold_out": "text"}, "sentences", True),
        ("tess", {"hold_out": "text", "folds": 4}, "4-fold cross-validation over sentences", True),
        ("ravdess", {"hold_out": "clip", "folds": 10}, "10-fold cross-validation over random clips", True),
        ("ravdess tess demo", {"hold_out": "corpus"}, "3-fold cross-validation over corpora", False),
        (
            "savee ravdess",
            {"hold_out": "speaker", "published": "emobox"},
            "6-fold cross-validation over speakers",
            False,
        ),
        ("tess", {"hold_out": "speaker", "published": "both_ways"}, "2-fold cross-validation over speakers", False),
    ],
)
def test_each_protocol_is_said(corpora: str, settings: dict[str, Any], said: str, optimistic: bool) -> None:
    """Page and pictures name the folds and what they hold out, and call those optimistic that know the voices."""
    for say in (reports.protocol, reports.caption):
        sentence = say(corpora.split(), tables.split(**settings), unknown=[])
        assert said in sentence
        assert ("optimistic" in sentence) == optimistic


def test_published_folds_are_credited() -> None:
    """The page says whose folds they are."""
    sentence = reports.protocol(["ravdess"], tables.split("speaker", published="emobox"), unknown=[])
    assert sentence.startswith("ravdess, 6-fold cross-validation over speakers, by EmoBox's folds, ")
    published = {table for name in known_corpora() for table in load_corpus(name).folds}
    assert set(reports.TABLES) == published


def test_the_leaderboard_page() -> None:
    """The page has the protocol, chance, the warnings before the numbers, and a row per model, best first."""
    lines = page("Beware.").splitlines()
    assert lines[0] == "# Leaderboard"
    assert "Ravdess, tested so. 240 test clips, 8 emotions, chance UAR 0.125." in lines
    header = next(i for i, line in enumerate(lines) if "UAR" in line and line.startswith("|"))
    assert lines.index("**Beware.**") < header
    names = [cell.strip() for cell in lines[header].strip("|").split("|")]
    assert names == ["rank", "model", "UAR", "accuracy", "precision", "recall", "F1", "ROC-AUC", "UAR on validation"]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[header + 2 : header + 4]]
    assert [row[:3] for row in rows] == [["1", "lstm", "0.750"], ["2", "svm", "0.512"]]
    assert [row[-1] for row in rows] == ["0.500", "0.250"]
    assert "UAR is the unweighted average" in page()


def test_a_page_without_warnings() -> None:
    """Nothing is printed in bold where there is nothing to warn of."""
    assert "**" not in page()


def test_the_terminal_shows_the_page_and_where_to_look(tmp_path: Path) -> None:
    """After a run one sees the leaderboard and the places of matrices, history and all runs."""
    (tmp_path / "leaderboard.md").write_text(page(), encoding="utf-8")
    said = reports.terminal(tmp_path)
    assert said.startswith(page())
    for place in ("leaderboard.md", "confusion", "history.png"):
        assert str(tmp_path / place) in said
    assert "http://127.0.0.1:5000" in said


def test_the_terminal_before_the_first_run(tmp_path: Path) -> None:
    """Without a leaderboard the error says what makes one."""
    with pytest.raises(InputError, match=r"leaderboard\.md was not found; run `dvc repro` first"):
        reports.terminal(tmp_path)
