"""What pixels show of the remembered ground: surfaces, and how much of a pixel is covered by the markings in it.

The map remembers where within its cells lines pass (`rssm.line_pieces`), so that near ones need not be as wide as a
cell; what a pixel covers of the ground says how much of it they fill.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from learned_sim_env.spec import BevSpec, SemanticClass
from learned_sim_env.world_model.geometry import points_from
from learned_sim_env.world_model.rssm.camera.painting.rig import Rig
from learned_sim_env.world_model.rssm.line_pieces import CLASS, DIRECTIONS, DISTANCES, OTHER_AT, PIECE_AT, STEP, is_line
from learned_sim_env.world_model.rssm.map.memory import UNKNOWN

HALF_WIDTH = 0.22  # [m] of painted lines, as they are drawn
# Channels: off-road, road, static object, unknown ground; shares of broken and solid line.
CHANNELS = 6
_LOWEST = SemanticClass.BROKEN_LINE


def ground_look(cells: Tensor, origin: Tensor, pose: Tensor, rig: Rig, bev: BevSpec) -> Tensor:
    """(B, CHANNELS, G) float32 for the ground pixels of `rig`.

    Args:
        cells, origin: maps, see `map.memory`: (B, M, M) int16 and (B, 2).
        pose: (B, 3) of the ego in them.
    """
    size, m = cells.shape[-1], bev.metres_per_pixel
    points = points_from(rig.places.expand(len(pose), -1, -1), pose) / m
    cell = points.round()
    x, y = (points - cell).unbind(-1)
    number = cell.int()
    # The size is a power of two, see `MapMemory`.
    held = (((number - origin[:, None]) & -size) == 0).all(-1)
    u, v = (number & size - 1).unbind(-1)
    raw = torch.where(held, cells.flatten(1).gather(1, (u * size + v).long()), UNKNOWN)
    said = _said(m, pose.device).index_select(1, raw.flatten().int() + 0x8000).unflatten(1, held.shape)
    c, s, past, exact, spread = said[:5].unbind(0)
    azimuth = rig.ground_azimuth + pose[:, 2:]
    ca, sa = azimuth.cos(), azimuth.sin()
    covered = (c * ca + s * sa).abs() * rig.along + (s * ca - c * sa).abs() * rig.across
    share = ((HALF_WIDTH - (c * x + s * y - past).abs() * m) / covered + 0.5).clamp_min(0)
    share = torch.minimum(share, (2 * HALF_WIDTH / covered).clamp_max(1))
    share = torch.where(exact > 0, share, spread)
    return torch.cat([said[5:9], said[9:] * share]).transpose(0, 1)


@functools.cache
def _said(metres: float, device: torch.device) -> Tensor:
    """(5 + CHANNELS, 65536) float32: what cells say, by their values, from the smallest int16 on.

    Of a line's piece, cos and sin of its normal's direction, how far it passes from the middle [cells], and whether
    there is one; how much of a cell without one is covered by line; 1 or 0 for each of the channels.
    """
    with torch.inference_mode(False):
        raw = torch.arange(-0x8000, 0x8000, dtype=torch.int32, device=device)
        inner, other, piece = raw & CLASS, raw >> OTHER_AT & CLASS, raw >> PIECE_AT & 0x1FF
        exact, inner_line = piece > 0, is_line(inner)
        line = torch.where(inner_line, inner, torch.where(exact, other, 0))
        # Of a line alone it isn't known what it is painted on: road.
        surface = torch.where(inner_line, torch.where(exact, other, int(SemanticClass.ROAD)), inner)
        angle = (piece // DISTANCES) * (torch.pi / DIRECTIONS)
        c, s = angle.cos(), angle.sin()
        past = ((piece % DISTANCES) - (DISTANCES - 1) / 2) * STEP * torch.maximum(c.abs(), s.abs())
        spread = inner_line * (2 * HALF_WIDTH / metres)
        road = (surface >= SemanticClass.ROAD) & (surface <= SemanticClass.SOLID_LINE)
        kinds = [surface == SemanticClass.OFF_ROAD, road, surface == SemanticClass.STATIC_OBJECT, surface == UNKNOWN]
        lines = [line == kind for kind in (_LOWEST, SemanticClass.SOLID_LINE)]
        return torch.stack([value.float() for value in (c, s, past, exact, spread, *kinds, *lines)])
