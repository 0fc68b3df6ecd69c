"""Count which models of the BioImage Model Zoo end in a folder that runs.

The zoo's descriptions have no weights here, so each gets random ones: in the real
architecture, where a package on PyPI has it, in a small network of the same tensors
where none has. What runs as it is, is run; what does not, is converted first::

    pip install --target PACKAGES --no-deps biapy==3.6.8 careamics keras ...
    PYTHONPATH=PACKAGES python tools/zoo_count.py RDFS --write docs/models.md

``IMAGEC_AI_PYTHON`` names a Python with TensorFlow and tf2onnx, for SavedModels.
RDFS is a folder of ``NAME/rdf.yaml``. Nothing is fetched. What was counted is kept in
``RDFS_DONE.json`` (``--kept``), so that a broken count goes on where it was.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]

import zoo_networks  # noqa: E402
from stand_ins import build, scene  # noqa: E402

import napari_imagec_ai as ai  # noqa: E402
from napari_imagec_ai.model.description import RUNNABLE, FixedSize  # noqa: E402
from napari_imagec_ai.model.rdf import read_rdf  # noqa: E402
from napari_imagec_ai.model.steps import steps  # noqa: E402
from napari_imagec_ai.model.weights import sha256  # noqa: E402
from napari_imagec_ai.run.published_tests import prepared  # noqa: E402

BEGIN, END = "<!-- zoo: begin -->", "<!-- zoo: end -->"

PROGRAMS = {
    "PredictorAdaptor": "segments what is clicked at (micro-sam): no decoder",
    "CellposeSAMWrapper": "Cellpose-SAM: 300 million weights, run in Cellpose itself",
    "Empanada2DInference": "a whole program that gives labels, not a network",
    "MobileSAMEncoder": "features for another program: no decoder",
}
"""Callables that are no networks, and why."""

Outcome = tuple[bool, str]
"""Whether it runs, and how or why not."""


def count(rdf: Path, place: Path) -> Outcome:
    """Give one description weights, convert it if need be, and run it."""
    model = read_rdf(rdf)
    if set(RUNNABLE) & set(model.weights):
        formats = [name for name in RUNNABLE if name in model.weights]
        made = ai.load_model(build(rdf, place / "model", formats))
        shown = scene(made)
        ai.predict(made, shown.image, tile=shown.tile)
        return True, "as it is"
    described = yaml.safe_load(rdf.read_bytes())
    weights = described["weights"]
    if weights.get("pytorch_state_dict"):
        return _state_dict(described, place)
    for name in ("keras_v3", "keras_hdf5"):
        if weights.get(name):
            return _keras(described, name, place)
    return _saved_model(described, place)


def _state_dict(described: dict[str, Any], place: Path) -> Outcome:
    entry = described["weights"]["pytorch_state_dict"]
    callable_, kwargs = zoo_networks.named(entry)
    if callable_ in PROGRAMS:
        return False, PROGRAMS[callable_]
    source = place / "source"
    source.mkdir()
    if callable_ == "CellPoseWrapper":
        return _cellpose(described, source, place)
    code, real = zoo_networks.code_of(callable_, entry, described)
    torch.manual_seed(0)
    if code is None:
        told = {
            "import_from": entry["architecture"]["import_from"],
            "callable": callable_,
        }
        factory = getattr(importlib.import_module(told["import_from"]), callable_)
    else:
        (source / "net.py").write_text(code, encoding="utf-8")
        told = {"source": "net.py", "callable": callable_}
        factory = getattr(_module(source / "net.py"), callable_)
    fitting = zoo_networks.fitting(factory, kwargs)
    network = factory(**fitting).eval()
    torch.save(network.state_dict(), source / "weights.pt")
    new = {
        "source": "weights.pt",
        "sha256": sha256(source / "weights.pt"),
        "pytorch_version": torch.__version__.partition("+")[0],
        "architecture": told | {"kwargs": fitting},
    }
    if code is not None:
        new["architecture"]["sha256"] = sha256(source / "net.py")
    if described["format_version"].startswith("0.4"):
        word = (
            f"{told['import_from']}.{callable_}"
            if code is None
            else "net.py:" + (callable_)
        )
        new |= {"architecture": word, "kwargs": fitting}
        if code is not None:
            new["architecture_sha256"] = sha256(source / "net.py")
    _write(described, source, {"pytorch_state_dict": new}, network)
    return _converted(source, place, f"converted: {real}")


def _cellpose(described: dict[str, Any], source: Path, place: Path) -> Outcome:
    """Its code is all of Cellpose; the file beside it one of Cellpose's networks."""
    from cellpose.resnet_torch import CPnet

    torch.manual_seed(0)
    network = CPnet([2, 32, 64, 128, 256], 3, sz=3)
    torch.save(network.state_dict(), source / "weights.pt")
    entry = dict(described["weights"]["pytorch_state_dict"], source="weights.pt")
    entry["sha256"] = sha256(source / "weights.pt")
    described = dict(described, weights={"pytorch_state_dict": entry})
    text = yaml.safe_dump(described, sort_keys=False, allow_unicode=True)
    (source / "rdf.yaml").write_text(text, encoding="utf-8")
    return _converted(source, place, "converted: the real network of Cellpose")


