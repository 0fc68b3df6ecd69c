"""Every command and every piece of Python on the pages runs as it stands there.

Blocks of a page run in order, in one folder, as a reader would type them. What cannot
run in a test is listed here with the reason; anything else that is not run fails.
"""

from __future__ import annotations

import re
import shlex
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from conftest import ROOT

import napari_imagec_ai as ai
from napari_imagec_ai.cli import main
from napari_imagec_ai.image.samples import write_samples

PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "howto").glob("*.md")),
]

NOT_RUN = {
    "make": "it installs and tests this very checkout",
    "python -m venv": "it installs packages",
    ".venv/bin/pip": "it installs packages",
    "pip": "it installs packages",
    ".venv/bin/napari": "it opens a window until it is closed",
    ".venv/bin/imagec-ai demo": "the demo has a test of its own, in a window",
    "yolo export": "it takes the package ultralytics",
    "python export.py": "it takes a checkout of YOLOv5",
    "dask": "it starts a cluster on other machines",
    "imagec-ai zoo": "it asks the zoo",
    "imagec-ai install affable-shark": "it fetches from the zoo",
    "imagec-ai predict affable-shark": "it needs what was fetched from the zoo",
    "imagec-ai convert downloaded-model.zip": "it asks about a stranger's code",
    "imagec-ai convert my-unet.keras": "it takes Keras, which is an extra",
    "imagec-ai convert saved_model": "it takes TensorFlow, in a Python of the reader's",
    "imagec-ai convert best.pt": "it takes the package ultralytics",
    "imagec-ai package rcnn.onnx": "a Mask R-CNN has 170 MB",
    "python -m benchmarks": "it takes folders of other people's images",
    "python -m faults": "it has tests of its own",
    "read.csv": "it is R",
    "pd.read_csv": "it is a part of a line",
    "imagec-ai test my-model": "it tests a model of the reader's",
    "imagec-ai predict my-model": "it runs a model of the reader's",
}
"""Beginnings of lines that are not run here, and why."""

DEVELOPERS = {
    "add-a-decoder.md", "add-an-engine.md", "architecture.md", "faults.md",
    "changelog.md",
}  # fmt: skip
"""Pages whose code has a test of its own, or that have none to type."""


@dataclass
class Block:
    """What a page asks to be typed."""

    kind: str
    text: str

    @property
    def lines(self) -> list[str]:
        """Lines to type, without what is said beside them."""
        whole = self.text.replace("\\\n", " ")
        typed = [re.sub(r"\s{2,}#.*", "", line).strip() for line in whole.splitlines()]
        return [line for line in typed if line]


def blocks(page: Path) -> Iterator[Block]:
    """Fenced blocks of Python and commands, and indented ones of commands."""
    inside, kind, kept = False, "", []
    before = ""
    for line in [*page.read_text(encoding="utf-8").splitlines(), ""]:
        if (fence := re.match(r"^```(\w*)", line)) is not None:
            if inside:
                yield Block(kind, "\n".join(kept))
            inside, kind, kept = not inside, fence.group(1) or "sh", []
        elif inside:
            kept.append(line)
        elif (
            (re.match(r"^ {4}\S", line) and (kept or not before.strip()))
            or re.match(r"^ {8}\S", line)  # inside a list
            or (kept and kept[-1].endswith("\\"))
        ):
            kept.append(line.strip())
        elif kept:
            yield Block("sh", "\n".join(kept))
            kept = []
        before = line


def is_typed(line: str) -> bool:
    """Whether a line is a command, and not words or a drawing."""
    first = line.split(" ")[0]
    starts = {"imagec-ai", "python", "python3", "pip", "make", "git", "dask", "yolo"}
    return first in starts or first.startswith((".venv/", "pd.", "read.csv"))


def why_not(line: str) -> str:
    """Why a line is not run here; empty: it is."""
    if "--scheduler" in line:
        return "it needs a cluster"
    fits = [begin for begin in NOT_RUN if line.startswith(begin)]
    return NOT_RUN[max(fits, key=len)] if fits else ""


def archive(path: Path, case: str) -> None:
    """Put the files of a case of another software's into a folder."""
    path.mkdir(parents=True)
    with np.load(ROOT / "tests" / "data" / "convert_stardist.npz") as cases:
        for name in ("config.json", "weights_best.h5"):
            (path / name).write_bytes(cases[f"{case}/{name}"].tobytes())


