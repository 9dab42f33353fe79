"""Small clip, feature and prediction tables with the names and the shape of the real corpora, and no audio."""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path, PurePosixPath
from typing import Any, get_args

import numpy as np
import pandas as pd
import pyarrow as pa
import yaml

from ser.corpora.base import load_corpus
from ser.dataset.clips import COLUMNS, clip_writer
from ser.download import demo_speech
from ser.labels import EMOTIONS
from ser.params import BaselineName, Params

ROOT = Path(__file__).parents[2]


ORDINARY: dict[str, Any] = {
    "corpora": ["demo"],
    "baselines": list(get_args(BaselineName)),
    "emotions": {"use": list(EMOTIONS), "extra": [], "merge": {}},
    "download": {"allow_incomplete": False, "kaggle": False, "data_dir": None},
    "custom_corpora": {"mine": {"folder": None, "labels": None, "pattern": None, "emotions": {}, "language": "en"}},
    "split": {
        "protocol": "speaker_independent",
        "folds": 1,
        "fold_table": None,
        "test_fraction": 0.15,
        "val_fraction": 0.15,
    },
    "check": {
        "alpha": 0.05,
        "max_uar_drop": 0.01,
        "max_uar_drop_not_significant": 0.1,
        "max_recall_drop": 0.2,
        "max_ece_rise": 0.05,
        "max_worst_speaker_drop": 0.1,
        "accepted_changes": [],
    },
}
"""What tests count on, also while params.yaml holds the settings of an experiment."""


def ordinary() -> dict[str, Any]:
    """Read params.yaml, with the sections that experiments change most as they are without one."""
    content: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    return content | deepcopy(ORDINARY)


def settings(**sections: Mapping[str, Any]) -> Params:
    """Make settings, some keys of some sections replaced; where frame features are, a network sees all of them."""
    content = ordinary()
    if "frame_features" in sections.get("features", {}):
        content["train_lstm"]["spectral_features"] = sections["features"]["frame_features"]
    changed = {name: content[name] | dict(values) for name, values in sections.items()}
    return Params.model_validate(content | changed)


def emotions(*use: str, extra: Sequence[str] = (), **merge: str) -> Any:
    """Make the section `emotions`; all of them are classes where none is named."""
    return settings(emotions={"use": list(use or EMOTIONS), "extra": list(extra), "merge": merge}).emotions


def split(protocol: str, *, folds: int = 1, published: str | None = None, test: float = 0.15, val: float = 0.15) -> Any:
    """Make the section `split`."""
    values = {"protocol": protocol, "folds": folds, "fold_table": published, "test_fraction": test, "val_fraction": val}
    return settings(split=values).split


def clips(corpus: str, names: Iterable[str]) -> pd.DataFrame:
    """Make the clip table of files of a corpus, from their names without suffix."""
    facts = load_corpus(corpus)
    rows = []
    for name in names:
        recording = facts.parse(PurePosixPath(f"{name}.wav"))
        assert recording is not None, name
        clip_id = f"{corpus}/{name}"
        length = {"n_samples": 16000, "sample_rate": 16000}
        row = {
            "clip_id": clip_id,
            "corpus": corpus,
            "original_id": clip_id,
            "recording_id": clip_id,
            "augmentation": "",
            "audio_sha256": clip_id,
        }
        rows.append(row | length | vars(recording))
    return pd.DataFrame(rows)[list(COLUMNS)].sort_values(["original_id", "clip_id"], ignore_index=True)


def ravdess(actors: Sequence[int] = range(1, 25)) -> pd.DataFrame:
    """List RAVDESS: 60 clips an actor, half as many neutral as of another emotion, as nobody is strongly neutral."""
    takes = [
        (emotion, intensity, text, repetition)
        for emotion in range(1, 9)
        for intensity in ([1] if emotion == 1 else [1, 2])
        for text in (1, 2)
        for repetition in (1, 2)
    ]
    return clips(
        "ravdess", [f"03-01-{e:02}-{i:02}-{t:02}-{r:02}-{actor:02}" for actor in actors for e, i, t, r in takes]
    )


def tess(n_words: int = 200) -> pd.DataFrame:
    """List TESS: two actresses who say each word in each of seven emotions."""
    letters = "abcdefghijklmnopqrst"
    words = [first + second for first in letters for second in letters][:n_words]
    codes = load_corpus("tess").emotions
    return clips("tess", [f"{speaker}_{word}_{code}" for speaker in ("OAF", "YAF") for word in words for code in codes])


def demo() -> pd.DataFrame:
    """List the demo corpus: 12 voices, 8 emotions, 8 sentences."""
    return clips("demo", [utterance.name for utterance in demo_speech.utterances()])


def joined(*tables: pd.DataFrame) -> pd.DataFrame:
    """Put tables together as `ser.dataset.clips.read_clips` does."""
    return pd.concat(tables).sort_values(["original_id", "clip_id"], ignore_index=True)


def with_copies(table: pd.DataFrame, *, kinds: Sequence[str] = ("noise", "pitch_shift")) -> pd.DataFrame:
    """Add an altered copy of each clip and kind."""
    copies = [table.assign(clip_id=table.clip_id + f"+{kind}.1", augmentation=kind) for kind in kinds]
    return joined(table, *copies)


def write_features(
    folder: Path, table: pd.DataFrame, *, payload: str, values: Sequence[np.ndarray], names: str = '["a", "b"]'
) -> None:
    """Write one feature table a corpus: matrices as `payload` frames, vectors as functionals."""
    width = values[0].shape[-1]
    vector = pa.list_(pa.float32(), width)
    field = pa.field(payload, pa.list_(vector) if payload == "frames" else vector)
    by_clip = dict(zip(table.clip_id, values, strict=True))
    for corpus, group in table.groupby("corpus"):
        rows = [row | {payload: by_clip[row["clip_id"]].tolist()} for row in group.to_dict("records")]
        with clip_writer(folder / f"{corpus}.parquet", payload=field, metadata={"features": names}) as write:
            write(rows)


def write_clips(folder: Path, table: pd.DataFrame) -> None:
    """Write one clip table a corpus, with a byte of audio each."""
    for corpus, group in table.groupby("corpus"):
        with clip_writer(folder / f"{corpus}.parquet", payload=pa.field("audio", pa.binary())) as write:
            write([row | {"audio": b"-"} for row in group.to_dict("records")])


def predicted(
    emotion: Sequence[str], answers: Sequence[str], *, split: str | Sequence[str] = "test", classes: Sequence[str]
) -> pd.DataFrame:
    """Make a prediction table of a model that gives its answers a probability of 0.7."""
    n = len(emotion)
    shares = np.full((n, len(classes)), 0.3 / (len(classes) - 1))
    shares[np.arange(n), [list(classes).index(answer) for answer in answers]] = 0.7
    clip_ids = [f"ravdess/03-01-01-01-01-01-{i:02}" for i in range(n)]
    table = pd.DataFrame({"clip_id": clip_ids, "original_id": clip_ids, "augmentation": "", "corpus": "ravdess"})
    table = table.assign(speaker="ravdess-01", sex="m", intensity="normal", sentence="01", duration=1.5, segments=1)
    table = table.assign(fold=1, seed=1, split=split, emotion=list(emotion), predicted=list(answers), temperature=1.0)
    return table.assign(**{f"prob_{name}": shares[:, i] for i, name in enumerate(classes)})
