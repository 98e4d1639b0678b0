"""A page of pictures: input, expected image, sample, true follow-up, difference, for each tumor slice."""

from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from .. import SYNTHETIC_NOTICE
from ..files import write_bytes
from .columns import CaseColumns
from .picture import png, text_font

if TYPE_CHECKING:
    from ..prediction import Prediction

_GAP, _TEXT, _LINE = 6, 13, 17
_WHITE, _ORANGE = (255, 255, 255), (255, 165, 0)
_LEGEND = (
    "Yellow: GTV. Cyan: measured enhancement; on the expected image, what enhances in half of the samples or more."
)


def write_montage(columns: CaseColumns, prediction: "Prediction", path: Path) -> Path:
    """Write the montage as PNG, one row per generated slice, superior at the top.

    :raises OutputFolderError: it cannot be written.
    """
    *pictures, change = columns.of_prediction(prediction)
    shown = [column for column in (columns.before, *pictures, columns.truth, change) if column is not None]
    height, width = shown[0].pictures[0].shape[:2]
    page_width = _GAP + len(shown) * (width + _GAP)
    font = text_font(_TEXT)
    titles = [wrapped(column.title, font, width) for column in shown]
    notice = wrapped(f"{_LEGEND} {SYNTHETIC_NOTICE}", font, page_width - 2 * _GAP)
    top = max(map(_height, titles))
    bottom = top + len(columns.indices) * (height + _GAP)
    page = Image.new("RGB", (page_width, bottom + _height(notice)))
    draw = ImageDraw.Draw(page)
    for number, (title, column) in enumerate(zip(titles, shown, strict=True)):
        left = _GAP + number * (width + _GAP)
        draw.multiline_text((left + width / 2, top - _GAP), title, _WHITE, font, anchor="md", align="center")
        for line, picture in enumerate(column.pictures):
            page.paste(Image.fromarray(picture), (left, top + line * (height + _GAP)))
    draw.multiline_text((page_width / 2, bottom), notice, _ORANGE, font, anchor="ma", align="center")
    return write_bytes(png(page), path)


def wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """The text in as many lines as it needs in this width; a word is never broken."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if not lines[-1] or font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return "\n".join(lines)


def _height(text: str) -> int:
    """Of the lines of a text with a margin."""
    return _LINE * (text.count("\n") + 1) + _GAP
