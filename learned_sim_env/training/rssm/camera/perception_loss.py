"""Losses of `Perception`: classes of the view, and the agents, scenery and obstacles that pictures show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from learned_sim_env.spec import CameraSpec, SemanticClass
from learned_sim_env.training.rssm.camera.scenery_loss import scenery_loss
from learned_sim_env.training.rssm.camera.sightings import Squares, things_around
from learned_sim_env.world_model.rssm.camera.painting.boxes import FAR, cast
from learned_sim_env.world_model.rssm.camera.perception.perception import (
    CLASS_WEIGHTS,
    DEPTH,
    SEEN_CLASSES,
    STRIDE,
    Percept,
    Perception,
)

# Where nobody looks, an agent counts as any other pixel, and all count by so much.
UNSEEN = 0.5
KIND_WEIGHTS = (1.0, 3.0, 5.0)
# How much it counts that scenery and obstacles are found, and where.
THINGS, PLACES = 0.15, 0.3


def perception_loss(
    model: Perception,
    percept: Percept,
    view: Tensor,
    agents: dict[str, Tensor],
    scenery: dict[str, Tensor],
    rays: Tensor,
    origins: Tensor,
    squares: Squares,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of what is seen in B moments, and its parts.

    Args:
        view: (B, H, W) uint8 true classes.
        agents: true "pose" (B, K, 3) in the ego frame, "size" (B, K, 2), "class" (B, K) uint8.
        scenery: true "pose" (B, K, 3) in the ego frame, "size" (B, K, 3), "kind" (B, K) uint8.
        rays, origins: (C * h * w, 3) of the pictures' squares, see `boxes.cast`. squares: those, by camera.
    """
    told = view != SemanticClass.EGO
    target = view.clamp_max(SEEN_CLASSES - 1).long()
    weights = torch.tensor(CLASS_WEIGHTS, device=view.device)[target]
    weights = torch.where(model.seen, weights, UNSEEN * weights.clamp_max(2.0)) * told
    classes = (F.cross_entropy(percept.logits, target, reduction="none") * weights).mean()
    vehicle = (target == SemanticClass.VEHICLE) & model.seen
    overlap = _soft_overlap(percept.logits.softmax(1)[:, SemanticClass.VEHICLE] * model.seen * told, vehicle.float())

    hits = cast(rays, origins, agents["pose"], agents["size"], agents["class"])
    met = hits.depth < FAR
    kind = agents["class"].gather(1, hits.box)
    kind = torch.where(met, torch.where(kind == SemanticClass.STATIC_OBJECT, 2, 1), 0)
    kinds = percept.kinds.transpose(1, 2).flatten(2)
    kinds_loss = F.cross_entropy(kinds, kind, torch.tensor(KIND_WEIGHTS, device=view.device))
    log_depth = (hits.depth / DEPTH).log()
    far = F.smooth_l1_loss(percept.depths.flatten(1)[met], log_depth[met], beta=0.05) if met.any() else 0 * kinds_loss
    found = scenery_loss(model.finder, percept.things, things_around(scenery, agents), squares)
    parts = {"classes": classes, "overlap": 1 - overlap, "kinds": kinds_loss, "depths": far, **found}
    total = classes + 0.3 * parts["overlap"] + 0.6 * kinds_loss + 0.5 * far
    total = total + THINGS * found["things"] + PLACES * found["places"]
    return total, {name: value.detach() for name, value in parts.items()}


def _soft_overlap(probability: Tensor, true: Tensor) -> Tensor:
    """Intersection over union of probabilities with what is true, (B, H, W) both, over all of them."""
    both = (probability * true).sum()
    return (both + 1) / ((probability + true).sum() - both + 1)


def square_rays(cameras: Sequence[CameraSpec]) -> tuple[Tensor, Tensor]:
    """Rays and origins (C * h * w, 3) float32 of the middles of the squares that pictures are looked at in."""
    rows, columns = np.mgrid[0 : cameras[0].height : STRIDE, 0 : cameras[0].width : STRIDE] + STRIDE / 2
    rays = [camera.rays(rows, columns).reshape(-1, 3) for camera in cameras]
    origins = [np.broadcast_to(camera.position, ray.shape) for camera, ray in zip(cameras, rays, strict=True)]
    return tuple(torch.from_numpy(np.concatenate(v)).float() for v in (rays, origins))  # type: ignore[return-value]
