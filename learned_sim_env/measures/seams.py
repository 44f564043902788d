"""Whether cameras agree where they look at the same: pictures of one, reprojected into another.

Cameras with one optical centre see the same along the same ray, however far away it is: between them a reprojection is
a turn, and no depth is needed. Of others the depth of what the first sees has to be known, and what hides from the
second is left out where its depths are known too.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from learned_sim_env.spec import CameraSpec, Modality

# [m] Optical centres nearer to each other than this are one.
ONE_CENTRE = 1e-6
# [m] What is infinitely far is taken to be here.
FAR = 1e6
# What is this much farther than what the second camera sees there, as a share and in metres, hides behind it.
HIDDEN, HIDDEN_METRES = 0.05, 0.3


@dataclass(frozen=True, eq=False)
class Overlap:
    """P pixels of a first camera and where a second one sees the same.

    rows, columns: (P,) int64, of the first. places: (P, 2) float64 row and column in the picture of the second, at
    least half a pixel inside it.
    """

    rows: np.ndarray
    columns: np.ndarray
    places: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)


def overlap(
    first: CameraSpec, second: CameraSpec, depth: np.ndarray | None = None, other_depth: np.ndarray | None = None
) -> Overlap:
    """Where `second` sees what the pixels of `first` show.

    Args:
        depth: (H, W) [m] along the optical axis of what `first` shows, inf for the sky; only needed where the optical
            centres differ.
        other_depth: the same of `second`; tells what it cannot see.

    Raises:
        ValueError: if the centres differ and no depth is given.
    """
    apart = float(np.linalg.norm(np.subtract(first.position, second.position)))
    if depth is None and apart > ONE_CENTRE:
        raise ValueError(f"the cameras are {apart:g} m apart: give the depth of what the first one shows")
    rows, columns = np.mgrid[0 : first.height, 0 : first.width]
    rays = first.rays(rows + 0.5, columns + 0.5)
    reach = np.full(rows.shape, FAR) if depth is None else np.where(np.isfinite(depth), depth, FAR)
    row, column, away = second.project(np.array(first.position) + rays * reach[..., None])
    inside = (away > 0) & (np.abs(row - second.height / 2) <= second.height / 2 - 0.5)
    inside &= np.abs(column - second.width / 2) <= second.width / 2 - 0.5
    if other_depth is not None:
        at = tuple(np.where(inside, place, 0).astype(np.int64) for place in (row, column))
        shown = np.where(np.isfinite(other_depth), other_depth, FAR)[at]
        inside &= away <= (1 + HIDDEN) * shown + HIDDEN_METRES
    return Overlap(rows[inside], columns[inside], np.stack([row, column], -1)[inside])


def overlaps(cameras: tuple[Modality, ...]) -> dict[tuple[str, str], Overlap]:
    """Of every two of some cameras that share an optical centre and see something together, by their names."""
    found = {}
    for one, other in combinations(cameras, 2):
        assert one.camera is not None and other.camera is not None
        if np.linalg.norm(np.subtract(one.camera.position, other.camera.position)) <= ONE_CENTRE:
            shared = overlap(one.camera, other.camera)
            if len(shared):
                found[one.name, other.name] = shared
    return found


def seam_error(first: np.ndarray, second: np.ndarray, shared: Overlap) -> np.ndarray:
    """How far pictures of two cameras are apart where both look: mean absolute difference [levels of 255].

    It cannot show whether either is right, and two that are blurred agree more easily. Between pixels colours are
    blended, so that sharp edges and falling drops differ a little even in true pictures: compare with these.

    Args:
        first, second: (..., H, W, 3) uint8.
        shared: see `overlap`.

    Returns:
        (...) float64; NaN if nothing is shared.
    """
    if not len(shared):
        return np.full(first.shape[:-3], np.nan)
    corner = shared.places - 0.5
    low = np.clip(np.floor(corner).astype(np.int64), 0, np.array(second.shape[-3:-1]) - 2)
    part = corner - low
    blended = np.zeros((*second.shape[:-3], len(shared), 3))
    for i in (0, 1):
        for j in (0, 1):
            weight = np.abs(1 - i - part[:, 0]) * np.abs(1 - j - part[:, 1])
            blended += weight[:, None] * second[..., low[:, 0] + i, low[:, 1] + j, :]
    difference: np.ndarray = np.abs(first[..., shared.rows, shared.columns, :] - blended)
    return difference.mean((-1, -2))
