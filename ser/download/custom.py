"""Import custom corpora: labels from a CSV file, from folder names, or from file paths by a regular expression."""

import re
import shutil
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from operator import attrgetter
from pathlib import Path, PurePath, PurePosixPath

from ser.audio import io as audio_io
from ser.audio.formats import looks_like_audio
from ser.dataset.clip_metadata import speaker_id
from ser.dataset.name_folding import fold_names, is_missing, tidy, visible
from ser.dataset.recordings import Recording, find_recordings, reject_repeated_names
from ser.download.file_matching import exists, match_files
from ser.download.label_table import canonical_columns, read_label_table
from ser.download.validation import list_some
from ser.labels import EMOTIONS
from ser.params import CustomCorpus
from ser.utils.errors import UserError, how_to_set
from ser.utils.files import file_hash
from ser.utils.progress import progress
from ser.utils.text import join_names, pluralize

LABELS = "labels.csv"
_FOLDED = ("speaker", "sentence", "intensity", "language")
"""Columns in which different spellings of one value are taken as one."""
_MAX_EXAMPLES = 3
_SEXES = {"f": "f", "female": "f", "woman": "f", "w": "f", "m": "m", "male": "m", "man": "m"}


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
    files = find_recordings(source, is_audio=looks_like_audio)
    emotions = {_normalize(label): emotion for label, emotion in settings.emotions.items()}
    given, adapted = _read_labels(settings, files, {*EMOTIONS, *emotions}, source=source, name=name, root=root)
    labelled = [row for row in given if not is_missing(row.emotion) or _normalize(row.emotion) in emotions]
    if not labelled:
        raise UserError(
            f"custom_corpora.{name}: no emotion is given for {list_some([row.file for row in given])}; expected one of "
            f"{', '.join(EMOTIONS)} for each recording."
        )
    labelled, folded = _fold_values(labelled)
    recordings = reject_repeated_names(
        _normalize_row(recording, emotions, language=settings.language, name=name) for recording in labelled
    )
    _check_emotions(recordings, known={*EMOTIONS, *settings.emotions.values()}, name=name)
    _check_speakers(recordings, name=name)
    notes = [*_summarize(recordings, name=name), *(f"{name}: {note}." for note in [*adapted, *folded])]
    notes += _describe_ignored(recordings, given, files, name=name)
    notes += _describe_duplicates(recordings, source, name=name)
    notes += _describe_rates(recordings, source, name=name)
    copy_recordings(source, folder, [recording.file for recording in recordings], name=name)
    return recordings, notes


def copy_recordings(source: Path, folder: Path, files: Collection[PurePath | str], *, name: str) -> None:
    """Copy files to the same paths below another folder, and show the progress for the corpus `name`."""
    for file in progress(files, description=f"download {name}", total=len(files), unit="file"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / file, folder / file)


def _read_labels(
    settings: CustomCorpus,
    files: Sequence[PurePosixPath],
    labels: Collection[str],
    *,
    source: Path,
    name: str,
    root: Path,
) -> tuple[list[Recording], list[str]]:
    """Read the values as given, and describe what was adapted."""
    if settings.pattern is not None:
        return [_parse_path(file, settings.pattern, name=name) for file in files], []
    table = next((path for path in sorted(source.iterdir()) if path.name.lower() == LABELS), None)
    if settings.labels is not None:
        table = root / Path(settings.labels).expanduser()
    if table is not None:
        return _read_table(table, files, source=source, root=root)
    return [_parse_folders(file, labels=labels, name=name) for file in files], []


def _parse_path(file: PurePosixPath, pattern: str, *, name: str) -> Recording:
    path, composed = (unicodedata.normalize("NFC", text) for text in (str(file.with_suffix("")), pattern))
    match = re.search(f"(?:^|/)(?:{composed})$", path)
    if match is None:
        raise UserError(f"custom_corpora.{name}.pattern does not match {file}; fix the pattern, or remove the file.")
    groups = match.groupdict(default="")
    values, columns = list(groups.values()), canonical_columns(groups)
    return Recording(**{column: values[position] for column, position in columns.items()} | {"file": str(file)})


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


