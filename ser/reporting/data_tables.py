"""Tables of the data report: clips, speakers, durations, levels, formats and exclusions by corpus."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from ser import paths
from ser.dataset.clip_metadata import is_unknown_speaker
from ser.labels import canonical_order
from ser.params import Preprocess
from ser.reporting import data_warnings, html_page

MAX_LISTED, MAX_REASONS = 50, 12
"""Largest numbers of excluded recordings that are listed, and of reasons that are counted separately, per corpus."""
NO_CLASS = "its emotion is not a class of this run"
_CHANNELS = {1: "mono", 2: "stereo"}
SEXES = {"f": "female", "m": "male", "": "unknown"}


@dataclass(frozen=True)
class CorpusTables:
    """Metadata, paths and tables of a corpus.

    Attributes
    ----------
    metadata
        title, license_info, citation and url for readers, empty if unknown, and is_synthetic.
    clips
        Clip table with the column ``audio``.
    recordings
        Labels of the recordings: file (relative to the folder), speaker, sex, emotion, intensity, sentence, language.
    audio_stats
        Recordings with a clip: file, sample_rate (Hz), channels, duration, level_db (RMS, dBFS) and peak_db of the
        original, clip_duration and clip_level_db.
    rejected
        Recordings without a clip: file, reason.
    import_notes
        Notes of the import: counts, and files that are left out or changed.
    """

    name: str
    metadata: Mapping[str, Any]
    folder: Path
    clips: Path
    recordings: pd.DataFrame
    audio_stats: pd.DataFrame
    rejected: pd.DataFrame
    import_notes: Sequence[str] = ()


def join_tables(
    clips: pd.DataFrame, sources: Sequence[CorpusTables], *, excluded: pd.DataFrame, labels: Mapping[str, str]
) -> pd.DataFrame:
    """Join clips, labels of the run and audio statistics: one row per clip, sorted by clip_id.

    The columns `label` (class of the run, NaN without one), `used`, `clip_rate` and `original_rate` are added.
    """
    rows = clips.drop(columns="sample_rate").assign(
        clip_rate=clips.sample_rate, sex=clips.sex.fillna(""), label=clips.emotion.map(labels)
    )
    rows["used"] = rows.label.notna() & ~rows.clip_id.isin(excluded.clip_id)
    stats = [
        source.audio_stats.assign(
            recording_id=[f"{source.name}/{PurePosixPath(file).with_suffix('')}" for file in source.audio_stats.file]
        )
        for source in sources
    ]
    # empty tables would change the column types of all others
    full = [table for table in stats if len(table)] or stats[:1]
    table = pd.concat(full, ignore_index=True).rename(columns={"sample_rate": "original_rate"})
    table = table.astype({"recording_id": str})
    return rows.merge(table, on="recording_id", how="left").sort_values("clip_id", ignore_index=True)


def sex_names(sexes: pd.Series) -> pd.Series:
    """Replace ``f`` and ``m`` by ``female`` and ``male``, and other values by ``unknown``."""
    return sexes.map(lambda sex: SEXES.get(sex, SEXES[""]))


def count_classes(used: pd.DataFrame) -> pd.DataFrame:
    """Count clips by corpus and class of the run."""
    counts = pd.crosstab(used.corpus, used.label)
    return counts[canonical_order(counts.columns)]


def make_tables(
    rows: pd.DataFrame, matrix: pd.DataFrame, *, sources: Sequence[CorpusTables], settings: Preprocess
) -> dict[str, html_page.Table]:
    """Make the tables of the report; without clips, only the overview.

    `rows` and `matrix` are results of `join_tables` and `count_classes`.
    """
    tables = {"overview": _overview(rows, sources)}
    if rows.used.any():
        tables["matrix"] = _class_table(matrix)
    if len(rows):
        recordings = rows.drop_duplicates("recording_id")
        target = f"{settings.sample_rate / 1000:g} kHz"
        tables |= {
            "emotions": _emotion_table(rows),
            "speakers": _speaker_table(rows),
            "durations": _duration_table(recordings),
            "levels": _level_table(recordings),
            "levels_by_emotion": _level_by_emotion_table(recordings),
            "rates": html_page.table(
                pd.crosstab(recordings.corpus, recordings.original_rate).rename(
                    columns=lambda rate: f"{rate / 1000:g} kHz"
                ),
                caption=f"Recordings by original sample rate; clips are resampled to {target}",
            ),
            "channels": html_page.table(
                pd.crosstab(recordings.corpus, recordings.channels).rename(
                    columns=lambda n: _CHANNELS.get(n, f"{n:g} channels")
                ),
                caption="Recordings by number of channels; clips are mono",
            ),
        }
    return tables


def _overview(rows: pd.DataFrame, sources: Sequence[CorpusTables]) -> html_page.Table:
    lines = {}
    for source in sources:
        group = rows[rows.corpus == source.name]
        lines[source.name] = {
            "recordings": group.recording_id.nunique() + len(source.rejected),
            "rejected": len(source.rejected),
            "segmented": int((group.recording_id.value_counts() > 1).sum()),
            "clips": len(group),
            "clips left out": int((~group.used).sum()),
            "clips used": int(group.used.sum()),
            "speakers": "unknown" if is_unknown_speaker(group).any() else group.speaker.nunique(),
            "emotions": group.emotion.nunique(),
            "sentences": group.sentence[group.sentence != ""].nunique() or html_page.MISSING,
            "minutes": float((group.n_samples / group.clip_rate).sum() / 60),
            "language": ", ".join(sorted(set(group.language) - {""})) or html_page.MISSING,
        }
    frame = pd.DataFrame.from_dict(lines, orient="index").rename_axis("corpus")
    return html_page.table(frame, caption="Overview of the corpora", formats={"minutes": "{:,.0f}".format})


def _class_table(matrix: pd.DataFrame) -> html_page.Table:
    shown = matrix.assign(**{"all emotions": matrix.sum(axis=1)})
    if len(matrix) > 1:
        shown.loc["all corpora"] = shown.sum(axis=0)
    return html_page.table(
        shown.rename_axis("corpus"),
        caption="Clips used, by corpus and class; marked: missing in this corpus only",
        formats=dict.fromkeys(matrix.columns, lambda count: f"{count:,}" if count else "none"),
        marked=data_warnings.is_missing(matrix),
    )


def _emotion_table(rows: pd.DataFrame) -> html_page.Table:
    counts = pd.crosstab([rows.corpus, sex_names(rows.sex)], rows.emotion)
    counts = counts[canonical_order(counts.columns)]
    counts["all"] = counts.sum(axis=1)
    return html_page.table(counts, caption="All clips, by corpus, sex of the speaker, and emotion label of the corpus")


def _speaker_table(rows: pd.DataFrame) -> html_page.Table:
    speakers = count_speakers(rows)
    by = speakers.groupby("corpus")
    counts = pd.crosstab(speakers.corpus, speakers.sex).reindex(columns=list(SEXES.values()), fill_value=0)
    clips = by.clips.agg(["min", "median", "max"]).set_axis(["fewest clips", "median clips", "most clips"], axis=1)
    frame = pd.concat([by.size().rename("speakers"), counts, clips.round().astype(int)], axis=1).astype(object)
    frame = frame.reindex(sorted(rows.corpus.unique())).rename(columns={"unknown": "sex unknown"})
    return html_page.table(frame.rename_axis("corpus"), caption="Known speakers, and clips per speaker")


def count_speakers(rows: pd.DataFrame) -> pd.DataFrame:
    """Count clips by known speaker, most clips first: corpus, speaker (without the corpus), sex and clips."""
    known = rows[~is_unknown_speaker(rows)]
    names = [name.removeprefix(f"{corpus}-") for name, corpus in zip(known.speaker, known.corpus, strict=True)]
    by = known.assign(speaker=names, sex=sex_names(known.sex)).groupby(["corpus", "speaker"])
    sexes = by.sex.agg(lambda sex: sex.iloc[0] if sex.nunique() == 1 else SEXES[""])
    speakers = pd.concat([sexes, by.size().rename("clips")], axis=1).reset_index()
    return speakers.sort_values(["corpus", "clips", "speaker"], ascending=[True, False, True], ignore_index=True)


def _duration_table(rows: pd.DataFrame) -> html_page.Table:
    frame = _before_after(rows, "duration", "clip_duration", names=("shortest", "median", "longest"))
    frame["removed"] = 1 - rows.groupby("corpus").clip_duration.sum() / rows.groupby("corpus").duration.sum()
    formats = dict.fromkeys(frame.columns, "{:.2f}".format) | {"removed": "{:.0%}".format}
    return html_page.table(frame, caption="Duration in seconds, before and after preprocessing", formats=formats)


def _level_table(rows: pd.DataFrame) -> html_page.Table:
    frame = _before_after(rows, "level_db", "clip_level_db", names=("minimum", "median", "maximum"))
    frame.insert(3, "highest peak before", rows.groupby("corpus").peak_db.max())
    return _decibel_table(frame, caption="RMS level in dBFS, before and after preprocessing")


def _before_after(rows: pd.DataFrame, before: str, after: str, *, names: Sequence[str]) -> pd.DataFrame:
    """Compute minimum, median and maximum of two columns by corpus; `names` are the names of these statistics."""
    frame = rows.groupby("corpus")[[before, after]].agg(["min", "median", "max"])
    return frame.set_axis([f"{name} {when}" for when in ("before", "after") for name in names], axis=1)


def _level_by_emotion_table(rows: pd.DataFrame) -> html_page.Table:
    frame = rows.pivot_table(index="corpus", columns="emotion", values="level_db", aggfunc="median")
    caption = "Median RMS level in dBFS before preprocessing, by emotion"
    return _decibel_table(frame[canonical_order(frame.columns)], caption=caption)


def _decibel_table(frame: pd.DataFrame, *, caption: str) -> html_page.Table:
    decibels = partial(html_page.format_number, decimals=1)
    return html_page.table(frame, caption=caption, formats=dict.fromkeys(frame.columns, decibels))


def rejected_recordings(sources: Sequence[CorpusTables]) -> list[dict[str, Any]]:
    """Summarize the invalid recordings, those without a clip, by corpus."""
    summaries = []
    for source in sources:
        emotions = source.recordings.drop_duplicates("file").set_index("file").emotion
        table = source.rejected.assign(emotion=source.rejected.file.map(emotions)).set_index("file")
        if len(table):
            summaries.append(_summarize(table, corpus=source.name, file=str(paths.rejected(source.name))))
    return summaries


def excluded_clips(rows: pd.DataFrame, reasons: pd.DataFrame, *, file: str) -> list[dict[str, Any]]:
    """Summarize the clips that the run does not use, by corpus; `reasons` has clip_id and reason."""
    known = dict(zip(reasons.clip_id, reasons.reason, strict=True))
    unused = rows[~rows.used]
    unused = unused.assign(reason=[known.get(clip_id, NO_CLASS) for clip_id in unused.clip_id]).set_index("clip_id")
    return [_summarize(group, corpus=str(corpus), file=file) for corpus, group in unused.groupby("corpus")]


def _summarize(table: pd.DataFrame, *, corpus: str, file: str) -> dict[str, Any]:
    """Count and list the exclusions of a table with an index of names and the columns reason and emotion."""
    listed = table[["reason", "emotion"]].sort_index()[:MAX_LISTED]
    more = len(table) - len(listed)
    title = f"the first {len(listed)} of {len(table):,}" if more else "all"
    return {
        "title": f"{corpus}: {title} excluded",
        "reasons": html_page.table(_count_reasons(table.reason), caption=f"{corpus}: excluded by reason"),
        "listed": html_page.table(listed, caption=f"{corpus}: {title} excluded"),
        "more": more,
        "file": file,
    }


def _count_reasons(reasons: pd.Series) -> pd.DataFrame:
    """Count reasons, most frequent first; those that differ only in names or numbers are counted together."""
    groups = reasons.groupby(reasons.map(_generalize)).agg(["size", "nunique", "first"])
    names = groups["first"].where(groups["nunique"] == 1, groups.index)
    counts = groups["size"].set_axis(names).sort_values(ascending=False, kind="stable")
    if len(counts) > MAX_REASONS:
        counts = pd.concat([counts[:MAX_REASONS], pd.Series({"others": counts[MAX_REASONS:].sum()})])
    return counts.rename("count").rename_axis("reason").to_frame()


def _generalize(reason: str) -> str:
    """Remove the details of one recording from a reason: words with digits or slashes, and text after a colon."""
    return re.sub(r"[^\s,;()]*[\d/][^\s,;()]*", "…", reason.split(": ")[0])
