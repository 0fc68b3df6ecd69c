"""Where models are: folders that are searched, zips that are unpacked.

A model that cannot be used stays in the list, with the reason in words, and one broken
description never hides another.
"""

from __future__ import annotations

import difflib
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from napari_imagec_ai.errors import ModelError
from napari_imagec_ai.image.opening_files import SUFFIXES as IMAGES
from napari_imagec_ai.library import czann
from napari_imagec_ai.library.zips import described, unpack, unpacked
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.rdf import find_rdf, read_rdf
from napari_imagec_ai.model.weights import fingerprint, other_file
from napari_imagec_ai.system import whole_files
from napari_imagec_ai.system.own_data import own_data

_log = logging.getLogger(__name__)

_DEPTH = 3
"""How deep below a search folder a model folder may lie."""

_WEIGHTS = (".onnx", ".pt", ".pth", ".torchscript", ".pt2")
"""Weights that may run without a description."""


_OF_OTHERS = ("weights_best.h5", "weights_last.h5", "saved_model.pb")
"""What StarDist and TensorFlow write: a folder that can be converted."""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model of the library.

    Attributes
    ----------
    path : Path
        The model folder, or the description where another one is the folder's own.
    model : Model or None
        What the description says, where it could be read.
    problem : str or None
        Why it cannot be used, in words.
    """

    path: Path
    model: Model | None
    problem: str | None

    @property
    def name(self) -> str:
        """Name to show: the model's own, else the folder's."""
        return self.model.name if self.model is not None else self.path.name

    @property
    def note(self) -> str:
        """What a person should know of it, as a sentence; empty: nothing."""
        if self.model is None:
            return ""
        return shadowed(self.path, self.model)


def bundled_models() -> Path:
    """The folder of the models that come with the package."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "models"
    # In a checkout they lie at its top level; a wheel carries them in the package.
    return inside if inside.is_dir() else package.parents[1] / "models"


def shadowed(path: Path, model: Model) -> str:
    """A sentence on a model that bears the name of one that comes along; else empty.

    A copy of that one is the same model.
    """
    bundled = bundled_models().resolve()
    if path.resolve().is_relative_to(bundled):
        return ""
    for other in _model_folders(bundled, 1):
        try:
            theirs = load_model(other)
        except ModelError:  # damaged: it is listed as such
            continue
        same_name = {path.name, model.name} & {other.name, theirs.name}
        if same_name and _contents(model) != _contents(theirs):
            which = (
                f"'{path}' bears the name of '{other.name}', which comes with this "
                "software, but is another model"
            )
            if model.problem is not None:
                return f"{which}; rename or remove that folder to run '{other}'."
            return (
                f"{which}, and is taken instead of it; rename that folder if you did "
                "not mean it."
            )
    return ""


def _contents(model: Model) -> tuple[bytes, list[str]]:
    return model.source, [fingerprint(model, name) for name in model.runnable]


def user_models() -> Path:
    """The folder for models of this user, which may not exist yet."""
    return own_data("models")


def default_folders() -> tuple[Path, ...]:
    """Folders that are searched where none is named.

    ``./models``, the folders of the environment variable ``IMAGEC_AI_MODELS``, the
    user's, and the one that comes with the package.
    """
    named = os.environ.get("IMAGEC_AI_MODELS", "")
    extra = [Path(part) for part in named.split(os.pathsep) if part]
    folders = [Path("models"), *extra, user_models(), bundled_models()]
    unique = {folder.resolve(): folder.resolve() for folder in folders}
    return tuple(unique)


def find_models(*folders: str | Path) -> list[ModelEntry]:
    """List the models in folders and below, usable or not.

    Parameters
    ----------
    *folders : path
        Search folders, or model folders themselves; :func:`default_folders` where none
        is given. One that does not exist is an entry with a problem.

    Returns
    -------
    list of ModelEntry
        In the order of the folders, by name within one. Never raises.
    """
    entries: dict[Path, ModelEntry] = {}
    for folder in [Path(folder) for folder in folders] or default_folders():
        if folders and not os.path.isdir(folder):
            problem = f"There is no folder '{folder}'; choose one with models."
            entries[folder] = ModelEntry(folder, None, problem)
            continue
        for path in _model_folders(folder, _DEPTH):
            entries.setdefault(path.resolve(), _entry(path))
    found = list(entries.values())
    return found if folders else _without_copies(found)


def _without_copies(entries: list[ModelEntry]) -> list[ModelEntry]:
    """Leave out what comes along where the very same model is listed before."""
    bundled = bundled_models().resolve()
    kept: list[ModelEntry] = []
    for entry in entries:
        model = entry.model
        inside = entry.path.resolve().is_relative_to(bundled)
        same = inside and any(
            model is not None
            and other.model is not None
            and other.model.source == model.source
            and _contents(other.model) == _contents(model)
            for other in kept
        )
        if not same:
            kept.append(entry)
    return kept


