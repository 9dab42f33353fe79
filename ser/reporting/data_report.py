"""The page that shows what data a run is made of, from the tables that the stages leave."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ser import paths
from ser.corpora.base import load_corpus
from ser.dataset.clip_metadata import is_unknown_speaker
from ser.labels import canonical_order
from ser.params import CustomCorpus, Features, Preprocess
from ser.reporting import data_examples, data_plots, data_tables, data_warnings, html_page
from ser.reporting.data_tables import CorpusTables
from ser.utils.errors import UserError
from ser.utils.files import atomic_write
from ser.utils.text import pluralize

BOXES = "Boxes show quartiles, whiskers extend to the minimum and maximum."


def load_corpus_tables(corpora: Iterable[str], *, custom_corpora: Mapping[str, CustomCorpus]) -> list[CorpusTables]:
    """Collect the facts and tables of some corpora.

    Parameters
    ----------
    corpora
        Names.
    custom_corpora
        The section `custom_corpora` of the settings.

    Raises
    ------
    UserError
        If a table is missing, or there is no such corpus.
    """
    return [_source(name, custom_corpora.get(name)) for name in sorted(corpora)]


def _source(name: str, own: CustomCorpus | None) -> CorpusTables:
    return CorpusTables(
        name=name,
        **_facts(name, own),
        folder=paths.raw(name),
        clips=paths.clips(name),
        recordings=_read(paths.recordings(name)),
        measured=_read(paths.audio_stats(name)),
        unusable=_read(paths.rejected(name)),
    )


def _facts(name: str, own: CustomCorpus | None) -> dict[str, Any]:
    if own is not None:
        title = f"Own recordings in {own.folder}"
        return {"title": title, "license_info": "", "citation": "", "url": "", "is_synthetic": False}
    facts = load_corpus(name)
    return {key: getattr(facts, key) for key in ("title", "license_info", "citation", "url", "is_synthetic")}


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, keep_default_na=False)
    except FileNotFoundError:
        raise UserError(f"{path} was not found; run `dvc repro`, which makes it.") from None


def write(
    path: Path,
    pictures: Path,
    *,
    sources: Sequence[CorpusTables],
    clips: pd.DataFrame,
    left_out: pd.DataFrame,
    left_out_file: str,
    labels: Mapping[str, str],
    settings: Preprocess,
    features: Features,
) -> None:
    """Write the page, and beside it the pictures that it holds.

    Parameters
    ----------
    path
        Of the page.
    pictures
        Folder of PNGs; it is made anew.
    sources
        Each corpus of the run.
    clips
        Clip table of their originals.
    left_out
        clip_id and reason of the clips that the run does not use.
    left_out_file
        Where all of these are, for the reader.
    labels
        Emotion -> class of this run, as `ser.labels.label_map` makes it.
    settings, features
        The sections `preprocess` and `features` of the settings.

    Raises
    ------
    UserError
        If a recording that is shown cannot be read.
    """
    sources = sorted(sources, key=lambda source: source.name)
    rows = data_tables.join(clips, sources, left_out=left_out, labels=labels)
    used = rows[rows.used].reset_index(drop=True)
    matrix = data_tables.count_classes(used)
    with atomic_write(pictures) as folder:
        folder.mkdir()
        drawn = _figures(rows, folder) if len(rows) else {}
        examples = {source.name: _examples(source, rows, folder, features=features) for source in sources}
    html_page.write(
        path,
        "data.html.j2",
        headline=_headline(rows, sources),
        remainder=_remainder(rows, sources),
        notes=_notes(used, matrix, sources=sources, settings=settings),
        merged={emotion: label for emotion, label in labels.items() if emotion != label},
        tables=data_tables.describe(rows, matrix, sources=sources, settings=settings),
        pictures=drawn,
        examples={name: some for name, some in examples.items() if some},
        unusable=[lost for source in sources if (lost := data_tables.unusable(source))],
        left_out=data_tables.left_out(rows, left_out, file=left_out_file),
        preprocessing=_preprocessing(settings),
        sources=sources,
    )


def _examples(
    source: CorpusTables, rows: pd.DataFrame, folder: Path, *, features: Features
) -> list[data_examples.Example]:
    own = rows[rows.corpus == source.name]
    return data_examples.make(own, recordings=source.folder, clips=source.clips, pictures=folder, features=features)


def _headline(rows: pd.DataFrame, sources: Sequence[CorpusTables]) -> str:
    """Say in one sentence what there is."""
    known = rows.speaker[~is_unknown_speaker(rows)].nunique()
    voices = pluralize(known, "known speaker" if len(rows) and _some_unknown(rows) else "speaker")
    corpora = pluralize(len(sources), "corpus", "corpora")
    length = _length((rows.n_samples / rows.clip_rate).sum())
    names = ", ".join(source.name for source in sources)
    return f"{pluralize(len(rows), 'clip')} by {voices}, {length}, from {corpora}: {names}."


def _some_unknown(rows: pd.DataFrame) -> bool:
    return bool(is_unknown_speaker(rows).any())


def _remainder(rows: pd.DataFrame, sources: Sequence[CorpusTables]) -> str:
    """Say how many of the recordings the run uses, and what became of the others."""
    unusable = sum(len(source.unusable) for source in sources)
    used = int(rows.used.sum())
    left = f"; {len(rows) - used:,} are left out" if used < len(rows) else ""
    emotions = pluralize(rows.label[rows.used].nunique(), "emotion")
    lost = f"{pluralize(unusable, 'recording')} could not be used." if unusable else "No recording was unusable."
    return f"This run uses {used:,} of them, in {emotions}{left}. {lost}"


def _length(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.1f} minutes"


def _notes(
    used: pd.DataFrame, matrix: pd.DataFrame, *, sources: Sequence[CorpusTables], settings: Preprocess
) -> list[html_page.Callout]:
    return [
        *data_warnings.synthetic([source.name for source in sources if source.is_synthetic]),
        *data_warnings.unknown_speakers(used),
        *data_warnings.missing_emotions(matrix),
        *data_warnings.gender_confounds(used),
        *data_warnings.bandwidth_confounds(used, sample_rate=settings.sample_rate),
        *data_warnings.level_confounds(used),
    ]


def _preprocessing(settings: Preprocess) -> str:
    """Say in one sentence what was done to the recordings."""
    unit = "LUFS" if settings.normalize == "loudness" else "dBFS"
    noise, cut, level = "noise left as it is", "nothing cut off", "levels left as they are"
    if settings.denoise_strength:
        noise = f"{settings.denoise_strength:.0%} of stationary noise taken away"
    if settings.trim_top_db is not None:
        cut = f"ends cut off that stay {settings.trim_top_db:g} dB below the loudest"
    if settings.normalize != "none":
        level = f"brought to {html_page.decibels(settings.target_level_db)} {unit} ({settings.normalize})"
    return f"mono at {settings.sample_rate / 1000:g} kHz, {noise}, {cut}, {level}"


def _figures(rows: pd.DataFrame, folder: Path) -> dict[str, html_page.Picture]:
    """Draw what is counted and measured, and take it into the page."""
    order = canonical_order(rows.emotion)
    counts = rows.assign(sex=data_tables.sex_names(rows.sex)).groupby(["corpus", "emotion", "sex"]).size()
    names = ", ".join(sorted(rows.corpus.unique()))
    data_plots.plot_emotions(
        counts.rename("clips").reset_index(), folder / "emotions.png", order=order, title="Clips by emotion"
    )
    if len(voices := data_tables.count_speakers(rows)):
        data_plots.plot_speakers(voices, folder / "speakers.png", title="Clips by speaker")
    _before_after(rows, folder / "seconds.png", "duration", "clip_duration", label="Duration (s)", title="Duration")
    _before_after(rows, folder / "levels.png", "level_db", "clip_level_db", label="RMS level (dBFS)", title="Level")
    said = {
        "emotions": ("Clips by emotion and sex of the speaker", "The scale differs between corpora."),
        "speakers": ("Clips by speaker", "The scale differs between corpora; speakers with most clips first."),
        "seconds": ("Box plots of the duration of recordings before and after preprocessing", BOXES),
        "levels": ("Box plots of the RMS level of recordings before and after preprocessing", BOXES),
    }
    return {
        name: html_page.picture(
            folder / f"{name}.png", alt=f"{shows}, in {names}. The table below has the numbers.", caption=caption
        )
        for name, (shows, caption) in said.items()
        if (folder / f"{name}.png").exists()
    }


def _before_after(rows: pd.DataFrame, path: Path, before: str, after: str, *, label: str, title: str) -> None:
    table = pd.DataFrame({"corpus": rows.corpus, "before": rows[before], "after": rows[after]}).dropna()
    data_plots.plot_before_after(table, path, label=label, title=f"{title} before and after preprocessing")
