"""LogoDet-3K: `LogoDet-3K/<field>/<brand>/1.jpg` with a VOC file `1.xml` beside each picture."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from picoseek_training.data.convert.source import SourceBox, SourcePicture

_ENDINGS = (".jpg", ".jpeg", ".png")


def read_logodet3k(annotations: Path, images: Path) -> list[SourcePicture]:
    """Read every VOC file below a folder; objects that are `difficult` are ignored ones.

    The picture is found by the name of the VOC file: the `filename` inside is not always right. Corners are taken as
    edges in pixels, as labelImg, which made them, writes them. A `size` of 0 is taken as unknown.

    Args:
        annotations: The folder of the VOC files, with folders inside.
        images: The folder of the pictures, laid out in the same way; usually the same one.

    Raises:
        FileNotFoundError: There is no such folder, or it holds no VOC file.
        ValueError: A file is no VOC file; the message names it.
    """
    files = sorted(annotations.rglob("*.xml"))
    if not files:
        raise FileNotFoundError(f"{annotations} holds no .xml file; name the folder LogoDet-3K")
    return [_read(file, images / file.relative_to(annotations), annotations) for file in files]


def _read(file: Path, beside: Path, root: Path) -> SourcePicture:
    try:
        document = ElementTree.parse(file).getroot()
        boxes = tuple(_box(thing) for thing in document.iter("object"))
        width, height = (int(float(document.findtext(f"size/{key}") or 0)) for key in ("width", "height"))
    except (ElementTree.ParseError, ValueError) as error:
        raise ValueError(f"{file} is no VOC file: {error}; repair it or move it away") from error
    places = tuple(beside.with_suffix(ending) for ending in _ENDINGS)
    name = file.relative_to(root).with_suffix("").as_posix()
    return SourcePicture(name, places, boxes, width or None, height or None)


def _box(thing: ElementTree.Element) -> SourceBox:
    corners: list[float] = []
    for key in ("xmin", "ymin", "xmax", "ymax"):
        text = thing.findtext(f"bndbox/{key}")
        if text is None:
            raise ValueError(f"an object has no bndbox/{key}")
        corners.append(float(text))
    x1, y1, x2, y2 = corners
    return SourceBox(x1, y1, x2, y2, (thing.findtext("difficult") or "0").strip() == "1")
