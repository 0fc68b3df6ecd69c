"""Weight files that are damaged, are something else, or lie."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import pickle
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from faults.fault import Case, Fault, Lost, Make, use
from faults.networks import (
    describe,
    onnx_model,
    write_onnx,
    write_test_tensors,
    write_torchscript,
)
from napari_imagec_ai.errors import ImagecAIError

MODELS = Path(__file__).resolve().parents[1] / "models"

NAMES = {"onnx": "weights.onnx", "torchscript": "weights.pt"}

Write = Callable[[Path, random.Random], Any]


class Trap:
    """What a pickle calls when it is opened; the file tells that it was."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, ("trapped", "w"))


# -- damage ----------------------------------------------------------------------------


def _cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.choice((1, 8, 64, chance.randrange(len(data))))]


def _flip(data: bytes, chance: random.Random, end: int) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 4, 64))):
        at = chance.randrange(min(end, len(changed)))
        changed[at] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _head(data: bytes, chance: random.Random) -> bytes:
    return data[:1] + _flip(data[1:], chance, 200)


def _anywhere(data: bytes, chance: random.Random) -> bytes:
    return data[:1] + _flip(data[1:], chance, len(data))


def _tail(data: bytes, chance: random.Random) -> bytes:
    return _flip(data[::-1], chance, 400)[::-1]


def _zeros(data: bytes, chance: random.Random) -> bytes:
    at, size = chance.randrange(1, len(data)), chance.randrange(1, 2000)
    return data[:at] + bytes(min(size, len(data) - at)) + data[at + size :]


