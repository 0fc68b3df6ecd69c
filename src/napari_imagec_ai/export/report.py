"""One page about the objects of an image, which needs nothing but a browser."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_imagec_ai.export.format import Beside
from napari_imagec_ai.export.overlay import as_png, draw_outlines
from napari_imagec_ai.export.palette import as_hex
from napari_imagec_ai.export.tables import table
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.system.version import version

_SIDE = 1200
"""Pixels along the longer side of the picture."""

_BINS, _WIDTH, _HEIGHT, _FOOT = 30, 380, 160, 20
"""Of a histogram: bars, and pixels of the drawing and below it."""

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 80em;
       padding: 0 1em; color: #222; background: #fff; }
img { max-width: 100%; border: 1px solid #ccc; }
table { border-collapse: collapse; }
th, td { padding: .2em .9em .2em 0; text-align: right; }
th:first-child, td:first-child { text-align: left; }
.swatch { display: inline-block; width: .8em; height: .8em; margin-right: .5em; }
.charts { display: flex; flex-wrap: wrap; gap: 2em; }
figure { margin: 0; } figcaption { color: #555; }
pre { background: #f5f5f5; padding: 1em; overflow-x: auto; }
svg text { font: 11px system-ui, sans-serif; fill: #555; }
"""


def write_report(objects: Objects, path: Path, beside: Beside) -> None:
    """Write picture, counts, histograms, assumptions and recipe as one HTML file."""
    title = escape(objects.frame.name or "Objects")
    sections = [
        f"<h1>{title}</h1>",
        f"<p>{len(objects)} objects, {_extent(objects)}</p>",
        _picture(objects, beside),
        "<h2>Classes</h2>",
        _classes(objects),
        "<h2>Measurements</h2>",
        _charts(objects),
    ]
    if objects.assumed:
        lines = "".join(f"<li>{escape(sentence)}</li>" for sentence in objects.assumed)
        sections += ["<h2>Assumed</h2>", f"<ul>{lines}</ul>"]
    if beside.recipe:
        sections += ["<h2>Recipe</h2>", f"<pre>{escape(beside.recipe)}</pre>"]
    sections.append(f"<p><small>napari-imagec-ai {escape(version())}</small></p>")
    path.write_text(
        '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">'
        f"<title>{title}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(sections)
        + "\n</body>\n</html>\n",
        encoding="utf-8",
    )


def _extent(objects: Objects) -> str:
    frame = objects.frame
    sizes = " x ".join(f"{size}" for size in frame.shape)
    pixel = " x ".join(
        f"{frame.sizes[axis]:g}" if axis in frame.sizes else "unknown"
        for axis in frame.space
    )
    unit = escape(frame.unit or "")
    told = f", pixels of {pixel} {unit} ({frame.space})" if unit else ""
    return f"{sizes} pixels ({frame.axes}){told}"


def _picture(objects: Objects, beside: Beside) -> str:
    drawn = draw_outlines(objects, beside, _SIDE)
    data = base64.b64encode(as_png(drawn.picture)).decode("ascii")
    where = ", ".join(f"{axis} = {at}" for axis, at in drawn.position.items())
    notes = [f"The plane with the most objects: {where}."] if where else []
    if beside.image is None:
        notes.append("The pixels of the image were not at hand.")
    caption = " ".join(notes)
    return (
        f'<figure><img alt="Outlines on the image" src="data:image/png;base64,{data}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _classes(objects: Objects) -> str:
    area = np.asarray(objects.features.get("area", np.full(len(objects), np.nan)))
    rows = []
    for number, name in enumerate(objects.classes):
        mine = objects.class_id == number
        swatch = f'<span class="swatch" style="background:{as_hex(number)}"></span>'
        rows.append(
            f"<tr><td>{swatch}{escape(name)}</td><td>{int(mine.sum())}</td>"
            f"<td>{_mean(area[mine])}</td><td>{_mean(objects.confidence[mine])}</td>"
            "</tr>"
        )
    return (
        "<table><tr><th>class</th><th>objects</th><th>mean area (pixels)</th>"
        f"<th>mean confidence</th></tr>{''.join(rows)}</table>"
    )


def _mean(values: NDArray[Any]) -> str:
    known = values[np.isfinite(values)]
    return f"{float(known.mean()):.4g}" if len(known) else "-"


def _charts(objects: Objects) -> str:
    skipped = {"id", "class", "touches_edge", *objects.plane_axes.lower()}
    figures = []
    for name, column in table(objects).items():
        if name in skipped or name.startswith(("centroid_", "box_")):
            continue
        values = np.asarray(column, np.float64)
        known = np.isfinite(values)
        if known.any():
            chart = _histogram(values[known], objects.class_id[known])
            caption = f"<figcaption>{escape(name)}</figcaption>"
            figures.append(f"<figure>{chart}{caption}</figure>")
    return f'<div class="charts">{"".join(figures)}</div>' if figures else "<p>-</p>"


def _histogram(values: NDArray[np.float64], class_id: NDArray[np.int32]) -> str:
    """Stacked bars, the classes in their colours."""
    low, high = float(values.min()), float(values.max())
    edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
    numbers = np.unique(class_id)
    counts = [np.histogram(values[class_id == n], edges)[0] for n in numbers]
    tallest = max(int(np.sum(counts, axis=0).max()), 1)
    wide = _WIDTH / _BINS
    bars, base = [], np.zeros(_BINS)
    for number, mine in zip(numbers, counts, strict=True):
        heights = mine / tallest * (_HEIGHT - 12)
        for i in np.flatnonzero(mine):
            top = _HEIGHT - base[i] - heights[i]
            bars.append(
                f'<rect x="{i * wide:.1f}" y="{top:.1f}" width="{wide - 1:.1f}" '
                f'height="{heights[i]:.1f}" fill="{as_hex(number)}"/>'
            )
        base += heights
    foot = _HEIGHT + 15
    return (
        f'<svg width="{_WIDTH}" height="{_HEIGHT + _FOOT}" role="img">{"".join(bars)}'
        f'<line x1="0" y1="{_HEIGHT}" x2="{_WIDTH}" y2="{_HEIGHT}" stroke="#888"/>'
        f'<text x="0" y="{foot}">{low:.4g}</text>'
        f'<text x="{_WIDTH}" y="{foot}" text-anchor="end">{edges[-1]:.4g}</text>'
        f'<text x="0" y="10">{tallest}</text></svg>'
    )
