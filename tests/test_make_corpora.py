"""Test the generated page about corpora."""

import pytest

from ser.corpora.base import known_corpora, load_corpus
from ser.labels import EMOTIONS
from tools.make_corpora import OUTPUT, corpora_markdown, count_emotions


def test_committed_page_is_up_to_date() -> None:
    """docs/corpora.md is what `make docs` writes."""
    assert OUTPUT.read_text(encoding="utf-8") == corpora_markdown(), "run `make docs`"


@pytest.mark.parametrize("name", known_corpora())
def test_table_of_emotions(name: str) -> None:
    """The table marks the emotions that a corpus lacks, and listed recordings are all counted."""
    corpus = load_corpus(name)
    row = next(line for line in corpora_markdown().splitlines() if line.startswith(f"| `{name}` |"))
    cells = dict(zip(EMOTIONS, [cell.strip() for cell in row.split("|")[2:]], strict=False))
    missing = {emotion for emotion, cell in cells.items() if cell == "none"}
    assert missing == set(EMOTIONS) - {*corpus.emotions.values()}
    assert sum(count_emotions(corpus).values()) == (corpus.n_recordings if corpus.expected_files() else 0)
