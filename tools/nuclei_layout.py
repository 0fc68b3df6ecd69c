"""Style, layout and light of the nuclei of one synthetic scene.

`draw_style` draws what the nuclei of a scene have in common; a `Canvas` places them
without impossible overlaps and draws the light each one emits. Optics and camera
are in `synthetic_nuclei`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

Float = NDArray[np.float32]
Labels = NDArray[np.int32]

_TEXTURE_SIZE = 256  # side of the periodic noise fields the nuclei take chromatin from


@dataclass(frozen=True)
class SceneStyle:
    """What all nuclei of one image have in common, lengths in pixels.

    Attributes
    ----------
    diameter, spread
        Typical nuclear diameter, and the relative deviation between nuclei.
    coverage, count
        Part of the area that nuclei cover, and the largest number of nuclei.
    clustering, overlap
        Chance that a nucleus grows next to another, and the part of it that may lie
        on others.
    elongation, irregularity
        Mean excess of the aspect ratio over 1, and the size of shape deformations.
    dome, texture, grain, nucleoli
        Dimming towards the rim, contrast and relative size of chromatin, chance of
        dark nucleoli.
    brightness_sigma, faint
        Log deviation of brightness between nuclei, chance of a very faint nucleus.
    defocus
        Part of the nuclei that are visibly out of focus (but still outlined).
    contact_shade
        Depth of the dark seam between nuclei that press on each other.
    psf
        Standard deviation of the optical blur.
    background, haze, ghosts, light, debris
        Even background and glow relative to a nucleus, strength of nuclei too far
        out of focus to outline, unevenness of the light, dirt specks per nucleus.
    photons, read_noise
        Photons of a typical nucleus, and read noise in photons.
    bits, offset, peak
        Bit depth, camera offset and grey value of a typical nucleus as parts of the
        full range.
    """

    diameter: float = 30.0
    spread: float = 0.15
    coverage: float = 0.35
    count: int = 4000
    clustering: float = 0.5
    overlap: float = 0.1
    elongation: float = 0.3
    irregularity: float = 0.06
    dome: float = 0.3
    texture: float = 0.2
    grain: float = 0.08
    nucleoli: float = 0.4
    brightness_sigma: float = 0.3
    faint: float = 0.05
    defocus: float = 0.15
    contact_shade: float = 0.3
    psf: float = 1.0
    background: float = 0.1
    haze: float = 0.1
    ghosts: float = 0.1
    light: float = 0.2
    debris: float = 0.02
    photons: float = 300.0
    read_noise: float = 3.0
    bits: int = 16
    offset: float = 0.002
    peak: float = 0.05


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is evenly distributed."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _draw_layout(rng: np.random.Generator) -> dict[str, Any]:
    """Size, shape and crowding of the nuclei of one random scene."""
    kind = rng.random()
    if kind < 0.07:  # nearly empty: at most a handful of nuclei
        coverage, count = 0.5, int(rng.integers(0, 4))
    elif kind < 0.42:
        coverage, count = float(rng.uniform(0.04, 0.3)), 4000
    else:
        coverage, count = float(rng.uniform(0.3, 0.8)), 4000
    # Every size, and more of what a 20x to 40x objective commonly shows.
    common = rng.random() < 0.35
    diameter = float(rng.uniform(20, 50)) if common else log_uniform(rng, 8, 60)
    return {
        "diameter": diameter,
        "spread": float(rng.uniform(0.05, 0.3)),
        "coverage": coverage,
        "count": count,
        "clustering": float(rng.uniform(0.1, 0.95)),
        "overlap": float(rng.choice([0.02, 0.1, 0.2, 0.3])),
        "elongation": float(rng.uniform(0.05, 0.7)),
        "irregularity": float(rng.uniform(0.01, 0.13)),
    }


def draw_style(rng: np.random.Generator) -> SceneStyle:
    """Draw a random style, from sparse clean cultures to murky crowded tissue."""
    layout = _draw_layout(rng)
    bits = 8 if rng.random() < 0.4 else 16
    return SceneStyle(
        **layout,
        dome=float(rng.uniform(-0.15, 0.9)),
        texture=float(rng.uniform(0.0, 0.55)),
        grain=float(rng.uniform(0.04, 0.2)),
        nucleoli=float(rng.uniform(0, 0.8)),
        brightness_sigma=float(rng.uniform(0.08, 0.6)),
        faint=float(rng.choice([0.0, 0.05, 0.2])),
        defocus=float(rng.choice([0.0, 0.1, 0.3, 0.6])),
        contact_shade=float(rng.uniform(0, 0.9)),
        psf=log_uniform(rng, 0.5, 0.7 + 0.05 * layout["diameter"]),
        background=log_uniform(rng, 0.01, 0.6),
        haze=log_uniform(rng, 0.02, 0.7),
        ghosts=float(rng.choice([0.0, 0.15, 0.4, 0.7])),
        light=float(rng.uniform(0, 0.6)),
        debris=float(rng.choice([0.0, 0.02, 0.1])),
        photons=log_uniform(rng, max(12, 400 / layout["diameter"]), 3000),
        read_noise=log_uniform(rng, 0.5, 6),
        bits=bits,
        offset=log_uniform(rng, 0.0005, 0.08),
        peak=log_uniform(rng, 0.08 if bits == 8 else 0.006, 0.6),
    )


@dataclass(frozen=True)
class Nucleus:
    """Outline and looks of one nucleus; `wave` holds shape amplitudes and phases."""

    y: float
    x: float
    radius: float
    aspect: float
    angle: float
    wave: NDArray[np.float64]
    brightness: float
    dome: float
    texture: float
    layer: int  # 0 in focus, 1 a little out of focus, 2 more
    spots: NDArray[np.float64]  # (n, 4): y, x, size, depth in units of the radius


def _draw_nucleus(
    rng: np.random.Generator, style: SceneStyle, y: float, x: float
) -> Nucleus:
    radius = style.diameter / 2 * float(np.exp(rng.normal(0, style.spread)))
    aspect = 1 + float(np.clip(rng.gamma(2, style.elongation / 2), 0, 1.6))
    orders = np.arange(2, 6)
    wave = np.stack(
        [rng.normal(0, style.irregularity, 4) / (orders - 1), rng.uniform(0, 7, 4)]
    )
    brightness = float(np.exp(rng.normal(0, style.brightness_sigma)))
    if rng.random() < style.faint:
        brightness *= float(rng.uniform(0.2, 0.5))
    if rng.random() < 0.015:  # condensed: mitotic or dying
        brightness *= float(rng.uniform(1.5, 3.0))
        radius, aspect = radius * 0.7, aspect * 1.3
    layer = int(rng.integers(1, 3)) if rng.random() < style.defocus else 0
    spots = np.zeros((0, 4))
    if rng.random() < style.nucleoli:
        spots = np.stack(
            [
                *rng.uniform(-0.55, 0.55, (2, n := int(rng.integers(1, 6)))),
                rng.uniform(0.08, 0.25, n),
                # Mostly dark nucleoli; some bright chromocentres.
                rng.uniform(-0.6, 0.5 if rng.random() < 0.4 else -0.2, n),
            ],
            axis=1,
        )
    return Nucleus(
        y,
        x,
        max(radius, 3.2),
        aspect,
        float(rng.uniform(0, np.pi)),
        wave,
        brightness,
        float(np.clip(style.dome + rng.normal(0, 0.1), -0.2, 0.95)),
        style.texture * float(rng.uniform(0.4, 1.3)),
        layer,
        spots,
    )


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, int], sigma: float
) -> Float:
    """Periodic smooth noise of unit deviation."""
    # A coarse grid does for wide noise and keeps the filter cheap.
    step = max(1, int(sigma / 4))
    small = [max(4, -(-n // step)) for n in shape]
    noise = ndi.gaussian_filter(
        rng.standard_normal(small), sigma / step, mode="wrap", truncate=3
    )
    if step > 1:
        zoom = [n / s for n, s in zip(shape, small, strict=True)]
        noise = ndi.zoom(noise, zoom, order=1, mode="grid-wrap", grid_mode=True)
    return np.asarray(noise / (noise.std() + 1e-9), np.float32)


class Canvas:
    """The scene while nuclei are laid out and drawn."""

    def __init__(
        self, rng: np.random.Generator, style: SceneStyle, shape: tuple[int, int]
    ) -> None:
        self.rng, self.style, self.shape = rng, style, shape
        self.labels: Labels = np.zeros(shape, np.int32)
        self.nearness = np.ones(shape, np.float32)
        self.nuclei: list[Nucleus] = []
        amplitude = 0.6 * style.irregularity * style.diameter
        self.warp = [
            amplitude * smooth_noise(rng, shape, 0.4 * style.diameter) for _ in range(2)
        ]
        side = (_TEXTURE_SIZE, _TEXTURE_SIZE)
        grain = max(0.7, style.grain * style.diameter)
        self.chromatin = (
            0.7 * smooth_noise(rng, side, grain)
            + 0.3 * smooth_noise(rng, side, 2.5 * grain)
        ).astype(np.float32)

    def window(self, nucleus: Nucleus) -> tuple[slice, slice]:
        """Return the part of the scene that the nucleus can reach."""
        reach = nucleus.radius * np.sqrt(nucleus.aspect) * 1.35 + 4
        low = [max(0, int(c - reach)) for c in (nucleus.y, nucleus.x)]
        high = [
            max(0, min(n, int(c + reach) + 2))
            for n, c in zip(self.shape, (nucleus.y, nucleus.x), strict=True)
        ]
        return slice(low[0], high[0]), slice(low[1], high[1])

    def place(
        self, nucleus: Nucleus, window: tuple[slice, slice]
    ) -> tuple[Float, Float, Float]:
        """Nuclear coordinates of the window's pixels.

        Returns
        -------
        rho
            Distance from the centre, 1 on the outline.
        v, u
            Position along the axes of the nucleus, in units of its radius.
        """
        yy, xx = np.ogrid[window]
        dy = yy - nucleus.y + self.warp[0][window]
        dx = xx - nucleus.x + self.warp[1][window]
        cos, sin = np.cos(nucleus.angle), np.sin(nucleus.angle)
        stretch = nucleus.radius * np.sqrt(nucleus.aspect)
        squeeze = nucleus.radius / np.sqrt(nucleus.aspect)
        u = (cos * dx + sin * dy) / stretch
        v = (cos * dy - sin * dx) / squeeze
        theta = np.arctan2(v, u)
        outline = np.ones_like(u)
        for order, (amp, phase) in enumerate(nucleus.wave.T, start=2):
            outline += amp * np.cos(order * theta + phase)
        rho = np.hypot(u, v) / np.clip(outline, 0.5, 1.3)
        return rho.astype(np.float32), v.astype(np.float32), u.astype(np.float32)

    def _propose(self) -> tuple[float, float]:
        """Pick a centre: anywhere, or beside a nucleus that is there already."""
        rng = self.rng
        if self.nuclei and rng.random() < self.style.clustering:
            other = self.nuclei[int(rng.integers(len(self.nuclei)))]
            turn = rng.uniform(0, 2 * np.pi)
            reach = (other.radius + self.style.diameter / 2) * rng.uniform(0.75, 1.15)
            return other.y + reach * np.sin(turn), other.x + reach * np.cos(turn)
        height, width = self.shape
        margin = self.style.diameter / 2
        return (
            float(rng.uniform(-margin, height + margin)),
            float(rng.uniform(-margin, width + margin)),
        )

    def fill(self) -> None:
        """Lay out nuclei until the wanted coverage or no room is left."""
        height, width = self.shape
        wanted = self.style.coverage * height * width
        area = np.pi / 4 * self.style.diameter**2
        tries = int(50 + 14 * wanted / area)
        covered = 0
        for _ in range(tries):
            if covered >= wanted or len(self.nuclei) >= self.style.count:
                break
            y, x = self._propose()
            if not (-20 < y < height + 20 and -20 < x < width + 20):
                continue
            inside = 0 <= y < height and 0 <= x < width
            if inside and self.labels[int(y), int(x)]:
                continue
            covered += self._try(_draw_nucleus(self.rng, self.style, y, x))

    def _try(self, nucleus: Nucleus) -> int:
        """Add the nucleus if it fits and return the pixels it newly covers."""
        window = self.window(nucleus)
        rho, _, _ = self.place(nucleus, window)
        mask = rho < 1
        area = int(mask.sum())
        if area < 6:
            return 0
        shared = int((mask & (self.labels[window] > 0)).sum())
        if shared > self.style.overlap * area:
            return 0
        self.nuclei.append(nucleus)
        # Where two overlap, each keeps what lies nearer to its own centre.
        mine = mask & (rho < self.nearness[window])
        self.labels[window][mine] = len(self.nuclei)
        self.nearness[window][mine] = rho[mine]
        return area - shared

    def draw(self, index: int) -> tuple[tuple[slice, slice], Float]:
        """Light of one nucleus before optics, with the window it belongs to."""
        nucleus, rng = self.nuclei[index], self.rng
        window = self.window(nucleus)
        rho, v, u = self.place(nucleus, window)
        body = 1 - nucleus.dome * np.clip(rho, 0, 1) ** 2
        rows = np.arange(rho.shape[0]) + int(rng.integers(_TEXTURE_SIZE))
        cols = np.arange(rho.shape[1]) + int(rng.integers(_TEXTURE_SIZE))
        grain = self.chromatin[np.ix_(rows % _TEXTURE_SIZE, cols % _TEXTURE_SIZE)]
        body = body * np.clip(1 + nucleus.texture * grain, 0.15, 2.5)
        for sy, sx, size, depth in nucleus.spots:
            body *= 1 + depth * np.exp(-((v - sy) ** 2 + (u - sx) ** 2) / size**2)
        edge = np.clip((1 - rho) * nucleus.radius + 0.5, 0, 1)
        if rng.random() > self.style.overlap * 2.5:
            # Pressed against its neighbours rather than lying on them.
            rival = (self.labels[window] > 0) & (self.labels[window] != index + 1)
            edge = np.where(rival, edge * 0.1, edge)
        return window, (nucleus.brightness * body * edge).astype(np.float32)
