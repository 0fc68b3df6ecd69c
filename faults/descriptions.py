"""Descriptions of models that are wrong in some way: read, and run."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from faults.fault import Case, Fault, Make
from faults.networks import describe, write_onnx
from faults.values import any_digits, spoil

ROOT = Path(__file__).resolve().parents[1]

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def corpus() -> list[bytes]:
    """The bundled models' descriptions, ours, and others where they are beside us."""
    found = sorted((ROOT / "models").glob("*/rdf.yaml"))
    found += sorted((ROOT.parent / "shared").glob("zoo_rdfs*/*/rdf.yaml"))
    made = [describe(old=old) for old in (False, True)]
    return [
        *(yaml.safe_dump(rdf, sort_keys=False).encode() for rdf in made),
        *(path.read_bytes() for path in found),
    ]


# -- text ------------------------------------------------------------------------------


def _cut(text: bytes, chance: random.Random) -> bytes:
    return text[: chance.randrange(len(text))]


def _flipped(text: bytes, chance: random.Random) -> bytes:
    changed = bytearray(text)
    for _ in range(chance.choice((1, 3, 30))):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def _line(text: bytes, chance: random.Random) -> tuple[list[bytes], int]:
    lines = text.splitlines(keepends=True)
    return lines, chance.randrange(len(lines))


def _doubled(text: bytes, chance: random.Random) -> bytes:
    lines, at = _line(text, chance)
    return b"".join([*lines[:at], lines[at], *lines[at:]])


def _dropped(text: bytes, chance: random.Random) -> bytes:
    lines, at = _line(text, chance)
    return b"".join([*lines[:at], *lines[at + 1 :]])


def _moved(text: bytes, chance: random.Random) -> bytes:
    lines, at = _line(text, chance)
    lines[at] = b" " * chance.randrange(1, 5) + lines[at]
    return b"".join(lines)


def _tagged(text: bytes, chance: random.Random) -> bytes:
    tags = (
        b"!!python/object/apply:os.system [id]",
        b"!!int nine",
        b"!!float [1]",
        b"!!timestamp 2020-99-99",
        b"!!binary '*'",
        b"!!set [a]",
        b"!!omap {a: b}",
        b"!!bool 7",
        b"!<tag:yaml.org,2002:null> x",
        b"!unknown x",
        b"2020-13-45",
        b"190:20:30",
        b"0x" + b"f" * 5000,
        b"9" * 5000,
        b"1_000__0",
        b"0b" + b"1" * 9000,
        b".nan",
        b"-.inf",
        b"=",
        b"<<",
    )
    lines, at = _line(text, chance)
    key, colon, _ = lines[at].partition(b":")
    lines[at] = key + (colon or b":") + b" " + chance.choice(tags) + b"\n"
    return b"".join(lines)


def _laughs(text: bytes, chance: random.Random) -> bytes:
    """Aliases of aliases: few bytes, endless values."""
    fan, levels = chance.choice(((2, 40), (10, 9), (100, 5), (9, 3)))
    form = chance.choice(("list", "merge", "mapping"))
    lines = ["l0: &l0 {a: 1, b: 2}"]
    for n in range(1, levels):
        before = [f"*l{n - 1}"] * fan
        if form == "list":
            lines.append(f"l{n}: &l{n} [{', '.join(before)}]")
        elif form == "merge":
            lines.append(f"l{n}: &l{n} {{<<: [{', '.join(before)}]}}")
        else:
            pairs = ", ".join(f"k{i}: {alias}" for i, alias in enumerate(before))
            lines.append(f"l{n}: &l{n} {{{pairs}}}")
    bomb = "\n".join(lines).encode() + b"\n"
    if chance.random() < 0.5:
        return bomb + text
    return text.rstrip() + b"\n" + bomb + f"inputs: *l{levels - 1}\n".encode()


def _circles(text: bytes, chance: random.Random) -> bytes:
    circles = (
        b"inputs: &a [*a]\n",
        b"config: &a {napari_imagec_ai: *a}\n",
        b"weights: &a {onnx: *a, source: *a}\n",
        b"outputs: &a [{axes: *a, id: *a}]\n",
        b"tags: &a [*a, *a]\nname: *a\n",
        b"&a a: *a\n",
        b"? &k [*k]\n: 1\n",
        b"m: &m {<<: *m, a: 1}\n",
        b"m: &m {<<: [*m, *m]}\n",
        b"x: *nowhere\n",
    )
    return text.rstrip() + b"\n" + chance.choice(circles)


def _deep(text: bytes, chance: random.Random) -> bytes:
    depth = chance.choice((90, 101, 1000, 100_000))
    opening, closing = chance.choice(((b"[", b"]"), (b"{a: ", b"}"), (b"? ", b"")))
    nested = opening * depth + b"1" + closing * depth
    return text.rstrip() + b"\nconfig: " + nested + b"\n"


