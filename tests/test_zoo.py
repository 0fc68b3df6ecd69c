"""Published models, each as its description has it, with networks that stand in."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import SHARED, description
from scipy import ndimage
from stand_ins import STEP, Scene, build, scene

import napari_imagec_ai as ai
from napari_imagec_ai.model.description import RUNNABLE, FixedSize, Model, TensorSpec
from napari_imagec_ai.model.rdf import read_rdf
from napari_imagec_ai.results.images import Images
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.prediction import Prediction
from napari_imagec_ai.results.scores import Scores

ENGINES = ("onnx", "torchscript")
FOLDERS = ("zoo_rdfs_2026", "zoo_rdfs", "zoo_rdfs_older")
OBJECTS = (
    "foreground",
    "foreground_boundary",
    "foreground_boundary_distance",
    "three_class",
    "boundary",
    "multi_class",
    "affinities",
)
NEAR = 3.0
"""Pixels that an object's centre may lie off."""


def _described() -> Iterator[tuple[str, Model]]:
    for folder in FOLDERS:
        for path in sorted((SHARED / folder).glob("*/rdf.yaml")):
            try:
                yield f"{folder}/{path.parent.name}", read_rdf(path)
            except ai.ModelError:
                continue


def _layout(model: Model) -> tuple[Any, ...]:
    """What makes a run of one model unlike one of another."""
    return (
        model.kind,
        *(
            (
                tuple((axis.name, type(axis.size)) for axis in spec.axes),
                tuple(getattr(axis.size, "scale", 1) for axis in spec.axes),
                tuple(step.id for step in spec.steps),
                spec.dtype,
            )
            for spec in (*model.inputs, *model.outputs)
        ),
    )


