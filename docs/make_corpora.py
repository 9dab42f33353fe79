"""Write docs/corpora.md from the facts in ser/corpora: python -m docs.make_corpora."""

from pathlib import Path

from ser.corpus_pages import corpora_markdown

Path(__file__).with_name("corpora.md").write_text(corpora_markdown(), encoding="utf-8")
