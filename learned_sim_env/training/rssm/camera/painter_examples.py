"""What the painter is trained on: keyframes, real ones or its own, and later moments to paint from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from learned_sim_env.spec import BevSpec, SemanticClass
from learned_sim_env.training.rssm.camera.moments import Moments
from learned_sim_env.world_model.geometry import relative, rotate
from learned_sim_env.world_model.rssm.camera.painting.casting import Hits, cast
from learned_sim_env.world_model.rssm.camera.painting.ground_look import ground_look
from learned_sim_env.world_model.rssm.camera.painting.rig import Rig
from learned_sim_env.world_model.rssm.camera.painting.state_things import OBSTACLE_SIZE
from learned_sim_env.world_model.rssm.camera.painting.things import Things, agents_as_things, joined, scenery_as_things
from learned_sim_env.world_model.rssm.map.memory import MapMemory

# Agents told of, the nearest: those that move, and obstacles. Episodes have more of both.
MOVERS, STATICS, FIRST_STATIC = 8, 8, 16
# A code of how the world looks may have been read off pictures up to so many steps before.
LOOK_BACK = 100
# In so many of the examples, scenery is found as perception finds it: off by so much in its distance (a share), its
# bearing and heading [rad] and its size (a share); or, this share of it, not at all.
IMPRECISE_SHARE = 0.5
RANGE_ERROR, BEARING_ERROR, HEADING_ERROR, SIZE_ERROR, MISSED = 0.08, 0.008, 0.15, 0.06, 0.12


class Beside(NamedTuple):
    """Scenery: pose (B, S, 3), size (B, S, 3), kind (B, S) uint8, see `Moments.scenery`."""

    pose: Tensor
    size: Tensor
    kind: Tensor


class Moment(NamedTuple):
    """Pictures (B, C, H, W, 3) uint8 of B moments, and the things in them, see `cast`."""

    pictures: Tensor
    things: Things
    hits: Hits


class Examples(NamedTuple):
    """B examples.

    moments: (B,) int, those to paint. key: the keyframes' moments, of `generation` (B,). real: those at which the world
    was looked at, `turned` (B,) [rad] of the ego before. motion: (B, 3) pose of the ego in the keyframe's.
    now: the moments to be painted. then: their things at the keyframes' moments. slots: (B, K) int64, those in which
    they were then; -1 for those that were not there.
    ground: (B, channels, G), see `ground_look`. marked: (B, N), share of a pixel that is a marking.
    true: (B, C, 3, H, W) float32, the pictures from 0 to 1.
    """

    moments: np.ndarray
    key: Moment
    generation: Tensor
    real: Moment
    turned: Tensor
    motion: Tensor
    now: Moment
    then: Things
    slots: Tensor
    ground: Tensor
    marked: Tensor
    true: Tensor


def ground(data: Moments, moments: np.ndarray, memory: MapMemory, rig: Rig) -> tuple[Tensor, Tensor]:
    """What a state would say of the true ground at `moments` (B,), see `Examples`."""
    cells, view = data.tensors(moments, "map", "bev")
    # Obstacles are part of what is remembered of the ground.
    cells = torch.where(view == SemanticClass.STATIC_OBJECT, view, cells)
    here = torch.zeros(len(moments), 3, device=data.device)
    cells, origin = memory.observe(*memory.empty(len(moments), data.device), here, cells)
    look = ground_look(cells, origin, here, rig, memory.bev)
    marked = torch.zeros(len(moments), len(rig.rays), device=data.device)
    marked[:, rig.ground] = look[:, -2:].sum(1)
    return look, marked


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


def slots_of(agents: dict[str, Tensor], before: dict[str, Tensor]) -> Tensor:
    """(B, K) int64: the slots in which `agents` were `before`, -1 for those that were in none. Obstacles stay."""
    same = (agents["id"][:, :, None] == before["id"][:, None]) & (before["class"] > 0)[:, None]
    return torch.where(same.any(-1), same.int().argmax(-1), -1)


def scenery(
    data: Moments, rng: np.random.Generator | None, moments: np.ndarray, first: np.ndarray, slots: int
) -> Beside:
    """What stands beside the road at `moments` (B,), the nearest things, in the ego frame at moments `first` (B,).

    rng: finds some of it where it is not, and some not at all, as perception does; None: all is found as it is.
    """
    given = {name: value[:, :slots] for name, value in data.scenery(moments, first).items()}
    pose, size, kind = given["pose"], given["size"], given["kind"]
    if rng is None:
        return Beside(pose, size, kind)
    shape = kind.shape

    def noise(scale: float) -> Tensor:
        some = rng.normal(0, scale, shape) * (rng.random((shape[0], 1)) < IMPRECISE_SHARE)
        return torch.from_numpy(some.astype(np.float32)).to(pose.device)

    # What is believed to be farther than it is is believed to be larger.
    farther = 1 + noise(RANGE_ERROR).clamp(-0.3, 0.3)
    places = rotate(pose[..., :2], noise(BEARING_ERROR)) * farther[..., None]
    pose = torch.cat([places, (pose[..., 2] + noise(HEADING_ERROR))[..., None]], -1)
    wider = torch.stack([1 + noise(SIZE_ERROR).clamp(-0.3, 0.3) for _ in range(3)], -1)
    missed = rng.random(shape) < MISSED * (rng.random((shape[0], 1)) < IMPRECISE_SHARE)
    kind = kind.masked_fill(torch.from_numpy(missed).to(kind.device), 0)
    return Beside(pose, size * farther[..., None] * wider, kind)


def _as_things(agents: dict[str, Tensor], beside: Beside, rig: Rig) -> Things:
    """All of them, of unknown colours."""
    colours = [torch.zeros(*v.shape, 4, device=v.device) for v in (agents["class"], beside.kind)]
    movers = agents_as_things(agents["pose"], agents["size"], agents["class"], colours[0])
    return joined(movers, scenery_as_things(*beside, colours[1], rig.eye))


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
    slots: int,
    own: tuple[Tensor, Tensor] | None = None,
    rng: np.random.Generator | None = None,
) -> Examples:
    """Examples of painting moments `later` (B,) from keyframes at `first`, looking as at moments `looked`.

    slots: of scenery. own: the keyframes' pictures (B, C, H, W, 3) uint8 and generations (B,), if they are not the real
    ones. rng: how wrongly scenery is found; None: not at all.
    """
    motion = motions(data, first, later)
    beside = scenery(data, rng, later, first, slots)
    agents, before_now, long_before = (shown_agents(data, moments, memory.bev) for moments in (later, first, looked))
    things = _as_things(agents, beside._replace(pose=relative(beside.pose, motion[:, None])), rig)
    now = Moment(*_moment(data, later, things, rig))
    key = Moment(*_moment(data, first, _as_things(before_now, beside, rig), rig, own[0] if own else None))
    around = scenery(data, None, looked, looked, slots)
    real = Moment(*_moment(data, looked, _as_things(long_before, around, rig), rig))

    where = slots_of(agents, before_now)
    beside_slots = torch.arange(beside.kind.shape[1], device=where.device).expand(len(where), -1) + where.shape[1]
    where = torch.cat([where, torch.where(beside.kind > 0, beside_slots, -1)], 1)
    pose = key.things.pose.gather(1, where.clamp_min(0)[..., None].expand(-1, -1, 3))
    then = things._replace(pose=pose, shape=things.shape * (where >= 0))
    generation = own[1] if own else torch.zeros_like(motion[:, 0])
    turned = motions(data, looked, later)[:, 2]
    true = now.pictures.permute(0, 1, 4, 2, 3).float() / 255
    return Examples(
        later, key, generation, real, turned, motion, now, then, where, *ground(data, later, memory, rig), true
    )


def _moment(
    data: Moments, moments: np.ndarray, things: Things, rig: Rig, pictures: Tensor | None = None
) -> tuple[Tensor, Things, Hits]:
    pictures = data.tensors(moments, "pictures")[0] if pictures is None else pictures
    return pictures, things, cast(rig, things, MOVERS + STATICS)


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
        """Take in pictures (B, C, H, W, 3) uint8 of moments (B,); once it is full, in place of others, by chance."""
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
