"""What `SceneryBirths` learns from: squares that came into reach of a true ego, and what truly stands in them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from learned_sim_env.spec import SCENERY_REACH
from learned_sim_env.training.rssm.camera.moments import Moments
from learned_sim_env.world_model.geometry import compose, relative, rotate, unwound
from learned_sim_env.world_model.protocol import State
from learned_sim_env.world_model.rssm.camera.scenery.births import SceneryBirths, reach
from learned_sim_env.world_model.rssm.camera.scenery.lattice import FAR_REACH, Squares
from learned_sim_env.world_model.rssm.map.memory import MapMemory
from learned_sim_env.world_model.rssm.route.path import chain

# Most steps in which squares came into reach, and most squares of a moment that are learned from.
LONGEST, SQUARES = 6, 64
# Views that make up the map, in steps before the moment, earliest first; and one up to so many steps, and metres,
# later: road is imagined farther than a view shows.
SHOWN, LATER, FARTHER = (30, 12, 0), 6, 6.0
# Where things stand in their squares counts so much beside what stands there.
PLACE_WEIGHT = 0.3


class BirthsObjective:
    """Pairs of moments a few steps apart: what stands in the squares that came into reach between them."""

    def __init__(self, births: SceneryBirths, data: Mapping[str, Moments], batch_size: int = 16, seed: int = 0):
        self.births, self.data, self.batch_size, self.seed = births, data, batch_size, seed

    def batch(self, split: str, step: int) -> np.ndarray:
        """(2, B) int: moments and earlier ones of a step."""
        rng = np.random.default_rng([self.seed, 5, step])
        steps = rng.integers(1, LONGEST + 1, self.batch_size)
        first, later = self.data[split].pairs(rng, self.batch_size, steps)
        return np.stack([later, first])

    def loss(self, split: str, batch: np.ndarray) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of what stands in a square, and the pinball loss of where in the square."""
        births, (later, first) = self.births, batch
        rng = np.random.default_rng([self.seed, *later])
        state, squares, true = examples(births, self.data[split], later, first, rng)
        known = {**true, "scenery_kind": true["scenery_kind"] * decided(births, true, state)}
        with torch.autocast(state["pose"].device.type, enabled=False):
            logits, features, towards = births.guesses(state, squares, known)
            kind, which = standing(births, squares, true)
            kinds = F.cross_entropy(logits, kind)
            some = (kind > 0).nonzero()[:, 0]
            pose = true["scenery_pose"][squares.row[some], which[some]]
            off, u = pose[:, :2] - squares.middle[some], towards[some]
            across, along = (off * u).sum(-1), off[:, 1] * u[:, 0] - off[:, 0] * u[:, 1]
            heading = pose[:, 2] - torch.atan2(u[:, 1], u[:, 0])
            # Boxes look the same turned by half; so that quantiles lie close whatever side the road seems to be on.
            heading = torch.remainder(heading + torch.pi / 4, torch.pi) - torch.pi / 4
            placed = torch.stack([across, along, heading], -1)
            away = (placed[..., None] - births.placed(features[some], kind[some])) / births.scales[:, None]
            pinball = torch.maximum(births.levels * away, (births.levels - 1) * away).mean((0, 2))
        total = kinds + PLACE_WEIGHT * pinball.sum()
        parts = {"scenery": kinds, "scenery_placed": pinball[:2].mean(), "scenery_turned": pinball[2]}
        return total, {name: value.detach() for name, value in parts.items()}


