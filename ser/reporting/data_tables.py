"""Tables of what a run's corpora hold, counted and measured."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from ser import paths
from ser.dataset.clip_metadata import is_unknown_speaker
from ser.labels import canonical_order
from ser.params import Preprocess
from ser.reporting import data_warnings, html_page

LISTED = 50
"""Recordings of a corpus that are named with the reason why they are not used."""
KINDS = 12
"""Reasons that are counted by themselves."""
NO_CLASS = "its emotion is not a class of this run"
SEXES = {"f": "female", "m": "male", "": "unknown"}


@dataclass(frozen=True)
class CorpusTables:
    """A corpus: facts for people, where its audio is, and what was found there.

    Attributes
    ----------
    name
        As in the clip table.
    title, license_info, citation, url
        For people; those that are not known are empty.
    is_synthetic
        Whether nobody ever said this.
    folder
        Holds the recordings.
    clips
        Clip table with the column ``audio``.
    recordings
        What names or a table say: file (below the folder), speaker, sex, emotion, intensity, sentence, language.
    measured
        Of the recordings that became clips: file, sample_rate (Hz), channels, duration, level_db (RMS, dBFS), peak_db,
        all of the original, clip_duration and clip_level_db.
    unusable
        Of those that did not: file, reason.
    """

    name: str
    title: str
    license_info: str
    citation: str
    url: str
    is_synthetic: bool
    folder: Path
    clips: Path
    recordings: pd.DataFrame
    measured: pd.DataFrame
    unusable: pd.DataFrame


def join(
    clips: pd.DataFrame, sources: Sequence[CorpusTables], *, left_out: pd.DataFrame, labels: Mapping[str, str]
) -> pd.DataFrame:
    """Put together what is known of each clip: a row each, sorted by clip_id."""
    rows = clips.drop(columns="sample_rate").assign(
        clip_rate=clips.sample_rate, sex=clips.sex.fillna(""), label=clips.emotion.map(labels)
    )
    rows["used"] = rows.label.notna() & ~rows.clip_id.isin(left_out.clip_id)
    measured = [source.measured.assign(clip_id=_clip_ids(source.measured, source.name)) for source in sources]
    # Tables without rows have columns of no type, which would spread to all others.
    full = [table for table in measured if len(table)] or measured[:1]
    table = pd.concat(full, ignore_index=True).rename(columns={"sample_rate": "original_rate"})
    table = table.astype({"clip_id": str})
    return rows.merge(table, on="clip_id", how="left").sort_values("clip_id", ignore_index=True)


def _clip_ids(table: pd.DataFrame, corpus: str) -> list[str]:
    return [f"{corpus}/{PurePosixPath(file).with_suffix('')}" for file in table.file]


def sex_names(sexes: pd.Series) -> pd.Series:
    """Write ``f``, ``m`` and what is neither as words."""
    return sexes.map(lambda sex: SEXES.get(sex, SEXES[""]))


def count_classes(used: pd.DataFrame) -> pd.DataFrame:
    """Count clips by corpus and class of the run."""
    counts = pd.crosstab(used.corpus, used.label)
    return counts[canonical_order(counts.columns)]


def describe(
    rows: pd.DataFrame, matrix: pd.DataFrame, *, sources: Sequence[CorpusTables], settings: Preprocess
) -> dict[str, html_page.Table]:
    """Make the tables that need clips; without any there is but the first."""
    made = {"overview": _overview(rows, sources)}
    if rows.used.any():
        made["matrix"] = _matrix_table(matrix)
    if len(rows):
        made |= {"emotions": _emotions_table(rows), "speakers": _speakers_table(rows), "seconds": _seconds_table(rows)}
        made |= {"levels": _levels_table(rows), "loud": _loud_table(rows)}
        made |= {"rates": _rates_table(rows, settings=settings), "channels": _channels_table(rows)}
    return made


def _overview(rows: pd.DataFrame, sources: Sequence[CorpusTables]) -> html_page.Table:
    lines = {}
    for source in sources:
        own = rows[rows.corpus == source.name]
        lines[source.name] = {
            "recordings": len(own) + len(source.unusable),
            "unusable": len(source.unusable),
            "left out": int((~own.used).sum()),
            "used": int(own.used.sum()),
            "speakers": "unknown" if is_unknown_speaker(own).any() else own.speaker.nunique(),
            "emotions": own.emotion.nunique(),
            "sentences": own.sentence[own.sentence != ""].nunique() or html_page.MISSING,
            "minutes": float((own.n_samples / own.clip_rate).sum() / 60),
            "language": ", ".join(sorted(set(own.language) - {""})) or html_page.MISSING,
        }
    frame = pd.DataFrame.from_dict(lines, orient="index").rename_axis("corpus")
    return html_page.table(frame, caption="What there is of each corpus", formats={"minutes": "{:,.0f}".format})


def _matrix_table(matrix: pd.DataFrame) -> html_page.Table:
    shown = matrix.assign(**{"all emotions": matrix.sum(axis=1)})
    if len(matrix) > 1:
        shown.loc["all corpora"] = shown.sum(axis=0)
    marked = data_warnings.is_missing(matrix).reindex(index=shown.index, columns=shown.columns, fill_value=False)
    formats = dict.fromkeys(matrix.columns, _or_none)
    return html_page.table(
        shown.rename_axis("corpus"),
        caption="Clips that the run uses, by corpus and emotion; marked where a corpus lacks what another has",
        formats=formats,
        marked=marked,
    )


def _or_none(count: int) -> str:
    return f"{count:,}" if count else "none"


def _emotions_table(rows: pd.DataFrame) -> html_page.Table:
    counts = pd.crosstab([rows.corpus, sex_names(rows.sex)], rows.emotion)
    counts = counts[canonical_order(counts.columns)]
    counts["all"] = counts.sum(axis=1)
    return html_page.table(
        counts, caption="All clips, by corpus, the speakers' sex, and emotion as the corpus names it"
    )


def _speakers_table(rows: pd.DataFrame) -> html_page.Table:
    voices = count_speakers(rows)
    by = voices.groupby("corpus")
    counts = pd.crosstab(voices.corpus, voices.sex).reindex(columns=list(SEXES.values()), fill_value=0)
    clips = by.clips.agg(["min", "median", "max"]).set_axis(["fewest clips", "median clips", "most clips"], axis=1)
    frame = pd.concat([by.size().rename("speakers"), counts, clips.round().astype(int)], axis=1).astype(object)
    return html_page.table(
        frame.reindex(sorted(rows.corpus.unique())).rename(columns={"unknown": "sex unknown"}).rename_axis("corpus"),
        caption="Known speakers, and clips a speaker",
    )


def count_speakers(rows: pd.DataFrame) -> pd.DataFrame:
    """Count clips a known speaker, most first: corpus, speaker (without its corpus), sex and clips."""
    known = rows[~is_unknown_speaker(rows)]
    names = [name.removeprefix(f"{corpus}-") for name, corpus in zip(known.speaker, known.corpus, strict=True)]
    table = known.assign(speaker=names, sex=sex_names(known.sex))
    sexes = table.groupby(["corpus", "speaker"]).sex.agg(lambda s: s.iloc[0] if s.nunique() == 1 else SEXES[""])
    voices = pd.concat([sexes, table.groupby(["corpus", "speaker"]).size().rename("clips")], axis=1).reset_index()
    return voices.sort_values(["corpus", "clips", "speaker"], ascending=[True, False, True], ignore_index=True)


def _seconds_table(rows: pd.DataFrame) -> html_page.Table:
    by = rows.groupby("corpus")
    frame = pd.DataFrame(
        {
            "shortest before": by.duration.min(),
            "median before": by.duration.median(),
            "longest before": by.duration.max(),
            "shortest after": by.clip_duration.min(),
            "median after": by.clip_duration.median(),
            "longest after": by.clip_duration.max(),
            "cut off": 1 - by.clip_duration.sum() / by.duration.sum(),
        }
    )
    formats = dict.fromkeys(frame.columns, "{:.2f}".format) | {"cut off": "{:.0%}".format}
    return html_page.table(frame, caption="Seconds, before and after preprocessing", formats=formats)


def _levels_table(rows: pd.DataFrame) -> html_page.Table:
    by = rows.groupby("corpus")
    frame = pd.DataFrame(
        {
            "quietest before": by.level_db.min(),
            "median before": by.level_db.median(),
            "loudest before": by.level_db.max(),
            "highest peak before": by.peak_db.max(),
            "quietest after": by.clip_level_db.min(),
            "median after": by.clip_level_db.median(),
            "loudest after": by.clip_level_db.max(),
        }
    )
    caption = "RMS levels in dBFS, before and after preprocessing"
    return html_page.table(frame, caption=caption, formats=dict.fromkeys(frame.columns, html_page.decibels))


def _loud_table(rows: pd.DataFrame) -> html_page.Table:
    frame = rows.pivot_table(index="corpus", columns="emotion", values="level_db", aggfunc="median")
    frame = frame[canonical_order(frame.columns)]
    caption = "Median level of the recordings before preprocessing, in dBFS, by emotion"
    return html_page.table(frame, caption=caption, formats=dict.fromkeys(frame.columns, html_page.decibels))


def _rates_table(rows: pd.DataFrame, *, settings: Preprocess) -> html_page.Table:
    known = rows[rows.original_rate.notna()]
    counts = pd.crosstab(known.corpus, known.original_rate)
    counts.columns = [f"{rate / 1000:g} kHz" for rate in counts.columns]
    target = f"{settings.sample_rate / 1000:g} kHz"
    return html_page.table(counts, caption=f"Recordings by their own sample rate; clips are at {target}")


def _channels_table(rows: pd.DataFrame) -> html_page.Table:
    known = rows[rows.channels.notna()]
    counts = pd.crosstab(known.corpus, known.channels.astype(int))
    counts.columns = [{1: "mono", 2: "stereo"}.get(n, f"{n} channels") for n in counts.columns]
    return html_page.table(counts, caption="Recordings by their channels; clips are mono")


@dataclass(frozen=True)
class ExclusionSummary:
    """What is not used of a corpus: counted by reason, and the first of it listed; `file` has all of it."""

    corpus: str
    count: int
    reasons: html_page.Table
    listed: html_page.Table
    more: int
    file: str


def unusable(source: CorpusTables) -> ExclusionSummary | None:
    """Say which recordings of a corpus gave no clip; None where all did."""
    if source.unusable.empty:
        return None
    emotions = source.recordings.drop_duplicates("file").set_index("file").emotion
    table = source.unusable.assign(emotion=source.unusable.file.map(emotions)).set_index("file")
    return _reject(table, corpus=source.name, file=str(paths.rejected(source.name)))


def left_out(rows: pd.DataFrame, reasons: pd.DataFrame, *, file: str) -> list[ExclusionSummary]:
    """Say which clips the run does not use, a corpus after the other; `reasons` has clip_id and reason."""
    known = dict(zip(reasons.clip_id, reasons.reason, strict=True))
    lost = rows[~rows.used]
    lost = lost.assign(reason=[known.get(clip_id, NO_CLASS) for clip_id in lost.clip_id]).set_index("clip_id")
    return [_reject(own, corpus=str(corpus), file=file) for corpus, own in lost.groupby("corpus")]


def _reject(table: pd.DataFrame, *, corpus: str, file: str) -> ExclusionSummary:
    """Sum up a table with an index of names and the columns reason and emotion."""
    reasons = html_page.table(_by_reason(table.reason), caption=f"{corpus}: how many, and why")
    listed = table[["reason", "emotion"]].sort_index()[:LISTED]
    more = max(0, len(table) - LISTED)
    caption = f"{corpus}: the first {len(listed)} of {len(table):,}" if more else f"{corpus}: all of them"
    return ExclusionSummary(corpus, len(table), reasons, html_page.table(listed, caption=caption), more, file)


def _by_reason(reasons: pd.Series) -> pd.DataFrame:
    """Count reasons, most frequent first; those that differ in a name or number alone are one."""
    groups = reasons.groupby(reasons.map(_kind)).agg(["size", "nunique", "first"])
    names = groups["first"].where(groups["nunique"] == 1, groups.index)
    counts = groups["size"].set_axis(names).sort_values(ascending=False, kind="stable")
    if len(counts) > KINDS:
        counts = pd.concat([counts[:KINDS], pd.Series({"others": counts[KINDS:].sum()})])
    return counts.rename("how many").rename_axis("reason").to_frame()


def _kind(reason: str) -> str:
    """Take out of a reason what belongs to one recording alone: words with digits or slashes, and what explains it."""
    return re.sub(r"[^\s,;()]*[\d/][^\s,;()]*", "…", reason.split(": ")[0])
