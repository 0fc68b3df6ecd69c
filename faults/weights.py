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
from faults.lies import lies_onnx, lies_torch
from faults.networks import (
    describe,
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


OTHERS: dict[str, tuple[Write, ...]] = {
    "onnx": (lies_onnx, lies_onnx, _foreign, _folder, _link, _swapped_onnx),
    "torchscript": (
        lies_torch,
        lies_torch,
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
    "weights, ONNX in a process of its own", prepare("onnx", "1"), count=300, quick=6
)
TORCH_HERE = Fault(
    "weights, TorchScript in this process",
    prepare("torchscript", "0"),
    count=300,
    quick=8,
)
