"""Losses of `Perception`: classes of the view, and the agents, scenery and obstacles that pictures show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from learned_sim_env.spec import CameraSpec, SemanticClass
from learned_sim_env.training.rssm.camera.scenery_loss import scenery_loss
from learned_sim_env.training.rssm.camera.sightings import Squares, things_around
from learned_sim_env.world_model.rssm.camera.painting.casting import AGENT, FAR, cast
from learned_sim_env.world_model.rssm.camera.painting.rig import Rig
from learned_sim_env.world_model.rssm.camera.painting.things import agents_as_things
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
    rig: Rig,
    squares: Squares,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of what is seen in B moments, and its parts.

    Args:
        view: (B, H, W) uint8 true classes.
        agents: true "pose" (B, K, 3) in the ego frame, "size" (B, K, 2), "class" (B, K) uint8.
        scenery: true "pose" (B, K, 3) in the ego frame, "size" (B, K, 3), "kind" (B, K) uint8.
        rig: see `rig_of_squares`. squares: the same squares, by camera.
    """
    told = view != SemanticClass.EGO
    target = view.clamp_max(SEEN_CLASSES - 1).long()
    weights = torch.tensor(CLASS_WEIGHTS, device=view.device)[target]
    weights = torch.where(model.seen, weights, UNSEEN * weights.clamp_max(2.0)) * told
    classes = (F.cross_entropy(percept.logits, target, reduction="none") * weights).mean()
    vehicle = (target == SemanticClass.VEHICLE) & model.seen
    overlap = _soft_overlap(percept.logits.softmax(1)[:, SemanticClass.VEHICLE] * model.seen * told, vehicle.float())

    depth, kind = _nearest_agents(rig, agents)
    met = depth < FAR
    kinds = percept.kinds.transpose(1, 2).flatten(2)
    kinds_loss = F.cross_entropy(kinds, kind, torch.tensor(KIND_WEIGHTS, device=view.device))
    log_depth = (depth / DEPTH).log()
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


def _nearest_agents(rig: Rig, agents: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """What the rays of `rig` meet first: depths (B, N) [m], and kinds, 0 for none, 1 for a mover, 2 for an obstacle."""
    unknown = torch.zeros(*agents["class"].shape, 4, device=agents["pose"].device)
    things = agents_as_things(agents["pose"], agents["size"], agents["class"], unknown)
    hits = cast(rig, things, agents["class"].shape[1])
    depth = hits.depth[:, AGENT]
    kind = torch.zeros_like(depth, dtype=torch.int64)
    static = agents["class"][hits.row, hits.thing] == SemanticClass.STATIC_OBJECT
    kind[hits.row, hits.ray] = torch.where(static, 2, 1)
    return depth, kind


def rig_of_squares(cameras: Sequence[CameraSpec]) -> Rig:
    """The cameras with the squares that pictures are looked at in for pixels."""
    return Rig([replace(c, height=c.height // STRIDE, width=c.width // STRIDE) for c in cameras])
