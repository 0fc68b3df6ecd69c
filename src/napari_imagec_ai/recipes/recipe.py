"""Everything that made a result, in one file that makes it again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_imagec_ai.decoders.decoder import Settings, settings_with
from napari_imagec_ai.decoders.decoding import run_decoder
from napari_imagec_ai.decoders.registry import (
    choose_decoder,
)
from napari_imagec_ai.engines.engine import Engine
from napari_imagec_ai.errors import ImagecAIError, ModelError
from napari_imagec_ai.library.folders import find_models, load_model
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.model.weights import sha256
from napari_imagec_ai.recipes.migrations import VERSION, migrated
from napari_imagec_ai.results.class_map import ClassMap
from napari_imagec_ai.results.classifying import classify
from napari_imagec_ai.results.prediction import Prediction
from napari_imagec_ai.results.result import Result
from napari_imagec_ai.run.feed.inputs import InputImages
from napari_imagec_ai.run.predicting import predict
from napari_imagec_ai.run.settings import RunSettings
from napari_imagec_ai.system import own_files, whole_files
from napari_imagec_ai.system.contents import read_small
from napari_imagec_ai.system.error_words import problem_of
from napari_imagec_ai.system.safe_yaml import MAX_BYTES, read_yaml


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelRef(_Part):
    """Which model: by name, by folder, and by the hashes of its weights."""

    name: str
    version: str = ""
    path: str = ""
    sha256: dict[str, str] = Field(default_factory=dict)


class Used(_Part):
    """What really ran, and what was assumed; for people to read.

    ``files`` are those that the run wrote, by name, each with what tells whether it is
    still as it was written. ``found`` names settings that nobody chose: they were found
    on the image.
    """

    engine: str = ""
    device: str = ""
    napari_imagec_ai: str = ""
    assumed: tuple[str, ...] = ()
    found: tuple[str, ...] = ()
    files: dict[str, str] = Field(default_factory=dict)


_EXPECTED = (
    "expected a file such as 'results/image.recipe.yaml', which lies beside each "
    "result of 'imagec-ai predict'"
)
"""What to give in the place of what is no recipe."""


class Recipe(_Part):
    """Every setting of a run.

    Attributes
    ----------
    version : int
        Of the file's layout.
    model : ModelRef
        Which model.
    predict : RunSettings
        How the network is run.
    decoder : str or None
        Which decoder; None: the model's own.
    settings : mapping
        Its settings, those that are left out as the model says.
    classes : ClassMap or None
        Which objects count, and their names.
    used : Used
        What really ran; not read when the recipe is run.
    """

    version: int = VERSION
    model: ModelRef
    predict: RunSettings = RunSettings()
    decoder: str | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    classes: ClassMap | None = None
    used: Used = Used()

    @classmethod
    def load(cls, path: str | Path) -> Recipe:
        """Read a recipe; one of an older layout is brought to today's.

        Raises
        ------
        ImagecAIError
            If the file is no recipe, or one of a later version.
        """
        path = Path(path)
        try:
            data = read_yaml(read_small(path, MAX_BYTES))
            return cls.model_validate(_of_today(data, path.name))
        except OSError as error:
            reason = error.strerror or error
            raise ImagecAIError(
                f"Could not read the recipe '{path}': {reason}; {_EXPECTED}."
            ) from error
        except ValidationError as error:
            name, problem = _first(error)
            where = f"'{name}': " if name else ""
            raise ImagecAIError(
                f"'{path.name}' is not a recipe: {where}{problem}."
            ) from error
        except ValueError as error:
            if path.suffix.lower() not in (".yaml", ".yml"):
                raise ImagecAIError(
                    f"'{path.name}' is not a recipe: {_EXPECTED}, which comes before "
                    "the images."
                ) from error
            first = " ".join(str(error).split())[:300]
            raise ImagecAIError(f"'{path.name}' is not a recipe: {first}") from error

    def text(self) -> str:
        """The recipe as YAML."""
        # None is kept: that a class "becomes" None leaves it out.
        data = self.model_dump(mode="json")
        return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the recipe as YAML.

        Parameters
        ----------
        path : path
            The file, usually ``NAME.recipe.yaml``.
        overwrite : bool
            Replace also a file that this software did not write, or that somebody
            changed since.
        """
        with own_files.permitted(overwrite):
            return whole_files.replace_text(Path(path), own_files.seal(self.text()))

    def open_model(self) -> Model:
        """The model that the recipe means: at its path, or in the library.

        Raises
        ------
        ModelError
            If it is not here, or its weights are others.
        """
        changed = ""
        for found in self._candidates():
            problem = self._changed(found)
            if not problem:
                return found.with_classes(self.predict.classes)
            changed = changed or problem
        if changed:
            raise ModelError(changed)
        hashes = ", ".join(f"{n} {sha}" for n, sha in self.model.sha256.items())
        raise ModelError(
            f"The recipe's model '{self.model.name}' is neither at "
            f"'{self.model.path}' nor in the library; put it into ./models"
            f"{f' (sha256: {hashes})' if hashes else ''}."
        )

    def _candidates(self) -> Iterator[Model]:
        """The model at the recipe's path, then those of its name in the library."""
        if self.model.path:
            with contextlib.suppress(ModelError):
                yield load_model(self.model.path)
        for entry in find_models():
            if entry.model is not None and entry.model.name == self.model.name:
                yield entry.model

    def _changed(self, found: Model) -> str:
        """Why a model is not the recipe's; empty: it is."""
        for name, expected in self.model.sha256.items():
            weights = found.weights.get(name)
            file = weights.file.path if weights is not None else None
            sha = sha256(file) if file is not None else None
            if sha is not None and sha != expected:
                return (
                    f"The {name} weights of '{found.name}' have changed: the recipe "
                    f"was made with sha256 {expected}, found {sha}; bring the old "
                    "model back, or make a new recipe."
                )
        return ""

    def for_other_images(self) -> Recipe:
        """The same, but what was found on one image is found anew on each."""
        if "object_size" not in self.used.found:
            return self
        told = {"object_size": None, "scale": None}
        used = self.used.model_copy(update={"found": ()})
        predict = self.predict.model_copy(update=told)
        return self.model_copy(update={"predict": predict, "used": used})

    def decoder_settings(self, model: Model) -> Settings:
        """Settings of the decoder: the model's own, changed as the recipe says."""
        decoder = choose_decoder(model, self.decoder)
        usual: Settings = decoder.defaults(model)
        return settings_with(usual, self.settings)

    def run(self, image: InputImages, engine: Engine | None = None) -> Result:
        """Run the whole recipe on an image.

        Parameters
        ----------
        image : ImageInput, mapping or sequence
            What the model takes: see :func:`napari_imagec_ai.predict`.
        engine : Engine, optional
            One that is open already.
        """
        return self.tune(self.predict_image(image, engine))

    def predict_image(
        self, image: InputImages, engine: Engine | None = None
    ) -> Prediction:
        """Run the network as the recipe says."""
        opened = engine or self.predict.engine
        return predict(self.open_model(), image, self.predict, engine=opened)

    def tune(self, prediction: Prediction) -> Result:
        """Decode and classify a prediction as the recipe says."""
        model = prediction.model
        decoder = choose_decoder(model, self.decoder)
        found = run_decoder(decoder, prediction, self.decoder_settings(model))
        return classify(found, self.classes)


