"""A user's own pictures as a demo: a folder with a folder a class."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from picoseek_bundle import PictureError, decode_picture

from demo.cases import Question, Reference
from demo.sources import Pixels, SourceError

ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
MOST_QUESTIONS_A_CLASS = 5
MOST_FRAMES = 100


@dataclass(frozen=True)
class OwnCases:
    """Half of each class's pictures make the gallery and the others the questions; a class in five stays a stranger."""

    folder: Path
    """A folder a class, pictures in each."""
    output: Path
    """Where the demo puts its own pictures, each time in place of the last."""
    report: Callable[[str], None]
    """Told once of each picture that is left out, and why."""
    _broken: set[Path] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Refuse a folder that cannot make a demo.

        Raises:
            SourceError: it has no class with at least two pictures, or would be replaced.
        """
        if not self.folder.is_dir():
            raise SourceError(f"{self.folder} is no folder; give one with a folder of pictures a class")
        folder, output = self.folder.resolve(), self.output.resolve()
        if folder.is_relative_to(output) or output.is_relative_to(folder):
            raise SourceError(
                f"what is in {self.output} is replaced by every demo, so pictures in {self.folder} could be lost; "
                "give a folder that is apart from it"
            )
        if not any(len(files) >= 2 for files in self._classes().values()):
            raise SourceError(f"{self.folder} has no folder with at least two pictures; give one with a folder a class")

    def references(self) -> Iterator[Reference]:
        """Yield the even pictures of every known class, by name."""
        for label, files in self._known().items():
            for number, (_, pixels) in enumerate(self._read(files[::2])):
                yield Reference(f"{label}-{number}", label, pixels)

    def questions(self) -> Iterator[Question]:
        """Yield the odd pictures of known classes, and some of the strangers."""
        for label, files in self._known().items():
            for number, (file, pixels) in enumerate(self._read(files[1::2][:MOST_QUESTIONS_A_CLASS])):
                yield Question(f"{label}-question-{number}", label, file.name, pixels)
        for label in self._strangers():
            for number, (file, pixels) in enumerate(self._read(self._classes()[label][:MOST_QUESTIONS_A_CLASS])):
                yield Question(f"stranger-{label}-{number}", None, file.name, pixels)

    def clip(self) -> Iterator[Pixels]:
        """Yield the pictures one after the other as the frames of a bulk job."""
        files = [file for group in self._classes().values() for file in group]
        yield from (pixels for _, pixels in self._read(files[:MOST_FRAMES]))

    def _classes(self) -> dict[str, list[Path]]:
        return {
            group.name: sorted(file for file in group.rglob("*") if file.suffix.lower() in ENDINGS)
            for group in sorted(self.folder.iterdir())
            if group.is_dir()
        }

    def _strangers(self) -> list[str]:
        labels = [label for label, files in self._classes().items() if files]
        return labels[4::5]

    def _known(self) -> dict[str, list[Path]]:
        strangers = set(self._strangers())
        return {label: files for label, files in self._classes().items() if files and label not in strangers}

    def _read(self, files: list[Path]) -> Iterator[tuple[Path, Pixels]]:
        for file in files:
            try:
                yield file, decode_picture(file.read_bytes())
            except PictureError as error:
                if file not in self._broken:
                    self._broken.add(file)
                    self.report(f"left out {file}: {error.message}")
