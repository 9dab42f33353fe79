"""Load an exported model and predict the emotion of recordings, with the preprocessing and features of training."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from ser.audio import io as audio_io
from ser.audio.clean import AudioStats, LevelMeter, Segmenter, read_segments
from ser.audio.io import NoSpeechError
from ser.audio.types import Waveform
from ser.features.columns import Array, columns_of, feature_names
from ser.features.frame_features import frame_features
from ser.features.functionals import functionals
from ser.inference import quality_flags
from ser.inference.bundle import Card, FoldModel, read_card
from ser.predictions.segments import combine_segments
from ser.predictions.temperature import logits, softmax_with_temperature
from ser.utils.errors import UserError
from ser.utils.wav import harmonic_tone

Recording: TypeAlias = str | Path | bytes | BinaryIO | tuple[npt.ArrayLike, int]
"""An audio file: its path, its bytes or a binary file object; or samples of shape (n_samples,) or
(n_samples, n_channels) and their sample rate in Hz."""
ProbabilityMatrix: TypeAlias = npt.NDArray[np.floating[Any]]

UNCERTAIN = "uncertain"
"""Label of recordings without speech."""


@dataclass(frozen=True)
class Prediction:
    """Prediction for a recording.

    Attributes
    ----------
    label : str
        The most likely emotion; `UNCERTAIN` without speech.
    confidence : float
        Its calibrated probability.
    probabilities : dict of str to float
        Calibrated probability of each emotion, in canonical order.
    seconds : float
        Duration of the recording.
    flags : tuple of str
        Warnings; see `ser.inference.quality_flags.FLAGS`.
    """

    label: str
    confidence: float
    probabilities: dict[str, float]
    seconds: float
    flags: tuple[str, ...]


@dataclass(frozen=True)
class SegmentPrediction:
    """Calibrated probabilities of shape (n_classes,), flags and duration in seconds of a segment of a recording."""

    probabilities: ProbabilityMatrix
    flags: tuple[str, ...]
    seconds: float = 1.0

    @property
    def has_speech(self) -> bool:
        """Whether there is a prediction."""
        return not set(self.flags) & set(quality_flags.NO_PREDICTION_FLAGS)


class ModelInput(NamedTuple):
    """Inputs for a clip: frames of shape (n_frames, n_features), and functionals of shape (n_functionals,) or (0,)."""

    frames: Array
    functionals: Array


Classifier: TypeAlias = Callable[[Sequence[ModelInput]], ProbabilityMatrix]
"""Clips to probabilities of shape (n_clips, n_classes)."""
MemberPredictor: TypeAlias = Callable[[Sequence[ModelInput]], tuple[ProbabilityMatrix, ProbabilityMatrix]]
"""Clips to calibrated probabilities of shape (n_clips, n_classes), and out-of-distribution scores of shape (n_clips,);
scores above 1 are out of distribution."""


def load(folder: str | Path, *, member: str | None = None) -> "Model":
    """Load an exported model.

    Parameters
    ----------
    folder : str or Path
        Folder of the model, such as ``models/exported/lstm``.
    member : str, optional
        Load only this member (fold and seed), such as ``fold1_seed1``. By default, the predictions of all members are
        averaged.

    Returns
    -------
    Model

    Raises
    ------
    UserError
        If the folder is missing, incomplete or damaged, has another format, or has no such member.

    Examples
    --------
    >>> load("models/exported/lstm").predict("voice.wav").label  # doctest: +SKIP
    'sad'
    """
    folder = Path(folder)
    card = read_card(folder)
    members = [fold_model for fold_model in card.members if member in (None, fold_model.name)]
    if not members:
        names = ", ".join(fold_model.name for fold_model in card.members)
        raise UserError(f"{folder}: found no member {member!r}; expected one of {names}.")
    return Model(card, [_load_member(folder, card, fold_model) for fold_model in members])


def _load_member(folder: Path, card: Card, member: FoldModel) -> MemberPredictor:
    network = card.kind == "network"
    classifier = _load_network(folder, card, member) if network else _load_baseline(folder, member)
    features_of = attrgetter("frames" if network else "functionals")
    statistics = quality_flags.TrainingStatistics.load(folder / member.training_statistics)

    def predict(clips: Sequence[ModelInput]) -> tuple[ProbabilityMatrix, ProbabilityMatrix]:
        scores = statistics.scores(quality_flags.clip_vectors([features_of(clip) for clip in clips]))
        # Calibration does not hold out of distribution: raise the temperature with the distance, but not within.
        temperatures = member.temperature * np.maximum(scores, 1)
        return softmax_with_temperature(logits(classifier(clips)), temperatures), scores

    return predict


def _load_network(folder: Path, card: Card, member: FoldModel) -> Classifier:
    from ser.inference import onnx_session

    if card.length_buckets is None:
        raise UserError(f"{folder}/card.json: found no length_buckets, which a network needs; export the model again.")
    run = onnx_session.load([folder / name for name in member.weights], buckets=card.length_buckets)

    def classify(clips: Sequence[ModelInput]) -> ProbabilityMatrix:
        functionals = np.stack([clip.functionals for clip in clips]) if card.inputs.functionals else None
        return run([clip.frames for clip in clips], functionals)

    return classify


def _load_baseline(folder: Path, member: FoldModel) -> Classifier:
    from ser.models import baselines

    model = baselines.load((folder / member.weights[0]).parent)
    return lambda clips: baselines.predict(model, np.stack([clip.functionals for clip in clips]))


class Model:
    """An exported model; see `load`.

    Attributes
    ----------
    card : Card
        Metadata: preprocessing, features, training data and test scores.
    labels : tuple of str
        Emotions, in the order of the probabilities.
    rate : int
        Sample rate of clips in Hz.
    """

    def __init__(self, card: Card, members: Sequence[MemberPredictor]) -> None:
        self.card, self.labels, self._members = card, card.labels, members
        self.rate = card.preprocess.sample_rate
        buckets = card.length_buckets
        self._max_seconds = None if buckets is None else buckets.max_length * card.features.hop_seconds
        self._threads = ThreadpoolController()
        self._columns = columns_of(feature_names(card.features), card.inputs.frames)

    def predict(self, recording: Recording) -> Prediction:
        """Predict the emotion of a recording.

        Parameters
        ----------
        recording : str, Path, bytes, file object, or tuple of array and int
            See `Recording`. Integer samples are PCM.

        Returns
        -------
        Prediction
            For recordings with pauses or several sentences, it combines the segments with speech; see
            `ser.predictions.segments.combine_segments`.

        Raises
        ------
        AudioError
            If the recording cannot be decoded. Silence is no error: the prediction has a flag.
        """
        meter, predictions, error = LevelMeter(), [], None
        try:
            for segments in read_segments(_validate_source(recording), self.card.preprocess, meter=meter):
                predictions += self.predict_segments(segments)
        except NoSpeechError as no_speech:
            error = no_speech
        return self.combine(predictions, meter.stats(), error=error)

    def start_recording(self) -> "RecordingPredictor":
        """Start to predict a recording that arrives in blocks at the sample rate `rate`."""
        return RecordingPredictor(self)

    def predict_proba(self, signals: Iterable[Waveform], *, rate: int) -> ProbabilityMatrix:
        """Predict the probabilities of several signals.

        Parameters
        ----------
        signals : iterable of ndarray of shape (n_samples,)
            Mono float32 signals.
        rate : int
            Sample rate in Hz.

        Returns
        -------
        ndarray of shape (n_signals, n_classes)
            Calibrated probabilities in the order of `labels`; uniform without speech.
        """
        predictions = [self.predict((signal, rate)) for signal in signals]
        return np.array([list(prediction.probabilities.values()) for prediction in predictions]).reshape(
            -1, len(self.labels)
        )

    def warm_up(self) -> None:
        """Predict a synthetic signal, so that the first request does not wait for imports."""
        times = np.arange(2 * self.rate) / self.rate
        tone = harmonic_tone(seconds=2, rate=self.rate, n_harmonics=19)
        self.predict((0.1 * tone * (times % 0.5 < 0.3), self.rate))

    def predict_segments(self, segments: Sequence[Waveform]) -> list[SegmentPrediction]:
        """Predict clean segments of speech, results of `ser.audio.clean.read_segments`."""
        with self._threads.limit(limits=1):  # as in training; a single clip is not worth more threads
            rounded = [audio_io.from_flac(audio_io.to_flac(segment, rate=self.rate)) for segment in segments]
            spoken = [quality_flags.has_voice(clip, self.card.features, rate=self.rate) for clip in rounded]
            inputs = [self._model_input(clip) for clip, has_voice in zip(rounded, spoken, strict=True) if has_voice]
            outputs = iter(zip(*self._predict_members(inputs), strict=True)) if inputs else iter(())
        return [
            self._with_flags(len(clip), *next(outputs)) if has_voice else self._no_prediction("no_speech")
            for clip, has_voice in zip(rounded, spoken, strict=True)
        ]

    def _no_prediction(self, flag: str) -> SegmentPrediction:
        return SegmentPrediction(np.full(len(self.labels), 1 / len(self.labels)), (flag,))

    def _model_input(self, clip: Waveform) -> ModelInput:
        card = self.card
        frames = frame_features(clip, card.features, rate=self.rate)
        vector = functionals(frames, card.features) if card.inputs.functionals else np.empty(0, dtype=np.float32)
        return ModelInput(frames[:, self._columns], vector)

    def _predict_members(self, clips: Sequence[ModelInput]) -> tuple[ProbabilityMatrix, ProbabilityMatrix]:
        """Average the probabilities and the out-of-distribution scores of the members."""
        probabilities, scores = zip(*(predict(clips) for predict in self._members), strict=True)
        return np.mean(probabilities, axis=0), np.mean(scores, axis=0)

    def _with_flags(self, n_samples: int, probabilities: ProbabilityMatrix, score: float) -> SegmentPrediction:
        seconds = n_samples / self.rate
        flags = quality_flags.length_flags(seconds, max_seconds=self._max_seconds)
        return SegmentPrediction(
            probabilities, (*(("out_of_distribution",) if score > 1 else ()), *flags), seconds=seconds
        )

    def combine(
        self, segments: Sequence[SegmentPrediction], stats: AudioStats, *, error: NoSpeechError | None
    ) -> Prediction:
        """Combine the predictions of the segments of a recording; `error` is the reason if there are none."""
        if not segments:
            segments = [self._no_prediction(error.flag if error else "silence")]
        used = [segment for segment in segments if segment.has_speech] or segments
        durations = [segment.seconds for segment in used]
        probabilities = combine_segments([segment.probabilities for segment in used], durations=durations)
        best = int(probabilities.argmax())
        segmented = ("segmented",) if len(used) > 1 and used[0].has_speech else ()
        synthetic = ("synthetic",) if self.card.origin.get("synthetic") else ()
        flags = quality_flags.majority_flags([segment.flags for segment in used])
        return Prediction(
            label=self.labels[best] if used[0].has_speech else UNCERTAIN,
            confidence=float(probabilities[best]),
            probabilities=dict(zip(self.labels, probabilities.tolist(), strict=True)),
            seconds=stats.seconds,
            flags=(*flags, *quality_flags.level_flags(stats), *segmented, *synthetic),
        )


class RecordingPredictor:
    """Predict a recording that arrives in blocks, with the same result as `Model.predict` of the whole recording.

    Memory use does not depend on the duration.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._segmenter = Segmenter(model.card.preprocess)
        self._predictions: list[SegmentPrediction] = []
        self._meter = LevelMeter()

    def update(self, block: Waveform) -> None:
        """Add a block of shape (n_samples,) at the model's sample rate."""
        for measured in self._meter.measure([block], rate=self._model.rate, channels=1):
            self._predictions += self._model.predict_segments(self._segmenter.update(measured))

    def close(self) -> Prediction:
        """Return the prediction for all blocks."""
        self._predictions += self._model.predict_segments(self._segmenter.close())
        return self._model.combine(self._predictions, self._meter.stats(), error=self._segmenter.error)


def _validate_source(recording: Recording) -> Path | bytes | tuple[npt.ArrayLike, int]:
    if isinstance(recording, str):
        return Path(recording)
    if isinstance(recording, tuple | Path | bytes):
        return recording
    if not hasattr(recording, "read"):
        expected = "a path, bytes, a binary file object, or (samples, rate)"
        raise UserError(f"recording: found {type(recording).__name__}; expected {expected}.")
    return recording.read()
