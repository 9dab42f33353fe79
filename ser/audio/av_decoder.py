"""Decode what libsndfile cannot, such as M4A, WebM and WMA, by FFmpeg's libraries. Only this module imports av (PyAV).

PyAV's wheels contain the libraries (104 MB installed), so no program is needed. They are imported if needed (0.1 s).
Recordings are read through a file object and by the demuxer of their content: no other file and no address is opened,
whatever a recording refers to.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from ser.audio.types import MultichannelWaveform

DEMUXERS = (
    *("wav", "aiff", "flac", "ogg", "aac", "ac3", "mov", "matroska", "asf", "amr", "caf", "au", "w64"),
    *("wv", "ape", "tta", "dsf"),
)
"""Formats that are opened. Playlists are not among them."""
OPTIONS = {"enable_drefs": "0", "use_absolute_path": "0", "protocol_whitelist": "none"}
"""Options of demuxers that could follow references in a recording."""


class DecodingError(Exception):
    """FFmpeg's libraries cannot decode a recording; the message is the reason."""


@dataclass
class DecodedFile:
    """An open recording, with the attributes of `soundfile.SoundFile` that `ser.audio.io` uses.

    Attributes
    ----------
    format : str
        Name of the demuxer.
    samplerate, channels : int
    frames : int
        Number of samples per channel that the header declares; 0 if unknown.
    """

    format: str
    samplerate: int
    channels: int
    frames: int
    _container: Any
    _stream: Any

    def blocks(self, *, max_samples: int) -> Iterator[MultichannelWaveform]:
        """Decode in blocks of shape (n_samples, n_channels), float32.

        Raises
        ------
        DecodingError
            If the recording is damaged, or longer than `max_samples`.
        """
        import av

        n_samples = 0
        try:
            resampler = av.AudioResampler(format="fltp", layout=self._stream.layout, rate=self.samplerate)
            for frame in self._container.decode(self._stream):
                for converted in resampler.resample(frame):
                    n_samples += converted.samples
                    if n_samples > max_samples:
                        raise DecodingError(f"longer than {max_samples / self.samplerate / 3600:g} hours; split it")
                    block = np.ascontiguousarray(converted.to_ndarray().T, dtype=np.float32)
                    if block.shape[1] != self.channels:
                        raise DecodingError(f"{self.channels} channels are declared, {block.shape[1]} were found")
                    yield block
        except (av.FFmpegError, ValueError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise DecodingError(f"damaged after {n_samples / self.samplerate:.2f} s ({reason})") from None


@contextmanager
def open_file(stream: BinaryIO, *, demuxer: str) -> Iterator[DecodedFile]:
    """Open the first audio track of a recording.

    Parameters
    ----------
    stream : binary file object
    demuxer : str
        One of `DEMUXERS`.

    Raises
    ------
    DecodingError
        If it is none of `DEMUXERS`, has no audio, or cannot be opened.
    """
    if demuxer not in DEMUXERS:
        raise DecodingError(f"the format {demuxer} is not supported")
    container = _open_container(stream, demuxer)
    with container:
        if not container.streams.audio:
            raise DecodingError("it has no audio track")
        audio = container.streams.audio[0]
        if audio.codec_context is None:
            raise DecodingError("its codec is unknown")
        audio.codec_context.thread_count = 1
        duration = float(audio.duration * audio.time_base) if audio.duration else 0.0
        frames = max(round(duration * audio.rate), 0) if audio.rate else 0
        yield DecodedFile(demuxer, audio.rate or 0, audio.channels or 0, frames, container, audio)


def _open_container(stream: BinaryIO, demuxer: str) -> Any:
    import av

    try:
        return av.open(stream, format=demuxer, options=OPTIONS, metadata_errors="replace")
    except (av.FFmpegError, ValueError, OverflowError) as error:
        raise DecodingError(getattr(error, "strerror", None) or str(error)) from None
