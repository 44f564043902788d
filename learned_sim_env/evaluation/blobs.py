"""Movers at constant velocity from pictures alone: the fair baseline beside `baselines.drifted`, which knows the boxes.

Connected pixels of movers in the last view are a blob; its velocity is how far its middle is from the nearest one's
in an earlier view. Only the ego's true motion is known.
"""

from __future__ import annotations

import numpy as np

from learned_sim_env.evaluation.baselines import warp
from learned_sim_env.optional import opencv
from learned_sim_env.scene import to_frame
from learned_sim_env.spec import BevSpec, SemanticClass
from learned_sim_env.training.batches import Batch

_MOVERS = (SemanticClass.VEHICLE, SemanticClass.PEDESTRIAN)
# Steps between the views that a velocity is read from; and the fastest that is believed [m/s]. Whatever seems faster
# was another vehicle, and is taken to stand.
LAG, FASTEST = 4, 25.0
# Each pixel is moved as so many points a side, so that turning leaves no holes.
_POINTS = 2


def drifting_blobs(batch: Batch, bev: BevSpec, dt: float) -> np.ndarray:
    """(B, T, H, W) uint8: as `baselines.moved`, but the blobs of movers keep their velocity over the ground."""
    now, pose = batch.context - 1, batch.pose[:, batch.context :]
    views = warp(batch.static[:, now], pose, bev).numpy()
    before = max(now - LAG, 0)
    elapsed = dt * np.arange(1, pose.shape[1] + 1)
    for b in range(len(views)):
        last, earlier = batch.observations["bev"][b, now].numpy(), batch.observations["bev"][b, before].numpy()
        for kind in _MOVERS:
            blobs = connected(last == kind, bev)
            if not blobs:
                continue
            middles = [
                _anchored(blob.mean(0), batch.pose[b, before].numpy()) for blob in connected(earlier == kind, bev)
            ]
            for blob in blobs:
                velocity = _velocity(blob.mean(0), middles, dt * (now - before))
                _paint(views[b], _points(blob, bev), velocity, elapsed, pose[b].numpy(), int(kind), bev)
    return views


def connected(mask: np.ndarray, bev: BevSpec) -> list[np.ndarray]:
    """Ego-frame middles (P, 2) [m] of the pixels of each connected part of `mask` (H, W) bool."""
    cv2 = opencv()
    count, label = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    places = bev.pixel_centres()
    return [places[label == i] for i in range(1, count)]


def _anchored(point: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """A point (2,) seen from `pose` (3,), in the frame in which the pose is given."""
    c, s = np.cos(pose[2]), np.sin(pose[2])
    return pose[:2] + np.array([c * point[0] - s * point[1], s * point[0] + c * point[1]])


def _velocity(middle: np.ndarray, earlier: list[np.ndarray], elapsed: float) -> np.ndarray:
    """(2,) [m/s] of what is now at `middle` (2,) and was at one of `earlier` before `elapsed` seconds."""
    if not earlier or elapsed <= 0:
        return np.zeros(2)
    moved = middle - np.array(earlier)
    velocity = moved[np.hypot(*moved.T).argmin()] / elapsed
    return velocity if np.hypot(*velocity) < FASTEST else np.zeros(2)


def _points(blob: np.ndarray, bev: BevSpec) -> np.ndarray:
    """Points (P * _POINTS**2, 2) that cover the pixels with the given middles (P, 2)."""
    inside = ((np.arange(_POINTS) + 0.5) / _POINTS - 0.5) * bev.metres_per_pixel
    offsets = np.stack(np.meshgrid(inside, inside), -1).reshape(-1, 2)
    return (blob[:, None] + offsets).reshape(-1, 2)


def _paint(
    views: np.ndarray,
    points: np.ndarray,
    velocity: np.ndarray,
    elapsed: np.ndarray,
    pose: np.ndarray,
    kind: int,
    bev: BevSpec,
) -> None:
    """Paint points (N, 2) into views (T, H, W), `elapsed` (T,) seconds later, from egos at `pose` (T, 3)."""
    places = to_frame(points + velocity * elapsed[:, None, None], pose[:, None])
    row, column = (np.rint(x).astype(np.int64) for x in bev.pixels(places))
    step = np.arange(len(elapsed))[:, None].repeat(len(points), 1)
    seen = (row >= 0) & (row < bev.height) & (column >= 0) & (column < bev.width)
    views[step[seen], row[seen], column[seen]] = kind
