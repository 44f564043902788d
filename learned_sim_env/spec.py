"""The contract every environment of this package keeps, as frozen dataclasses.

Frames: world x, y in metres, right-handed, heading counter-clockwise from +x in radians. Ego frame: x forward, y left.
Units are SI throughout. Nothing here imports torch or a simulator.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from typing import Any

import gymnasium as gym
import numpy as np


class SemanticClass(IntEnum):
    """Pixel classes of the bird's-eye view, in painting order: a higher class covers a lower one."""

    OFF_ROAD = 0
    ROAD = 1
    ROUTE = 2
    BROKEN_LINE = 3
    SOLID_LINE = 4
    STATIC_OBJECT = 5
    VEHICLE = 6
    PEDESTRIAN = 7
    EGO = 8


NUM_CLASSES = len(SemanticClass)
# Classes up to this one belong to the map: they never move. The others are agents, painted over it.
NUM_MAP_CLASSES = SemanticClass.SOLID_LINE + 1

# One colour a class, shape (NUM_CLASSES, 3) uint8 RGB, so that class ids can be read back exactly.
PALETTE = np.array(
    [
        (44, 62, 48),  # off-road
        (96, 100, 110),  # road
        (58, 132, 196),  # route
        (214, 214, 214),  # broken line
        (250, 196, 60),  # solid line
        (240, 120, 40),  # static object
        (222, 60, 72),  # vehicle
        (232, 92, 216),  # pedestrian
        (92, 230, 128),  # ego
    ],
    dtype=np.uint8,
)
PALETTE.setflags(write=False)

# Components of the `ego` observation, in order.
EGO_FIELDS = ("speed", "yaw_rate", "last_steer", "last_throttle_brake", "route_distance", "route_heading_error")
# Components of one step's ego motion in the ego frame before the step: metres, metres, radians.
MOTION_FIELDS = ("dx", "dy", "dyaw")

REWARD_TERMS = ("progress", "lateral_speed", "jerk", "steering_change", "arrival", "collision", "off_road")
COST_TERMS = ("collision", "off_road", "wrong_way")
# Every way an episode can end; the first three terminate, the others truncate.
TERMINATIONS = ("collision", "off_road", "arrival")
TRUNCATIONS = ("time_limit", "uncertainty", "simulator_error", "not_finite")
# Those that say nothing about the driving: the simulator failed, or the model gave numbers that are not finite. The
# last step then has no reward and no cost, and shows what the one before it showed.
FAILURES = ("simulator_error", "not_finite")

# Scenario seeds, by what they are for; others are left untouched.
TRAINING_SCENARIOS, TEST_SCENARIOS = range(0, 1_000_000), range(1_000_000, 2_000_000)

SCENARIO_TAGS = ("straight", "curve", "intersection", "roundabout", "merge", "traffic", "objects")

# Keys of `info` after `reset` and after `step`, the same for every environment id. `ego_motion` is (3,) float32, see
# MOTION_FIELDS; `imagined_steps` counts the steps since the last real observation (always 0 in a simulator); `context`
# is the index of the starting context (-1 in a simulator); `end_reason` is "" while the episode runs; `scenario_tags`,
# of `SCENARIO_TAGS`, describe the moment at which the episode began, in a dream that of its context. With
# `info_type="numeric"`, see `environments.info.numeric`.
INFO_KEYS = (
    "reward_terms",
    "cost",
    "cost_terms",
    "end_reason",
    "uncertainty",
    "ego_motion",
    "imagined_steps",
    "context",
    "scenario_tags",
)

# Numbers of obs_type "flat": what rays from the ego meet, now and a moment ago, and its own motion, see `sight`.
FLAT_SIZE = 110
OBS_TYPES = ("dict", "classes", "bev", "semantic", "flat", "latent")
ACTION_TYPES = ("continuous", "discrete")
INFO_TYPES = ("full", "numeric")


def _think2drive_actions() -> np.ndarray:
    """The 30 discrete actions of Think2Drive (arXiv 2402.16720, table of actions) as [steer, throttle_brake]."""
    actions = [(0.0, -1.0)]
    for throttle, magnitudes in (
        (0.7, (0.1, 0.2, 0.3, 0.5)),
        (0.3, (0.1, 0.2, 0.3, 0.5, 0.7)),
        (0.0, (0.1, 0.3, 0.6, 1.0)),
    ):
        actions.append((0.0, throttle))
        for magnitude in magnitudes:
            actions += [(magnitude, throttle), (-magnitude, throttle)]
    return np.array(actions, dtype=np.float32)


