"""The page that shows what data a run is made of, from the tables that the stages leave."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from ser import audio, corpus_notes, pages, plots, seeds
from ser.emotions import EMOTIONS
from ser.features import Framed
from ser.files import replacing
from ser.params import Features, Preprocess

EXAMPLES = 3
"""Clips of each corpus that are shown and played."""
PLAYED_SECONDS = 10.0
PLAYED_BYTES = 480_000
"""A player holds no more of a recording than both of these allow; at 48 kHz, 5 s."""
HIGHEST_RATE = 48000
"""Recordings above are played at this rate (Hz), which already goes beyond what people hear."""
LISTED = 50
"""Recordings of a corpus that are named with the reason why they are not used."""
KINDS = 12
"""Reasons that are counted by themselves."""
SEXES = {"f": "female", "m": "male", "": "unknown"}
TICKS_HZ = (250, 1000, 2000, 4000, 8000, 16000)


@dataclass(frozen=True)
class CorpusSource:
    """A corpus: facts for people, where its audio is, and what was found there.

    Attributes
    ----------
    name
        As in the clip table.
    title, licence, citation, url
        For people; those that are not known are empty.
    synthetic
        Whether nobody ever said this.
    folder
        Holds the recordings.
    clips
        Clip table with the column ``audio``.
    recordings
        What names or a table say: file (below the folder), speaker, sex, emotion, intensity, text, language.
    measured
        Of the recordings that became clips: file, sample_rate (Hz), channels, seconds, level_db (RMS, dBFS), peak_db,
        all of the original, clip_seconds and clip_level_db.
    unusable
        Of those that did not: file, reason.
    """

    name: str
    title: str
    licence: str
    citation: str
    url: str
    synthetic: bool
    folder: Path
    clips: Path
    recordings: pd.DataFrame
    measured: pd.DataFrame
    unusable: pd.DataFrame


def write(
    path: Path,
    pictures: Path,
    *,
    sources: Sequence[CorpusSource],
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
        Emotion -> class of this run, as `ser.emotions.label_map` makes it.
    settings, features
        The sections `preprocess` and `features` of the settings.

    Raises
    ------
    InputError
        If a recording that is shown cannot be read.
    """
    sources = sorted(sources, key=lambda source: source.name)
    rows = _join(clips, sources, left_out=left_out, labels=labels)
    used = rows[rows.used].reset_index(drop=True)
    matrix = _matrix(used)
    with replacing(pictures) as folder:
        folder.mkdir()
        drawn = _figures(rows, folder) if len(rows) else {}
        examples = [_examples(source, rows, folder, features=features) for source in sources]
    pages.write(
        path,
        "corpora.html.j2",
        headline=_headline(rows, sources),
        remainder=_remainder(rows, sources),
        notes=_notes(used, matrix, sources=sources, settings=settings),
        merged={emotion: label for emotion, label in labels.items() if emotion != label},
        tables=_tables(rows, matrix, sources=sources, settings=settings),
        pictures=drawn,
        examples=[(source.name, some) for source, some in zip(sources, examples, strict=True) if some],
        unusable=_rejected(_unusable(source) for source in sources),
        left_out=_rejected(_left_out(rows, left_out, source=source, file=left_out_file) for source in sources),
        preprocessing=_preprocessing(settings),
        sources=sources,
    )


