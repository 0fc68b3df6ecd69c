"""An archive of ``torch.export`` (``.pt2``), TorchScript's successor."""

from __future__ import annotations

import zipfile
from importlib.resources import files as resources
from importlib.util import find_spec
from pathlib import Path

from napari_imagec_ai.engines.engine import Engine
from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.library.convert.conversion import Conversion, Tick
from napari_imagec_ai.library.convert.sandbox import guards, run_alone
from napari_imagec_ai.library.package.description import Rdf, described
from napari_imagec_ai.library.package.facts import Facts
from napari_imagec_ai.library.package.network import probe
from napari_imagec_ai.model.weights import sha256

_MOST_CHANNELS = 3
"""Channels of an output that a U-Net usually has: foreground, boundary, background."""


def is_exported_program(path: Path) -> bool:
    """Whether a file is such an archive, whatever its name is."""
    if not path.is_file() or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        names = {name.rpartition("/")[2] for name in archive.namelist()}
    return bool(names & {"archive_format", "serialized_exported_program.json"})


def read_exported_program(path: Path, scratch: Path, tick: Tick) -> Conversion:
    """Write the network as ONNX.

    Raises
    ------
    ModelError
        If PyTorch's exporter cannot, or lacks the package that it needs.
    """
    if find_spec("onnxscript") is None:
        raise ModelError(
            f"'{path.name}' is an archive of torch.export, and PyTorch's exporter "
            "needs onnxscript to write ONNX; install it (pip install onnxscript) and "
            "convert again."
        )
    tick("Writing ONNX")
    script = resources("napari_imagec_ai.library.convert") / "export_alone.py"
    answer = run_alone(
        script.read_text(encoding="utf-8"),
        path.read_bytes(),
        [],
        lambda: tick("Writing ONNX"),
    )
    onnx = scratch / "weights.onnx"
    onnx.write_bytes(answer)
    source = {"kind": "torch.export", "file": path.name, "sha256": sha256(path)}

    def describe(weights: Path, engine: Engine) -> Rdf:
        facts = Facts(decoder="unet", name=path.stem)
        network = probe(engine, facts)
        main = network.outputs[0]
        maps = bool(main.growth) and "c" in network.axes
        if not maps or main.shape[network.axes.index("c")] > _MOST_CHANNELS:
            raise ModelError(
                f"'{path.name}' gives an output of the shape {main.shape}, which does "
                "not tell what it means; export it as ONNX yourself and say so: "
                "'imagec-ai package weights.onnx --decoder ...'."
            )
        rdf = described(weights, network, facts)
        rdf["config"]["napari_imagec_ai"]["converted_from"] = source
        return rdf

    said = (
        "The archive does not say what the output means; foreground was assumed, with "
        "boundaries where there is a second channel ('decoder' in rdf.yaml)."
    )
    return Conversion({"onnx": onnx}, describe, (guards(),), (said,))
