"""What a state shows in its cameras, and what it keeps of that: keyframes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from learned_sim_env.world_model.geometry import relative
from learned_sim_env.world_model.protocol import State
from learned_sim_env.world_model.rssm.camera.painting.casting import cast
from learned_sim_env.world_model.rssm.camera.painting.keyframe import remembered
from learned_sim_env.world_model.rssm.camera.painting.rig import Rig
from learned_sim_env.world_model.rssm.camera.painting.shader import Shader, is_solid
from learned_sim_env.world_model.rssm.camera.painting.state_things import things_now
from learned_sim_env.world_model.rssm.camera.painting.view import KEYS, View
from learned_sim_env.world_model.rssm.route.landmarks import OBSTACLES
from learned_sim_env.world_model.traced import played


class Pictures:
    """Draws states of `CameraWorldModel`.

    Args:
        rig: all cameras. views: each of them alone. together: all of them.
        shader: of things.
        slots: of agents that move.
        distance: [m] after which pictures become the keyframe.
    """

    def __init__(self, rig: Rig, views: Sequence[View], together: View, shader: Shader, slots: int, distance: float):
        self.rig, self.views, self.together = rig, views, together
        self.shader, self.slots, self.distance = shader, slots, distance

    def drawn(self, state: State, cameras: Sequence[int]) -> tuple[Tensor, State]:
        """Pictures (B, n, H, W, 3) uint8 of n cameras, and what changes in the state: where it is time, the pictures of
        all cameras are its keyframe from now on.

        What a picture shows does not depend on which others are asked for: none is painted from another one, and
        keyframes, to which all cameras belong because each may show what another one showed before, are made by how far
        the ego has come.
        """
        kept, now = state["key_pictures"][..., :3], state["key_now"]
        if now.all():
            return kept[:, list(cameras)], {}
        motion = relative(state["pose"], state["key_pose"])
        again = ~now & (motion[:, :2].norm(dim=-1) >= self.distance)
        fresh = bool(again.any())
        numbers = list(range(len(self.views)) if fresh else cameras)
        pictures = self.painted(state, numbers, state["pose"][:, 2], motion)
        if now.any():
            pictures = where_rows(now, kept[:, numbers], pictures)
        if not fresh:
            return pictures, {}
        new = self.kept({**state, "key_generation": state["key_generation"] + 1}, pictures)
        new = {name: where_rows(again, value, state[name]) for name, value in new.items()}
        return pictures[:, list(cameras)], new

    def kept(self, state: State, pictures: Tensor) -> State:
        """What a state keeps of its pictures (B, C, H, W, 3) uint8, as a keyframe."""
        things = things_now(state, self.rig.eye)
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

    def painted(self, state: State, cameras: Sequence[int], turned: Tensor, motion: Tensor | None = None) -> Tensor:
        """Pictures (B, n, H, W, 3) uint8 of n cameras, of a moment that is not the keyframe's.

        Args:
            state: whose keyframe is told in the frame of its own poses.
            cameras: numbers of them.
            turned: (B,) [rad], the ego's heading in the frame of the last real observation.
            motion: (B, 3) of the ego since the keyframe, if at hand.
        """
        motion = relative(state["pose"], state["key_pose"]) if motion is None else motion
        given = {key: state[key] for key in KEYS}, motion, turned
        # All at once take two thirds of the time.
        if list(cameras) == list(self.together.numbers):
            return played(self.together, "forward", given)(*given)
        return torch.cat([played(self.views[number], "forward", given)(*given) for number in cameras], 1)


def where_rows(mask: Tensor, value: Tensor, other: Tensor) -> Tensor:
    """Rows of a value (B, ...) where a mask (B,) holds, and of another one elsewhere."""
    return torch.where(mask.view(-1, *[1] * (value.ndim - 1)), value, other)
