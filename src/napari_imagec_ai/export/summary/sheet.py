"""A contact sheet: all images of a batch as thumbnails, with names and counts."""

from __future__ import annotations

import contextlib
import functools
import io
import re
import textwrap
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from napari_imagec_ai.export.palette import colour
from napari_imagec_ai.export.summary.lines import Line
from napari_imagec_ai.export.summary.thumbnails import SIDE
from napari_imagec_ai.system import own_files
from napari_imagec_ai.system.whole_files import replace_whole

COLUMNS, ROWS = 5, 6
"""Thumbnails on one page."""

_GAP, _HEAD, _FOOT = 24, 76, 52
"""Pixels between thumbnails, above the first row, and below each for its words."""

_LARGE, _SMALL = 26, 17
"""Sizes of the letters."""

_PAPER, _EMPTY = (255, 255, 255), (236, 236, 236)
_INK, _PALE, _BAD = (32, 32, 32), (112, 112, 112), (178, 24, 43)

_FONTS = ("DejaVuSans.ttf", "LiberationSans-Regular.ttf", "arial.ttf", "Arial.ttf")

_PAGES = re.compile(r"contact-sheet(-\d+)?\.png")

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def write_sheets(lines: Sequence[Line], folder: Path, title: str = "") -> list[Path]:
    """Write ``contact-sheet.png``, or ``contact-sheet-1.png`` and so on.

    Pages of an earlier, longer batch in the same folder are taken away.

    Parameters
    ----------
    lines : sequence of Line
        The images, in order.
    folder : Path
        Where the files go.
    title : str
        For the head of each page.
    """
    size = COLUMNS * ROWS
    parts = [lines[i : i + size] for i in range(0, len(lines), size)]
    names = list(dict.fromkeys(name for line in lines for name in line.classes))
    written = []
    for number, part in enumerate(parts, start=1):
        several = f", page {number} of {len(parts)}" if len(parts) > 1 else ""
        page = _page(part, names, f"{_head_of(lines, title)}{several}")
        path = folder / sheet_names(len(lines))[number - 1]
        stream = io.BytesIO()
        page.save(stream, "PNG")
        data = stream.getvalue()
        written.append(replace_whole(path, functools.partial(_write, data)))
    for old in folder.iterdir():
        if is_sheet(old.name) and old not in written and own_files.is_ours(old):
            old.unlink(missing_ok=True)
    return written


