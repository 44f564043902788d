"""Moments of episodes with cameras, as training samples them: single ones, and pairs some steps apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from learned_sim_env.data.episode import MOVER_SLOTS
from learned_sim_env.scene import to_frame, wrap_angle


@dataclass(frozen=True, eq=False)
class Moments:
    """N moments of whole episodes, one after the other.

    arrays: "pictures" (N, C, H, W, 3) uint8; "semantic", "map", "ego", "ego_pose", "route" (N, 10, 2), and agents,
    as in `data.episode`; "actions" (N, 2): the one that led to the moment.
    episode: (N,) int, numbers of the episodes, rising.
    """

    arrays: dict[str, np.ndarray]
    episode: np.ndarray

    def __len__(self) -> int:
        return len(self.episode)

    def later(self, moments: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """Those of `moments` (B,) of whose episodes there are so many `steps` (B,) more: bool."""
        after = moments + steps
        return (after < len(self)) & (self.episode[np.minimum(after, len(self) - 1)] == self.episode[moments])

    def pairs(self, rng: np.random.Generator, count: int, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Moments (count,), and those a number of steps (count,) later, drawn from all for which there are any."""
        first = rng.integers(len(self), size=count)
        while not (good := self.later(first, steps)).all():
            first[~good] = rng.integers(len(self), size=int((~good).sum()))
        return first, first + steps

    def tensors(self, moments: np.ndarray, *names: str) -> tuple[Tensor, ...]:
        """Rows of arrays by name."""
        return tuple(torch.from_numpy(np.ascontiguousarray(self.arrays[name][moments])) for name in names)

    def agents(self, moments: np.ndarray, seen_from: np.ndarray | None = None) -> dict[str, Tensor]:
        """Agents at `moments` (B,): "pose" (B, K, 3) float32 in the ego frame at `seen_from`, the same moments if None;
        "size" (B, K, 2); "class" (B, K) uint8, 0 for an empty slot; "id" (B, K) int64.
        """
        frame = self.arrays["ego_pose"][moments if seen_from is None else seen_from]
        poses = self.arrays["agent_poses"][moments].astype(np.float64)
        places = to_frame(poses[..., :2], frame[:, None])
        headings = wrap_angle(poses[..., 2:] - frame[:, None, 2:])
        poses = np.concatenate([places, headings], -1).astype(np.float32)
        sizes, classes, ids = self.tensors(moments, "agent_sizes", "agent_classes", "agent_ids")
        return {"pose": torch.from_numpy(poses), "size": sizes, "class": classes, "id": ids}

    def movers(self, moments: np.ndarray, dt: float) -> tuple[Tensor, Tensor, Tensor]:
        """Agents that move at `moments` (B,): poses (B, 16, 3) in the ego frame, motions (B, 16, 2) speed along the
        heading [m/s] and yaw rate [rad/s], sizes (B, 16, 2). Empty slots say nothing.

        dt: [s] between moments.
        """
        agents = self.agents(moments)
        slots = slice(0, MOVER_SLOTS)
        before = np.where(self.later(moments - 1, np.ones_like(moments)), moments - 1, moments)
        ids, old_ids = (self.arrays["agent_ids"][m][:, slots] for m in (moments, before))
        heading, old = (self.arrays["agent_poses"][m][:, slots, 2] for m in (moments, before))
        same = ids[:, :, None] == old_ids[:, None]
        turned = wrap_angle(heading - np.take_along_axis(old, same.argmax(-1), -1)) / dt
        velocity = self.arrays["agent_velocities"][moments][:, slots]
        speed = np.maximum(velocity[..., 0] * np.cos(heading) + velocity[..., 1] * np.sin(heading), 0)
        motion = np.stack([speed, np.where(same.any(-1) & (ids >= 0), turned, 0)], -1).astype(np.float32)
        return agents["pose"][:, slots], torch.from_numpy(motion), agents["size"][:, slots]
