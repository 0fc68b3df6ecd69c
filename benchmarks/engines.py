"""What runs a network fastest: options of both runtimes, as ratios.

All variants take turns in one run, so that whatever else the machine does falls on all
of them: compare ratios, not seconds. ``python -m benchmarks engines``
"""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

import napari_imagec_ai as ai
from napari_imagec_ai.engines.opening_weights import open_engine, open_file

ROOT = Path(__file__).resolve().parents[1]
MODELS = (
    ROOT.parent / "shared" / "models" / "unet2d_nuclei_broad",
    ROOT / "models" / "nuclei-unet",
)
"""The first that is there is measured."""

SIDE = 512
"""Of the window."""

ROUNDS = 9
WARM = 2

TURNS = 40

LARGE = 2048
"""Side of the large window that the cost of a process of its own is measured on."""

Call = Callable[[], Any]


def table() -> list[str]:
    """Seconds of a call, and its ratio to what the package uses."""
    model = ai.load_model(next(path for path in MODELS if path.exists()))
    window = np.random.default_rng(0).random((1, 1, SIDE, SIDE)).astype(np.float32)
    onnx, script = (model.weights[n].file.path for n in ("onnx", "torchscript"))
    if onnx is None or script is None:
        return ["The model has no weights of both formats."]
    calls = {
        **{f"ONNX Runtime, {n}": c for n, c in _onnx_calls(onnx, window).items()},
        **{f"TorchScript, {n}": c for n, c in _script_calls(script, window).items()},
    }
    seconds = _take_turns(calls)
    first = seconds[next(iter(calls))]
    lines = [
        f"{model.name}, a window of {SIDE} x {SIDE}:",
        "",
        "| variant | best | ratio of the best | median of the ratios |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, each in seconds.items():
        ratio = each.min() / first.min()
        pairs = float(np.median(each / first))
        lines.append(f"| {name} | {each.min():.3f} s | {ratio:.2f} | {pairs:.2f} |")
    return [*lines, "", *_apart(model)]


def _take_turns(calls: dict[str, Call], rounds: int = ROUNDS) -> dict[str, Any]:
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(WARM + rounds):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            if number >= WARM:
                seconds[name].append(time.perf_counter() - started)
    return {name: np.array(each) for name, each in seconds.items()}


# -- ONNX Runtime ----------------------------------------------------------------------


def _session(
    path: Path,
    level: str = "ORT_ENABLE_ALL",
    spinning: bool = False,
    threads: int = 0,
    memory: bool = True,
) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = getattr(
        onnxruntime.GraphOptimizationLevel, level
    )
    options.intra_op_num_threads = threads
    options.enable_mem_pattern = options.enable_cpu_mem_arena = memory
    options.add_session_config_entry(
        "session.intra_op.allow_spinning", str(int(spinning))
    )
    return onnxruntime.InferenceSession(
        path.read_bytes(), options, providers=["CPUExecutionProvider"]
    )


def _onnx_calls(path: Path, window: np.ndarray) -> dict[str, Call]:
    def plain(**options: Any) -> Call:
        session = _session(path, **options)
        name = session.get_inputs()[0].name
        return lambda: session.run(None, {name: window})

    def bound() -> Call:
        session = _session(path)
        binding = session.io_binding()
        binding.bind_cpu_input(session.get_inputs()[0].name, window)
        binding.bind_output(session.get_outputs()[0].name)

        def call() -> Any:
            session.run_with_iobinding(binding)
            return binding.copy_outputs_to_cpu()

        return call

    return {
        "as used (all optimizations, no spinning)": plain(),
        "spinning threads": plain(spinning=True),
        "extended optimizations": plain(level="ORT_ENABLE_EXTENDED"),
        "basic optimizations": plain(level="ORT_ENABLE_BASIC"),
        "one thread": plain(threads=1),
        "no arena, no memory pattern": plain(memory=False),
        "input and output bound": bound(),
    }


# -- TorchScript -----------------------------------------------------------------------


def _script_calls(path: Path, window: np.ndarray) -> dict[str, Call]:
    plain, last, frozen = (_module(path) for _ in range(3))
    for weights in last.parameters():
        if weights.dim() == 4:
            weights.data = weights.data.contiguous(memory_format=torch.channels_last)
    frozen = torch.jit.freeze(frozen)
    here = open_file("torchscript", path, isolated=False)
    apart = open_file("torchscript", path, isolated=True)
    tensor = torch.from_numpy(window)

    def call(module: Any, *, channels_last: bool = False) -> Call:
        given = tensor
        if channels_last:
            given = tensor.contiguous(memory_format=torch.channels_last)

        def run() -> Any:
            with torch.inference_mode():
                return module(given)

        return run

    return {
        "as used (channels last)": lambda: here.run([window]),
        "as used, in a process of its own": lambda: apart.run([window]),
        "as loaded": call(plain),
        "frozen": call(frozen),
        "channels last, by itself": call(last, channels_last=True),
    }


def _module(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, but what there is
        return torch.jit.load(str(path), map_location="cpu").eval()


# -- a process of its own --------------------------------------------------------------


def _apart(model: ai.Model) -> list[str]:
    """What it costs that TorchScript runs in another process.

    Measured on a network that does next to nothing, since what comes on top is the same
    for each; whole predictions differ by more from turn to turn.
    """
    lines = [
        "TorchScript in a process of its own:",
        "",
        "| window | comes on top | network | share |",
        "| --- | ---: | ---: | ---: |",
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = _next_to_nothing(Path(folder) / "nothing.pt")
        apart, here = (
            open_file("torchscript", path, isolated=isolated)
            for isolated in (True, False)
        )
        real = open_engine(model, "torchscript", "cpu", isolated=False)
        for side in (SIDE, LARGE):
            window = np.zeros((1, 1, side, side), np.float32)
            calls = {
                name: partial(engine.run, [window])
                for name, engine in (("apart", apart), ("here", here))
            }
            best = {n: each.min() for n, each in _take_turns(calls, TURNS).items()}
            network = _take_turns({"it": partial(real.run, [window])}, 3)["it"].min()
            top = best["apart"] - best["here"]
            lines.append(
                f"| {side} x {side} | {1e3 * top:.1f} ms | {network:.2f} s | "
                f"{100 * top / network:.1f} % |"
            )
        for engine in (apart, here, real):
            engine.close()
    return lines


def _next_to_nothing(path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, but what there is
        module = torch.jit.trace(torch.nn.ReLU(), torch.zeros(1, 1, 8, 8))
        torch.jit.save(module, str(path))
    return path
