"""A picture's share of the service."""

from __future__ import annotations

from picoseek_detect_embed.pipeline.admission import Admission


class Ticket:
    """One picture, and so many crops, counted as under way until closed."""

    def __init__(self, pictures: Admission, crops: Admission, known_crops: int) -> None:
        """Hold units that both admissions have counted already."""
        self._pictures = pictures
        self._crops = crops
        self._units = known_crops
        self._open = True

    def raise_crops(self, units: int) -> None:
        """Count the crops that the picture turned out to have, when they are more than were known."""
        if self._open and units > self._units:
            self._crops.add(units - self._units)
            self._units = units

    def close(self) -> None:
        """Count all as done; more than once does no harm."""
        if self._open:
            self._open = False
            self._crops.release(self._units)
            self._pictures.release(1)
