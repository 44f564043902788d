"""The frame before, moved with the ego: what the next one would be if nothing but the ego moved.

The ego's motion is known exactly, so that geometry tells where everything is that stands still, and the dynamics are
left with what geometry cannot tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.spec import Modality, SemanticClass
from learned_sim_env.world_model.geometry import points_from, viewed_from
from learned_sim_env.world_model.ground_plane import GroundPlane
from learned_sim_env.world_model.protocol import Observation

# What a vector of places in the ego frame, such as a route, consists of.
PLACES = ("x", "y")


class Moving(nn.Module):
    """Moves frames of modalities: views from above rigidly, cameras as if all lay on the ground, waypoints along their
    route; what has no geometry stays as it is.
    """

    def __init__(self, modalities: Sequence[Modality]):
        super().__init__()
        self.names = tuple(m.name for m in modalities)
        self._views = {m.name: m.bev for m in modalities if m.bev is not None}
        self._routes = tuple(m.name for m in modalities if m.fields == PLACES)
        # Cameras of one size are moved together.
        sizes: dict[tuple[int, ...], list[Modality]] = {}
        for m in modalities:
            if m.camera is not None:
                sizes.setdefault(m.shape, []).append(m)
        self._cameras = tuple(tuple(m.name for m in alike) for alike in sizes.values())
        self.planes = nn.ModuleList(GroundPlane([m.camera for m in alike if m.camera]) for alike in sizes.values())

    def forward(self, shown: Observation, motion: Tensor) -> Observation:
        """Frames as they would be after a motion (B, 3), if nothing but the ego moved; `shown` has all modalities."""
        found = {name: shown[name] for name in self.names}
        for name, bev in self._views.items():
            found[name] = _below_the_ego(viewed_from(shown[name], motion, bev), shown[name])
        for name in self._routes:
            found[name] = route_ahead(shown[name], motion)
        for names, plane in zip(self._cameras, self.planes):
            moved = cast(GroundPlane, plane).moved(torch.stack([shown[name] for name in names], 1), motion)
            found.update(zip(names, moved.unbind(1)))
        return found


def route_ahead(points: Tensor, motion: Tensor) -> Tensor:
    """Waypoints (B, N, 2) [m] after a motion (B, 3): in the new ego frame, and as far along the route as the ego has
    come along its first chord, since they are so many metres ahead of it; the last one goes straight on.
    """
    chord, way = points[:, 1] - points[:, 0], motion[:, :2]
    length = (chord * chord).sum(-1).clamp_min(1.0)
    share = ((way * chord).sum(-1) / length).clamp(0, 1)[:, None, None]
    steps = points.diff(dim=1)
    points = points + share * torch.cat([steps, steps[:, -1:]], 1) - way[:, None]
    return points_from(points, F.pad(-motion[:, 2:], (2, 0)))


def _below_the_ego(moved: Tensor, before: Tensor) -> Tensor:
    """A view in which the ego is where it always is; where it was, and hid what is there, that stays as it was."""
    return torch.where((before == SemanticClass.EGO) | (moved == SemanticClass.EGO), before, moved)
