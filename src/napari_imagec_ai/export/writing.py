"""Writes results to files; the suffix picks the format.

XY order lives only here. Files are written whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari_imagec_ai.errors import ImagecAIError
from napari_imagec_ai.export.format import (
    Beside,
    Format,
)
from napari_imagec_ai.export.formats import EXPORTS, FORMATS
from napari_imagec_ai.export.images import file_word, write_image, write_scores
from napari_imagec_ai.export.pace import Pace
from napari_imagec_ai.export.qupath import geojson
from napari_imagec_ai.export.sizes import lost_in_imagej
from napari_imagec_ai.export.tables import table
from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.results.images import Images
from napari_imagec_ai.results.objects import Objects
from napari_imagec_ai.results.result import Result
from napari_imagec_ai.results.scores import Scores
from napari_imagec_ai.system import own_files
from napari_imagec_ai.system.whole_files import replace_folder, replace_whole

__all__ = [
    "EXPORTS",
    "FORMATS",
    "USUAL",
    "Format",
    "fitting",
    "format_of",
    "geojson",
    "lost",
    "table",
    "write",
    "write_all",
    "write_as",
]

USUAL = ("labels", "csv", "geojson")
"""The words that a run writes unasked, as far as they fit."""

_OTHERS: dict[type, dict[str, Callable[[Any, Path], None]]] = {
    Images: {".tif": write_image},
    Scores: {".csv": write_scores},
}


def format_of(path: Path) -> Format:
    """The format that a file's name asks for: the longest suffix that fits.

    Raises
    ------
    ImagecAIError
        If there is none.
    """
    name = path.name.lower()
    fits = [
        (len(suffix), each)
        for each in FORMATS
        for suffix in (each.suffix, *each.others)
        if name.endswith(suffix)
    ]
    if fits:
        return max(fits, key=lambda pair: pair[0])[1]
    known = [(*each.others, each.suffix)[0] for each in FORMATS]
    raise _unknown(path, known)


def _unknown(path: Path, known: Sequence[str]) -> ImagecAIError:
    return ImagecAIError(
        f"'{path.name}' has no known format; expected one of {', '.join(known)}."
    )


def write(
    result: Result,
    path: str | Path,
    image: ImageInput | None = None,
    recipe: str = "",
    *,
    overwrite: bool = False,
) -> Path:
    """Write a result to a file.

    Parameters
    ----------
    result : Objects, Images or Scores
        All of it is written.
    path : path
        Its suffix picks the format, for objects one of :data:`FORMATS`: ``.tif``,
        ``.ome.tif``, ``.csv``, ``.geojson`` and so on. Images: ``.tif``. Scores:
        ``.csv``. A file that is there is replaced whole or not at all, and only if
        this software wrote it and nobody changed it since.
    image : ImageInput, optional
        The pixels in which the objects were found: for OME-Zarr, overlay and report.
    recipe : str, optional
        Text of the recipe, for the report.
    overwrite : bool
        Replace also what this software did not write; the file of ``image`` is never
        replaced.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ImagecAIError
        If the suffix is unknown, the objects do not fit the format, or the file cannot
        be written or replaced.
    """
    path = Path(path)
    with own_files.permitted(overwrite, _file_of(image)):
        if isinstance(result, Objects):
            return write_as(format_of(path).word, result, path, image, recipe)
        writers = _OTHERS[type(result)]
        writer = writers.get(path.suffix.lower())
        if writer is None:
            raise _unknown(path, list(writers))
        return replace_whole(path, lambda place: writer(result, place))


def _file_of(image: ImageInput | None) -> list[Path]:
    """The file that an image was opened from, as its key tells."""
    key = None if image is None else image.key
    if isinstance(key, tuple) and key and isinstance(key[0], str):
        return [Path(key[0])]
    return []


def write_as(
    word: str,
    objects: Objects,
    path: str | Path,
    image: ImageInput | None = None,
    recipe: str = "",
) -> Path:
    """Write objects in the format of a word of :data:`EXPORTS`, whatever the suffix.

    See :func:`write` for the rest.
    """
    chosen = _named(word)
    _check(objects, chosen)
    return _write(objects, Path(path), chosen, Beside(image, recipe))


def write_all(
    result: Result,
    folder: Path,
    stem: str,
    words: Sequence[str] | None = None,
    image: ImageInput | None = None,
    recipe: str = "",
    *,
    overwrite: bool = False,
    pace: Pace | None = None,
) -> list[Path]:
    """Write the files of a run.

    Parameters
    ----------
    result : Objects, Images or Scores
        What came out.
    folder : Path
        Where files go.
    stem : str
        What their names begin with.
    words : sequence of str, optional
        Some of :data:`EXPORTS`, for objects; by default those of :data:`USUAL` that
        fit. Images and scores have a format of their own.
    image, recipe, overwrite
        See :func:`write`.
    pace : Pace, optional
        Told how far it is, and asked whether to go on.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    ImagecAIError
        If the objects do not fit one of the formats or one of the files may not be
        replaced (then nothing is written), or a file cannot be written.
    """
    with own_files.permitted(overwrite, _file_of(image)):
        if not isinstance(result, Objects):
            return _write_others(result, folder, stem)
        if words is None:
            words = [word for word in USUAL if word in fitting(result)]
        chosen = [_named(word) for word in dict.fromkeys(words)]
        for each in chosen:
            _check(result, each)
        own_files.check(files_of(chosen, folder, stem))
        pace = pace or Pace()
        beside, written = Beside(image, recipe, pace), pace.written
        for number, each in enumerate(chosen):
            pace.begin(each.title, number, len(chosen))
            place = folder / f"{stem}{each.suffix}"
            written.append(_write(result, place, each, beside))
            written += [folder / each.also] if each.also else []
        return written


def files_of(chosen: Sequence[Format], folder: Path, stem: str) -> list[Path]:
    """The files of an image's own that objects are written to."""
    return [folder / f"{stem}{one.suffix}" for one in chosen]


