"""Write the trained nuclei network as a BioImage.IO model folder."""

from __future__ import annotations

import hashlib
import io
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
from nuclei_images import PERCENTILES, normalise
from nuclei_network import STEP, NucleiUNet
from numpy.typing import NDArray
from scipy import ndimage as ndi
from skimage.color import label2rgb
from skimage.segmentation import find_boundaries, watershed
from synthetic_nuclei import make_scene

logger = logging.getLogger(__name__)

HALO = 64  # no pixel farther away has any influence, see `reach`
TOLERANCE = 1e-4
SIZES = (10, 24, 48)  # least, best and most, in pixels of the network
_OPSET = 17
_LIMITS = (-1.0, 2.0)  # keeps hot pixels from shining far into their surroundings
_TEST_SIDE = 128
_README = """# Nuclei U-Net

Finds fluorescent cell nuclei (DAPI, Hoechst, H2B-GFP and the like) in 2D images. The
three output channels are from 0 to 1: `foreground` (any nucleus), `boundary` (the rims
of nuclei and the gaps between close ones) and `distance` (how deep inside a nucleus a
pixel lies, 1 at its deepest point).

- Input: one channel, any grey values; the description scales them by percentiles
  {low:g} and {high:g} of the whole image. Height and width must be multiples of {step}.
- It knows nuclei from {least} to {most} pixels across, and {best} pixels best. Others
  are brought to that size before: automatically, or by the object size that one gives
  (tried from 8 to 120 pixels). Bright on dark only.
- {parameters:,} parameters. No pixel farther away than {halo} pixels has any influence,
  so tiles that begin at multiples of {step} and overlap by {halo} give the very same
  maps as the whole image.

## Training

A U-Net whose convolutions work at half the size and below, trained on {images} images
of fluorescence from stage 1 of the Data Science Bowl 2018 (BBBC038v1 of the Broad
Bioimage Benchmark Collection, CC0, with public corrections of its masks) and on {drawn}
drawn scenes with known outlines (one crop in six). Crops are scaled so that nuclei are
about {best} pixels wide, and varied in brightness, contrast, sharpness, haze, noise and
dust; one in sixteen shows nothing but noise, haze or dust. {steps} batches of 8 crops,
cross entropy and Dice loss, AdamW, averaged weights, fixed seed.

Make it again, in the root of the source tree, with the images in a folder:

    python tools/train_demo_models.py nuclei-unet --nuclei FOLDER

## How good it is

{table}

Measured with `python -m benchmarks.accuracy` at default settings on {validation} images
of the same collection, drawn at random and kept out of the training; AP is
TP / (TP + FP + FN). On another split of the same pool the literature reports at an IoU
of 0.5: StarDist 0.86, Mask R-CNN 0.83, a U-Net with three classes 0.81 and one with two
0.67 (Schmidt et al., Cell Detection with Star-convex Polygons, MICCAI 2018).

Nuclei are taken apart by the distance; the boundary is drawn for those who want it
(`boundary: 1`). Objects with a confidence below 0.42 are left out (`min_confidence`).

Not for stained tissue, bright field or phase contrast: a warning tells so. Nuclei that
lie over each other in thick tissue come out as one, or with a guessed border.

Licence: BSD-3-Clause. The images behind it are in the public domain (CC0).
"""


