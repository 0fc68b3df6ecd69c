"""The ideal scenes again, run in small tiles: nothing is split, doubled or lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import description
from scenes import CHANNELS, maps
from test_cellpose import flow_maps
from test_decoder_table import ALL, DEPTH, SCENES, Scene
from test_stardist import star_maps

import napari_imagec_ai as ai
from napari_imagec_ai.decoders.decoder import settings_with as changed
from napari_imagec_ai.decoders.registry import choose_decoder, decoders
from napari_imagec_ai.results.objects import Objects

RIM = 8
"""What the stand-in for a network gets wrong at each side of its windows."""


class Window:
    """An engine that is shown the ideal output, and gives it back but for a rim.

    Of ids it gives others in every window, as a network does that counts in each.
    """

    name, device = "window", "cpu"

    def __init__(self, ids: bool) -> None:
        self.calls, self._ids = 0, ids

    def run(self, inputs: Any) -> list[Any]:
        self.calls += 1
        values = np.array(inputs[0], np.float32)
        if self._ids:
            known = np.unique(np.append(0, values))
            shuffled = np.random.default_rng(self.calls).permutation(len(known) - 1)
            table = np.append(0, shuffled + 1).astype(np.float32)
            return [table[np.searchsorted(known, values)]]
        for axis in (-2, -1):
            for side in (slice(0, RIM), slice(-RIM, None)):
                part = np.moveaxis(values, axis, -1)
                part[..., side] = 0.5
        return [values]

    def close(self) -> None:
        """Nothing is open."""


def described(values: np.ndarray, kind: str, space: str, **own: Any) -> dict[str, Any]:
    """A network that takes and gives these channels."""
    rdf = description()
    names = own.pop("names", None) or CHANNELS.get(kind, [])
    names = [*names, *(f"channel{n}" for n in range(len(names), len(values)))]
    taken, given = rdf["inputs"][0], rdf["outputs"][0]
    taken["axes"][1]["channel_names"] = [f"shown {n}" for n in range(len(values))]
    given["axes"][1]["channel_names"] = names[: len(values)]
    for axis in given["axes"][2:]:
        axis["halo"] = RIM
    if space == "ZYX":
        size = {"min": 4, "step": 1}
        taken["axes"].insert(2, {"type": "space", "id": "z", "size": size})
        reference = {"tensor_id": "raw", "axis_id": "z"}
        depth = {"type": "space", "id": "z", "size": reference, "halo": 0}
        given["axes"].insert(2, depth)
    given["data"] = {"type": "float32"}
    rdf["config"]["napari_imagec_ai"] = {"kind": kind, "classes": ["thing"], **own}
    return rdf


def ideal(kind: str, drawn: str, scene: Scene) -> np.ndarray:
    if kind == "stardist":
        spacing = scene.spacing if scene.truth.ndim == 3 else (1.0, 1.0, 1.0)
        return star_maps(scene.truth, anisotropy=spacing)  # type: ignore[arg-type]
    if kind == "cellpose":
        return flow_maps(scene.truth)
    return maps(scene.seen, drawn, False, scene.spacing, scene.class_of, scene.truth)


ROWS: list[tuple[str, str, tuple[str, ...], dict[str, Any]]] = [
    ("foreground", "foreground", ("2D", "3D"), {}),
    ("foreground_boundary", "foreground_boundary", ALL, {}),
    ("three_class", "three_class", ("2D", "2D tissue"), {}),
    ("foreground_distance", "foreground", ("2D",), DEPTH),
    ("foreground_boundary_distance", "foreground_boundary_distance", ("2D", "3D"), {}),
    ("membranes", "boundary", ("2D tissue", "3D tissue"), {}),
    ("multi_class", "multi_class", ("2D", "3D"), {"classes": ["round", "long"]}),
    ("affinities", "affinities", ("2D", "3D", "2D tissue"), {"attractive": True}),
    ("labels", "labels", ALL, {}),
    ("stardist", "stardist", ("2D",), {}),
    ("cellpose", "cellpose", ("2D", "2D tissue"), {}),
]
CASES = [
    pytest.param(drawn, kind, scene, own, id=f"{drawn}-{scene}")
    for drawn, kind, scenes, own in ROWS
    for scene in scenes
]


@pytest.mark.parametrize(("drawn", "kind", "name", "own"), CASES)
def test_tiles_give_the_objects_of_the_whole(
    make_model: Callable[..., Path], drawn: str, kind: str, name: str, own: Any
) -> None:
    scene = SCENES[name]
    values, space = ideal(kind, drawn, scene), "ZYX"[-scene.truth.ndim :]
    rdf = described(values, kind, space, **own)
    model = ai.load_model(make_model(drawn, network=None, **rdf))
    image = ai.ImageInput(values, f"C{space}", pixel_size=scene.spacing)
    results = []
    tiles: list[Any] = [None, (48, 48) if space == "YX" else (12, 48, 48)]
    for tile in tiles:
        engine: Any = Window(kind == "labels")
        raw = ai.predict(model, image, engine=engine, tile=tile)
        # Long objects are longer than what a tile sees.
        assert engine.calls == 1 if tile is None else engine.calls >= 4
        found = ai.decode(raw)
        assert isinstance(found, Objects)
        results.append(found)
    whole, tiled = results
    assert len(whole) > 5
    assert whole.counts() == tiled.counts()
    first, second = whole.as_labels(), tiled.as_labels()
    pairs = np.unique(np.stack([first.ravel(), second.ravel()]), axis=1)
    # Pixel for pixel the same objects, whatever their ids.
    assert pairs.shape[1] == len(np.unique(first)) == len(np.unique(second))
    assert whole.classes == tiled.classes


NOTHING = {
    "unet": ("foreground_boundary", np.zeros((2, 40, 40))),
    "semantic": ("multi_class", np.stack([np.ones((40, 40)), *np.zeros((2, 40, 40))])),
    "affinities": ("affinities", np.zeros((2, 40, 40))),
    "labels": ("labels", np.zeros((1, 40, 40))),
    "stardist": ("stardist", np.zeros((33, 40, 40))),
    "cellpose": ("cellpose", np.stack([*np.zeros((2, 40, 40)), np.full((40, 40), -9)])),
}


@pytest.mark.parametrize("decoder", NOTHING)
def test_an_image_without_objects_has_none_and_all_columns(
    make_model: Callable[..., Path], decoder: str
) -> None:
    kind, values = NOTHING[decoder]
    classes = ["round", "long"] if decoder == "semantic" else ["thing"]
    rdf = described(values, kind, "YX", classes=classes)
    model = ai.load_model(make_model(decoder, network=None, **rdf))
    assert choose_decoder(model).name == decoder
    raw = ai.predict(
        model,
        ai.ImageInput(values.astype(np.float32), "CYX"),
        engine=Nothing(),  # type: ignore[arg-type]
        tile=(32, 32),
    )
    found = ai.decode(raw)
    assert isinstance(found, Objects)
    assert len(found) == 0
    assert found.as_labels().shape == (40, 40)
    assert {"area", "centroid_y", "touches_edge"} <= found.features.keys()


class Nothing(Window):
    """An engine that gives back what it is shown, rims and all."""

    def __init__(self) -> None:
        super().__init__(ids=False)

    def run(self, inputs: Any) -> list[Any]:
        return [np.array(inputs[0], np.float32)]


OUTSIDE = [
    (name, field, getattr(bound, end) + step)
    for name, decoder in decoders().items()
    for field, known in decoder.settings.model_fields.items()
    for bound in known.metadata
    for end, step in (("ge", -1), ("le", 1))
    if hasattr(bound, end)
]


@pytest.mark.parametrize(("name", "field", "value"), OUTSIDE)
def test_settings_outside_their_range_are_refused_in_a_sentence(
    name: str, field: str, value: float
) -> None:
    settings = decoders()[name].settings()
    with pytest.raises(
        ai.DecodeError, match=rf"'{field}' cannot be .*expected -?[\d.]+"
    ):
        changed(settings, {field: value})