def _join(
    clips: pd.DataFrame, sources: Sequence[CorpusSource], *, left_out: pd.DataFrame, labels: Mapping[str, str]
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


def _in_order(emotions: Iterable[str]) -> list[str]:
    """Sort emotions: the canonical ones as ever, then others by name."""
    found = set(emotions)
    return [name for name in EMOTIONS if name in found] + sorted(found - set(EMOTIONS))


def _sex_names(sexes: pd.Series) -> pd.Series:
    return sexes.map(lambda sex: SEXES.get(sex, SEXES[""]))


def _matrix(used: pd.DataFrame) -> pd.DataFrame:
    """Count clips by corpus and class of the run."""
    counts = pd.crosstab(used.corpus, used.label)
    return counts[_in_order(counts.columns)]


def _headline(rows: pd.DataFrame, sources: Sequence[CorpusSource]) -> str:
    """Say in one sentence what there is."""
    known = rows.speaker[~corpus_notes.is_unknown(rows)].nunique()
    voices = _count(known, "known speaker" if len(rows) and _some_unknown(rows) else "speaker")
    corpora = _count(len(sources), "corpus", "corpora")
    length = _length((rows.n_samples / rows.clip_rate).sum())
    names = ", ".join(source.name for source in sources)
    return f"{_count(len(rows), 'clip')} by {voices}, {length}, from {corpora}: {names}."


def _some_unknown(rows: pd.DataFrame) -> bool:
    return bool(corpus_notes.is_unknown(rows).any())


def _remainder(rows: pd.DataFrame, sources: Sequence[CorpusSource]) -> str:
    """Say how many of the recordings the run uses, and what became of the others."""
    unusable = sum(len(source.unusable) for source in sources)
    used = int(rows.used.sum())
    emotions = _count(rows.label[rows.used].nunique(), "emotion")
    return (
        f"This run uses {used:,} of them, in {emotions}; {len(rows) - used:,} are left out, "
        f"and {_count(unusable, 'recording')} could not be used."
    )


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def _length(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.1f} minutes"


def _notes(
    used: pd.DataFrame, matrix: pd.DataFrame, *, sources: Sequence[CorpusSource], settings: Preprocess
) -> list[pages.Note]:
    return [
        *corpus_notes.synthetic([source.name for source in sources if source.synthetic]),
        *corpus_notes.unknown_speakers(used),
        *corpus_notes.gaps(matrix),
        *corpus_notes.sexes(used),
        *corpus_notes.rates(used, sample_rate=settings.sample_rate),
        *corpus_notes.levels(used),
    ]


def _preprocessing(settings: Preprocess) -> str:
    """Say in one sentence what was done to the recordings."""
    cut = (
        "nothing cut off"
        if settings.trim_db is None
        else f"ends cut off that stay {settings.trim_db:g} dB below the loudest"
    )
    unit = "LUFS" if settings.normalise == "loudness" else "dBFS"
    level = f"brought to {decibels(settings.level_db)} {unit} ({settings.normalise})"
    noise = f"{settings.denoise:.0%} of stationary noise taken away" if settings.denoise else "noise left as it is"
    level = "levels left as they are" if settings.normalise == "none" else level
    return f"mono at {settings.sample_rate / 1000:g} kHz, {noise}, {cut}, {level}"


def _tables(
    rows: pd.DataFrame, matrix: pd.DataFrame, *, sources: Sequence[CorpusSource], settings: Preprocess
) -> dict[str, pages.Table]:
    """Make the tables that need clips; without any there is but the first."""
    made = {"overview": _overview(rows, sources)}
    if rows.used.any():
        made["matrix"] = _matrix_table(matrix)
    if len(rows):
        made |= {"emotions": _emotions_table(rows), "speakers": _speakers_table(rows), "seconds": _seconds_table(rows)}
        made |= {"levels": _levels_table(rows), "loud": _loud_table(rows)}
        made |= {"rates": _rates_table(rows, settings=settings), "channels": _channels_table(rows)}
    return made


def _overview(rows: pd.DataFrame, sources: Sequence[CorpusSource]) -> pages.Table:
    known = rows[~corpus_notes.is_unknown(rows)]
    lines = {}
    for source in sources:
        own = rows[rows.corpus == source.name]
        lines[source.name] = {
            "recordings": len(own) + len(source.unusable),
            "unusable": len(source.unusable),
            "left out": int((~own.used).sum()),
            "used": int(own.used.sum()),
            "speakers": known.speaker[known.corpus == source.name].nunique() if _all_known(own) else "unknown",
            "emotions": own.emotion.nunique(),
            "sentences": own.text[own.text != ""].nunique() or pages.NOTHING,
            "minutes": float((own.n_samples / own.clip_rate).sum() / 60),
            "language": ", ".join(sorted(set(own.language) - {""})) or pages.NOTHING,
        }
    frame = pd.DataFrame.from_dict(lines, orient="index").rename_axis("corpus")
    return pages.table(frame, caption="What there is of each corpus", formats={"minutes": "{:,.0f}".format})


def _all_known(own: pd.DataFrame) -> bool:
    return not _some_unknown(own)


def _matrix_table(matrix: pd.DataFrame) -> pages.Table:
    shown = matrix.assign(**{"all emotions": matrix.sum(axis=1)})
    shown.loc["all corpora"] = shown.sum(axis=0)
    marked = corpus_notes.is_gap(matrix).reindex(index=shown.index, columns=shown.columns, fill_value=False)
    formats = dict.fromkeys(matrix.columns, _or_none)
    return pages.table(
        shown.rename_axis("corpus"),
        caption="Clips that the run uses, by corpus and emotion; marked where a corpus lacks what another has",
        formats=formats,
        marked=marked,
    )


def _or_none(count: int) -> str:
    return f"{count:,}" if count else "none"


def _emotions_table(rows: pd.DataFrame) -> pages.Table:
    counts = pd.crosstab([rows.corpus, _sex_names(rows.sex)], rows.emotion)
    counts = counts[_in_order(counts.columns)]
    counts["all"] = counts.sum(axis=1)
    return pages.table(counts, caption="All clips, by corpus, the speakers' sex, and emotion as the corpus names it")


def _speakers_table(rows: pd.DataFrame) -> pages.Table:
    voices = _voices(rows)
    by = voices.groupby("corpus")
    counts = pd.crosstab(voices.corpus, voices.sex).reindex(columns=list(SEXES.values()), fill_value=0)
    clips = by.clips.agg(["min", "median", "max"]).set_axis(["fewest clips", "median clips", "most clips"], axis=1)
    frame = pd.concat([by.size().rename("speakers"), counts, clips.round().astype(int)], axis=1).astype(object)
    return pages.table(
        frame.reindex(sorted(rows.corpus.unique())).rename(columns={"unknown": "sex unknown"}).rename_axis("corpus"),
        caption="Known speakers, and clips a speaker",
    )


def _voices(rows: pd.DataFrame) -> pd.DataFrame:
    """Count clips a known speaker, most first: corpus, speaker (without its corpus), sex and clips."""
    known = rows[~corpus_notes.is_unknown(rows)]
    names = [name.removeprefix(f"{corpus}-") for name, corpus in zip(known.speaker, known.corpus, strict=True)]
    table = known.assign(speaker=names, sex=_sex_names(known.sex))
    sexes = table.groupby(["corpus", "speaker"]).sex.agg(lambda s: s.iloc[0] if s.nunique() == 1 else SEXES[""])
    voices = pd.concat([sexes, table.groupby(["corpus", "speaker"]).size().rename("clips")], axis=1).reset_index()
    return voices.sort_values(["corpus", "clips", "speaker"], ascending=[True, False, True], ignore_index=True)


def _seconds_table(rows: pd.DataFrame) -> pages.Table:
    by = rows.groupby("corpus")
    frame = pd.DataFrame(
        {
            "shortest before": by.seconds.min(),
            "median before": by.seconds.median(),
            "longest before": by.seconds.max(),
            "shortest after": by.clip_seconds.min(),
            "median after": by.clip_seconds.median(),
            "longest after": by.clip_seconds.max(),
            "cut off": 1 - by.clip_seconds.sum() / by.seconds.sum(),
        }
    )
    formats = dict.fromkeys(frame.columns, "{:.2f}".format) | {"cut off": "{:.0%}".format}
    return pages.table(frame, caption="Seconds, before and after preprocessing", formats=formats)


def _levels_table(rows: pd.DataFrame) -> pages.Table:
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
    return pages.table(frame, caption=caption, formats=dict.fromkeys(frame.columns, decibels))


def decibels(value: float) -> str:
    """Write a level with one digit and a true minus sign, and never a zero below zero."""
    return f"{round(value, 1) + 0.0:.1f}".replace("-", "\N{MINUS SIGN}")


def _loud_table(rows: pd.DataFrame) -> pages.Table:
    frame = rows.pivot_table(index="corpus", columns="emotion", values="level_db", aggfunc="median")
    frame = frame[_in_order(frame.columns)]
    caption = "Median level of the recordings before preprocessing, in dBFS, by emotion"
    return pages.table(frame, caption=caption, formats=dict.fromkeys(frame.columns, decibels))


def _rates_table(rows: pd.DataFrame, *, settings: Preprocess) -> pages.Table:
    known = rows[rows.original_rate.notna()]
    counts = pd.crosstab(known.corpus, known.original_rate)
    counts.columns = [f"{rate / 1000:g} kHz" for rate in counts.columns]
    target = f"{settings.sample_rate / 1000:g} kHz"
    return pages.table(counts, caption=f"Recordings by their own sample rate; clips are at {target}")


def _channels_table(rows: pd.DataFrame) -> pages.Table:
    known = rows[rows.channels.notna()]
    counts = pd.crosstab(known.corpus, known.channels.astype(int))
    counts.columns = [{1: "mono", 2: "stereo"}.get(n, f"{n} channels") for n in counts.columns]
    return pages.table(counts, caption="Recordings by their channels; clips are mono")


def _figures(rows: pd.DataFrame, folder: Path) -> dict[str, pages.Picture]:
    """Draw what is counted and measured, and take it into the page."""
    order = _in_order(rows.emotion)
    counts = rows.assign(sex=_sex_names(rows.sex)).groupby(["corpus", "emotion", "sex"]).size()
    names = ", ".join(sorted(rows.corpus.unique()))
    plots.emotions(counts.rename("clips").reset_index(), folder / "emotions.png", order=order, title="Clips by emotion")
    if len(voices := _voices(rows)):
        plots.speakers(voices, folder / "speakers.png", title="Clips by speaker")
    _before_after(rows, folder / "seconds.png", "seconds", "clip_seconds", label="seconds", title="Length")
    _before_after(rows, folder / "levels.png", "level_db", "clip_level_db", label="RMS level, dBFS", title="Level")
    said = {
        "emotions": ("Bars: clips by emotion and the speakers' sex", "Each corpus has a scale of its own."),
        "speakers": ("Bars: clips of each speaker", "Each corpus has a scale of its own; most clips first."),
        "seconds": ("Boxes: length of the recordings before and after preprocessing", BOXES),
        "levels": ("Boxes: RMS level of the recordings before and after preprocessing", BOXES),
    }
    return {
        name: pages.picture(
            folder / f"{name}.png", alt=f"{shows}, in {names}. The table below has the numbers.", caption=caption
        )
        for name, (shows, caption) in said.items()
        if (folder / f"{name}.png").exists()
    }


BOXES = "A box holds the middle half, its line is the median, whiskers reach the smallest and the largest."


def _before_after(rows: pd.DataFrame, path: Path, before: str, after: str, *, label: str, title: str) -> None:
    table = pd.DataFrame({"corpus": rows.corpus, "before": rows[before], "after": rows[after]}).dropna()
    plots.before_after(table, path, label=label, title=f"{title} before and after preprocessing")


@dataclass(frozen=True)
class Example:
    """A clip that is shown: what it is, how it looks, how it sounds before and after."""

    name: str
    picture: pages.Picture
    players: tuple[pages.Player, pages.Player]


def choose_examples(clips: pd.DataFrame, *, count: int = EXAMPLES) -> pd.DataFrame:
    """Choose clips that differ in speaker, emotion and sex as far as there are others; the same for the same clips."""
    drawn = [seeds.integer(0, "example", clip_id) for clip_id in clips.clip_id]
    waiting = clips.assign(drawn=drawn).sort_values(["drawn", "clip_id"], ignore_index=True)
    chosen = waiting.iloc[:0]
    for _ in range(min(count, len(waiting))):
        alike = sum(waiting[name].isin(chosen[name]).astype(int) for name in ("speaker", "emotion", "sex"))
        best = waiting.loc[[alike.idxmin()]]  # of several, the first
        chosen, waiting = pd.concat([chosen, best]), waiting.drop(best.index)
    return chosen.drop(columns="drawn").reset_index(drop=True)


def _examples(source: CorpusSource, rows: pd.DataFrame, folder: Path, *, features: Features) -> list[Example]:
    known = rows[(rows.corpus == source.name) & rows.file.notna()]
    chosen = choose_examples(known)
    sounds = _audio_of(source.clips, list(chosen.clip_id)) if len(chosen) else {}
    return [
        _example(source, clip, sounds[clip["clip_id"]], folder / f"example_{source.name}_{n}.png", features=features)
        for n, clip in enumerate(chosen.to_dict("records"), start=1)
    ]


def _audio_of(path: Path, clip_ids: Sequence[str]) -> dict[str, bytes]:
    """Read the audio of a few clips; their batches alone, which Parquet's statistics tell."""
    table = pq.read_table(path, columns=["clip_id", "audio"], filters=[("clip_id", "in", list(clip_ids))])
    return dict(zip(table["clip_id"].to_pylist(), table["audio"].to_pylist(), strict=True))


def _example(
    source: CorpusSource, clip: Mapping[Any, Any], content: bytes, path: Path, *, features: Features
) -> Example:
    before, rate = _shortened(source.folder / clip["file"])
    after, clip_rate = _shortened(content)
    name = f"{clip['file']}: {clip['emotion']}, {_speaker_name(clip)}"
    shared = max(rate, clip_rate)  # on which both are drawn, so that their pictures have one scale
    heard = [
        _heard(before, f"before, {rate / 1000:g} kHz", rate=rate, shown=shared, features=features),
        _heard(after, f"after, {clip_rate / 1000:g} kHz", rate=clip_rate, shown=shared, features=features),
    ]
    plots.example(heard, path, bands=_bands(features, rate=shared), title=_cut_middle(f"{source.name}: {name}"))
    alt = f"Waveform and log-mel spectrogram before and after preprocessing, of {name}"
    players = (
        pages.player(before, rate=rate, label=_player_label("before", before, clip["seconds"], rate=rate)),
        pages.player(after, rate=clip_rate, label=_player_label("after", after, clip["clip_seconds"], rate=clip_rate)),
    )
    return Example(name, pages.picture(path, alt=alt, caption=name), players)


def _speaker_name(clip: Mapping[Any, Any]) -> str:
    speaker = clip["speaker"].removeprefix(f"{clip['corpus']}-")
    sex = f" ({SEXES[clip['sex']]})" if clip["sex"] in ("f", "m") else ""
    return (f"speaker {speaker}" if speaker else "speaker unknown") + sex


def _player_label(when: str, signal: audio.Signal, seconds: float, *, rate: int) -> str:
    played = len(signal) / rate
    return (
        f"{when}, {played:.1f} s" if played > seconds - 0.05 else f"{when}, the first {played:.1f} of {seconds:.1f} s"
    )


def _shortened(recording: Path | bytes) -> tuple[audio.Signal, int]:
    """Decode what a player holds of a recording, as (n_samples,) and its rate in Hz."""
    samples, original = audio.decode(recording)
    rate = min(original, HIGHEST_RATE)
    seconds = min(PLAYED_SECONDS, PLAYED_BYTES / (2 * rate))
    signal = audio.mono(samples[: int(seconds * original)])
    return audio.resample(signal, rate=original, to=rate), rate


def _heard(signal: audio.Signal, label: str, *, rate: int, shown: int, features: Features) -> plots.Heard:
    framed = Framed(signal=audio.resample(signal, rate=rate, to=shown), rate=shown, settings=features)
    return plots.Heard(label, signal, rate, framed.log_mel, seconds_a_frame=framed.hop / shown)


def _bands(features: Features, *, rate: int) -> dict[str, float]:
    """Say where on the axis of mel bands some frequencies lie."""
    bottom, top = _slaney_mel(features.mel.low_hz), _slaney_mel(rate / 2)
    within = [hz for hz in TICKS_HZ if features.mel.low_hz < hz < rate / 2]
    places = {hz: (_slaney_mel(hz) - bottom) / (top - bottom) * (features.mel.bands + 1) - 1 for hz in within}
    return {f"{hz} Hz" if hz < 1000 else f"{hz // 1000} kHz": place for hz, place in places.items()}


def _slaney_mel(hz: float) -> float:
    """Convert Hz to the mel of librosa's filters: linear below 1 kHz, logarithmic above."""
    return hz * 3 / 200 if hz < 1000 else 15 + 27 * float(np.log(hz / 1000) / np.log(6.4))


def _cut_middle(text: str, *, most: int = 80) -> str:
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-most // 2 :]}"


@dataclass(frozen=True)
class Rejected:
    """What is not used of a corpus: counted by reason, and the first of it listed; `file` has all of it."""

    corpus: str
    count: int
    reasons: pages.Table
    listed: pages.Table
    more: int
    file: str


def _rejected(groups: Iterable[Rejected | None]) -> list[Rejected]:
    return [group for group in groups if group is not None]


def _unusable(source: CorpusSource) -> Rejected | None:
    emotions = source.recordings.drop_duplicates("file").set_index("file").emotion
    table = source.unusable.assign(emotion=source.unusable.file.map(emotions)).set_index("file")
    return _reject(table, corpus=source.name, file=f"data/unusable/{source.name}.csv")


def _left_out(rows: pd.DataFrame, left_out: pd.DataFrame, *, source: CorpusSource, file: str) -> Rejected | None:
    own = rows[(rows.corpus == source.name) & ~rows.used].set_index("clip_id")
    reasons = left_out.drop_duplicates("clip_id").set_index("clip_id").reason
    table = own[["emotion"]].assign(reason=[reasons.get(clip_id, NO_CLASS) for clip_id in own.index])
    return _reject(table, corpus=source.name, file=file)


NO_CLASS = "its emotion is not a class of this run"


def _reject(table: pd.DataFrame, *, corpus: str, file: str) -> Rejected | None:
    """Sum up a table with an index of names and the columns reason and emotion."""
    if table.empty:
        return None
    reasons = pages.table(_by_reason(table.reason), caption=f"{corpus}: how many, and why")
    listed = table[["reason", "emotion"]].sort_index()[:LISTED]
    more = max(0, len(table) - LISTED)
    caption = f"{corpus}: the first {len(listed)} of {len(table):,}" if more else f"{corpus}: all of them"
    return Rejected(corpus, len(table), reasons, pages.table(listed, caption=caption), more, file)


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
