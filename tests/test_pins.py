"""The pinned set has all that the project names, and no build for graphics cards."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PYTHONS = [
    found[1]
    for line in PROJECT["project"]["classifiers"]
    if (found := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", line))
]


def wanted() -> list[Requirement]:
    extras = PROJECT["project"]["optional-dependencies"]
    listed = [*PROJECT["project"]["dependencies"], *extras["test"], *extras["docs"]]
    found = [Requirement(line) for line in listed]
    return [one for one in found if canonicalize_name(one.name) != "torch"]


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("system", ["linux", "win32", "darwin"])
def test_every_dependency_is_pinned_in_a_version_that_fits(
    python: str, system: str
) -> None:
    lines = (ROOT / f"requirements/py{python.replace('.', '')}.txt").read_text()
    world = {
        "python_version": python,
        "python_full_version": f"{python}.7",
        "sys_platform": system,
        "implementation_name": "cpython",
    }
    pins: dict[str, str] = {}
    for line in lines.splitlines():
        if line.startswith("#"):
            continue
        pin = Requirement(line)
        if pin.marker is None or pin.marker.evaluate(world):
            name = canonicalize_name(pin.name)
            assert name not in pins, f"{name} is pinned twice"
            (each,) = pin.specifier
            assert each.operator == "=="
            pins[name] = each.version
    for one in wanted():
        name = canonicalize_name(one.name)
        assert name in pins, f"run 'make lock': {name} is not pinned"
        assert one.specifier.contains(pins[name], prereleases=True), name
    large = [n for n in pins if n == "torch" or n.startswith(("nvidia-", "cuda-"))]
    assert not large
