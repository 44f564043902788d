"""Cameras' pictures: each the same whatever others are painted with it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from learned_sim_env.spec import BevSpec
from learned_sim_env.world_model.protocol import State
from learned_sim_env.world_model.rssm.camera.painting import state_things
from learned_sim_env.world_model.rssm.camera.painting.casting import Outlines, cast
from learned_sim_env.world_model.rssm.camera.painting.ground_look import ground_look
from learned_sim_env.world_model.rssm.camera.painting.keyframe import Hypotheses, Keyframe
from learned_sim_env.world_model.rssm.camera.painting.painter import Painter, told
from learned_sim_env.world_model.rssm.camera.painting.state_things import things_now, things_then

# What is read of a state.
KEYS = (
    *state_things.KEYS,
    *("map", "map_origin", "look", "real"),
    *("key_pictures", "key_generation", "key_agent_pose", "key_agent_class"),
)


class View(nn.Module):
    """Some cameras, and what paints their pictures.

    Args:
        look_up: of these cameras.
        painter: of any.
        numbers: of these cameras among all.
        agents: slots of things that are agents'.
        bev: the view whose pixels are the cells of the map.
    """

    def __init__(self, look_up: Hypotheses, painter: Painter, numbers: range, agents: int, bev: BevSpec):
        super().__init__()
        self.look_up, self.painter, self.numbers, self.agents, self.bev = look_up, painter, numbers, agents, bev

    def forward(self, state: State, motion: Tensor, turned: Tensor) -> Tensor:
        """Pictures (B, C, H, W, 3) uint8.

        Args:
            state: `KEYS` of it.
            motion: (B, 3) of the ego since the keyframe.
            turned: (B,) [rad] of the ego since the last real moment.
        """
        every, rig = self.look_up.rig, self.look_up.painted
        now = things_now(state, every.eye)
        then = things_then(state, now, motion, every.eye)
        hits = cast(rig, now, self.agents, Outlines.of(every, now).of_cameras(self.numbers)).filled_up()
        generation = state["key_generation"]
        key = Keyframe.of(state["key_pictures"], state["real"], turned, generation)
        found = self.look_up(key, motion, hits, now, then)
        ground = ground_look(state["map"], state["map_origin"], state["pose"], rig, self.bev)
        said = told(motion, generation)
        return as_bytes(self.painter(rig, ground, hits, now, found, state["look"], said, turned).colours)


def as_bytes(colours: Tensor) -> Tensor:
    """Colours (B, C, 3, H, W) from 0 to 1 as pictures (B, C, H, W, 3) uint8."""
    return (colours.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 1, 3, 4, 2).contiguous()
