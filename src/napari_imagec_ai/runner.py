"""Runs a recipe on image files, with one open network for all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from napari_imagec_ai import export
from napari_imagec_ai.engines import Engine, open_engine
from napari_imagec_ai.imagefile import open_image
from napari_imagec_ai.model import Model
from napari_imagec_ai.objects import Objects
from napari_imagec_ai.prediction import Prediction, predict
from napari_imagec_ai.progress import Progress
from napari_imagec_ai.recipe import Recipe, Used
from napari_imagec_ai.version import version


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
        self._engine: Engine = open_engine(model, chosen.engine, chosen.device)

    def __enter__(self) -> Runner:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._engine.close()

    def run_file(
        self,
        path: Path,
        folder: Path,
        exports: Sequence[str] | None = None,
        *,
        axes: str | None = None,
        save_prediction: bool = False,
        progress: Callable[[Progress], None] | None = None,
    ) -> dict[str, Any]:
        """Run the recipe on one image file and write the results.

        Parameters
        ----------
        path : Path
            The image.
        folder : Path
            Where files go.
        exports : sequence of str, optional
            Words of :data:`napari_imagec_ai.export.EXPORTS`; by default all that the
            objects can be written as.
        axes : str, optional
            Of the image, instead of what the file says.
        save_prediction : bool
            Write the raw output, too.
        progress : callable, optional
            Called after each call of the network.

        Returns
        -------
        dict
            The report: what ran, how many objects, how long it took, which files.
        """
        started = time.perf_counter()
        image = open_image(path, axes)
        chosen = self.recipe.predict
        prediction = predict(
            self.model,
            image,
            engine=self._engine,
            progress=progress,
            **chosen.arguments(),
        )
        objects = self.recipe.tune(prediction)
        seconds = time.perf_counter() - started
        files = []
        if save_prediction:
            place = folder / f"{path.stem}.prediction.npz"
            prediction.save(place)
            files.append(str(place))
        used = Used(
            engine=prediction.engine,
            device=prediction.device,
            napari_imagec_ai=version(),
            assumed=objects.assumed,
        )
        recipe = self.recipe.model_copy(update={"used": used})
        files += write_results(objects, recipe, folder, path.stem, exports)
        name = recipe.decoder or ""
        return report_on(str(path), prediction, objects, name, seconds, files)


def write_results(
    objects: Objects,
    recipe: Recipe,
    folder: Path,
    stem: str,
    exports: Sequence[str] | None = None,
) -> list[str]:
    """Write a run's files, by default all that there can be; gives their names."""
    files = [
        str(export.write(objects, folder / f"{stem}{export.EXPORTS[name]}"))
        for name in (export.fitting(objects) if exports is None else exports)
    ]
    files.append(str(recipe.save(folder / f"{stem}.recipe.yaml")))
    return files


def report_on(
    image: str,
    prediction: Prediction,
    objects: Objects,
    decoder: str,
    seconds: float,
    files: Sequence[str],
) -> dict[str, Any]:
    """What a run did, as plain values."""
    return {
        "image": image,
        "model": prediction.model.name,
        "engine": prediction.engine,
        "device": prediction.device,
        "decoder": decoder,
        "objects": len(objects),
        "classes": objects.counts(),
        "network_seconds": round(prediction.network_seconds, 4),
        "network_calls": prediction.network_calls,
        "total_seconds": round(seconds, 4),
        "files": list(files),
        "assumed": list(objects.assumed),
    }
