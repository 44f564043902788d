"""What a state shows in its cameras, and what it keeps of that: keyframes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from learned_sim_env.spec import SemanticClass
from learned_sim_env.world_model.geometry import relative
from learned_sim_env.world_model.protocol import State
from learned_sim_env.world_model.rssm.agents import KEYS
from learned_sim_env.world_model.rssm.camera.painting.keyframe import Keyframe, remembered
from learned_sim_env.world_model.rssm.camera.painting.rig import Rig
from learned_sim_env.world_model.rssm.camera.painting.shader import Shader, is_solid
from learned_sim_env.world_model.rssm.camera.painting.things import (
    Outlines,
    Things,
    agents_as_things,
    before,
    cast,
    joined,
    scenery_as_things,
)
from learned_sim_env.world_model.rssm.camera.painting.view import View, scene
from learned_sim_env.world_model.rssm.landmarks import FAR, OBSTACLES
from learned_sim_env.world_model.traced import played

# [m] Side of the boxes that stand for obstacles, of which only places are remembered, see `rssm.landmarks`.
OBSTACLE_SIZE = 0.6


class Pictures:
    """Draws states of `CameraWorldModel`.

    Args:
        rig: all cameras. views: each of them alone.
        shader: of things.
        slots: of agents that move.
        distance: [m] after which pictures become the keyframe.
    """

    def __init__(self, rig: Rig, views: Sequence[View], shader: Shader, slots: int, distance: float):
        self.rig, self.views, self.shader, self.slots, self.distance = rig, views, shader, slots, distance

    def drawn(self, state: State, cameras: Sequence[int]) -> tuple[Tensor, State]:
        """Pictures (B, n, H, W, 3) uint8 of n cameras, and what changes in the state: where it is time, the pictures of
        all cameras are its keyframe from now on.

        What a picture shows does not depend on which others are asked for: each is painted by itself, and keyframes,
        to which all cameras belong because each may show what another one showed before, are made by how far the ego
        has come.
        """
        kept, now = state["key_pictures"][..., :3], state["key_now"]
        if now.all():
            return kept[:, list(cameras)], {}
        motion = relative(state["pose"], state["key_pose"])
        again = ~now & (motion[:, :2].norm(dim=-1) >= self.distance)
        fresh = bool(again.any())
        things = self.things(state)
        numbers = list(range(len(self.views)) if fresh else cameras)
        pictures = self.painted(state, numbers, state["pose"][:, 2], motion, things)
        if now.any():
            pictures = where_rows(now, kept[:, numbers], pictures)
        if not fresh:
            return pictures, {}
        new = self.kept({**state, "key_generation": state["key_generation"] + 1}, pictures, things)
        new = {name: where_rows(again, value, state[name]) for name, value in new.items()}
        return pictures[:, list(cameras)], new

    def kept(self, state: State, pictures: Tensor, things: Things | None = None) -> State:
        """What a state keeps of its pictures (B, C, H, W, 3) uint8, as a keyframe; `things` if at hand."""
        things = self.things(state) if things is None else things
        hits = cast(self.rig, things, self.agents)
        solid = is_solid(self.shader.read(hits, things))
        shown, colours = remembered(pictures, self.rig, hits, solid, things.shape.shape[1])
        colours = torch.where(colours[..., 3:] > 0, colours, things.colour)
        return {
            "key_pictures": shown,
            "key_pose": state["pose"],
            "key_agent_pose": state["agent_pose"],
            "key_agent_class": state["agent_class"],
            "key_generation": state["key_generation"],
            "key_now": torch.ones_like(state["key_now"]),
            "agent_colour": colours[:, : self.slots],
            "scenery_colour": colours[:, self.agents :],
        }

    @property
    def agents(self) -> int:
        """Slots of agents that move and of obstacles."""
        return self.slots + OBSTACLES

    def things(self, state: State) -> Things:
        """Agents that move, then obstacles, then scenery."""
        pose, _, size, classes = (state[key] for key in KEYS)
        obstacles, frame = state["obstacles"], state["pose"][:, None]
        places = torch.cat([obstacles, torch.zeros_like(obstacles[..., :1])], -1)
        there = (obstacles[..., 0] < FAR).to(torch.uint8) * int(SemanticClass.STATIC_OBJECT)
        agents = agents_as_things(
            torch.cat([pose, relative(places, frame)], 1),
            torch.cat([size, torch.full_like(obstacles, OBSTACLE_SIZE)], 1),
            torch.cat([classes, there], 1),
            F.pad(state["agent_colour"], (0, 0, 0, obstacles.shape[1])),
        )
        scenery = relative(state["scenery_pose"], frame)
        given = (state["scenery_size"], state["scenery_kind"], state["scenery_colour"])
        return joined(agents, scenery_as_things(scenery, *given, self.rig.eye))

    def painted(
        self,
        state: State,
        cameras: Iterable[int],
        turned: Tensor,
        motion: Tensor | None = None,
        things: Things | None = None,
    ) -> Tensor:
        """Pictures (B, n, H, W, 3) uint8 of n cameras, of a moment that is not the keyframe's.

        Args:
            state: whose keyframe is told in the frame of its own poses.
            cameras: numbers of them.
            turned: (B,) [rad], the ego's heading in the frame of the last real observation.
            motion: (B, 3) of the ego since the keyframe, if at hand.
            things: that the state shows, if at hand.
        """
        motion = relative(state["pose"], state["key_pose"]) if motion is None else motion
        things = self.things(state) if things is None else things
        key = Keyframe.of(state["key_pictures"], state["real"], turned, state["key_generation"])
        # Where the same things were when the keyframe was taken, in the ego frame of then.
        there = torch.cat([state["key_agent_class"] > 0, things.shape[:, self.slots :] > 0], 1)
        then = before(things, motion, state["key_agent_pose"], self.rig.eye, there)
        given = scene(state, motion, key, things, then, Outlines.of(self.rig, things)), state["pose"], turned
        views = [self.views[number] for number in cameras]
        return torch.stack([played(view, "forward", given)(*given) for view in views], 1)


def where_rows(mask: Tensor, value: Tensor, other: Tensor) -> Tensor:
    """Rows of a value (B, ...) where a mask (B,) holds, and of another one elsewhere."""
    return torch.where(mask.view(-1, *[1] * (value.ndim - 1)), value, other)
