"""Where rays meet the flat ground and the boxes of actors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from learned_sim_env.carla_standin.actors import Actor

# What a ray meets that is no actor.
NOTHING, GROUND = -2, -1
# [m] nearer than which a ray does not begin.
NEAR = 1e-3


@dataclass(frozen=True)
class Hits:
    """Of each ray: distance (R,) [m], inf where it meets nothing; index (R,) of the actor, or NOTHING, GROUND.

    cosine: (R,), of the angle between the ray and the surface's normal, 0 where it meets nothing.
    """

    distance: np.ndarray
    index: np.ndarray
    cosine: np.ndarray


def cast(origin: np.ndarray, rays: np.ndarray, actors: Sequence[Actor], reach: float, grown: float = 0.0) -> Hits:
    """Rays (R, 3) of length 1 in world coordinates from a place (3,), no farther than `reach` [m].

    grown: [m] by which boxes are larger than they are.
    """
    down = rays[:, 2] < -1e-9
    distance = np.where(down, -origin[2] / np.where(down, rays[:, 2], -1.0), np.inf)
    distance[(distance < NEAR) | (distance > reach)] = np.inf
    index = np.where(np.isfinite(distance), GROUND, NOTHING)
    cosine = np.where(np.isfinite(distance), -rays[:, 2], 0.0)
    for i, actor in enumerate(actors):
        middle, half, axes = box_of(actor)
        half = half + grown
        offset = middle - origin
        size = float(np.linalg.norm(half))
        if np.linalg.norm(offset) - size > reach:
            continue
        # Only rays that pass its surrounding sphere can meet it.
        along = rays @ offset
        near = np.flatnonzero((along > -size) & (offset @ offset - along * along <= size * size))
        if len(near):
            entry, slope = enter(rays[near] @ axes.T, axes @ offset, half)
            closer = (entry < distance[near]) & (entry <= reach)
            at = near[closer]
            distance[at], index[at], cosine[at] = entry[closer], i, slope[closer]
    return Hits(distance, index, cosine)


def enter(rays: np.ndarray, middle: np.ndarray, half: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where rays (R, 3) from the origin enter a box around `middle` (3,), all in the box's axes.

    Distance (R,), inf where they do not or begin within, and cosine (R,) with the face that they enter by.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        first, second = (middle - half) / rays, (middle + half) / rays
    low, high = np.minimum(first, second), np.maximum(first, second)
    # A ray along a face, exactly on it, is 0 / 0: it passes.
    low, high = np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)
    face = low.argmax(-1)
    entry, leave = low.max(-1), high.min(-1)
    entry = np.where((entry <= leave) & (entry > NEAR), entry, np.inf)
    return entry, np.abs(np.take_along_axis(rays, face[:, None], -1)[:, 0])


def axes_of(pitch: float, yaw: float, roll: float) -> np.ndarray:
    """(3, 3): rows forward, right, up of a left-handed rotation [rad], in world coordinates."""
    cp, sp, cy, sy, cr, sr = np.cos(pitch), np.sin(pitch), np.cos(yaw), np.sin(yaw), np.cos(roll), np.sin(roll)
    return np.array(
        [
            [cp * cy, cp * sy, sp],
            [cy * sp * sr - sy * cr, sy * sp * sr + cy * cr, -cp * sr],
            [-cy * sp * cr - sy * sr, -sy * sp * cr + cy * sr, cp * cr],
        ]
    )


def box_of(actor: Actor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Middle (3,) [m], half of the size (3,) [m] and axes (3, 3) of an actor's box in the world."""
    centre, half, *_ = actor.bounding_box()
    axes = axes_of(*np.radians(actor.place[3:]))
    return np.array(actor.place[:3]) + np.array(centre) @ axes, np.array(half), axes
