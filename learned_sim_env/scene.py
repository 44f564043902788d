"""What a simulator says of one moment: map, route, agents and ego, in world coordinates.

Everything drawn, rewarded or ended is computed from scenes alone, so simulators cannot disagree about it.
World frame: x, y in metres, right-handed, heading in radians counter-clockwise from +x.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from learned_sim_env.spec import SemanticClass

# Key of `Scene.extras` under which a simulator hands over the pictures of its own cameras, by name.
PICTURES = "cameras"


@dataclass(frozen=True)
class Lane:
    """One lane.

    polygon: (N, 2) float, its outline. centre: (M, 2) float, its centre line in driving direction, (0, 2) for road that
    has none, such as a forecourt.
    on_route: painted as route. tag: the scenario tag of the place ("curve", "roundabout", ...), or "".
    """

    polygon: np.ndarray
    centre: np.ndarray
    on_route: bool = False
    tag: str = ""


@dataclass(frozen=True)
class Line:
    """One painted lane marking: points (N, 2) float; a broken one is drawn as dashes of `dash` m every `period` m."""

    points: np.ndarray
    broken: bool = False
    dash: float = 3.0
    period: float = 9.0


@dataclass(frozen=True, eq=False)
class RoadMap:
    """All that does not move in an episode. Compared by identity, so that what is derived from it can be cached.

    route: (N, 2) float, the middle of the roadway to follow, from start to destination.
    """

    lanes: tuple[Lane, ...]
    lines: tuple[Line, ...]
    route: np.ndarray


@dataclass(frozen=True)
class Agents:
    """Boxes of everything but the ego, nearest first; one row an agent.

    ids: (N,) int64, the same number for the same agent during an episode. classes: (N,) uint8, a `SemanticClass`.
    poses: (N, 3) float32 x, y, heading of the box's centre. sizes: (N, 2) float32 length, width [m].
    velocities: (N, 2) float32 world frame [m/s].
    """

    ids: np.ndarray
    classes: np.ndarray
    poses: np.ndarray
    sizes: np.ndarray
    velocities: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    @staticmethod
    def none() -> Agents:
        """No agents at all."""
        return Agents(
            np.zeros(0, np.int64),
            np.zeros(0, np.uint8),
            np.zeros((0, 3), np.float32),
            np.zeros((0, 2), np.float32),
            np.zeros((0, 2), np.float32),
        )


@dataclass(frozen=True)
class Ego:
    """The driven vehicle: pose of its box's centre (world), motion, and the action that led here (`spec` signs).

    velocity: (2,) float world frame [m/s]. yaw_rate [rad/s]. acceleration: along its heading [m/s^2].
    """

    x: float
    y: float
    heading: float
    velocity: tuple[float, float]
    yaw_rate: float
    acceleration: float
    steer: float
    throttle_brake: float
    length: float
    width: float

    @property
    def pose(self) -> np.ndarray:
        """(3,) float64 x, y, heading."""
        return np.array([self.x, self.y, self.heading])

    @property
    def speed(self) -> float:
        """Magnitude of the velocity [m/s]."""
        return float(np.hypot(*self.velocity))


@dataclass(frozen=True)
class Scene:
    """One moment. `contacts`: classes of what the ego has touched since the scene before, as the simulator felt it.

    closed_lines: stop lines that a traffic light closes now. extras: what a simulator was asked to add to `info`.
    last: whether there is none after it, as where a recording ends.
    """

    road_map: RoadMap
    ego: Ego
    agents: Agents
    contacts: frozenset[SemanticClass] = field(default_factory=frozenset)
    closed_lines: tuple[Line, ...] = ()
    extras: Mapping[str, Any] = field(default_factory=dict)
    last: bool = False

    @property
    def finite(self) -> bool:
        """Whether every number about the ego, the agents and the route is finite."""
        e, agents = self.ego, self.agents
        ego = (e.x, e.y, e.heading, *e.velocity, e.yaw_rate, e.acceleration, e.steer, e.throttle_brake)
        others = (agents.poses, agents.sizes, agents.velocities, self.road_map.route)
        return all(bool(np.isfinite(numbers).all()) for numbers in (ego, *others))


class SimulatorError(RuntimeError):
    """A simulator that failed or is not there: what happened says nothing about the driving."""


class Simulator(Protocol):
    """A source of scenes at the contract's clock. Positive steering is right, whatever the simulator uses inside."""

    def reset(self, seed: int, options: dict[str, Any]) -> Scene:
        """Start the episode that `seed` names; the same seed gives the same scenes for the same actions."""
        ...

    def step(self, action: np.ndarray) -> Scene:
        """Apply (2,) float32 `[steer, throttle_brake]` for one clock step."""
        ...

    def close(self) -> None:
        """Release the simulator; a later `reset` may start it again."""
        ...


def to_frame(points: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """World points (..., 2) seen from `pose` (..., 3) x, y, heading, broadcast against them."""
    c, s = np.cos(pose[..., 2]), np.sin(pose[..., 2])
    offset = points - pose[..., :2]
    return np.stack([offset[..., 0] * c + offset[..., 1] * s, -offset[..., 0] * s + offset[..., 1] * c], axis=-1)


def wrap_angle(angle: Any) -> Any:
    """Angle [rad] brought into [-pi, pi)."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


def relative_motion(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Ego motion (3,) float32 dx, dy, dyaw in the frame of `before`, from two world poses (3,)."""
    offset = to_frame(after[:2], before)
    return np.array([offset[0], offset[1], wrap_angle(after[2] - before[2])], np.float32)
