"""Small real models that tests build, and the places where larger ones lie."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import settings

# A run says the same twice; `make fresh` looks for what nobody has seen yet.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("fresh", deadline=None, print_blob=True)
settings.load_profile("fixed")

_COUNT = itertools.count()
ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


LONG = (
    "test_widget_monkey",
    "test_hostile.py::test_a_hurried_run",
    "test_widget_lasting",
    "test_window_switches",
    "test_pages",
)
"""What takes minutes comes first, so that processes side by side end together."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not any(name in item.nodeid for name in LONG))


@pytest.fixture
def shared() -> Path:
    """The folder of other people's models beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("needs the folder 'shared' beside the checkout, with other models")
    return SHARED


@pytest.fixture(autouse=True)
def _own_places(tmp_path_factory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's models and caches out of the tests, and the tests out of them."""
    home = tmp_path_factory.mktemp("user")
    monkeypatch.setattr(
        "platformdirs.user_data_dir", lambda *a, **k: str(home / "data")
    )
    monkeypatch.setattr(
        "platformdirs.user_cache_dir", lambda *a, **k: str(home / "cache")
    )
    monkeypatch.delenv("IMAGEC_AI_MODELS", raising=False)


def onnx_network(
    path: Path,
    channels: int = 1,
    shape: tuple[Any, ...] = ("b", 1, "y", "x"),
    expression: str = "identity",
) -> Path:
    """Write a network of one node.

    ``identity`` gives its input, ``double`` twice of it, ``channels`` repeats the one
    channel, ``half`` every second pixel.
    """
    from onnx import TensorProto, checker, helper, save

    source = helper.make_tensor_value_info("in", TensorProto.FLOAT, list(shape))
    out_shape: list[Any] = [shape[0], channels, *("oy", "ox", "oz")[: len(shape) - 2]]
    result = helper.make_tensor_value_info("out", TensorProto.FLOAT, out_shape)
    constants = []
    if expression == "identity":
        node = helper.make_node("Identity", ["in"], ["out"])
    elif expression == "double":
        constants.append(helper.make_tensor("two", TensorProto.FLOAT, [], [2.0]))
        node = helper.make_node("Mul", ["in", "two"], ["out"])
    elif expression == "channels":
        node = helper.make_node("Concat", ["in"] * channels, ["out"], axis=1)
    elif expression == "half":
        node = helper.make_node(
            "MaxPool", ["in"], ["out"], kernel_shape=[1, 1], strides=[2, 2]
        )
    else:
        raise ValueError(expression)
    graph = helper.make_graph([node], "tiny", [source], [result], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    checker.check_model(model)
    save(model, str(path))
    return path


def torchscript_network(path: Path, returns: str = "tensor") -> Path:
    """Write a network that gives its input back, as a tensor, list, tuple or dict.

    Or one that gives any expression of ``x``, or of several arguments, such as
    ``a, b -> a + b``.
    """
    import warnings

    import torch

    sources = {
        "tensor": "def forward(self, x):\n    return x\n",
        "tuple": "def forward(self, x):\n    return (x, x * 2)\n",
        "list": "def forward(self, x):\n    return [x, x * 2]\n",
        "dict": "def forward(self, x):\n    return {'a': x, 'b': x * 2}\n",
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, but what is tested
        # A class of its own: PyTorch keeps one forward for each class.
        module = type(f"Net{next(_COUNT)}", (torch.jit.ScriptModule,), {})()
        names, arrow, body = returns.rpartition("->")
        expression = (
            f"def forward(self, {names if arrow else 'x'}):\n    return {body}\n"
        )
        module.define(sources.get(returns, expression))
        torch.jit.save(module, str(path))
    return path


def description(**changes: Any) -> dict[str, Any]:
    """An rdf of format 0.5 for a network with one grey input and one map."""
    rdf: dict[str, Any] = {
        "format_version": "0.5.4",
        "type": "model",
        "name": "Tiny",
        "description": "gives its input back",
        "inputs": [
            {
                "id": "raw",
                "axes": [
                    {"type": "batch"},
                    {"type": "channel", "channel_names": ["grey"]},
                    {"type": "space", "id": "y", "size": {"min": 16, "step": 16}},
                    {"type": "space", "id": "x", "size": {"min": 16, "step": 16}},
                ],
            }
        ],
        "outputs": [
            {
                "id": "probability",
                "axes": [
                    {"type": "batch"},
                    {"type": "channel", "channel_names": ["foreground"]},
                    *(
                        {
                            "type": "space",
                            "id": axis,
                            "size": {"tensor_id": "raw", "axis_id": axis},
                            "halo": 4,
                        }
                        for axis in "yx"
                    ),
                ],
            }
        ],
        "weights": {"onnx": {"source": "weights.onnx"}},
        "config": {"napari_imagec_ai": {"decoder": "unet", "classes": ["thing"]}},
    }
    return rdf | changes


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., Path]:
    """Write a model folder: a description (changed as asked) beside a tiny network."""

    def make(
        name: str = "tiny", /, network: Any = onnx_network, **changes: Any
    ) -> Path:
        folder = tmp_path / "made" / name
        folder.mkdir(parents=True)
        rdf = description(**changes)
        (folder / "rdf.yaml").write_text(yaml.safe_dump(rdf, sort_keys=False))
        for entry in rdf["weights"].values():
            if network is not None and isinstance(entry, dict):
                network(folder / entry["source"])
        return folder

    return make


class CountingEngine:
    """An engine that gives its input back and counts how often it ran."""

    name, device = "counting", "cpu"

    def __init__(self) -> None:
        self.calls = 0

    def run(self, inputs: Any) -> list[Any]:
        self.calls += 1
        return [np.asarray(inputs[0], np.float32)]

    def close(self) -> None:
        pass


@pytest.fixture
def counting_engine() -> Iterator[CountingEngine]:
    return CountingEngine()


def discs(
    shape: tuple[int, ...], centres: Any, radii: Any, spacing: Any = None
) -> np.ndarray:
    """Draw discs (balls) with ids from 1; a pixel goes to the nearest rim."""
    grid = np.indices(shape, dtype=float)
    best, labels = np.full(shape, np.inf), np.zeros(shape, np.int32)
    step = np.ones(len(shape)) if spacing is None else np.asarray(spacing, float)
    for i, (centre, radius) in enumerate(zip(centres, radii, strict=True), start=1):
        offsets = [(g - c) * s for g, c, s in zip(grid, centre, step, strict=True)]
        away = np.sqrt(sum(o**2 for o in offsets)) - radius
        mine = (away < 0) & (away < best)
        labels[mine], best[mine] = i, away[mine]
    return labels


def match_f1(truth: np.ndarray, found: np.ndarray, iou: float = 0.5) -> float:
    """F1 of objects matched one to one at an IoU above 0.5."""
    n, k = int(truth.max()) + 1, int(found.max()) + 1
    both = np.bincount(
        (truth.astype(np.int64) * k + found).ravel(), minlength=n * k
    ).reshape(n, k)
    union = both.sum(1)[:, None] + both.sum(0)[None] - both
    hits = (both[1:, 1:] > iou * union[1:, 1:]).sum()
    truths, founds = (both.sum(1)[1:] > 0).sum(), (both.sum(0)[1:] > 0).sum()
    return float(2 * hits / max(truths + founds, 1))


@pytest.fixture
def run_cli(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., tuple[int, str, str]]:
    """Run a command in an empty folder; gives exit code, stdout and stderr."""
    from napari_imagec_ai.cli import main

    place = tmp_path / "cwd"
    place.mkdir()
    monkeypatch.chdir(place)

    def command(*argv: object) -> tuple[int, str, str]:
        code = main([str(part) for part in argv])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


@pytest.fixture
def open_widget(
    make_napari_viewer: Any, make_model: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[Any, Any]]]:
    """Open napari with the widget docked and a tiny model in ./models."""

    def open_(
        image: Any = None, show: bool = False, axes: Any = None, **changes: Any
    ) -> tuple[Any, Any]:
        folder = make_model("tiny", **changes)
        folder.parent.rename(folder.parent.parent / "models")
        monkeypatch.chdir(folder.parent.parent)
        viewer = make_napari_viewer(show=show)
        if image is not None:
            viewer.add_image(image, name="dish", scale=(0.5,) * np.ndim(image))
        _, widget = viewer.window.add_plugin_dock_widget(
            "napari-imagec-ai", "AI classifier"
        )
        number = [entry.path.name for entry in widget.entries].index("tiny")
        widget.model.value = number
        return viewer, widget

    return open_


def finish(qtbot: Any, widget: Any) -> None:
    """Wait until a run has ended."""
    qtbot.waitUntil(lambda: not widget.running, timeout=30_000)
