"""What the painter is trained on: keyframes, real ones or its own, and later moments to paint from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from learned_sim_env.spec import BevSpec, SemanticClass
from learned_sim_env.training.rssm.camera.moments import Moments
from learned_sim_env.world_model.geometry import compose, relative
from learned_sim_env.world_model.rssm.camera.boxes import Hits, cast
from learned_sim_env.world_model.rssm.camera.ground_look import ground_look
from learned_sim_env.world_model.rssm.camera.keyframe import Keyframe
from learned_sim_env.world_model.rssm.camera.model import OBSTACLE_SIZE, with_agents
from learned_sim_env.world_model.rssm.camera.rig import Rig
from learned_sim_env.world_model.rssm.map_memory import MapMemory

# Agents told of, the nearest: those that move, and obstacles. Episodes have more of both.
MOVERS, STATICS, FIRST_STATIC = 8, 8, 16
# A code of how the world looks may have been read off pictures up to so many steps before.
LOOK_BACK = 100


class Scenes(NamedTuple):
    """What a state would say of B moments, the true map and agents in the ego frame.

    ground: (B, G, channels), see `ground_look`. marked: (B, N), share of a pixel that is a marking. agents: see
    `Moments.agents`. hits: what rays meet of them.
    """

    ground: Tensor
    marked: Tensor
    agents: dict[str, Tensor]
    hits: Hits


class Examples(NamedTuple):
    """B examples.

    moments: (B,) int, those to paint. keyframe: of earlier ones, in their ego frames. motion: (B, 3) pose of the ego in
    the keyframe's. scenes: to be painted. true: (B, C, 3, H, W) float32, the pictures from 0 to 1.
    """

    moments: np.ndarray
    keyframe: Keyframe
    motion: Tensor
    scenes: Scenes
    true: Tensor


def scenes(data: Moments, moments: np.ndarray, memory: MapMemory, rig: Rig) -> Scenes:
    """The true scenes at `moments` (B,), as far as a bird's-eye view shows them."""
    ground, view = data.tensors(moments, "map", "bev")
    # Obstacles are part of what is remembered of the ground.
    ground = torch.where(view == SemanticClass.STATIC_OBJECT, view, ground)
    here = torch.zeros(len(moments), 3, device=data.device)
    cells, origin = memory.observe(*memory.empty(len(moments), data.device), here, ground)
    look = ground_look(cells, origin, here, rig, memory.bev)
    marked = torch.zeros(len(moments), len(rig.rays), device=data.device)
    marked[:, rig.ground] = look[..., -2:].sum(-1)
    agents = shown_agents(data, moments, memory.bev)
    hits = cast(rig.rays, rig.origins, agents["pose"], agents["size"], agents["class"])
    return Scenes(look, marked, agents, hits)


def shown_agents(data: Moments, moments: np.ndarray, bev: BevSpec) -> dict[str, Tensor]:
    """The nearest agents that a view shows: (B, MOVERS + STATICS, ...), see `Moments.agents`."""
    slots = [*range(MOVERS), *range(FIRST_STATIC, FIRST_STATIC + STATICS)]
    agents = {name: value[:, slots] for name, value in data.agents(moments).items()}
    row, column = bev.pixels(agents["pose"])
    shown = (row >= 0) & (row < bev.height) & (column >= 0) & (column < bev.width)
    agents["class"] = agents["class"].masked_fill(~shown, 0)
    still = agents["class"] == SemanticClass.STATIC_OBJECT
    agents["size"] = torch.where(still[..., None], OBSTACLE_SIZE, agents["size"])
    return agents


def then(agents: dict[str, Tensor], before: dict[str, Tensor], motion: Tensor) -> tuple[Tensor, Tensor]:
    """Where `agents` were when `before` were there: poses (B, K, 3) in the ego frame of then, and their classes
    (B, K) uint8, 0 for those that were not.

    motion: (B, 3) pose of the ego now in the frame of then.
    """
    same = (agents["id"][:, :, None] == before["id"][:, None]) & (before["class"] > 0)[:, None]
    index = same.int().argmax(-1)
    pose = before["pose"].gather(1, index[..., None].expand(-1, -1, 3))
    still = agents["class"] == SemanticClass.STATIC_OBJECT
    pose = torch.where(still[..., None], compose(motion[:, None], agents["pose"]), pose)
    return pose, torch.where(same.any(-1) | still, agents["class"], 0)


