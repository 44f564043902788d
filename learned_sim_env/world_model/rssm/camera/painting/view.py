"""One camera's picture, painted by itself: the same whatever other pictures are painted."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from learned_sim_env.spec import BevSpec
from learned_sim_env.world_model.rssm.camera.painting.ground_look import ground_look
from learned_sim_env.world_model.rssm.camera.painting.keyframe import Hypotheses, Keyframe
from learned_sim_env.world_model.rssm.camera.painting.painter import Painter, told
from learned_sim_env.world_model.rssm.camera.painting.things import Outlines, Things, cast

# What is given of a state, beside things as they are and as they were, their outlines and the keyframe.
KEYS = ("map", "map_origin", "look", "key_generation")


class View(nn.Module):
    """A camera, and what paints its picture.

    Args:
        look_up: of the camera alone.
        painter: of all cameras.
        number: of the camera among them.
        agents: slots of things that are agents'.
        bev: the view whose pixels are the cells of the map.
    """

    def __init__(self, look_up: Hypotheses, painter: Painter, number: int, agents: int, bev: BevSpec):
        super().__init__()
        self.look_up, self.painter, self.number, self.agents, self.bev = look_up, painter, number, agents, bev

    def forward(self, scene: dict[str, Tensor], pose: Tensor, turned: Tensor) -> Tensor:
        """A picture (B, H, W, 3) uint8.

        Args:
            scene: see `scene`.
            pose: (B, 3) of the ego, in the frame of the map.
            turned: (B,) [rad] of the ego since the last real moment.
        """
        rig = self.look_up.painted
        now, then = (Things(*(scene[f"{name}.{field}"] for field in Things._fields)) for name in ("now", "then"))
        outlines = Outlines(*(scene[f"outlines.{field}"] for field in Outlines._fields))
        motion = scene["motion"]
        generation = scene["key_generation"]
        key = Keyframe(scene["key.table"], len(self.look_up.rig.cameras) * rig.height, turned, generation)
        hits = cast(rig, now, self.agents, outlines.alone(self.number))
        found = self.look_up(key, motion, hits, now, then)
        ground = ground_look(scene["map"], scene["map_origin"], pose, rig, self.bev)
        said = told(motion, generation)
        return as_bytes(self.painter(rig, ground, hits, now, found, scene["look"], said, turned).colours)[:, 0]


def scene(
    state: dict[str, Tensor], motion: Tensor, key: Keyframe, now: Things, then: Things, outlines: Outlines
) -> dict[str, Tensor]:
    """What all views of a moment share, as tensors by name: `motion` (B, 3) is the ego's since the keyframe, `now` and
    `then` the things as they are and as they were at the keyframe, `outlines` of the former for all cameras.
    """
    named = {
        f"{name}.{field}": value
        for name, values in (("now", now), ("then", then), ("outlines", outlines))
        for field, value in zip(values._fields, values, strict=True)
    }
    return {**named, "motion": motion, "key.table": key.table, **{name: state[name] for name in KEYS}}


def as_bytes(colours: Tensor) -> Tensor:
    """Colours (B, C, 3, H, W) from 0 to 1 as pictures (B, C, H, W, 3) uint8."""
    return (colours.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 1, 3, 4, 2).contiguous()
