"""Write the trained cell detector as a BioImage.IO model folder."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import warnings
import zipfile
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import onnx
import onnxruntime
import torch
import yaml
from cells_decoding import NMS_IOU, Found, decode
from cells_description import README, SIDE, STRIDES, description
from cells_evaluation import Scores, as_markdown
from cells_network import PROTOTYPES, STEP, STRIDE, CellDetector
from cells_rods import RodStyle
from nuclei_layout import SceneStyle
from numpy.typing import NDArray
from skimage.segmentation import find_boundaries
from synthetic_cells import CLASSES, Cells, as_input, make_cells

logger = logging.getLogger(__name__)

TOLERANCE = 1e-3
_OPSET = 17
_NAMES = dict(enumerate(CLASSES))
_COLOURS = ((0.35, 0.65, 1.0), (1.0, 0.6, 0.2))  # of the classes on the cover
_STYLE = SceneStyle(
    diameter=30,
    spread=0.12,
    coverage=0.16,
    clustering=0.6,
    overlap=0.04,
    elongation=0.15,
    irregularity=0.05,
    dome=0.4,
    texture=0.2,
    brightness_sigma=0.2,
    faint=0.0,
    defocus=0.1,
    psf=1.0,
    background=0.05,
    haze=0.15,
    ghosts=0.1,
    debris=0.0,
    photons=500,
)
_RODS = RodStyle(width=8, length=38, coverage=0.09, clustering=0.45, bend=0.4)


class _PlainDumper(yaml.SafeDumper):
    """Write repeated parts out, since not every reader of RDFs knows aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def predict_with(
    model: CellDetector, image: NDArray[np.float32]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rows (N, C) and prototypes of an image (3, Y, X) from 0 to 1."""
    with torch.no_grad():
        rows, prototypes = model(torch.from_numpy(image)[None])
    return rows[0].numpy(), prototypes[0].numpy()


def write_model(
    model: CellDetector, folder: Path, seed: int, scores: Scores, about: dict[str, Any]
) -> None:
    """Write weights, test tensors, cover, README and description, and check them.

    Parameters
    ----------
    model
        Trained network as `cells_training.train` returns it.
    folder
        Model folder, made if it is not there.
    seed
        Of the scenes for test tensors and cover; must not be a training seed.
    scores
        Of held-out scenes; the best threshold becomes that of the model.
    about
        What the README tells: ``scenes``, ``steps`` and ``number`` of held-out scenes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_torchscript(model, folder / "weights.pt")
    _write_onnx(model, folder / "weights.onnx")
    _write_test_tensors(model, folder, seed)
    _write_cover(model, folder / "cover.png", seed, scores.threshold)
    readme = README.format(
        side=SIDE,
        strides=STRIDES,
        rows=(SIDE // STRIDE) ** 2,
        quarter=SIDE // STRIDE,
        prototypes=PROTOTYPES,
        channels=5 + len(CLASSES) + PROTOTYPES,
        parameters=sum(p.numel() for p in model.parameters()),
        iou=NMS_IOU,
        table=as_markdown(scores),
        threshold=scores.threshold,
        usual=scores.f1(0.25),
        **about,
    )
    (folder / "README.md").write_text(readme, encoding="utf-8")
    content = description(lambda name: _file(folder, name), _OPSET, scores.threshold)
    text = yaml.dump(content, Dumper=_PlainDumper, sort_keys=False)
    (folder / "rdf.yaml").write_text(text, encoding="utf-8")
    _check_engines(folder)
    _check_description(folder / "rdf.yaml")


def _write_torchscript(model: CellDetector, path: Path) -> None:
    example = torch.zeros(1, 3, SIDE, SIDE)
    config = {"shape": list(example.shape), "stride": STEP, "names": _NAMES}
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", DeprecationWarning)
        script = torch.jit.freeze(torch.jit.trace(model, example))
        torch.jit.save(script, buffer, _extra_files={"config.txt": json.dumps(config)})
    # The debug records hold source paths of the machine, and only serve tracebacks.
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            if not name.endswith(".debug_pkl"):
                target.writestr(zipfile.ZipInfo(name), source.read(name))


def _write_onnx(model: CellDetector, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            model,
            (torch.zeros(1, 3, SIDE, SIDE),),
            str(path),
            # The newer exporter would need one more package, onnxscript.
            dynamo=False,
            opset_version=_OPSET,
            input_names=["images"],
            output_names=["output0", "output1"],
        )
    graph = onnx.load(path)
    onnx.helper.set_model_props(graph, {"names": str(_NAMES), "stride": str(STEP)})
    onnx.checker.check_model(graph, full_check=True)
    onnx.save(graph, path)


def _scene(seed: tuple[int, int], side: int, coloured: bool) -> Cells:
    rng = np.random.default_rng(seed)
    return make_cells(rng, (side, side), _STYLE, _RODS, coloured)


def _write_test_tensors(model: CellDetector, folder: Path, seed: int) -> None:
    image = as_input(_scene((seed, 1), SIDE, coloured=True).image)[None]
    with torch.no_grad():
        rows, prototypes = model(torch.from_numpy(image))
    np.save(folder / "test_input.npy", image)
    np.save(folder / "test_output0.npy", np.ascontiguousarray(rows.numpy()))
    np.save(folder / "test_output1.npy", np.ascontiguousarray(prototypes.numpy()))


def _tinted(found: Found, shape: tuple[int, int], seed: int) -> NDArray[np.float64]:
    """Colour for each pixel: the hue tells the class, the shade the instance."""
    labels = found.label_image(shape)
    shades = np.random.default_rng(seed).uniform(0.55, 1.0, (len(found.kinds), 1))
    colours = shades * np.array(_COLOURS)[found.kinds]
    return np.concatenate([np.zeros((1, 3)), colours])[labels]


def _write_cover(model: CellDetector, path: Path, seed: int, threshold: float) -> None:
    """Show a scene beside the same scene with the found cells laid over."""
    image = as_input(_scene((seed, 2), 368, coloured=False).image)
    found = decode(*predict_with(model, image), threshold)
    grey = np.moveaxis(np.clip(image, 0, 1) ** 0.8, 0, 2)
    labels = found.label_image(grey.shape[:2])
    tint = _tinted(found, grey.shape[:2], seed)
    over = np.where(labels[..., None] > 0, 0.45 * grey + 0.55 * tint, grey)
    over[find_boundaries(labels, mode="inner")] = (1.0, 0.95, 0.6)
    both = np.hstack([grey, over])
    iio.imwrite(path, (255 * both).round().astype(np.uint8))


def _file(folder: Path, name: str) -> dict[str, Any]:
    digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    return {"source": name, "sha256": digest}


def _check_engines(folder: Path) -> None:
    """Compare both weight files with the test outputs, and look at their metadata."""
    image = np.load(folder / "test_input.npy")
    truth = [np.load(folder / f"test_output{i}.npy") for i in range(2)]
    session = onnxruntime.InferenceSession(folder / "weights.onnx")
    extra = {"config.txt": ""}
    script = torch.jit.load(str(folder / "weights.pt"), _extra_files=extra)
    with torch.no_grad():
        by_torch = [each.numpy() for each in script(torch.from_numpy(image))]
    for found in (session.run(None, {"images": image}), by_torch):
        for one, expected in zip(found, truth, strict=True):
            error = float(np.abs(one - expected).max())
            if one.shape != expected.shape or error > TOLERANCE:
                raise ValueError(f"exported weights differ by {error:.1e}")
            logger.info("engine check: %s, difference %.1e", one.shape, error)
    metadata = session.get_modelmeta().custom_metadata_map
    logger.info("metadata: %s; %s", metadata, extra["config.txt"])


def _check_description(path: Path) -> None:
    from bioimageio.spec import ValidationContext, load_description

    with ValidationContext(perform_io_checks=True):
        found = load_description(path)
    summary = found.validation_summary
    if summary.status == "failed":
        raise ValueError(f"{path.name} is not valid:\n{summary.format()}")
    logger.info("description: %s", summary.status)
