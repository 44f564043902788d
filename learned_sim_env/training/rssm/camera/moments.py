"""Moments of episodes with cameras, as training samples them: single ones, and pairs some steps apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from learned_sim_env.data.episode import MOVER_SLOTS
from learned_sim_env.scene import to_frame, wrap_angle
from learned_sim_env.spec import SemanticClass


class Rows(Protocol):
    """Recorded moments by name, such as `data.dataset.PackedData`."""

    def read(self, name: str, rows: np.ndarray) -> np.ndarray:
        """(*rows.shape, ...): rows of a modality or another array."""
        ...


@dataclass(frozen=True, eq=False)
class Moments:
    """N moments of whole episodes, one after the other.

    data: where they are read from: cameras, "bev", "route", "ego_pose", "map", agents and scenery, as in
    `data.episode`.
    rows: (N,) int, where each of them lies there. episode: (N,) int, numbers of the episodes, rising.
    cameras: names of those that "pictures" are of.
    """

    data: Rows
    rows: np.ndarray
    episode: np.ndarray
    cameras: tuple[str, ...]
    device: str = "cpu"

    @staticmethod
    def of(packed: Any, cameras: Sequence[str], device: str) -> Moments:
        """All moments of a `PackedData`."""
        lengths = packed.lengths
        rows = np.concatenate([np.arange(s, s + n) for s, n in zip(packed.starts, lengths, strict=True)])
        return Moments(packed, rows, np.repeat(np.arange(len(lengths)), lengths), tuple(cameras), device)

    def __len__(self) -> int:
        return len(self.episode)

    def read(self, name: str, moments: np.ndarray) -> np.ndarray:
        """(*moments.shape, ...) of an array, or of "pictures": (..., C, H, W, 3) uint8."""
        if name == "pictures":
            return np.stack([self.data.read(camera, self.rows[moments]) for camera in self.cameras], moments.ndim)
        return self.data.read(name, self.rows[moments])

    def later(self, moments: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """Those of `moments` (B,) of whose episodes there are so many `steps` (B,) more: bool."""
        after = moments + steps
        inside = (moments >= 0) & (after < len(self))
        return inside & (self.episode[np.minimum(after, len(self) - 1)] == self.episode[moments])

    def pairs(self, rng: np.random.Generator, count: int, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Moments (count,), and those a number of steps (count,) later, drawn from all for which there are any."""
        first = rng.integers(len(self), size=count)
        while not (good := self.later(first, steps)).all():
            first[~good] = rng.integers(len(self), size=int((~good).sum()))
        return first, first + steps

    def tensors(self, moments: np.ndarray, *names: str) -> tuple[Tensor, ...]:
        """What `read` gives, by name."""
        return tuple(torch.from_numpy(np.ascontiguousarray(self.read(name, moments))).to(self.device) for name in names)

    def agents(self, moments: np.ndarray, seen_from: np.ndarray | None = None) -> dict[str, Tensor]:
        """Agents at `moments` (B,): "pose" (B, K, 3) float32 in the ego frame at `seen_from`, the same moments if None;
        "size" (B, K, 2); "class" (B, K) uint8, 0 for an empty slot; "id" (B, K) int64.
        """
        pose = self._poses("agent_poses", moments, seen_from)
        sizes, classes, ids = self.tensors(moments, "agent_sizes", "agent_classes", "agent_ids")
        return {"pose": pose, "size": sizes, "class": classes, "id": ids}

    def scenery(self, moments: np.ndarray, seen_from: np.ndarray | None = None) -> dict[str, Tensor]:
        """Things beside the road at `moments` (B,): "pose" (B, K, 3) float32 in the ego frame at `seen_from`, the same
        moments if None; "size" (B, K, 3) float32 length, width, height [m]; "kind" (B, K) uint8 `SceneryKind`, 0 for an
        empty slot. `ValueError` if the data has none.
        """
        pose = self._poses("scenery_poses", moments, seen_from)
        sizes, kinds = self.tensors(moments, "scenery_sizes", "scenery_kinds")
        return {"pose": pose, "size": sizes, "kind": kinds}

    def _poses(self, name: str, moments: np.ndarray, seen_from: np.ndarray | None) -> Tensor:
        """(B, K, 3) float32: poses called so at `moments`, in the ego frame at `seen_from`."""
        frame = self.read("ego_pose", moments if seen_from is None else seen_from)[:, None]
        poses = self.read(name, moments).astype(np.float64)
        inside = np.concatenate([to_frame(poses[..., :2], frame), wrap_angle(poses[..., 2:] - frame[..., 2:])], -1)
        return torch.from_numpy(inside.astype(np.float32)).to(self.device)

    def movers(self, moments: np.ndarray, dt: float) -> tuple[Tensor, Tensor, Tensor]:
        """Agents that move at `moments` (B,): poses (B, 16, 3) in the ego frame, motions (B, 16, 2) speed along the
        heading [m/s] and yaw rate [rad/s], sizes (B, 16, 2). Empty slots say nothing.

        dt: [s] between moments.
        """
        agents = self.agents(moments)
        slots = slice(0, MOVER_SLOTS)
        before = np.where(self.later(moments - 1, np.ones_like(moments)), moments - 1, moments)
        ids, old_ids = (self.read("agent_ids", m)[:, slots] for m in (moments, before))
        heading, old = (self.read("agent_poses", m)[:, slots, 2] for m in (moments, before))
        same = ids[:, :, None] == old_ids[:, None]
        turned = wrap_angle(heading - np.take_along_axis(old, same.argmax(-1), -1)) / dt
        velocity = self.read("agent_velocities", moments)[:, slots]
        speed = np.maximum(velocity[..., 0] * np.cos(heading) + velocity[..., 1] * np.sin(heading), 0)
        motion = np.stack([speed, np.where(same.any(-1) & (ids >= 0), turned, 0)], -1).astype(np.float32)
        return agents["pose"][:, slots], torch.from_numpy(motion).to(self.device), agents["size"][:, slots]

    def near_obstacles(self, reach: float) -> np.ndarray:
        """Those moments (M,) int at which something that does not move stands within so many metres of the ego."""
        every = np.arange(len(self))
        place, ego = self.read("agent_poses", every)[..., :2], self.read("ego_pose", every)[:, None, :2]
        static = self.read("agent_classes", every) == SemanticClass.STATIC_OBJECT
        return np.flatnonzero((static & (((place - ego) ** 2).sum(-1) < reach**2)).any(-1))