def _large(text: bytes, chance: random.Random) -> bytes:
    lines = (
        b"tags: [" + b"a," * chance.choice((9_000, 900_000)) + b"a]\n",
        b"config: {" + b"".join(b"k%d: 1," % n for n in range(300_000)) + b"}\n",
        b"description: " + b"long " * 500_000 + b"\n",
        b"name: " + b"n" * 3_000_000 + b"\n",
        b"# " + b"c" * 5_000_000 + b"\n",
        b"a: b\n" * 400_000,
        b"inputs: [{axes: " + b"y" * 1_000_000 + b"}]\n",
        b"version: " + b"1:" * 100_000 + b"1\n",
        b"version: " + b"1_" * 1_000_000 + b"\n",
        b"version: 1" + b"0" * 2_000_000 + b"\n",
        b"tags: [" + b"'" * 1_000_000 + b"]\n",
        b"- " * 200_000,
        b"%TAG ! x\n" * 100_000,
        b"--- a\n" * 100_000,
    )
    return text.rstrip() + b"\n" + chance.choice(lines)


def _encoded(text: bytes, chance: random.Random) -> bytes:
    words = text.decode(errors="replace")
    code = chance.choice(("utf-16", "utf-32", "utf-8-sig", "utf-7", "cp500"))
    return words.encode(code, errors="replace")


TEXT: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _cut,
    _flipped,
    _doubled,
    _dropped,
    _moved,
    _tagged,
    _laughs,
    _circles,
    _deep,
    _large,
    _encoded,
)


# -- reading ---------------------------------------------------------------------------


def read(folder: Path) -> Make:
    """Read a description as the library, the command line and the widget do."""
    place = folder / "model"
    place.mkdir()
    write_onnx(place / "weights.onnx")
    sources = corpus()
    trees: list[Any] = [_parsed(source) for source in sources]
    look(place, sources[0])  # so that no case pays for what is imported

    def make(chance: random.Random) -> Case:
        number = chance.randrange(len(sources))
        tree = trees[number]
        if tree is None or chance.random() < 0.35:
            change = chance.choice(TEXT)
            name = change.__name__.strip("_")
            text = change(sources[number], chance)
        else:
            changed, name = spoil(tree, chance, chance.choice((1, 1, 2, 5)))
            text = dumped(changed)
        return Case(name, lambda: look(place, text))

    return make


def look(place: Path, text: bytes) -> None:
    """Read one description and all that is shown of it."""
    from napari_imagec_ai.cli import _size
    from napari_imagec_ai.decoders.registry import (
        class_threshold,
        guess_decoder,
    )
    from napari_imagec_ai.library.folders import find_models, load_model

    path = place / "rdf.yaml"
    path.write_bytes(text)
    (entry,) = find_models(place)
    model = load_model(place)
    assert entry.model is not None
    shapes = [_size(axis.size) for spec in model.inputs for axis in spec.axes]
    words = [model.name, model.kind, model.classes, model.problem, model.version]
    json.dumps([shapes, *words, [spec.letters for spec in model.outputs]])
    decoder = guess_decoder(model)
    class_threshold(model)
    if decoder is not None:
        decoder.defaults(model)


def dumped(tree: Any) -> bytes:
    """As YAML, with numbers of any length."""
    with any_digits():
        text: str = yaml.dump(tree, Dumper=_DUMPER, sort_keys=False)
    return text.encode(errors="replace")


def _parsed(source: bytes) -> Any:
    try:
        return yaml.load(source, Loader=_LOADER)
    except (yaml.YAMLError, ValueError):
        return None


# -- running ---------------------------------------------------------------------------


def run(folder: Path) -> Make:
    """Run a network of one node under a description that is wrong."""
    import napari_imagec_ai as ai

    place = folder / "model"
    place.mkdir()
    write_onnx(place / "weights.onnx")
    pixels = np.random.default_rng(0).random((40, 48), np.float32)
    image = ai.ImageInput(pixels, "YX", pixel_size=(0.5, 0.5), unit="micrometer")
    bases = [describe(old=old) for old in (False, True)]
    _run(place, dumped(bases[0]), image)  # so that no case pays for what is imported

    def make(chance: random.Random) -> Case:
        base = chance.choice(bases)
        part = chance.choice(("inputs", "outputs", "config"))
        changed, name = spoil({part: base[part]}, chance, chance.choice((1, 1, 2)))
        text = dumped(base | changed)
        return Case(name, lambda: _run(place, text, image))

    return make


def _run(place: Path, text: bytes, image: Any) -> None:
    import napari_imagec_ai as ai

    (place / "rdf.yaml").write_bytes(text)
    found = ai.decode(ai.predict(ai.load_model(place), image))
    if isinstance(found, ai.Objects):
        ai.classify(found).as_labels()


READ = Fault(
    "descriptions, read",
    read,
    count=10_000,
    quick=150,
    seconds=1.0,
    gigabytes=4,
)
RUN = Fault("descriptions, run", run, count=800, quick=60)
