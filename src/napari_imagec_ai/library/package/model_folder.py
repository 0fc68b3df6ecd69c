"""A model folder, made whole or not at all: weights, description, tests, picture."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from numpy.typing import NDArray

from napari_imagec_ai.engines.engine import Engine
from napari_imagec_ai.engines.opening_weights import open_file
from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.library.folders import load_model
from napari_imagec_ai.library.package import example
from napari_imagec_ai.library.package.description import Rdf
from napari_imagec_ai.library.package.onnx_file import opset, whole_onnx
from napari_imagec_ai.library.selftest import test_model
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.rdf import find_rdf, parse_rdf
from napari_imagec_ai.model.weights import sha256
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.system.whole_files import replace_folder

Describe = Callable[[Path, Engine], Rdf]
"""Makes the content of ``rdf.yaml``, without tests and files, of open weights."""

_README = """# {name}

{description}

- Weights: {formats}.
- Decoder: `{decoder}`; what the output means: `{kind}`.
- Classes: {classes}.
- Licence: {licence}.

## Validation

The test tensors and the cover were made by running the weights on an example image. How
good the model is on your images, they do not tell.
"""

_NAMES = {"onnx": "weights.onnx", "torchscript": "weights.pt"}


@dataclass(frozen=True, slots=True)
class Packaged:
    """A model folder that was made.

    Attributes
    ----------
    folder : Path
        Where it is.
    model : Model
        As it is read back.
    found : int or None
        Objects in the example; None where it gives no objects.
    assumed : tuple of str
        Sentences: what was not told, here and in the run of the example.
    checked : tuple of str
        Sentences: what the network was compared with, beside its own test.
    """

    folder: Path
    model: Model
    found: int | None
    assumed: tuple[str, ...]
    checked: tuple[str, ...] = ()

    def as_values(self) -> dict[str, Any]:
        """The same for other programs, without the folder."""
        return {
            "name": self.model.name,
            "kind": self.model.kind,
            "classes": list(self.model.classes),
            "weights": list(self.model.runnable),
            "objects": self.found,
            "checked": list(self.checked),
            "assumed": list(self.assumed),
        }

    def sentences(self) -> list[str]:
        """What a person should know of it."""
        model = self.model
        given = " and ".join(model.runnable)
        said = [f"Runs with {given}, and its own test passed.", *self.checked]
        if self.found is not None:
            classes = ", ".join(model.classes)
            said.append(f"{self.found} objects in the example ({classes}).")
        said += [f"assumed: {sentence}" for sentence in self.assumed]
        if not model.license:
            said.append(
                "No licence was named; write it into rdf.yaml before you share it."
            )
        return said


def make_folder(
    target: Path,
    paths: Mapping[str, Path],
    describe: Describe,
    image: ImageInput | None = None,
    *,
    replace: bool = False,
) -> Packaged:
    """Make a model folder.

    Parameters
    ----------
    target : Path
        The new folder.
    paths : mapping of str to Path
        Weights by format, ``onnx`` or ``torchscript``; the first makes the test
        tensors, the others must give the same. They are copied.
    describe : callable
        Gives the content of ``rdf.yaml``.
    image : ImageInput, optional
        An example; a bundled image by default.
    replace : bool
        Whether a model folder that is there already may be replaced.

    Raises
    ------
    ImagecAIError
        If the weights cannot be run, or the folder is there already.
    """
    check_place(target, list(paths.values()), replace)
    found: list[Packaged] = []

    def write(fresh: Path) -> None:
        found.append(_fill(fresh, paths, describe, image))

    # What lies there was looked at already.
    replace_folder(target, write, lambda _: True)
    return Packaged(target, load_model(target), found[0].found, found[0].assumed)


def check_place(folder: Path, weights: Sequence[Path], replace: bool) -> None:
    """A folder that is there is replaced only if told to, and only if it is a model."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ModelError(f"'{folder}' is a file; choose another folder.")
    inside = {path.resolve() for path in folder.iterdir()}
    if not inside:
        return
    ours = {path.resolve() for path in weights}
    if not replace:
        raise ModelError(
            f"'{folder}' is there already; choose another folder (-o), or say that it "
            "is to be replaced (--replace)."
        )
    if find_rdf(folder) is None and inside - ours:
        raise ModelError(
            f"'{folder}' is a folder of other files, which would be lost; choose "
            "another folder."
        )


