"""A mesh: a few flat faces in a box of unit size, and how it is built part by part.

Unit coordinates: x forward and y left from -0.5 to 0.5, z up from 0 to 1; its sizes stretch them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

CORNERS = 8  # of a face; smaller ones repeat their last corner.


class Material(IntEnum):
    """What a face is made of. `shading` says how each of them looks."""

    BODY = 0  # painted, in the thing's own colour
    TRIM = 1
    GLASS = 2
    TYRE = 3
    HEADLIGHT = 4
    TAILLIGHT = 5
    CARGO = 6
    LEAF = 7
    LEAF_DARK = 8
    LEAF_LIGHT = 9
    NEEDLE = 10
    NEEDLE_DARK = 11
    TRUNK = 12
    WALL = 13
    ROOF = 14
    WINDOW = 15
    METAL = 16
    LAMP = 17
    WHITE = 18
    ORANGE = 19
    RED = 20
    SKIN = 21
    SHIRT = 22
    TROUSERS = 23
    RED_LIGHT = 24


@dataclass(frozen=True, eq=False)
class Mesh:
    """F flat faces.

    corners: (F, 8, 3) float32 unit coordinates, counter-clockwise seen from outside. materials: (F,) int.
    centres: (F, 3) float32, middle of the part that a face belongs to; parts of a tier hide each other by distance.
    tiers: (F,) int; a higher tier is painted over a lower one of the same thing. decals: (F,) bool, painted on their
    part. details: (F,) bool, left out far away. flat: turned to face the camera, and seen from both sides.
    """

    corners: np.ndarray
    materials: np.ndarray
    centres: np.ndarray
    tiers: np.ndarray
    decals: np.ndarray
    details: np.ndarray
    flat: bool = False


class MeshBuilder:
    """Collects the faces of a mesh, part by part; `tier` is that of the part that was begun last."""

    def __init__(self, flat: bool = False):
        self._rows: list[tuple] = []
        self._flat = flat
        self._centre = np.zeros(3)
        self.tier = 0

    def box(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        z: tuple[float, float],
        material: Material,
        tier: int = 0,
        top: tuple[float, float, float, float] | None = None,
        roof: Material | None = None,
    ) -> None:
        """A part: a box without a bottom, which narrows to `top` (x0, x1, y0, y1) if given."""
        (x0, x1), (y0, y1), (z0, z1) = x, y, z
        u0, u1, v0, v1 = top or (x0, x1, y0, y1)
        low = np.array([(x0, y0, z0), (x1, y0, z0), (x1, y1, z0), (x0, y1, z0)])
        high = np.array([(u0, v0, z1), (u1, v0, z1), (u1, v1, z1), (u0, v1, z1)])
        self._centre, self.tier = (low.mean(0) + high.mean(0)) / 2, tier
        for i, j in ((1, 2), (3, 0), (2, 3), (0, 1)):  # front, back, left, right
            self.face([low[i], low[j], high[j], high[i]], material)
        self.face(high, material if roof is None else roof)

    def face(self, corners: Iterable, material: Material, decal: bool = False, detail: bool = False) -> None:
        """A face of the part that was begun last."""
        points = np.array(list(corners), np.float32)
        padded = np.concatenate([points, np.repeat(points[-1:], CORNERS - len(points), 0)])
        self._rows.append((padded, int(material), self._centre, self.tier, decal, detail))

    def patch(
        self,
        side: str,
        a: tuple[float, float],
        z: tuple[float, float],
        at: float,
        material: Material,
        detail: bool = True,
    ) -> None:
        """A rectangle on a side ("front", "back", "left", "right") of the last part: `a` along it, `at` across."""
        (a0, a1), (z0, z1) = a, z
        if side in ("front", "back"):
            corners = [(at, a0, z0), (at, a1, z0), (at, a1, z1), (at, a0, z1)]
        else:
            corners = [(a1, at, z0), (a0, at, z0), (a0, at, z1), (a1, at, z1)]
        self.face(corners if side in ("front", "left") else corners[::-1], material, decal=True, detail=detail)

    def disc(self, x: float, y: float, z: float, rx: float, rz: float, material: Material, detail: bool = True) -> None:
        """An octagon in a plane of constant y, seen from the side on which y lies."""
        angle = np.arange(8) * np.pi / 4 + np.pi / 8
        points = np.stack([x - rx * np.cos(angle), np.full(8, y), z + rz * np.sin(angle)], -1)
        self.face(points if y > 0 else points[::-1], material, decal=True, detail=detail)

    def blob(self, y: float, z: float, ry: float, rz: float, material: Material, tier: int) -> None:
        """An octagon that faces the camera."""
        self.tier = tier
        angle = np.arange(8) * np.pi / 4 + np.pi / 8
        self.face(np.stack([np.zeros(8), y + ry * np.cos(angle), z + rz * np.sin(angle)], -1), material)

    def mesh(self) -> Mesh:
        """All faces so far."""
        columns = list(zip(*self._rows))
        return Mesh(
            np.array(columns[0], np.float32),
            np.array(columns[1], np.int64),
            np.array(columns[2], np.float32),
            np.array(columns[3], np.int64),
            np.array(columns[4], bool),
            np.array(columns[5], bool),
            self._flat,
        )