def _write_others(result: Images | Scores, folder: Path, stem: str) -> list[Path]:
    if isinstance(result, Scores):
        return [write(result, folder / f"{stem}.scores.csv")]
    places = {name: folder / f"{stem}.{file_word(name)}.tif" for name in result.maps}
    own_files.check(list(places.values()))
    return [write(result[name], place) for name, place in places.items()]


def expected_files(
    gives: type[Result],
    folder: Path,
    stem: str,
    words: Sequence[str] | None,
    outputs: Sequence[str],
) -> list[Path]:
    """The files that a run will most likely write, before anything is known of it.

    Parameters
    ----------
    gives : type
        What the decoder gives: Objects, Images or Scores.
    folder, stem, words
        See :func:`write_all`.
    outputs : sequence of str
        Names of the network's outputs.
    """
    if gives is Images:
        return [folder / f"{stem}.{file_word(name)}.tif" for name in outputs]
    if gives is Scores:
        return [folder / f"{stem}.scores.csv"]
    return files_of([_named(word) for word in words or USUAL], folder, stem)


def fitting(objects: Objects) -> tuple[str, ...]:
    """The words of :data:`EXPORTS` that these objects can be written as."""
    return tuple(each.word for each in FORMATS if not each.lacks(objects))


def lost(result: Result, words: Sequence[str] | None = None) -> tuple[str, ...]:
    """Sentences on what the formats of these words cannot hold of a result.

    Parameters
    ----------
    result : Objects, Images or Scores
        What was written.
    words : sequence of str, optional
        See :func:`write_all`.
    """
    if isinstance(result, Images):
        return tuple(filter(None, (lost_in_imagej(result.frame),)))
    if not isinstance(result, Objects):
        return ()
    asked = [word for word in USUAL if word in fitting(result)]
    said = [_named(word).loses(result.frame) for word in (words or asked)]
    return tuple(dict.fromkeys(filter(None, said)))


def _named(word: str) -> Format:
    for each in FORMATS:
        if each.word == word:
            return each
    raise ImagecAIError(
        f"There is no export '{word}'; choose from {', '.join(EXPORTS)}."
    )


def _check(objects: Objects, chosen: Format) -> None:
    lacking = chosen.lacks(objects)
    if lacking:
        raise ImagecAIError(
            f"{chosen.title} cannot be written: {lacking}; what fits is "
            f"{', '.join(fitting(objects))}."
        )


def _write(objects: Objects, path: Path, chosen: Format, beside: Beside) -> Path:
    replace = replace_folder if chosen.folder else replace_whole
    return replace(path, lambda place: chosen.write(objects, place, beside))
