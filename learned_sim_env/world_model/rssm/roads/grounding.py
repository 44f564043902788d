"""Which pieces go on from what is seen: recognised by sections of the road along the route.

A piece fits where the sections of the map that it was cut from are like those seen, and its route turns alike. A view
is worth as much as an observation with Gaussian noise: the probability of a piece, and of a place on it, follows by
Bayes from that, all pieces being as likely before.
"""

from __future__ import annotations

import torch
from torch import Tensor

from learned_sim_env.spec import BevSpec, SemanticClass
from learned_sim_env.world_model.geometry import sample_nearest
from learned_sim_env.world_model.layers import linear
from learned_sim_env.world_model.protocol import State
from learned_sim_env.world_model.rssm.roads.library import BIN, BINS, LEAD, SECTION_STEP, SHOWN, RoadLibrary
from learned_sim_env.world_model.rssm.roads.plan import OPTIONS
from learned_sim_env.world_model.rssm.route.landmarks import FAR
from learned_sim_env.world_model.rssm.route.path import swath

# Stations of the chain that are compared, the first being the ego's own.
COMPARED = LEAD
# [m] Along and across a section, a view is sampled at these places.
ALONG, ACROSS = (-1.5, -0.5, 0.5, 1.5), (-0.5, 0.0, 0.5)
# Of what is off the road, on a broken line, on a solid line: how much a difference of shares counts, and how many
# sections say as much as one, since they are alike; [rad] how far a turn may be off.
WEIGHTS, ALIKE, TURN = (1.0, 0.5, 1.0), 1.5, 0.03
# Inverse of twice the variance of a share, as a view shows it.
SHARPNESS = 4.0
# Share of a section that must be seen, and of the candidates how many are looked at.
SEEN, CANDIDATES = 0.6, 64
# Sections by which it is measured how a piece fits, and [m] how far an edge may be off.
MEASURED, OFF = 3, 1.2
# [m] A piece must go on for so long.
AHEAD = 28.0


def options(library: RoadLibrary, semantic: Tensor, route: Tensor, route_end: Tensor, bev: BevSpec) -> State:
    """ "road_options" and "road_rim", see `plan`, for views (B, H, W) uint8 and routes (B, STATIONS + 1, 3) in them.

    route_end: (B, 3), where the route ends; where that is seen nothing has to be imagined.
    """
    shown, known = _sections(semantic, route, bev)
    b, a = known.shape[:2]
    # The rim is the last station of which enough is seen, with all before it.
    enough = known.float().mean((-1, -2)) >= SEEN
    rim = enough.long().cumprod(1).sum(1)
    used = (torch.arange(a, device=rim.device) < rim[:, None])[..., None, None]
    weight = torch.tensor(WEIGHTS, device=rim.device) * known * used
    table = library.sections.float() / 255
    seen = (shown * weight).flatten(2)
    # Squared differences, less what is the same for all pieces.
    unlike = linear(weight.flatten(2), table.square()) - 2 * linear(seen, table)
    turns = (route[:, 1 : a + 1, 2] - route[:, :a, 2])[..., None] - library.turns
    unlike = unlike * SHARPNESS + (turns / TURN).square() / 2 * used[..., 0]
    # The last of the sections lies at the rim, others before it.
    fits = unlike.new_zeros(b, table.shape[0])
    for i in range(a):
        back = (rim - 1 - i).clamp_min(0)
        index = (torch.arange(table.shape[0], device=rim.device) - back[:, None]).clamp_min(0)
        fits = fits - torch.where((i < rim)[:, None], unlike[:, i].gather(1, index), 0)
    fits = (fits / ALIKE).masked_fill(~_goes_on(library), -torch.inf)
    best, which = fits.topk(min(CANDIDATES, fits.shape[1]), 1)
    share = best.softmax(-1).cumsum(-1)
    levels = (torch.arange(OPTIONS, device=rim.device) + 0.5) / OPTIONS
    chosen = which.gather(1, torch.searchsorted(share, levels.expand(b, -1).contiguous()).clamp_max(which.shape[1] - 1))
    piece = torch.searchsorted(library.sections_of, chosen.int(), right=True) - 1
    section = chosen - library.sections_of[piece]
    fit = _fit(shown, known, table.view(-1, BINS, SHOWN), rim, chosen)
    found = (rim >= 2) & (route_end[:, 0] >= FAR)
    return {
        "road_options": torch.stack([piece, section], -1).int(),
        "road_fit": fit,
        "road_rim": torch.where(found, rim, -1).int(),
    }


