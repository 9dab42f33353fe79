"""Synthesize the demo corpus: speech in eight emotions by rules for prosody, with espeak-ng and without a network."""

import contextlib
import ctypes
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np

from ser.utils.errors import UserError
from ser.utils.seeding import make_rng

SAMPLE_RATE = 22050
"""Sample rate of espeak-ng's formant voices in Hz."""

_RETRIEVE, _NO_EXIT = 1, 0x8000  # espeak_Initialize: output to the callback; return errors instead of exiting
_UTF8, _SSML = 1, 0x10  # espeak_Synth
_WORDS_PER_MINUTE = 175  # default tempo of espeak
_TEMPO_RANGE = (80, 450)  # in words per minute; outside, espeak changes the tempo itself
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


@dataclass(frozen=True)
class Speaker:
    """A voice and its neutral speech.

    `pitch` is low in the range of the voice, as espeak can at most double the pitch of the voice's file.
    """

    voice: str  # file in espeak-ng-data/voices/!v, which sets the formants
    sex: Literal["f", "m"]
    floor: int  # in Hz, as in the line "pitch" of the voice's file
    ceiling: int  # likewise
    pitch: float  # median F0 in Hz
    range: float  # pitch range of espeak: 0-99, 50 as in the voice's file
    tempo: float  # ratio to 175 words per minute
    volume: float  # volume of espeak, 100 is normal
    hiss: float  # noise floor in dB re full scale


@dataclass(frozen=True, kw_only=True)
class Prosody:
    """Acoustic correlates of an emotion, relative to neutral speech of the same speaker."""

    pitch: float = 1.0  # ratio of median F0
    range: float = 1.0  # ratio of F0 range in Hz
    tempo: float = 1.0  # ratio of tempo
    level: float = 0.0  # in dB
    pause: float = 0.0  # in the middle of the sentence, in ms
    jitter: float = 0.02  # standard deviation of pitch and tempo between words, in octaves
    rise: float = 0.0  # of the pitch from the first word to the last, in octaves


@dataclass(frozen=True, order=True)
class Utterance:
    """A clip of the corpus: keys of `SPEAKERS`, `PROSODIES` and `TEXTS`."""

    speaker: str
    emotion: str
    text: str

    @property
    def name(self) -> str:
        """File stem, such as ``03_angry_kids``."""
        return f"{self.speaker}_{self.emotion}_{self.text}"


SPEAKERS: Mapping[str, Speaker] = MappingProxyType({
    # voice, sex, floor, ceiling, pitch, range, tempo, volume, hiss
    "01": Speaker("en-us+m1", "m", 75, 109, 74, 48, 1.00, 52, -76),
    "02": Speaker("en-us+f2", "f", 142, 220, 158, 38, 1.05, 40, -78),
    "03": Speaker("en-us+m2", "m", 88, 115, 82, 46, 0.93, 52, -72),
    "04": Speaker("en-us+linda", "f", 200, 247, 178, 56, 0.98, 34, -80),
    "05": Speaker("en+m3", "m", 80, 122, 85, 42, 1.08, 44, -76),
    "06": Speaker("en-us+f5", "f", 160, 228, 166, 42, 0.95, 44, -74),
    "07": Speaker("en-us+m6", "m", 82, 117, 79, 46, 1.00, 46, -80),
    "08": Speaker("en-us+steph", "f", 166, 200, 158, 64, 1.04, 40, -76),
    "09": Speaker("en-us+Andy", "m", 85, 110, 80, 54, 1.10, 34, -72),
    "10": Speaker("en+f3", "f", 140, 240, 168, 36, 0.95, 44, -78),
    "11": Speaker("en+m7", "m", 75, 125, 82, 40, 0.97, 38, -74),
    "12": Speaker("en-us+anika", "f", 200, 300, 200, 40, 0.90, 42, -70),
})  # fmt: skip

TEXTS: Mapping[str, str] = MappingProxyType({
    "back": "Say the word back",
    "kids": "Kids are talking by the door",
    "table": "The cloth is lying on the kitchen table",
})  # fmt: skip

