"""Predict recordings of several sentences with pauses: joined test clips of one speaker and emotion.

    .venv/bin/dvc exp run -S 'corpora=[ravdess]' -S split.fold_table=emobox
    .venv/bin/python -m benchmarks.pauses --folds 1 --folds 2

Each exported model of a fold predicts the test clips of that fold: single ones, pairs and groups of four in random
order. Room tone, noise at the level of the quietest tenth of the clips' frames, is between and around them.
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer

from benchmarks import timing
from ser import paths
from ser.audio import effects
from ser.audio import io as audio_io
from ser.audio.types import Waveform
from ser.audio.vad import NOISE_PERCENTILE, frame_levels_db
from ser.dataset.recordings import read_recordings
from ser.evaluation.calibration import ece
from ser.evaluation.metrics import uar
from ser.inference.model import load
from ser.params import read_params
from ser.utils import seeding
from ser.utils.errors import handle_user_errors
from ser.utils.parallel import map_tasks, n_workers

CONDITIONS = {"single": (1, 0.0), **{f"pair, {pause:g} s": (2, pause) for pause in (0.1, 0.3, 0.6, 1, 2)}} | {
    "four, 0.6 s": (4, 0.6)
}
"""Number of clips and pause in seconds."""
EDGE_SECONDS = 0.3
"""Room tone before the first and after the last clip."""
RATE = 16000


def test_recordings(fold: int) -> pd.DataFrame:
    """List the test recordings of a fold: corpus, file, speaker, emotion (class of the run), clip_id."""
    corpora = read_params().corpora
    recordings = pd.DataFrame(
        {
            "corpus": corpus,
            "clip_id": f"{corpus}/{recording.name}",
            "file": recording.file,
            "speaker": recording.speaker,
        }
        for corpus in corpora
        for recording in read_recordings(paths.recordings(corpus))
    )
    splits = pd.read_csv(paths.SPLITS, dtype={"clip_id": str})
    splits = splits.assign(clip_id=splits.clip_id.str.replace(r"#\d+$", "", regex=True)).drop_duplicates(
        ["clip_id", "fold"]
    )
    return recordings.merge(splits[(splits.fold == fold) & (splits.split == "test")], on="clip_id")


def groups(recordings: pd.DataFrame, *, size: int) -> Iterator[pd.DataFrame]:
    """Divide the recordings of each speaker and emotion into groups, in random order; an incomplete one is left out."""
    for key, rows in recordings.groupby(["speaker", "emotion"]):
        order = seeding.make_rng(1, "pauses", *map(str, key)).permutation(len(rows))
        for start in range(0, len(rows) - size + 1, size):
            yield rows.iloc[order[start : start + size]]


def read(row: Any) -> Waveform:
    """Decode a recording at `RATE`."""
    return np.concatenate(list(audio_io.stream_blocks(paths.raw(row.corpus) / row.file, rate=RATE)))


def join(signals: list[Waveform], *, pause: float, seed: str) -> Waveform:
    """Trim signals, and join them with room tone."""
    rng = seeding.make_rng(1, "pauses", seed)
    floor = np.median([np.percentile(frame_levels_db(signal, rate=RATE), NOISE_PERCENTILE) for signal in signals])

    def tone(seconds: float) -> Waveform:
        return (10 ** (floor / 20) * rng.standard_normal(round(seconds * RATE))).astype(np.float32)

    parts = [tone(EDGE_SECONDS)]
    for signal in signals:
        parts += [effects.trim(signal, top_db=40), tone(pause)]
    return np.concatenate([*parts[:-1], tone(EDGE_SECONDS)])


def predict(task: tuple[str, int]) -> list[dict[str, Any]]:
    """Predict all conditions with a model of a fold: rows of condition, fold, emotion, predicted and prob_<emotion>."""
    name, fold = task
    model, recordings = (
        load(paths.exported(name), member=f"fold{fold}_seed{read_params().model_seeds[0]}"),
        test_recordings(fold),
    )
    signals = {row.clip_id: read(row) for row in recordings.itertuples()}
    rows = []
    for condition, (size, pause) in CONDITIONS.items():
        for group in groups(recordings, size=size):
            chosen = [signals[clip_id] for clip_id in group.clip_id]
            signal = chosen[0] if size == 1 else join(chosen, pause=pause, seed=" ".join(group.clip_id))
            prediction = model.predict((signal, RATE))
            probabilities = {f"prob_{emotion}": value for emotion, value in prediction.probabilities.items()}
            best = max(prediction.probabilities, key=prediction.probabilities.__getitem__)
            rows.append(
                {"model": name, "condition": condition, "emotion": group.emotion.iloc[0], "predicted": best}
                | probabilities
            )
    return rows


def score(rows: pd.DataFrame) -> Mapping[str, float]:
    """Compute UAR, mean confidence and ECE."""
    confidence = rows.filter(like="prob_").max(axis=1).mean()
    return {"uar": uar(rows.emotion, rows.predicted), "confidence": float(confidence), "ece": ece(rows)}


def format_table(predictions: pd.DataFrame) -> list[str]:
    """Format a Markdown table: UAR / mean confidence / ECE by model and condition."""
    lines = [f"| | {' | '.join(CONDITIONS)} |", f"|---{'|---' * len(CONDITIONS)}|"]
    for name, rows in predictions.groupby("model", sort=False):
        scores = [score(rows[rows.condition == condition]) for condition in CONDITIONS]
        cells = [f"{s['uar']:.3f} / {s['confidence']:.2f} / {s['ece']:.3f}" for s in scores]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


@handle_user_errors
def main(
    folds: Annotated[list[int] | None, typer.Option(help="Folds to test, each with its own model.")] = None,
) -> None:
    """Print UAR, mean confidence and ECE of each model and condition, and write them to reports/benchmarks.md."""
    params, chosen = read_params(), folds or [1, 2]
    tasks = [(name, fold) for name in ["lstm", *params.baselines] for fold in chosen]
    results = map_tasks(predict, tasks, n_jobs=n_workers(), description="predict joined clips", unit="model")
    table = format_table(pd.DataFrame(itertools.chain.from_iterable(results)))
    about = f"{', '.join(params.corpora)}, folds {', '.join(map(str, chosen))}: UAR / mean confidence / ECE"
    timing.write_section("Pauses", [f"{about}, `python -m benchmarks.pauses`.", "", *table])


if __name__ == "__main__":
    typer.run(main)
