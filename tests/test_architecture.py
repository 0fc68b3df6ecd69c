"""The house keeps its order: who imports whom, and what is imported when."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

PACKAGE = ROOT / "src" / "napari_imagec_ai"

ROOMS = [
    "errors",
    "system",
    "image",
    "model",
    "engines",
    "results",
    "run",
    "decoders",
    "export",
    "library",
    "recipes",
    "_napari",
    "cli",
]
"""A room may import from those before it, and from itself."""

STRANGERS = {"run", "decoders", "export"}
"""They meet in `results`, and know nothing of each other."""

HEAVY = {
    "onnxruntime": ("engines",),
    # Foreign networks are rebuilt as modules of PyTorch, and written by it.
    "torch": ("engines", "library/convert"),
    "napari": ("_napari",),
}
"""Packages, and the only rooms that may import them."""


def _room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imports(path: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


FILES = sorted(set(PACKAGE.rglob("*.py")) - {PACKAGE / "__init__.py"})


def test_every_room_has_its_floor() -> None:
    assert {_room(path) for path in FILES} == set(ROOMS)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_only_lead_downstairs(path: Path) -> None:
    floor = {room: i for i, room in enumerate(ROOMS)}
    mine = _room(path)
    for name in _imports(path):
        parts = name.split(".")
        if parts[0] != "napari_imagec_ai" or len(parts) < 2:
            continue
        other = parts[1]
        if other in floor and other != mine:
            assert floor[other] < floor[mine], f"{mine} must not import {other}"
            assert {mine, other} - STRANGERS, f"{mine} must not know {other}"


def test_no_file_imports_another_in_a_circle() -> None:
    files = {_module(path): path for path in FILES}
    left = {
        name: {other for n in _imports(path) if (other := _file_of(n, files))} - {name}
        for name, path in files.items()
    }
    while leaves := [name for name, used in left.items() if not used & left.keys()]:
        for name in leaves:
            del left[name]
    assert not left, f"import each other, or a file that does: {sorted(left)}"


def _module(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)


def _file_of(name: str, files: dict[str, Path]) -> str | None:
    """The file that an import means: lazy ones and those for type checkers, too."""
    parts = name.split(".")
    several = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next(
        (f for each in several for f in (each, f"{each}.__init__") if f in files), None
    )


def test_the_package_has_few_doors() -> None:
    doors = {path.relative_to(PACKAGE).parts[0] for path in PACKAGE.rglob("*.py")}
    assert len(doors) <= 14, sorted(doors)


FACES = [path for path in FILES if path.name == "__init__.py"]


@pytest.mark.parametrize("path", FACES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_face_is_a_paragraph_and_names(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    words, *rest = ast.parse(text).body
    assert isinstance(words, ast.Expr)
    assert ast.get_docstring(ast.parse(text))
    assert all(isinstance(node, ast.ImportFrom | ast.Assign) for node in rest)
    assert len(text.splitlines()) <= 30


@pytest.mark.parametrize("room", ROOMS)
def test_every_name_of_a_face_is_there(room: str) -> None:
    found = importlib.import_module(f"napari_imagec_ai.{room}")
    face = PACKAGE / room / "__init__.py"
    if not face.exists():
        return
    calls = [
        n for n in ast.walk(ast.parse(face.read_text())) if isinstance(n, ast.Call)
    ]
    told = [
        node.value
        for call in calls
        for node in ast.walk(call)
        if isinstance(node, ast.Constant)
    ]
    names = [name for words in told for name in words.split() if "." not in name]
    assert all(getattr(found, name) is not None for name in names)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = found.nonsense


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_heavy_packages_stay_in_their_room(path: Path) -> None:
    for name in _imports(path):
        homes = HEAVY.get(name.split(".")[0])
        place = path.relative_to(PACKAGE).parent.as_posix()
        at_home = homes is None or any(
            place == home or place.startswith(f"{home}/") for home in homes
        )
        assert at_home, f"{path.name} imports {name}"


def _loaded_after(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    return {name.split(".")[0] for name in done.stdout.split()}


def test_importing_the_package_imports_nothing_heavy() -> None:
    loaded = _loaded_after("import napari_imagec_ai")
    assert not loaded & {"torch", "onnxruntime", "napari", "qtpy", "numpy", "scipy"}


def test_listing_models_opens_no_runtime() -> None:
    loaded = _loaded_after(
        "import napari_imagec_ai as ai\n"
        f"assert ai.find_models({str(ROOT / 'models')!r})\n"
        "from napari_imagec_ai.cli import main\n"
        f"main(['models', {str(ROOT / 'models')!r}])"
    )
    assert not loaded & {"torch", "onnxruntime", "napari", "qtpy"}


def test_every_public_name_is_there() -> None:
    import napari_imagec_ai as ai

    assert all(getattr(ai, name) is not None for name in ai.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = ai.nonsense


def test_both_copies_of_the_manifest_are_the_same() -> None:
    assert (ROOT / "napari.yaml").read_bytes() == (PACKAGE / "napari.yaml").read_bytes()


def test_the_picture_of_the_house_names_every_room() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    missing = [room for room in ROOMS if room not in text]
    assert not missing