def motions(data: Moments, first: np.ndarray, later: np.ndarray) -> Tensor:
    """(B, 3) float32 pose of the ego at moments `later` in the frame of the ego at `first`."""
    before, after = (data.tensors(moments, "ego_pose")[0] for moments in (first, later))
    return relative(after, before).float()


def examples(
    data: Moments,
    first: np.ndarray,
    later: np.ndarray,
    looked: np.ndarray,
    memory: MapMemory,
    rig: Rig,
    own: tuple[Tensor, Tensor] | None = None,
) -> Examples:
    """Examples of painting moments `later` (B,) from keyframes at `first`, looking as at moments `looked`.

    own: the keyframes' pictures (B, C, H, W, 4) uint8 and generations (B,), if they are not the real ones.
    """
    motion, now = motions(data, first, later), scenes(data, later, memory, rig)
    pose, classes = then(now.agents, data.agents(first), motion)
    if own is None:
        shown = shown_agents(data, first, memory.bev)
        hits = cast(rig.rays, rig.origins, shown["pose"], shown["size"], shown["class"])
        own = with_agents(data.tensors(first, "pictures")[0], hits), torch.zeros_like(motion[:, 0])
    turned = motions(data, looked, later)[:, 2]
    pictures, looks = (data.tensors(moments, "pictures")[0] for moments in (later, looked))
    # How far away what they show is has to be guessed first, see `painter_loss.paint`.
    unknown = torch.zeros(own[0].shape[:-1], device=data.device)
    keyframe = Keyframe(own[0], torch.zeros_like(motion), pose, classes, own[1], looks, turned, unknown, unknown)
    true = pictures.permute(0, 1, 4, 2, 3).float() / 255
    return Examples(later, keyframe, motion, now, true)


def looked_at(data: Moments, rng: np.random.Generator, moments: np.ndarray) -> np.ndarray:
    """Moments (B,) of the same episodes at or before `moments` (B,), up to `LOOK_BACK` steps."""
    start = np.searchsorted(data.episode, data.episode[moments])
    back = np.minimum(moments - start, LOOK_BACK)
    return moments - (rng.random(len(moments)) * (back + 1)).astype(np.int64)


class OwnPictures:
    """Up to `size` moments that the painter painted, to go on from: what it does to them must not add up."""

    def __init__(self, size: int):
        self.size = size
        self.moments, self.generations = np.zeros(0, np.int64), np.zeros(0, np.float32)
        self.pictures = np.zeros((size, 0), np.uint8)

    def __len__(self) -> int:
        return len(self.moments)

    def add(self, rng: np.random.Generator, moments: np.ndarray, pictures: np.ndarray, generations: np.ndarray) -> None:
        """Take in pictures (B, C, H, W, 4) uint8 of moments (B,); once it is full, in place of others, by chance."""
        if not self.pictures.size:
            self.pictures = np.zeros((self.size, *pictures.shape[1:]), np.uint8)
        at = np.arange(len(self), len(self) + len(moments))
        at = np.where(at < self.size, at, rng.integers(self.size, size=len(moments)))
        more = max(0, min(self.size, len(self) + len(moments)) - len(self))
        self.moments = np.concatenate([self.moments, np.zeros(more, np.int64)])
        self.generations = np.concatenate([self.generations, np.zeros(more, np.float32)])
        self.moments[at], self.generations[at], self.pictures[at] = moments, generations, pictures

    def tensors(self) -> dict[str, Tensor]:
        """All of them, by name."""
        kept = self.pictures[: len(self)]
        arrays = zip(("moments", "generations", "pictures"), (self.moments, self.generations, kept), strict=True)
        return {name: torch.from_numpy(np.array(array)) for name, array in arrays}

    def recall(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what `tensors` gave, in place of all there is."""
        self.moments, self.generations = tensors["moments"].numpy(), tensors["generations"].numpy()
        pictures = tensors["pictures"].numpy()
        self.pictures = np.zeros((self.size, *pictures.shape[1:]), np.uint8)
        self.pictures[: len(self)] = pictures
