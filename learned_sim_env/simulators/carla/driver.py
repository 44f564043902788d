"""Drivers for a CARLA scene: along the path, behind the vehicle ahead (IDM), and, as the expert, no faster than bends
and lights allow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learned_sim_env.drivers.route import FULL_LOCK
from learned_sim_env.scene import Agents, Scene, to_frame
from learned_sim_env.spec import SemanticClass, unknown

# [m/s^2] at full throttle and full brake, as a typical car of CARLA.
FULL_THROTTLE, FULL_BRAKE = 4.0, 8.0
# [m] ahead that are looked at, and half of the width that must be free.
SIGHT, CORRIDOR = 45.0, 1.6
# [m] that are kept free of an obstacle, and from which on it is driven around.
SPARE, EASING = 0.3, 16.0
# [s] from now at which others are looked for on the path.
FORESIGHT = (0.0, 0.8, 1.6)


@dataclass(frozen=True)
class Style:
    """speed: wanted [m/s]. headway [s], gap [m], push and brake [m/s^2]: of the intelligent driver model.

    sideways: acceleration allowed in bends [m/s^2]. lights: whether red ones stop it.
    """

    speed: float
    headway: float = 1.4
    gap: float = 3.0
    push: float = 2.0
    brake: float = 3.0
    sideways: float = 2.5
    lights: bool = True


# By the names that behaviours ask for.
STYLES = {"expert": Style(speed=9.0), "idm": Style(speed=7.0, sideways=4.0, lights=False)}


def act(style: str, path: np.ndarray, scene: Scene) -> np.ndarray:
    """Action (2,) float32 along a path (N, 2) with a point a metre.

    Raises:
        ValueError: for an unknown style.
    """
    if style not in STYLES:
        raise unknown("policy", style, STYLES)
    manner, ego = STYLES[style], scene.ego
    local = to_frame(path, ego.pose)
    start = int((local**2).sum(-1).argmin())
    ahead = _around(local[start : start + int(SIGHT)], scene)
    speed = ego.speed
    target = ahead[min(len(ahead) - 1, int(3.0 + 0.5 * speed))]
    # Pure pursuit from the rear axle, which is about a quarter of the length behind the middle.
    dx, dy = target[0] + 0.3 * ego.length, target[1]
    wheel = np.arctan2(2.0 * 0.6 * ego.length * dy, dx * dx + dy * dy)
    wanted = min(manner.speed, _bend_speed(ahead, manner))
    push = manner.push * (1.0 - (speed / max(wanted, 0.1)) ** 4)
    for distance, other in _obstacles(scene, ahead, manner):
        braking = speed * (speed - other) / (2.0 * np.sqrt(manner.push * manner.brake))
        gap = manner.gap + max(0.0, speed * manner.headway + braking)
        push = min(push, manner.push * (1.0 - (speed / manner.speed) ** 4 - (gap / max(distance, 0.1)) ** 2))
    throttle = push / FULL_THROTTLE if push > 0 else push / FULL_BRAKE
    return np.clip(np.array([-wheel / FULL_LOCK, throttle]), -1.0, 1.0).astype(np.float32)


def _around(ahead: np.ndarray, scene: Scene) -> np.ndarray:
    """The path ahead (M, 2), led past the left of what stands on its right half."""
    agents, ego = scene.agents, scene.ego
    still = agents.classes == SemanticClass.STATIC_OBJECT
    if not still.any() or len(ahead) < 3:
        return ahead
    way = np.gradient(ahead, axis=0)
    left = np.stack([-way[:, 1], way[:, 0]], -1) / np.maximum(np.hypot(*way.T), 1e-6)[:, None]
    shift = np.zeros(len(ahead))
    for place, size in zip(to_frame(agents.poses[still, :2].astype(np.float64), ego.pose), agents.sizes[still]):
        nearest = int(((ahead - place) ** 2).sum(-1).argmin())
        offset = float((place - ahead[nearest]) @ left[nearest])
        needed = offset + float(np.hypot(*size)) / 2 + ego.width / 2 + SPARE
        if nearest < len(ahead) - 1 and -SIGHT < offset < 0.5 and needed > 0:
            distance = np.abs(np.arange(len(ahead)) - nearest)
            ease = np.clip((EASING - distance) / (EASING - ego.length), 0.0, 1.0)
            shift = np.maximum(shift, needed * ease)
    return ahead + shift[:, None] * left


def _bend_speed(ahead: np.ndarray, style: Style) -> float:
    """[m/s] that the sharpest bend ahead (M, 2) allows, its distance counted in."""
    step = 3
    if len(ahead) <= 2 * step:
        return style.speed
    way = np.diff(ahead[::step], axis=0)
    angle = np.abs(np.diff(np.unwrap(np.arctan2(way[:, 1], way[:, 0]))))
    distance = step * np.arange(1, len(angle) + 1)
    limit = style.sideways * step / np.maximum(angle, 1e-3)
    return float(np.sqrt(limit + 2.0 * style.brake * 0.7 * np.maximum(distance - 2.0, 0.0)).min())


def _obstacles(scene: Scene, ahead: np.ndarray, style: Style) -> list[tuple[float, float]]:
    """(metres to the bumper, speed along the path [m/s]) of what stands or drives in the way."""
    agents, ego = scene.agents, scene.ego
    found = []
    for along, speed in _agents_on(agents, ahead, scene):
        found.append((along - ego.length / 2, speed))
    if style.lights:
        for line in scene.closed_lines:
            middle = to_frame(line.points.mean(0), ego.pose)
            distance = np.hypot(*(ahead - middle).T)
            if distance.min() < CORRIDOR and distance.argmin() > ego.length / 2:
                found.append((float(distance.argmin()) - ego.length / 2 + 2.0, 0.0))
    return [(distance, speed) for distance, speed in found if distance > -1.0]


def _agents_on(agents: Agents, ahead: np.ndarray, scene: Scene) -> list[tuple[float, float]]:
    if not len(agents):
        return []
    places = to_frame(agents.poses[:, :2].astype(np.float64), scene.ego.pose)
    turned = to_frame(agents.velocities.astype(np.float64), np.array([0.0, 0.0, scene.ego.heading]))
    half = np.where(agents.classes == SemanticClass.STATIC_OBJECT, scene.ego.width / 2, CORRIDOR)
    found = []
    for later in FORESIGHT:
        apart = np.hypot(*((places + later * turned)[:, None] - ahead[None]).transpose(2, 0, 1))
        nearest = apart.argmin(1)
        inside = (apart.min(1) < half + agents.sizes[:, 1] / 2) & (nearest > 1) & (nearest < len(ahead) - 1)
        for i in np.flatnonzero(inside):
            j = int(nearest[i])
            way = ahead[j + 1] - ahead[j]
            along = float(turned[i] @ way / max(np.hypot(*way), 1e-6))
            # A leading vehicle counts where it is now; a crossing one where it will be.
            distance = j - max(along, 0.0) * later - float(agents.sizes[i, 0]) / 2
            found.append((distance, max(along, 0.0)))
    return found
