"""Import custom corpora: labels from a CSV file, from folder names, or from file paths by a regular expression."""

import csv
import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path, PurePath, PurePosixPath

from ser.audio import io as audio_io
from ser.dataset.clip_metadata import speaker_id
from ser.dataset.recordings import Recording, find_recordings, reject_repeated_names
from ser.download.validation import list_some
from ser.labels import EMOTIONS
from ser.params import CustomCorpus
from ser.utils.errors import UserError, how_to_set
from ser.utils.files import file_hash
from ser.utils.progress import progress
from ser.utils.text import pluralize

LABELS = "labels.csv"
REQUIRED = {"file", "emotion"}
OPTIONAL = {"speaker", "sex", "sentence", "language", "intensity"}
_SYNONYMS = {"text": "sentence"}
"""Column of users' tables, and group of their patterns -> column of the recording table."""
_SEXES = {"": "", "f": "f", "female": "f", "m": "m", "male": "m"}


def import_custom_corpus(
    settings: CustomCorpus, folder: Path, *, name: str, root: Path
) -> tuple[list[Recording], list[str]]:
    """Read the labels of a user's recordings, validate them, and copy the labelled recordings into a new folder.

    Relative paths in the settings refer to `root`.

    Returns
    -------
    recordings : list of Recording
        Recording table.
    notes : list of str
        Notes for the user: unknown speakers, duplicates, mixed sample rates, recordings without a label.

    Raises
    ------
    UserError
        If the folder or its labels cannot be read, files are missing, emotions are unknown, only some speakers are
        given, or identical files have different labels.
    """
    if settings.folder is None:
        key = f"custom_corpora.{name}.folder"
        raise UserError(f"{key} is null; expected a folder: {how_to_set(key, 'FOLDER')}.")
    source = root / Path(settings.folder).expanduser()
    files = find_recordings(source)
    emotions = {_normalize(label): emotion for label, emotion in settings.emotions.items()}
    if settings.pattern is not None:
        labelled = [_parse_path(file, settings.pattern, name=name) for file in files]
    elif settings.labels is not None or (source / LABELS).is_file():
        table = source / LABELS if settings.labels is None else root / Path(settings.labels).expanduser()
        labelled = _read_table(table, files, source=source)
    else:
        labelled = [_parse_folders(file, labels={*EMOTIONS, *emotions}, name=name) for file in files]
    recordings = reject_repeated_names(
        _normalize_row(recording, emotions, language=settings.language, name=name) for recording in labelled
    )
    _check_emotions(recordings, known={*EMOTIONS, *settings.emotions.values()}, name=name)
    _check_speakers(recordings, name=name)
    notes = [*_summarize(recordings, files, name=name), *_describe_duplicates(recordings, source, name=name)]
    notes += _describe_rates(recordings, source, name=name)
    copy_recordings(source, folder, [recording.file for recording in recordings], name=name)
    return recordings, notes


def copy_recordings(source: Path, folder: Path, files: Collection[PurePath | str], *, name: str) -> None:
    """Copy files to the same paths below another folder, and show the progress for the corpus `name`."""
    for file in progress(files, description=f"download {name}", total=len(files), unit="file"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / file, folder / file)


def _parse_path(file: PurePosixPath, pattern: str, *, name: str) -> Recording:
    match = re.search(f"(?:^|/)(?:{pattern})$", str(file.with_suffix("")))
    if match is None:
        raise UserError(f"custom_corpora.{name}.pattern does not match {file}; fix the pattern, or remove the file.")
    groups = match.groupdict()
    return _recording({_canonical_column(group, groups): value for group, value in groups.items()}, str(file))


def _parse_folders(file: PurePosixPath, *, labels: Collection[str], name: str) -> Recording:
    """Read the emotion from the nearest folder named like a label, else from the nearest folder, to be rejected."""
    folders = file.parts[-2::-1]
    if not folders:
        raise UserError(
            f"custom_corpora.{name}: {file} has no label; expected {LABELS} in the folder (file, emotion), a folder "
            f"for each emotion (angry/{file}), or custom_corpora.{name}.pattern."
        )
    emotion = next((folder for folder in folders if _normalize(folder) in labels), folders[0])
    return Recording(file=str(file), emotion=emotion)


def _recording(columns: Mapping[str, str | None], file: str) -> Recording:
    known = {key: (value or "").strip() for key, value in columns.items() if key in REQUIRED | OPTIONAL}
    return Recording(**known | {"file": file})


def _read_table(table: Path, files: Sequence[PurePosixPath], *, source: Path) -> list[Recording]:
    rows = _read_rows(table)
    if not all((row["file"] or "").strip() for row in rows):
        raise UserError(f"{table}: a row has no file; add its path in the column file, or remove the row.")
    names = [str(PurePosixPath(row["file"].strip())) for row in rows]
    if missing := set(names) - set(map(str, files)):
        raise UserError(f"{table}: not in {source}: {list_some(missing)}; paths must be relative to that folder.")
    if repeated := [file for file, count in Counter(names).items() if count > 1]:
        raise UserError(f"{table}: {list_some(repeated)} is listed more than once; keep one row per file.")
    return [_recording(row, file) for row, file in zip(rows, names, strict=True)]


