"""What pixels show of the remembered ground: surfaces, and how much of a pixel is covered by the markings in it.

The map remembers where within its cells lines pass (`rssm.line_pieces`), so that near ones need not be as wide as a
cell; what a pixel covers of the ground says how much of it they fill.
"""

from __future__ import annotations

import torch
from torch import Tensor

from learned_sim_env.spec import BevSpec, SemanticClass
from learned_sim_env.world_model.geometry import points_from
from learned_sim_env.world_model.rssm.camera.rig import Rig
from learned_sim_env.world_model.rssm.line_pieces import CLASS, DIRECTIONS, DISTANCES, OTHER_AT, PIECE_AT, STEP, is_line
from learned_sim_env.world_model.rssm.map_memory import UNKNOWN

HALF_WIDTH = 0.22  # [m] of painted lines, as they are drawn
# Channels: off-road, road, static object, unknown ground; shares of broken and solid line.
CHANNELS = 6
_LOWEST = SemanticClass.BROKEN_LINE


def ground_look(cells: Tensor, origin: Tensor, pose: Tensor, rig: Rig, bev: BevSpec) -> Tensor:
    """(B, G, CHANNELS) float32 for the ground pixels of `rig`.

    Args:
        cells, origin: maps, see `map_memory`: (B, M, M) int16 and (B, 2).
        pose: (B, 3) of the ego in them.
    """
    size, m = cells.shape[-1], bev.metres_per_pixel
    points = points_from(rig.places.expand(len(pose), -1, -1), pose) / m
    cell = points.round()
    away = points - cell
    u, v = cell.int().unbind(-1)
    u0, v0 = origin[:, None].unbind(-1)
    held = (u >= u0) & (u < u0 + size) & (v >= v0) & (v < v0 + size)
    index = (u & size - 1) * size + (v & size - 1)
    raw = torch.where(held, cells.flatten(1).gather(1, index.long()), UNKNOWN).int()
    inner, other, piece = raw & CLASS, raw >> OTHER_AT & CLASS, raw >> PIECE_AT & 0x1FF
    exact, inner_line = piece > 0, is_line(inner)
    line = torch.where(inner_line, inner, torch.where(exact, other, 0))
    # Of a line alone it isn't known what it is painted on: road.
    surface = torch.where(inner_line, torch.where(exact, other, int(SemanticClass.ROAD)), inner)

    angle = (piece // DISTANCES) * (torch.pi / DIRECTIONS)
    c, s = angle.cos(), angle.sin()
    steep = torch.maximum(c.abs(), s.abs())
    past = c * away[..., 0] + s * away[..., 1] - ((piece % DISTANCES) - (DISTANCES - 1) / 2) * STEP * steep
    turned = angle - (rig.ground_azimuth + pose[:, 2:])
    covered = turned.cos().abs() * rig.along + turned.sin().abs() * rig.across
    share = ((HALF_WIDTH + covered / 2 - past.abs() * m) / covered).clamp_min(0)
    share = torch.minimum(share, (2 * HALF_WIDTH / covered).clamp_max(1))
    share = torch.where(exact, share, torch.where(inner_line, 2 * HALF_WIDTH / m, 0))
    road = (surface >= SemanticClass.ROAD) & (surface <= SemanticClass.SOLID_LINE)
    kinds = [surface == SemanticClass.OFF_ROAD, road, surface == SemanticClass.STATIC_OBJECT, surface == UNKNOWN]
    shares = [torch.where(line == kind, share, 0) for kind in (_LOWEST, SemanticClass.SOLID_LINE)]
    return torch.stack([*(kind.float() for kind in kinds), *shares], -1)
