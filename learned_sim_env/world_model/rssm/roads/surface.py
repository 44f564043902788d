"""Whether there is road where it was imagined but not yet drawn, told by the sections of the pieces that lie there.

Before any is laid, those of the piece that fits best to what was seen tell: that is not what the map decoder imagines,
but has side roads where they are likely.
"""

from __future__ import annotations

import torch
from torch import Tensor

from learned_sim_env.road import STATION, STATIONS
from learned_sim_env.spec import SemanticClass
from learned_sim_env.world_model.protocol import State
from learned_sim_env.world_model.rssm.map.memory import UNKNOWN
from learned_sim_env.world_model.rssm.roads.library import BIN, BINS, LEAD, SECTION_STEP, SHOWN, RoadLibrary
from learned_sim_env.world_model.rssm.route.path import beside

# Of `plan.KEYS`, those of a state that tell it.
NEEDED = ("road_piece", "road_scale", "road_arc", "road_options", "road_rim", "road_fit")


def laid(library: RoadLibrary, state: State, arc: Tensor, across: Tensor) -> Tensor:
    """Whether the newest pieces, or those before them, or such as may be laid have road at places (B, N) by the route:
    bool.

    Half of the bin of a section in which a place lies has to be road. Beyond the sections' reach nothing is.

    Args:
        state: with `NEEDED`.
        arc, across: (B, N) [m] along the route's chain and to the left of it, see `route.path.Beside`.
    """
    newest, before = (state["road_piece"][:, -i, None] for i in (1, 2))
    scale, scale_before = (state["road_scale"][:, -i, None] for i in (1, 2))
    # From the newest piece's entry on: where the chain ends on it is known.
    since = arc + (state["road_arc"][:, None] - (STATIONS - 1) * STATION)
    earlier = since < 0
    piece = torch.where(earlier, before, newest)
    wide = torch.where(earlier, scale_before, scale)
    since = since / wide + torch.where(earlier, library.length[piece.long().clamp_min(0)], 0)
    # Or from the entry on of the one that goes on best from the rim of the view, see `plan.follow`.
    likely, section = state["road_options"][:, :1].unbind(-1)
    rim, fit = state["road_rim"][:, None], 1 + state["road_fit"][:, :1, 1]
    onward = (section - LEAD) * SECTION_STEP + (arc + state["road_arc"][:, None] + (1 - rim) * STATION) / fit
    planned = newest >= 0
    known = torch.where(planned, piece >= 0, rim >= 0)
    piece = torch.where(planned, piece, likely).long().clamp_min(0)
    since, wide = torch.where(planned, since, onward), torch.where(planned, wide, fit)
    start, end = library.sections_of[piece].long(), library.sections_of[piece + 1].long()
    section = start + LEAD + (since / SECTION_STEP).round().long()
    bin_of = ((BINS - 1) / 2 - across / (wide * BIN)).round().long()
    inside = known & (section >= start) & (section < end) & (bin_of >= 0) & (bin_of < BINS)
    index = torch.where(inside, section * BINS + bin_of, 0)
    # Of a bin, the first number is how much of it is off the road.
    off = library.sections.view(-1, SHOWN)[:, 0].take(index)
    return inside & (off < 128)


def told(library: RoadLibrary, state: State, points: Tensor, ids: Tensor) -> Tensor:
    """Classes (B, N) of places, of which those that are `UNKNOWN` in `ids` are told by the pieces that were laid there.

    Without that, whatever asks about the road would know of none, and of no edge of it, once the ego has left what was
    seen. Left of the route, road is of the route where there is as much to the right of it as well: more than that
    belongs to those who come towards it. Rows without pieces stay as they are.

    Args:
        state: with `NEEDED`, "route" and "pose".
        points: (B, N, 2) [m], in the frame of the poses.
        ids: (B, N) uint8, what was seen there.
    """
    rows = ((state["road_piece"][:, -1] >= 0) & (ids == UNKNOWN).any(1)).nonzero()[:, 0]
    some = {name: state[name].index_select(0, rows) for name in ("route", *NEEDED)}
    by = beside(some["route"], points.index_select(0, rows))
    # One look for both: most of it is the same.
    both = torch.cat([by.across, -by.across.abs()], 1)
    road, mirrored = laid(library, some, by.arc.repeat(1, 2), both).chunk(2, 1)
    known = torch.where(mirrored, int(SemanticClass.ROUTE), int(SemanticClass.ROAD))
    known = torch.where(road, known, int(SemanticClass.OFF_ROAD)).to(ids.dtype)
    seen = ids.index_select(0, rows)
    return ids.index_copy(0, rows, torch.where(seen == UNKNOWN, known, seen))