def sheet_names(images: int) -> list[str]:
    """Names of the pages of a batch of so many images."""
    pages = -(-images // (COLUMNS * ROWS))
    if pages <= 1:
        return ["contact-sheet.png"]
    return [f"contact-sheet-{number}.png" for number in range(1, pages + 1)]


def is_sheet(name: str) -> bool:
    """Whether a file is named like a page."""
    return _PAGES.fullmatch(name) is not None


def _write(data: bytes, place: Path) -> None:
    place.write_bytes(data)


def _head_of(lines: Sequence[Line], title: str) -> str:
    failed = sum(bool(line.problem) for line in lines)
    objects = sum(line.report.get("objects", 0) for line in lines)
    words = [f"{len(lines)} image{'s' * (len(lines) != 1)}"]
    if any(line.classes for line in lines):
        words.append(f"{objects} objects")
    words += [f"{failed} failed"] if failed else []
    return f"{title}: {', '.join(words)}" if title else ", ".join(words)


@functools.cache
def _font(size: int) -> Font:
    """A font of this machine that has more letters than English; else Pillow's own."""
    for name in _FONTS:
        with contextlib.suppress(OSError):
            return ImageFont.truetype(name, size)
    return ImageFont.load_default(size)


def _written(words: str) -> str:
    """Words in letters that the font has: Pillow's own has ASCII only."""
    composed = unicodedata.normalize("NFC", words)
    font = _font(_SMALL)
    if isinstance(font, ImageFont.FreeTypeFont) and font.getname()[0] != "Aileron":
        return composed
    apart = unicodedata.normalize("NFKD", composed.replace("ß", "ss"))
    plain = "".join(letter for letter in apart if not unicodedata.combining(letter))
    return plain.encode("ascii", "replace").decode("ascii")


def _page(lines: Sequence[Line], names: Sequence[str], head: str) -> Image.Image:
    columns = min(COLUMNS, max(len(lines), 3))
    rows = [lines[i : i + columns] for i in range(0, len(lines), columns)]
    pictures = [[_picture(line) for line in row] for row in rows]
    heights = [max(picture.height for picture in row) for row in pictures]
    width = columns * (SIDE + _GAP) + _GAP
    height = _HEAD + sum(heights) + len(rows) * (_FOOT + _GAP)
    page = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(page)
    draw.text((_GAP, 14), _fitted(head, width - 2 * _GAP, _LARGE), _INK, _font(_LARGE))
    _legend(draw, names, width)
    top = _HEAD
    for row, drawn, tallest in zip(rows, pictures, heights, strict=True):
        for i, (line, picture) in enumerate(zip(row, drawn, strict=True)):
            left = _GAP + i * (SIDE + _GAP)
            page.paste(picture, (left + (SIDE - picture.width) // 2, top))
            _caption(draw, line, names, left, top + tallest + 6)
        top += tallest + _FOOT + _GAP
    return page


def _legend(draw: ImageDraw.ImageDraw, names: Sequence[str], width: int) -> None:
    """Colours of the classes, as far as there is room."""
    left, font = _GAP, _font(_SMALL)
    for number, name in enumerate(names):
        words = _fitted(name, SIDE, _SMALL)
        room = int(draw.textlength(words, font)) + 44
        if left + room > width:
            return
        draw.rectangle((left, 50, left + 14, 64), colour(number))
        draw.text((left + 20, 47), words, _PALE, font)
        left += room


def _caption(
    draw: ImageDraw.ImageDraw, line: Line, names: Sequence[str], left: int, top: int
) -> None:
    font = _font(_SMALL)
    draw.text((left, top), _fitted(line.image.name, SIDE, _SMALL), _INK, font)
    top += 21
    if line.problem:
        draw.text((left, top), "failed", _BAD, font)
        return
    counts = {name: int(told["count"]) for name, told in line.classes.items()}
    if not counts:
        draw.text((left, top), _fitted(_best(line), SIDE, _SMALL), _PALE, font)
        return
    start = left
    # What there is most of first: of many classes the last ones are left out.
    for name in sorted(counts, key=lambda one: (-counts[one], names.index(one))):
        words = f"{counts[name]} {name}" if len(counts) < 4 else f"{counts[name]}"
        words = _fitted(words, SIDE - 17, _SMALL)
        room = int(draw.textlength(words, font)) + 30
        if start + room > left + SIDE + _GAP and start > left:
            draw.text((start, top), "...", _PALE, font)
            return
        # The outlines' own colours, which go by the classes of this image.
        draw.rectangle(
            (start, top + 4, start + 11, top + 15), colour(list(counts).index(name))
        )
        draw.text((start + 17, top), words, _PALE, font)
        start += room


def _best(line: Line) -> str:
    """Of scores, the highest."""
    scores = {n: told["score"] for n, told in line.report.get("measured", {}).items()}
    if not scores:
        return ""
    name = max(scores, key=lambda one: scores[one])
    return f"{name} {scores[name]:.2f}"


def _picture(line: Line) -> Image.Image:
    """The thumbnail; where there is none, a pale tile that says why."""
    if line.thumbnail is not None and line.thumbnail.is_file():
        with Image.open(line.thumbnail) as opened:
            found = opened.convert("RGB")
        found.thumbnail((SIDE, SIDE))
        return found
    tile = Image.new("RGB", (SIDE, SIDE * 3 // 4), _EMPTY)
    words = textwrap.wrap(_written(line.problem), 32)[:9]
    ImageDraw.Draw(tile).text((14, 14), "\n".join(words), _BAD, _font(_SMALL))
    return tile


def _fitted(words: str, width: int, size: int) -> str:
    """Words that fit into a width: the middle of long ones is left out."""
    font, words = _font(size), _written(words)
    if font.getlength(words) <= width:
        return words
    for length in range(len(words) - 2, 2, -1):
        first = length // 2
        shorter = f"{words[:first]}...{words[len(words) - length + first :]}"
        if font.getlength(shorter) <= width:
            return shorter
    return words[:3]