def _fit(shown: Tensor, known: Tensor, table: Tensor, rim: Tensor, chosen: Tensor) -> Tensor:
    """(B, OPTIONS, 2): how far to the left of pieces' roads that seen lies [m], and by which share it is wider.

    Args:
        shown, known: see `_sections`. rim: (B,). chosen: (B, OPTIONS), sections of the `table` that lie at the rim.
    """
    back = torch.arange(MEASURED, device=rim.device)
    mine = (rim[:, None] - 1 - back).clamp_min(0)
    theirs = (chosen[..., None] - back).clamp_min(0)
    rows = torch.arange(len(rim), device=rim.device)[:, None]
    seen = _edges(1 - shown[rows, mine, :, 0])[:, None]
    told = _edges(1 - table[theirs, :, 0])
    # Where an edge is out of sight, or too far from where it should be, nothing is told.
    off = seen - told
    good = (known[rows, mine][..., 0].all(-1)[:, None] & (off.abs() < OFF).all(-1)).float()
    count = good.sum(-1)
    left, right = ((off[..., k] * good).sum(-1) / count.clamp_min(1) for k in (0, 1))
    wide = (told.sum(-1) * good).sum(-1) / count.clamp_min(1)
    return torch.stack([(left - right) / 2, (left + right) / wide.clamp_min(BIN)], -1)


def _edges(road: Tensor) -> Tensor:
    """(..., 2) [m]: how far a road reaches to the left and to the right, from shares (..., BINS) of road; where it has
    no edge in sight, as far as that.
    """
    half = BINS // 2
    left, right = road[..., : half + 1].flip(-1), road[..., half:]
    # As far as there is road all the way; half of the middle bin lies on either side.
    reach = torch.stack([left, right], -2)
    weight = torch.ones(half + 1, device=road.device)
    weight[0] = 0.5
    return (reach.cummin(-1).values * weight).sum(-1) * BIN


def _goes_on(library: RoadLibrary) -> Tensor:
    """(N,) bool: sections of pieces at which these have begun, and go on for a while."""
    number = torch.arange(len(library.sections), device=library.sections.device)
    piece = torch.searchsorted(library.sections_of, number.int(), right=True) - 1
    arc = (number - library.sections_of[piece] - LEAD) * SECTION_STEP
    return (arc >= 0) & (
        (arc + AHEAD <= library.length[piece]) | (library.last[piece] & (arc <= library.length[piece]))
    )


def _sections(semantic: Tensor, route: Tensor, bev: BevSpec) -> tuple[Tensor, Tensor]:
    """What views show across their routes: shares (B, COMPARED, BINS, SHOWN), and which of it is seen (..., 1)."""
    stations = torch.arange(COMPARED, device=route.device) * SECTION_STEP
    along = torch.tensor(ALONG, device=route.device)
    arcs = (stations[:, None] + along).flatten()
    middles = ((BINS - 1) / 2 - torch.arange(BINS, device=route.device)) * BIN
    across = (middles[:, None] + torch.tensor(ACROSS, device=route.device)).flatten()
    _, _, places = swath(route, arcs, across)
    ids, inside = sample_nearest(semantic, torch.view_as_real(places).flatten(1, 2), bev)
    ids = ids.view(len(route), COMPARED, len(ALONG), BINS, len(ACROSS)).transpose(2, 3).flatten(3)
    known = inside.view(len(route), COMPARED, len(ALONG), BINS, len(ACROSS)).transpose(2, 3).flatten(3)
    known = known & (ids < SemanticClass.STATIC_OBJECT)
    kinds = (SemanticClass.OFF_ROAD, SemanticClass.BROKEN_LINE, SemanticClass.SOLID_LINE)
    count = known.sum(-1, keepdim=True)
    shares = torch.stack([((ids == int(kind)) & known).sum(-1) for kind in kinds], -1) / count.clamp_min(1)
    return shares, count > 0