PROSODIES: Mapping[str, Prosody] = MappingProxyType({
    "angry": Prosody(pitch=1.2, range=1.8, tempo=1.3, level=6.0),
    "calm": Prosody(pitch=0.95, range=0.8, tempo=0.85, level=-4.0),
    "disgust": Prosody(pitch=0.85, range=0.75, tempo=0.72, level=1.0, jitter=0.05),
    "fearful": Prosody(pitch=2.2, range=1.2, tempo=1.3, jitter=0.15),
    "happy": Prosody(pitch=1.5, range=2.0, tempo=1.3, level=3.0),
    "neutral": Prosody(),
    "sad": Prosody(pitch=0.9, range=0.6, tempo=0.7, level=-6.0, pause=250.0),
    "surprised": Prosody(pitch=1.5, range=1.5, tempo=1.05, level=2.0, rise=0.8),
})  # fmt: skip


def utterances() -> list[Utterance]:
    """List all clips of the corpus, sorted: each speaker, emotion and text."""
    return sorted(Utterance(s, e, t) for s in SPEAKERS for e in PROSODIES for t in TEXTS)


def synthesize(utterance: Utterance, *, seed: int, texts: Mapping[str, str] = TEXTS) -> np.ndarray:
    """Synthesize a clip.

    Parameters
    ----------
    utterance : Utterance
        Speaker, emotion and text.
    seed : int
        Seed of the run. The samples depend only on it and on the utterance.
    texts : mapping of str to str
        Texts by key.

    Returns
    -------
    ndarray of float32, shape (n_samples,)
        Signal in [-1, 1], at `SAMPLE_RATE`.

    Raises
    ------
    UserError
        If espeak-ng cannot be loaded or lacks the speaker's voice.

    References
    ----------
    Schröder (2001), "Emotional speech synthesis: a review", Eurospeech.
    Burkhardt & Sendlmeier (2000), "Verification of acoustical correlates of emotional speech
    using formant-synthesis", ISCA Workshop on Speech and Emotion.
    Cahn (1990), "The generation of affect in synthesized speech", J. AVIOS 8.
    """
    speaker = SPEAKERS[utterance.speaker]
    rng = make_rng(seed, "synthesis", utterance.name)
    speaker_rng = make_rng(seed, "synthesis", utterance.speaker, utterance.emotion)
    prosody = _vary(_vary(PROSODIES[utterance.emotion], speaker_rng), rng)
    ssml = _ssml(texts[utterance.text], speaker=speaker, prosody=prosody, rng=rng)
    speech = _run_espeak(ssml, voice=speaker.voice, seed=int(rng.integers(2**31)))
    return _add_silence_and_noise(speech, hiss=speaker.hiss, rng=rng)


def _vary(prosody: Prosody, rng: np.random.Generator) -> Prosody:
    """Vary the strength of the emotion and each acoustic correlate at random."""
    strength = np.clip(1.0 + 0.2 * rng.standard_normal(), 0.3, 1.6)
    pitch, spread, tempo, level = 0.2 * rng.standard_normal(4)
    return replace(
        prosody,
        pitch=prosody.pitch**strength * 2.0 ** (0.3 * pitch),
        range=prosody.range**strength * 2.0 ** (0.8 * spread),
        tempo=prosody.tempo**strength * 2.0 ** (0.4 * tempo),
        level=prosody.level * strength + 6.0 * level,
    )