def _keras(described: dict[str, Any], name: str, place: Path) -> Outcome:
    source = place / "source"
    source.mkdir()
    file = "weights.keras" if name == "keras_v3" else "weights.h5"
    network = zoo_networks.keras_network(described, source / file)
    entry = {"source": file, "sha256": sha256(source / file)}
    _write(described, source, {name: entry}, network)
    return _converted(source, place, "converted: Keras, a small network of its tensors")


def _saved_model(described: dict[str, Any], place: Path) -> Outcome:
    python = os.environ.get("IMAGEC_AI_PYTHON")
    if not python:
        return False, "a SavedModel: exact commands are said, TensorFlow runs them"
    source = place / "source"
    source.mkdir()
    network = zoo_networks.saved_network(described, source / "model.zip", python)
    entry = {"source": "model.zip", "sha256": sha256(source / "model.zip")}
    _write(described, source, {"tensorflow_saved_model_bundle": entry}, network)
    return _converted(
        source, place, "converted: TensorFlow, a small SavedModel of its tensors"
    )


def _converted(source: Path, place: Path, how: str) -> Outcome:
    made = ai.convert_model(source, place / "made", trust_code=True)
    if any("NOT TESTED" in sentence for sentence in made.checked):
        return False, "the published tensors are not reproduced"
    spec = made.model.inputs[0]
    sizes = [_size(axis) for axis in spec.axes if axis.name in spec.space]
    random = np.random.default_rng(1)
    channels = spec.channels or 1
    shape = ((channels,) if channels > 1 else ()) + tuple(sizes)
    letters = ("C" if channels > 1 else "") + "".join(spec.space).upper()
    values = random.random(shape).astype(np.float32)
    ai.predict(made.model, ai.ImageInput(values, letters))
    return True, how


def _write(
    described: dict[str, Any], folder: Path, weights: Mapping[str, Any], network: Any
) -> None:
    """The description with these weights, and test tensors that they give."""
    described = {k: v for k, v in described.items() if k not in ("covers", "icon")}
    described["weights"] = dict(weights)
    for key in ("documentation", "attachments", "sample_inputs", "sample_outputs"):
        described.pop(key, None)
    for side in ("inputs", "outputs"):
        names = [f"{side}{n}.npy" for n in range(len(described[side]))]
        if described["format_version"].startswith("0.4"):
            described[f"test_{side}"] = names
        else:
            for tensor, name in zip(described[side], names, strict=True):
                tensor.pop("sample_tensor", None)
                tensor["test_tensor"] = {"source": name}
    text = yaml.safe_dump(described, sort_keys=False, allow_unicode=True)
    (folder / "rdf.yaml").write_text(text, encoding="utf-8")
    model = read_rdf(folder / "rdf.yaml")
    random = np.random.default_rng(0)
    given = []
    for number, spec in enumerate(model.inputs):
        shape = tuple(_size(axis) for axis in spec.axes)
        values = random.random(shape)
        whole = described["inputs"][number].get("data_type") == "uint8"
        given.append(
            (values * 255).astype(np.uint8) if whole else values.astype(np.float32)
        )
        np.save(folder / f"inputs{number}.npy", given[-1])
    references = dict(zip((spec.id for spec in model.inputs), given, strict=True))
    found = _run(network, prepared(model, given))
    for number, (spec, array) in enumerate(zip(model.outputs, found, strict=False)):
        post = steps.make_transform(spec.steps, array, spec.letters, references)
        np.save(folder / f"outputs{number}.npy", post(array))


