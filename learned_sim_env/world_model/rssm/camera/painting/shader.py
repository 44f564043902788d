"""How things look where rays meet them: textures of all shapes, and a network that lights and colours them.

Textures of learned features are read at the place on a thing and become colours by a network for single pixels (Thies
et al., "Deferred Neural Rendering", arXiv 1904.12356). So a thing's outline and its parts are as sharp after any time
as at first, and things that were never seen look like others of their shape.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.world_model.rssm.camera.painting.casting import Hits
from learned_sim_env.world_model.rssm.camera.painting.keyframe import CHANNELS, depth_of
from learned_sim_env.world_model.rssm.camera.painting.things import FACES, SHAPES, Things

# Numbers a texel, of which the first says how solid it is, and texels a side of a face.
FEATURES, TEXELS = 8, 16
# Beside a texture's features, a pixel is told the place, the direction of the face, how near it is, the thing's colour,
# and what the keyframe shows.
TOLD = 3 + 2 + 2 + 4 + CHANNELS
# How steep what is solid begins and ends.
STEEP = 4.0


class Shades(NamedTuple):
    """Of P hits: solid (P,) logits of how much they hide; kept (P,) logits of how much of their colour is the
    keyframe's; colours (P, 3) float32 from 0 to 1, without it.
    """

    solid: Tensor
    kept: Tensor
    colours: Tensor


class Shader(nn.Module):
    """See the module's docstring."""

    def __init__(self, code: int, width: int = 32):
        super().__init__()
        # One image of all faces of all shapes.
        self.textures = nn.Parameter(0.1 * torch.randn(FEATURES, SHAPES * TEXELS, FACES * TEXELS))
        self.textures.data[0] = 0.3
        self.code = nn.Linear(code, width)
        self.inward, self.between = nn.Linear(FEATURES + TOLD, width, bias=False), nn.Linear(width, width)
        self.outward = nn.Linear(width, 5)
        # How much it counts from the start that a distance fits the keyframe's.
        self.fitting = nn.Parameter(torch.tensor(3.0))

    def read(self, hits: Hits, things: Things) -> Tensor:
        """(FEATURES, P) float32."""
        with torch.autocast(hits.place.device.type, enabled=False):
            slot = hits.row * things.shape.shape[1] + hits.thing
            return self._read(*_faces(hits, things, slot)[:2])

    def forward(self, hits: Hits, things: Things, found: Tensor, code: Tensor, turned: Tensor) -> Shades:
        """See `Shades`.

        Args:
            hits: on things, which are given as well. found: (P, CHANNELS) what the keyframe shows of them.
            code: (B, code) how the world looks, and more. turned: (B,) [rad] of the ego since the code was read.
        """
        dtype = self.inward.weight.dtype
        with torch.autocast(code.device.type, enabled=False):
            slot = hits.row * things.shape.shape[1] + hits.thing
            face, places, angle, upright = _faces(hits, things, slot)
            texture = self._read(face, places)
            told = torch.cat([things.pose[..., 2:] + turned[:, None, None], things.colour], -1).flatten(0, 1)
            told = told.T.contiguous().index_select(1, slot)
            facing = told[0] + angle
            normal = torch.stack([facing.cos(), facing.sin()]) * upright
            near = 4 / depth_of(hits)
            scale = torch.stack([near, near.log() / 3])
            x = torch.cat([texture, hits.place.T, normal, scale, told[1:], found.T])
        code = self.code(code.to(dtype)).T
        # Products from the left, so that what is known of all places stands together.
        x = F.silu(self.inward.weight @ x.to(dtype) + (code if code.shape[1] == 1 else code[:, hits.row]))
        x = x + F.silu(_from_left(self.between, x))
        solid, kept, *colours = _from_left(self.outward, x).float()
        kept = (kept + self.fitting.float() * (found[:, 4] - 0.5)).masked_fill(found[:, 3] == 0, -1e4)
        return Shades(solid + STEEP * texture[0], kept, torch.stack(colours, -1).sigmoid())

    def _read(self, face: Tensor, places: Tensor) -> Tensor:
        height, width = self.textures.shape[1:]
        # Half a texel is kept free at a face's edges, so that none is mixed with another.
        within = (places * (TEXELS - 1) + TEXELS) / 2 + TEXELS * face
        where = within * within.new_tensor([2 / width, 2 / height]) - 1
        return F.grid_sample(self.textures.float()[None], where[None, None], align_corners=False)[0, :, 0]


def _from_left(layer: nn.Linear, x: Tensor) -> Tensor:
    """A layer's result (out, P) for (size, P)."""
    return torch.addmm(layer.bias[:, None], layer.weight, x)


def is_solid(texture: Tensor) -> Tensor:
    """(P,) bool: what isn't seen through, by features (FEATURES, P)."""
    return texture[0] > 0


def _faces(hits: Hits, things: Things, slot: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of hits on things in `slot` (P,) of all rows, the face (P, 2), column and row in the image of all; the place on
    it (P, 2) from -1 to 1; and where it looks, an angle from the thing's heading (P,) [rad] and whether that means
    anything (P,) bool.
    """
    plane = things.half[..., 0] == 0
    shape, which = things.shape.flatten()[slot], torch.where(plane, things.side, -1).flatten()[slot]
    plane = which >= 0
    x, y, z = hits.place.unbind(-1)
    along, across, up = hits.place.abs().unbind(-1)
    end = (along >= across) & (along >= up)
    side = ~end & (across >= up)
    top = ~(end | side | plane)
    behind = x < 0
    column = torch.where(end, behind.long(), torch.where(side, 2, 3))
    column = torch.where(plane, which, column)
    places = torch.stack([torch.where(end | plane, y, x), torch.where(top, y, z)], -1)
    angle = torch.where(end, torch.pi * behind, y.sign() * (torch.pi / 2))
    return torch.stack([column, shape], -1), places, angle, ~(plane | top)