class PlainDumper(yaml.SafeDumper):
    """Write repeated parts out, since not every reader of RDFs knows aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        """None is used."""
        return True


def reach(model: NucleiUNet) -> int:
    """Distance in pixels from which an input pixel can influence the output."""
    side, centre = 256, 128
    farthest = 0
    random = torch.Generator().manual_seed(0)
    image = torch.rand((1, 1, side, side), generator=random)
    for phase in range(STEP):  # pooling makes the reach depend on the position
        at = centre + phase
        changed = image.clone()
        changed[0, 0, at, at] += 1e4
        with torch.no_grad():
            delta = (model(changed) - model(image)).abs().amax(dim=(0, 1))
        rows = torch.nonzero(delta.amax(dim=1)).flatten() - at
        farthest = max(farthest, int(rows.abs().max()))
    return farthest


def _prepared(image: NDArray[Any]) -> NDArray[np.float32]:
    """Preprocess as the description says."""
    return np.clip(normalise(image), *_LIMITS)


def predict_with(model: NucleiUNet, image: NDArray[Any]) -> NDArray[np.float32]:
    """Maps (3, Y, X) from 0 to 1 of an image in grey values, as the RDF says."""
    x = torch.from_numpy(_prepared(image.astype(np.float32)))[None, None]
    with torch.no_grad():
        return np.asarray(torch.sigmoid(model(x))[0], np.float32)


class _Probabilities(torch.nn.Module):
    """What is exported: maps from 0 to 1."""

    def __init__(self, model: NucleiUNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.model(image))


def write_model(
    model: NucleiUNet,
    folder: Path,
    seed: int,
    about: dict[str, Any],
    settings: dict[str, Any] | None = None,
) -> None:
    """Write weights, test tensors, cover, README and description, and check them.

    Parameters
    ----------
    model
        Trained network as `nuclei_training.train` returns it.
    folder
        Model folder, made if it is not there.
    seed
        Of the scenes for test tensors and cover; must not be a training seed.
    about
        What the README tells: ``images``, ``drawn``, ``steps``, ``validation`` and the
        score ``table``.
    settings
        More of ``config.napari_imagec_ai``, such as the calibrated confidence.
    """
    if reach(model) > HALO:
        raise ValueError(f"the network reaches {reach(model)} pixels, halo is {HALO}")
    folder.mkdir(parents=True, exist_ok=True)
    exported = _Probabilities(model).eval()
    _write_torchscript(exported, folder / "weights.pt")
    _write_onnx(exported, folder / "weights.onnx")
    _write_test_tensors(model, folder, seed)
    if not (folder / "cover.png").exists():
        _write_cover(model, folder / "cover.png", seed)
    readme = _README.format(
        low=PERCENTILES[0],
        high=PERCENTILES[1],
        step=STEP,
        halo=HALO,
        least=SIZES[0],
        best=SIZES[1],
        most=SIZES[2],
        parameters=sum(p.numel() for p in model.parameters()),
        **about,
    )
    (folder / "README.md").write_text(readme, encoding="utf-8")
    described = _description(folder, settings or {})
    text = yaml.dump(described, Dumper=PlainDumper, sort_keys=False)
    (folder / "rdf.yaml").write_text(text, encoding="utf-8")
    _check_engines(folder)
    check_description(folder / "rdf.yaml")


def _write_torchscript(model: torch.nn.Module, path: Path) -> None:
    example = torch.zeros(1, 1, 64, 64)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.trace(model, example), buffer)
    # The debug records hold source paths of the machine, and only serve tracebacks.
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            if not name.endswith(".debug_pkl"):
                target.writestr(zipfile.ZipInfo(name), source.read(name))


def _write_onnx(model: torch.nn.Module, path: Path) -> None:
    free = {0: "batch", 2: "y", 3: "x"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            model,
            (torch.zeros(1, 1, 64, 64),),
            str(path),
            # The newer exporter would need one more package, onnxscript.
            dynamo=False,
            opset_version=_OPSET,
            input_names=["image"],
            output_names=["maps"],
            dynamic_axes={"image": free, "maps": free},
        )
    onnx.checker.check_model(onnx.load(path), full_check=True)


def _write_test_tensors(model: NucleiUNet, folder: Path, seed: int) -> None:
    rng = np.random.default_rng((seed, 1))
    image, _ = make_scene(
        rng,
        (_TEST_SIDE, _TEST_SIDE),
        diameter=22,
        coverage=0.45,
        bits=16,
        photons=200,
        psf=1.2,
    )
    maps = predict_with(model, image)
    np.save(folder / "test_input.npy", image.astype(np.float32)[None, None])
    np.save(folder / "test_output.npy", maps[None])


def _write_cover(model: NucleiUNet, path: Path, seed: int) -> None:
    """Show a scene beside the same scene with the found nuclei laid over."""
    image, _ = make_scene(
        np.random.default_rng((seed, 2)),
        (304, 304),
        diameter=34,
        coverage=0.5,
        clustering=0.7,
        brightness_sigma=0.25,
        photons=600,
        psf=1.2,
        background=0.06,
        haze=0.15,
        ghosts=0.15,
        peak=0.1,
    )
    labels = _instances(predict_with(model, image))
    grey = np.clip(normalise(image), 0, 1) ** 0.8
    over = label2rgb(labels, grey, alpha=0.35, bg_label=0)
    over[find_boundaries(labels, mode="inner")] = (1.0, 0.95, 0.6)
    both = np.hstack([np.repeat(grey[..., None], 3, axis=2), over])
    iio.imwrite(path, (255 * both).round().astype(np.uint8))


def _instances(maps: NDArray[np.float32]) -> NDArray[np.int32]:
    """Label image of maps, for the cover: basins of the depth."""
    foreground, _, depth = maps
    seeds, _ = ndi.label((depth > 0.5) & (foreground > 0.5))
    return np.asarray(watershed(-depth, seeds, mask=foreground > 0.5), np.int32)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def file_entry(folder: Path, name: str) -> dict[str, Any]:
    """How a description names a file beside it."""
    return {"source": name, "sha256": _sha256(folder / name)}


def _description(folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the content of rdf.yaml."""
    to_float = {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}}
    return {
        "format_version": "0.5.4",
        "type": "model",
        "name": "Nuclei U-Net",
        "description": "Foreground, boundary and depth of fluorescent cell nuclei in "
        "2D, trained on real images of many kinds.",
        "version": "2.0",
        "authors": [{"name": "napari-imagec-ai developers"}],
        "license": "BSD-3-Clause",
        "documentation": "README.md",
        "covers": ["cover.png"],
        "tags": [
            "unet",
            "nuclei",
            "fluorescence-light-microscopy",
            "instance-segmentation",
            "2d",
        ],
        "cite": [
            {
                "text": "Ronneberger, Fischer, Brox: U-Net: Convolutional Networks for "
                "Biomedical Image Segmentation. MICCAI 2015.",
                "doi": "10.1007/978-3-319-24574-4_28",
            }
        ],
        "inputs": [_input(folder, to_float)],
        "outputs": [_output(folder, to_float)],
        "weights": {
            "onnx": {
                **file_entry(folder, "weights.onnx"),
                "opset_version": _OPSET,
                "parent": "torchscript",
            },
            "torchscript": {
                **file_entry(folder, "weights.pt"),
                "pytorch_version": torch.__version__.split("+")[0],
            },
        },
        "config": {
            "napari_imagec_ai": {
                "decoder": "unet",
                "classes": ["nucleus"],
                "object_size": list(SIZES),
                "domain": {"polarity": "bright on dark", "colours": "grey"},
                **settings,
            }
        },
    }


