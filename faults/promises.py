"""One case for each promise: what would happen if it were not kept is looked for."""

from __future__ import annotations

import contextlib
import io
import os
import random
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from faults.fault import Case, Chance, Fault, Lost, Make
from faults.networks import describe, write_onnx, write_torchscript
from napari_imagec_ai.errors import ImagecAIError

Promise = Callable[[Path], None]


def _refused(words: str, doing: Callable[[], Any]) -> None:
    """Do what must be refused in a sentence with these words."""
    try:
        doing()
    except ImagecAIError as error:
        if words in str(error):
            return
        raise Lost(f"refused for another reason: {error}") from error
    raise Lost(f"not refused; expected '{words}'")


@contextlib.contextmanager
def _standing_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    folder.mkdir(exist_ok=True)
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _tiny(folder: Path, framework: str = "onnx") -> Path:
    folder.mkdir()
    if framework == "onnx":
        write_onnx(folder / "weights.onnx")
        rdf = describe()
    else:
        write_torchscript(folder / "weights.pt")
        rdf = describe(weights={"torchscript": {"source": "weights.pt"}})
    (folder / "rdf.yaml").write_text(yaml.safe_dump(rdf, sort_keys=False))
    return folder


def _same_size_and_time(path: Path, content: bytes) -> None:
    about = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def _other_bytes(path: Path) -> None:
    _same_size_and_time(path, path.read_bytes()[:-1] + b"?")


# -- files -----------------------------------------------------------------------------


def whole_or_not_at_all(folder: Path) -> None:
    """A file whose writing fails is as it was before."""
    from napari_imagec_ai.system import whole_files

    path = folder / "a.csv"
    path.write_text("before\n")

    def half(place: Path) -> None:
        place.write_text("hal")
        if path.read_text() != "before\n":
            raise Lost("half a file has a final name")
        raise OSError(28, "No space left on device")

    with contextlib.suppress(ImagecAIError):
        whole_files.replace_whole(path, half)
    if path.read_text() != "before\n":
        raise Lost("the older file is gone")


def what_was_begun_is_taken_away(folder: Path) -> None:
    """What a killed process began to write goes when the next one writes there."""
    from napari_imagec_ai.system import whole_files

    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    left = whole_files.begun().replace(str(os.getpid()), str(gone.pid))
    (folder / f"{left}a.csv").touch()
    whole_files.replace_text(folder / "b.csv", "b\n")
    if list(folder.glob(".writing-*")):
        raise Lost("it is still there")


def done_means_whole(folder: Path) -> None:
    """A result that was emptied is made again."""
    import napari_imagec_ai as ai
    from napari_imagec_ai.recipes.batch.run_batch import Batch, run_batch
    from napari_imagec_ai.recipes.recipe import Recipe, describe_model

    model = ai.load_model(_tiny(folder / "tiny"))
    np.save(folder / "a.npy", np.random.default_rng(0).random((40, 48), np.float32))
    batch = Batch(Recipe(model=describe_model(model)), folder / "out", ["csv"])
    list(run_batch(batch, [folder / "a.npy"]))
    table = folder / "out" / "a.objects.csv"
    before = table.read_bytes()
    table.write_bytes(b"")
    list(run_batch(batch, [folder / "a.npy"]))
    if table.read_bytes() != before:
        raise Lost("the empty table stayed")


def packages_by_content(folder: Path) -> None:
    """Another package of the same size and time is not taken for the first."""
    import platformdirs

    from napari_imagec_ai.library.folders import load_model

    platformdirs.user_cache_dir = lambda *a, **k: str(folder / "cache")
    tiny, package = _tiny(folder / "tiny"), folder / "a.zip"
    for text in ("one", "two"):
        with zipfile.ZipFile(folder / "new.zip", "w") as archive:
            for path in sorted(tiny.iterdir()):
                archive.write(path, path.name)
            archive.writestr("note.txt", text)
        content = (folder / "new.zip").read_bytes()
        _same_size_and_time(package, content) if package.exists() else (
            package.write_bytes(content)
        )
        if (load_model(package).folder / "note.txt").read_text() != text:
            raise Lost("the first package was taken")