def _run(network: Any, inputs: list[NDArray[Any]]) -> list[NDArray[Any]]:
    if not isinstance(network, torch.nn.Module):
        found = network(*inputs)
        return found if isinstance(found, list) else [np.asarray(found)]
    with torch.no_grad():
        found = network(*(torch.from_numpy(array) for array in inputs))
    if isinstance(found, torch.Tensor):
        found = [found]
    return [each.numpy() for each in found]


def _size(axis: Any) -> int:
    if axis.name == "b":
        return 1
    if isinstance(axis.size, FixedSize):
        return int(axis.size.size)
    least, step = getattr(axis.size, "min", 64), getattr(axis.size, "step", 0)
    wanted = 16 if axis.name == "z" else 128
    return int(least + max(0, -(-(wanted - least) // step)) * step) if step else wanted


def _module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(
        f"net_{path.parent.parent.name}", path
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_WORDS = ("test_tensor", "sample_tensor", "description", "id", "name", "unit", "scale")
"""What a tensor or an axis says that is not asked for where networks are twins."""


def _twins(rdf: Path) -> str:
    """The same for two descriptions of one network on the same tensors."""

    def bare(value: Any) -> Any:
        if isinstance(value, Mapping):
            kept = {k: v for k, v in value.items() if k not in _WORDS}
            if value.get("type") == "space":  # of an axis, the id is what it is
                kept["id"] = value.get("id")
            return {k: bare(v) for k, v in kept.items()}
        return [bare(each) for each in value] if isinstance(value, list) else value

    described = yaml.safe_load(rdf.read_bytes())
    entry = described["weights"].get("pytorch_state_dict")
    if not entry:
        return rdf.parent.name
    tensors = [bare(described[side]) for side in ("inputs", "outputs")]
    told = [described["format_version"][:3], zoo_networks.named(entry), tensors]
    return json.dumps(told, sort_keys=True, default=str)


def _work(rdf: Path) -> tuple[float, str]:
    """Small ones first."""
    sizes = [_size(axis) for axis in read_rdf(rdf).inputs[0].axes]
    return float(np.prod(sizes)), rdf.parent.name


def table(done: Mapping[str, Outcome]) -> str:
    """The table as Markdown."""
    counted = Counter((runs, how) for runs, how in done.values())
    order = sorted(counted.items(), key=lambda item: (not item[0][0], -item[1]))
    lines = ["| ends in a folder that runs | how, or why not | models |", "|-|-|--:|"]
    for (runs, how), number in order:
        lines.append(f"| {'yes' if runs else 'no'} | {how} | {number} |")
    running = sum(runs for runs, _ in done.values())
    lines.append(f"| **{running} of {len(done)}** | | |")
    return "\n".join(lines)


def main() -> int:
    """Count, print, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rdfs", type=Path)
    parser.add_argument("--only", nargs="*", default=())
    parser.add_argument("--kept", type=Path)
    parser.add_argument("--write", type=Path)
    told = parser.parse_args()
    kept = told.kept
    done: dict[str, Outcome] = {}
    if kept and kept.is_file():
        done = {k: (v[0], v[1]) for k, v in json.loads(kept.read_text()).items()}
    rdfs = sorted(told.rdfs.glob("*/rdf.yaml"), key=_work)
    known = {_twins(rdf): rdf.parent.name for rdf in rdfs if rdf.parent.name in done}
    for rdf in rdfs:
        name = rdf.parent.name
        if name in done or (told.only and name not in told.only):
            continue
        twin = known.setdefault(_twins(rdf), name)
        start = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="zoo_") as place:
            try:
                # One network on the same tensors, with other weights, is counted once.
                done[name] = done.get(twin) or count(rdf, Path(place))
            except Exception as error:  # noqa: BLE001  (of any package: told by its first line)
                first = (str(error).splitlines() or [""])[0]
                done[name] = (False, f"{type(error).__name__}: {first}"[:300])
        seconds = time.monotonic() - start
        sys.stderr.write(f"{seconds:6.1f} s  {name}: {done[name]}\n")
        if kept:
            kept.write_text(json.dumps(done, indent=1))
    sys.stdout.write(f"{table(done)}\n")
    if told.write:
        text = told.write.read_text(encoding="utf-8")
        before, _, rest = text.partition(BEGIN)
        after = rest.partition(END)[2]
        text = f"{before}{BEGIN}\n{table(done)}\n{END}{after}"
        told.write.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
