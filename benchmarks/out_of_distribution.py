"""Measure the flag `out_of_distribution`: how many recordings get it, and how well its score separates them.

    .venv/bin/dvc exp run -S 'corpora=[ravdess]' -S split.fold_table=emobox
    .venv/bin/python -m benchmarks.out_of_distribution --other ~/tess --every 20

An exported model of a fold predicts the test clips of that fold (in distribution), the recordings of other folders, and
signals made here: synthetic speech of espeak-ng in three languages, music, noise, and several speakers at once.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import typer
from sklearn.metrics import roc_auc_score

from benchmarks import timing
from benchmarks.pauses import RATE, read, test_recordings
from ser import paths
from ser.audio import effects
from ser.audio import io as audio_io
from ser.audio.clean import LevelMeter, read_segments
from ser.audio.io import AudioError
from ser.audio.types import Waveform
from ser.dataset.recordings import SUFFIXES
from ser.download import demo_speech
from ser.inference import quality_flags
from ser.inference.model import Model, load
from ser.params import read_params
from ser.predictions.segments import combine_segments
from ser.utils import seeding
from ser.utils.errors import UserError, handle_user_errors

TEXTS = {
    "en": (
        "The dog is sitting at the door",
        "I will see you tomorrow",
        "It is ten o'clock",
        "Where did you put it?",
    ),
    "de": ("Der Hund sitzt vor der Tür", "Wir sehen uns morgen", "Es ist zehn Uhr", "Wohin hast du es gelegt?"),
    "pl": ("Pies siedzi przed drzwiami", "Widzimy się jutro", "Jest godzina dziesiąta", "Gdzie to położyłeś?"),
}
VOICES = ("m1", "m2", "m3", "m4", "m6", "m7", "f1", "f2", "f3", "f4", "f5", "linda", "steph", "Andy", "anika")
N_SIGNALS = 60
"""Number of signals of each kind that are made here."""
SECONDS = 3.0


def espeak(language: str) -> Iterator[Waveform]:
    """Synthesize `N_SIGNALS` sentences with different voices."""
    for text in TEXTS[language]:
        for voice in VOICES:
            ssml = f'<speak><prosody volume="40">{text}</prosody></speak>'
            speech = demo_speech._run_espeak(ssml, voice=f"{language}+{voice}", seed=1)
            yield effects.resample(speech, rate=demo_speech.SAMPLE_RATE, to=RATE)


def music(*, melody: bool) -> Iterator[Waveform]:
    """Synthesize chords, or a melody, of decaying harmonic tones."""
    times = np.arange(round(SECONDS * RATE)) / RATE
    for n in range(N_SIGNALS):
        rng, signal = seeding.make_rng(1, "music", str(n)), np.zeros(len(times))
        for start in np.arange(0, SECONDS, 0.3 if melody else 0.75):
            root = 110 * 2 ** (rng.choice([0, 2, 4, 5, 7, 9, 11, 12]) / 12 + (1 if melody else 0))
            elapsed = np.maximum(times - start, 0)
            envelope = (times >= start) * np.exp(-elapsed / 0.4) * np.minimum(elapsed / 0.01, 1)
            for semitones in (0,) if melody else (0, 4, 7):
                f0 = root * 2 ** (semitones / 12)
                signal += envelope * sum(np.sin(2 * np.pi * k * f0 * elapsed) / k**1.5 for k in range(1, 12))
        yield (0.1 * signal).astype(np.float32)


def noise(exponent: float) -> Iterator[Waveform]:
    """Generate noise whose power falls with frequency: 0 white, 1 pink."""
    for n in range(N_SIGNALS):
        spectrum = np.fft.rfft(seeding.make_rng(1, "noise", str(n)).standard_normal(round(SECONDS * RATE)))
        spectrum /= np.maximum(np.arange(len(spectrum)), 1) ** (exponent / 2)
        signal = np.fft.irfft(spectrum)
        yield (0.1 * signal / signal.std()).astype(np.float32)


def mixtures(signals: list[Waveform], speakers: list[str], *, size: int) -> Iterator[Waveform]:
    """Add trimmed clips of different speakers at the same level."""
    trimmed = [effects.trim(signal, top_db=40) for signal in signals]
    for n in range(N_SIGNALS):
        rng = seeding.make_rng(1, "mixtures", str(size), str(n))
        chosen: dict[str, Waveform] = {}
        for index in rng.permutation(len(signals)):
            chosen.setdefault(speakers[index], trimmed[index])
        parts = list(chosen.values())[:size]
        length = min(map(len, parts))
        yield np.sum([0.05 * part[:length] / part[:length].std() for part in parts], axis=0).astype(np.float32)


def read_folder(folder: Path, *, every: int) -> Iterator[Waveform]:
    """Decode every n-th audio file of a folder and its subfolders."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not files:
        raise UserError(f"{folder}: found no recordings; choose a folder with audio files (--other).")
    for path in files[::every]:
        yield np.concatenate(list(audio_io.stream_blocks(path, rate=RATE)))


