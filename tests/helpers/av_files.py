"""Encode recordings in formats of phones and browsers, which libsndfile does not read."""

import io
import struct

import av
import numpy as np

from ser.audio import effects
from tests.helpers.signals import RATE

FORMATS = {
    "m4a": ("ipod", "aac", 44100),
    "mp4": ("mp4", "aac", 48000),
    "3gp": ("3gp", "aac", 16000),
    "mov": ("mov", "pcm_s16le", 44100),
    "alac.m4a": ("ipod", "alac", 44100),
    "webm": ("webm", "libopus", 48000),
    "mka": ("matroska", "pcm_s16le", 44100),
    "wma": ("asf", "wmav2", 44100),
    "aac": ("adts", "aac", 44100),
    "ac3.wav": ("wav", "ac3", 48000),
    "wma.wav": ("wav", "wmav2", 44100),
    "mp3.wav": ("wav", "libmp3lame", 44100),
    "g722.wav": ("wav", "g722", 16000),
    "alac.caf": ("caf", "alac", 44100),
    "ac3": ("ac3", "ac3", 48000),
}
"""Name -> muxer, codec and sample rate in Hz."""


def encode(signal: np.ndarray, name: str) -> bytes:
    """Encode a signal at `RATE`, of shape (n_samples,) or (n_samples, 2), in one of `FORMATS`."""
    muxer, codec, rate = FORMATS[name]
    channels = np.atleast_2d(signal.T.astype(np.float32))
    resampled = np.stack([effects.resample(channel, rate=RATE, to=rate) for channel in channels])
    layout = "mono" if len(channels) == 1 else "stereo"
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=muxer) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout, bit_rate=64000)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(resampled), format="fltp", layout=layout)
        frame.sample_rate = rate
        stream.codec_context.open()
        size = stream.codec_context.frame_size or 0
        resampler = av.AudioResampler(format=stream.codec_context.format, layout=layout, rate=rate, frame_size=size)
        for part in [*resampler.resample(frame), *resampler.resample(None), None]:
            for packet in stream.encode(part):
                container.mux(packet)
    return buffer.getvalue()


def aac_in_wav(signal: np.ndarray) -> bytes:
    """Make a WAV file with ADTS frames, as broadcast software writes it."""
    content = encode(signal, "aac")
    fmt = struct.pack("<HHIIHHH", 0x1600, 1, 44100, 8000, 1024, 16, 0)
    chunks = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", len(content)) + content
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks
