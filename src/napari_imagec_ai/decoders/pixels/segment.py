"""From what a network says about each pixel to labelled objects.

Pixels above the mask threshold are foreground. Touching objects are taken apart by the
boundaries or the distances that the network drew, and by their shape: see
:mod:`napari_imagec_ai.decoders.splitting.split_touching`. Where it drew neither, each
part of the foreground first gets the level that suits it: see
:mod:`napari_imagec_ai.decoders.splitting.own_level`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from pydantic import Field

from napari_imagec_ai.decoders.activation import Activation
from napari_imagec_ai.decoders.decoder import OF_MODEL, Settings
from napari_imagec_ai.decoders.output_grid import Map, OutputGrid
from napari_imagec_ai.decoders.splitting import split_touching
from napari_imagec_ai.decoders.splitting.faint_parts import faint_parts
from napari_imagec_ai.decoders.splitting.own_level import own_levels
from napari_imagec_ai.decoders.tabulate import Regions
from napari_imagec_ai.results.prediction import Prediction
from napari_imagec_ai.system import threads

NECK_WHERE_DRAWN = 0.5
"""Where the network tells objects apart, shape only parts what is nearly cut off."""

NECK_OF_MEMBRANES = 0.6
"""Where there are only membranes: gaps in them are narrower, waists of cells wider."""

_MEMBRANE = 2
"""Membranes up to twice as thick (pixels) are given to the objects on both sides."""

_STAIRS = 0.9
"""Pixels that the shape is smoothed by along any axis, however large they are."""

_FAINT = 1e-6
"""The least that a boundary is taken for where it parts objects: more than nothing."""


class RegionSettings(Settings):
    """What a person may set for objects that are made from probabilities of pixels."""

    mask_threshold: float = Field(
        0.5,
        ge=0.01,
        le=0.99,
        description="Pixels are foreground where the network is at least this sure.",
    )
    split: bool = Field(True, description="Take touching objects apart.")
    neck: float = Field(
        0.96,
        ge=0.0,
        le=1.0,
        description="Parts are taken apart where the neck between them is narrower "
        "than this share of the smaller part; 0: never by shape, only at boundaries.",
    )
    fill_holes: bool = Field(True, description="Fill holes in objects.")
    min_size: int = Field(
        10,
        ge=0,
        le=1_000_000,
        description="Smaller specks (pixels) are no objects.",
    )
    min_confidence: float = Field(
        0.0,
        ge=0.0,
        le=1.0,
        description="Objects less sure than this are taken for noise and are not among "
        "those found; the minimum confidence (class threshold) chooses among these.",
    )
    activation: Activation = Field(
        "auto",
        description="Turns the output into probabilities; auto: by the description, "
        "else by the range of the values.",
        json_schema_extra={OF_MODEL: True},
    )
    output: str = Field(
        "",
        description="Name of the network's output; empty: the main one.",
        json_schema_extra={OF_MODEL: True},
    )


R = TypeVar("R", bound=RegionSettings)


_NOTICED = 0.01
"""Share of the pixels above the threshold whose loss is told."""

_OWN_LEVELS = (
    "Parts that look like several objects, or have very soft edges, were taken above "
    "the mask threshold, each at a level of its own: they are smaller than all pixels "
    "above the threshold. Without Split touching objects every such pixel counts."
)

_FAINT_COUNTS = 0.5

_FAINT_PARTS = (
    "Parts that the network is nowhere nearly as sure of as of the others have half "
    "their confidence; lower the minimum confidence to see them."
)


def settled(
    resolve: Callable[[Prediction, R], tuple[Activation, str]],
) -> Callable[[Prediction, R], tuple[R, str]]:
    """What :class:`Decoder` calls ``settle``: the activation is that of the whole."""

    def settle(prediction: Prediction, settings: R) -> tuple[R, str]:
        chosen, sentence = resolve(prediction, settings)
        return settings.model_copy(update={"activation": chosen}), sentence

    return settle


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What a network says about the pixels of one plane or volume.

    Attributes
    ----------
    whole : float32
        Probability of being in an object.
    interior : float32, or None
        Probability of being in an object and away from its rim; None: like ``whole``.
    rim : float32, or None
        Probability of being where an object ends.
    depth : float32, or None
        How deep inside an object, in any unit, 0 or less at its rim and outside.
    membranes : bool
        Whether ``whole`` leaves out membranes that objects share.
    """

    whole: Map
    interior: Map | None = None
    rim: Map | None = None
    depth: Map | None = None
    membranes: bool = False


def segment(evidence: Evidence, settings: RegionSettings, grid: OutputGrid) -> Regions:
    """Label the objects of one plane or volume."""
    known, mask, sentence = _masks(evidence, settings)
    labels, count = part(mask, known, evidence, settings, grid)
    if evidence.membranes:
        labels = split_touching.close_gaps(labels, count, _reach(grid.spacing))
    smallest = settings.min_size
    sure, doubt = _sureness(evidence, mask, settings)
    told = tuple(filter(None, (sentence, doubt)))
    return Regions(labels, count, sure, known, None, smallest, told)