@pytest.fixture(scope="module")
def trained() -> Any:
    """A network of the reader's."""
    import torch

    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3, padding=1), torch.nn.Sigmoid())


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a reader, with the samples and files that pages speak of."""
    monkeypatch.chdir(tmp_path)
    write_samples(tmp_path)
    (tmp_path / "src").symlink_to(ROOT / "src")
    pixels = tifffile.imread("image.tif")
    zarr.save_array("slide.zarr", pixels)
    scenes = np.stack([pixels[:256, :256], pixels[256:, 256:]])
    with tifffile.TiffWriter("dish.ome.tif") as file:
        for number, plane in enumerate(scenes, start=1):
            file.write(plane, metadata={"axes": "YX", "Name": f"Pos{number}"})
    tifffile.imwrite("example.tif", pixels[:256, :256])
    for name, folder in (("best", "cells-yolov5seg"), ("unet", "nuclei-unet")):
        weights = ROOT / "models" / folder / "weights.onnx"
        Path(f"{name}.onnx").write_bytes(weights.read_bytes())
    scripted = ROOT / "models" / "nuclei-unet" / "weights.pt"
    Path("unet.pt").write_bytes(scripted.read_bytes())
    for name in ("model.zip", "package.zip"):
        with zipfile.ZipFile(name, "w") as package:
            for part in (ROOT / "models" / "nuclei-unet").iterdir():
                package.write(part, part.name)
    archive(tmp_path / "my-stardist-folder", "plain")
    archive(tmp_path / "models" / "my-stardist", "plain")
    with np.load(ROOT / "tests" / "data" / "convert_cellpose.npz") as cases:
        name = next(name for name in sorted(cases.files) if name.endswith("/file"))
        Path("my_cyto_model").write_bytes(cases[name].tobytes())
    return tmp_path


def things(names: str) -> dict[str, Any]:
    """Values that a piece of Python takes as given."""
    given: dict[str, Any] = {"ai": ai}
    if re.search(r"\b(image|raw|objects|labels_layer)\b", names):
        image = ai.open_image("plate/a1.tif")
        raw = ai.predict(ai.load_model("nuclei-unet"), image)
        objects = ai.decode(raw)
        layer = type("Layer", (), {"data": objects.as_labels()})()
        given |= {"image": image, "raw": raw, "objects": objects, "labels_layer": layer}
    if "follow" in names or "ai.link" in names:
        given["raw"] = ai.predict(
            ai.load_model("nuclei-unet"), ai.open_image("film.tif")
        )
    return given


NEEDED: dict[str, Callable[[Path], None]] = {}
"""What a page takes as made before, by its name."""


def make_recipe(_: Path) -> None:
    """The recipe that pages call nuclei.recipe.yaml."""
    assert main(["predict", "nuclei-unet", "plate/a1.tif", "-o", "first"]) == 0
    Path("nuclei.recipe.yaml").write_bytes(Path("first/a1.recipe.yaml").read_bytes())


def make_prediction(_: Path) -> None:
    words = ["predict", "nuclei-unet", "image.tif", "-o", "out", "--save-prediction"]
    assert main(words) == 0


NEEDED["batch.md"] = make_recipe
NEEDED["models.md"] = make_prediction


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_says_runs(page: Path, reader: Path, trained: Any) -> None:
    if page.name in DEVELOPERS:
        pytest.skip("its code is run by a test of its own, see test_docs.py")
    NEEDED.get(page.name, lambda _: None)(reader)
    kept: dict[str, Any] = {}
    for block in blocks(page):
        if block.kind == "python":
            if "Tables(network)" in block.text:
                continue  # a Mask R-CNN of 170 MB; test_rcnn_scripted.py has its like
            values = things(block.text) | {"network": trained} | kept
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # PyTorch's, of its older exporter
                exec(compile(block.text, page.name, "exec"), values)
            kept = {n: v for n, v in values.items() if n in ("image", "raw", "objects")}
            continue
        if block.kind not in ("sh", "bash"):
            continue
        for line in filter(is_typed, block.lines):
            if why_not(line):
                continue
            words = shlex.split(line)
            assert words[0].endswith("imagec-ai"), f"{line}: not run, and no reason"
            assert main(words[1:]) == 0, line
    assert all(entry.problem is None for entry in ai.find_models("models"))


def test_every_reason_for_not_running_is_needed() -> None:
    lines = [
        line
        for page in PAGES
        for block in blocks(page)
        if block.kind != "python"
        for line in block.lines
    ]
    unused = [b for b in NOT_RUN if not any(line.startswith(b) for line in lines)]
    assert not unused


def test_samples_are_written_once(tmp_path: Path) -> None:
    assert main(["samples", "-o", str(tmp_path)]) == 0
    assert ai.open_image(tmp_path / "film.tif").axes == "TYX"
    assert ai.open_image(tmp_path / "plate/a10.tif").unit == "micrometer"
    (tmp_path / "image.tif").write_bytes(b"my own")
    assert main(["samples", "-o", str(tmp_path)]) == 1
    assert (tmp_path / "image.tif").read_bytes() == b"my own"