def _of_today(data: Any, name: str) -> Any:
    """What lies in a file, in today's layout; what is no mapping is refused later."""
    if not isinstance(data, dict):
        return data
    found = data.get("version", 0)
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise ValueError(f"its version is {found!r}, where a number was expected.")
    if found > VERSION:
        raise ImagecAIError(
            f"'{name}' was written by a later version (layout {found}, known is "
            f"{VERSION}); update napari-imagec-ai."
        )
    return migrated(data)


def _first(error: ValidationError) -> tuple[str, str]:
    """Where the first problem is, and what it is."""
    problem = error.errors()[0]
    name = ".".join(str(part) for part in problem["loc"])
    return name, problem_of(problem)


def settled(settings: RunSettings, prediction: Prediction) -> RunSettings:
    """The same, with what a run found out: elsewhere it may be found otherwise."""
    found: dict[str, Any] = {"halo": settings.halo or prediction.halo}
    if found_out(settings):
        size = prediction.object_size
        found["object_size"] = "as described" if size is None else size
        if size is None and settings.object_size == "auto":
            found["scale"] = prediction.scale or None
    return settings.model_copy(update=found)


def found_out(settings: RunSettings) -> tuple[str, ...]:
    """Names of the settings that a run finds out on its image."""
    automatic = settings.scale is None and settings.object_size in (None, "auto")
    return ("object_size",) if automatic else ()


def describe_model(model: Model) -> ModelRef:
    """How a recipe names a model."""
    hashes = {
        name: sha256(weights.file.path)
        for name, weights in model.weights.items()
        if weights.problem is None and weights.file.path is not None
    }
    return ModelRef(
        name=model.name,
        version=model.version,
        path=str(model.path.absolute()),
        sha256=hashes,
    )
