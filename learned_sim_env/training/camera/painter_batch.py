"""What the painter is trained on: a keyframe, real or one of its own, and the moment to paint."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from learned_sim_env.spec import BevSpec, SemanticClass
from learned_sim_env.training.camera.moments import Moments
from learned_sim_env.world_model.camera.boxes import Hits, cast
from learned_sim_env.world_model.camera.model import OBSTACLE_SIZE
from learned_sim_env.world_model.camera.rig import Rig
from learned_sim_env.world_model.geometry import compose, relative
from learned_sim_env.world_model.rssm.map_memory import MapMemory

# Agents told of: movers, static things.
MOVERS, STATICS = 8, 8


@dataclass(frozen=True, eq=False)
class Scenes:
    """What a state would say of B moments: the map anchored to the ego; agents, their ids; what rays meet of them."""

    cells: Tensor
    origin: Tensor
    agents: dict[str, Tensor]
    hits: Hits


def scenes(data: Moments, moments: np.ndarray, memory: MapMemory, rig: Rig) -> Scenes:
    """The true scenes at `moments` (B,), as far as a bird's-eye view shows them."""
    ground, view = data.tensors(moments, "map", "semantic")
    static = view == SemanticClass.STATIC_OBJECT
    ground = torch.where(static, view, ground)
    cells, origin = memory.observe(*memory.empty(len(moments)), torch.zeros(len(moments), 3), ground)
    agents = _told(data.agents(moments), memory.bev)
    return Scenes(cells, origin, agents, cast(rig.rays, rig.origins, agents["pose"], agents["size"], agents["class"]))


def _told(agents: dict[str, Tensor], bev: BevSpec) -> dict[str, Tensor]:
    """Those of 32 slots (16 movers, 16 static) that a view shows, the nearest."""
    slots = torch.cat([torch.arange(MOVERS), torch.arange(16, 16 + STATICS)])
    agents = {name: value[:, slots] for name, value in agents.items()}
    row, column = bev.pixels(agents["pose"])
    shown = (row >= 0) & (row < bev.height) & (column >= 0) & (column < bev.width)
    agents["class"] = agents["class"].masked_fill(~shown, 0)
    still = agents["class"] == SemanticClass.STATIC_OBJECT
    agents["size"] = torch.where(still[..., None], OBSTACLE_SIZE, agents["size"])
    return agents


def then(agents: dict[str, Tensor], before: dict[str, Tensor], motion: Tensor) -> tuple[Tensor, Tensor]:
    """Where `agents` were when others of them were seen `before`: poses (B, K, 3) in the ego frame of then, and their
    classes (B, K) uint8, 0 for those that were not there.

    motion: (B, 3) pose of the ego now in the frame of then.
    """
    same = (agents["id"][:, :, None] == before["id"][:, None]) & (before["class"] > 0)[:, None]
    index = same.int().argmax(-1)
    pose = before["pose"].gather(1, index[..., None].expand(-1, -1, 3))
    still = agents["class"] == SemanticClass.STATIC_OBJECT
    pose = torch.where(still[..., None], compose(motion[:, None], agents["pose"]), pose)
    return pose, torch.where(same.any(-1) | still, agents["class"], 0)


class Pool:
    """Pictures that the painter painted, to go on from: what it does to its own pictures must not add up."""

    def __init__(self, size: int):
        self.size, self.moments, self.generations = size, np.zeros(0, np.int64), np.zeros(0, np.float32)
        self.pictures: np.ndarray | None = None

    def add(self, rng: np.random.Generator, moments: np.ndarray, pictures: np.ndarray, generations: np.ndarray) -> None:
        """Take in pictures (B, C, H, W, 4) uint8 of moments (B,); at random in place of others once it is full."""
        if self.pictures is None:
            self.pictures = np.zeros((self.size, *pictures.shape[1:]), np.uint8)
        for moment, picture, generation in zip(moments, pictures, generations, strict=True):
            if len(self.moments) < self.size:
                at = len(self.moments)
                self.moments, self.generations = (
                    np.append(self.moments, moment),
                    np.append(self.generations, generation),
                )
            else:
                at = int(rng.integers(self.size))
                self.moments[at], self.generations[at] = moment, generation
            self.pictures[at] = picture


def motions(data: Moments, first: np.ndarray, later: np.ndarray) -> Tensor:
    """(B, 3) float32 pose of the ego at moments `later` in the frame of the ego at `first`."""
    poses = torch.from_numpy(data.arrays["ego_pose"][first]), torch.from_numpy(data.arrays["ego_pose"][later])
    return relative(poses[1], poses[0]).float()