def damaged_caches_are_rebuilt(folder: Path) -> None:
    """What lies in the cache is used only if it is what the package holds."""
    import platformdirs

    from napari_imagec_ai.library.folders import load_model

    platformdirs.user_cache_dir = lambda *a, **k: str(folder / "cache")
    tiny = _tiny(folder / "tiny")
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        for path in sorted(tiny.iterdir()):
            archive.write(path, path.name)
    weights = load_model(folder / "a.zip").folder / "weights.onnx"
    _other_bytes(weights)
    load_model(folder / "a.zip")
    if weights.read_bytes() != (tiny / "weights.onnx").read_bytes():
        raise Lost("damaged weights were taken from the cache")


def both_are_kept(folder: Path) -> None:
    """Who remembers something waits for who is doing so."""
    import platformdirs

    from napari_imagec_ai.library.folders import load_model
    from napari_imagec_ai.model import learned
    from napari_imagec_ai.system.taking_turns import turn

    platformdirs.user_data_dir = lambda *a, **k: str(folder / "data")
    model = load_model(_tiny(folder / "tiny"))
    with turn(learned._place(model)):
        other = threading.Thread(target=learned.keep, args=(model, "a", {"b": 1}))
        other.start()
        other.join(0.5)
        if not other.is_alive():
            raise Lost("it was written out of turn")
    other.join()
    if learned.recall(model, "a") != {"b": 1}:
        raise Lost("it is not kept")


# -- strangers' files ------------------------------------------------------------------


