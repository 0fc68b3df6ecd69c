"""ONNX files that name other files: read from their own folder, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from napari_imagec_ai.engines import onnx_external_data, onnx_external_names
from napari_imagec_ai.engines.opening_weights import open_file
from napari_imagec_ai.errors import EngineError

NUMBERS = np.arange(4, dtype=np.float32)

SHAPE = [1, 1, 2, 2]


def apart(location: str, name: str = "w") -> TensorProto:
    """A tensor whose numbers lie in another file."""
    tensor = TensorProto(name=name, data_type=1, dims=SHAPE)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    tensor.external_data.add(key="length", value="16")
    return tensor


def info(name: str) -> Any:
    return helper.make_tensor_value_info(name, 1, SHAPE)


def network(nodes: list[Any], initializers: Any = (), **more: Any) -> Any:
    graph = helper.make_graph(
        nodes, "adds", [info("in")], [info("out")], list(initializers)
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
    model = helper.make_model(graph, opset_imports=opsets, **more)
    model.ir_version = 8
    return model


ADD = helper.make_node("Add", ["in", "w"], ["out"])


def in_initializer(location: str) -> Any:
    return network([ADD], [apart(location)])


def in_constant(location: str) -> Any:
    constant = helper.make_node("Constant", [], ["w"], value=apart(location))
    return network([constant, ADD])


def in_subgraph(location: str) -> Any:
    branch = helper.make_graph([ADD], "branch", [], [info("out")], [apart(location)])
    yes = helper.make_tensor("yes", TensorProto.BOOL, [], [True])
    chosen = helper.make_node(
        "If", ["yes"], ["out"], then_branch=branch, else_branch=branch
    )
    return network([chosen], [yes])


def in_function(location: str) -> Any:
    constant = helper.make_node("Constant", [], ["w"], value=apart(location))
    function = helper.make_function(
        "mine", "More", ["in"], ["out"], [constant, ADD], [helper.make_opsetid("", 17)]
    )
    node = helper.make_node("More", ["in"], ["out"], domain="mine")
    return network([node], functions=[function])


def in_sparse(location: str) -> Any:
    values, indices = apart(location), helper.make_tensor("i", 7, [1], [0])
    sparse = helper.make_sparse_tensor(values, indices, [4])
    model = network([ADD], [helper.make_tensor("w", 1, SHAPE, NUMBERS)])
    model.graph.sparse_initializer.append(sparse)
    return model


def in_training(location: str) -> Any:
    model = network([ADD], [helper.make_tensor("w", 1, SHAPE, NUMBERS)])
    model.training_info.add().algorithm.initializer.append(apart(location))
    return model


PLACES = [
    in_initializer,
    in_constant,
    in_subgraph,
    in_function,
    in_sparse,
    in_training,
]


def varint(value: int, overlong: int) -> bytes:
    groups = []
    while value:
        groups.append(value & 0x7F)
        value >>= 7
    groups += [0] * (max(1, len(groups) + overlong) - len(groups))
    return bytes(g | 0x80 for g in groups[:-1]) + bytes(groups[-1:])


def spelled(source: bytes, overlong: int, kind: str | None = "model") -> bytes:
    """The same message, with numbers that are longer than they need be."""
    told = b""
    inside = {**onnx_external_names._INSIDE, "entry": {}}.get(kind or "", {})
    at, view = 0, memoryview(source)
    while at < len(source):
        tag, at = onnx_external_names._number(view, at, len(source))
        told += varint(tag, min(overlong, 1) if told else 0)
        if tag & 7 == 2:
            size, at = onnx_external_names._number(view, at, len(source))
            content = source[at : at + size]
            if tag >> 3 in inside:
                content = spelled(content, overlong, inside[tag >> 3])
            told += varint(len(content), overlong) + content
            at += size
        elif tag & 7 == 0:
            value, at = onnx_external_names._number(view, at, len(source))
            told += varint(value, min(overlong, 1))
        else:
            size = 8 if tag & 7 == 1 else 4
            told, at = told + source[at : at + size], at + size
    return told


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model folder; we stand in another one, where files of its names lie, too."""
    for name in ("model", "here"):
        (tmp_path / name / "sub").mkdir(parents=True)
    (tmp_path / "here" / "w.bin").write_bytes((NUMBERS + 100).tobytes())
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "model"


def ran(path: Path) -> Any:
    engine = open_file("onnx", path)
    (found,) = engine.run([np.zeros(SHAPE, np.float32)])
    engine.close()
    return found.ravel()


@pytest.mark.parametrize("inside", PLACES[:4])
@pytest.mark.parametrize("overlong", [0, 1, 3])
def test_numbers_beside_a_network_are_those_of_its_folder(
    folder: Path, inside: Callable[[str], Any], overlong: int
) -> None:
    source = spelled(inside("sub/w.bin").SerializeToString(), overlong)
    (folder / "a.onnx").write_bytes(source)
    (folder / "sub" / "w.bin").write_bytes(NUMBERS.tobytes())
    np.testing.assert_array_equal(ran(folder / "a.onnx"), NUMBERS)


