"""Everything that stands on the ground around the ego, as a table of shapes in the ego frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learned_sim_env.rendering.camera.scenery import scenery
from learned_sim_env.scene import Scene, to_frame, wrap_angle
from learned_sim_env.spec import SceneryKind, SemanticClass

_AGENTS = ("car", "van", "truck", "bike", "person", "cone", "barrier")
SHAPES = (*_AGENTS, *(kind.name.lower() for kind in SceneryKind if kind), "traffic_light")
_CAR, _VAN, _TRUCK, _BIKE, _PERSON, _CONE, _BARRIER = range(len(_AGENTS))
_TRAFFIC_LIGHT = len(SHAPES) - 1
# The shape of a kind of scenery is this much more than the kind, none of which is 0.
_SCENERY = len(_AGENTS) - 1
# [m] Heights, which scenes do not give.
HEIGHTS = np.array([1.5, 2.1, 3.3, 1.65, 1.75, 0.75, 1.0])
# [m] Vehicles up to these lengths are bikes, cars and vans; longer ones are trucks.
LENGTHS = (2.5, 5.3, 6.6)
REACH = 120.0  # [m] Scenery farther than this is left out,
FINE_REACH = 45.0  # and thin things farther than this.


@dataclass(frozen=True, eq=False)
class Things:
    """N things in the ego frame, in no order.

    shapes: (N,) int, indices of `SHAPES`. poses: (N, 3) float64 x, y, heading. sizes: (N, 3) float64 [m].
    classes: (N,) uint8, `SemanticClass` of agents, 0 for scenery. looks: (N,) float64 in [0, 1), which colour.
    """

    shapes: np.ndarray
    poses: np.ndarray
    sizes: np.ndarray
    classes: np.ndarray
    looks: np.ndarray

    @property
    def lamps(self) -> np.ndarray:
        """(M, 3) x, y [m] and heading of street lamps."""
        return self.poses[self.shapes == _SCENERY + SceneryKind.LAMP]


def things_around(scene: Scene, seed: int) -> Things:
    """Agents, scenery and closed traffic lights around the ego; `seed` decides the colours of agents."""
    pose, agents = scene.ego.pose, scene.agents
    length = agents.sizes.max(-1) if len(agents) else np.zeros(0)
    shapes = np.where(
        agents.classes == SemanticClass.VEHICLE,
        np.array([_BIKE, _CAR, _VAN, _TRUCK])[np.searchsorted(LENGTHS, length)],
        np.where(agents.classes == SemanticClass.PEDESTRIAN, _PERSON, np.where(length > 1.0, _BARRIER, _CONE)),
    )
    sizes = np.column_stack([agents.sizes, HEIGHTS[shapes]])
    poses = agents.poses.astype(np.float64)
    turned = (shapes == _BARRIER) & (sizes[:, 0] < sizes[:, 1])  # A barrier's board is along its long side.
    sizes[turned, :2] = sizes[turned, 1::-1]
    poses[turned, 2] += np.pi / 2
    parts = [(shapes, poses, sizes, agents.classes, _hash(agents.ids, seed))]

    beside = scenery(scene.road_map)
    away = np.hypot(*(beside.poses[:, :2] - pose[:2]).T)
    near = away < np.where(beside.sizes[:, 0] < 1.0, FINE_REACH, REACH)
    kinds = beside.kinds[near]
    parts.append((kinds + _SCENERY, beside.poses[near], beside.sizes[near], np.zeros(len(kinds)), beside.looks[near]))

    for line in scene.closed_lines:
        (x0, y0), (x1, y1) = line.points[0], line.points[-1]
        across = np.array([x1 - x0, y1 - y0]) / max(np.hypot(x1 - x0, y1 - y0), 1e-6)
        for place in (line.points[0] - 0.8 * across, line.points[-1] + 0.8 * across):
            row = np.array([[*place, np.arctan2(across[1], across[0]) + np.pi / 2]])
            parts.append((np.array([_TRAFFIC_LIGHT]), row, np.array([[0.35, 0.35, 3.2]]), np.zeros(1), np.zeros(1)))
    shapes, poses, sizes, classes, looks = (np.concatenate([part[i] for part in parts]) for i in range(5))
    inside = np.column_stack([to_frame(poses[:, :2], pose), wrap_angle(poses[:, 2] - pose[2])])
    return Things(shapes, inside, sizes, classes.astype(np.uint8), looks)


def _hash(ids: np.ndarray, seed: int) -> np.ndarray:
    """Numbers in [0, 1) that depend on an id and the seed alone."""
    x = (ids.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) ^ np.uint64(seed % (1 << 63))
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    return ((x ^ (x >> np.uint64(31))) >> np.uint64(11)) / float(1 << 53)
