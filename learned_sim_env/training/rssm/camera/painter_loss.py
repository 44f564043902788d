"""Losses of `Painter`, and how it paints examples."""

from __future__ import annotations

import torch
from torch import Tensor

from learned_sim_env.training.rssm.camera.painter_examples import Examples
from learned_sim_env.world_model.rssm.camera.boxes import FAR
from learned_sim_env.world_model.rssm.camera.model import CameraWorldModel
from learned_sim_env.world_model.rssm.camera.painter import Painting, is_static, told

# A pixel of an agent or a marking counts so much more: there are few, and they are what matters.
AGENT_WEIGHT, MARK_WEIGHT = 2.0, 2.0
# Of what is new in the painting, and of squared errors.
NEW_WEIGHT, SQUARE_WEIGHT = 0.3, 2.0


def paint(model: CameraWorldModel, given: Examples) -> Painting:
    """The examples' later moments, painted."""
    key, now = given.keyframe, given.scenes
    ranges = model.ranges(torch.cat([key.pictures[..., :3], key.real]))
    key = key._replace(ranges=ranges[: len(key.pose)], real_ranges=ranges[len(key.pose) :])
    sources = model.hypotheses(key, given.motion, now.hits, now.agents["pose"])
    static, said = is_static(now.agents["class"]), told(given.motion, key.generation)
    return model.painter(now.ground, now.hits, static, sources, model.look(key.real), said, key.turned)


def painter_loss(painting: Painting, given: Examples) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of what was painted, and its parts."""
    now = given.scenes
    more = AGENT_WEIGHT * (now.hits.depth < FAR) + MARK_WEIGHT * now.marked
    more = more.view(*given.true.shape[:2], 1, *given.true.shape[3:])
    away = (painting.colours - given.true).abs()
    weighted = (away * (1 + more)).mean()
    new, square = (painting.new - given.true).abs().mean(), away.square().mean()
    total = weighted + NEW_WEIGHT * new + SQUARE_WEIGHT * square
    parts = {"colours": away.mean(), "new": new, "psnr": psnr(painting.colours, given.true).mean()}
    return total, {name: value.detach() for name, value in parts.items()}


def psnr(pictures: Tensor, true: Tensor) -> Tensor:
    """Peak signal to noise ratio (B, C) [dB] of pictures (B, C, 3, H, W) from 0 to 1, each against its own."""
    return -10 * (pictures - true).square().mean((-3, -2, -1)).clamp_min(1e-6).log10()