def _names_file(overlong: bool) -> bytes:
    from onnx import TensorProto, helper

    tensor = TensorProto(name="w", data_type=1, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add(key="location", value="w.bin")
    info = helper.make_tensor_value_info("x", 1, [1])
    node = helper.make_node("Add", ["x", "w"], ["y"])
    out = helper.make_tensor_value_info("y", 1, [1])
    graph = helper.make_graph([node], "g", [info], [out], [tensor])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    if not overlong:
        return bytes(model.SerializeToString())
    plain = entry.SerializeToString()  # 10 8 location 18 5 w.bin
    longer = plain.replace(b"\x0a\x08", b"\x0a\x88\x00")
    del tensor.external_data[:]
    field = b"\x6a" + bytes([len(longer)]) + longer
    content = tensor.SerializeToString() + field
    del graph.initializer[:]
    body = graph.SerializeToString() + b"\x2a" + bytes([len(content)]) + content
    model.ClearField("graph")
    return bytes(model.SerializeToString()) + b"\x3a" + bytes([len(body)]) + body


def _reads_from_here(folder: Path, overlong: bool) -> None:
    from napari_imagec_ai.engines.opening_weights import open_file

    (folder / "here").mkdir()
    (folder / "here" / "w.bin").write_bytes(np.ones(1, np.float32).tobytes())
    (folder / "a.onnx").write_bytes(_names_file(overlong))
    with _standing_in(folder / "here"):
        words = "is no file in its folder"
        _refused(words, lambda: open_file("onnx", folder / "a.onnx", isolated=False))


def files_only_from_inside(folder: Path) -> None:
    """A network that names a file elsewhere is refused before a runtime sees it."""
    _reads_from_here(folder, overlong=False)


def no_name_is_hidden(folder: Path) -> None:
    """Nor is the name of a file overlooked that is spelled in another way."""
    _reads_from_here(folder, overlong=True)


def other_weights(folder: Path) -> None:
    """Weights that are not those described do not run."""
    import napari_imagec_ai as ai
    from napari_imagec_ai.engines.opening_weights import open_engine

    _tiny(folder / "tiny")
    weights = {"onnx": {"source": "weights.onnx", "sha256": "0" * 64}}
    rdf = describe(weights=weights)
    (folder / "tiny" / "rdf.yaml").write_text(yaml.safe_dump(rdf))
    model = ai.load_model(folder / "tiny")
    words = "is not the file that the description means"
    _refused(words, lambda: open_engine(model, isolated=False))


def no_pickles(folder: Path) -> None:
    """A pickle is told from a network before anything opens it."""
    import pickle

    from napari_imagec_ai.engines.opening_weights import open_file

    (folder / "a.pt").write_bytes(pickle.dumps({"a": 1}))
    _refused("state dict or pickle", lambda: open_file("torchscript", folder / "a.pt"))


def packages_stay_inside(folder: Path) -> None:
    """A package that would write elsewhere is left alone."""
    from napari_imagec_ai.library.folders import install

    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("rdf.yaml", yaml.safe_dump(describe()))
        archive.writestr("../escaped.txt", "x")
    words = "would be written outside its folder"
    _refused(words, lambda: install(folder / "a.zip", folder / "models"))


def no_bombs(folder: Path) -> None:
    """A few bytes of YAML cannot fill the memory."""
    from napari_imagec_ai.system.safe_yaml import read_yaml

    lines = ["l0: &l0 [1, 1]"]
    lines += [f"l{n}: &l{n} [*l{n - 1}, *l{n - 1}]" for n in range(1, 17)]
    try:
        read_yaml("\n".join(lines).encode())
    except ValueError as error:
        if "more than" in str(error):
            return
        raise
    raise Lost("it was read")


def no_endless_files(folder: Path) -> None:
    """What is no file, such as a pipe, is not waited for."""
    from napari_imagec_ai.recipes.recipe import Recipe

    os.mkfifo(folder / "a.yaml")
    # Somebody who writes into it ends the wait, should there be one.
    feeder = threading.Thread(
        target=lambda: (folder / "a.yaml").write_bytes(b"version: 1\n"), daemon=True
    )
    feeder.start()
    _refused("is a pipe", lambda: Recipe.load(folder / "a.yaml"))


def shrinking_images(folder: Path) -> None:
    """An image that becomes shorter while it is read is told, and nothing dies."""
    from napari_imagec_ai.image import opening_files

    np.save(folder / "a.npy", np.ones((2000, 2000), np.uint16))
    opening_files._LARGE = 1
    image = opening_files.open_image(folder / "a.npy")
    os.truncate(folder / "a.npy", 4096)
    _refused("is too short", lambda: np.asarray(image.data[1000:1010]))


def names_cannot_speak(folder: Path) -> None:
    """A name with a line break in it does not look like a sentence of ours."""
    from napari_imagec_ai.image.opening_files import open_image

    try:
        open_image(folder / "a\nimagec-ai: all is well\u202e.tif")
    except ImagecAIError as error:
        if "\n" in str(error) or "\u202e" in str(error):
            raise Lost("the name speaks for us") from error
        return
    raise Lost("there is such an image")


# -- programs --------------------------------------------------------------------------


def _starts(folder: Path, environ: dict[str, str]) -> None:
    from napari_imagec_ai.recipes.batch.serving import READY
    from napari_imagec_ai.system import child_process

    trap = f"import pathlib\npathlib.Path({str(folder / 'was-run')!r}).touch()\n"
    here = folder / "here"
    here.mkdir()
    for name in ("queue", "random", "signal"):
        (here / f"{name}.py").write_text(trap)
    os.environ.update(environ)
    with _standing_in(here):
        child = child_process.start(
            "napari_imagec_ai.recipes.batch.serving",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        with child:
            assert child.stdin is not None
            assert child.stdout is not None
            said = child.stdout.readline()
            child.stdin.close()
    for name in environ:
        del os.environ[name]
    if (folder / "was-run").exists():
        raise Lost("a file beside the images was run")
    if said != READY:
        raise Lost("the process did not come up")


def nothing_here_is_run(folder: Path) -> None:
    """A file beside the images that has the name of one of Python's is not run."""
    _starts(folder, {})


def nothing_here_is_run_by_environment(folder: Path) -> None:
    """Nor with a PYTHONPATH that names the current folder."""
    _starts(folder, {"PYTHONPATH": f":{os.curdir}"})


def nobody_listens(folder: Path) -> None:
    """Workers wait at no port."""
    import psutil

    from napari_imagec_ai.recipes.batch.workers import Workers

    with Workers(1) as workers:
        workers.submit("a", len, [1, 2])
        results = [result for _, result in workers.completed()]
        all_of_us = [psutil.Process(), *psutil.Process().children(recursive=True)]
        open_ones = [c for one in all_of_us for c in one.net_connections()]
    if results != [2] or open_ones:
        raise Lost(f"results {results}, open: {open_ones}")


def workers_that_do_not_come(folder: Path) -> None:
    """A worker that dies as it starts ends the batch in a sentence."""
    from napari_imagec_ai.recipes.batch.workers import Workers
    from napari_imagec_ai.system import child_process

    start, child_process._START = child_process._START, "raise SystemExit('{module}')"

    def run() -> None:
        with Workers(1) as workers:
            workers.submit("a", len, [1, 2])
            list(workers.completed())

    try:
        _refused("A worker process could not be started", run)
    finally:
        child_process._START = start


def _program(folder: Path) -> Any:
    import platformdirs

    import napari_imagec_ai as ai

    platformdirs.user_data_dir = lambda *a, **k: str(folder / "data")
    return ai.load_model(_tiny(folder / "tiny", "torchscript"))


def programs_are_asked_about(folder: Path) -> None:
    """A recipe that names a program does not run it unasked."""
    from napari_imagec_ai import cli
    from napari_imagec_ai.recipes.recipe import Recipe, describe_model

    model = _program(folder)
    recipe = Recipe(model=describe_model(model)).save(folder / "recipe.yaml")
    np.save(folder / "a.npy", np.random.default_rng(0).random((40, 48), np.float32))
    words = ["run", recipe, folder / "a.npy", "-o", folder / "out"]
    unread = io.StringIO()
    with contextlib.redirect_stderr(unread), contextlib.redirect_stdout(unread):
        code = cli.main([str(word) for word in words])
    if code == 0 or (folder / "out").exists():
        raise Lost("it was run")


def changed_programs_are_asked_about(folder: Path) -> None:
    """Nor does a program run that was changed since somebody trusted it."""
    from napari_imagec_ai.library import trust

    path = _program(folder).folder / "weights.pt"
    trust.remember_file(path)
    if trust.question_of_file("torchscript", path) is not None:
        raise Lost("what was said is forgotten")
    _other_bytes(path)
    if trust.question_of_file("torchscript", path) is None:
        raise Lost("another program is trusted")


def borrowed_names(folder: Path) -> None:
    """A model that takes the place of one that comes along says so."""
    from napari_imagec_ai.library.folders import find_models

    _tiny(folder / "nuclei-unet")
    if "comes with this software" not in find_models(folder)[0].note:
        raise Lost("it does not say so")


# -- room ------------------------------------------------------------------------------


def closed_scratch(folder: Path) -> None:
    """A folder for large things that cannot be used is told in a sentence."""
    from napari_imagec_ai.system.scratch import check_room

    _refused("cannot be used", lambda: check_room(1, folder / "gone"))


def memory_for_objects(folder: Path) -> None:
    """Memory that is not enough for the objects is told in a sentence."""
    import napari_imagec_ai as ai
    from napari_imagec_ai.decoders import decoding

    model = ai.load_model(_tiny(folder / "tiny"))
    pixels = np.random.default_rng(0).random((40, 48), np.float32)
    found = ai.predict(model, ai.ImageInput(pixels, "YX"))
    decoded = decoding._decoded

    def fail(*_: Any) -> Any:
        raise RuntimeError("std::bad_alloc")

    decoding._decoded = fail
    try:
        _refused("The memory was not enough", lambda: ai.decode(found))
    finally:
        decoding._decoded = decoded


PROMISES: tuple[Promise, ...] = (
    whole_or_not_at_all,
    what_was_begun_is_taken_away,
    done_means_whole,
    packages_by_content,
    damaged_caches_are_rebuilt,
    both_are_kept,
    files_only_from_inside,
    no_name_is_hidden,
    other_weights,
    no_pickles,
    packages_stay_inside,
    no_bombs,
    no_endless_files,
    shrinking_images,
    names_cannot_speak,
    nothing_here_is_run,
    nothing_here_is_run_by_environment,
    nobody_listens,
    workers_that_do_not_come,
    programs_are_asked_about,
    changed_programs_are_asked_about,
    borrowed_names,
    closed_scratch,
    memory_for_objects,
)


def prepare(folder: Path) -> Make:
    """Each promise once, in order; chance has no part in it."""

    def make(chance: random.Random) -> Case:
        assert isinstance(chance, Chance)
        promise = PROMISES[chance.number % len(PROMISES)]
        place = folder / promise.__name__

        def run() -> None:
            place.mkdir()
            promise(place)

        return Case(promise.__name__.replace("_", " "), run)

    return make


KEPT = Fault(
    "promises, each once", prepare, len(PROMISES), quick=len(PROMISES), seconds=30
)
