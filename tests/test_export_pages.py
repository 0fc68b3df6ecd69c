"""Tables with types, pictures and pages for people."""

from __future__ import annotations

import base64
import io
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pandas as pd
import pytest
from test_export_labels import found
from test_export_outlines import named

import napari_imagec_ai as ai
from napari_imagec_ai.export import writing
from napari_imagec_ai.export.overlay import overlay
from napari_imagec_ai.export.palette import PALETTE

# -- Parquet ---------------------------------------------------------------------------


@pytest.mark.parametrize("axes", ["YX", "TYX", "V"])
def test_parquet_holds_the_table_with_all_digits(axes: str, tmp_path: Path) -> None:
    objects = found(axes)
    read = pd.read_parquet(ai.write(objects, tmp_path / "größe 1.objects.parquet"))
    expected = writing.table(objects)
    assert list(read) == list(expected)
    for name, values in expected.items():
        assert read[name].tolist() == values.tolist()
    assert read["id"].dtype == np.int32


def test_no_objects_make_a_table_with_columns(tmp_path: Path) -> None:
    read = pd.read_parquet(ai.write(found("YX")[:0], tmp_path / "a.parquet"))
    assert len(read) == 0
    assert list(read)[:3] == ["id", "class", "confidence"]


def test_a_package_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_imagec_ai.export.tables.find_spec", lambda name: None)
    with pytest.raises(ai.ImagecAIError, match=r"pyarrow.*pip install"):
        ai.write(found("YX"), tmp_path / "a.parquet")


# -- pictures --------------------------------------------------------------------------


def test_outlines_lie_on_the_edges_of_the_objects(tmp_path: Path) -> None:
    objects = found("YX")
    pixels = np.full((48, 60), 7, np.uint8)
    path = ai.write(
        objects, tmp_path / "größe 1.overlay.png", ai.ImageInput(pixels, "YX")
    )
    picture = iio.imread(path)
    zoom = picture.shape[0] // 48
    assert picture.shape == (48 * zoom, 60 * zoom, 3)
    coloured = (picture == PALETTE[0]).all(axis=-1)
    assert coloured.any()
    # No ink but beside an edge between an object and what is around it.
    labels = np.pad(objects.as_labels(), 1, mode="edge")
    near = np.zeros((48, 60), bool)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            other = labels[1 + dy : 49 + dy, 1 + dx : 61 + dx]
            near |= other != objects.as_labels()
    assert not (coloured & ~near.repeat(zoom, 0).repeat(zoom, 1)).any()


def test_classes_have_colours_and_boxes_are_drawn(tmp_path: Path) -> None:
    picture = iio.imread(ai.write(named(), tmp_path / "a.png"))
    for ink in PALETTE[:2]:
        assert (picture == ink).all(axis=-1).any()


def test_large_images_are_made_smaller() -> None:
    objects = replace(named(), frame=replace(named().frame, shape=(900, 2000)))
    pixels = np.random.default_rng(0).random((900, 2000))
    drawn = overlay(objects, ai.ImageInput(pixels, "YX"), most=500)
    assert drawn.picture.shape == (225, 500, 3)


def test_the_fullest_plane_of_a_stack_is_shown() -> None:
    objects = found("TYX")
    chosen = overlay(objects[objects.planes[:, 0] != 0][1:])
    assert chosen.position == {"T": 2}
    assert overlay(found("V")).position["Z"] in range(3)


def test_colours_of_the_image_stay_as_they_are() -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (40, 50, 3)).astype(np.uint8)
    image = ai.ImageInput(pixels, "YXC", rgb=True)
    drawn = overlay(named()[:0], image)
    zoom = drawn.picture.shape[0] // 40
    np.testing.assert_array_equal(drawn.picture[::zoom, ::zoom], pixels)


# -- the report ------------------------------------------------------------------------


class Page(HTMLParser):
    """What a browser would see: tags, text, and addresses."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [v or "" for k, v in attrs if k in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data + "\n"


@pytest.mark.parametrize("axes", ["YX", "TYX", "V"])
def test_the_report_stands_alone(axes: str, tmp_path: Path) -> None:
    objects = replace(found(axes), assumed=("A halo of 16 <pixels> was assumed.",))
    image = ai.ImageInput(np.zeros(objects.frame.shape), objects.frame.axes)
    path = ai.write(
        objects, tmp_path / "größe 1.report.html", image, recipe="model: <nuclei>"
    )
    page = Page(path.read_text(encoding="utf-8"))
    assert "script" not in page.tags
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    picture = iio.imread(io.BytesIO(base64.b64decode(page.links[0].split(",")[1])))
    assert picture.ndim == 3
    assert f"{len(objects)} objects" in page.text
    assert "A halo of 16 <pixels> was assumed." in page.text
    assert "model: <nuclei>" in page.text
    assert ("plane with the most objects" in page.text) is (axes != "YX")


def test_the_report_counts_classes_and_draws_histograms(tmp_path: Path) -> None:
    features = {"area": np.array([84.0, np.nan])}
    path = ai.write(named(features=features), tmp_path / "a.html")
    text = path.read_text(encoding="utf-8")
    assert re.search(r"nucleus</td><td>1</td><td>84</td><td>0.5</td>", text)
    assert re.search(r"cell/rod</td><td>1</td><td>-</td><td>1</td>", text)
    charts = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(charts) == 2  # confidence and area
    bars = [len(ElementTree.fromstring(chart).findall("rect")) for chart in charts]
    assert bars == [2, 1]
    assert "not at hand" in text


def test_the_report_of_nothing_is_a_page_too(tmp_path: Path) -> None:
    path = ai.write(named()[:0], tmp_path / "a.html")
    assert "0 objects" in Page(path.read_text(encoding="utf-8")).text