def _ssml(text: str, *, speaker: Speaker, prosody: Prosody, rng: np.random.Generator) -> str:
    """Format SSML in which each word has its own pitch, range, rate and volume."""
    words = text.split()
    rise = prosody.rise * np.linspace(-0.5, 0.5, len(words))
    pitches = prosody.pitch * 2.0 ** (rise + prosody.jitter * rng.standard_normal(len(words)))
    tempos = prosody.tempo * 2.0 ** (prosody.jitter * rng.standard_normal(len(words)))
    spread = min(speaker.range * prosody.range, 99.0)
    volume = speaker.volume * 10.0 ** (prosody.level / 20.0)
    marked = []
    for word, pitch, tempo in zip(words, pitches, tempos, strict=True):
        value = _pitch_value(speaker.pitch * pitch, speaker=speaker, spread=spread)
        rate = 100 * np.clip(_WORDS_PER_MINUTE * speaker.tempo * tempo, *_TEMPO_RANGE) / _WORDS_PER_MINUTE
        attributes = f'pitch="{value}" range="{spread:.0f}" rate="{rate:.0f}%" volume="{volume:.0f}"'
        marked.append(f"<prosody {attributes}>{word}</prosody>")
    if prosody.pause:
        marked.insert(len(words) // 2, f'<break time="{prosody.pause:.0f}ms"/>')
    return f"<speak>{' '.join(marked)}</speak>"


def _pitch_value(f0: float, *, speaker: Speaker, spread: float) -> int:
    """Compute the pitch control of espeak (0-101) for a median F0 in Hz.

    wavegen.c multiplies the voice's base, ``floor - 9`` Hz, by ``2 ** ((value - 50) / 50)`` (``pitch_adjust_tab``) and
    adds 18 * 108 / 4096 of the voice's span, so that the range widens around its middle. The median still grows with
    the range, by a measured factor.
    """
    span = speaker.ceiling - speaker.floor
    offset = span * (18 * 108 / 4096 + 0.22 * spread / 50.0)
    ratio = max(f0 - offset, 1.0) / (speaker.floor - 9)
    return int(np.clip(np.rint(50.0 + 50.0 * np.log2(ratio)), 0, 101))


def _run_espeak(ssml: str, *, voice: str, seed: int) -> np.ndarray:
    """Synthesize SSML with a new engine: float32 in [-1, 1), shape (n_samples,)."""
    chunks: list[bytes] = []

    def collect(samples: int | None, n: int, _events: int | None) -> int:
        if samples and n > 0:
            chunks.append(ctypes.string_at(samples, 2 * n))
        return 0

    callback = _CALLBACK(collect)  # must not be deleted before espeak returns
    text = ssml.encode()
    with _engine() as espeak:
        espeak.espeak_ng_SetRandSeed(ctypes.c_long(seed))
        espeak.espeak_SetSynthCallback(callback)
        if espeak.espeak_SetVoiceByName(voice.encode()) != 0:
            raise UserError(f"espeak-ng has no voice {voice!r}; reinstall espeakng-loader.")
        espeak.espeak_Synth(text, len(text) + 1, 0, 0, 0, _UTF8 | _SSML, None, None)
        espeak.espeak_Synchronize()
    return np.frombuffer(b"".join(chunks), "<i2").astype(np.float32) / np.float32(32768.0)


@contextlib.contextmanager
def _engine() -> Iterator[ctypes.CDLL]:
    """Load espeak-ng for a clip and unload it.

    Oscillator phases and flutter are static variables, which neither a new seed nor espeak_Terminate resets. Unloading
    the library does, and takes about 3 ms.
    """
    try:
        import espeakng_loader

        path, data = str(espeakng_loader.get_library_path()), str(espeakng_loader.get_data_path())
        if _is_loaded(path):
            raise UserError(f"{path} is in use in this process, which would change the samples; use a new process.")
        espeak = ctypes.CDLL(path)
    except (ImportError, OSError) as error:
        raise UserError(
            f"espeak-ng cannot be loaded ({error}); the demo corpus needs it: install the package espeakng-loader, or "
            "choose another corpus."
        ) from error
    try:
        rate = espeak.espeak_Initialize(_RETRIEVE, 0, data.encode(), _NO_EXIT)
        if rate != SAMPLE_RATE:
            raise UserError(
                f"espeak-ng started from {data} with {rate} Hz; expected {SAMPLE_RATE} Hz. Reinstall espeakng-loader."
            )
        yield espeak
        espeak.espeak_Terminate()
    finally:
        _unload(espeak)


def _is_loaded(path: str) -> bool:
    try:
        _unload(ctypes.CDLL(path, mode=os.RTLD_NOLOAD))
    except OSError:
        return False
    return True


def _unload(library: ctypes.CDLL) -> None:
    ctypes.CDLL(None).dlclose(ctypes.c_void_p(library._handle))


def _add_silence_and_noise(speech: np.ndarray, *, hiss: float, rng: np.random.Generator) -> np.ndarray:
    """Add silence before and after the speech, and the speaker's noise floor."""
    before, after = rng.integers(SAMPLE_RATE // 8, SAMPLE_RATE // 3, size=2)
    padded = np.pad(speech, (int(before), int(after)))
    noise = rng.standard_normal(len(padded), dtype=np.float32) * np.float32(10 ** (hiss / 20))
    recording: np.ndarray = np.clip(padded + noise, -1.0, 1.0)
    return recording
