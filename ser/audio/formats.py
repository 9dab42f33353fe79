"""Identify audio files by their first bytes, because suffixes are often wrong."""

from pathlib import Path

HEAD_BYTES = 64
ASF = bytes.fromhex("3026b2758e66cf11")
W64 = b"riff\x2e\x91\xcf\x11"
MP4_ATOMS = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
_STARTS = {
    b"fLaC": "flac",
    b"OggS": "ogg",
    b"caff": "caf",
    b".snd": "au",
    b"#!AMR": "amr",
    b"NIST_1A": "nistsphere",
    b"\x1aE\xdf\xa3": "matroska",
    b"\x0b\x77": "ac3",
    b"wvpk": "wv",
    b"MAC ": "ape",
    b"TTA1": "tta",
    b"DSD ": "dsf",
    ASF: "asf",
    W64: "w64",
}


def identify(head: bytes) -> str | None:
    """Identify the format of a file by its first `HEAD_BYTES` bytes.

    Returns
    -------
    str or None
        FFmpeg's name of the demuxer; None if it is no audio format. For MP3 and AAC this is a guess, because two bytes
        identify them.
    """
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64"):
        return "wav" if head[8:12] == b"WAVE" else None
    if head[:4] == b"FORM":
        return "aiff" if head[8:12] in (b"AIFF", b"AIFC") else None
    if head[4:8] in MP4_ATOMS:
        return "mov"
    if head.startswith(b"ID3"):
        return "mp3"
    return next((name for start, name in _STARTS.items() if head.startswith(start)), _identify_frame(head))


def _identify_frame(head: bytes) -> str | None:
    """Identify MP3 and ADTS by the header of their first frame, whose fields have values that are not allowed."""
    if len(head) < 4 or head[0] != 0xFF or head[1] < 0xE0:
        return None
    if head[1] & 0xF6 == 0xF0:
        return "aac" if head[2] >> 2 & 15 < 13 else None
    is_layer_2_or_3 = head[1] >> 1 & 3 in (1, 2)  # no layer 1, which the byte order mark of UTF-16 resembles
    valid = head[1] >> 3 & 3 != 1 and is_layer_2_or_3 and head[2] >> 4 not in (0, 15) and head[2] >> 2 & 3 != 3
    return "mp3" if valid else None


def looks_like_audio(path: Path) -> bool:
    """Check whether the content of a file starts like audio; False if it cannot be read or is no regular file."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return identify(file.read(HEAD_BYTES)) is not None
    except OSError:
        return False
