"""A calibration on disk: a cache of what can be measured again."""

from __future__ import annotations

import io
import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import google_crc32c
import numpy as np

from picoseek_search.calibration.references import References

_VERSION = 1
_COLUMNS = ("items", "stranger_scores", "best_scores", "second_scores", "own")


class CalibrationFileError(Exception):
    """The file is damaged, or of another version: measure again."""


@dataclass(frozen=True, eq=False)
class Measurement:
    """References of a collection as they were at one time."""

    references: References
    """What was measured."""
    unit_length: bool
    """All vectors have length 1."""
    documents: int
    """Documents in the collection."""
    epoch: int
    """Revision.epoch of what was measured."""
    sequence: int
    """Revision.sequence."""
    made_at_ns: int
    """Nanoseconds since 1970."""


def save(path: Path, measurement: Measurement) -> None:
    """Write a measurement, whole or not at all.

    Raises:
        OSError: the disk is full or fails.
    """
    header = {
        "version": _VERSION,
        "unit_length": measurement.unit_length,
        "documents": measurement.documents,
        "epoch": measurement.epoch,
        "sequence": measurement.sequence,
        "made_at_ns": measurement.made_at_ns,
    }
    content = io.BytesIO()
    columns = {name: getattr(measurement.references, name) for name in _COLUMNS}
    np.savez(content, header=np.frombuffer(json.dumps(header).encode(), np.uint8), **columns)
    body = content.getvalue()
    partial = path.with_suffix(".partial")
    try:
        partial.write_bytes(google_crc32c.value(body).to_bytes(4, "little") + body)
        os.replace(partial, path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def load(path: Path) -> Measurement | None:
    """Read what save() wrote; None: there is nothing.

    Raises:
        CalibrationFileError: it is damaged, or of another version.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CalibrationFileError(f"{path}: {error}") from error
    if len(content) < 4 or int.from_bytes(content[:4], "little") != google_crc32c.value(content[4:]):
        raise CalibrationFileError(f"{path} is damaged")
    try:
        with np.load(io.BytesIO(content[4:]), allow_pickle=False) as arrays:
            header = json.loads(arrays["header"].tobytes())
            if header.pop("version") != _VERSION:
                raise CalibrationFileError(f"{path} is of another version")
            return Measurement(References(**{name: arrays[name] for name in _COLUMNS}), **header)
    except (KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise CalibrationFileError(f"{path}: {error}") from error
