"""Where rays meet the flat ground and the boxes of actors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from learned_sim_env.carla_standin.world.actors import Actor

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
            own = axes @ rays[near].T
            entry = enter(own, axes @ offset, half)
            closer = entry < np.minimum(distance[near], reach)
            at, own, entry = near[closer], own[:, closer], entry[closer]
            distance[at], index[at] = entry, i
            # It has come in by the face that it is nearest to, as a share of the box's size.
            face = np.abs((own * entry - (axes @ offset)[:, None]) / half[:, None]).argmax(0)
            cosine[at] = np.abs(own[face, np.arange(len(at))])
    return Hits(distance, index, cosine)


def enter(rays: np.ndarray, middle: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Where rays (3, R) from the origin enter a box around `middle` (3,), all in the box's axes.

    In lengths of the rays (R,); inf where they do not enter it, or begin within.
    """
    entry, leave = np.full(rays.shape[1], NEAR), np.full(rays.shape[1], np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        for ray, low, high in zip(rays, middle - half, middle + half):
            first, second = low / ray, high / ray
            np.maximum(entry, np.minimum(first, second), out=entry)
            np.minimum(leave, np.maximum(first, second), out=leave)
    # A ray that lies in a face is 0 / 0, and passes by.
    return np.where((entry <= leave) & (entry > NEAR), entry, np.inf)


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
