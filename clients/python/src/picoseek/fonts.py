"""A font that can write a label, from those that the machine has."""

from __future__ import annotations

import os
import unicodedata
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

FONT_VARIABLE = "PICOSEEK_FONT"
"""Environment variable with the path of a font file to prefer."""

# Broad coverage first; the others for the scripts that those lack.
_FILES = (
    "/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf",
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/dejavu/DejaVuSans.ttf",
    "/System/Library/Fonts/Supplemental/Arial Unicode.ttf",
    "C:/Windows/Fonts/segoeui.ttf",
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/noto-cjk/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc",
    "C:/Windows/Fonts/msyh.ttc",
)
_ABSENT = "\U0010fffe"  # a noncharacter: what a font draws for it is what it draws for anything it lacks

Font = ImageFont.FreeTypeFont


def fit_text(text: str, size: int) -> tuple[str, Font]:
    """Return a font that can write a text, and the text.

    Where no font of the machine has all its characters, accents are dropped and what is left out becomes "?".

    Args:
        text: one line.
        size: height of the font in pixels.
    """
    for path in _installed():
        font = _load(path, size)
        if _covers(font, text):
            return text, font
    last = _load(None, size)
    plain = unicodedata.normalize("NFKD", text)
    return "".join(_plain(character) for character in plain if not unicodedata.combining(character)), last


def _plain(character: str) -> str:
    return character if character.isascii() and character.isprintable() else "?"


@lru_cache(maxsize=1)
def _installed() -> tuple[str, ...]:
    preferred = os.environ.get(FONT_VARIABLE, "")
    return tuple(path for path in (preferred, *_FILES) if path and Path(path).is_file())


@lru_cache(maxsize=64)
def _load(path: str | None, size: int) -> Font:
    # Pillow's own font has no more than ASCII.
    font = ImageFont.truetype(path, size) if path else ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # Pillow's wheels have FreeType
    return font


def _covers(font: Font, text: str) -> bool:
    absent = _glyph(font, _ABSENT)
    return all(character.isspace() or _glyph(font, character) != absent for character in set(text))


@lru_cache(maxsize=4096)
def _glyph(font: Font, character: str) -> tuple[tuple[float, float, float, float], bytes]:
    picture = Image.new("L", (2 * int(font.size), 2 * int(font.size)))
    ImageDraw.Draw(picture).text((0, 0), character, font=font, fill=255)
    return font.getbbox(character), picture.tobytes()
