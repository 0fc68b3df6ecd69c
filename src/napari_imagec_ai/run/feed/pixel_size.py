"""Pixel sizes: the scale between an image and a network."""

from __future__ import annotations

from collections.abc import Sequence

from napari_imagec_ai.errors import ImageError
from napari_imagec_ai.image.image_input import ImageInput
from napari_imagec_ai.image.units import ratio as ratio_of
from napari_imagec_ai.model.description import TensorSpec
from napari_imagec_ai.run.settings import LEAST_SCALE, MOST_SCALE

_SAME = 0.02
"""Pixel sizes that differ by less are the same: resampling would cost sharpness."""


def chosen_scale(wanted: float | Sequence[float], space: str) -> tuple[float, ...]:
    """A person's scale, for each of the space axes.

    Raises
    ------
    ImageError
        If there are too many or too few, or one is out of range.
    """
    several = not isinstance(wanted, (int, float))
    scales = tuple(wanted) if isinstance(wanted, Sequence) else (wanted,) * len(space)
    if several and len(scales) == 1:
        scales = scales * len(space)
    sound = all(LEAST_SCALE <= scale <= MOST_SCALE for scale in scales)
    if len(scales) != len(space) or not sound:
        raise ImageError(
            f"Expected a scale from {LEAST_SCALE:g} to {MOST_SCALE:g} for each of the "
            f"axes '{space}', found {wanted}; give one number, or {len(space)}."
        )
    return tuple(float(scale) for scale in scales)


def natural_scale(
    spec: TensorSpec, image: ImageInput, space: str
) -> tuple[tuple[float, ...], str]:
    """Scale that gives the network pixels of the size it was made for.

    Parameters
    ----------
    spec : TensorSpec
        Its input.
    image : ImageInput
        The image.
    space : str
        The network's space axes, such as ``YX``.

    Returns
    -------
    scale, sentence
        Ones and no sentence where one of the pixel sizes is not known, or both are the
        same.
    """
    unchanged = (1.0,) * len(space)
    known = image.frame.sizes
    scales, sizes, unit = [], [], None
    for axis in space:
        wanted = spec.axis(axis.lower())
        ratio = None if wanted is None else ratio_of(image.unit, wanted.unit)
        if wanted is None or ratio is None or axis not in known:
            return unchanged, ""
        unit = wanted.unit
        sizes.append(wanted.pixel_size)
        scales.append(known[axis] * ratio / wanted.pixel_size)
    if all(abs(scale - 1) < _SAME for scale in scales):
        return unchanged, ""
    if not all(LEAST_SCALE <= scale <= MOST_SCALE for scale in scales):
        return unchanged, (
            f"The network was made for pixels of {_joined(sizes)} {unit}, which is too "
            f"far from those of '{image.name}' to resample; check its pixel size."
        )
    return tuple(scales), (
        f"The image was resampled to the pixel size that the network was made for, "
        f"{_joined(sizes)} {unit} ({space}); scale {_joined(scales)}."
    )


def _joined(numbers: Sequence[float]) -> str:
    return " x ".join(f"{number:.3g}" for number in numbers)
