"""The road ahead as it was imagined: pieces one after another, along which the route goes on.

In a state: `road_piece` (B, KEPT) int32, the last pieces, the newest last, -1 where there is none; `road_pose`
(B, KEPT, 3) of their entries in the anchored frame, and `road_scale` (B, KEPT), how much larger than in the library
they are, and `road_from` (B, KEPT) [m], where on its route each begins to count; `road_arc` (B,) [m] where on the
newest piece's route the chain of stations ends; `road_options` (B, OPTIONS, 2) int32, pieces that go on from what is
seen, all as likely, and the section at which each does; `road_fit` (B, OPTIONS, 2), by how much each has to be moved to
the left for it [m] and by which share made larger; `road_rim` (B,) int32, the station of the chain there, -1 where it
is not known how the road goes on.

For the first `BEGIN` steps the map decoder alone imagines road: what is likeliest so near to what was seen it knows
better than any single piece, and a view of that age can still be compared with the truth. Until then `road_arc` is how
far the chain has moved on since the last view; pieces that were seen to fit there are then laid as far on.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from learned_sim_env.road import STATION, STATIONS
from learned_sim_env.world_model.geometry import compose, place, product, turn, wrap
from learned_sim_env.world_model.protocol import State
from learned_sim_env.world_model.rssm.roads.library import (
    LEAD,
    ROUTE_STEP,
    SECTION_STEP,
    SUCCESSORS,
    RoadLibrary,
    direction,
)
from learned_sim_env.world_model.rssm.route.landmarks import FAR, OBSTACLES

KEPT, OPTIONS = 4, 16
# [steps] since the last view after which pieces are laid; and stations beyond the rim of a view at which the first one
# begins, where the map decoder has not yet imagined anything: a view reaches one station farther, its margin two more.
BEGIN, BEYOND = 30, 3
# Successors that are tried for one that does not lie on road that is there; and how near to that is on it [m].
TRIED, CLEAR = 4, 30.0
# [m] What is farther behind the ego is no longer in its way.
PASSED = 10.0
# Places along a piece's route at which that is looked at, as shares of its length.
LOOKED = (0.4, 0.7, 1.0)
# What tells where pieces lie; what a view has said of how road goes on; and all of this part of a state.
LAID = ("road_piece", "road_pose", "road_scale", "road_from")
GROUNDED = ("road_options", "road_fit", "road_rim")
KEYS = (*LAID, "road_arc", *GROUNDED)
# Of a state, what changes where a piece is laid or a station is passed.
CHANGING = (*LAID, "road_arc", "route", "obstacles")


def empty(batch_size: int, device: torch.device | str) -> State:
    """This part of a state, before anything was seen."""
    return {
        "road_piece": torch.full((batch_size, KEPT), -1, dtype=torch.int32, device=device),
        "road_pose": torch.zeros(batch_size, KEPT, 3, device=device),
        "road_scale": torch.ones(batch_size, KEPT, device=device),
        "road_from": torch.zeros(batch_size, KEPT, device=device),
        "road_arc": torch.zeros(batch_size, device=device),
        "road_options": torch.zeros(batch_size, OPTIONS, 2, dtype=torch.int32, device=device),
        "road_fit": torch.zeros(batch_size, OPTIONS, 2, device=device),
        "road_rim": torch.full((batch_size,), -1, dtype=torch.int32, device=device),
    }


def follow(library: RoadLibrary, state: State, guessed: Tensor, pose: Tensor, uniform: Tensor | None) -> State:
    """The chain of stations and the pieces under it when the ego is at `pose` (B, 3).

    Args:
        library: of pieces.
        state: before the step, with "route", "route_end" and "obstacles".
        guessed: (B, STATIONS + 1, 3), the chain as it goes on where no piece is there.
        uniform: (B,) in [0, 1), by which pieces are chosen; None takes the first, the likeliest.

    Returns:
        "route", "route_end", "obstacles" and those of `KEYS` that change.
    """
    uniform = torch.zeros_like(pose[:, 0]) if uniform is None else uniform
    beginning = (state["road_piece"][:, -1] < 0) & (state["road_rim"] >= 0) & (state["age"] == BEGIN)
    kept = _in_rows(_begun, library, state, beginning, pose, uniform)
    planned, route = kept["road_piece"][:, -1] >= 0, kept["route"]
    along = product(place(pose) - place(route[:, 1]), turn(-route[:, 1, 2])).real
    passed = along > STATION
    new = _in_rows(_gone_on, library, kept, passed & planned, pose, uniform)
    new["road_arc"] = torch.where(passed & ~planned, kept["road_arc"] + STATION, new["road_arc"])
    new["route"] = _where(planned, new["route"], guessed)
    # Where a piece is the last, its end is the route's.
    newest = new["road_piece"][:, -1].long().clamp_min(0)
    ends = planned & library.last[newest]
    end = _end(library, newest, new["road_pose"][:, -1], new["road_scale"][:, -1])
    new["route_end"] = _where(ends, end, state["route_end"])
    return {name: new[name] for name in (*CHANGING, "route_end")}


def _in_rows(
    change: Callable[[RoadLibrary, State, Tensor, Tensor], State],
    library: RoadLibrary,
    state: State,
    where: Tensor,
    pose: Tensor,
    uniform: Tensor,
) -> State:
    """A state in which `CHANGING` is what `change` makes of it in the few rows in which `where` (B,) bool is set."""
    rows = where.nonzero()[:, 0]
    some = {name: state[name].index_select(0, rows) for name in (*CHANGING, *GROUNDED)}
    new = change(library, some, pose.index_select(0, rows), uniform.index_select(0, rows))
    return {**state, **{name: state[name].index_copy(0, rows, new[name]) for name in CHANGING}}


def _begun(library: RoadLibrary, state: State, ego: Tensor, uniform: Tensor) -> State:
    """With one of the options laid beyond the rim of what was imagined, and the chain from there on on its route."""
    route = state["route"]
    rim = (state["road_rim"].long().clamp_min(1) + BEYOND).clamp_max(STATIONS - 1)
    which = (uniform * OPTIONS).long().clamp_max(OPTIONS - 1)
    piece, section = state["road_options"].long().gather(1, which[:, None, None].expand(-1, 1, 2))[:, 0].unbind(-1)
    aside, scale = state["road_fit"].gather(1, which[:, None, None].expand(-1, 1, 2))[:, 0].unbind(-1)
    scale = 1 + scale
    # Where the view ended, and as far on as the rim has moved since; on a piece that is over others follow.
    moved = state["road_arc"] + (rim - state["road_rim"]) * STATION
    arc = torch.minimum((section - LEAD) * SECTION_STEP + moved / scale, library.length[piece])
    # The stations from the rim on lie on the piece's route.
    numbers = torch.arange(STATIONS + 2, device=route.device)
    ahead = (numbers - rim[:, None]) * STATION
    arcs = torch.cat([arc[:, None], arc[:, None] + ahead / scale[:, None]], 1)
    laid, headings = library.on_the_route(piece[:, None].expand_as(arcs), arcs)
    at, heading, laid = laid[:, 0], headings[:, 0], laid[:, 1:]
    station = route.gather(1, rim[:, None, None].expand(-1, 1, 3))[:, 0]
    before = route.gather(1, (rim - 1)[:, None, None].expand(-1, 1, 3))[:, 0]
    facing = (station[:, 2] + before[:, 2]) / 2 - heading
    entry = place(station) + product(torch.complex(torch.zeros_like(aside), aside) - scale * at, turn(facing))
    pose = torch.cat([torch.view_as_real(entry), wrap(facing)[:, None]], -1)
    laid = product(scale[:, None] * laid, turn(facing)[:, None]) + entry[:, None]
    chords = direction(laid[:, 1:] - laid[:, :-1])
    # Unwrapped from the chord before the rim on.
    last = before[:, 2:]
    chords = last + wrap(chords - last)
    places = torch.where(numbers[:-1] > rim[:, None], laid[:, :-1], place(route))
    headings = torch.where(numbers[:-1] >= rim[:, None], chords, route[:, :, 2])
    chain = torch.cat([torch.view_as_real(places), headings[..., None]], -1)
    return {
        **_with(library, state, ego, piece, pose, scale, arc),
        "road_arc": arc * scale + (STATIONS - rim) * STATION,
        "route": chain,
    }


def _gone_on(library: RoadLibrary, state: State, ego: Tensor, uniform: Tensor) -> State:
    """With one station more, and one piece more where the newest has ended."""
    newest = state["road_piece"][:, -1].long().clamp_min(0)
    pose, scale = state["road_pose"][:, -1], state["road_scale"][:, -1]
    arc = state["road_arc"] + STATION
    over = (arc > library.length[newest] * scale) & ~library.last[newest]
    following = _next(library, state, newest, pose, scale, uniform)
    more = _with(library, state, ego, *following, torch.zeros_like(arc))
    kept = {name: _where(over, value, state[name]) for name, value in more.items()}
    arc = torch.where(over, arc - library.length[newest] * scale, arc)
    newest = kept["road_piece"][:, -1].long().clamp_min(0)
    pose, scale = kept["road_pose"][:, -1], kept["road_scale"][:, -1]
    route = state["route"]
    last = route[:, -1]
    end = place(last) + STATION * turn(last[:, 2])
    to, _ = library.on_the_route(newest, (arc + STATION) / scale)
    to = place(pose) + product(to, scale * turn(pose[:, 2]))
    heading = last[:, 2] + wrap(direction(to - end) - last[:, 2])
    station = torch.cat([torch.view_as_real(end), heading[:, None]], -1)
    return {**kept, "road_arc": arc, "route": torch.cat([route[:, 1:], station[:, None]], 1)}


def _next(
    library: RoadLibrary, state: State, piece: Tensor, pose: Tensor, scale: Tensor, uniform: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """A piece (B,) that follows on `piece` (B,), its entry's pose (B, 3) and its scale (B,): the first of some that
    keeps clear of the pieces before.
    """
    first = (uniform * SUCCESSORS).long().clamp_max(SUCCESSORS - 1)[:, None]
    tried = (first + torch.arange(TRIED, device=pose.device) * (SUCCESSORS // TRIED)) % SUCCESSORS
    options = library.successors[piece].long().gather(1, tried)
    entry = _end(library, piece, pose, scale)
    scales = (library.width[piece, 1] * scale)[:, None] / library.width[options, 0]
    shares = torch.tensor(LOOKED, device=pose.device)
    old = state["road_piece"][:, :-1].long()
    looked = _looked(
        library,
        torch.cat([options, old.clamp_min(0), piece[:, None]], 1),
        torch.cat([entry[:, None].expand(-1, TRIED, -1), state["road_pose"][:, :-1], pose[:, None]], 1),
        torch.cat([scales, state["road_scale"][:, :-1], scale[:, None]], 1),
        shares,
    )
    there, taken, mine = looked.split([TRIED, KEPT - 1, 1], 1)
    there = there.flatten(1)
    taken = torch.where(old[..., None] >= 0, taken, FAR)
    # Of the present piece, only what is far from its exit can be in the way.
    taken = torch.cat([taken.flatten(1), mine[:, 0, :1]], 1)
    gap = (there[:, :, None] - taken[:, None]).abs().amin(-1).view(-1, TRIED, len(LOOKED)).amin(-1)
    # The first that is clear, else the one that is clearest.
    choice = torch.where(gap > CLEAR, FAR - torch.arange(TRIED, device=pose.device), gap).argmax(1, keepdim=True)
    return options.gather(1, choice)[:, 0], entry, scales.gather(1, choice)[:, 0]


def _looked(library: RoadLibrary, piece: Tensor, pose: Tensor, scale: Tensor, shares: Tensor) -> Tensor:
    """Places, complex (B, N, shares), on the routes of pieces (B, N) at `pose` (B, N, 3)."""
    pieces = piece[..., None].expand(*piece.shape, len(shares))
    at, _ = library.on_the_route(pieces, library.length[pieces] * shares)
    return place(pose)[..., None] + product(at, scale[..., None] * turn(pose[..., 2:]))


def _end(library: RoadLibrary, piece: Tensor, pose: Tensor, scale: Tensor) -> Tensor:
    """The pose (B, 3) of the exit of a piece."""
    exit_pose = library.exit_pose[piece]
    return compose(pose, torch.cat([exit_pose[:, :2] * scale[:, None], exit_pose[:, 2:]], -1))


def _with(
    library: RoadLibrary, state: State, ego: Tensor, piece: Tensor, pose: Tensor, scale: Tensor, since: Tensor
) -> State:
    """The pieces of a state with one more, which the oldest makes room for, and the obstacles with those on it."""
    return {
        "road_piece": torch.cat([state["road_piece"][:, 1:], piece[:, None].int()], 1),
        "road_pose": torch.cat([state["road_pose"][:, 1:], pose[:, None]], 1),
        "road_scale": torch.cat([state["road_scale"][:, 1:], scale[:, None]], 1),
        "road_from": torch.cat([state["road_from"][:, 1:], since[:, None]], 1),
        "obstacles": _with_objects(library, piece, pose, scale, since, state["obstacles"], ego),
    }


def _with_objects(
    library: RoadLibrary, piece: Tensor, pose: Tensor, scale: Tensor, since: Tensor, obstacles: Tensor, ego: Tensor
) -> Tensor:
    """The obstacles (B, OBSTACLES, 2) with what stands on a piece from `since` (B,) [m] on: those that an ego at `ego`
    (B, 3) has passed make room for it first, then the farthest.
    """
    objects = library.objects[piece]
    at = place(pose)[:, None] + product(scale[:, None] * place(objects), turn(pose[:, 2:]))
    # From where the piece is painted.
    first = (since / ROUTE_STEP).round() * ROUTE_STEP
    there = (objects[..., 0] < FAR) & (objects[..., 2] >= first[:, None])
    every = torch.cat([obstacles, torch.where(there[..., None], torch.view_as_real(at), FAR)], 1)
    seen = product(place(every) - place(ego)[:, None], turn(-ego[:, 2:]))
    away = seen.real.square() + seen.imag.square() + torch.where(seen.real < -PASSED, FAR**2, 0)
    nearest = away.topk(OBSTACLES, largest=False)[1]
    return every.gather(1, nearest[..., None].expand(-1, -1, 2))


def _where(mask: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(mask.view(-1, *[1] * (new.ndim - 1)), new, old)