@pytest.mark.parametrize("inside", PLACES)
@pytest.mark.parametrize("overlong", [0, 1, 4])
def test_numbers_that_lie_where_we_stand_are_not_read(
    folder: Path, inside: Callable[[str], Any], overlong: int
) -> None:
    source = spelled(inside("w.bin").SerializeToString(), overlong)
    (folder / "a.onnx").write_bytes(source)
    with pytest.raises(EngineError, match=r"'w.bin', which is no file in its folder"):
        open_file("onnx", folder / "a.onnx")


def test_numbers_too_many_for_one_file_are_handed_over_apart(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = in_initializer("w.bin")
    (folder / "a.onnx").write_bytes(model.SerializeToString())
    (folder / "w.bin").write_bytes(NUMBERS.tobytes())
    monkeypatch.setattr(
        onnx_external_data, "LARGEST", len(model.SerializeToString()) + 2
    )
    assert list(onnx_external_data.read_network(folder / "a.onnx").apart) == ["w"]
    np.testing.assert_array_equal(ran(folder / "a.onnx"), NUMBERS)


@pytest.mark.parametrize(
    ("told", "match"),
    [
        ({"offset": "4"}, "are not there: that file has 16 bytes"),
        ({"offset": "-4"}, "are not there"),
        ({"offset": "99999999999999999999"}, "are not there"),
        ({"offset": "four"}, "are not there"),
    ],
)
def test_numbers_beyond_the_end_of_their_file_are_said(
    folder: Path, told: dict[str, str], match: str
) -> None:
    model = in_initializer("w.bin")
    for key, value in told.items():
        model.graph.initializer[0].external_data.add(key=key, value=value)
    (folder / "a.onnx").write_bytes(model.SerializeToString())
    (folder / "w.bin").write_bytes(NUMBERS.tobytes())
    with pytest.raises(EngineError, match=match):
        open_file("onnx", folder / "a.onnx")


def test_the_last_name_of_a_file_does_not_hide_the_first(folder: Path) -> None:
    model = in_initializer("../here/w.bin")
    model.graph.initializer[0].external_data.add(key="location", value="w.bin")
    (folder / "a.onnx").write_bytes(model.SerializeToString())
    (folder / "w.bin").write_bytes(NUMBERS.tobytes())
    with pytest.raises(EngineError, match=r"'../here/w\.bin'"):
        open_file("onnx", folder / "a.onnx")


@pytest.mark.parametrize(
    "location", ["a" * 300, "a\n.bin", "a\x00", "loop", "\u202ew.bin", ""]
)
def test_names_that_are_none(folder: Path, location: str) -> None:
    (folder / "loop").symlink_to("loop")
    (folder / "a.onnx").write_bytes(in_initializer(location).SerializeToString())
    with pytest.raises(EngineError, match="is no file in its folder"):
        open_file("onnx", folder / "a.onnx")


@pytest.mark.parametrize(
    "more",
    [
        b"\x3a\xff",  # a length that is cut off
        b"\x3a\x7f\x00",  # a field that is longer than the file
        b"\x3b\x3c",  # a group
        b"\x02\x00",  # a field without a number
        b"\x3a" + b"\x80" * 10 + b"\x00",  # a number of eleven bytes
        b"\xba\x80\x80\x80\x90\x00\x00",  # the graph's number, and a bit above 32
        b"\x3e\x00",
        b"\x3d\x00",
    ],
)
def test_bytes_that_may_be_read_in_two_ways_are_refused(
    folder: Path, more: bytes
) -> None:
    source = in_initializer("w.bin")
    (folder / "w.bin").write_bytes(NUMBERS.tobytes())
    (folder / "a.onnx").write_bytes(source.SerializeToString() + more)
    with pytest.raises(EngineError, match="cannot be told which other files it reads"):
        open_file("onnx", folder / "a.onnx")


def test_a_network_in_a_network_without_end_is_refused(folder: Path) -> None:
    source = b""
    for _ in range(150):  # of a graph, a node, an attribute that is a graph
        for tag in (b"\x32", b"\x2a", b"\x0a"):
            source = tag + varint(len(source), 0) + source
    (folder / "a.onnx").write_bytes(b"\x08\x08\x3a" + varint(len(source), 0) + source)
    with pytest.raises(EngineError, match="nested deeper than 100 levels"):
        open_file("onnx", folder / "a.onnx")


def test_what_is_walked_through_is_what_the_format_has() -> None:
    """Every way to a tensor that the format knows is on the map of the walk."""
    names = {
        "ModelProto": "model",
        "TrainingInfoProto": "training",
        "GraphProto": "graph",
        "FunctionProto": "function",
        "NodeProto": "node",
        "AttributeProto": "attribute",
        "SparseTensorProto": "sparse",
        "TensorProto": "tensor",
        "StringStringEntryProto": "entry",
    }

    def leads(about: Any, seen: tuple[str, ...] = ()) -> bool:
        if about.name in ("TensorProto", *seen):
            return about.name == "TensorProto"
        below = [f.message_type for f in about.fields if f.message_type is not None]
        return any(leads(one, (*seen, about.name)) for one in below)

    for name, word in names.items():
        if word in ("tensor", "entry"):
            continue
        fields = getattr(onnx, name).DESCRIPTOR.fields
        ways = {
            field.number: names[field.message_type.name]
            for field in fields
            if field.message_type is not None and leads(field.message_type)
        }
        assert ways == onnx_external_names._INSIDE[word], name