def examples(
    births: SceneryBirths, data: Moments, now: np.ndarray, before: np.ndarray, rng: np.random.Generator
) -> tuple[State, Squares, State]:
    """A state at moments `now` (B,), as a dream has it that decided all it could at `before` (B,); the squares that are
    due; and all that truly stands around.

    The anchored frame is near the ego and turned by chance, for squares may lie anyhow.
    """
    b, frame = len(now), data.tensors(now, "ego_pose")[0]
    shift = torch.from_numpy(rng.uniform([-4, -4, -np.pi], [4, 4, np.pi], (b, 3))).to(frame.device)
    frame = compose(frame, shift)
    pose, earlier = (relative(data.tensors(moments, "ego_pose")[0], frame).float() for moments in (now, before))
    cells, origin = true_map(data, births.memory, now, frame, rng)
    lattice, true = births.lattice, true_scenery(data, now, frame)
    reached = lattice.in_reach(earlier, recorded_reach(births, true_scenery(data, before, frame), earlier))
    reached, squares = lattice.due(reached, pose, SQUARES, recorded_reach(births, true, pose))
    state = {
        "map": cells,
        "map_origin": origin,
        "route": true_route(data, now, pose),
        "pose": pose,
        "scenery_decided": reached,
    }
    return state, squares, true


def true_route(data: Moments, moments: np.ndarray, pose: Tensor) -> Tensor:
    """The route at `moments` (B,) as `route.path` has it, in the frame in which `pose` (B, 3) is the ego's."""
    headings, ego, world = data.tensors(moments, "route_headings", "ego", "ego_pose")
    route = chain(unwound(headings - world[:, 2:].float() + ego[:, 5:]), ego)
    places = rotate(route[..., :2], pose[:, None, 2]) + pose[:, None, :2]
    return torch.cat([places, route[..., 2:] + pose[:, None, 2:]], -1)


def true_scenery(data: Moments, moments: np.ndarray, frame: Tensor) -> State:
    """All that stands around the ego at `moments` (B,), in `frame` (B, 3) float64 world poses; no colours."""
    kinds, poses, sizes = data.tensors(moments, "scenery_kinds", "scenery_poses", "scenery_sizes")
    return {
        "scenery_kind": kinds,
        "scenery_pose": relative(poses.double(), frame[:, None]).float(),
        "scenery_size": sizes,
    }


def recorded_reach(births: SceneryBirths, true: State, pose: Tensor) -> Tensor:
    """(B,) [m]: within what distance of the ego at `pose` (B, 3) squares are of which all is recorded."""
    return (reach(true, pose, SCENERY_REACH) - births.lattice.side).clamp_max(FAR_REACH)


def standing(births: SceneryBirths, squares: Squares, true: State) -> tuple[Tensor, Tensor]:
    """What truly stands in N squares: kinds (N,) int64, 0 for nothing, and its number (N,) among what is true."""
    kind = true["scenery_kind"].long()[squares.row]
    there = births.in_squares(squares, true) & (births.stage_of[kind] == squares.stage[:, None])
    which = there.int().argmax(-1)
    return kind.gather(1, which[:, None])[:, 0] * there.any(-1), which


def true_map(
    data: Moments, memory: MapMemory, moments: np.ndarray, frame: Tensor, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """The map that views up to `moments` (B,) add up to, and one a little later, with its origin; see
    `MapMemory.compose`.
    """
    later = rng.integers(0, LATER + 1, len(moments))
    order = np.stack([moments + later, *(moments - steps for steps in SHOWN)][::-1], 1)
    # What is seen now counts where views overlap.
    order[:, -2:] = order[:, [-1, -2]]
    there = (order >= 0) & (order < len(data))
    order = np.clip(order, 0, len(data) - 1)
    there &= data.episode[order] == data.episode[moments][:, None]
    poses = data.tensors(order, "ego_pose")[0]
    ahead = (poses - poses[:, -1:])[..., :2].norm(dim=-1)
    there &= (ahead < FARTHER).cpu().numpy() | (order <= moments[:, None])
    views = data.tensors(order, "map")[0]
    return memory.compose(views, relative(poses, frame[:, None]).float(), torch.from_numpy(there).to(views.device))


def decided(births: SceneryBirths, things: State, state: State) -> Tensor:
    """(B, K) bool: which things stand in squares in which it is decided what of their kind there is."""
    lattice, places = births.lattice, things["scenery_pose"][..., :2]
    level = state["scenery_decided"].gather(1, lattice.index(lattice.numbers(places)))
    kind = things["scenery_kind"].long()
    return lattice.holds(places, state["pose"]) & (level > births.stage_of[kind]) & (kind > 0)
