"""From a voice to an answer: an exported model, loaded without settings, processing recordings as training did."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from ser.audio import clean as audio_clean
from ser.audio import ffmpeg
from ser.audio import io as audio_io
from ser.audio.io import NoSpeechError, UnsupportedFormatError
from ser.audio.types import Waveform
from ser.features.columns import Array, columns_of, feature_names
from ser.features.frame_features import frame_features
from ser.features.functionals import functionals
from ser.inference import quality_flags
from ser.inference.bundle import Card, FoldModel, read_card
from ser.predictions.temperature import logits, softmax_with_temperature
from ser.utils.errors import UserError

Recording: TypeAlias = str | Path | bytes | BinaryIO | tuple[npt.ArrayLike, int]
"""A file, the bytes of one, an open one, or samples, (n_samples,) or (n_samples, channels), and their rate in Hz."""
ProbabilityMatrix: TypeAlias = npt.NDArray[np.floating[Any]]

CHUNKING = {"whole": 10.0, "piece": 5.0}
"""Seconds: recordings longer than `whole` are more than an utterance, and are judged in pieces."""
UNCERTAIN = "uncertain"
"""The label where nothing was heard."""


@dataclass(frozen=True)
class Prediction:
    """What a model says of one recording.

    Attributes
    ----------
    label
        The likeliest emotion; `UNCERTAIN` where nothing was heard.
    confidence
        Its calibrated probability.
    probabilities
        Emotion -> calibrated probability, in canonical order.
    seconds
        Length of the recording.
    flags
        What speaks against the answer, as `ser.inference.quality_flags` names it.
    """

    label: str
    confidence: float
    probabilities: dict[str, float]
    seconds: float
    flags: tuple[str, ...]


@dataclass(frozen=True)
class _ClipPrediction:
    """Probabilities of a clip, (classes,), and what speaks against them."""

    shares: ProbabilityMatrix
    flags: tuple[str, ...]

    @property
    def heard(self) -> bool:
        return not set(self.flags) & set(quality_flags.NO_PREDICTION_FLAGS)


class ModelInput(NamedTuple):
    """What a model is given of a clip: frame features, (n_frames, features), and functionals, (values,), or none."""

    frames: Array
    functionals: Array


Probabilities: TypeAlias = Callable[[Sequence[ModelInput]], ProbabilityMatrix]
"""From clips to (clips, classes) probabilities."""
MemberPredictor: TypeAlias = Callable[[Sequence[ModelInput]], tuple[ProbabilityMatrix, ProbabilityMatrix]]
"""From clips to (clips, classes) probabilities and how far the clips are from training: 1 is far."""


def load(folder: str | Path, *, member: str | None = None) -> "Model":
    """Load an exported model.

    Parameters
    ----------
    folder
        Such as ``models/exported/lstm``.
    member
        One of its members alone, such as ``fold1_seed1``; all of them, averaged, where None.

    Raises
    ------
    InputError
        If the folder is of another format, broken or incomplete, or has no such member.
    """
    card = read_card(Path(folder))
    chosen = [one for one in card.members if member in (None, one.name)]
    if not chosen:
        names = ", ".join(one.name for one in card.members)
        raise UserError(f"{folder}: has no member {member!r}; it has {names}.")
    return Model(card, [_member(Path(folder), card, one) for one in chosen])


def _member(folder: Path, card: Card, member: FoldModel) -> MemberPredictor:
    network = card.kind == "network"
    probabilities = _network(folder, card, member) if network else _baseline(folder, member)
    seen = attrgetter("frames" if network else "functionals")
    usual = {"mean": np.array(member.usual.mean), "deviation": np.array(member.usual.deviation)}

    def judge(clips: Sequence[ModelInput]) -> tuple[ProbabilityMatrix, ProbabilityMatrix]:
        away = (
            quality_flags.normalized_distance(quality_flags.clip_vectors([seen(clip) for clip in clips]), **usual)
            / member.usual.most
        )
        # Nobody knows how right a model is out there: the farther, the nearer its answer comes to none.
        return softmax_with_temperature(logits(probabilities(clips)), member.temperature * np.maximum(away, 1)), away

    return judge


def _network(folder: Path, card: Card, member: FoldModel) -> Probabilities:
    from ser.inference import onnx_session
    from ser.models.batching import LengthBuckets

    if card.cut is None:
        raise UserError(f"{folder}: its card gives no lengths of clips, which a network needs; export it anew.")
    buckets = LengthBuckets(step=card.cut.step, most=card.cut.most)
    run = onnx_session.load([folder / name for name in member.weights], buckets=buckets)

    def probabilities(clips: Sequence[ModelInput]) -> ProbabilityMatrix:
        functionals = np.stack([clip.functionals for clip in clips]) if card.sees.functionals else None
        return run([clip.frames for clip in clips], functionals)

    return probabilities


def _baseline(folder: Path, member: FoldModel) -> Probabilities:
    from ser.models import baselines

    model = baselines.load((folder / member.weights[0]).parent)
    return lambda clips: baselines.predict(model, np.stack([clip.functionals for clip in clips]))


class Model:
    """A model that answers. `card` says what it was made from and how well it did; `labels` are its emotions."""

    def __init__(self, card: Card, members: Sequence[MemberPredictor]) -> None:
        self.card, self.labels, self._members = card, card.labels, members
        self._threads = ThreadpoolController()
        self._seen = columns_of(feature_names(card.features), card.sees.frames)

    def predict(self, recording: Recording) -> Prediction:
        """Judge one recording.

        Parameters
        ----------
        recording
            A file, the bytes of one, an open one, or samples, (n_samples,) or (n_samples, channels), and their rate
            in Hz; whole numbers are taken as integer PCM.

        Returns
        -------
        Answer
            Of a recording longer than ``LENGTHS["whole"]``, the mean over its pieces in which something is heard.

        Raises
        ------
        AudioError
            With the reason why it is no recording. Silence is one, and is answered with a flag.
        """
        seconds, judged, watch = 0.0, [], quality_flags.LevelMonitor()
        for piece, rate in _pieces(recording):
            watch.see(piece)
            seconds += len(piece) / rate
            judged += self._judge([piece], rate=rate)
        return self._answer(judged, seconds=seconds, flags=watch.flags())

    def probabilities(self, signals: Iterable[Waveform], *, rate: int) -> ProbabilityMatrix:
        """Judge signals, each as one clip: denoised, trimmed and normalised as in training.

        Parameters
        ----------
        signals
            (n_samples,) float32 each, mono.
        rate
            Of all of them, in Hz.

        Returns
        -------
        (clips, classes) float64
            Calibrated probabilities, columns as `labels`; all equal where no voice is heard.
        """
        judged = self._judge(signals, rate=rate)
        return np.array([one.shares for one in judged]).reshape(-1, len(self.labels))

    def _judge(self, signals: Iterable[Waveform], *, rate: int) -> list[_ClipPrediction]:
        nothing = np.full(len(self.labels), 1 / len(self.labels))
        with self._threads.limit(limits=1):  # as in training; a clip is too little work to be shared
            clips = [self._hear(signal, rate=rate) for signal in signals]
            found = iter(self._judge_heard([clip for clip in clips if not isinstance(clip, str)]))
        return [_ClipPrediction(nothing, (clip,)) if isinstance(clip, str) else next(found) for clip in clips]

    def _hear(self, signal: Waveform, *, rate: int) -> Waveform | str:
        """Make a clip of a signal, rounded as clips are that models learn from, or say why there is none."""
        settings = self.card.preprocess
        try:
            clip = audio_clean.clean_signal(signal, settings, rate=rate)
        except NoSpeechError as error:
            return error.flag
        clip = audio_io.quantize_16bit(clip, rate=settings.sample_rate)
        return clip if quality_flags.has_voice(clip, self.card.features, rate=settings.sample_rate) else "no_speech"

    def _judge_heard(self, clips: Sequence[Waveform]) -> list[_ClipPrediction]:
        if not clips:
            return []
        shares, away = self._shares_of([self._measure(clip) for clip in clips])
        return [_ClipPrediction(shares[n], self._flags(len(clip), away=away[n])) for n, clip in enumerate(clips)]

    def _shares_of(self, clips: Sequence[ModelInput]) -> tuple[ProbabilityMatrix, ProbabilityMatrix]:
        """Average the members: (clips, classes) probabilities, and how far clips are from training: (clips,)."""
        shares, away = zip(*(judge(clips) for judge in self._members), strict=True)
        return np.mean(shares, axis=0), np.mean(away, axis=0)

    def _measure(self, clip: Waveform) -> ModelInput:
        """Measure a clip as in training."""
        card = self.card
        frames = frame_features(clip, card.features, rate=card.preprocess.sample_rate)
        nothing = np.empty(0, dtype=np.float32)
        return ModelInput(
            frames[:, self._seen], functionals(frames, card.features) if card.sees.functionals else nothing
        )

    def _of_all(self) -> tuple[str, ...]:
        """Say what speaks against every answer of this model."""
        return ("synthetic",) if self.card.origin.get("synthetic") else ()

    def _flags(self, n_samples: int, *, away: float) -> tuple[str, ...]:
        card = self.card
        longest = None if card.cut is None else card.cut.most * card.features.hop_seconds
        lengths = quality_flags.of_length(n_samples / card.preprocess.sample_rate, longest=longest)
        return (*(("unlike_training",) if away > 1 else ()), *lengths)

    def _answer(self, judged: Sequence[_ClipPrediction], *, seconds: float, flags: Sequence[str]) -> Prediction:
        heard = [one for one in judged if one.heard] or judged
        shares = np.mean([one.shares for one in heard], axis=0)
        best = int(shares.argmax())
        long = ("long",) if len(judged) > 1 else ()
        return Prediction(
            label=self.labels[best] if heard[0].heard else UNCERTAIN,
            confidence=float(shares[best]),
            probabilities={name: float(share) for name, share in zip(self.labels, shares, strict=True)},
            seconds=seconds,
            flags=(*quality_flags.majority_flags([one.flags for one in heard]), *flags, *long, *self._of_all()),
        )


def _pieces(recording: Recording) -> Iterator[tuple[Waveform, int]]:
    """Give a recording whole, at its own rate, or a long one in pieces, with the rate in Hz."""
    if isinstance(recording, tuple):
        samples, rate = recording
        pieces = audio_io.split_into_chunks([audio_io.from_array(samples, rate=rate)], rate=rate, **CHUNKING)
        yield from ((piece, rate) for piece in pieces)
        return
    if not isinstance(recording, str | Path | bytes):
        if not hasattr(recording, "read"):
            kinds = "a path, bytes, an open file, or (samples, rate)"
            raise UserError(f"a recording: found {type(recording).__name__}; expected {kinds}.")
        recording = recording.read()
    source = Path(recording) if isinstance(recording, str) else recording
    try:
        yield from audio_io.read_chunks(source, **CHUNKING)
    except UnsupportedFormatError as refused:  # raised before the first piece
        with ffmpeg.converted_to_wav(source, refused=refused) as converted:
            yield from audio_io.read_chunks(converted, **CHUNKING)
