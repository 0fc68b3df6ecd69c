"""The pages for developers are true: their code runs, as a package of somebody else."""

from __future__ import annotations

import importlib.util
import re
import shutil
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from conftest import ROOT

from napari_imagec_ai.cli import main

DOCS = ROOT / "docs"


def blocks(page: str) -> dict[str, str]:
    """Code of a page by the title of its block."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = re.findall(r'```\w+ title="([^"]+)"\n(.*?)```', text, re.DOTALL)
    assert found
    return dict(found)


def install(
    code: dict[str, str], place: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """What pip would make of the package: its module, and its entry points."""
    project = tomllib.loads(code["pyproject.toml"])["project"]
    info = place / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\n")
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {at}" for name, at in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines))
    for name, text in code.items():
        if name.endswith(".py"):
            (place / name).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(place)
    return project


def test_the_page_on_decoders_is_a_package_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = blocks("add-a-decoder.md")
    install(code, tmp_path / "site", monkeypatch)
    shutil.copy(ROOT / "src" / "napari_imagec_ai" / "data" / "nuclei.tif", tmp_path)
    monkeypatch.chdir(tmp_path)
    there: dict[str, Any] = {}
    exec(compile(code["use it"], "add-a-decoder.md", "exec"), there)
    assert 100 < len(there["found"]) < 180
    assert (tmp_path / "spots.csv").read_text().startswith("id,class")
    command = ["predict", "nuclei-unet", "nuclei.tif", "-o", "out", "--decoder"]
    assert main([*command, "spots", "--set", "radius=4"]) == 0


def test_the_page_on_engines_is_a_package_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = blocks("add-an-engine.md")
    install(code, tmp_path / "site", monkeypatch)
    (tmp_path / "smoother").mkdir()
    (tmp_path / "smoother" / "rdf.yaml").write_text(code["rdf.yaml"])
    monkeypatch.chdir(tmp_path)
    exec(compile(code["use it"], "add-an-engine.md", "exec"), {})
    assert capsys.readouterr().out == "numpy_kernel 1\n"


def pages() -> list[Path]:
    return sorted(DOCS.rglob("*.md"))


@pytest.mark.parametrize("page", pages(), ids=lambda p: str(p.relative_to(DOCS)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        assert "://" in link or (page.parent / link).exists(), link


def test_every_command_of_the_pages_is_known() -> None:
    from napari_imagec_ai.recipes.flags import parser

    lines = [
        line.strip().split("  #")[0]
        for page in pages()
        for line in page.read_text("utf-8").replace("\\\n", "").splitlines()
        if line.strip().startswith("imagec-ai ") and line.startswith("    ")
    ]
    assert len(lines) > 10
    for line in lines:
        words = [word.strip("'") for word in line.split()[1:]]
        assert parser().parse_args(words).name == words[0], line


def test_names_in_docstrings_are_shown_as_names() -> None:
    place = ROOT / "tools" / "docs_hooks.py"
    spec = importlib.util.spec_from_file_location("docs_hooks", place)
    assert spec is not None
    assert spec.loader is not None
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    page = SimpleNamespace(markdown="", file=SimpleNamespace(src_path="a.md"))
    html = (
        "<p>See :func:<code>napari_imagec_ai.predict</code>, :meth:<code>save</code> "
        "and :class:<code>~napari_imagec_ai.run.settings.RunSettings</code>.</p>"
    )
    assert hooks.on_page_content(html, page) == (
        "<p>See <code>ai.predict</code>, <code>save</code> and "
        "<code>RunSettings</code>.</p>"
    )


def test_every_page_has_its_place_in_the_site() -> None:
    class Loader(yaml.SafeLoader):
        pass

    site = yaml.load((ROOT / "mkdocs.yml").read_text(), Loader=Loader)

    def leaves(part: Any) -> list[str]:
        if isinstance(part, str):
            return [part]
        inner = part.values() if isinstance(part, dict) else part
        return [leaf for each in inner for leaf in leaves(each)]

    assert set(leaves(site["nav"])) == {str(p.relative_to(DOCS)) for p in pages()}
