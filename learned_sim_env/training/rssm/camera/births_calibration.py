"""What is fitted of `SceneryBirths` once it is trained: that as much is born and stays as there truly is, and how far
apart.

Egos drive as they truly did, over the true map, as far as it is known at each moment of a dream; of the scenery only
what was in sight at the start is true.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from learned_sim_env.training.rssm.camera.births import (
    FARTHER,
    LATER,
    decided,
    recorded_reach,
    true_route,
    true_scenery,
)
from learned_sim_env.training.rssm.camera.moments import Moments
from learned_sim_env.world_model.geometry import relative
from learned_sim_env.world_model.protocol import State
from learned_sim_env.world_model.rssm.camera.scenery.births import IMPOSSIBLE, QUANTILES, UNIFORMS, SceneryBirths
from learned_sim_env.world_model.rssm.camera.scenery.roadside import KINDS, is_road
from learned_sim_env.world_model.rssm.map.memory import MARGIN, UNKNOWN, MapMemory

# Drives side by side, their steps, and how often rates are changed after them; by at most this, and as if there had
# been so many more things: whole drives are through towns or woods, and few say little about the others.
DRIVES, STEPS, TIMES, MOST, DOUBT = 192, 120, 3, 0.5, 30
# Steps from one count of what stands there to the next, and how near that is [m]: where the map is known, so that what
# was on the road is gone.
EVERY, CLOSE = 10, 45.0
# Moments at which it is looked how large things are and how far apart.
LOOKS, CLOSE_LOOKS = 2000, 400
# Share of things that may stand nearer to the road than it is said that they do.
NEARER = 0.02


def calibrate(births: SceneryBirths, data: Moments, seed: int = 0) -> dict[str, float]:
    """Fit sizes, distances and rates; how much stands where nothing was known at the start as a share of what truly
    does, in the end, by kind.

    Counted is what stands near, not what is born: some of that is taken away when its map is known.
    """
    births.sizes.copy_(size_quantiles(data))
    births.apart.copy_(least_distances(data))
    births.clear.copy_(road_distances(data, births.memory))
    births.likelier.zero_()
    (kinds,) = data.tensors(_looks(data), "scenery_kinds")
    recorded = torch.bincount(kinds.flatten().long(), minlength=KINDS + 1)
    # What is never recorded is never born: not even its size is known.
    births.likelier[1 : KINDS + 1] = torch.where(recorded[1:] > 0, 0, IMPOSSIBLE)
    starts, _ = data.pairs(np.random.default_rng([seed, 6]), DRIVES, np.full(DRIVES, min(STEPS, _shortest(data))))
    shares = torch.ones(KINDS)
    for time in range(TIMES + 1):
        true, born = torch.zeros(KINDS + 1), torch.zeros(KINDS + 1)
        first: State = {}
        for step, (before, state, standing) in enumerate(drives(births, data, starts, STEPS, seed + time), 1):
            first = first or before
            if step % EVERY == 0:
                known = recorded_reach(births, standing, state["pose"]).clamp_max(CLOSE)
                true += fresh(births, standing, first, state, known)
                born += fresh(births, state, first, state, known)
        shares = ((born + DOUBT) / (true + DOUBT))[1:]
        if time < TIMES:
            births.likelier[1 : KINDS + 1] -= shares.log().clamp(-MOST, MOST)
    return {f"births_of_kind_{k + 1}": round(float(share), 3) for k, share in enumerate(shares)}


def _shortest(data: Moments) -> int:
    """Steps that most episodes have."""
    return int(np.quantile(np.bincount(data.episode)[np.unique(data.episode)], 0.25)) - 1


@torch.no_grad()
def drives(
    births: SceneryBirths, data: Moments, starts: np.ndarray, steps: int, seed: int, temperature: float = 1.0
) -> Iterator[tuple[State, State, State]]:
    """For each step of drives that begin at moments (B,): the state before it, after it, and what truly stands there.

    A drive whose episode ends stands still.
    """
    memory, b = births.memory, len(starts)
    ends = np.array([np.flatnonzero(data.episode == e)[-1] for e in data.episode[starts]])
    frame = data.tensors(starts, "ego_pose")[0]
    generator = torch.Generator().manual_seed(seed)
    here = torch.zeros(b, 3, device=frame.device)
    cells, origin = memory.empty(b, frame.device)
    state = {
        **true_scenery(data, starts, frame),
        **births.initial(here),
        "map": cells,
        "map_origin": origin,
        "pose": here,
    }
    state["scenery_kind"] = state["scenery_kind"] * decided(births, state, state)
    state["scenery_colour"] = here.new_zeros(*state["scenery_kind"].shape, 4)
    for t in range(1, steps + 1):
        now = np.minimum(starts + t, ends)
        pose = relative(data.tensors(now, "ego_pose")[0], frame).float()
        cells, origin = memory.follow(state["map"], state["map_origin"], pose)
        for seen in (now, _later(data, now, ends)):
            shown = F.pad(data.tensors(seen, "map")[0], (MARGIN,) * 4, value=UNKNOWN)
            where = relative(data.tensors(seen, "ego_pose")[0], frame).float()
            known = memory.read_canvas(cells, origin, where)
            memory.commit(cells, origin, where, shown, (shown != UNKNOWN) & (known == UNKNOWN))
        uniforms = torch.rand(b, UNIFORMS, generator=generator).to(frame.device)
        before = {
            **state,
            "map": cells,
            "map_origin": origin,
            "pose": pose,
            "route": true_route(data, now, pose),
            "scenery_chance": births.chance(uniforms, temperature, pose),
        }
        state = {**before, **births(before)}
        yield before, state, true_scenery(data, now, frame)


def fresh(births: SceneryBirths, things: State, before: State, after: State, within: Tensor) -> Tensor:
    """(KINDS + 1,) numbers of things, by kind, whose squares were decided between two states of a drive, and that are
    `within` (B,) [m] of the ego `after` it.
    """
    new = decided(births, things, after) & ~decided(births, things, before)
    new &= (things["scenery_pose"] - after["pose"][:, None])[..., :2].norm(dim=-1) < within[:, None]
    return torch.bincount(things["scenery_kind"][new].long(), minlength=KINDS + 1).float()


def size_quantiles(data: Moments) -> Tensor:
    """(KINDS, 3, Q) [m]: `QUANTILES` of length, width and height by kind; 1 for kinds that there are none of."""
    kinds, sizes = data.tensors(_looks(data), "scenery_kinds", "scenery_sizes")
    levels, found = torch.tensor(QUANTILES), torch.ones(KINDS, 3, len(QUANTILES))
    for kind in range(1, KINDS + 1):
        some = sizes[kinds == kind].cpu()
        if len(some):
            # More than 2^24 numbers are too many for `torch.quantile`.
            found[kind - 1] = some[:: max(1, len(some) // 100_000)].quantile(levels, dim=0).T
    return found


def road_distances(data: Moments, memory: MapMemory) -> Tensor:
    """(KINDS + 1,) [m]: how near to the road all but a few things of a kind stand; 0 where there are none of a kind.

    A diagonal of a cell less, so that no true thing is found to stand on the road: half of it lies between a place and
    the middle of the cell that is looked up for it, the other half between that and the pixel that the cell shows.
    """
    less = 2**0.5 * memory.bev.metres_per_pixel
    found: list[list[Tensor]] = [[] for _ in range(KINDS + 1)]
    for some in np.array_split(_looks(data)[:: LOOKS // CLOSE_LOOKS], CLOSE_LOOKS // 8):
        frame, views = data.tensors(some, "ego_pose", "map")
        true = true_scenery(data, some, frame)
        for view, kind, pose in zip(views, true["scenery_kind"], true["scenery_pose"], strict=True):
            road = memory.points.to(view.device)[is_road(view.flatten())]
            row, column = memory.bev.pixels(pose[:, :2])
            seen = (row > 0) & (row < memory.bev.height) & (column > 0) & (column < memory.bev.width) & (kind > 0)
            if len(road) and seen.any():
                away = torch.cdist(pose[seen, :2], road).amin(-1) - less
                for k in kind[seen].unique().tolist():
                    found[k].append(away[kind[seen] == k].cpu())
    near = [torch.cat(away).quantile(NEARER) if away else torch.tensor(0.0) for away in found]
    return torch.stack(near).clamp_min(0)


def _looks(data: Moments) -> np.ndarray:
    """Moments evenly spread over all."""
    return np.unique(np.linspace(0, len(data) - 1, LOOKS).astype(np.int64))


def least_distances(data: Moments) -> Tensor:
    """(KINDS + 1, KINDS + 1) [m]: how near things of two kinds come to each other; 0 where two were never seen."""
    least = torch.full((KINDS + 1, KINDS + 1), torch.inf)
    moments = _looks(data)
    for some in np.array_split(moments, max(1, len(moments) // 64)):
        kinds, poses = data.tensors(some, "scenery_kinds", "scenery_poses")
        away = (poses[:, :, None, :2] - poses[:, None, :, :2]).norm(dim=-1)
        away = away.masked_fill(torch.eye(away.shape[-1], dtype=torch.bool, device=away.device), torch.inf)
        pair = (kinds[:, :, None].long() * (KINDS + 1) + kinds[:, None].long()).flatten()
        found = least.new_full(((KINDS + 1) ** 2,), torch.inf)
        least = torch.minimum(least, found.scatter_reduce(0, pair.cpu(), away.flatten().cpu(), "amin").view_as(least))
    least[0], least[:, 0] = 0, 0
    return torch.where(least.isfinite(), least, 0)


def _later(data: Moments, now: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Moments (B,) after `now`, at which the ego is a little ahead: imagined road reaches farther than a view."""
    there, later = data.read("ego_pose", now), now
    for steps in range(1, LATER + 1):
        then = np.minimum(now + steps, ends)
        near = ((data.read("ego_pose", then) - there)[:, :2] ** 2).sum(-1) < FARTHER**2
        later = np.where(near, then, later)
    return later
