"""Descriptions of older formats become those of format 0.5, and mean the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import SHARED

from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.library.convert.newer_description import as_newer
from napari_imagec_ai.model.description import Axis, Model, RelativeSize
from napari_imagec_ai.model.rdf import parse_rdf, read_rdf

FOLDERS = ("zoo_rdfs_2026", "zoo_rdfs", "zoo_rdfs_older")
NEW = ("spec-example_unet2d_nuclei_broad__expand_output_shape_v0_4",)
"""Have an axis that is in no input: format 0.5 says its size, and no reference."""

WRONG = "invalid_v0_4_0_duplicate_tensor_names"


def _older() -> Iterator[tuple[Path, Model, dict[str, Any]]]:
    for folder in FOLDERS:
        for path in sorted((SHARED / folder).glob("*/rdf.yaml")):
            try:
                model = read_rdf(path)
            except ModelError:
                continue
            if model.format_version.startswith("0.4") and WRONG not in str(path):
                yield path, model, yaml.safe_load(model.source)


needs_zoo = pytest.mark.skipif(
    next(_older(), None) is None, reason="needs published descriptions in ../shared"
)


def _size(axis: Axis) -> object:
    size = axis.size
    if isinstance(size, RelativeSize):
        return size.axis, size.scale, size.offset
    return size


@needs_zoo
def test_older_descriptions_mean_the_same_in_the_newer_format() -> None:
    count = 0
    for path, model, rdf in _older():
        new = as_newer(rdf, model)
        again = parse_rdf(yaml.safe_dump(new).encode(), path)
        assert again.kind == model.kind, path
        assert again.classes == model.classes, path
        assert again.authors == model.authors, path
        for was, now in zip(
            (*model.inputs, *model.outputs),
            (*again.inputs, *again.outputs),
            strict=True,
        ):
            assert now.letters == was.letters, path
            assert now.dtype == was.dtype, path
            assert len(now.steps) == len(was.steps), path
            for axis, new_axis in zip(was.axes, now.axes, strict=True):
                if axis.name in "zyx" and not axis.halo and path.parent.name not in NEW:
                    assert _size(new_axis) == _size(axis), (path, axis.name)
        count += 1
    assert count > 40


@needs_zoo
def test_what_is_written_is_valid_as_the_format_is_specified() -> None:
    spec = pytest.importorskip(
        "bioimageio.spec", reason="bioimageio.spec judges what is written"
    )
    for path, model, rdf in _older():
        new = as_newer(rdf, model)
        for tensor in (*new["inputs"], *new["outputs"]):
            tensor["test_tensor"] = {"source": "test.npy"}
        new["weights"] = {"onnx": {"source": "weights.onnx", "opset_version": 17}}
        with spec.ValidationContext(perform_io_checks=False):
            found = spec.validate_format(new)
        errors = [str(error.msg) for each in found.details for error in each.errors]
        assert found.status != "failed", (path, errors)
