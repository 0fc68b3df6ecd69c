"""Packages of models: unpacked whole, inside their folder, or not at all."""

from __future__ import annotations

import lzma
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.model.rdf import find_rdf
from napari_imagec_ai.system import whole_files
from napari_imagec_ai.system.contents import check_is_file, sha256
from napari_imagec_ai.system.own_data import own_cache

_MAX_FILES = 10_000
_MAX_BYTES = 8 << 30
_MAX_RATIO = 500
"""A zip beyond these is no model package, but a bomb."""


_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    MemoryError,
)
"""What damaged zips raise: names that are no text are a ValueError."""


Find = Callable[[Path, Path], Path]
"""Finds what a package must have in the folder that it was unpacked to."""


def unpacked(package: Path, find: Find | None = None) -> Path:
    """The folder that a zip was unpacked to, unpacked anew if it is not as it was."""
    find = find or described
    cache = own_cache("zips")
    try:
        target = cache / f"{package.stem[:40]}-{sha256(package)[:32]}"
    except OSError as error:
        raise ModelError(
            f"'{package}' cannot be read ({error.strerror or error}); download it "
            "again."
        ) from error
    try:
        if not _is_whole(target, package):
            cache.mkdir(parents=True, exist_ok=True)
            whole_files.sweep(cache)
            begun = whole_files.begun(".unpacking")
            scratch = Path(tempfile.mkdtemp(prefix=begun, dir=cache))
            try:
                unpack(package, scratch / "new")
                find(scratch / "new", package)
                whole_files.sync_all(scratch)
                if target.exists():
                    target.replace(scratch / "old")
                (scratch / "new").replace(target)
                whole_files.sync(cache)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        if _is_whole(target, package):  # another process was faster
            return find(target, package).parent
        raise ModelError(
            f"Could not unpack '{package}' into '{cache}': "
            f"{error.strerror or error}. Make room, or unpack it yourself and give "
            "the folder."
        ) from error
    return find(target, package).parent


def _is_whole(folder: Path, package: Path) -> bool:
    """Whether a folder holds what the package does, and nothing else."""
    if not folder.is_dir():
        return False
    try:
        with zipfile.ZipFile(package) as archive:
            expected = {
                folder / member.filename: (member.file_size, member.CRC)
                for member in archive.infolist()
                if not member.is_dir()
            }
        found = {path for path in folder.rglob("*") if not path.is_dir()}
        return found == set(expected) and all(
            path.stat().st_size == size and _crc(path) == crc
            for path, (size, crc) in expected.items()
        )
    except _BROKEN:
        return False


def _crc(path: Path) -> int:
    value = 0
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            value = zlib.crc32(chunk, value)
    return value


def described(folder: Path, package: Path) -> Path:
    """The description at the top of an unpacked zip, or one folder below."""
    for place in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
        rdf = find_rdf(place)
        if rdf is not None:
            return rdf
    raise ModelError(
        f"'{package.name}' holds no model description (rdf.yaml or bioimageio.yaml); "
        "choose a package of the BioImage Model Zoo."
    )


def _no_zip(package: Path) -> str:
    """What was given in the place of a package, and what to do; else empty."""
    if package.is_dir() and find_rdf(package) is not None:
        return (
            f"the model folder '{package}', which runs as it is; name it instead of a "
            "model, or copy it into ./models"
        )
    if package.is_dir():
        return f"the folder '{package}'; name the package in it"
    if package.suffix.lower() in (".onnx", ".pt", ".pth", ".torchscript"):
        return (
            f"the weights '{package}'; make a model folder of them with 'imagec-ai "
            f"package {package}'"
        )
    return ""


def unpack(package: Path, folder: Path) -> None:
    """Unpack a package into a folder that nothing else looks into.

    Raises
    ------
    ModelError
        If it is unsafe, damaged, or not there.
    """
    other = _no_zip(package)
    if other:
        raise ModelError(
            f"Expected a model package (.zip) or an id of the zoo, found {other}."
        )
    try:
        check_is_file(package)
    except OSError as error:
        raise ModelError(
            f"Expected a model package (.zip), found no file at '{package}'; check the "
            "name."
        ) from error
    try:
        with zipfile.ZipFile(package) as archive:
            members = archive.infolist()
            _check_members(package, members)
            for member in members:
                archive.extract(member, folder)
    except ModelError:
        raise
    except _BROKEN as error:
        reason = " ".join(str(error).split())[:150] or type(error).__name__
        raise ModelError(
            f"'{package}' cannot be unpacked ({reason}); download it again."
        ) from error


def _check_members(package: Path, members: list[zipfile.ZipInfo]) -> None:
    size = sum(member.file_size for member in members)
    # Members may overlap, and then claim the same bytes again and again.
    packed = sum(member.compress_size for member in members)
    packed = max(1, min(packed, package.stat().st_size))
    if len(members) > _MAX_FILES or size > _MAX_BYTES or size / packed > _MAX_RATIO:
        raise ModelError(
            f"'{package.name}' would unpack to {len(members)} files and {size} bytes "
            f"from {packed}; that is no model package, and it was left alone."
        )
    for member in members:
        path = PurePosixPath(member.filename.replace("\\", "/"))
        link = stat.S_ISLNK(member.external_attr >> 16)
        drive = ":" in str(path).partition("/")[0]
        if path.is_absolute() or ".." in path.parts or drive or link:
            raise ModelError(
                f"'{package.name}' holds '{member.filename:.80}', which would be "
                "written outside its folder; it was left alone."
            )