def _input(folder: Path, to_float: dict[str, Any]) -> dict[str, Any]:
    # The halo on both sides must leave something of the smallest tile.
    size = {"min": 192, "step": STEP}
    scaling = {
        "axes": ["channel", "y", "x"],
        "min_percentile": PERCENTILES[0],
        "max_percentile": PERCENTILES[1],
        "eps": 1e-6,
    }
    return {
        "id": "image",
        "description": "Nuclei, bright on dark, grey values as they come",
        "axes": [
            {"type": "batch"},
            {"type": "channel", "channel_names": ["nuclei"]},
            {"type": "space", "id": "y", "size": size},
            {"type": "space", "id": "x", "size": size},
        ],
        "test_tensor": file_entry(folder, "test_input.npy"),
        "preprocessing": [
            to_float,
            {"id": "scale_range", "kwargs": scaling},
            {"id": "clip", "kwargs": {"min": _LIMITS[0], "max": _LIMITS[1]}},
            to_float,
        ],
    }


def _output(folder: Path, to_float: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "maps",
        "description": "0 to 1: inside any nucleus, on a boundary, how deep inside",
        "axes": [
            {"type": "batch"},
            {
                "type": "channel",
                "channel_names": ["foreground", "boundary", "distance"],
            },
            *(
                {
                    "type": "space",
                    "id": axis,
                    "size": {"tensor_id": "image", "axis_id": axis},
                    "halo": HALO,
                }
                for axis in "yx"
            ),
        ],
        "data": {"range": [0.0, 1.0]},
        "test_tensor": file_entry(folder, "test_output.npy"),
        "postprocessing": [to_float],
    }


def _check_engines(folder: Path) -> None:
    """Compare both weight files with the test output, also at another size."""
    image = np.load(folder / "test_input.npy")
    truth = np.load(folder / "test_output.npy")
    session = onnxruntime.InferenceSession(folder / "weights.onnx")
    script = torch.jit.load(str(folder / "weights.pt"))
    x = _prepared(image)
    odd = np.concatenate([x, x], axis=0)[..., :120, :88]
    for tensor, expected in ((x, truth), (odd, None)):
        by_onnx = torch.from_numpy(session.run(None, {"image": tensor})[0])
        with torch.no_grad():
            by_torch = script(torch.from_numpy(tensor))
        if expected is None:
            expected = by_torch.numpy()
        for maps in (by_onnx.numpy(), by_torch.numpy()):
            error = float(np.abs(maps - expected).max())
            if maps.shape != expected.shape or error > TOLERANCE:
                raise ValueError(f"exported weights differ by {error:.1e}")
            logger.info("engine check: largest difference %.1e", error)


def check_description(path: Path) -> None:
    """Raise unless the description is valid by the standard's own library."""
    from bioimageio.spec import ValidationContext, load_description

    with ValidationContext(perform_io_checks=True):
        found = load_description(path)
    summary = found.validation_summary
    if summary.status == "failed":
        raise ValueError(f"{path.name} is not valid:\n{summary.format()}")
    logger.info("description: %s", summary.status)
