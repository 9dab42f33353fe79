"""Import custom corpora: labels from a CSV file, from folder names, or from file paths by a regular expression."""

import csv
import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path, PurePosixPath

from ser.audio import io as audio_io
from ser.dataset.clip_metadata import speaker_id
from ser.dataset.recordings import Recording, find_recordings, reject_repeated_names
from ser.download.validation import name_some
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
    """Read the labels of a user's recordings, validate them, and copy the labelled recordings.

    Parameters
    ----------
    settings
        The entry of the section `custom_corpora`.
    folder
        Target folder; created.
    name
        Name of the corpus.
    root
        Folder that relative paths in the settings refer to.

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
    source = _folder(settings, name=name, root=root)
    files = find_recordings(source)
    labelled = _labelled(settings, source, files, root=root, name=name)
    recordings = reject_repeated_names(_normalize_row(one, settings, name=name) for one in labelled)
    _check_emotions(recordings, settings, name=name)
    _check_speakers(recordings, name=name)
    notes = [*_notes(recordings, files, name=name), *_repeats(recordings, source, name=name)]
    notes += _rates(recordings, source, name=name)
    for recording in progress(recordings, description=f"download {name}", total=len(recordings), unit="file"):
        (folder / recording.file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / recording.file, folder / recording.file)
    return recordings, notes


def _folder(settings: CustomCorpus, *, name: str, root: Path) -> Path:
    if settings.folder is None:
        key = f"custom_corpora.{name}.folder"
        raise UserError(f"{key} is null; expected a folder: {how_to_set(key, 'FOLDER')}.")
    return root / Path(settings.folder).expanduser()


def _labelled(
    settings: CustomCorpus, source: Path, files: Sequence[PurePosixPath], *, root: Path, name: str
) -> list[Recording]:
    """Read the labels from the table, the pattern or the folder names."""
    if settings.pattern is not None:
        return [_by_pattern(file, settings.pattern, name=name) for file in files]
    table = source / LABELS if settings.labels is None else root / Path(settings.labels).expanduser()
    if settings.labels is not None or table.is_file():
        return _by_table(table, files, source=source)
    return [_by_folder(file, settings, name=name) for file in files]


def _by_pattern(file: PurePosixPath, pattern: str, *, name: str) -> Recording:
    found = re.search(f"(?:^|/)(?:{pattern})$", str(file.with_suffix("")))
    if found is None:
        raise UserError(f"custom_corpora.{name}.pattern does not match {file}; fix the pattern, or remove the file.")
    named = {_canonical_column(key, found.groupdict()): value or "" for key, value in found.groupdict().items()}
    groups = {key: value for key, value in named.items() if key in REQUIRED | OPTIONAL}
    return Recording(**{**groups, "file": str(file)})


def _by_folder(file: PurePosixPath, settings: CustomCorpus, *, name: str) -> Recording:
    """Take the nearest folder named like an emotion, else the nearest one, whose name is then rejected."""
    folders = list(reversed(file.parts[:-1]))
    if not folders:
        raise UserError(
            f"custom_corpora.{name}: {file} has no label; expected {LABELS} in the folder (file, emotion), a folder "
            f"for each emotion (angry/{file}), or custom_corpora.{name}.pattern."
        )
    words = {*EMOTIONS, *_keys(settings.emotions)}
    emotion = next((folder for folder in folders if _key(folder) in words), folders[0])
    return Recording(file=str(file), emotion=emotion)


def _by_table(table: Path, files: Sequence[PurePosixPath], *, source: Path) -> list[Recording]:
    rows = _rows(table)
    here = set(map(str, files))
    if not all((row["file"] or "").strip() for row in rows):
        raise UserError(f"{table}: a row has no file; add its path in the column file, or remove the row.")
    names = [str(PurePosixPath(row["file"].strip())) for row in rows]
    missing = sorted(set(names) - here)
    if missing:
        raise UserError(f"{table}: not in {source}: {name_some(missing)}; paths must be relative to that folder.")
    repeated = [file for file, times in Counter(names).items() if times > 1]
    if repeated:
        raise UserError(f"{table}: {name_some(repeated)} is listed more than once; keep one row per file.")
    known = REQUIRED | OPTIONAL
    return [
        Recording(**{key: (value or "").strip() for key, value in row.items() if key in known} | {"file": file})
        for row, file in zip(rows, names, strict=True)
    ]


def _rows(table: Path) -> list[dict[str, str]]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            text = file.read()
    except FileNotFoundError:
        raise UserError(
            f"{table} was not found; expected a CSV file with the columns file and emotion. "
            "Relative paths start at the project's root."
        ) from None
    except (UnicodeDecodeError, OSError) as error:
        raise UserError(f"{table} cannot be read as UTF-8 text: {error}; save it as CSV in UTF-8.") from None
    header = text.split("\n", 1)[0]
    rows = csv.DictReader(text.splitlines(), delimiter=max(",;\t", key=header.count))
    columns = [column.strip().lower() for column in rows.fieldnames or ()]
    if not set(columns) >= REQUIRED:
        raise UserError(
            f"{table}: columns are {', '.join(columns) or 'none'}; expected file and emotion, and optionally "
            f"{', '.join(sorted(OPTIONAL))}."
        )
    rows.fieldnames = [_canonical_column(column, columns) for column in columns]
    return [row for row in rows if any(row.values())]


def _canonical_column(name: str, columns: Collection[str]) -> str:
    """Translate a synonym, unless the canonical name is there too."""
    canonical = _SYNONYMS.get(name, name)
    return name if canonical in columns else canonical


def _normalize_row(recording: Recording, settings: CustomCorpus, *, name: str) -> Recording:
    """Map the emotion, sex, speaker and language to the values of the recording table."""
    sex = _SEXES.get(recording.sex.strip().lower())
    if sex is None:
        raise UserError(
            f"custom_corpora.{name}: {recording.file} has the sex {recording.sex!r}; expected f, m or nothing."
        )
    label = _key(recording.emotion)
    return replace(
        recording,
        speaker=speaker_id(name, recording.speaker),
        sex=sex,
        emotion=_keys(settings.emotions).get(label, label),
        language=recording.language or settings.language,
    )


def _key(label: str) -> str:
    return label.strip().lower()


def _keys(emotions: Mapping[str, str]) -> dict[str, str]:
    return {_key(label): emotion for label, emotion in emotions.items()}


def _check_emotions(recordings: Sequence[Recording], settings: CustomCorpus, *, name: str) -> None:
    known = {*EMOTIONS, *settings.emotions.values()}
    unknown = Counter(one.emotion for one in recordings if one.emotion not in known)
    if not unknown:
        return
    found = name_some([f"{label or 'no label'} ({pluralize(times, 'recording')})" for label, times in unknown.items()])
    raise UserError(
        f"custom_corpora.{name}: unknown emotion {found}; known are {', '.join(EMOTIONS)}. Map each to one: "
        f"{_translation(min(unknown), name=name)}; a word mapped to itself, as in {{bored: bored}}, is an "
        f"additional emotion, excluded from a run unless emotions.extra names it."
    )


def _translation(label: str, *, name: str) -> str:
    """Show how to map a label, also on the command line if `dvc exp run` accepts the label there."""
    meant = (get_close_matches(label, EMOTIONS, n=1, cutoff=0.5) or ["neutral"])[0]
    written = label or "LABEL"
    typed = (
        f" (or dvc exp run -S '+custom_corpora.{name}.emotions={{{written}: {meant}}}')" if _can_be_typed(label) else ""
    )
    return f"in params.yaml, custom_corpora.{name}.emotions: {{'{written}': {meant}}}{typed}"


def _can_be_typed(label: str) -> bool:
    return re.fullmatch("[a-z_ ]*", label) is not None


def _check_speakers(recordings: Sequence[Recording], *, name: str) -> None:
    without = [one.file for one in recordings if one.speaker == speaker_id(name)]
    if without and len(without) < len(recordings):
        raise UserError(
            f"custom_corpora.{name}: no speaker is given for {name_some(without)}, but for other recordings; the same "
            "person might be in both training and test. Name the speaker of every recording, or of none."
        )


def _notes(recordings: Sequence[Recording], files: Sequence[PurePosixPath], *, name: str) -> list[str]:
    emotions = Counter(recording.emotion for recording in recordings)
    counts = ", ".join(f"{emotion} {times}" for emotion, times in sorted(emotions.items()))
    unknown = recordings[0].speaker == speaker_id(name)
    speakers = (
        "unknown speakers" if unknown else pluralize(len({recording.speaker for recording in recordings}), "speaker")
    )
    notes = [f"{name}: {pluralize(len(recordings), 'recording')}, {speakers}; {counts}."]
    if unknown:
        notes.append(f"{name}: speakers are unknown: no score on these recordings will be speaker-independent.")
    if extra := sorted(set(emotions) - set(EMOTIONS)):
        notes.append(f"{name}: excluded from a run unless emotions.extra names it: {', '.join(extra)}.")
    unlabelled = set(map(str, files)) - {recording.file for recording in recordings}
    if unlabelled:
        notes.append(f"{name}: without a label, ignored: {name_some(unlabelled)}.")
    return notes


def _repeats(recordings: Iterable[Recording], source: Path, *, name: str) -> list[str]:
    """Find identical files; with different labels they are an error."""
    groups: dict[str, list[Recording]] = defaultdict(list)
    for recording in recordings:
        groups[file_hash(source / recording.file, "sha256")].append(recording)
    repeated = [group for group in groups.values() if len(group) > 1]
    for group in repeated:
        if len({(one.emotion, one.speaker) for one in group}) > 1:
            labels = ", ".join(f"{one.file} ({one.emotion}, {one.speaker})" for one in group)
            raise UserError(
                f"custom_corpora.{name}: identical files have different labels: {labels}; keep the right one."
            )
    if not repeated:
        return []
    pairs = [f"{group[0].file} = {', '.join(one.file for one in group[1:])}" for group in repeated]
    return [f"{name}: identical files, kept once: {name_some(pairs)}."]


def _rates(recordings: Iterable[Recording], source: Path, *, name: str) -> list[str]:
    rates = Counter(audio_io.get_samplerate(source / recording.file) for recording in recordings)
    known = {rate: times for rate, times in rates.items() if rate is not None}
    if len(known) < 2:
        return []
    counts = ", ".join(f"{times} at {rate} Hz" for rate, times in sorted(known.items()))
    return [
        f"{name}: mixed sample rates: {counts}. A lower rate lacks high frequencies; if rates correlate with emotions "
        "or speakers, a model can learn that instead."
    ]
