"""Windows of recorded episodes as batches of tensors.

Unknown values are masked: `known` has, by the name of a modality or of a part of the episode (see `data.episode`), the
moments of a window that can be learned from. Everywhere else tensors hold zeros.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from learned_sim_env.data.episode import MODALITIES, MOVER_SLOTS, PARTS, SCHEMA, unknown_rows
from learned_sim_env.data.packed import PackedData
from learned_sim_env.scene import to_frame, wrap_angle
from learned_sim_env.spec import NUM_STATIC_CLASSES, unknown
from learned_sim_env.task import GRADED_TERMS

# Fewest real steps a window holds after its context.
MIN_FUTURE = 1

# Share of windows that begin with an episode: such moments are rare, but many dreams begin there.
BEGINNINGS = 0.1

_Paths = TypeVar("_Paths", bound="Paths")


@dataclass(frozen=True)
class Paths:
    """B windows of L moments, with the ego's motion only.

    The first `context` moments are the context; moments after an episode's end are not `valid`.

    ego: (B, L, 6). actions: (B, L, 2), leading to the moment. motion: (B, L, 3), of the step that led here.
    pose: (B, L, 3) in the frame of the ego at the last moment of the context. valid: (B, L) bool. stepped: (B, L) bool,
    whether a step led here.
    known: (B, L) bool each, at which of the valid moments these are known: modalities of the data, "actions", "pose",
    "motion" and other parts. What belongs to a step ("actions", "motion", "reward") never is where no step led.
    """

    context: int
    ego: Tensor
    actions: Tensor
    motion: Tensor
    pose: Tensor
    valid: Tensor
    stepped: Tensor
    known: dict[str, Tensor]

    @property
    def imaginable(self) -> Tensor:
        """(B, L) bool: valid moments up to which no action of the window is unknown."""
        acted = self.known["actions"] | ~self.stepped
        return self.valid & acted.long().cumprod(1).bool()

    def known_past_end(self, name: str) -> Tensor:
        """(B, L) bool: `known`, and past the end of an episode that of its last moment, which is repeated there."""
        last = self.valid.sum(1, keepdim=True) - 1
        return torch.where(self.valid, self.known[name], self.known[name].gather(1, last))

    def to(self: _Paths, device: torch.device | str) -> _Paths:
        """The same on another device."""

        def moved(value: Any) -> Any:
            if isinstance(value, dict):
                return {name: moved(v) for name, v in value.items()}
            return value.to(device) if isinstance(value, Tensor) else value

        return type(self)(**moved(vars(self)))


@dataclass(frozen=True)
class TrafficWindows(Paths):
    """Windows that also have the other road users and the ground that they drive on.

    ground: (B, H, W) uint8, what stands still in the view of the last moment of the context, where "map" is known.
    agent_ids: (B, L, 16) int64, -1 empty. agent_pose: (B, L, 16, 3) in the same frame as `pose`. agent_motion:
    (B, L, 16, 2) speed along the heading and yaw rate. agent_size: (B, L, 16, 2). agent_class: (B, L, 16) uint8.
    """

    ground: Tensor
    agent_ids: Tensor
    agent_pose: Tensor
    agent_motion: Tensor
    agent_size: Tensor
    agent_class: Tensor


@dataclass(frozen=True)
class Batch(TrafficWindows):
    """Windows with everything that is recorded.

    observations: the modalities asked for, by name, (B, L, *shape) of their dtype.
    static: (B, L, H, W) uint8, what stands still in the view from above (movers and ego removed), where "map" is known.
    route: (B, L, STATIONS) headings of the route's chords ahead, in the ego's frame, see `road.RoadIndex`; known as
    "stations".
    terms: (B, L, 4), known as "reward". events: (B, L, 4) bool.
    scenery: what stands beside the road, empty unless asked for and recorded: "kind" (B, L, K) uint8, 0 empty, "pose"
    (B, L, K, 3) in the same frame as `pose`, "size" (B, L, K, 3).
    """

    observations: dict[str, Tensor]
    static: Tensor
    route: Tensor
    terms: Tensor
    events: Tensor
    scenery: dict[str, Tensor]


def read(data: PackedData, name: str, row: np.ndarray) -> np.ndarray:
    """Rows (...) of an array; those of `unknown_rows` if no episode has it."""
    if data.has(name):
        return data.read(name, row)
    shape, dtype = SCHEMA[name]
    return unknown_rows(name, (*row.shape, *shape), np.dtype(dtype))


def motions(data: PackedData, row: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Motions (..., 3) float32 of the ego from rows `before` (...) to rows `row` (...), where both poses are known."""
    return _seen_from(read(data, "ego_pose", row), read(data, "ego_pose", before)).astype(np.float32)


