"""Synthetic fluorescence images of cell nuclei with their instance labels.

The scenes stand in for DAPI-like micrographs: deformed, textured nuclei that
touch and crowd, differ in brightness and focus, and lie in uneven light and haze;
then optics and camera add blur, shot noise, read noise, offset and saturation.

Everything is drawn from the generator that the caller passes, so equal seeds give
equal scenes.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
from nuclei_layout import Canvas, Float, Labels, SceneStyle, draw_style, smooth_noise
from numpy.typing import NDArray
from scipy import ndimage as ndi

__all__ = ["SceneStyle", "draw_style", "make_scene", "make_stack"]

Image = NDArray[np.uint8] | NDArray[np.uint16]


def _seams(labels: Labels) -> NDArray[np.bool_]:
    """Pixels where two different nuclei meet."""
    low = np.where(labels > 0, labels, np.iinfo(np.int32).max)
    least = ndi.minimum_filter(low, 3)
    most = ndi.maximum_filter(labels, 3)
    return np.asarray((most > 0) & (least < most))


def specimen(canvas: Canvas) -> Float:
    """Draw all nuclei, layer by layer of focus, into one image of light."""
    style, rng = canvas.style, canvas.rng
    layers = [np.zeros(canvas.shape, np.float32) for _ in range(3)]
    for index, nucleus in enumerate(canvas.nuclei):
        window, light = canvas.draw(index)
        layers[nucleus.layer][window] += light
    shade = 1 - style.contact_shade * _seams(canvas.labels)
    total = layers[0] * shade.astype(np.float32)
    soft = rng.uniform(0.04, 0.07) * style.diameter
    for depth, layer in enumerate(layers[1:], start=1):
        if layer.any():
            total += ndi.gaussian_filter(layer, soft * depth, truncate=3)
    return total


def _surroundings(canvas: Canvas, nuclei: Float) -> Float:
    """Haze, nuclei far out of focus and uneven background."""
    style, rng, shape = canvas.style, canvas.rng, canvas.shape
    glow = ndi.gaussian_filter(nuclei, rng.uniform(0.8, 2.5) * style.diameter)
    scene = style.haze * glow + style.background
    stain = smooth_noise(rng, shape, rng.uniform(0.5, 5) * style.diameter)
    scene *= np.clip(1 + 0.3 * rng.random() * stain, 0.2, 3)
    if style.ghosts and canvas.nuclei:
        turned = nuclei[::-1, ::-1]  # other places, and no seam as a roll has
        far = ndi.gaussian_filter(turned, rng.uniform(0.3, 0.6) * style.diameter)
        patchy = np.clip(smooth_noise(rng, shape, 3 * style.diameter), 0, 2)
        scene += style.ghosts * far * patchy
    return np.asarray(scene, np.float32)


def _add_debris(canvas: Canvas, light: Float) -> None:
    """Sprinkle specks and short fibres that are no nuclei, in place."""
    style, rng, (height, width) = canvas.style, canvas.rng, canvas.shape
    number = rng.poisson(style.debris * (len(canvas.nuclei) + 5))
    dirt = np.zeros_like(light)
    for _ in range(number):
        y, x = rng.uniform(0, height), rng.uniform(0, width)
        dy, dx = rng.normal(0, 0.7, 2)
        fibre = rng.random() < 0.2
        length = int(rng.uniform(0.3, 1.5) * style.diameter) if fibre else 1
        steps = np.arange(length)
        rows = np.clip(y + dy * steps, 0, height - 1).astype(int)
        cols = np.clip(x + dx * steps, 0, width - 1).astype(int)
        dirt[rows, cols] = rng.uniform(0.5, 6)
    light += ndi.gaussian_filter(dirt, rng.uniform(0.5, 0.9)) * rng.uniform(0.3, 1.5)


def _illuminate(canvas: Canvas, light: Float) -> Float:
    """Multiply by a slanted, vignetted light field."""
    rng, (height, width) = canvas.rng, canvas.shape
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    sy, sx = rng.normal(0, 0.5, 2)
    cy, cx = rng.uniform(-0.5, 0.5, 2)
    field = 0.5 * (sy * y + sx * x) - 0.4 * ((y - cy) ** 2 + (x - cx) ** 2)
    field = np.exp(canvas.style.light * (field - field.mean()))
    return np.asarray(light * field, np.float32)


def _camera(rng: np.random.Generator, style: SceneStyle, light: Float) -> Image:
    """Count photons and turn them into grey values."""
    electrons = rng.poisson(np.clip(light, 0, None) * style.photons).astype(np.float32)
    electrons += rng.normal(0, style.read_noise, light.shape)
    full = 2**style.bits - 1
    grey = full * (style.offset + style.peak * electrons / style.photons)
    grey = np.clip(np.rint(grey), 0, full)
    image: Image = grey.astype(np.uint8 if style.bits == 8 else np.uint16)
    return image


def tidy(labels: Labels) -> Labels:
    """Keep the largest piece of every nucleus, drop slivers, number from 1."""
    out = np.zeros_like(labels)
    number = 0
    for index, window in enumerate(ndi.find_objects(labels), start=1):
        if window is None:
            continue
        pieces, n = ndi.label(labels[window] == index)
        sizes = np.bincount(pieces.ravel())[1:]
        # What is left of a nucleus that others cover cannot be told from them.
        if n == 0 or sizes.max() < 12:
            continue
        number += 1
        out[window][pieces == 1 + int(sizes.argmax())] = number
    return out


def make_stack(
    rng: np.random.Generator, planes: int, shape: tuple[int, int], style: SceneStyle
) -> NDArray[np.uint16]:
    """Make a stack of planes in which nuclei drift in and out of focus.

    Parameters
    ----------
    rng
        Source of all randomness.
    planes, shape
        Number of planes; height and width in pixels.
    style
        Looks of the scene; must be 16 bit.

    Returns
    -------
    NDArray[np.uint16]
        Grey values (Z, Y, X).
    """
    canvas = Canvas(rng, style, shape)
    canvas.fill()
    heights = rng.uniform(-0.5, planes - 0.5, len(canvas.nuclei))
    lights = [canvas.draw(index) for index in range(len(canvas.nuclei))]
    still = int(rng.integers(2**32))
    stack = np.zeros((planes, *shape), np.uint16)
    for z in range(planes):
        layers = np.zeros((4, *shape), np.float32)
        for height, (window, light) in zip(heights, lights, strict=True):
            depth = min(3, int(abs(height - z) + 0.3))
            layers[(depth, *window)] += light * 0.75**depth
        for depth in range(1, 4):
            blur = 0.07 * depth * style.diameter
            layers[depth] = ndi.gaussian_filter(layers[depth], blur)
        # Light and background stay the same from plane to plane, noise does not.
        canvas.rng = np.random.default_rng(still)
        stack[z] = expose(canvas, layers.sum(axis=0), rng)
    return stack


def expose(canvas: Canvas, light: Float, noise: np.random.Generator) -> Image:
    """Take the picture of the light that the nuclei emit."""
    light = light + _surroundings(canvas, light)
    light = ndi.gaussian_filter(light, canvas.style.psf, truncate=3)
    _add_debris(canvas, light)
    return _camera(noise, canvas.style, _illuminate(canvas, light))


def make_scene(
    rng: np.random.Generator,
    shape: tuple[int, int] = (512, 512),
    style: SceneStyle | None = None,
    **overrides: Any,
) -> tuple[Image, Labels]:
    """Make one synthetic micrograph of nuclei.

    Parameters
    ----------
    rng
        Source of all randomness.
    shape
        Height and width in pixels.
    style
        Looks of the scene; drawn at random if not given.
    **overrides
        Fields of `SceneStyle` to set, e.g. ``diameter=20, coverage=0.6``.

    Returns
    -------
    image
        Grey values (Y, X), uint8 or uint16.
    labels
        0 for background, 1 to n for the nuclei, (Y, X) int32.
    """
    unknown = set(overrides) - {f.name for f in fields(SceneStyle)}
    if unknown:
        raise ValueError(f"SceneStyle has no fields {sorted(unknown)}")
    style = replace(style or draw_style(rng), **overrides)
    canvas = Canvas(rng, style, shape)
    canvas.fill()
    image = expose(canvas, specimen(canvas), rng)
    return image, tidy(canvas.labels)
