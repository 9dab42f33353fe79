"""Rewrite saved models so that equal models give equal bytes.

Keras and skops write zip archives with the time of saving and the memory addresses of objects. Times are replaced by a
constant and addresses by numbers in order of first appearance. The archives load as before.
"""

import io
import json
import re
import zipfile
from collections.abc import Mapping

_KERAS_ID = re.compile(r'(?<="shared_object_id": )\d+')
_SKOPS_ID = re.compile(r'(?<="__id__": )\d+|\d+(?=\.npy)')


def canonical_keras(archive: bytes) -> bytes:
    """Rewrite a ``.keras`` archive without date and addresses."""
    entries = _entries(archive)
    metadata = json.loads(entries["metadata.json"]) | {"date_saved": "1980-01-01@00:00:00"}
    entries["metadata.json"] = json.dumps(metadata, sort_keys=True).encode()
    entries["config.json"] = canonical_json(entries["config.json"].decode()).encode()
    return _zip(entries)


def canonical_json(architecture: str) -> str:
    """Renumber the addresses in the JSON of a Keras model."""
    return _replace(architecture, _KERAS_ID, _number(architecture, _KERAS_ID))


def canonical_skops(archive: bytes) -> bytes:
    """Rewrite a skops archive without addresses; its array files are named by addresses too."""
    entries = _entries(archive)
    schema = entries.pop("schema.json").decode()
    numbers = _number(schema, _SKOPS_ID)
    arrays = {_replace(name, _SKOPS_ID, numbers): content for name, content in entries.items()}
    return _zip(arrays | {"schema.json": _replace(schema, _SKOPS_ID, numbers).encode()})


def _number(text: str, pattern: re.Pattern[str]) -> dict[str, str]:
    return {address: str(n) for n, address in enumerate(dict.fromkeys(pattern.findall(text)), start=1)}


def _replace(text: str, pattern: re.Pattern[str], numbers: Mapping[str, str]) -> str:
    return pattern.sub(lambda match: numbers[match[0]], text)


def _entries(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        return {name: file.read(name) for name in file.namelist()}


def _zip(entries: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name in sorted(entries):
            file.writestr(zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0)), entries[name])
    return buffer.getvalue()