def _chosen() -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Descriptions by kind: those that an engine exists for, and others.

    Of the others, which have weights for other frameworks, one for each layout that the
    first do not have.
    """
    runnable: dict[str, list[str]] = {}
    others: dict[str, list[str]] = {}
    known = set()
    rest = []
    for name, model in _described():
        if name.startswith(FOLDERS[0]) and set(RUNNABLE) & set(model.weights):
            runnable.setdefault(model.kind, []).append(name)
            known.add(_layout(model))
        else:
            rest.append((name, model))
    for name, model in rest:
        if _layout(model) not in known:
            known.add(_layout(model))
            others.setdefault(model.kind, []).append(name)
    return runnable, others


RUNNABLE_ONES, OTHERS = _chosen()


@dataclass
class Case:
    """A model that was built, the scene for it, and what was run already."""

    model: Model
    scene: Scene
    predictions: dict[str, Prediction] = field(default_factory=dict)

    def predicted(self, engine: str) -> Prediction:
        if engine not in self.predictions:
            self.predictions[engine] = ai.predict(
                self.model, self.scene.image, engine=engine, tile=self.scene.tile
            )
        return self.predictions[engine]


@pytest.fixture(scope="module")
def case(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Case:
    if request.param is None:
        pytest.skip("needs descriptions of published models beside the checkout")
    rdf = SHARED / request.param / "rdf.yaml"
    model = ai.load_model(build(rdf, tmp_path_factory.mktemp("zoo") / rdf.parent.name))
    return Case(model, scene(model))


def each(
    *kinds: str, of: Mapping[str, list[str]] = RUNNABLE_ONES
) -> pytest.MarkDecorator:
    """Run a test for each model of these kinds."""
    names = sorted(name for kind in kinds for name in of.get(kind, []))
    return pytest.mark.parametrize("case", names or [None], indirect=True)


def main_map(model: Model) -> TensorSpec:
    return next(spec for spec in model.outputs if len(spec.space) > 1)


@each(*OBJECTS)
@pytest.mark.parametrize("engine", ENGINES)
def test_objects_are_the_blobs(case: Case, engine: str) -> None:
    check_objects(case, engine)


def check_objects(case: Case, engine: str) -> None:
    found = case.predicted(engine)
    assert found.engine == engine
    objects = ai.decode(found)
    assert isinstance(objects, Objects)
    labels = objects.label_image
    assert labels is not None
    assert labels.shape == case.scene.grey.shape
    assert len(objects) == case.scene.expected
    assert set(np.unique(labels)) == {0, *objects.id}
    centres = np.array(ndimage.center_of_mass(labels > 0, labels, objects.id))
    away = np.linalg.norm(centres[:, None] - case.scene.centres, axis=-1)
    assert sorted(away.argmin(axis=1)) == list(range(len(objects)))
    assert away.min(axis=1).max() < NEAR
    assert np.all((objects.confidence > 0.5) & (objects.confidence <= 1))
    for name, column in objects.features.items():
        assert np.isfinite(column).all(), name


@each(*OBJECTS)
def test_engines_agree_on_objects(case: Case) -> None:
    first, second = (ai.decode(case.predicted(engine)) for engine in ENGINES)
    assert isinstance(first, Objects)
    assert isinstance(second, Objects)
    spec = main_map(case.model)
    maps = [case.predicted(engine).maps[spec.id] for engine in ENGINES]
    np.testing.assert_allclose(maps[0], maps[1], rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(first.label_image, second.label_image)
    np.testing.assert_allclose(first.confidence, second.confidence, atol=1e-5)


@each("image")
@pytest.mark.parametrize("engine", ENGINES)
def test_images_are_the_image(case: Case, engine: str) -> None:
    check_image(case, engine)


def check_image(case: Case, engine: str) -> None:
    found = case.predicted(engine)
    assert found.engine == engine
    images = ai.decode(found)
    assert isinstance(images, Images)
    spec = main_map(case.model)
    image = images.maps[spec.id]
    grey = case.scene.grey
    assert image.dtype == np.float32
    assert image.ndim == 1 + grey.ndim
    assert image.shape[0] == (spec.channels or image.shape[0])
    grown = image.shape[-1] // grey.shape[-1]
    assert image.shape[1:] == tuple(grown * size for size in grey.shape)
    for axis in range(grey.ndim):
        grey = grey.repeat(grown, axis)
    np.testing.assert_allclose(_scaled(image[0]), _scaled(grey), atol=1e-3)
    for number, channel in enumerate(image):
        if spec.steps:
            np.testing.assert_allclose(_scaled(channel), _scaled(image[0]), atol=1e-3)
        else:  # each is brighter by one than the last
            np.testing.assert_allclose(channel - image[0], number, atol=1e-4)
    frame = images.frame_of(spec.id)
    assert frame.shape == image.shape[1:]
    assert frame.pixel_size == pytest.approx((0.5 / grown,) * image[0].ndim)
    assert frame.unit == "micrometer"


def _scaled(image: np.ndarray) -> np.ndarray:
    """Without what preprocessing may have added, or multiplied with."""
    return np.asarray((image - image.mean()) / image.std())


@each("image")
def test_engines_agree_on_images(case: Case) -> None:
    maps = [case.predicted(engine).maps for engine in ENGINES]
    assert list(maps[0]) == list(maps[1])
    for name, image in maps[0].items():
        np.testing.assert_allclose(image, maps[1][name], rtol=1e-5, atol=1e-4)


@each("scores")
@pytest.mark.parametrize("engine", ENGINES)
def test_scores_are_the_mean(case: Case, engine: str) -> None:
    found = case.predicted(engine)
    assert found.engine == engine
    scores = ai.decode(found)
    assert isinstance(scores, Scores)
    count = case.model.outputs[0].channels
    assert scores.values.shape == (count,)
    assert len(scores.classes) == count
    assert len(set(scores.classes)) == count
    assert scores.best() == count - 1
    np.testing.assert_allclose(np.diff(scores.values), STEP, atol=1e-3)
    assert scores.values[0] == pytest.approx(_mean_of_inputs(case), rel=1e-3)


def _mean_of_inputs(case: Case) -> float:
    """Mean of each input, counted once, twice and so on, as the network has it."""
    total = 0.0
    for number, spec in enumerate(case.model.inputs, 1):
        given = case.scene.inputs[spec.id]
        pixels = np.asarray(given.data if isinstance(given, ai.ImageInput) else given)
        mean = float(pixels.mean(dtype=np.float64))
        for step in spec.steps:
            assert step.id == "scale_linear", "reckon with this step, too"
            mean = mean * np.mean(step.kwargs["gain"]) + np.mean(step.kwargs["offset"])
        total += number * mean
    return total


@each("scores")
def test_engines_agree_on_scores(case: Case) -> None:
    first, second = (ai.decode(case.predicted(engine)) for engine in ENGINES)
    assert isinstance(first, Scores)
    assert isinstance(second, Scores)
    assert first.classes == second.classes
    np.testing.assert_allclose(first.values, second.values, rtol=1e-5)


@each("boxes_masks")
@pytest.mark.parametrize("engine", ENGINES)
def test_boxes_lie_on_the_blobs(case: Case, engine: str) -> None:
    found = case.predicted(engine)
    assert found.engine == engine
    objects = ai.decode(found)
    assert isinstance(objects, Objects)
    assert len(objects) == min(case.scene.expected, _rows(case.model))
    middle = (objects.boxes[:, :2] + objects.boxes[:, 2:] - 1) / 2
    away = np.linalg.norm(middle[:, None] - case.scene.centres, axis=-1)
    assert len(set(away.argmin(axis=1))) == len(objects)
    assert away.min(axis=1).max() < NEAR
    # The stand-in's masks are full: objects fill their boxes.
    sides = objects.boxes[:, 2:] - objects.boxes[:, :2]
    np.testing.assert_allclose(objects.features["area"], sides.prod(axis=1), rtol=0.1)
    assert objects.confidence == pytest.approx([0.9] * len(objects))
    assert {objects.classes[i] for i in objects.class_id} == {"class 1"}


def _rows(model: Model) -> int:
    """For how many objects a detector's tables have room."""
    size = model.outputs[0].axes[0].size
    assert isinstance(size, FixedSize)
    return size.size