def _read_rows(table: Path) -> list[dict[str, str]]:
    try:
        text = table.read_text("utf-8-sig")
    except (UnicodeDecodeError, OSError) as error:
        raise UserError(
            f"{table} cannot be read: {error}; expected CSV in UTF-8. Relative paths start at the project's root."
        ) from None
    header = text.split("\n", 1)[0]
    rows = csv.DictReader(text.splitlines(), delimiter=max(",;\t", key=header.count))
    columns = [column.strip().lower() for column in rows.fieldnames or ()]
    rows.fieldnames = [_canonical_column(column, columns) for column in columns]
    filled = [row for row in rows if any(row.values())]
    if not filled or not set(columns) >= REQUIRED:
        raise UserError(
            f"{table}: {pluralize(len(filled), 'row')} with the columns {', '.join(columns) or 'none'}; expected a row "
            f"per recording with file and emotion, and optionally {', '.join(sorted(OPTIONAL))}."
        )
    return filled


def _canonical_column(column: str, columns: Collection[str]) -> str:
    """Replace a synonym by the name of the column, unless that is present too."""
    canonical = _SYNONYMS.get(column, column)
    return column if canonical in columns else canonical


def _normalize(label: str) -> str:
    return label.strip().lower()


def _normalize_row(recording: Recording, emotions: Mapping[str, str], *, language: str, name: str) -> Recording:
    """Map the emotion, sex, speaker and language to the values of the recording table."""
    sex = _SEXES.get(_normalize(recording.sex))
    if sex is None:
        raise UserError(f"custom_corpora.{name}: {recording.file} has sex {recording.sex!r}; expected f, m or nothing.")
    label = _normalize(recording.emotion)
    return replace(
        recording,
        speaker=speaker_id(name, recording.speaker),
        sex=sex,
        emotion=emotions.get(label, label),
        language=recording.language or language,
    )


def _check_emotions(recordings: Sequence[Recording], *, known: Collection[str], name: str) -> None:
    unknown = Counter(recording.emotion for recording in recordings if recording.emotion not in known)
    if not unknown:
        return
    counts = [f"{label or 'no label'} ({pluralize(count, 'recording')})" for label, count in unknown.items()]
    key, label = f"custom_corpora.{name}.emotions", min(unknown)
    emotion = (get_close_matches(label, EMOTIONS, n=1, cutoff=0.5) or ["neutral"])[0]
    option = f" (or dvc exp run -S '+{key}={{{label or 'LABEL'}: {emotion}}}')"
    raise UserError(
        f"custom_corpora.{name}: unknown emotion {list_some(counts)}; known are {', '.join(EMOTIONS)}. Map each to "
        f"one: in params.yaml, {key}: {{'{label or 'LABEL'}': {emotion}}}"
        f"{option if re.fullmatch('[a-z_ ]*', label) else ''}; a word mapped to itself, as in {{bored: bored}}, is an "
        "additional emotion, excluded from a run unless emotions.extra names it."
    )


def _check_speakers(recordings: Sequence[Recording], *, name: str) -> None:
    unknown = [recording.file for recording in recordings if recording.speaker == speaker_id(name)]
    if unknown and len(unknown) < len(recordings):
        raise UserError(
            f"custom_corpora.{name}: no speaker is given for {list_some(unknown)}, but for other recordings; the same "
            "person might be in both training and test. Name the speaker of every recording, or of none."
        )


def _summarize(recordings: Sequence[Recording], files: Sequence[PurePosixPath], *, name: str) -> list[str]:
    emotions = Counter(recording.emotion for recording in recordings)
    counts = ", ".join(f"{emotion} {count}" for emotion, count in sorted(emotions.items()))
    speakers = {recording.speaker for recording in recordings}
    unknown = speakers == {speaker_id(name)}
    described = "unknown speakers" if unknown else pluralize(len(speakers), "speaker")
    notes = [f"{name}: {pluralize(len(recordings), 'recording')}, {described}; {counts}."]
    if unknown:
        notes.append(f"{name}: speakers are unknown: no score on these recordings will be speaker-independent.")
    if extra := sorted(set(emotions) - set(EMOTIONS)):
        notes.append(f"{name}: excluded from a run unless emotions.extra names it: {', '.join(extra)}.")
    if unlabelled := set(map(str, files)) - {recording.file for recording in recordings}:
        notes.append(f"{name}: without a label, ignored: {list_some(unlabelled)}.")
    return notes


def _describe_duplicates(recordings: Iterable[Recording], source: Path, *, name: str) -> list[str]:
    """List identical files; raise an error if they have different labels."""
    groups: dict[str, list[Recording]] = defaultdict(list)
    for recording in recordings:
        groups[file_hash(source / recording.file, "sha256")].append(recording)
    repeated = [group for group in groups.values() if len(group) > 1]
    for group in repeated:
        if len({(recording.emotion, recording.speaker) for recording in group}) > 1:
            labels = ", ".join(f"{each.file} ({each.emotion}, {each.speaker})" for each in group)
            raise UserError(f"custom_corpora.{name}: identical files with different labels: {labels}; keep one.")
    pairs = [f"{first.file} = {', '.join(other.file for other in others)}" for first, *others in repeated]
    return [f"{name}: identical files, kept once: {list_some(pairs)}."] if pairs else []


def _describe_rates(recordings: Iterable[Recording], source: Path, *, name: str) -> list[str]:
    rates = Counter(audio_io.get_samplerate(source / recording.file) for recording in recordings)
    known = sorted((rate, count) for rate, count in rates.items() if rate is not None)
    if len(known) < 2:
        return []
    counts = ", ".join(f"{count} at {rate} Hz" for rate, count in known)
    return [
        f"{name}: mixed sample rates: {counts}. A lower rate lacks high frequencies; if rates correlate with emotions "
        "or speakers, a model can learn that instead."
    ]