class WindowSampler:
    """Draws windows of a packed data set. They depend on (seed, step, rank) alone, so that a resumed run repeats them.

    names: modalities in `Batch.observations`; "ego" is there in any case. `ValueError` if no episode has one of them.
    scenery: whether `Batch.scenery` is read, where it was recorded.
    """

    def __init__(
        self,
        data: PackedData,
        context: int,
        horizon: int,
        dt: float,
        names: Iterable[str] = MODALITIES,
        scenery: bool = False,
    ) -> None:
        if not len(data):
            raise ValueError(
                "the data set has no episodes for this split: collect more (seeds ending in 9 are validation; of "
                "recordings, one in ten)"
            )
        self.data, self.context, self.horizon, self.dt = data, context, horizon, dt
        self.names = tuple(dict.fromkeys((*names, "ego")))
        self._with_scenery = scenery and data.has("scenery_kinds")
        for name in self.names:
            if name not in data.modalities:
                raise unknown("modality of the data:", name, data.modalities)
        # A window may begin wherever at least one step follows its context.
        self.starts = np.maximum(data.lengths - context - MIN_FUTURE + 1, 0)
        self.total = int(self.starts.sum())
        if not self.total:
            raise ValueError(f"no episode is longer than the context of {context} moments")
        self._last = np.cumsum(self.starts)
        self._firsts = (self._last - self.starts)[self.starts > 0]

    @property
    def top_speed(self) -> float:
        """[m/s] The highest speed of the ego in all of the data set."""
        return float(self.data.arrays["ego"][:, 0].max())

    def sample(self, size: int, seed: int, step: int, rank: int = 0) -> Batch:
        """`size` windows."""
        return self.windows(self._drawn(size, seed, step, rank))

    def windows(self, index: np.ndarray) -> Batch:
        """The windows numbered `index` (B,), each below `total`."""
        row, stepped, valid = self._rows(index)
        headings = self._read("route_headings", row) - self._read("ego_pose", row)[..., 2:].astype(np.float32)
        return Batch(
            **vars(self._traffic(row, stepped, valid)),
            observations={name: torch.from_numpy(self.data.read(name, row)) for name in self.names},
            static=torch.from_numpy(self._standing(row)),
            route=torch.from_numpy(headings),
            terms=torch.from_numpy(self._read("reward_terms", row)[..., : len(GRADED_TERMS)]),
            events=torch.from_numpy(self._read("events", row)),
            scenery={name: torch.from_numpy(values) for name, values in self._scenery(row).items()},
        )

    def sample_paths(self, size: int, seed: int, step: int, rank: int = 0) -> Paths:
        """How the ego moved in `size` windows: without pictures, many are cheap."""
        return self._paths(*self._rows(self._drawn(size, seed, step, rank, 1)))

    def sample_traffic(self, size: int, seed: int, step: int, rank: int = 0) -> TrafficWindows:
        """How the ego and all other road users moved in `size` windows."""
        return self._traffic(*self._rows(self._drawn(size, seed, step, rank, 2)))

    def _drawn(self, size: int, *key: int) -> np.ndarray:
        """Numbers of `size` windows (size,) int64."""
        rng = np.random.default_rng(key)
        index, first = rng.integers(self.total, size=size), rng.choice(self._firsts, size=size)
        return np.where(rng.random(size) < BEGINNINGS, first, index)

    def _rows(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows (B, L) of the data for windows (B,), whether a step led to each, and whether it is in the episode."""
        episode = np.searchsorted(self._last, index, side="right")
        start = index - (self._last[episode] - self.starts[episode])
        moment = start[:, None] + np.arange(self.context + self.horizon)
        valid = moment < self.data.lengths[episode, None]
        # Past the end the last moment is repeated; `valid` says so.
        moment = np.minimum(moment, self.data.lengths[episode, None] - 1)
        return self.data.starts[episode, None] + moment, moment > 0, valid

    def _paths(self, row: np.ndarray, stepped: np.ndarray, valid: np.ndarray) -> Paths:
        pose = self._read("ego_pose", row)
        anchor = pose[:, self.context - 1 : self.context]
        return Paths(
            context=self.context,
            ego=torch.from_numpy(self._read("ego", row)),
            actions=torch.from_numpy(self._read("actions", row)),
            motion=torch.from_numpy(motions(self.data, row, np.where(stepped, row - 1, row))),
            pose=torch.from_numpy(_seen_from(pose, anchor).astype(np.float32)),
            valid=torch.from_numpy(valid),
            stepped=torch.from_numpy(stepped),
            known={name: torch.from_numpy(mask) for name, mask in self._known(row, stepped, valid).items()},
        )

    def _known(self, row: np.ndarray, stepped: np.ndarray, valid: np.ndarray) -> dict[str, np.ndarray]:
        """Masks (B, L) bool, see `Paths.known`."""
        data = self.data
        known = {name: data.known(name, row) & valid for name in (*data.modalities, "actions", *PARTS)}
        known["motion"] = known["pose"] & data.known("pose", np.where(stepped, row - 1, row))
        for name in ("actions", "motion", "reward"):
            known[name] = known[name] & stepped
        # Both are in the frame of the ego at the last moment of the context.
        anchored = data.known("pose", row[:, self.context - 1 : self.context])
        known["pose"] = known["pose"] & anchored
        known["agents"] = known["agents"] & anchored
        known["stations"] = known["stations"] & data.known("pose", row)
        return known

    def _traffic(self, row: np.ndarray, stepped: np.ndarray, valid: np.ndarray) -> TrafficWindows:
        now = row[:, self.context - 1]
        anchor = self._read("ego_pose", now)[:, None]
        ids = self._read("agent_ids", row)[..., :MOVER_SLOTS]
        world = self._read("agent_poses", row)[..., :MOVER_SLOTS, :].astype(np.float64)
        velocity = self._read("agent_velocities", row)[..., :MOVER_SLOTS, :]
        heading = world[..., 2]
        speed = velocity[..., 0] * np.cos(heading) + velocity[..., 1] * np.sin(heading)
        yaw_rate = self._yaw_rate(row, stepped, ids, heading)
        return TrafficWindows(
            **vars(self._paths(row, stepped, valid)),
            ground=torch.from_numpy(self._standing(now)),
            agent_ids=torch.from_numpy(ids),
            agent_pose=torch.from_numpy(_seen_from(world, anchor[:, :, None]).astype(np.float32)),
            agent_motion=torch.from_numpy(np.stack([np.maximum(speed, 0.0), yaw_rate], -1).astype(np.float32)),
            agent_size=torch.from_numpy(self._read("agent_sizes", row)[..., :MOVER_SLOTS, :]),
            agent_class=torch.from_numpy(self._read("agent_classes", row)[..., :MOVER_SLOTS]),
        )

    def _scenery(self, row: np.ndarray) -> dict[str, np.ndarray]:
        """See `Batch.scenery`."""
        if not self._with_scenery:
            return {}
        anchor = self._read("ego_pose", row[:, self.context - 1])[:, None, None]
        world = self._read("scenery_poses", row).astype(np.float64)
        return {
            "kind": self._read("scenery_kinds", row),
            "pose": _seen_from(world, anchor).astype(np.float32),
            "size": self._read("scenery_sizes", row),
        }

    def _standing(self, row: np.ndarray) -> np.ndarray:
        """(..., H, W) uint8: what stands still in the views of rows (...), movers and ego removed."""
        ground = self._read("map", row)
        if "bev" not in self.data.arrays:
            return ground
        view = self.data.arrays["bev"][row]
        # Objects that stand still are in no map.
        return np.where((view < NUM_STATIC_CLASSES) & self.data.known("bev", row)[..., None, None], view, ground)

    def _read(self, name: str, row: np.ndarray) -> np.ndarray:
        return read(self.data, name, row)

    def _yaw_rate(self, row: np.ndarray, stepped: np.ndarray, ids: np.ndarray, heading: np.ndarray) -> np.ndarray:
        """(B, L, 16): turn since the moment before, over dt; 0 for an agent that was not there."""
        earlier = np.where(stepped, row - 1, row)
        same = ids[..., :, None] == self._read("agent_ids", earlier)[..., None, :MOVER_SLOTS]
        known = same.any(-1) & (ids >= 0)
        old = self._read("agent_poses", earlier)[..., :MOVER_SLOTS, 2]
        old = np.take_along_axis(old, same.argmax(-1), -1)
        return np.where(known, wrap_angle(heading - old) / self.dt, 0.0)


def _seen_from(pose: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Poses (..., 3) in the frame of `frame`, broadcast against them."""
    return np.concatenate([to_frame(pose[..., :2], frame), wrap_angle(pose[..., 2:] - frame[..., 2:])], -1)