def load_model(path: str | Path) -> Model:
    """Read a model.

    Parameters
    ----------
    path : path
        A model folder, its description, a zip of one, a ``.czann`` or ``.czseg``, bare
        weights that tell enough, or the name of a model in the library.

    Returns
    -------
    Model
        One that cannot run has ``problems``.

    Raises
    ------
    ModelError
        If there is no such model, or its description cannot be read.
    """
    place = Path(path)
    if os.path.isdir(place):
        rdf = find_rdf(place)
        if rdf is None:
            return _of_library_instead(str(path), place)
        return read_rdf(rdf)
    if os.path.isfile(place) and place.suffix.lower() in czann.SUFFIXES:
        return czann.package_model(unpacked(place, czann.network_in), place)
    if os.path.isfile(place) and place.suffix.lower() == ".zip":
        return load_model(unpacked(place))
    if os.path.isfile(place) and place.suffix in (".yaml", ".yml"):
        return read_rdf(place)
    if os.path.isfile(place) and place.suffix.lower() in _WEIGHTS:
        from napari_imagec_ai.library.undescribed import bare_model  # opens a runtime

        return bare_model(place)
    if os.path.isfile(place) and place.suffix.lower() in IMAGES:
        raise ModelError(
            f"Expected a model, found the image '{place}'; name the model first, as in "
            f"'imagec-ai predict nuclei-unet {place} -o results'."
        )
    if os.path.isfile(place):
        raise ModelError(
            f"'{place}' is no model: expected a folder, an rdf.yaml or a .zip; if "
            "Cellpose, Keras or PyTorch saved it, make a model folder of it with "
            f"'imagec-ai convert {place}'."
        )
    return _by_name(str(path))


def _of_library_instead(name: str, place: Path) -> Model:
    """The model of the library that is called as a folder here which is none."""
    if place.name == name and any(name == e.path.name for e in find_models()):
        return _by_name(name)
    saved = any((place / one).exists() for one in _OF_OTHERS)
    how = (
        f"make a model folder of it with 'imagec-ai convert {place}'"
        if saved
        else "choose the folder that has one"
    )
    raise ModelError(
        f"The folder '{place}' has no model description (rdf.yaml or "
        f"bioimageio.yaml); {how}."
    )


def install(package: str | Path, folder: str | Path | None = None) -> Path:
    """Unpack a model package into a models folder.

    Parameters
    ----------
    package : path
        A zip with a description in it.
    folder : path, optional
        The models folder; :func:`user_models` by default.

    Returns
    -------
    Path
        The new model folder, named after the zip.

    Raises
    ------
    ModelError
        If the zip is unsafe, holds no model or other weights than it describes (by
        sha256, also of what an ONNX file keeps beside it), or its folder is there.
    """
    package = Path(package)
    target = Path(folder or user_models()) / package.stem

    def fill(scratch: Path) -> Path:
        unpack(package, scratch)
        if package.suffix.lower() in czann.SUFFIXES:
            source = czann.description(scratch, package)
            (scratch / "rdf.yaml").write_bytes(source)
        found = described(scratch, package)
        _check_files(read_rdf(found), str(package))
        return found.parent

    return _installed(target, fill, str(package))


def install_folder(source: Path, target: Path) -> Path:
    """Like :func:`install`, for the files of a model that lie in a folder."""

    def fill(scratch: Path) -> Path:
        inside = scratch / "model"
        shutil.copytree(source, inside)
        _check_files(read_rdf(inside / "rdf.yaml"), target.name)
        return inside

    return _installed(target, fill, target.name)


def _check_files(model: Model, name: str) -> None:
    """Install no other weights than those described."""
    sentence = other_file(model)
    if sentence is not None:
        raise ModelError(
            f"{sentence}; '{name}' was not installed. Download it again, or unpack it "
            "into a folder yourself if you know what the file is."
        )


def _installed(target: Path, fill: Callable[[Path], Path], name: str) -> Path:
    """A new model folder, whole or not at all."""
    if os.path.lexists(target):
        raise ModelError(
            f"'{target}' is there already; remove it first to install it again."
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        whole_files.sweep(target.parent)
        begun = whole_files.begun(".installing")
        scratch = Path(tempfile.mkdtemp(prefix=begun, dir=target.parent))
        try:
            made = fill(scratch)
            whole_files.sync_all(scratch)
            made.replace(target)
            whole_files.sync(target.parent)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise ModelError(
            f"Could not install '{name}' into '{target.parent}': "
            f"{error.strerror or error}."
        ) from error
    return target


def _model_folders(folder: Path, depth: int) -> Iterator[Path]:
    try:
        if find_rdf(folder) is not None:
            yield folder
            return
        below = sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError:  # a folder that may not be read holds no model for us
        return
    for path in below:
        if depth > 0 and not path.name.startswith((".", "__")):
            yield from _model_folders(path, depth - 1)


def _entry(path: Path) -> ModelEntry:
    try:
        model = load_model(path)
    except ModelError as error:
        return ModelEntry(path, None, str(error))
    return ModelEntry(path, model, model.problem)


def _by_name(name: str) -> Model:
    entries = find_models()
    for entry in entries:
        if name in (entry.name, entry.path.name):
            if entry.model is None:
                others = [
                    f" Rename or remove that folder to run '{other.path}'."
                    for other in entries
                    if name in (other.name, other.path.name) and not other.problem
                ]
                raise ModelError(
                    f"'{entry.path}' cannot be run. {entry.problem}"
                    + "".join(others[:1])
                )
            if entry.note:
                _log.warning("%s", entry.note)
            return entry.model
    names = [entry.path.name for entry in entries]
    known = ", ".join(f"'{one}'" for one in names)
    near = difflib.get_close_matches(name.lower(), names, 1)
    meant = f"; did you mean '{near[0]}'?" if near else "; choose one of these."
    raise ModelError(
        f"There is no model '{name}': it is no folder, rdf.yaml or .zip, and the "
        f"library has {known or 'no models'}{meant if names else '.'}"
    )
