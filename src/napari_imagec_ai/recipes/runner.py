"""Runs a recipe on image files, with one open network for all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from napari_imagec_ai.decoders.decoding import compile_loops
from napari_imagec_ai.decoders.plausible import implausible
from napari_imagec_ai.engines.engine import Engine
from napari_imagec_ai.engines.opening_weights import open_engine
from napari_imagec_ai.export.summary.all_images import measured, write_thumbnail
from napari_imagec_ai.export.writing import lost, write_all
from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.image.opening_files import open_image
from napari_imagec_ai.image.zarr_images import stem_of
from napari_imagec_ai.model.description import Model
from napari_imagec_ai.recipes.recipe import Recipe, Used, found_out, settled
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.prediction import Prediction
from napari_imagec_ai.results.result import Result
from napari_imagec_ai.run.feed.inputs import InputImages, main_image
from napari_imagec_ai.run.maps.dense_run import DenseRun
from napari_imagec_ai.run.predicting import predict_as
from napari_imagec_ai.run.tiles.window_limits import main_input
from napari_imagec_ai.system import own_files, threads
from napari_imagec_ai.system.progress import Progress
from napari_imagec_ai.system.version import version


class Runner:
    """A recipe and its open network; a context manager.

    Parameters
    ----------
    model : Model
        The one that the recipe means.
    recipe : Recipe
        What to do.
    """

    def __init__(self, model: Model, recipe: Recipe) -> None:
        self.model = model
        self.recipe = recipe
        chosen = recipe.predict
        ready = threads.aside(compile_loops)
        self._engine: Engine = open_engine(
            model, chosen.engine, chosen.device, verify=chosen.verify
        )
        ready.join()

    def __enter__(self) -> Runner:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._engine.close()

    def _open(
        self,
        path: Path,
        axes: str | None,
        beside: Mapping[str, Path | Sequence[float]] | None,
    ) -> InputImages:
        chosen = self.recipe.predict
        image = chosen.believed(open_image(path, axes or chosen.axes, chosen.scene))
        if not beside:
            return image
        others = {
            name: open_image(given) if isinstance(given, Path) else given
            for name, given in beside.items()
        }
        return {main_input(self.model).id: image, **others}

    def _predict(
        self,
        images: InputImages,
        progress: Callable[[Progress], None] | None,
        dense: Callable[..., DenseRun],
    ) -> Prediction:
        return predict_as(
            dense,
            self.model,
            images,
            self.recipe.predict,
            engine=self._engine,
            progress=progress,
        )

    def predict_file(
        self,
        path: Path,
        dense: Callable[..., DenseRun],
        *,
        axes: str | None = None,
        beside: Mapping[str, Path | Sequence[float]] | None = None,
    ) -> None:
        """Run the network on one image file, and leave the results to ``dense``."""
        self._predict(self._open(path, axes, beside), None, dense)

    def run_file(
        self,
        path: Path,
        folder: Path,
        exports: Sequence[str] | None = None,
        *,
        axes: str | None = None,
        beside: Mapping[str, Path | Sequence[float]] | None = None,
        save_prediction: bool = False,
        progress: Callable[[Progress], None] | None = None,
        dense: Callable[..., DenseRun] = DenseRun,
        thumbnail: Path | None = None,
    ) -> dict[str, Any]:
        """Run the recipe on one image file and write the results.

        Parameters
        ----------
        path : Path
            The image.
        folder : Path
            Where files go.
        exports : sequence of str, optional
            Words of :data:`napari_imagec_ai.export.writing.EXPORTS`; by default those
            of its :data:`USUAL` that the objects can be written as.
        axes : str, optional
            Of the image, instead of what the file says.
        beside : mapping, optional
            What goes to other inputs of the network, by name: files, or numbers.
        save_prediction : bool
            Write the raw output, too.
        progress : callable, optional
            Called after each call of the network.
        dense : callable
            See :func:`napari_imagec_ai.run.predicting.predict_as`.
        thumbnail : Path, optional
            Where to write a small picture of what was found.

        Returns
        -------
        dict
            The report: what ran, how many objects, how long it took, which files.
        """
        started = time.perf_counter()
        images = self._open(path, axes, beside)
        chosen = self.recipe.predict
        prediction = self._predict(images, progress, dense)
        result = self.recipe.tune(prediction)
        seconds = time.perf_counter() - started
        used = Used(
            engine=prediction.engine,
            device=prediction.device,
            napari_imagec_ai=version(),
            assumed=result.assumed,
            found=found_out(chosen),
        )
        # What was measured on the network may be measured otherwise elsewhere.
        # Which engine is faster is measured, and may be measured otherwise elsewhere.
        ran = settled(chosen, prediction).model_copy(
            update={"engine": prediction.engine}
        )
        recipe = self.recipe.model_copy(update={"used": used, "predict": ran})
        image, stem = main_image(images, self.model), stem_of(path)
        read = [
            path,
            *(each for each in (beside or {}).values() if isinstance(each, Path)),
        ]
        with own_files.permitted(sources=read):
            files = []
            if save_prediction:
                place = folder / f"{stem}.prediction.npz"
                prediction.save(place)
                files.append(str(place))
            files += write_results(result, recipe, folder, stem, exports, image)
        if thumbnail is not None:
            write_thumbnail(result, image, thumbnail)
        name = recipe.decoder or ""
        return report_on(str(path), prediction, result, name, seconds, files, exports)


def write_results(
    result: Result,
    recipe: Recipe,
    folder: Path,
    stem: str,
    exports: Sequence[str] | None = None,
    image: ImageInput | None = None,
) -> list[str]:
    """Write a run's files, by default the usual ones; gives their names."""
    place = folder / f"{stem}.recipe.yaml"
    with own_files.permitted() as permit:
        own_files.check([place])
        written = write_all(result, folder, stem, exports, image, recipe.text())
        used = recipe.used.model_copy(update={"files": dict(permit.marks)})
        recipe.model_copy(update={"used": used}).save(place)
    return [str(path) for path in (*written, place)]


def report_on(
    image: str,
    prediction: Prediction,
    result: Result,
    decoder: str,
    seconds: float,
    files: Sequence[str],
    exports: Sequence[str] | None = None,
) -> dict[str, Any]:
    """What a run did, as plain values."""
    objects = result if isinstance(result, Objects) else None
    after = () if objects is None else implausible(prediction, objects)
    return {
        "image": image,
        "model": prediction.model.name,
        "engine": prediction.engine,
        "device": prediction.device,
        "decoder": decoder,
        "objects": 0 if objects is None else len(objects),
        "classes": {} if objects is None else objects.counts(),
        "measured": measured(result),
        "network_seconds": round(prediction.network_seconds, 4),
        "network_calls": prediction.network_calls,
        "total_seconds": round(seconds, 4),
        "files": list(files),
        "assumed": [*result.assumed, *lost(result, exports)],
        "warnings": [*prediction.doubts, *after],
        "object_size": prediction.object_size,
        "scale": list(prediction.scale),
    }