@each("boxes_masks")
def test_engines_agree_on_boxes(case: Case) -> None:
    first, second = (ai.decode(case.predicted(engine)) for engine in ENGINES)
    assert isinstance(first, Objects)
    assert isinstance(second, Objects)
    np.testing.assert_array_equal(first.boxes, second.boxes)
    np.testing.assert_array_equal(first.as_labels(), second.as_labels())


@each("cellpose")
@pytest.mark.parametrize("engine", ENGINES)
def test_flows_are_followed_to_objects_of_the_image(case: Case, engine: str) -> None:
    # The stand-in gives grey values for flows: what counts here is that it runs.
    found = case.predicted(engine)
    assert found.engine == engine
    objects = ai.decode(found)
    assert isinstance(objects, Objects)
    assert objects.as_labels().shape == found.frame.shape
    for column in objects.features.values():
        assert np.isfinite(column).all()


def test_every_kind_is_tested() -> None:
    known = {*OBJECTS, "image", "scores", "cellpose", "boxes_masks"}
    assert set(RUNNABLE_ONES) <= known


@each(*OBJECTS, of=OTHERS)
def test_objects_of_other_layouts(case: Case) -> None:
    check_objects(case, "onnx")


@each("image", of=OTHERS)
def test_images_of_other_layouts(case: Case) -> None:
    check_image(case, "torchscript")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("offset", [-1, -12, -40])
def test_objects_of_a_network_that_loses_its_rim(
    offset: int, engine: str, tmp_path: Path
) -> None:
    rdf = description(name="Segmentation")
    for axis in rdf["outputs"][0]["axes"][2:]:
        axis["size"]["offset"] = offset
        del axis["halo"]
    source = tmp_path / "rdf.yaml"
    source.write_text(yaml.safe_dump(rdf))
    model = ai.load_model(build(source, tmp_path / "built", (engine,)))
    check_objects(Case(model, scene(model)), engine)


# -- descriptions alone ----------------------------------------------------------------


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every attempt to go online fail, in a way that nothing catches."""

    def refuse(*args: Any, **kwargs: Any) -> Any:
        pytest.fail(f"went online: {args[-2:]}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)


def test_every_description_is_read(shared: Path, offline: None) -> None:
    paths = [p for name in FOLDERS for p in sorted((shared / name).glob("*/rdf.yaml"))]
    assert paths
    for path in paths:
        try:
            model = ai.load_model(path.parent)
        except ai.ModelError as error:
            _is_sentence(str(error))
            continue
        assert not model.usable, path  # no weights lie beside them
        _is_sentence(model.problem)


def test_every_description_is_listed(shared: Path, offline: None) -> None:
    entries = ai.find_models(*(shared / name for name in FOLDERS))
    folders = [p for name in FOLDERS for p in (shared / name).iterdir() if p.is_dir()]
    assert {entry.path.name for entry in entries} >= {
        folder.name for folder in folders if any(folder.glob("*rdf.yaml"))
    }
    for entry in entries:
        assert entry.name
        _is_sentence(entry.problem)


def _is_sentence(text: str | None) -> None:
    assert text
    assert text[0].isupper() or text[0] in "'\""
    assert text.rstrip().endswith(".")