def _longer(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(1, len(data))
    return data[:at] + chance.randbytes(chance.randrange(1, 300)) + data[at:]


def _word(data: bytes, chance: random.Random) -> bytes:
    """A number of all ones, where sizes and offsets may stand."""
    at = chance.randrange(1, len(data))
    return data[:at] + b"\xff" * chance.choice((1, 4, 8)) + data[at + 8 :]


DAMAGE = (_cut, _head, _anywhere, _tail, _zeros, _longer, _word)


def _repacked(data: bytes, chance: random.Random) -> bytes:
    """A TorchScript archive with one entry damaged, and its checksums right."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    name = chance.choice([name for name in entries if entries[name]])
    damage = chance.choice((_cut, _anywhere, _zeros, _longer, _word))
    entries[name] = damage(entries[name] + b"\0\0", chance)
    if chance.random() < 0.2:
        del entries[chance.choice(list(entries))]
    return _zipped(entries)


def _zipped(entries: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return stream.getvalue()


# -- other things ----------------------------------------------------------------------


def _torch_traps(path: Path, chance: random.Random) -> None:
    """Pickles that would run a program, alone or in an archive."""
    trap = pickle.dumps({"weight": Trap()})
    kinds = (
        trap,
        b"\x80\x02" + trap,
        _zipped({"archive/data.pkl": trap, "archive/version": b"3\n"}),
        _zipped({"m/constants.pkl": trap, "m/code/a.py": b"", "m/data.pkl": trap}),
        _zipped(
            {
                "m/constants.pkl": pickle.dumps((), 2),
                "m/code/__torch__.py": b"import os\nos.system('touch trapped')\n",
                "m/data.pkl": trap,
                "m/version": b"3\n",
            }
        ),
        _zipped({"readme.txt": b"no network"}),
    )
    path.write_bytes(chance.choice(kinds))


def _foreign(path: Path, chance: random.Random) -> None:
    image = io.BytesIO()
    np.save(image, np.zeros(8))
    path.write_bytes(
        chance.choice(
            (b"", b"\x08", b"\x08\x08", b"PK\x05\x06" + bytes(18), b"\0" * 99)
        )
        or chance.choice((b"", image.getvalue(), b"<html>404</html>"))
    )


def _folder(path: Path, chance: random.Random) -> None:
    path.mkdir()


def _link(path: Path, chance: random.Random) -> None:
    path.symlink_to(chance.choice(("/dev/zero", "/etc/hostname", path.name, "/", ".")))


def _swapped_onnx(path: Path, chance: random.Random) -> None:
    write_torchscript(path)


def _swapped_torch(path: Path, chance: random.Random) -> None:
    write_onnx(path)


# -- networks that lie -----------------------------------------------------------------


def _lies_onnx(path: Path, chance: random.Random) -> None:
    path.write_bytes(chance.choice(_ONNX_LIES)().SerializeToString())


def _graph(nodes: list[Any], **more: Any) -> Any:
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info
    sizes = more.pop("out", ["b", 1, "y", "x"])
    kind = more.pop("kind", TensorProto.FLOAT)
    taken = more.pop("taken", TensorProto.FLOAT)
    fed = more.pop("fed", ["b", 1, "y", "x"])
    return onnx_model(
        nodes=nodes,
        inputs=[value("in", taken, fed)],
        outputs=[value("out", kind, sizes)],
        **more,
    )


def _node(name: str, *given: str, **about: Any) -> Any:
    from onnx import helper

    return helper.make_node(name, list(given), ["out"], **about)


def _numbers(name: str, *values: int) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(np.array(values, np.int64), name)


def _external(place: str) -> Any:
    model = onnx_model()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = 1
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", place
    return model


def _other_size() -> Any:
    model = onnx_model()
    model.graph.initializer[0].dims[0] = 1 << 40
    return model


def _loops() -> Any:
    return _graph([_node("Identity", "out")])


def _huge() -> Any:
    shape = _numbers("shape", 1 << 20, 1 << 20, 1 << 10)
    return _graph([_node("ConstantOfShape", "shape")], constants=[shape], out=None)


def _reshaped(*sizes: int) -> Callable[[], Any]:
    def build() -> Any:
        shape = _numbers("shape", *sizes)
        return _graph([_node("Reshape", "in", "shape")], constants=[shape], out=None)

    return build


def _ops(number: int) -> Callable[[], Any]:
    def build() -> Any:
        from onnx import helper

        return onnx_model(opsets=[helper.make_opsetid("", number)])

    return build


_ONNX_LIES: tuple[Callable[[], Any], ...] = (
    lambda: _external("data.bin"),
    lambda: _external("/etc/passwd"),
    lambda: _external("../../../../../../etc/passwd"),
    lambda: _external("weights.onnx"),
    lambda: _graph([_node("Nonsense", "in", domain="of.nobody")]),
    lambda: _graph([_node("NoSuchNode", "in")]),
    lambda: _graph([_node("Identity", "nowhere")]),
    lambda: _graph([_node("Identity", "in")], out=[1, 7, 5]),
    lambda: _graph([_node("Identity", "in")], out=["b", 3, "y", "x"]),
    lambda: _graph([_node("Identity", "in")], fed=[1, 1, 7, 7]),
    lambda: _graph([_node("Identity", "in")], fed=["b", 3, "y", "x"]),
    lambda: _graph([_node("Identity", "in")], fed=[]),
    lambda: _graph([_node("Identity", "in")], fed=[0, -1, 0, 0]),
    lambda: _graph([_node("Identity", "in")], kind=8),
    lambda: _graph([_node("Identity", "in")], kind=8, taken=8),
    lambda: _graph([_node("Identity", "in")], kind=14, taken=14),
    lambda: _graph([_node("Identity", "in")], kind=10, taken=10),
    lambda: _graph([_node("Cast", "in", to=9)], kind=9),
    lambda: _graph([_node("Cast", "in", to=8)], kind=8),
    lambda: _graph([_node("Cast", "in", to=11)], kind=11),
    lambda: _graph([_node("SequenceConstruct", "in")], out=None),
    lambda: _graph([_node("ReduceMax", "in", keepdims=0)], out=None),
    lambda: _graph([_node("Log", "in")]),
    lambda: _graph([_node("Shape", "in")], out=None, kind=7),
    lambda: _graph([_node("NonZero", "in")], out=None, kind=7),
    lambda: onnx_model(inputs=[]),
    lambda: onnx_model(outputs=[]),
    lambda: onnx_model(nodes=[]),
    _loops,
    _huge,
    _other_size,
    _reshaped(-1),
    _reshaped(0, 0, -1),
    _reshaped(1, 1, 3, 7),
    _reshaped(-5, 3),
    _ops(0),
    _ops(9999),
    _ops(1),
)

_TORCH_LIES = (
    "return x[:, :, :0]",
    "return x[0, 0, 0, 0]",
    "return x.sum()",
    "return None",
    "return 'words'",
    "return 3.5",
    "return (x, 'words', None)",
    "return [[x], [x, x]]",
    "return torch.jit.annotate(List[Tensor], [])",
    "return x.to(torch.complex64)",
    "return x.to_sparse()",
    "return x.to(torch.bfloat16)",
    "return x.to(torch.float16)",
    "return torch.quantize_per_tensor(x, 0.1, 0, torch.quint8)",
    "return x / 0",
    "return x.view(7, 7, 7)",
    "return torch.zeros([1 << 40, 4])",
    "return torch.empty([1 << 20, 1 << 20, 1 << 20])",
    "return torch.cat([x, x, x], 1)",
    "return x.expand(1, 1, 1, x.size(2), x.size(3))",
    "return x.permute(0, 1, 3, 2)[:, :, 1:]",
    "raise Exception('said the network')\n    return x",
    "assert x.size(0) == 7\n    return x",
    "return torch.nn.functional.interpolate(x, scale_factor=float(0.01))",
    "return x[[100000]]",
    "return torch.as_strided(x, [4, 4], [1 << 40, 1 << 40])",
    "return x.to('cuda')",
    "return x.to('meta')",
)


def _lies_torch(path: Path, chance: random.Random) -> None:
    body = chance.choice(_TORCH_LIES)
    source = f"def forward(self, x):\n    {body}\n"
    try:
        write_torchscript(path, source)
    except RuntimeError:  # this version of PyTorch does not even compile it
        write_torchscript(path, "def forward(self, x):\n    return x.view(7, 7, 7)\n")


OTHERS: dict[str, tuple[Write, ...]] = {
    "onnx": (_lies_onnx, _lies_onnx, _foreign, _folder, _link, _swapped_onnx),
    "torchscript": (
        _lies_torch,
        _lies_torch,
        _torch_traps,
        _foreign,
        _folder,
        _link,
        _swapped_torch,
    ),
}


# -- cases -----------------------------------------------------------------------------


def prepare(framework: str, isolated: str = "") -> Callable[[Path], Make]:
    """Cases for one weights format, in a process of its own (1) or not (0)."""

    def ready(folder: Path) -> Make:
        if isolated:
            os.environ["IMAGEC_AI_ISOLATED"] = isolated
        os.chdir(folder)
        tiny = folder / NAMES[framework]
        write_onnx(tiny) if framework == "onnx" else write_torchscript(tiny)
        sources = [tiny.read_bytes(), (MODELS / "nuclei-unet" / tiny.name).read_bytes()]
        place = folder / "model"

        def make(chance: random.Random) -> Case:
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            write_test_tensors(place)
            file = place / NAMES[framework]
            if chance.random() < 0.3:
                write = chance.choice(OTHERS[framework])
                name = write.__name__
                write(file, chance)
            else:
                name = _damaged(file, framework, sources, chance)
            hashed = chance.random() < 0.1
            _describe(place, framework, sources[0] if hashed else None)
            name = f"{framework}, {name.strip('_')}{', sha256' if hashed else ''}"
            return Case(name, lambda: _try(place, framework))

        return make

    return ready


def _damaged(
    file: Path, framework: str, sources: list[bytes], chance: random.Random
) -> str:
    source = sources[chance.random() < 0.2]
    damage = chance.choice(DAMAGE)
    if framework == "torchscript" and chance.random() < 0.6:
        damage = _repacked
    file.write_bytes(damage(source, chance))
    return damage.__name__


def _describe(place: Path, framework: str, meant: bytes | None) -> None:
    entry: dict[str, Any] = {"source": NAMES[framework]}
    if meant is not None:
        entry["sha256"] = hashlib.sha256(meant).hexdigest()
    rdf = describe(weights={framework: entry})
    (place / "rdf.yaml").write_text(yaml.safe_dump(rdf, sort_keys=False))


def _try(place: Path, framework: str) -> None:
    """Load, test and run, with the description and without."""
    import napari_imagec_ai as ai

    pixels = np.random.default_rng(0).random((40, 48), np.float32)
    image = ai.ImageInput(pixels, "YX", pixel_size=(0.5, 0.5), unit="micrometer")

    model = ai.load_model(place)
    with contextlib.suppress(ImagecAIError):
        ai.load_model(place / NAMES[framework])  # bare
    with contextlib.suppress(ImagecAIError):
        for result in ai.test_model(model):
            if not result.passed and not result.problem:
                raise Lost(f"a test that failed without a word: {result}")
    try:
        use(ai.predict(model, image, engine=framework))
    finally:
        if Path("trapped").exists():
            Path("trapped").unlink()
            raise Lost("a pickle was run")


ONNX = Fault("weights, ONNX", prepare("onnx"), count=1000, quick=30)
TORCH = Fault("weights, TorchScript", prepare("torchscript"), count=500, quick=24)
ONNX_APART = Fault(
    "weights, ONNX in a process of its own", prepare("onnx", "1"), count=300, quick=0
)
TORCH_HERE = Fault(
    "weights, TorchScript in this process",
    prepare("torchscript", "0"),
    count=300,
    quick=0,
)
