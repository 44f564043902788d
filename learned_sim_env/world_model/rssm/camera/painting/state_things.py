"""What a state of `CameraWorldModel` shows: agents that move, obstacles and scenery, as things."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from learned_sim_env.spec import SemanticClass
from learned_sim_env.world_model.geometry import relative
from learned_sim_env.world_model.protocol import State
from learned_sim_env.world_model.rssm.agents.boxes import KEYS as AGENT_KEYS
from learned_sim_env.world_model.rssm.camera.painting.things import (
    Things,
    agents_as_things,
    before,
    joined,
    scenery_as_things,
)
from learned_sim_env.world_model.rssm.route.landmarks import FAR

# [m] Side of the boxes that stand for obstacles, of which only places are remembered, see `rssm.route.landmarks`.
OBSTACLE_SIZE = 0.6
SCENERY_KEYS = ("scenery_size", "scenery_kind", "scenery_colour")
# What is read of a state.
KEYS = ("pose", *AGENT_KEYS, "agent_colour", "obstacles", "scenery_pose", *SCENERY_KEYS)


def things_now(state: State, eye: Tensor) -> Things:
    """Agents that move, then obstacles, then scenery; eye: see `scenery_as_things`."""
    pose, _, size, classes = (state[key] for key in AGENT_KEYS)
    obstacles, frame = state["obstacles"], state["pose"][:, None]
    places = torch.cat([obstacles, torch.zeros_like(obstacles[..., :1])], -1)
    there = (obstacles[..., 0] < FAR).to(torch.uint8) * int(SemanticClass.STATIC_OBJECT)
    agents = agents_as_things(
        torch.cat([pose, relative(places, frame)], 1),
        torch.cat([size, torch.full_like(obstacles, OBSTACLE_SIZE)], 1),
        torch.cat([classes, there], 1),
        F.pad(state["agent_colour"], (0, 0, 0, obstacles.shape[1])),
    )
    size, kind, colour = (state[key] for key in SCENERY_KEYS)
    return joined(agents, scenery_as_things(relative(state["scenery_pose"], frame), size, kind, colour, eye))


def things_then(state: State, now: Things, motion: Tensor, eye: Tensor) -> Things:
    """Where the same things were when the keyframe was taken, `motion` (B, 3) ago, in the ego frame of then."""
    moved = state["key_agent_pose"]
    there = torch.cat([state["key_agent_class"] > 0, now.shape[:, moved.shape[1] :] > 0], 1)
    return before(now, motion, moved, eye, there)
