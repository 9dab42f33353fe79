"""Write the data report, an HTML page about the corpora of a run, from the tables of the earlier stages."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ser import paths
from ser.corpora.base import load_corpus
from ser.dataset.clip_metadata import is_unknown_speaker, n_known_speakers
from ser.labels import canonical_order
from ser.params import CustomCorpus, Features, Preprocess
from ser.reporting import data_examples, data_plots, data_tables, data_warnings, html_page
from ser.reporting.data_tables import CorpusTables
from ser.utils.errors import UserError
from ser.utils.files import atomic_write, write_text
from ser.utils.text import pluralize

BOXES = "Boxes show quartiles, whiskers extend to the minimum and maximum."


def load_corpus_tables(corpora: Iterable[str], *, custom_corpora: Mapping[str, CustomCorpus]) -> list[CorpusTables]:
    """Load the metadata and tables of corpora.

    Raises
    ------
    UserError
        If a table is missing, or a corpus is unknown.
    """
    return [
        CorpusTables(
            name=name,
            metadata=_metadata(name, custom_corpora.get(name)),
            folder=paths.raw(name),
            clips=paths.clips(name),
            recordings=_read(paths.recordings(name)),
            audio_stats=_read(paths.audio_stats(name)),
            rejected=_read(paths.rejected(name)),
            import_notes=_read_notes(paths.import_notes(name)),
        )
        for name in sorted(corpora)
    ]


def _metadata(name: str, custom: CustomCorpus | None) -> dict[str, Any]:
    if custom is not None:
        title = f"Custom recordings in {custom.folder}"
        return {"title": title, "license_info": "", "citation": "", "url": "", "is_synthetic": False}
    corpus = load_corpus(name)
    return {key: getattr(corpus, key) for key in ("title", "license_info", "citation", "url", "is_synthetic")}


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, keep_default_na=False)
    except FileNotFoundError:
        raise UserError(f"{path} was not found; run `dvc repro` to create it.") from None


def _read_notes(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise UserError(f"{path} was not found; run `dvc repro` to create it.") from None


def write(
    path: Path,
    pictures: Path,
    *,
    sources: Sequence[CorpusTables],
    clips: pd.DataFrame,
    excluded: pd.DataFrame,
    excluded_file: str,
    labels: Mapping[str, str],
    settings: Preprocess,
    features: Features,
) -> None:
    """Write the report, and its figures as separate files.

    Parameters
    ----------
    pictures
        Folder of the PNGs; it is replaced.
    clips
        Clip table of the original clips.
    excluded
        clip_id and reason of the clips that the run does not use.
    excluded_file
        Path of the full list, for readers.
    labels
        Class of this run by emotion, of `ser.labels.label_map`.

    Raises
    ------
    UserError
        If a recording of an example cannot be decoded.
    """
    sources = sorted(sources, key=lambda source: source.name)
    synthetic = [source.name for source in sources if source.metadata["is_synthetic"]]
    rows = data_tables.join_tables(clips, sources, excluded=excluded, labels=labels)
    used = rows[rows.used].reset_index(drop=True)
    matrix = data_tables.count_classes(used)
    durations = {source.name: source.audio_stats.drop_duplicates("file").duration for source in sources}
    examples = {}
    with atomic_write(pictures) as folder:
        folder.mkdir()
        figures = _figures(rows, folder) if len(rows) else {}
        for source in sources:
            group = rows[rows.corpus == source.name]
            examples[source.name] = data_examples.make_examples(group, source, pictures=folder, features=features)
    page = html_page.render(
        "data.html.j2",
        pluralize=pluralize,
        counts={
            "clips": len(rows),
            "speakers": n_known_speakers(rows),
            "seconds": (rows.n_samples / rows.clip_rate).sum(),
            "used": len(used),
            "emotions": used.label.nunique(),
            "rejected": sum(len(source.rejected) for source in sources),
        },
        has_unknown_speakers=is_unknown_speaker(rows).any(),
        notes=[
            *data_warnings.synthetic(synthetic),
            *data_warnings.unknown_speakers(used),
            *data_warnings.missing_emotions(matrix),
            *data_warnings.equal_durations(durations),
            *data_warnings.confounds(used, sample_rate=settings.sample_rate),
        ],
        merged=[
            f"{emotion} → {labels[emotion]} ({pluralize(len(group), 'clip')})"
            for emotion, group in used.groupby("emotion")
            if emotion != labels[emotion]
        ],
        import_notes={source.name: source.import_notes for source in sources if source.import_notes},
        tables=data_tables.make_tables(rows, matrix, sources=sources, settings=settings),
        pictures=figures,
        examples={name: group for name, group in examples.items() if group},
        rejected=data_tables.rejected_recordings(sources),
        excluded=data_tables.excluded_clips(rows, excluded, file=excluded_file),
        settings=settings,
        target_level=html_page.format_number(settings.target_level_db, decimals=1),
        sources={source.name: source.metadata for source in sources},
    )
    write_text(path, page)


def _figures(rows: pd.DataFrame, folder: Path) -> dict[str, html_page.Picture]:
    names = ", ".join(sorted(rows.corpus.unique()))
    scale = "The scale differs between corpora." if rows.corpus.nunique() > 1 else ""
    recordings = rows.drop_duplicates("recording_id")
    order, speakers = canonical_order(rows.emotion), data_tables.count_speakers(rows)
    sexes = rows.assign(sex=data_tables.sex_names(rows.sex))
    emotions = sexes.groupby(["corpus", "emotion", "sex"]).size().reset_index(name="clips")
    durations = (
        recordings[["corpus", "duration", "clip_duration"]].set_axis(["corpus", "before", "after"], axis=1).dropna()
    )
    levels = (
        recordings[["corpus", "level_db", "clip_level_db"]].set_axis(["corpus", "before", "after"], axis=1).dropna()
    )
    both = "before and after preprocessing"
    figures: list[tuple[str, Callable[..., None], pd.DataFrame, str, str, dict[str, Any]]] = [
        ("emotions", data_plots.plot_emotions, emotions, "Clips by emotion", scale, {"order": order}),
        ("speakers", data_plots.plot_speakers, speakers, "Clips by speaker, most clips first", scale, {}),
        ("durations", data_plots.plot_before_after, durations, f"Duration {both}", BOXES, {"label": "Duration (s)"}),
        ("levels", data_plots.plot_before_after, levels, f"RMS level {both}", BOXES, {"label": "RMS level (dBFS)"}),
    ]
    return {
        name: html_page.plot(
            function,
            table,
            folder / f"{name}.png",
            title=title,
            alt=f"{title}, in {names}. The table below has the numbers.",
            caption=caption,
            **options,
        )
        for name, function, table, title, caption, options in figures
        if len(table)
    }