# Shape (30, 2) float32: row i is what discrete action i means.
DISCRETE_ACTIONS = _think2drive_actions()
DISCRETE_ACTIONS.setflags(write=False)


@dataclass(frozen=True)
class BevSpec:
    """Geometry of the bird's-eye view: the ego stays at (ego_row, ego_column), facing up."""

    height: int = 64
    width: int = 64
    metres_per_pixel: float = 0.75
    ego_row: int = 48
    ego_column: int = 32

    def pixels(self, places: Any) -> tuple[Any, Any]:
        """Row and column (...), not rounded, at which ego-frame places (..., 2) [m] appear; NumPy or torch."""
        m = self.metres_per_pixel
        return self.ego_row - places[..., 0] / m, self.ego_column - places[..., 1] / m

    def pixel_centres(self) -> np.ndarray:
        """Ego-frame position of every pixel's centre, shape (height, width, 2) float32, metres (x forward, y left)."""
        rows, columns = np.mgrid[0 : self.height, 0 : self.width].astype(np.float32)
        x = (self.ego_row - rows) * self.metres_per_pixel
        y = (self.ego_column - columns) * self.metres_per_pixel
        return np.stack([x, y], axis=-1)


@dataclass(frozen=True)
class CameraSpec:
    """Calibration of a pinhole camera that is fixed to the ego, without roll.

    Args:
        yaw: [degrees] of the optical axis from straight ahead, + is left.
        pitch: [degrees] of the optical axis from the horizon, + is up.
        position: [m] of the optical centre in the ego frame: x forward, y left, z up from the ground.
        fov: [degrees] horizontal field of view, between the left edge of the picture and the right one.
        height, width: [pixels]; pixels are square, and the axis goes through the middle of the picture.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    position: tuple[float, float, float] = (0.0, 0.0, 1.5)
    fov: float = 70.0
    height: int = 64
    width: int = 96

    def __post_init__(self) -> None:
        if not 0 < self.fov < 180:
            raise ValueError(f"fov {self.fov!r} is not between 0 and 180 degrees")
        if self.height < 1 or self.width < 1:
            raise ValueError(f"a camera of {self.height} x {self.width} pixels has none")

    @property
    def focal_length(self) -> float:
        """[pixels]"""
        return float(self.width / 2 / np.tan(np.radians(self.fov) / 2))

    @property
    def rotation(self) -> np.ndarray:
        """(3, 3) float64: rows are the camera's right, down and forward in the ego frame (x forward, y left, z up)."""
        cy, sy = np.cos(np.radians(self.yaw)), np.sin(np.radians(self.yaw))
        cp, sp = np.cos(np.radians(self.pitch)), np.sin(np.radians(self.pitch))
        forward = np.array([cp * cy, cp * sy, sp])
        right = np.array([sy, -cy, 0.0])
        return np.stack([right, np.cross(forward, right), forward])

    def rays(self, rows: Any, columns: Any) -> np.ndarray:
        """Ego-frame directions (..., 3) float64 through places in the picture; pixel (0, 0) is centred on 0.5, 0.5.

        They have a length of 1 along the optical axis: a ray times a depth leads from the optical centre to the point.
        """
        f = self.focal_length
        x, y = (np.asarray(columns) - self.width / 2) / f, (np.asarray(rows) - self.height / 2) / f
        x, y = np.broadcast_arrays(x, y)
        return np.stack([x, y, np.ones_like(x)], -1) @ self.rotation

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Row, column and depth [m], each (...), of ego-frame points (..., 3); depths behind it are negative."""
        x, y, depth = np.moveaxis((points - np.asarray(self.position)) @ self.rotation.T, -1, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            row = self.height / 2 + self.focal_length * y / depth
            column = self.width / 2 + self.focal_length * x / depth
        return row, column, depth


# The cameras that a driver's view is made of: ahead, and to both sides with ten degrees of overlap.
CAMERAS = {"front": CameraSpec(), "left": CameraSpec(yaw=60.0), "right": CameraSpec(yaw=-60.0)}


@dataclass(frozen=True)
class RewardSpec:
    """Weights and bounds of the reward terms; see `task.reward_terms` for the formulas."""

    reference_speed: float = 15.0  # [m/s] at which progress saturates
    progress: float = 1.0
    lateral_speed: float = 0.2
    lateral_speed_bound: float = 3.0  # [m/s] at which the lateral term saturates
    jerk: float = 0.1
    jerk_bound: float = 60.0  # [m/s^3] at which the jerk term saturates
    steering_change: float = 0.1  # at a change of 2, from full left to full right
    arrival: float = 10.0
    collision: float = 10.0
    off_road: float = 10.0


@dataclass(frozen=True)
class Contract:
    """What all environments share: clock, observation, action, reward, cost and end of an episode."""

    name: str = "driving"
    dt: float = 0.1  # [s]
    max_episode_steps: int = 500
    bev: BevSpec = field(default_factory=BevSpec)
    reward: RewardSpec = field(default_factory=RewardSpec)
    # [m/s, rad/s, -, -, m, rad]: half-widths of the `ego` box; values are clipped to them.
    ego_bounds: tuple[float, ...] = (60.0, 5.0, 1.0, 1.0, 50.0, float(np.pi))
    arrival_distance: float = 6.0  # [m] left on the route at which the ego has arrived
    wrong_way_angle: float = float(np.pi / 2)  # [rad] between ego and lane

    def episode_steps(self, asked: int | None) -> int:
        """Time limit of an episode [steps]: `asked`, or the contract's own; `ValueError` if that is less than 1."""
        if asked is not None and not asked >= 1:
            raise ValueError(f"max_episode_steps {asked!r} is less than 1")
        return self.max_episode_steps if asked is None else asked

    def observation_space(self, obs_type: str = "dict", latent_size: int = 0) -> gym.Space:
        """Space of one observation; `latent_size` is needed for `obs_type="latent"` only."""
        bev = gym.spaces.Box(0, 255, (self.bev.height, self.bev.width, 3), np.uint8)
        semantic = gym.spaces.Box(0, NUM_CLASSES - 1, (self.bev.height, self.bev.width), np.uint8)
        if obs_type in ("dict", "classes"):
            bound = np.array(self.ego_bounds, np.float32)
            low = -bound
            low[0] = 0.0
            view = {"bev": bev} if obs_type == "dict" else {"semantic": semantic}
            return gym.spaces.Dict({**view, "ego": gym.spaces.Box(low, bound, dtype=np.float32)})
        if obs_type == "bev":
            return bev
        if obs_type == "semantic":
            return semantic
        if obs_type == "flat":
            return gym.spaces.Box(-10.0, 10.0, (FLAT_SIZE,), np.float32)
        if obs_type == "latent":
            return gym.spaces.Box(-np.inf, np.inf, (latent_size,), np.float32)
        raise unknown("obs_type", obs_type, OBS_TYPES)

    def action_space(self, action_type: str = "continuous") -> gym.Space:
        """`[steer, throttle_brake]` in [-1, 1] (steer +1 is full right), or the 30 actions of `DISCRETE_ACTIONS`."""
        if action_type == "continuous":
            return gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
        if action_type == "discrete":
            return gym.spaces.Discrete(len(DISCRETE_ACTIONS))
        raise unknown("action_type", action_type, ACTION_TYPES)

    def to_dict(self) -> dict:
        """JSON-ready description, including the names and colours that give the numbers their meaning."""
        return {
            **asdict(self),
            "ego_bounds": list(self.ego_bounds),
            "classes": [c.name.lower() for c in SemanticClass],
            "palette": PALETTE.tolist(),
            "ego_fields": list(EGO_FIELDS),
            "reward_terms": list(REWARD_TERMS),
            "cost_terms": list(COST_TERMS),
            "terminations": list(TERMINATIONS),
        }

    def fingerprint(self) -> str:
        """SHA-256 over the description: equal fingerprints mean interchangeable environments and checkpoints."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()


CONTRACTS = {"driving": Contract()}


def unknown(what: str, value: object, known: object) -> ValueError:
    """A `ValueError` for a name that is not among `known`, suggesting the nearest one."""
    import difflib

    names = [str(k) for k in known]  # type: ignore[attr-defined]
    near = difflib.get_close_matches(str(value), names, n=1, cutoff=0.4)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return ValueError(f"unknown {what} {value!r}.{hint} Known: {', '.join(names)}")
