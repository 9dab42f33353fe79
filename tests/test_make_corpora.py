"""The page about corpora says what the facts say."""

import pytest

from ser.corpora.base import known_corpora, load_corpus
from ser.labels import EMOTIONS
from tools.make_corpora import OUTPUT, corpora_markdown, counts


def test_the_committed_page_is_made_of_the_facts() -> None:
    """Nobody edits the page by hand, and a change of facts reaches it."""
    assert OUTPUT.read_text(encoding="utf-8") == corpora_markdown(), "run `make docs`"


@pytest.mark.parametrize("name", known_corpora())
def test_what_a_corpus_lacks_is_marked(name: str) -> None:
    """In the table each emotion of a corpus is counted, where names are listed, and each other one is said to lack."""
    corpus = load_corpus(name)
    row = next(line for line in corpora_markdown().splitlines() if line.startswith(f"| `{name}` |"))
    cells = dict(zip(EMOTIONS, [cell.strip() for cell in row.split("|")[2:]], strict=False))
    assert {emotion for emotion, cell in cells.items() if cell == "lacks"} == set(EMOTIONS) - {
        *corpus.emotions.values()
    }
    assert sum(counts(corpus).values()) == (corpus.n_recordings if corpus.expected_files() else 0)
