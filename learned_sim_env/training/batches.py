"""Windows of recorded episodes as batches of tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.data.episode import MOVER_SLOTS
from learned_sim_env.scene import to_frame, wrap_angle
from learned_sim_env.spec import NUM_STATIC_CLASSES
from learned_sim_env.task import GRADED_TERMS

# Fewest real steps a window holds after its context.
MIN_FUTURE = 1

# Share of windows that begin with an episode: few moments are like that, but many dreams begin there.
BEGINNINGS = 0.1

_Paths = TypeVar("_Paths", bound="Paths")


@dataclass(frozen=True)
class Paths:
    """B windows of L moments, of which only how the ego moved is known.

    The first `context` moments are the context; moments after an episode's end are not `valid`.

    ego: (B, L, 6). actions: (B, L, 2), leading to the moment. motion: (B, L, 3), of the step that led here.
    pose: (B, L, 3) in the frame of the ego at the last moment of the context. valid: (B, L) bool.
    """

    context: int
    ego: Tensor
    actions: Tensor
    motion: Tensor
    pose: Tensor
    valid: Tensor

    def to(self: _Paths, device: torch.device | str) -> _Paths:
        """The same on another device."""
        moved: dict[str, Any] = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in vars(self).items()}
        return type(self)(**moved)


@dataclass(frozen=True)
class Traffic(Paths):
    """What is known of other road users as well, and of the ground they drive on.

    ground: (B, H, W) uint8, what stands still in the view of the last moment of the context.
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
class Batch(Traffic):
    """Everything.

    semantic, static: (B, L, H, W) uint8, the view, and what stands still in it (movers and ego removed).
    route: (B, L, STATIONS) headings of the route's chords ahead, in the ego's frame, see `road.RoadIndex`.
    terms: (B, L, 4). events: (B, L, 4) bool. stepped: (B, L) bool, whether a step led here.
    """

    semantic: Tensor
    static: Tensor
    route: Tensor
    terms: Tensor
    events: Tensor
    stepped: Tensor


class WindowSampler:
    """Draws windows of a packed data set; which, depends on (seed, step, rank) alone: a resumed run repeats them."""

    def __init__(self, data: PackedData, context: int, horizon: int, dt: float):
        if not len(data):
            raise ValueError(
                "the data set has no episodes for this split: collect more (seeds ending in 9 are validation)"
            )
        self.data, self.context, self.horizon, self.dt = data, context, horizon, dt
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
        a = self.data.arrays
        return Batch(
            **vars(self._traffic(row, stepped, valid)),
            semantic=torch.from_numpy(a["semantic"][row]),
            static=torch.from_numpy(self._standing(row)),
            route=torch.from_numpy(a["route_headings"][row] - a["ego_pose"][row][..., 2:].astype(np.float32)),
            terms=torch.from_numpy(a["reward_terms"][row][..., : len(GRADED_TERMS)]),
            events=torch.from_numpy(a["events"][row]),
            stepped=torch.from_numpy(stepped),
        )

    def sample_paths(self, size: int, seed: int, step: int, rank: int = 0) -> Paths:
        """How the ego moved in `size` windows: without pictures, many are cheap."""
        return self._paths(*self._rows(self._drawn(size, seed, step, rank, 1)))

    def sample_traffic(self, size: int, seed: int, step: int, rank: int = 0) -> Traffic:
        """How everybody moved in `size` windows."""
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
        a = self.data.arrays
        pose = a["ego_pose"][row]
        motion = _seen_from(pose, a["ego_pose"][np.where(stepped, row - 1, row)])
        anchor = pose[:, self.context - 1 : self.context]
        return Paths(
            context=self.context,
            ego=torch.from_numpy(a["ego"][row]),
            actions=torch.from_numpy(a["actions"][row]),
            motion=torch.from_numpy(motion.astype(np.float32)),
            pose=torch.from_numpy(_seen_from(pose, anchor).astype(np.float32)),
            valid=torch.from_numpy(valid),
        )

    def _traffic(self, row: np.ndarray, stepped: np.ndarray, valid: np.ndarray) -> Traffic:
        a = self.data.arrays
        now = row[:, self.context - 1]
        anchor = a["ego_pose"][now][:, None]
        ids = a["agent_ids"][row][..., :MOVER_SLOTS]
        world = a["agent_poses"][row][..., :MOVER_SLOTS, :].astype(np.float64)
        velocity = a["agent_velocities"][row][..., :MOVER_SLOTS, :]
        heading = world[..., 2]
        speed = velocity[..., 0] * np.cos(heading) + velocity[..., 1] * np.sin(heading)
        yaw_rate = self._yaw_rate(row, stepped, ids, heading)
        return Traffic(
            **vars(self._paths(row, stepped, valid)),
            ground=torch.from_numpy(self._standing(now)),
            agent_ids=torch.from_numpy(ids),
            agent_pose=torch.from_numpy(_seen_from(world, anchor[:, :, None]).astype(np.float32)),
            agent_motion=torch.from_numpy(np.stack([np.maximum(speed, 0.0), yaw_rate], -1).astype(np.float32)),
            agent_size=torch.from_numpy(a["agent_sizes"][row][..., :MOVER_SLOTS, :]),
            agent_class=torch.from_numpy(a["agent_classes"][row][..., :MOVER_SLOTS]),
        )

    def _standing(self, row: np.ndarray) -> np.ndarray:
        """(..., H, W) uint8: what stands still in the views of rows (...), movers and ego removed."""
        semantic = self.data.arrays["semantic"][row]
        return np.where(semantic < NUM_STATIC_CLASSES, semantic, self.data.arrays["map"][row])

    def _yaw_rate(self, row: np.ndarray, stepped: np.ndarray, ids: np.ndarray, heading: np.ndarray) -> np.ndarray:
        """(B, L, 16): turn since the moment before, over dt; 0 for an agent that was not there."""
        earlier = np.where(stepped, row - 1, row)
        same = ids[..., :, None] == self.data.arrays["agent_ids"][earlier][..., None, :MOVER_SLOTS]
        known = same.any(-1) & (ids >= 0)
        old = self.data.arrays["agent_poses"][earlier][..., :MOVER_SLOTS, 2]
        old = np.take_along_axis(old, same.argmax(-1), -1)
        return np.where(known, wrap_angle(heading - old) / self.dt, 0.0)


def _seen_from(pose: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Poses (..., 3) in the frame of `frame`, broadcast against them."""
    return np.concatenate([to_frame(pose[..., :2], frame), wrap_angle(pose[..., 2:] - frame[..., 2:])], -1)
