"""Whether there is road where it was imagined but not yet drawn, told by the sections of the pieces that lie there."""

from __future__ import annotations

import torch
from torch import Tensor

from learned_sim_env.road import STATION, STATIONS
from learned_sim_env.world_model.protocol import State
from learned_sim_env.world_model.rssm.roads.library import BIN, BINS, LEAD, SECTION_STEP, SHOWN, RoadLibrary


def laid(library: RoadLibrary, state: State, arc: Tensor, across: Tensor) -> Tensor:
    """Whether the newest pieces, or those before them, have road at places (B, N) by the route: bool.

    Half of the bin of a section in which a place lies has to be road. Beyond the sections' reach nothing is.

    Args:
        state: with `plan.KEYS`.
        arc, across: (B, N) [m] along the route's chain and to the left of it, see `route.path.Beside`.
    """
    newest, before = (state["road_piece"][:, -i, None] for i in (1, 2))
    scale, scale_before = (state["road_scale"][:, -i, None] for i in (1, 2))
    # From the newest piece's entry on: where the chain ends on it is known.
    since = arc + (state["road_arc"][:, None] - (STATIONS - 1) * STATION)
    earlier = since < 0
    piece = torch.where(earlier, before, newest)
    known, piece = piece >= 0, piece.long().clamp_min(0)
    wide = torch.where(earlier, scale_before, scale)
    since = since / wide + torch.where(earlier, library.length[piece], 0)
    start, end = library.sections_of[piece].long(), library.sections_of[piece + 1].long()
    section = start + LEAD + (since / SECTION_STEP).round().long()
    bin_of = ((BINS - 1) / 2 - across / (wide * BIN)).round().long()
    inside = known & (section >= start) & (section < end) & (bin_of >= 0) & (bin_of < BINS)
    index = torch.where(inside, section * BINS + bin_of, 0)
    # Of a bin, the first number is how much of it is off the road.
    off = library.sections.view(-1, SHOWN)[:, 0].take(index)
    return inside & (off < 128)
