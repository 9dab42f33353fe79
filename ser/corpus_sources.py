"""What the page about corpora is made of: facts for people, and the tables that stages left of each corpus."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ser import paths
from ser.corpora.facts import load_corpus
from ser.corpus_tables import CorpusSource
from ser.errors import InputError
from ser.params import Own


def gather(corpora: Iterable[str], *, own_recordings: Mapping[str, Own]) -> list[CorpusSource]:
    """Collect the facts and tables of some corpora.

    Parameters
    ----------
    corpora
        Names.
    own_recordings
        The section `own` of the settings.

    Raises
    ------
    InputError
        If a table is missing, or there is no such corpus.
    """
    return [_source(name, own_recordings.get(name)) for name in sorted(corpora)]


def _source(name: str, own: Own | None) -> CorpusSource:
    return CorpusSource(
        name=name,
        **_facts(name, own),
        folder=paths.raw(name),
        clips=paths.clips(name),
        recordings=_read(paths.recordings(name)),
        measured=_read(paths.audio_stats(name)),
        unusable=_read(paths.rejected(name)),
    )


def _facts(name: str, own: Own | None) -> dict[str, Any]:
    if own is not None:
        title = f"Own recordings in {own.folder}"
        return {"title": title, "licence": "", "citation": "", "url": "", "synthetic": False}
    facts = load_corpus(name)
    return {key: getattr(facts, key) for key in ("title", "licence", "citation", "url", "synthetic")}


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, keep_default_na=False)
    except FileNotFoundError:
        raise InputError(f"{path} was not found; run `dvc repro`, which makes it.") from None
