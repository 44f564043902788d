"""CARLA's snapshots as the ego and the agents of a scene."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from learned_sim_env.scene import Agents, Ego, SimulatorError, wrap_angle
from learned_sim_env.simulators.carla import frames
from learned_sim_env.simulators.carla.sensors import contact_class

# [m] Agents farther than this from the ego are left out of the scene.
AGENT_REACH = 60.0


class Reader:
    """Reads one ego and the actors around it; made anew for every episode.

    Args:
        ego: `carla.Actor` that is driven.
        others: actors that may come near.
        boxes: bounding boxes by type, which cost a call to the server each: kept from episode to episode.
    """

    def __init__(self, ego: Any, others: Iterable[Any], boxes: dict[str, Any], dt: float):
        self._ego, self._dt, self._boxes = ego, dt, boxes
        self._others = {actor.id: actor for actor in others if actor.id != ego.id}
        self._ids: dict[int, int] = {}

    def ego(self, snapshot: Any, action: np.ndarray, previous: Ego | None) -> Ego:
        """The ego after `action` (2,); without a scene before it, it neither turns nor accelerates.

        Raises:
            SimulatorError: if it has vanished.
        """
        seen = snapshot.find(self._ego.id)
        if seen is None:
            raise SimulatorError("the ego vehicle has vanished from the CARLA server: another client removed it")
        x, y, heading, box = self._placed(self._ego, seen)
        vx, vy = frames.point(seen.get_velocity())
        speed = float(np.hypot(vx, vy))
        return Ego(
            x=x,
            y=y,
            heading=heading,
            velocity=(vx, vy),
            yaw_rate=0.0 if previous is None else float(wrap_angle(heading - previous.heading)) / self._dt,
            acceleration=0.0 if previous is None else (speed - previous.speed) / self._dt,
            steer=float(action[0]),
            throttle_brake=float(action[1]),
            length=2.0 * box.extent.x,
            width=2.0 * box.extent.y,
        )

    def agents(self, snapshot: Any, ego: Ego) -> Agents:
        """Road users within `AGENT_REACH` of the ego, nearest first."""
        rows = []
        for actor_id, actor in self._others.items():
            seen = snapshot.find(actor_id)
            if seen is None:
                continue
            x, y, heading, box = self._placed(actor, seen)
            distance = float(np.hypot(x - ego.x, y - ego.y))
            if distance > AGENT_REACH:
                continue
            velocity = frames.point(seen.get_velocity())
            size = (2.0 * box.extent.x, 2.0 * box.extent.y)
            rows.append((distance, x, y, heading, *size, *velocity, contact_class(actor.type_id), actor_id))
        if not rows:
            return Agents.none()
        rows.sort(key=lambda row: row[:8])
        values = np.array([row[:8] for row in rows], np.float32)
        return Agents(
            # Numbered as they come near: the server's own ids depend on what ran before.
            ids=np.array([self._ids.setdefault(row[9], len(self._ids)) for row in rows], np.int64),
            classes=np.array([row[8] for row in rows], np.uint8),
            poses=values[:, 1:4],
            sizes=values[:, 4:6],
            velocities=values[:, 6:8],
        )

    def _placed(self, actor: Any, seen: Any) -> tuple[float, float, float, Any]:
        """x, y, heading of the middle of an actor's box, and the box."""
        if actor.type_id not in self._boxes:
            self._boxes[actor.type_id] = actor.bounding_box
        box, place = self._boxes[actor.type_id], seen.get_transform()
        x, y = frames.point(place.location)
        heading = frames.heading(place.rotation)
        dx, dy = frames.point(box.location)
        c, s = np.cos(heading), np.sin(heading)
        return float(x + dx * c - dy * s), float(y + dx * s + dy * c), heading, box
