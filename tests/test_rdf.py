"""Descriptions of every format version, good and bad ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import SHARED, description
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.library.folders import load_model
from napari_imagec_ai.model.description import (
    FixedSize,
    FreeSize,
    Model,
    RelativeSize,
    SteppedSize,
)
from napari_imagec_ai.model.rdf import find_rdf, parse_rdf, read_rdf

ZOO = sorted(SHARED.glob("zoo_rdfs*/*/rdf.yaml"))
TEMPLATE = "jdll_cellpose__0.1.0"


def parse(rdf: Any, folder: Path) -> Model:
    source = rdf if isinstance(rdf, bytes) else yaml.safe_dump(rdf).encode()
    return parse_rdf(source, folder / "rdf.yaml")


def old(**changes: Any) -> dict[str, Any]:
    """A description of format 0.4."""
    tensor = {"name": "raw", "axes": "bcyx", "data_type": "uint8"}
    rdf: dict[str, Any] = {
        "format_version": "0.4.10",
        "name": "Old",
        "inputs": [tensor | {"shape": {"min": [1, 1, 32, 48], "step": [0, 0, 16, 8]}}],
        "outputs": [
            {
                "name": "out",
                "axes": "bcyx",
                "halo": [0, 0, 8, 4],
                "shape": {
                    "reference_tensor": "raw",
                    "scale": [1, 0, 0.5, 2],
                    "offset": [0, 1.5, -2, 0],
                },
            }
        ],
        "weights": {"onnx": {"source": "weights.onnx"}},
    }
    return rdf | changes


# -- which file ------------------------------------------------------------------------


def test_names_of_descriptions_are_tried_in_order(tmp_path: Path) -> None:
    names = "rdf.yaml rdf.yml bioimageio.yaml b.rdf.yaml a.bioimageio.yaml"
    order = names.split()
    for name in order:
        (tmp_path / name).touch()
    found = []
    for _ in order:
        path = find_rdf(tmp_path)
        assert path is not None
        found.append(path.name)
        path.unlink()
    assert found == order


def test_a_folder_that_is_called_like_a_description_is_none(tmp_path: Path) -> None:
    (tmp_path / "rdf.yaml").mkdir()
    assert find_rdf(tmp_path) is None


# -- sizes and axes --------------------------------------------------------------------


def test_format_0_4_sizes_step_from_a_minimum(tmp_path: Path) -> None:
    axes = parse(old(), tmp_path).inputs[0].axes
    assert [axis.name for axis in axes] == ["b", "c", "y", "x"]
    assert axes[0].size == FreeSize()
    assert axes[1].size == FixedSize(1)
    assert (axes[2].size, axes[3].size) == (SteppedSize(32, 16), SteppedSize(48, 8))


def test_format_0_4_size_is_scale_times_reference_and_twice_the_offset(
    tmp_path: Path,
) -> None:
    axes = parse(old(), tmp_path).outputs[0].axes
    assert axes[2].size == RelativeSize("raw", "y", 0.5, -4.0)
    assert axes[3].size == RelativeSize("raw", "x", 2.0, 0.0)


def test_format_0_4_scale_zero_makes_a_new_axis_of_twice_the_offset(
    tmp_path: Path,
) -> None:
    assert parse(old(), tmp_path).outputs[0].channels == 3


def test_format_0_4_halo_is_read_by_axis(tmp_path: Path) -> None:
    assert [a.halo for a in parse(old(), tmp_path).outputs[0].axes] == [0, 0, 8, 4]


def test_format_0_3_list_of_sizes_is_fixed_but_for_minus_one(tmp_path: Path) -> None:
    tensor = {"name": "raw", "axes": "byxc", "shape": [1, 64, -1, 3]}
    rdf = old(format_version="0.3.2", inputs=[tensor])
    sizes = [axis.size for axis in parse(rdf, tmp_path).inputs[0].axes]
    assert sizes == [FreeSize(), FixedSize(64), FreeSize(), FixedSize(3)]


def test_format_0_5_relative_sizes_are_physical(tmp_path: Path) -> None:
    rdf = description()
    rdf["inputs"][0]["axes"][2]["scale"] = 0.5
    rdf["outputs"][0]["axes"][2]["scale"] = 0.25
    rdf["outputs"][0]["axes"][2]["size"]["offset"] = 3
    axis = parse(rdf, tmp_path).outputs[0].axes[2]
    assert axis.size == RelativeSize("raw", "y", 2.0, 3.0)


def test_what_format_0_5_leaves_out_has_its_defaults(tmp_path: Path) -> None:
    axes = [
        {"type": "batch"},
        {"type": "channel", "size": 2},
        {"type": "space", "id": "y", "size": 64},
        {"type": "space", "size": 64},
    ]
    rdf = description(inputs=[{"axes": axes}], outputs=[{"axes": axes}])
    model = parse(rdf, tmp_path)
    assert (model.inputs[0].id, model.outputs[0].id) == ("input", "output")
    assert model.inputs[0].letters == "bcyx"
    assert model.inputs[0].channels == 2
    assert model.inputs[0].channel_names == ()
    assert model.inputs[0].axes[3].pixel_size == 1.0
    assert model.inputs[0].axes[3].halo == 0


def test_weights_entries_that_are_null_are_as_good_as_absent(tmp_path: Path) -> None:
    weights = {"keras_hdf5": None, "onnx": {"source": "a.onnx"}, "torchscript": None}
    assert set(parse(description(weights=weights), tmp_path).weights) == {"onnx"}


def test_numbers_may_be_versions(tmp_path: Path) -> None:
    model = parse(description(version=0.1, format_version=0.5), tmp_path)
    assert (model.version, model.format_version) == ("0.1", "0.5")


@pytest.mark.skipif(not ZOO, reason="needs the folder 'shared' beside the checkout")
def test_every_description_of_the_zoo_is_read() -> None:
    failed = {}
    for path in ZOO:
        try:
            read_rdf(path)
        except ModelError as error:
            failed[path.parent.name] = str(error)
    assert set(failed) == {TEMPLATE}
    assert "not valid YAML" in failed[TEMPLATE]


# -- bad ones --------------------------------------------------------------------------

BAD = {
    "tab": (b"inputs:\n\t- a: [", "not valid YAML"),
    "empty": (b"", "expected a mapping"),
    "list": (b"- 1\n- 2\n", "expected a mapping"),
    "binary": (bytes(range(256)), "not valid YAML"),
    "python object": (b"a: !!python/object/apply:os.getcwd []", "not valid YAML"),
    "value that is not as tagged": (b"a: !!bool x", "not valid YAML"),
    "deep nesting": (b"[" * 100_000, "deeper than 100"),
    "deep nesting in blocks": (b"- " * 100_000, "deeper than 100"),
    "endless alias": (b"a: &a [*a]", "refers to itself"),
    "no tensors": (b"type: model\nname: x\n", "no usable 'inputs'"),
    "other type": (b"type: dataset\nname: x\n", "describes a dataset"),
}


@pytest.mark.parametrize(("source", "words"), BAD.values(), ids=list(BAD))
def test_what_is_no_description_is_refused_in_words(
    source: bytes, words: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        parse(source, tmp_path)
    assert "rdf.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_aliases_that_multiply_are_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for i in range(1, 10):
        lines.append(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]")
    lines.append("description: *a9")
    with pytest.raises(ModelError, match="counting aliases"):
        parse("\n".join(lines).encode(), tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"axes": 5}, "no usable 'axes'"),
        ({"shape": [1, 2]}, "expected 4 sizes"),
        ({"shape": [1, 1, "a", 8]}, "expected a number, found 'a'"),
        ({"shape": [1, 1, -5, 8]}, "whole number"),
        ({"axes": "bcyy"}, "two axes of one name"),
        ({"preprocessing": [{"kwargs": {}}]}, "without a name"),
    ],
    ids=["axes", "length", "text", "negative", "twice", "step"],
)
def test_a_tensor_that_makes_no_sense_is_named(
    change: dict[str, Any], words: str, tmp_path: Path
) -> None:
    tensor = {"name": "raw", "axes": "bcyx", "shape": [1, 1, 8, 8]} | change
    with pytest.raises(ModelError, match=words) as caught:
        parse(old(inputs=[tensor]), tmp_path)
    assert "inputs[0]" in str(caught.value)


def test_a_description_without_weights_says_what_to_add(tmp_path: Path) -> None:
    model = parse(description(weights={}), tmp_path)
    assert not model.usable
    assert "add an entry 'onnx' or 'torchscript'" in (model.problem or "")


def test_a_huge_file_is_not_read_as_a_description(tmp_path: Path) -> None:
    path = tmp_path / "rdf.yaml"
    with path.open("wb") as stream:
        stream.truncate(5 << 20)
    with pytest.raises(ModelError, match="far smaller"):
        read_rdf(path)


@pytest.mark.parametrize("id_", ["custom", "blur"])
def test_a_step_that_cannot_be_done_makes_the_model_unusable(
    id_: str, make_model: Callable[..., Path]
) -> None:
    tensor = description()["outputs"][0] | {"postprocessing": [{"id": id_}]}
    model = load_model(make_model(outputs=[tensor]))
    assert model.weights["onnx"].problem is None
    assert f"'{id_}'" in (model.problem or "")


def test_an_absurd_number_of_channels_is_no_list_of_names(tmp_path: Path) -> None:
    rdf = old()
    rdf["outputs"][0]["shape"]["offset"] = [0, 1e30, 0, 0]
    rdf["config"] = {"napari_imagec_ai": {"kind": "multi_class"}}
    assert parse(rdf, tmp_path).classes == ()


VALUES = st.sampled_from(
    (
        None,
        -1,
        0,
        1.5,
        "",
        "x",
        [],
        {},
        [None],
        {"min": 1, "step": "a"},
        [[1]],
        float("nan"),
        float("inf"),
        10**30,
        True,
    )
)


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    found = [at] if at else []
    for key, below in inside:
        if isinstance(below, (dict, list)):
            found.extend(paths(below, (*at, key)))
        else:
            found.append((*at, key))
    return found


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_one_wrong_value_is_read_or_refused_but_never_a_crash(
    data: st.DataObject, tmp_path: Path
) -> None:
    rdf = data.draw(st.sampled_from([old, description]))()
    *before, last = data.draw(st.sampled_from(paths(rdf)))
    place = rdf
    for key in before:
        place = place[key]
    place[last] = data.draw(VALUES)
    try:
        model = parse(rdf, tmp_path)
    except ModelError:
        return
    assert model.inputs
    assert model.outputs
