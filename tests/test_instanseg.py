"""Ids in several channels: nuclei in their cells, as InstanSeg gives them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import instanseg
import numpy as np
import pytest
from conftest import discs
from scenes import prediction

import napari_imagec_ai as ai
from napari_imagec_ai.decoders.decoder import settings_with as changed
from napari_imagec_ai.decoders.registry import choose_decoder
from napari_imagec_ai.results.objects import Objects

SHAPE = (260, 300)
PLACES = [(40, 40), (40, 120), (130, 60), (200, 200), (128, 150)]
CELLS = discs(SHAPE, PLACES, [20, 25, 30, 50, 12])
# The cell in the middle has none, and the largest has two.
NUCLEI = discs(
    SHAPE, [(40, 40), (45, 110), (130, 60), (190, 180), (210, 230)], [8, 8, 10, 10, 10]
)
IMAGE = ai.ImageInput(
    instanseg.picture(CELLS, NUCLEI), "YX", pixel_size=(0.5, 0.5), unit="micrometer"
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: Any) -> Any:
    return ai.load_model(instanseg.folder(tmp_path_factory.mktemp("zoo") / "instanseg"))


@pytest.fixture(scope="module")
def whole(model: Any) -> Objects:
    return segmented(model)


def segmented(model: Any, image: Any = IMAGE, **how: Any) -> Objects:
    found = ai.decode(ai.predict(model, image, **how))
    assert isinstance(found, Objects)
    return found


def layers(found: Objects) -> dict[str, np.ndarray]:
    """Labels of each class alone, as its Labels layer has them."""
    return {
        name: found[found.class_id == number].as_labels()
        for number, name in enumerate(found.classes)
    }


def same(truth: np.ndarray, labels: np.ndarray) -> bool:
    """Whether both have the same objects, pixel for pixel."""
    both = truth.astype(np.int64) * (int(labels.max()) + 1) + labels
    pairs = len(np.unique(both))
    return pairs == len(np.unique(truth)) == len(np.unique(labels))


def test_the_export_is_known_by_its_description(model: Any) -> None:
    assert (model.kind, model.classes) == ("labels", ("nucleus", "cell"))
    assert choose_decoder(model).name == "labels"
    assert model.problems == ()


@pytest.mark.parametrize("tile", [None, (128, 128)])
def test_each_channel_is_a_class_in_one_window_and_in_several(
    model: Any, tile: Any
) -> None:
    raw = ai.predict(model, IMAGE, tile=tile, halo=None if tile is None else 24)
    assert (raw.network_calls > 4) == (tile is not None)
    found = ai.decode(raw)
    assert isinstance(found, Objects)
    assert found.counts() == {"nucleus": 5, "cell": 5}
    # Nothing is split or doubled, and a cell keeps the pixels under its nucleus.
    shown = layers(found)
    assert same(CELLS, shown["cell"])
    assert same(NUCLEI, shown["nucleus"])


def test_nuclei_know_their_cells(whole: Objects) -> None:
    found = whole
    parent = dict(zip(found.id, found.features["parent"], strict=True))
    cells, nuclei = layers(found)["cell"], layers(found)["nucleus"]
    for (y, x), others in [((40, 40), 1), ((190, 180), 2), ((210, 230), 2)]:
        nucleus, cell = nuclei[y, x], cells[y, x]
        assert parent[nucleus] == cell > 0
        row = int(np.flatnonzero(found.id == cell)[0])
        assert found.features["children"][row] == others
        assert parent[cell] == 0
    lonely = int(np.flatnonzero(found.id == cells[128, 150])[0])
    assert found.features["children"][lonely] == 0


def test_a_nucleus_that_lies_outside_has_no_cell() -> None:
    nuclei = discs((60, 60), [(20, 20), (45, 44)], [6, 6])
    cells = discs((60, 60), [(45, 30)], [11])  # holds less than half of the second
    found = ai.decode(described(np.stack([nuclei, cells])))
    assert isinstance(found, Objects)
    assert found.features["parent"].tolist() == [0, 0, 0]


def described(values: np.ndarray, names: Any = ("nuclei", "cells"), **more: Any) -> Any:
    """A prediction of ids in these channels."""
    own = {"classes": list(names)} if names else {}
    return prediction(values.astype(np.float32), "labels", **own, **more)


def test_painted_together_nuclei_are_on_top_of_cells(whole: Objects) -> None:
    found = whole
    shown = found.as_labels()
    nuclei = layers(found)["nucleus"]
    np.testing.assert_array_equal(shown[nuclei > 0], nuclei[nuclei > 0])
    assert ((shown > 0) == ((CELLS > 0) | (NUCLEI > 0))).all()


def test_what_is_exported_has_whole_cells(whole: Objects, tmp_path: Path) -> None:
    import tifffile

    found = whole
    ai.write(found, tmp_path / "both.geojson")
    written = json.loads((tmp_path / "both.geojson").read_text())
    features = written["features"] if isinstance(written, dict) else written
    names = [f["properties"]["classification"]["name"] for f in features]
    assert sorted(names) == ["cell"] * 5 + ["nucleus"] * 5
    # No cell has a hole where its nucleus is.
    assert all(len(f["geometry"]["coordinates"]) == 1 for f in features)
    ai.write(ai.classify(found)[found.class_id == 1], tmp_path / "cells.labels.tif")
    assert same(CELLS, tifffile.imread(tmp_path / "cells.labels.tif"))


def test_measurements_are_those_of_the_whole_cell(whole: Objects) -> None:
    found = whole
    areas = np.sort(found.features["area"][found.class_id == 1])
    np.testing.assert_array_equal(areas, np.sort(np.bincount(CELLS.ravel())[1:]))
    assert set(found.features["touches_edge"]) == {0}


def test_large_images_are_decoded_in_blocks_to_the_same(
    model: Any, whole: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_imagec_ai.decoders.decoding.LARGE", 1 << 10)
    monkeypatch.setattr("napari_imagec_ai.decoders.in_blocks.SIDE", {2: 128})
    monkeypatch.setattr("napari_imagec_ai.decoders.in_blocks.OVERLAP", {2: 32})
    found = segmented(model)
    assert found.counts() == whole.counts()
    for name, labels in layers(found).items():
        assert same(layers(whole)[name], labels)
    assert sorted(found.features["children"]) == sorted(whole.features["children"])


def test_an_object_larger_than_a_tile_is_one(model: Any) -> None:
    # From left to right every tile first sees an arm of its own.
    comb = np.zeros((220, 420), np.float32)
    comb[160:200, 20:400] = 0.5
    for x in (40, 150, 260, 370):
        comb[20:180, x - 15 : x + 15] = 0.5
    comb[90:110, 140:160] = 1.0
    found = segmented(model, ai.ImageInput(comb, "YX"), tile=(128, 128), halo=16)
    shown = layers(found)
    assert found.counts() == {"nucleus": 1, "cell": 1}
    np.testing.assert_array_equal(shown["cell"] > 0, comb > 0)


def test_an_image_without_objects_gives_none_of_either(model: Any) -> None:
    found = segmented(model, ai.ImageInput(np.zeros((128, 160), np.float32), "YX"))
    assert found.counts() == {"nucleus": 0, "cell": 0}
    assert found.as_labels().max() == 0
    assert {"parent", "children"} <= found.features.keys()


def test_planes_are_linked_one_by_one(model: Any) -> None:
    both = np.stack([IMAGE.data, IMAGE.data[::-1]])
    found = segmented(model, ai.ImageInput(both, "TYX"))
    assert found.counts() == {"nucleus": 10, "cell": 10}
    plane = dict(zip(found.id, found.planes[:, 0], strict=True))
    linked = found.features["parent"] > 0
    assert linked.sum() == 10
    for identity, above in zip(
        found.id[linked], found.features["parent"][linked], strict=True
    ):
        assert plane[identity] == plane[above]


def test_one_output_is_one_class(tmp_path: Path) -> None:
    model = ai.load_model(instanseg.folder(tmp_path / "cells", outputs=1))
    found = segmented(model)
    assert model.kind == "labels"
    assert (len(found), len(found.classes)) == (5, 1)
    assert "parent" not in found.features


def test_a_network_of_any_channels_takes_all_that_there_are(tmp_path: Path) -> None:
    model = ai.load_model(instanseg.folder(tmp_path / "any", channels=None))
    assert model.classes == ("nucleus", "cell")
    image = ai.ImageInput(np.stack([IMAGE.data] * 3), "CYX", pixel_size=(0.5, 0.5))
    assert segmented(model, image).counts() == {"nucleus": 5, "cell": 5}


def test_the_image_is_brought_to_the_pixel_size_that_qupath_is_told(model: Any) -> None:
    coarse = ai.ImageInput(
        np.asarray(IMAGE.data)[::2, ::2], "YX", pixel_size=(1.0, 1.0), unit="micrometer"
    )
    raw = ai.predict(model, coarse)
    assert raw.scale == (2.0, 2.0)
    found = ai.decode(raw)
    assert isinstance(found, Objects)
    assert found.counts() == {"nucleus": 5, "cell": 5}


def test_a_single_channel_can_be_chosen() -> None:
    made = described(np.stack([NUCLEI, CELLS]))
    settings = choose_decoder(made.model).defaults(made.model)
    found = ai.decode(made, changed(settings, {"channel": 1}))
    assert isinstance(found, Objects)
    assert found.classes == ("cells",)
    assert same(CELLS, found.as_labels())


def test_channels_without_names_are_numbered() -> None:
    found = ai.decode(described(np.stack([NUCLEI, CELLS]), names=None))
    assert isinstance(found, Objects)
    assert found.classes == ("class 1", "class 2")
    # Which are the larger ones is seen.
    assert np.count_nonzero(found.features["parent"][found.class_id == 0]) == 5


@pytest.mark.parametrize("overlap", [False, True])
def test_in_volumes_classes_must_not_overlap(overlap: bool) -> None:
    first = np.zeros((2, 6, 20, 20))
    first[0, 1:5, 2:8, 2:8] = 1
    first[1, 1:5, 4 if overlap else 12 : 18, 4 if overlap else 12 : 18] = 1
    made = described(first, ("a", "b"), axes="ZYX", space="ZYX")
    if overlap:
        with pytest.raises(ai.DecodeError, match="choose the channel of one class"):
            ai.decode(made)
    else:
        found = ai.decode(made)
        assert isinstance(found, Objects)
        assert found.counts() == {"a": 1, "b": 1}


def test_the_command_line_counts_both(
    model: Any, tmp_path: Path, run_cli: Callable[..., tuple[int, str, str]]
) -> None:
    import tifffile

    tifffile.imwrite(tmp_path / "dish.tif", np.asarray(IMAGE.data))
    code, out, _ = run_cli(
        "predict", model.folder, tmp_path / "dish.tif", "-o", tmp_path, "--json"
    )
    assert code == 0
    assert json.loads(out)["classes"] == {"nucleus": 5, "cell": 5}
    rows = (tmp_path / "dish.objects.csv").read_text().splitlines()
    assert {"parent", "children"} <= set(rows[0].split(","))
