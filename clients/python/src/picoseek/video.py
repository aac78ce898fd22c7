"""Video files read and written frame by frame."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from picoseek.errors import InvalidArgumentError
from picoseek.picture import Pixels
from picoseek.whole_file import named_on_failure, partial_path

_USUAL_RATE = 25.0
_PROBE_BYTES = 1 << 16


class VideoReader:
    """A video file, or a stream by its address."""

    def __init__(self, source: str) -> None:
        """Open a video.

        Raises:
            InvalidArgumentError: it is not there or cannot be decoded.
        """
        if "://" not in source and not Path(source).is_file():
            raise InvalidArgumentError(f"{source} does not exist; give a video file or the address of a stream")
        self._capture = cv2.VideoCapture(source)
        if not self._capture.isOpened():
            raise InvalidArgumentError(f"{source} cannot be decoded as a video")

    @property
    def frames_per_second(self) -> float:
        """As the video states it; 25 where it does not."""
        return float(self._capture.get(cv2.CAP_PROP_FPS)) or _USUAL_RATE

    @property
    def frame_count(self) -> int | None:
        """As the video states it; None: it does not."""
        return max(0, round(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))) or None

    def frames(self) -> Iterator[Pixels]:
        """Yield the frames in order."""
        while True:
            there, pixels = self._capture.read()
            if not there:
                return
            yield np.asarray(pixels, dtype=np.uint8)

    def close(self) -> None:
        """Release the file."""
        self._capture.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class VideoWriter:
    """A video file (MPEG-4 part 2) that is there, whole, once it is closed."""

    def __init__(self, path: Path, frames_per_second: float) -> None:
        self._path = path
        self._partial = partial_path(path)
        self._rate = frames_per_second
        self._writer: cv2.VideoWriter | None = None
        self._frames = 0

    def write(self, pixels: Pixels) -> None:
        """Add a frame; all have the size of the first.

        Raises:
            InvalidArgumentError: the ending is of no format that can be written.
            OSError: the file cannot be written.
        """
        if self._writer is None:
            height, width = pixels.shape[:2]
            code = cv2.VideoWriter.fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(self._partial), code, self._rate, (width, height))
            if not self._writer.isOpened():
                self._writer = None
                self._require_place()
                raise InvalidArgumentError(
                    f"{self._path}: OpenCV writes no video of that name here; give a file that ends in .mp4 or .avi"
                )
        self._writer.write(pixels)
        self._frames += 1

    def close(self) -> None:
        """Finish the file.

        Raises:
            OSError: it is not whole, and was removed.
        """
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        try:
            if not self._is_whole():
                self._require_place()
                raise OSError(f"{self._path} could not be written whole; is its disk full?")
            os.replace(self._partial, self._path)
        finally:
            self._partial.unlink(missing_ok=True)

    def _require_place(self) -> None:
        """Raise what the system says of writing there; OpenCV does not tell."""
        try:
            with named_on_failure(self._path), self._partial.open("ab") as file:
                file.write(bytes(_PROBE_BYTES))
        finally:
            self._partial.unlink(missing_ok=True)

    def _is_whole(self) -> bool:
        # OpenCV passes over frames that it cannot write.
        written = cv2.VideoCapture(str(self._partial))
        try:
            # Some formats state their length in time only, which rounds.
            return written.isOpened() and written.get(cv2.CAP_PROP_FRAME_COUNT) >= self._frames - 1
        finally:
            written.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