def _read_table(
    table: Path, files: Sequence[PurePosixPath], *, source: Path, root: Path
) -> tuple[list[Recording], list[str]]:
    rows, notes = read_label_table(table)
    names = [row["file"] for row in rows]
    matches, adapted = match_files(names, set(map(str, files)), folder=source, bases=(table.parent, root))
    if missing := [name for name, found in matches.items() if not found]:
        others = [name for name in missing if exists(path := source / name) and path.is_relative_to(source)]
        found = {f"not in {source}": set(missing) - set(others), "not audio": others}
        listed = "; ".join(f"{what}: {list_some(names)}" for what, names in found.items() if names)
        raise UserError(f"{table}: {listed}; expected paths of recordings relative to {source}.")
    if ambiguous := [f"{name} ({_examples(found)})" for name, found in matches.items() if len(found) > 1]:
        raise UserError(f"{table}: more than one file matches {list_some(ambiguous)}; write the path as in {source}.")
    if repeated := [file for file, count in Counter(matches[name][0] for name in names).items() if count > 1]:
        raise UserError(f"{table}: {list_some(repeated)} is listed more than once; keep one row per file.")
    notes += [
        f"{kind} in {pluralize(len(pairs), 'path')} of {table.name} ({_examples(pairs)})"
        for kind, pairs in adapted.items()
    ]
    return [Recording(**row | {"file": matches[row["file"]][0]}) for row in rows], notes


def _examples(items: Iterable[str]) -> str:
    listed = sorted(items)
    return ", ".join(listed[:_MAX_EXAMPLES]) + (", …" if len(listed) > _MAX_EXAMPLES else "")


def _fold_values(recordings: Sequence[Recording]) -> tuple[list[Recording], list[str]]:
    """Write each value of the columns `_FOLDED` in one way, and describe the changes in notes."""
    notes, rows = [], list(recordings)
    for column in (*_FOLDED, "sex"):
        values = list(map(attrgetter(column), rows))
        folded = fold_names(values)
        rows = [replace(row, **{column: folded[value]}) for row, value in zip(rows, values, strict=True)]
        spellings: dict[str, set[str]] = defaultdict(set)
        for value, kept in folded.items():
            spellings[kept].add(value)
        missing = {value for value in spellings.pop("", ()) if value.strip()}
        changed = {kept: given for kept, given in spellings.items() if given != {kept}}
        pairs = [f"{join_names(list(map(visible, sorted(given))))} → {kept}" for kept, given in changed.items()]
        if pairs and column != "sex":  # its spellings are in _SEXES
            counted = pluralize(len(pairs), f"{column} has", f"{column}s have")
            notes.append(f"{counted} several or unusual spellings, each is taken as one: {list_some(pairs)}")
        if missing:
            count = pluralize(sum(value in missing for value in values), "recording")
            notes.append(f"{column}: {', '.join(map(visible, sorted(missing)))} means unknown, in {count}")
    return rows, notes


def _normalize(label: str) -> str:
    return tidy(label).lower()


def _normalize_row(recording: Recording, emotions: Mapping[str, str], *, language: str, name: str) -> Recording:
    """Map the emotion, sex, speaker and language to the values of the recording table."""
    sex = "" if is_missing(recording.sex) else _SEXES.get(_normalize(recording.sex))
    if sex is None:
        raise UserError(f"custom_corpora.{name}: {recording.file} has sex {recording.sex!r}; expected f, m or nothing.")
    label = _normalize(recording.emotion)
    return replace(
        recording,
        speaker=speaker_id(name, recording.speaker),
        sex=sex,
        emotion=emotions.get(label, label),
        language=recording.language.lower() or language,
    )


def _check_emotions(recordings: Sequence[Recording], *, known: Collection[str], name: str) -> None:
    unknown = Counter(recording.emotion for recording in recordings if recording.emotion not in known)
    if not unknown:
        return
    counts = [f"{label} ({pluralize(count, 'recording')})" for label, count in unknown.items()]
    key, label = f"custom_corpora.{name}.emotions", min(unknown)
    emotion = (get_close_matches(label, EMOTIONS, n=1, cutoff=0.5) or ["neutral"])[0]
    option = f" (or dvc exp run -S '+{key}={{{label}: {emotion}}}')"
    raise UserError(
        f"custom_corpora.{name}: unknown emotion {list_some(counts)}; known are {', '.join(EMOTIONS)}. Map each to "
        f"one: in params.yaml, {key}: {{'{label}': {emotion}}}"
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


def _summarize(recordings: Sequence[Recording], *, name: str) -> list[str]:
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
    return notes


def _describe_ignored(
    recordings: Sequence[Recording], given: Sequence[Recording], files: Sequence[PurePosixPath], *, name: str
) -> list[str]:
    listed, used = {row.file for row in given}, {row.file for row in recordings}
    ignored = {
        "without a label, ignored": set(map(str, files)) - listed,
        f"no emotion is given for {pluralize(len(listed - used), 'recording')}, ignored": listed - used,
    }
    return [f"{name}: {what}: {list_some(names)}." for what, names in ignored.items() if names]


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
