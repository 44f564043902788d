"""What may be changed about moments without their becoming untrue: left for right, and how light falls into cameras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from learned_sim_env.spec import BevSpec, CameraSpec, SemanticClass

# Shares of moments that are mirrored, and whose colours are changed.
MIRRORED, COLOURED = 0.4, 0.6
# How much light and contrast are changed at most, and single colours beside, as shares; and noise, of 255.
LIGHT, CONTRAST, TINT, NOISE = 0.25, 0.2, 0.08, 5.0


class Shown(NamedTuple):
    """B moments as they are learned from: pictures (B, C, H, W, 3) uint8, route (B, N, 2), view (B, H, W) uint8; agents
    and scenery by name, as `Moments` has them.
    """

    pictures: Tensor
    route: Tensor
    view: Tensor
    agents: dict[str, Tensor]
    scenery: dict[str, Tensor]


def mirror_order(cameras: Sequence[CameraSpec]) -> list[int] | None:
    """The camera that shows in a mirror what each one shows; None if there isn't one for each."""
    seen = [replace(c, yaw=-c.yaw, position=(c.position[0], -c.position[1], c.position[2])) for c in cameras]
    return [cameras.index(camera) for camera in seen] if all(camera in cameras for camera in seen) else None


def mirrored(shown: Shown, which: Tensor, order: Sequence[int], bev: BevSpec) -> Shown:
    """The same moments, those of `which` (B,) bool with left and right exchanged.

    A column of the view that has no counterpart is the ego's class, as which it counts for nothing.
    """
    columns = 2 * bev.ego_column - torch.arange(bev.width, device=which.device)
    known = (columns >= 0) & (columns < bev.width)
    view = shown.view[:, :, columns.clamp(0, bev.width - 1)].masked_fill(~known, int(SemanticClass.EGO))
    here = which[:, None, None]
    other = shown.pictures[:, list(order)].flip(3)

    def moved(things: dict[str, Tensor]) -> dict[str, Tensor]:
        pose = things["pose"]
        return {**things, "pose": torch.where(here, pose * pose.new_tensor([1, -1, -1]), pose)}

    return Shown(
        torch.where(here[..., None, None], other, shown.pictures),
        torch.where(here, shown.route * shown.route.new_tensor([1, -1]), shown.route),
        torch.where(here, view, shown.view),
        moved(shown.agents),
        moved(shown.scenery),
    )


def recoloured(pictures: Tensor, which: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures (B, C, H, W, 3) uint8, those of `which` (B,) bool in another light and with noise.

    All cameras of a moment are in the same light.
    """

    def drawn(*shape: int) -> Tensor:
        return (2 * torch.rand(*shape, generator=generator) - 1).to(pictures.device)

    b = len(pictures)
    light = (LIGHT * drawn(b, 1) + TINT * drawn(b, 3)).exp()[:, None, None, None]
    contrast = (CONTRAST * drawn(b, 1)).exp()[:, None, None, None]
    noise = torch.randn(pictures.shape, generator=generator).to(pictures.device)
    level = NOISE * drawn(b, 1).clamp_min(0)[:, None, None, None]
    values = pictures.float()
    mean = values.mean((1, 2, 3, 4), keepdim=True)
    changed = ((values - mean) * contrast + mean) * light + level * noise
    return torch.where(which[:, None, None, None, None], changed.round().clamp(0, 255).to(torch.uint8), pictures)


def changed(shown: Shown, cameras: Sequence[CameraSpec], bev: BevSpec, seed: Sequence[int]) -> Shown:
    """Moments as `seed` decides to show them."""
    generator = torch.Generator().manual_seed(hash(tuple(seed)) % (1 << 62))
    mirror, colour = torch.rand(2, len(shown.view), generator=generator).to(shown.view.device)
    order = mirror_order(cameras)
    if order is not None:
        shown = mirrored(shown, mirror < MIRRORED, order, bev)
    return shown._replace(pictures=recoloured(shown.pictures, colour < COLOURED, generator))
