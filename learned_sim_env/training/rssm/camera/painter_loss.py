"""Losses of `Painter`, and how it paints examples."""

from __future__ import annotations

import torch
from torch import Tensor

from learned_sim_env.training.rssm.camera.painter_examples import Examples
from learned_sim_env.world_model.rssm.camera.model import CameraWorldModel
from learned_sim_env.world_model.rssm.camera.painting.casting import AGENT, FAR, FIRST
from learned_sim_env.world_model.rssm.camera.painting.keyframe import Keyframe, remembered
from learned_sim_env.world_model.rssm.camera.painting.painter import Painting, told
from learned_sim_env.world_model.rssm.camera.painting.shader import is_solid

# A pixel of an agent or a marking counts so much more: there are few, and they are what matters; one of scenery counts
# a little more.
AGENT_WEIGHT, MARK_WEIGHT, SCENERY_WEIGHT = 2.0, 2.0, 0.5
# Of what is new in the painting, of squared errors, and of errors of the differences between neighbouring pixels, which
# keep edges sharp (the gradient difference loss of Mathieu et al., arXiv 1511.05440).
NEW_WEIGHT, SQUARE_WEIGHT, EDGE_WEIGHT = 0.3, 2.0, 0.4


def paint(model: CameraWorldModel, given: Examples) -> Painting:
    """The examples' later moments, painted."""
    shader = model.painter.shader
    with torch.no_grad():
        shown = []
        for pictures, things, hits in (given.key, given.real):
            solid = is_solid(shader.read(hits, things))
            shown.append(remembered(pictures, model.rig, hits, solid, things.shape.shape[1]))
    (pictures, colours), (real, _) = shown
    slots = given.slots.clamp_min(0)[..., None].expand(-1, -1, 4)
    things = given.now.things._replace(colour=colours.gather(1, slots) * (given.slots >= 0)[..., None])
    key = Keyframe.of(pictures, real[:, :, : model.rig.skyline], given.turned, given.generation)
    found = model.hypotheses(key, given.motion, given.now.hits, things, given.then)
    look, said = model.look(given.real.pictures), told(given.motion, given.generation)
    return model.painter(model.rig, given.ground, given.now.hits, things, found, look, said, given.turned, True)


def painter_loss(painting: Painting, given: Examples) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of what was painted, and its parts."""
    met = (given.now.hits.depth < FAR).float()
    more = AGENT_WEIGHT * met[:, AGENT] + SCENERY_WEIGHT * met[:, FIRST] + MARK_WEIGHT * given.marked
    more = more.view(*given.true.shape[:2], 1, *given.true.shape[3:])
    away = painting.colours - given.true
    weighted, square = (away.abs() * (1 + more)).mean(), away.square().mean()
    edges = sum(away.diff(dim=d).abs().mean() for d in (-1, -2))
    assert painting.new is not None
    fresh = painting.new - given.true
    new = fresh.abs().mean() + EDGE_WEIGHT * sum(fresh.diff(dim=d).abs().mean() for d in (-1, -2))
    total = weighted + NEW_WEIGHT * new + SQUARE_WEIGHT * square + EDGE_WEIGHT * edges
    parts = {"colours": away.abs().mean(), "new": new, "psnr": psnr(painting.colours, given.true).mean()}
    return total, {name: value.detach() for name, value in parts.items()}


def psnr(pictures: Tensor, true: Tensor) -> Tensor:
    """Peak signal to noise ratio (B, C) [dB] of pictures (B, C, 3, H, W) from 0 to 1, each against its own."""
    return -10 * (pictures - true).square().mean((-3, -2, -1)).clamp_min(1e-6).log10()
