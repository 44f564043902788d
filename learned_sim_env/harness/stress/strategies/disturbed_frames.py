"""What can be done to a camera's frame (H, W, 3) uint8 alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from learned_sim_env.spec import CAMERAS, CameraSpec

# What strength 1 means: share of the height that a square patch has, standard deviation of noise [of 255], sight [m] in
# haze; and what is left of that in the clear. What stands above the horizon counts as being `BEYOND` [m].
PATCH, NOISE, DENSE, CLEAR, BEYOND = 0.6, 0.25, 8.0, 400.0, 60.0
HAZE = np.array((176, 180, 186), np.uint8)
# What dirt looks like from behind.
DARK = np.array((14, 13, 12), np.uint8)


@dataclass(frozen=True, eq=False)
class Patch:
    """A square of colours (side, side, 3) uint8 whose upper left corner is at row `top`, column `left`."""

    top: int
    left: int
    colours: np.ndarray

    @staticmethod
    def drawn(rng: np.random.Generator, shape: Sequence[int], strength: float) -> Patch:
        """Somewhere in a frame of a shape; cells of it are a quarter of its side, so that they survive convolutions."""
        side = min(round(strength * PATCH * shape[0]), *shape[:2])
        top, left = int(rng.integers(shape[0] - side + 1)), int(rng.integers(shape[1] - side + 1))
        cells = rng.integers(0, 256, (4, 4, 3)).astype(np.uint8)
        at = np.arange(side) * 4 // max(side, 1)
        return Patch(top, left, cells[at][:, at])

    def paint(self, view: np.ndarray) -> None:
        """Put it over a frame, in place."""
        side = len(self.colours)
        view[self.top : self.top + side, self.left : self.left + side] = self.colours


def cover(view: np.ndarray, share: float, edge: int) -> None:
    """Make a share of a frame dark, in place, from the left, right, lower or upper `edge` (0 to 3) on."""
    turned = view if edge >= 2 else view.swapaxes(0, 1)
    lines = round(share * len(turned))
    turned[len(turned) - lines if edge in (1, 2) else 0 :][:lines] = DARK


def blurred(view: np.ndarray, radius: int) -> np.ndarray:
    """Every pixel is the mean of the square around it; at the edges, of what there would be if they went on."""
    total = box_sums(view.astype(np.int32), radius, (0, 1))
    return (total / (2 * radius + 1) ** 2).round().astype(np.uint8)


def box_sums(values: np.ndarray, radius: int, axes: Sequence[int]) -> np.ndarray:
    """Sums of integers over the box of a radius around every place, along two axes, the edges repeated."""
    for axis in axes:
        pad = [(0, 0)] * values.ndim
        pad[axis] = (radius + 1, radius)
        total = np.pad(values, pad, mode="edge").cumsum(axis)
        places = np.arange(values.shape[axis])
        values = np.take(total, places + 2 * radius + 1, axis) - np.take(total, places, axis)
    return values


def noisy(view: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """With normal noise on every number."""
    noise = rng.standard_normal(view.shape, np.float32) * np.float32(255 * NOISE * strength)
    return np.clip(view + noise, 0, 255).round().astype(np.uint8)


def hazy(view: np.ndarray, name: str, strength: float) -> np.ndarray:
    """Behind a haze of one colour: of a colour, exp(-distance / sight) is left (Koschmieder's law).

    name: of the camera; an unknown one looks straight ahead. Distances are those of flat ground.
    """
    sight = CLEAR * (DENSE / CLEAR) ** strength
    left = np.exp(-ground_distances(name, view.shape[:2]) / sight)[..., None]
    return (view * left + HAZE * (1 - left)).round().astype(np.uint8)


def ground_distances(name: str, size: Sequence[int]) -> np.ndarray:
    """(H, W) [m] from a camera to the flat ground that its pixels show, at most `BEYOND`."""
    camera = replace(CAMERAS.get(name, CameraSpec()), height=size[0], width=size[1])
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]] + 0.5
    rays = camera.rays(rows, columns)
    down = np.maximum(-rays[..., 2] / np.linalg.norm(rays, axis=-1), 1e-6)
    return np.minimum(camera.position[2] / down, BEYOND)
