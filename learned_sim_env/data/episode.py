"""One recorded episode: what it holds.

An episode of T steps has T + 1 moments (row 0 is the reset) and T transitions (row t leads from moment t to t + 1).
Poses and velocities are in the world frame of `learned_sim_env.scene`, in metres, radians and metres a second.

A simulator knows everything; a recording of real driving perhaps has cameras and its own motion, and those not always.
So, as in Waymax (arXiv 2310.08710), what is not known is masked and never made up:

* `observations` are the modalities that were recorded, by their names in the contract; "ego" is always among them.
* Actions and ends are required. All else belongs to one of the `PARTS`, whose arrays are there or None together.
* `valid` has a mask (T + 1,) bool for what is known at some moments only, by the name of a modality or part. What has
  no mask is known throughout. Where a mask is False the arrays hold zeros (-1 in `agent_ids`), which nothing may read.
  Masks of "actions" and "reward" stand, as `reward_terms` do, at the moment that the step led to; their row 0 says
  nothing.
* Within the agents of a moment, slots with an `agent_ids` of -1 are empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from learned_sim_env.data.splits import SPLITS
from learned_sim_env.road import STATIONS
from learned_sim_env.spec import (
    COST_TERMS,
    EGO_FIELDS,
    NUM_CLASSES,
    REWARD_TERMS,
    SCENARIO_TAGS,
    BevSpec,
    Contract,
    unknown,
)
from learned_sim_env.task import EVENTS

# Slots of an agent row: the nearest movers (vehicles, pedestrians) come first, the nearest static objects after them.
MOVER_SLOTS = 16
STATIC_SLOTS = 16
AGENT_SLOTS = MOVER_SLOTS + STATIC_SLOTS
# Slots of a row of scenery, the nearest thing first.
SCENERY_SLOTS = 48

# Modalities that are recorded unless others are asked for.
MODALITIES = ("bev", "ego")

# Shape and dtype of one row of every array that is no modality.
TRANSITIONS: dict[str, tuple[tuple[int, ...], type]] = {
    "actions": ((2,), np.float32),
    "rewards": ((), np.float32),
    "terminations": ((), np.bool_),
    "truncations": ((), np.bool_),
}
MOMENTS: dict[str, tuple[tuple[int, ...], type]] = {
    "map": ((BevSpec().height, BevSpec().width), np.uint8),
    "ego_pose": ((3,), np.float64),
    "ego_velocity": ((2,), np.float32),
    "agent_ids": ((AGENT_SLOTS,), np.int64),
    "agent_classes": ((AGENT_SLOTS,), np.uint8),
    "agent_poses": ((AGENT_SLOTS, 3), np.float32),
    "agent_sizes": ((AGENT_SLOTS, 2), np.float32),
    "agent_velocities": ((AGENT_SLOTS, 2), np.float32),
    "scenery_kinds": ((SCENERY_SLOTS,), np.uint8),
    "scenery_poses": ((SCENERY_SLOTS, 3), np.float32),
    "scenery_sizes": ((SCENERY_SLOTS, 3), np.float32),
    "route_left": ((), np.float32),
    "route_headings": ((STATIONS,), np.float32),
    "reward_terms": ((len(REWARD_TERMS),), np.float32),
    "cost_terms": ((len(COST_TERMS),), np.float32),
    "events": ((len(EVENTS),), np.bool_),
    "tags": ((len(SCENARIO_TAGS),), np.bool_),
}
SCHEMA = {**MOMENTS, **TRANSITIONS}
# What is there or missing together. "stations" are what `road.RoadIndex` says of the route.
PARTS: dict[str, tuple[str, ...]] = {
    "map": ("map",),
    "pose": ("ego_pose", "ego_velocity"),
    "agents": ("agent_ids", "agent_classes", "agent_poses", "agent_sizes", "agent_velocities"),
    "scenery": ("scenery_kinds", "scenery_poses", "scenery_sizes"),
    "stations": ("route_left", "route_headings"),
    "reward": ("rewards", "reward_terms", "cost_terms"),
    "events": ("events",),
    "tags": ("tags",),
}
# The part, or "actions", that an array belongs to; ends need no mask.
PART_OF = {"actions": "actions", **{name: part for part, names in PARTS.items() for name in names}}
METADATA = ("seed", "simulator", "behaviour", "end_reason", "log", "split")


@dataclass(frozen=True, eq=False)
class Episode:
    """Arrays of one episode of T steps, checked on construction (`ValueError` names what differs).

    seed: of its scenario, or a number that no other episode of the data set has. simulator: or what recorded it.
    behaviour: the driver. end_reason: one of `TERMINATIONS` or `TRUNCATIONS`, "" where a recording goes on elsewhere.
    observations: by modality, (T+1, *shape) uint8 or float32. valid: see above.
    actions: (T, 2) float32. terminations, truncations: (T,) bool. rewards: (T,) float32.
    map: (T+1, H, W) uint8, the view from above without agents and ego, classes of the map only.
    ego_pose: (T+1, 3) float64. ego_velocity: (T+1, 2) float32.
    agent_ids: (T+1, 32) int64, -1 where the slot is empty; the same number is the same agent in all rows, in whatever
    slot. agent_classes, agent_poses, agent_sizes (length, width), agent_velocities: zeros where the slot is empty.
    scenery_kinds: (T+1, 48) uint8 `SceneryKind`, 0 where the slot is empty. scenery_poses: (T+1, 48, 3) float32 x, y,
    heading. scenery_sizes: (T+1, 48, 3) float32 length, width, height [m]. What drawn cameras show beside the road, and
    a little beyond what they do, see `spec.SCENERY_REACH`; the same thing has other slots at other moments.
    route_left: (T+1,) float32, what is left of the route [m]. route_headings: (T+1, 14) float32 [rad], see
    `road.RoadIndex.route_headings`.
    reward_terms, cost_terms, events, tags: of the step that led to the moment, in the order of `REWARD_TERMS`,
    `COST_TERMS`, `task.EVENTS`, `SCENARIO_TAGS`.
    log: name of the recording that it is a piece of, "" for a simulator. split: one of `splits.SPLITS`, "": by log or
    seed, see `splits.split_of`.
    """

    seed: int
    simulator: str
    behaviour: str
    end_reason: str
    observations: Mapping[str, np.ndarray]
    actions: np.ndarray
    terminations: np.ndarray
    truncations: np.ndarray
    rewards: np.ndarray | None = None
    map: np.ndarray | None = None
    ego_pose: np.ndarray | None = None
    ego_velocity: np.ndarray | None = None
    agent_ids: np.ndarray | None = None
    agent_classes: np.ndarray | None = None
    agent_poses: np.ndarray | None = None
    agent_sizes: np.ndarray | None = None
    agent_velocities: np.ndarray | None = None
    scenery_kinds: np.ndarray | None = None
    scenery_poses: np.ndarray | None = None
    scenery_sizes: np.ndarray | None = None
    route_left: np.ndarray | None = None
    route_headings: np.ndarray | None = None
    reward_terms: np.ndarray | None = None
    cost_terms: np.ndarray | None = None
    events: np.ndarray | None = None
    tags: np.ndarray | None = None
    valid: Mapping[str, np.ndarray] = field(default_factory=dict)
    log: str = ""
    split: str = ""

    def __post_init__(self) -> None:
        moments = len(self) + 1
        if self.split and self.split not in SPLITS:
            raise unknown("split", self.split, SPLITS)
        if "ego" not in self.observations:
            raise ValueError(f"{self._name}: there is no ego among the observations, {', '.join(self.observations)}")
        self._check("ego", self.observations["ego"], (moments, len(EGO_FIELDS)), np.float32)
        for name, seen in self.observations.items():
            if name in SCHEMA or name in PARTS or name in METADATA:
                raise ValueError(f"{self._name}: a modality cannot be called {name!r}, as something else is")
            self._check(name, seen, (moments, *seen.shape[1:]), np.float32 if seen.dtype.kind == "f" else np.uint8)
        for name, (shape, dtype) in SCHEMA.items():
            array = getattr(self, name)
            if array is not None:
                self._check(name, array, (len(self) if name in TRANSITIONS else moments, *shape), dtype)
        for part, names in PARTS.items():
            missing = [name for name in names if getattr(self, name) is None]
            if missing and len(missing) < len(names):
                raise ValueError(f"{self._name}: the {part} lacks {', '.join(missing)}: give all of it or nothing")
        for name, mask in self.valid.items():
            if name != "actions" and name not in self.observations and name not in self.parts:
                raise ValueError(f"{self._name}: {name!r} has a mask, but is not there")
            self._check(f"valid[{name!r}]", mask, (moments,), np.bool_)
            if name not in ("actions", "ego") and not mask.any():
                raise ValueError(f"{self._name}: {name!r} is valid nowhere: leave it out")

    def _check(self, name: str, array: np.ndarray, shape: tuple[int, ...], dtype: type) -> None:
        if array.shape != shape or array.dtype != dtype:
            raise ValueError(
                f"{self._name}: {name} is {array.dtype} {array.shape}, expected {np.dtype(dtype).name} {shape}"
            )

    @property
    def _name(self) -> str:
        return f"episode {self.seed}" + (f" of {self.log}" if self.log else "")

    def __len__(self) -> int:
        """Number of steps T."""
        return len(self.actions)

    @property
    def ego(self) -> np.ndarray:
        """(T+1, 6) float32, `EGO_FIELDS`."""
        return self.observations["ego"]

    @property
    def parts(self) -> tuple[str, ...]:
        """Those of `PARTS` that are there."""
        return tuple(part for part, names in PARTS.items() if getattr(self, names[0]) is not None)

    def arrays(self) -> dict[str, np.ndarray]:
        """All arrays that are there, without masks: modalities by their name, the others by that in `SCHEMA`."""
        others = {name: getattr(self, name) for name in SCHEMA}
        return {**self.observations, **{name: array for name, array in others.items() if array is not None}}

    def metadata(self) -> dict[str, int | str]:
        """Seed, simulator, behaviour, end reason, log and split by name."""
        return {name: getattr(self, name) for name in METADATA}

    def check(self, contract: Contract) -> None:
        """`ValueError` if a modality is not the contract's, or has a shape, type or class that it has not there."""
        for name, seen in self.observations.items():
            modality = contract.modality(name)
            self._check(name, seen, (len(self) + 1, *modality.shape), modality.dtype.type)
            if modality.kind == "classes" and seen.max() >= NUM_CLASSES:
                raise ValueError(f"{self._name}: {name} has the class {seen.max()}; there are 0 to {NUM_CLASSES - 1}")


def unknown_rows(name: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """What an array called `name` holds where nothing is known: zeros, or -1 for ids."""
    return np.full(shape, -1 if name == "agent_ids" else 0, dtype)
