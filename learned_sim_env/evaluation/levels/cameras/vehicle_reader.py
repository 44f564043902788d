"""Vehicles in pictures of the road ahead: where the view from above has them, and a reader that says if they show.

The reader is a small network that is trained on recorded frames alone, on places with a vehicle and on empty ones of
the road, so that a dream is judged by an eye that has never seen one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.evaluation.blobs import connected
from learned_sim_env.spec import BevSpec, CameraSpec, SemanticClass

C = SemanticClass
# [m] How far ahead vehicles are looked for: nearer ones are cut off by the picture's edge, farther ones a few pixels.
NEAREST, FARTHEST = 5.0, 30.0
# [m] How tall a vehicle is taken to be; and by how much a place on the road has to be away from any to be empty.
TALL, APART = 1.5, 3.0
# Share of its size that is looked at around a box, on each side; pixels a side of what the reader is shown.
AROUND, SIDE = 0.25, 16
# [m] Size of the boxes that are looked at on empty road.
_EMPTY = (4.5, 1.9)
_ROAD = (C.ROAD, C.ROUTE, C.BROKEN_LINE, C.SOLID_LINE)
# Of the reader's training.
STEPS, BATCH, RATE = 400, 128, 2e-3


@dataclass(frozen=True, eq=False)
class Places:
    """P boxes in pictures. frame: (P,) int64, of which picture. box: (P, 4) float64, first row and column and last ones
    [pixels]. there: (P,) bool, whether the view from above has a vehicle there, or empty road.
    """

    frame: np.ndarray
    box: np.ndarray
    there: np.ndarray

    def __getitem__(self, which: np.ndarray) -> Places:
        return Places(self.frame[which], self.box[which], self.there[which])


def places(views: np.ndarray, bev: BevSpec, camera: CameraSpec, seed: int = 0) -> Places:
    """Vehicles of views (N, H, W) uint8 that a camera sees, none behind another; and as many empty places of road."""
    rng, centres = np.random.default_rng(seed), bev.pixel_centres()
    found: list[tuple[int, np.ndarray, bool]] = []
    for i, view in enumerate(views):
        blobs = sorted(connected(view == C.VEHICLE, bev), key=lambda points: points[:, 0].min())
        hidden = np.zeros(camera.width, bool)
        for points in blobs:
            # Its pixels, with their corners.
            box = _boxed(_corners(points, bev.metres_per_pixel), camera)
            if box is None:
                continue
            columns = _columns(box, camera)
            if not hidden[columns].mean() > 0.5 and NEAREST <= points[:, 0].mean() <= FARTHEST:
                found.append((i, box, True))
            hidden[columns] = True
        taken = np.concatenate([np.zeros((0, 2)), *blobs])
        empty = _empty_box(rng, centres[np.isin(view, _ROAD)], taken, hidden, camera)
        if empty is not None:
            found.append((i, empty, False))
    frame, boxes, there = zip(*found) if found else ((), (), ())
    return Places(np.array(frame, np.int64), np.array(boxes, np.float64).reshape(-1, 4), np.array(there, bool))


def looked_at(pictures: np.ndarray, found: Places) -> Tensor:
    """(P, 3, SIDE, SIDE) float32 around 0: pictures (N, H, W, 3) uint8 at places."""
    height, width = pictures.shape[1:3]
    parts = []
    for frame, (top, left, bottom, right) in zip(found.frame, found.box):
        y, x = AROUND * (bottom - top), AROUND * (right - left)
        at = np.linspace(top - y, bottom + y, SIDE), np.linspace(left - x, right + x, SIDE)
        # `grid_sample` has -1 and 1 at the picture's edges.
        rows, columns = np.meshgrid(2 * at[0] / height - 1, 2 * at[1] / width - 1, indexing="ij")
        grid = torch.from_numpy(np.stack([columns, rows], -1)).float()[None]
        picture = torch.from_numpy(pictures[frame]).permute(2, 0, 1)[None].float() / 127.5 - 1
        parts.append(F.grid_sample(picture, grid, padding_mode="border", align_corners=False))
    return torch.cat(parts) if parts else torch.zeros(0, 3, SIDE, SIDE)


def trained_reader(shown: Tensor, there: np.ndarray, seed: int = 0) -> nn.Module:
    """A network that gives the logit of a vehicle (P, 1) for what it is shown (P, 3, SIDE, SIDE)."""
    torch.manual_seed(seed)
    reader = nn.Sequential(
        *(nn.Conv2d(3, 16, 3, 2, 1), nn.SiLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.SiLU()),
        *(nn.Flatten(), nn.Dropout(0.3), nn.Linear(32 * (SIDE // 4) ** 2, 1)),
    )
    optimizer = torch.optim.AdamW(reader.parameters(), RATE, weight_decay=1e-2)
    truth = torch.from_numpy(there).float()
    # Vehicles and empty road count alike, however many there are.
    share = truth.mean().clamp(0.01, 0.99)
    weights = torch.where(truth > 0, 1 / share, 1 / (1 - share))
    with torch.enable_grad():
        for _ in range(STEPS):
            rows = torch.randint(len(shown), (BATCH,))
            flipped = torch.where(torch.rand(BATCH, 1, 1, 1) < 0.5, shown[rows].flip(-1), shown[rows])
            loss = F.binary_cross_entropy_with_logits(reader(flipped)[:, 0], truth[rows], weights[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return reader.eval().requires_grad_(False)


def _corners(points: np.ndarray, size: float) -> np.ndarray:
    """(4 P, 2): corners of pixels whose middles are (P, 2), of a side `size`."""
    offsets = size / 2 * np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])
    return (points[:, None] + offsets).reshape(-1, 2)


def _boxed(ground: np.ndarray, camera: CameraSpec) -> np.ndarray | None:
    """(4,): the box of what stands on ground points (P, 2), `TALL`; None if its middle is out of the picture."""
    points = np.concatenate([np.insert(ground, 2, z, 1) for z in (0.0, TALL)])
    row, column, depth = camera.project(points)
    if depth.min() < 1.0:
        return None
    top, bottom, left, right = row.min(), row.max(), column.min(), column.max()
    inside = 0 <= (top + bottom) / 2 <= camera.height and 0 <= (left + right) / 2 <= camera.width
    return np.array([top, left, bottom, right]) if inside else None


def _columns(box: np.ndarray, camera: CameraSpec) -> slice:
    """The picture's columns that a box covers."""
    return slice(*np.clip(np.round(box[[1, 3]]), 0, camera.width).astype(int))


def _empty_box(
    rng: np.random.Generator, road: np.ndarray, taken: np.ndarray, hidden: np.ndarray, camera: CameraSpec
) -> np.ndarray | None:
    """A box on road (P, 2), away from `taken` places (Q, 2) and in columns that are not `hidden`; None if none is."""
    road = road[(road[:, 0] >= NEAREST) & (road[:, 0] <= FARTHEST)]
    for middle in road[rng.permutation(len(road))[:20]]:
        if len(taken) and np.abs(taken - middle).max(1).min() < APART:
            continue
        found = _boxed(middle + np.array(_EMPTY) / 2 * np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]]), camera)
        if found is not None and not hidden[_columns(found, camera)].any():
            return found
    return None