def conditions(fold: int, others: Iterable[Path], *, every: int) -> Iterator[tuple[str, Iterable[Waveform]]]:
    """Yield names and signals; the first condition is in distribution."""
    recordings = test_recordings(fold)
    signals, speakers = [read(row) for row in recordings.itertuples()], list(recordings.speaker)
    yield "test clips", signals
    for folder in others:
        yield folder.name, read_folder(folder, every=every)
    for language in TEXTS:
        yield f"espeak-ng, {language}", espeak(language)
    for size in sorted({2, min(4, len(set(speakers)))}):
        yield f"{size} speakers at once", mixtures(signals, speakers, size=size)
    yield from {"chords": music(melody=False), "melody": music(melody=True)}.items()
    yield from {"white noise": noise(0), "pink noise": noise(1)}.items()


def score(model: Model, signal: Waveform) -> tuple[float, float]:
    """Compute the out-of-distribution score of a recording and its confidence; NaN without speech.

    The recording has the flag if more than half of its segments have a score above 1: if their lower median is above 1.
    """
    try:
        blocks = read_segments((signal, RATE), model.card.preprocess, meter=LevelMeter())
        segments = [clip for block in blocks for clip in block]
    except AudioError:
        return np.nan, np.nan
    clips = [clip for clip in segments if quality_flags.has_voice(clip, model.card.features, rate=model.rate)]
    if not clips:
        return np.nan, np.nan
    probabilities, scores = model._predict_members([model._model_input(clip) for clip in clips])
    combined = combine_segments(list(probabilities), durations=[len(clip) for clip in clips])
    return float(np.quantile(scores, 0.5, method="lower")), float(combined.max())


def describe(name: str, scores: npt.NDArray[np.float64], *, reference: npt.NDArray[np.float64]) -> str:
    """Format a row: recordings, shares with a prediction and with the flag, AUROC and mean confidence of these."""
    distances, confidences = scores[~np.isnan(scores[:, 0])].T
    cells = [name, str(len(scores)), f"{len(distances) / len(scores):.0%}"]
    if len(distances) and len(reference):
        labels = np.repeat([0, 1], [len(reference), len(distances)])
        auroc = roc_auc_score(labels, np.concatenate([reference, distances]))
        cells += [f"{(distances > 1).mean():.1%}", f"{auroc:.2f}", f"{confidences.mean():.2f}"]
    else:
        cells += [""] * 3
    return f"| {' | '.join(cells)} |"


@handle_user_errors
def main(
    model: Annotated[str, typer.Option(help="Name of the exported model.")] = "lstm",
    fold: Annotated[int, typer.Option(help="Fold of the member and of the test clips.")] = 1,
    other: Annotated[list[Path] | None, typer.Option(help="Folders of other recordings.")] = None,
    every: Annotated[int, typer.Option(help="Use every n-th file of these folders.", min=1)] = 1,
) -> None:
    """Print the table of the flag's measures, and write it to reports/benchmarks.md."""
    params = read_params()
    member = f"fold{fold}_seed{params.model_seeds[0]}"
    predictor = load(paths.exported(model), member=member)
    rows: list[str] = []
    reference = np.empty(0)
    for name, signals in conditions(fold, other or [], every=every):
        scores = np.array([score(predictor, signal) for signal in signals])
        if not rows:
            reference = scores[~np.isnan(scores[:, 0]), 0]
        rows.append(describe(name, scores, reference=reference))
    about = f"{model}, {member}, trained on {', '.join(params.corpora)}. Flag, confidence: of those with speech."
    head = ["| recordings | number | with speech | flagged | AUROC | confidence |", "|---|---|---|---|---|---|"]
    timing.write_section("Out of distribution", [about, "`python -m benchmarks.out_of_distribution`", "", *head, *rows])


if __name__ == "__main__":
    typer.run(main)