def carry(
    before: split_touching.Labels,
    highest: int,
    evidence: Evidence,
    settings: RegionSettings,
    grid: OutputGrid,
) -> Regions:
    """Label the objects of another threshold, taken apart as they were.

    Parameters
    ----------
    before : int32
        Labels of the same plane or volume, from :func:`segment`.
    highest : int
        The highest of them.
    evidence, settings, grid
        As for :func:`segment`.
    """
    known, mask, sentence = _masks(evidence, settings)
    smallest = grid.scaled(settings.min_size)
    labels, count = split_touching.carry(mask, before, highest, smallest)
    smallest = settings.min_size
    sure, doubt = _sureness(evidence, mask, settings)
    told = tuple(filter(None, (sentence, doubt)))
    return Regions(labels, count, sure, known, None, smallest, told)


def only_threshold(settings: R, before: R) -> bool:
    """Whether nothing but the mask threshold differs."""
    same = {"mask_threshold": before.mask_threshold}
    return settings.model_copy(update=same) == before


def _masks(
    evidence: Evidence, settings: RegionSettings
) -> tuple[split_touching.Mask, split_touching.Mask, str]:
    """Pixels that the network calls foreground, with holes filled; what was assumed."""
    known, sentence = evidence.whole >= settings.mask_threshold, ""
    if settings.split and _is_plain(evidence):
        above = int(np.count_nonzero(known))
        known = own_levels(known, evidence.whole)
        if above - int(np.count_nonzero(known)) > _NOTICED * above:
            sentence = _OWN_LEVELS
    if not settings.fill_holes:
        return known, known, sentence
    if evidence.membranes:
        return known, fill_membranes(known), sentence
    return known, split_touching.fill_holes(known), sentence


def _sureness(
    evidence: Evidence, mask: split_touching.Mask, settings: RegionSettings
) -> tuple[Map, str]:
    """What counts for the confidence of objects; a sentence where that is less."""
    whole = evidence.whole
    faint = faint_parts(mask, whole) if settings.split and _is_plain(evidence) else None
    if faint is None:
        return whole, ""
    return np.where(faint, _FAINT_COUNTS * whole, whole), _FAINT_PARTS


def _is_plain(evidence: Evidence) -> bool:
    """Whether nothing but a foreground is there to tell objects of a plane apart."""
    drawn = evidence.interior is not None or evidence.depth is not None
    return evidence.whole.ndim == 2 and not drawn and not evidence.membranes


def _reach(spacing: tuple[float, ...]) -> tuple[int, ...]:
    """Half the thickness of membranes; between planes far apart they still have two."""
    return tuple(max(round(_MEMBRANE * min(spacing) / step), 1) for step in spacing)


def fill_membranes(mask: split_touching.Mask) -> split_touching.Mask:
    """Fill what lies in a single object; between several it is a membrane."""
    parts, count = split_touching.components(mask)
    return split_touching.fill_between(parts, count) > 0


def part(
    mask: split_touching.Mask,
    known: split_touching.Mask,
    evidence: Evidence,
    settings: RegionSettings,
    grid: OutputGrid,
) -> tuple[split_touching.Labels, int]:
    """Label the objects of a mask, in which holes were filled already.

    Parameters
    ----------
    mask : bool
        Pixels of objects.
    known : bool
        Those of them that were not only filled in.
    evidence, settings, grid
        As for :func:`segment`.
    """
    smallest = grid.scaled(settings.min_size)
    if not settings.split:
        labels, count = split_touching.components(mask)
        return split_touching.without_small(labels, count, smallest)
    relief = _relief(mask, known, evidence, settings, grid)
    return split_touching.split_touching(mask, relief, settings.neck, smallest)


def _weigh(depth: Map, whole: Map, known: split_touching.Mask) -> None:
    """Lower what the network is not sure of."""
    sure = np.clip(whole, 0, 1)
    np.sqrt(sure, out=sure)
    # Of a hole that was filled, the network is not sure, but we are.
    np.copyto(sure, 1, where=~known)
    depth *= sure


def _relief(
    mask: split_touching.Mask,
    known: split_touching.Mask,
    evidence: Evidence,
    settings: RegionSettings,
    grid: OutputGrid,
) -> Map:
    """Hills for objects: how deep a pixel lies inside, and how sure the network is."""
    interior = mask
    if evidence.interior is not None:
        interior = mask & (evidence.interior >= settings.mask_threshold)
        if settings.fill_holes:
            interior = split_touching.fill_holes(interior)
    if evidence.depth is not None:
        # The network's own depth ends at other objects, too, whatever its unit is.
        depth, sigmas = np.fmax(evidence.depth, 0), grid.sigmas(1.0)
    else:
        depth = split_touching.distance(interior, grid.spacing)
        inside = int(np.count_nonzero(interior))
        # A disc's mean depth is a third of its radius: smooth by a tenth of that
        # radius, enough for the ripples of a pixel outline and too little to close a
        # neck.
        mean = float(depth.sum(dtype=np.float64)) / inside if inside else 10 / 3
        sigma = min(max(0.3 * mean, 0.6), 2.5)
        # Less along z leaves the stairs of planes far apart, which look like necks.
        sigmas = grid.sigmas(sigma, least=min(sigma, _STAIRS))
        threads.map_parts(
            lambda rows: _weigh(depth[rows], evidence.whole[rows], known[rows]),
            threads.slabs(depth.shape),
        )
    hills = split_touching.smooth(depth, interior, sigmas)
    if evidence.rim is None:
        return hills
    # Between interiors the seam follows the strongest boundary, below all hills.
    np.copyto(hills, -np.inf, where=~mask)
    between = np.flatnonzero(mask & ~interior)
    rim = evidence.rim.reshape(-1)[between]
    hills.reshape(-1)[between] = -np.clip(np.fmax(rim, _FAINT), 0, 1)
    return hills
