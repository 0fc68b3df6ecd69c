"""Networks in a process of their own: it dies, hangs, fills the memory; we live on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from conftest import onnx_network, torchscript_network

import napari_imagec_ai as ai
from napari_imagec_ai.engines import process as process_module
from napari_imagec_ai.engines import sharing
from napari_imagec_ai.engines.onnx import OnnxEngine
from napari_imagec_ai.engines.opening_weights import open_engine, open_file
from napari_imagec_ai.engines.process import ProcessEngine
from napari_imagec_ai.errors import EngineDied, EngineError, OutOfMemory

X = np.random.default_rng(0).random((1, 1, 16, 16)).astype(np.float32)
MakeModel = Callable[..., Path]
TORCH = {"torchscript": {"source": "w.pt"}}
posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")


def looping_torchscript(path: Path) -> Path:
    """A network that does not end where its input has a number above 1."""
    import warnings

    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = type("Looping", (torch.jit.ScriptModule,), {})()
        module.define(
            "def forward(self, x):\n"
            "    while bool(x.max() > 1):\n"
            "        x = torch.abs(x)\n"
            "    return x\n"
        )
        torch.jit.save(module, str(path))
    return path


def looping_onnx(path: Path) -> Path:
    """The same in ONNX, which starts sooner."""
    from onnx import TensorProto, helper, save

    bool_, float_ = TensorProto.BOOL, TensorProto.FLOAT
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["on"], ["still"]),
            helper.make_node("Abs", ["x"], ["y"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("n", TensorProto.INT64, []),
            helper.make_tensor_value_info("on", bool_, []),
            helper.make_tensor_value_info("x", float_, None),
        ],
        [
            helper.make_tensor_value_info("still", bool_, []),
            helper.make_tensor_value_info("y", float_, None),
        ],
    )
    shape = ["b", 1, "y", "x"]
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMax", ["in"], ["most"], keepdims=0),
            helper.make_node("Greater", ["most", "one"], ["begin"]),
            helper.make_node("Loop", ["", "begin", "in"], ["out"], body=body),
        ],
        "hangs",
        [helper.make_tensor_value_info("in", float_, shape)],
        [helper.make_tensor_value_info("out", float_, shape)],
        [helper.make_tensor("one", float_, [], [1.0])],
    )
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    network.ir_version = 8
    save(network, str(path))
    return path


@pytest.fixture
def looping(tmp_path: Path) -> Path:
    return looping_onnx(tmp_path / "loop.onnx")


@pytest.fixture
def engine(looping: Path) -> Iterator[Any]:
    opened = open_file("onnx", looping, isolated=True)
    yield opened
    opened.close()


def soon(engine: Any, what: Callable[[], Any]) -> threading.Thread:
    """Do something while the network is in its loop: it burns the processor then."""

    def wait() -> None:
        process = psutil.Process(engine.pid)
        before = sum(process.cpu_times()[:2])
        while sum(process.cpu_times()[:2]) < before + 0.05:
            time.sleep(0.01)
        what()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def gone(pid: int) -> bool:
    """Whether a process has ended, within some seconds."""
    for _ in range(500):
        if (
            not psutil.pid_exists(pid)
            or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        ):
            return True
        time.sleep(0.02)
    return False


# -- it behaves like one in this process -----------------------------------------------


def test_torchscript_runs_in_a_process_of_its_own_and_gives_the_same(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_model(network=None, weights=TORCH)
    torchscript_network(folder / "w.pt", "x * 2, x > 0.5, x[:, :, :0].long()")
    model = ai.load_model(folder)
    apart = open_engine(model)
    assert isinstance(apart, ProcessEngine)
    assert apart.pid not in (None, os.getpid())
    here = open_engine(model, isolated=False)
    assert not isinstance(here, ProcessEngine)
    assert (apart.name, apart.device) == (here.name, here.device)
    big = np.random.default_rng(1).random((1, 1, 300, 200))  # more room than before
    for given in (X, (9 * X).astype(">u2"), big[..., ::-2], X > 0.5):
        for one, other in zip(apart.run([given]), here.run([given]), strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
    first, second = apart.run([X])[0], apart.run([X + 1])[0]
    assert not np.shares_memory(first, second)
    np.testing.assert_array_equal(first, 2 * X)
    monkeypatch.setenv("IMAGEC_AI_ISOLATED", "0")
    assert not isinstance(open_engine(model), ProcessEngine)
    apart.close()


def test_onnx_stays_here_unless_asked(make_model: MakeModel) -> None:
    model = ai.load_model(make_model())
    assert isinstance(open_engine(model), OnnxEngine)
    apart = open_engine(model, isolated=True)
    assert isinstance(apart, ProcessEngine)
    np.testing.assert_array_equal(apart.run([X])[0], X)
    apart.close()
    apart.close()  # twice does no harm
    np.testing.assert_array_equal(apart.run([X])[0], X)  # it opens again
    apart.close()


def test_what_an_engine_has_beside_is_there_from_afar(tmp_path: Path) -> None:
    import onnx

    path = onnx_network(tmp_path / "a.onnx", shape=(1, 1, 32, 48))
    network = onnx.load(str(path))
    onnx.helper.set_model_props(network, {"names": "{0: 'cell'}"})
    onnx.save(network, str(path))
    apart: Any = open_file("onnx", path, isolated=True)
    assert apart.metadata == {"names": "{0: 'cell'}"}
    assert apart.window == (32, 48)
    with pytest.raises(EngineError, match=r"expects the shape \[1, 1, 32, 48\]"):
        apart.run([X])
    assert apart.loosen([2, 3])
    np.testing.assert_array_equal(apart.run([X])[0], X)
    os.kill(apart.pid, signal.SIGTERM)
    apart._held[0]._process.wait()
    np.testing.assert_array_equal(apart.run([X])[0], X)  # in another one, loose again
    apart.close()


def test_errors_over_there_are_errors_here(tmp_path: Path, engine: Any) -> None:
    with pytest.raises(EngineError, match="has 1 inputs, but 2 were given") as caught:
        engine.run([X, X])
    assert type(caught.value) is EngineError
    np.testing.assert_array_equal(engine.run([X])[0], X)  # it is none the worse for it
    with pytest.raises(EngineError, match=r"has no device 'tpu9'.*'auto'"):
        open_file("onnx", onnx_network(tmp_path / "a.onnx"), "tpu9", isolated=True)
    with pytest.raises(EngineError, match="Expected numbers"):
        engine.run([np.array([None])])


def test_a_network_of_texts_ends_nobody(tmp_path: Path) -> None:
    """Arrays of texts are pointers, and whoever follows another process's is gone."""
    from onnx import TensorProto, helper, save

    network = helper.make_model(
        helper.make_graph(
            [helper.make_node("Cast", ["in"], ["out"], to=TensorProto.STRING)],
            "texts",
            [helper.make_tensor_value_info("in", TensorProto.FLOAT, ["y", "x"])],
            [helper.make_tensor_value_info("out", TensorProto.STRING, ["y", "x"])],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
    )
    network.ir_version = 8
    save(network, str(tmp_path / "texts.onnx"))
    engine = open_file("onnx", tmp_path / "texts.onnx", isolated=True)
    try:
        with pytest.raises(EngineError, match="Expected numbers"):
            engine.run([np.zeros((4, 4), np.float32)])
    finally:
        engine.close()


def test_pointers_of_another_process_are_not_followed() -> None:
    segment = sharing.create(64)
    segment.forget_name()
    with pytest.raises(EngineError, match="Expected numbers"):
        sharing.views(segment, [("|O", [4], 0)])


def test_a_runtime_that_is_missing_over_there_is_missing_here(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = {"torchscript": {"source": "w.pt"}, "onnx": {"source": "weights.onnx"}}
    folder = make_model(network=None, weights=weights)
    onnx_network(folder / "weights.onnx")
    torchscript_network(folder / "w.pt")

    def missing(*_: Any) -> Any:
        raise process_module._as_raised("ImportError", "No module named 'torch'")

    monkeypatch.setattr(process_module, "ProcessEngine", missing)
    with pytest.raises(EngineError, match=r"runtime is not installed .*'torch'"):
        open_engine(ai.load_model(folder), "torchscript")


@pytest.mark.parametrize("python", ["no-python", "other-program"])
def test_where_no_process_can_be_started_the_network_runs_here(
    python: str, looping: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_module, "SPARE", process_module._Spare())
    program = looping.parent / "other-program"  # Python may be built into one
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(looping.parent / python))
    here = open_file("onnx", looping, isolated=True)
    assert not isinstance(here, ProcessEngine)
    np.testing.assert_array_equal(here.run([X])[0], X)


# -- one warm process, and nothing that stays ------------------------------------------


def test_the_process_is_kept_warm_for_the_next_network(looping: Path) -> None:
    first: Any = open_file("onnx", looping, isolated=True)
    pid = first.pid
    second: Any = open_file("onnx", looping, isolated=True)
    assert second.pid != pid  # two networks that are open do not wait for one another
    first.close()
    third: Any = open_file("onnx", looping, isolated=True)
    assert third.pid == pid
    del third  # forgotten, not closed
    fourth: Any = open_file("onnx", looping, isolated=True)
    assert fourth.pid == pid
    second_pid = second.pid
    second.close()
    fourth.close()
    assert gone(pid) or gone(second_pid)  # one spare is enough


def test_a_folder_full_of_python_files_is_not_a_place_to_import_from(
    looping: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json", "numpy", "onnxruntime", "napari_imagec_ai", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("open('was-run', 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(process_module, "SPARE", process_module._Spare())
    engine = open_file("onnx", looping, isolated=True)
    np.testing.assert_array_equal(engine.run([X])[0], X)
    engine.close()
    process_module.SPARE.end()
    assert not (tmp_path / "was-run").exists()


SCRIPT = """
import os, sys, numpy as np
from napari_imagec_ai.engines.opening_weights import open_file
from pathlib import Path
engine = open_file("onnx", Path(sys.argv[1]), isolated=True)
engine.run([np.ones((1, 1, 64, 64), np.float32)])
print(engine.pid, flush=True)
if sys.argv[2] == "killed":
    os.kill(os.getpid(), 9)
"""


@posix
@pytest.mark.parametrize("end", ["ends", "killed"])
def test_nothing_is_left_when_we_end_or_are_killed(end: str, tmp_path: Path) -> None:
    before = set(Path("/dev/shm").glob("imagec-ai-*"))
    path = onnx_network(tmp_path / "a.onnx")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, str(path), end],
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    assert gone(int(done.stdout))
    left = set(Path("/dev/shm").glob("imagec-ai-*")) - before
    # Others may be making one just now; theirs lose their names in a moment.
    for _ in range(500):
        if not any(path.exists() for path in left):
            break
        time.sleep(0.02)
    assert not [path for path in left if path.exists()]


# -- it dies ---------------------------------------------------------------------------


@posix
@pytest.mark.parametrize("how", ["SIGSEGV", "SIGABRT"])
def test_a_crash_is_an_error_in_words_and_the_next_run_works(
    how: str, engine: Any
) -> None:
    pid = engine.pid
    killer = soon(engine, lambda: os.kill(pid, getattr(signal, how)))
    with pytest.raises(
        EngineDied, match=rf"onnx network died on .*16.* \({how}.*Try another"
    ):
        engine.run([X + 2])
    killer.join()
    np.testing.assert_array_equal(engine.run([X])[0], X)
    assert engine.pid != pid


@posix
def test_the_kernels_kill_is_told_as_a_lack_of_memory(engine: Any) -> None:
    pid = engine.pid
    killer = soon(engine, lambda: os.kill(pid, signal.SIGKILL))
    with pytest.raises(OutOfMemory, match=r"the memory ran out .*use smaller tiles"):
        engine.run([X + 2])
    killer.join()


@posix
def test_a_run_names_the_window_that_its_process_died_on(
    make_model: MakeModel,
) -> None:
    folder = make_model(network=looping_onnx)
    model = ai.load_model(folder)
    engine: Any = open_engine(model, isolated=True)
    image = ai.ImageInput(np.full((40, 40), 3, np.float32), "YX")
    killer = soon(engine, lambda: os.kill(engine.pid, signal.SIGSEGV))
    with pytest.raises(EngineDied, match=r"Windows have 32 x 32 pixels"):
        ai.predict(model, image, engine=engine, tile=32)
    killer.join()
    engine.close()


# -- it hangs --------------------------------------------------------------------------


def test_closing_a_run_ends_a_network_that_hangs(make_model: MakeModel) -> None:
    folder = make_model(network=looping_torchscript, weights=TORCH)
    model = ai.load_model(folder)
    engine: Any = open_engine(model)
    pid = engine.pid
    hanging = ai.ImageInput(np.full((20, 20), 3, np.float32), "YX")
    run = ai.predict_iter(model, hanging, engine=engine)
    told = [next(run), next(run), next(run)]  # it asks whether to go on
    assert {(step.done, step.total) for step in told} == {(0, 1)}
    run.close()
    assert gone(pid)
    found = ai.predict(model, ai.ImageInput(X[0, 0], "YX"), engine=engine)
    np.testing.assert_array_equal(found.maps["probability"][0], X[0, 0])
    engine.close()


def test_closing_a_run_leaves_a_process_warm_that_is_nearly_done(
    make_model: MakeModel,
) -> None:
    folder = make_model(network=None, weights=TORCH)
    torchscript_network(folder / "w.pt")
    model = ai.load_model(folder)
    engine: Any = open_engine(model)
    pid = engine.pid
    run = ai.predict_iter(
        model, ai.ImageInput(np.ones((90, 90)), "YX"), engine=engine, tile=32
    )
    next(run), next(run)
    run.close()
    assert engine.pid == pid
    np.testing.assert_array_equal(engine.run([X])[0], X)
    assert engine.pid == pid
    engine.close()


def test_a_hanging_onnx_network_ends_here_too(
    make_model: MakeModel,
) -> None:
    model = ai.load_model(make_model(network=looping_onnx))
    assert isinstance(open_engine(model), OnnxEngine)
    run = ai.predict_iter(model, ai.ImageInput(X[0, 0] + 2, "YX"))
    next(run), next(run)
    run.close()