def _fill(
    folder: Path,
    paths: Mapping[str, Path],
    describe: Describe,
    image: ImageInput | None,
) -> Packaged:
    """Write everything into an empty folder, and try it."""
    for framework, path in paths.items():
        _copy(framework, path, folder / _NAMES[framework])
    main = next(iter(paths))
    with _opened(main, folder / _NAMES[main]) as engine:
        rdf = describe(folder / _NAMES[main], engine)
        draft = _read(rdf | {"weights": _weights(folder, paths)}, folder)
        shown = example.fitting(draft, image)
        tensor, outputs = example.test_tensors(draft, engine, shown)
    example.save(folder / "test_input.npy", tensor)
    rdf["inputs"][0]["test_tensor"] = _file(folder, "test_input.npy")
    for number, (output, array) in enumerate(zip(rdf["outputs"], outputs, strict=True)):
        name = "test_output.npy" if len(outputs) == 1 else f"test_output{number}.npy"
        example.save(folder / name, array)
        output["test_tensor"] = _file(folder, name)
        output["data"] = {"type": str(array.dtype)}
        _allow_little(rdf, output["id"], array)
    rdf["weights"] = _weights(folder, paths)
    _write(folder, rdf)
    made = load_model(folder)
    _check(made)
    png, raw, result = example.picture(made, shown)
    (folder / "cover.png").write_bytes(png)
    count = len(result) if isinstance(result, Objects) else None
    (folder / "README.md").write_text(_readme(made, rdf), encoding="utf-8")
    rdf |= {"documentation": "README.md", "covers": ["cover.png"]}
    assumed = (*raw.assumed, *getattr(result, "assumed", ()))
    own = rdf["config"]["napari_imagec_ai"]
    # An example of somebody else tells nothing of the sizes that were trained.
    sizes = None if image is None else example.object_sizes(raw, result)
    if sizes is not None and "object_size" not in own:
        own["object_size"] = sizes
        sentence = (
            f"The example has objects about {sizes[1]:g} pixels wide, so {sizes[0]:g} "
            f"to {sizes[2]:g} pixels were taken for the sizes that the network knows "
            "(object_size in rdf.yaml)."
        )
        assumed += (sentence,)
    _write(folder, rdf)
    return Packaged(folder, made, count, tuple(dict.fromkeys(assumed)))


@contextmanager
def _opened(framework: str, path: Path) -> Iterator[Engine]:
    engine = open_file(framework, path, "cpu")
    try:
        yield engine
    finally:
        engine.close()


def _copy(framework: str, source: Path, target: Path) -> None:
    if framework == "onnx":
        whole_onnx(source, target)
    else:
        shutil.copyfile(source, target)


def _read(rdf: Rdf, folder: Path) -> Model:
    return parse_rdf(_as_text(rdf).encode(), folder / "rdf.yaml")


def _write(folder: Path, rdf: Rdf) -> None:
    (folder / "rdf.yaml").write_text(_as_text(rdf), encoding="utf-8")


def _as_text(rdf: Rdf) -> str:
    text: str = yaml.dump(rdf, Dumper=_Plain, sort_keys=False, allow_unicode=True)
    return text


class _Plain(yaml.SafeDumper):
    """Writes repeated parts out: not every reader knows aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        """None."""
        return True


def _file(folder: Path, name: str) -> dict[str, str]:
    return {"source": name, "sha256": sha256(folder / name)}


def _weights(folder: Path, paths: Mapping[str, Path]) -> Rdf:
    entries: Rdf = {}
    main = next(iter(paths))
    for framework in paths:
        entry: Rdf = dict(_file(folder, _NAMES[framework]))
        if framework == "onnx":
            entry["opset_version"] = opset(folder / _NAMES[framework])
        else:
            entry["pytorch_version"] = version("torch").partition("+")[0]
        if framework != main:
            entry["parent"] = main
        entries[framework] = entry
    return entries


def _allow_little(rdf: dict[str, Any], output: str, values: NDArray[Any]) -> None:
    """Say how near small values have to come: format 0.5 allows 1 % of the largest."""
    largest = float(values.max(initial=0)) if values.dtype.kind == "f" else 1.0
    if largest >= 0.1:  # the format's own 0.001 is less
        return
    told = rdf["config"].setdefault("bioimageio", {})
    told.setdefault("reproducibility_tolerance", []).append(
        {
            "output_ids": [output],
            "relative_tolerance": 1e-3,
            "absolute_tolerance": max(0.0, largest) / 200,
        }
    )


def _check(model: Model) -> None:
    """Every engine must give what was published."""
    if model.problems:
        raise ModelError(f"'{model.name}' cannot run. {model.problem}")
    for result in test_model(model):
        if not result.passed:
            raise ModelError(
                f"The {result.engine} weights do not give what the first file gave, or "
                f"not twice the same. {result.problem}"
            )


def _readme(model: Model, rdf: Rdf) -> str:
    own = rdf["config"]["napari_imagec_ai"]
    licence = model.license or "not named; ask the authors before you share it"
    return _README.format(
        name=model.name,
        description=model.description,
        formats=" and ".join(model.runnable),
        decoder=own["decoder"],
        kind=own["kind"],
        classes=", ".join(own["classes"]) or "none",
        licence=licence,
    )
