"""Kinds, classes and channel roles, from small descriptions and from the zoo's."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import yaml

from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.kinds import Roles, channel_roles
from napari_imagec_ai.model.rdf import read_rdf

SHARED = Path(__file__).parents[2] / "shared"

TRUTH = {
    "fg+boundary": "foreground_boundary",
    "fg+boundary (3-class: bg/obj/border)": "three_class",
    "fg+boundary+distance": "foreground_boundary_distance",
    "semantic foreground": "foreground",
    # Points only refine the foreground; taken for a boundary they would cut objects.
    "fg+centre points": "foreground",
    "boundary only": "boundary",
    "multi-class semantic": "multi_class",
    "affinities": "affinities",
    "instance labels already": "labels",
    "stardist": "stardist",
    "cellpose flows": "cellpose",
    "detection boxes + masks": "boxes_masks",
    "image-to-image": "image",
    "image classification": "scores",
    "embedding": "embedding",
    "promptable (SAM)": "promptable",
}


def tensor(name: str, axes: str, channels: Any = 1, **more: Any) -> dict[str, Any]:
    """A tensor of format 0.5; ``channels`` is their number or their names."""
    described = []
    for letter in axes:
        if letter == "b":
            described.append({"type": "batch"})
        elif letter == "c":
            names = channels
            if isinstance(channels, int):
                names = [f"channel{index}" for index in range(channels)]
            described.append({"type": "channel", "channel_names": names})
        elif letter == "i":
            described.append({"type": "index", "size": 100})
        else:
            described.append({"type": "space", "id": letter, "size": 64})
    entry: dict[str, Any] = {"id": name, "axes": described, "data": {"type": "float32"}}
    return entry | more


def model(folder: Path, *outputs: dict[str, Any], **rdf: Any) -> Model:
    description = {
        "type": "model",
        "format_version": "0.5.3",
        "name": "A model",
        "inputs": [tensor("raw", "bcyx")],
        "outputs": list(outputs),
        "weights": {},
    }
    path = folder / "rdf.yaml"
    path.write_text(yaml.safe_dump(description | rdf), encoding="utf-8")
    return read_rdf(path)


def maps(channels: Any, axes: str = "bcyx", **more: Any) -> dict[str, Any]:
    return tensor("output0", axes, channels, **more)


SIGMOID = {"postprocessing": [{"id": "sigmoid"}]}
SOFTMAX = {"postprocessing": [{"id": "softmax", "kwargs": {"axis": "channel"}}]}
LABELS = {"data": {"type": "uint16"}}
PROMPTS = [tensor("image", "bcyx", 3), tensor("point_prompts", "bic", ["x", "y"])]

CASES: list[tuple[str, list[dict[str, Any]], dict[str, Any]]] = [
    # One map.
    ("foreground", [maps(1)], {"name": "Nucleus segmentation"}),
    ("foreground", [maps(1, **SIGMOID)], {}),
    ("foreground", [tensor("foreground", "byx")], {}),
    (
        "foreground",
        [maps(1)],
        {"name": "Nuclei", "description": "Segments in membranes"},
    ),
    ("boundary", [maps(1)], {"name": "CellMembranePrediction"}),
    ("boundary", [maps(1)], {"description": "Predicts cell boundaries of tissue."}),
    ("boundary", [maps(1)], {"name": "Neurite segmentation in EM"}),
    ("boundary", [maps(1, description="membrane prediction")], {"name": "A 3D net"}),
    ("foreground", [maps(1)], {"name": "Mitochondria segmentation in EM of neurons"}),
    # Ids.
    ("labels", [maps(2)], {"name": "InstanSeg", "description": "Segmentation"}),
    ("labels", [maps(1)], {"tags": ["nuclei", "instanseg"]}),
    # Two and more maps.
    ("foreground", [maps(2)], {"description": "Segmentation of worms"}),
    ("foreground", [maps(2)], {"description": "A cutting-edge worm segmentation"}),
    ("foreground", [maps(2, **SOFTMAX)], {"tags": ["instance-segmentation"]}),
    ("foreground", [maps(["background", "nucleus"])], {}),
    ("foreground_boundary", [maps(2)], {"tags": ["instance-segmentation"]}),
    ("foreground_boundary", [maps(2)], {"name": "WormSegmentationBoundaryModel"}),
    ("foreground_boundary", [maps(["border", "inside"])], {}),
    ("three_class", [maps(3)], {"name": "Nucleus segmentation"}),
    ("three_class", [maps(["background", "nucleus", "border"])], {}),
    ("foreground_boundary_distance", [maps(["F", "C", "Db"])], {}),
    (
        "foreground_boundary_distance",
        [maps(3, **SIGMOID)],
        {"tags": ["instance-segmentation"]},
    ),
    ("foreground", [maps(2)], {"description": "Instances, representation: F + P"}),
    ("multi_class", [maps(5)], {"name": "Tissue segmentation"}),
    ("multi_class", [maps(3)], {"tags": ["semantic-segmentation"]}),
    ("multi_class", [maps(["soma", "dendrite"])], {"name": "Segmentation"}),
    (
        "affinities",
        [maps(8)],
        {"name": "TissueAffinityModel", "tags": ["segmentation"]},
    ),
    (
        "foreground_boundary",
        [maps(2, "bczyx")],
        {"name": "Boundary segmentation", "tags": ["affinity-prediction"]},
    ),
    ("labels", [tensor("masks", "byx")], {"tags": ["cellpose", "segmentation"]}),
    ("labels", [tensor("output0", "yx", **LABELS)], {"name": "Mito segmentation"}),
    # Tools of their own.
    ("stardist", [maps(33)], {"config": {"stardist": {"thresholds": {"prob": 0.5}}}}),
    ("stardist", [maps(33)], {"name": "StarDist nuclei"}),
    ("labels", [tensor("labels", "byx", **LABELS)], {"tags": ["stardist"]}),
    ("cellpose", [maps(3)], {"tags": ["cellpose"]}),
    ("cellpose", [maps(["flow1", "flow2", "prob"]), tensor("style", "bc", 256)], {}),
    ("boxes", [tensor("output0", "bic", 85)], {"tags": ["yolov5"]}),
    ("boxes", [tensor("output0", "byx")], {"tags": ["yolov8"]}),
    ("boxes", [tensor("boxes", "bic", 4), tensor("scores", "bi")], {}),
    (
        "boxes_masks",
        [tensor("output0", "bci", 38), tensor("output1", "bcyx", 32)],
        {"tags": ["yolov8"]},
    ),
    (
        "boxes_masks",
        [tensor("bboxes", "bi"), tensor("classes", "i"), tensor("masks", "iyx")],
        {"tags": ["Detectron2"]},
    ),
    ("promptable", [tensor("masks", "bicyx")], {"inputs": PROMPTS}),
    ("promptable", [tensor("masks", "bicyx")], {"tags": ["segment-anything"]}),
    ("embedding", [maps(256)], {"description": "x", "tags": ["feature extraction"]}),
    ("embedding", [tensor("features", "bc", 512)], {}),
    ("scores", [tensor("classes", "bc", 19)], {"tags": ["classification"]}),
    # Images.
    ("image", [maps(1)], {"name": "Noise2Void of tissue"}),
    ("image", [maps(1)], {"tags": ["denoising"], "description": "To segment cells."}),
    ("image", [maps(1)], {"name": "Label-free prediction of DNA"}),
    ("image", [maps(1)], {"tags": ["image-to-image"], "name": "Actin painting"}),
    ("image", [maps(3)], {"name": "Virtual Staining"}),
    ("image", [tensor("masks", "bcyx", 2)], {"tags": ["Semantic", "Unmixing"]}),
    ("foreground", [maps(1)], {"name": "Segmentation in super-resolution images"}),
    # Nothing is known.
    ("unknown", [maps(1)], {}),
    ("unknown", [maps(7)], {"description": "A U-Net of somebody"}),
]


@pytest.mark.parametrize(("kind", "outputs", "rdf"), CASES)
def test_kind(
    tmp_path: Path, kind: str, outputs: list[dict[str, Any]], rdf: dict[str, Any]
) -> None:
    assert model(tmp_path, *outputs, **rdf).kind == kind


@pytest.mark.parametrize("key", ["kind", "decoder"])
def test_declared_kind_goes_first(tmp_path: Path, key: str) -> None:
    config = {"napari_imagec_ai": {key: "boundary"}}
    assert model(tmp_path, maps(1), name="Denoising", config=config).kind == "boundary"


@pytest.mark.parametrize("value", ["nonsense", 7, ["boundary"], {"a": 1}, None])
def test_nonsense_is_not_declared(tmp_path: Path, value: Any) -> None:
    config = {"napari_imagec_ai": {"kind": value, "decoder": value, "classes": value}}
    found = model(tmp_path, maps(1), name="Denoising", config=config)
    assert found.kind == "image"


def test_decoder_of_a_family_is_a_tag(tmp_path: Path) -> None:
    config = {"napari_imagec_ai": {"decoder": "yolo"}}
    assert model(tmp_path, tensor("output0", "bic", 85), config=config).kind == "boxes"


def test_larger_output_is_an_image(tmp_path: Path) -> None:
    inputs = [{"name": "raw", "axes": "bcyx", "shape": [1, 1, 64, 64]}]
    shape = {"reference_tensor": "raw", "scale": [1, 1, 2, 2], "offset": [0, 0, 0, 0]}
    output = {"name": "out", "axes": "bcyx", "shape": shape}
    old = {"format_version": "0.4.9", "inputs": inputs}
    assert model(tmp_path, output, **old).kind == "image"


def test_channels_given_by_the_input(tmp_path: Path) -> None:
    inputs = [{"name": "raw", "axes": "bcyx", "shape": [1, 1, 64, 64]}]
    shape = {"reference_tensor": "raw", "scale": [1, 2, 1, 1], "offset": [0, 0, 0, 0]}
    output = {"name": "out", "axes": "bcyx", "shape": shape}
    old = {"format_version": "0.4.9", "inputs": inputs, "name": "WormBoundaryModel"}
    assert model(tmp_path, output, **old).kind == "foreground_boundary"


ROWS = ["cx", "cy", "w", "h", "objectness", "nucleus", "rod", "mask0", "mask1"]
SEGMENTATION = {"name": "Segmentation"}


@pytest.mark.parametrize(
    ("classes", "output", "rdf"),
    [
        (("nucleus",), maps(1), {"name": "NucleiSegmentation of cells"}),
        (
            ("mitochondrion",),
            maps(1),
            {"name": "Segmentation", "tags": ["mitochondria"]},
        ),
        (("object",), maps(1), SEGMENTATION),
        (("a", "b"), maps(1), {"config": {"classes": ["a", "b"]}}),
        (
            ("c",),
            maps(1),
            {"config": {"classes": ["a"], "napari_imagec_ai": {"classes": ["c"]}}},
        ),
        (
            ("class 1", "b", "b 3", "class 4"),
            maps(1),
            {"config": {"napari_imagec_ai": {"classes": ["", "b", "b", " "]}}},
        ),
        (("soma", "spine"), maps(["background", "soma", "spine"]), SEGMENTATION),
        (("class 1", "class 2", "class 3"), maps(4), SEGMENTATION),
        (("class 1", "class 2"), tensor("classes", "bc", 2), {}),
        (("cat", "dog"), tensor("classes", "bc", ["cat", "dog"]), {}),
        (("nucleus", "rod"), tensor("output0", "bic", ROWS), {"tags": ["yolov5"]}),
        ((), tensor("output0", "byx"), {"tags": ["yolov8"]}),
        (
            ("class 1", "class 2"),
            maps(36),
            {"config": {"stardist": {"config": {"n_rays": 32, "n_classes": 2}}}},
        ),
        (
            ("nucleus",),
            maps(33),
            {
                "name": "Nuclei",
                "config": {"stardist": {"config": {"n_rays": 32, "n_classes": None}}},
            },
        ),
        (
            ("a", "b"),
            maps(["p", "d0", "d1", "d2", "background", "a", "b"]),
            {"config": {"stardist": {"config": {"n_classes": 2}}}},
        ),
        (("nucleus", "cell"), maps(2), {"tags": ["instanseg", "nuclei", "cells"]}),
        (("cell",), maps(1), {"name": "InstanSeg cells"}),
        (("A", "B"), maps(["A", "B"]), {"tags": ["instanseg"]}),
        ((), maps(1), {"name": "Denoising of nuclei"}),
    ],
)
def test_classes(
    tmp_path: Path, classes: tuple[str, ...], output: Any, rdf: dict[str, Any]
) -> None:
    assert model(tmp_path, output, **rdf).classes == classes


INSTANCES = {"tags": ["instance-segmentation"]}


@pytest.mark.parametrize(
    ("roles", "output", "rdf"),
    [
        (Roles(0), maps(1), SEGMENTATION),
        (Roles(1, background=0, assumed=True), maps(2), SEGMENTATION),
        (Roles(0, background=1), maps(["nucleus", "background"]), {}),
        (
            Roles(0),
            maps(2),
            {"description": "Instance segmentation representation: F + P"},
        ),
        (Roles(boundary=0), maps(1), {"name": "Cell boundary segmentation"}),
        (Roles(0, 1, assumed=True), maps(2), INSTANCES),
        (Roles(1, 0), maps(["contour", "cell"]), INSTANCES),
        (
            Roles(1, 2, background=0, assumed=True),
            maps(3),
            {"name": "Cell segmentation"},
        ),
        (
            Roles(2, 1, background=0, assumed=True),
            maps(3),
            {"name": "DPNUnet segmentation"},
        ),
        (Roles(1, 0, 2), maps(["border", "nucleus", "background"]), {}),
        (Roles(0, 1, distance=2, assumed=True), maps(3, **SIGMOID), INSTANCES),
        (Roles(0, 1, distance=2), maps(["F", "C", "Dc"]), {}),
        (Roles(background=0, assumed=True), maps(5), SEGMENTATION),
        (Roles(background=2), maps(["a", "b", "background"]), {"name": "Segmentation"}),
        (Roles(), maps(1), {"name": "Denoising"}),
    ],
)
def test_roles(
    tmp_path: Path, roles: Roles, output: dict[str, Any], rdf: dict[str, Any]
) -> None:
    found = model(tmp_path, output, **rdf)
    assert channel_roles(found) == roles, found.kind


@pytest.mark.skipif(not SHARED.is_dir(), reason="the zoo's descriptions are not here")
def test_agreement_with_a_reader() -> None:
    with (SHARED / "zoo_decoder_truth.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    wrong = []
    for row in rows:
        found = read_rdf(SHARED / row["folder"] / "rdf.yaml")
        if found.kind != TRUTH[row["decoder"]]:
            wrong.append(f"{row['folder']}: {found.kind}, reader: {row['decoder']}")
    assert len(wrong) <= 0.05 * len(rows), "\n".join(wrong)
