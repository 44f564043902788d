"""Other road users as a few boxes with motion of their own, instead of pixels.

State, per row K slots: `agent_pose` (B, K, 3) in the anchored frame of the remembered map, `agent_motion` (B, K, 2)
speed along the heading [m/s] and yaw rate [rad/s], `agent_size` (B, K, 2) length and width [m], `agent_class` (B, K)
uint8 a `SemanticClass`, 0 for an empty slot.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from learned_sim_env.spec import SemanticClass
from learned_sim_env.world_model.geometry import points_from, relative, rotate, wrap
from learned_sim_env.world_model.layers import MLP, one_hot
from learned_sim_env.world_model.map_memory import UNKNOWN

# [m] An agent farther than this from the ego is forgotten.
FORGET = 60.0
# Places looked up in the remembered map, in the frame of an agent [m]: what lies ahead decides how it will steer.
LOOK_AHEAD = [(x, y) for x in (0.0, 5.0, 10.0, 15.0, 20.0) for y in (-3.5, 0.0, 3.5)]
# [m/s^2] and [rad/s]: what a step's network output of 1 means.
ACCELERATION_SCALE, YAW_RATE_SCALE = 3.0, 0.2
# Half-widths of the gap in which another road user counts as ahead [m].
CORRIDOR = 2.5


class AgentMotion(nn.Module):
    """One clock step of every agent, from its motion, the map before it, the ego and whoever is ahead of it."""

    def __init__(self, dt: float, hidden: tuple[int, ...] = (64, 64)):
        super().__init__()
        self.dt = dt
        self.look_ahead: Tensor
        self.register_buffer("look_ahead", torch.tensor(LOOK_AHEAD), persistent=False)
        self.map_features = nn.Linear(len(LOOK_AHEAD) * (UNKNOWN + 1), hidden[0])
        self.net = MLP(hidden[0] + 12, hidden, 2)
        nn.init.zeros_(self.net.output.weight)
        nn.init.zeros_(self.net.output.bias)

    def places(self, agent_pose: Tensor) -> Tensor:
        """Anchored points (B, K * P, 2) [m] that `forward` wants the map's class ids of."""
        b, k, _ = agent_pose.shape
        return points_from(self.look_ahead.expand(b, k, -1, -1), agent_pose).reshape(b, -1, 2)

    def forward(
        self,
        agent_pose: Tensor,
        agent_motion: Tensor,
        agent_size: Tensor,
        agent_class: Tensor,
        ego_pose: Tensor,
        ego_speed: Tensor,
        map_ids: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Poses and motions after a step, shapes as before; `map_ids` (B, K * P) uint8 are those at `places`."""
        b, k, _ = agent_pose.shape
        seen = one_hot(map_ids.view(b, k, -1), UNKNOWN + 1, self.map_features.weight.dtype).flatten(2)
        ego = relative(ego_pose[:, None].expand(-1, k, -1), agent_pose)
        gap, closing = self._ahead(agent_pose, agent_motion, agent_class, ego, ego_speed)
        speed, yaw_rate = agent_motion.unbind(-1)
        x = torch.stack(
            [
                speed / 10,
                (speed < 0.3).float(),
                yaw_rate / YAW_RATE_SCALE,
                agent_size[..., 0] / 5,
                (agent_class == SemanticClass.PEDESTRIAN).float(),
                (ego[..., 0] / 20).clamp(-2, 2),
                (ego[..., 1] / 5).clamp(-2, 2),
                torch.cos(ego[..., 2]),
                torch.sin(ego[..., 2]),
                (ego_speed[:, None] / 10).expand(-1, k),
                gap / 20,
                closing / 10,
            ],
            -1,
        )
        features = self.map_features(seen)
        out = self.net(torch.cat([features, x.to(features.dtype)], -1)).float()
        speed = (speed + out[..., 0] * ACCELERATION_SCALE * self.dt).clamp_min(0.0)
        yaw_rate = yaw_rate + out[..., 1] * YAW_RATE_SCALE
        heading = agent_pose[..., 2] + yaw_rate * self.dt
        forward = torch.stack([speed * self.dt, torch.zeros_like(speed)], -1)
        place = agent_pose[..., :2] + rotate(forward, (heading + agent_pose[..., 2]) / 2)
        return torch.cat([place, wrap(heading)[..., None]], -1), torch.stack([speed, yaw_rate], -1)

    def _ahead(
        self, pose: Tensor, motion: Tensor, classes: Tensor, ego: Tensor, ego_speed: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Distance [m] to whoever is next ahead in the agent's corridor (40: nobody), and its speed less one's own.

        The ego counts as well.
        """
        others = relative(pose[:, None], pose[:, :, None])  # (B, K, K, 3): [i, j] is j seen from i
        everyone = torch.cat([others, ego[:, :, None]], 2)
        speeds = torch.cat([motion[..., 0], ego_speed[:, None]], 1)
        there = torch.cat([classes > 0, torch.ones_like(classes[:, :1], dtype=torch.bool)], 1)
        ahead = (everyone[..., 0] > 1.0) & (everyone[..., 1].abs() < CORRIDOR) & there[:, None]
        gap, who = torch.where(ahead, everyone[..., 0], 40.0).min(-1)
        gap = gap.clamp_max(40.0)
        closing = speeds.gather(1, who) - motion[..., 0]
        return gap, torch.where(gap < 40.0, closing, 0.0)


class AgentSummary(nn.Module):
    """What the agents around the ego mean for it: (B, size), order of slots irrelevant."""

    def __init__(self, size: int, hidden: int = 48):
        super().__init__()
        self.each = MLP(9, (hidden,), size)

    def forward(
        self, agent_pose: Tensor, agent_motion: Tensor, agent_size: Tensor, agent_class: Tensor, ego_pose: Tensor
    ) -> Tensor:
        """Agents as in the module's docstring, ego pose (B, 3) in the same frame."""
        seen = relative(agent_pose, ego_pose[:, None])
        x = torch.cat(
            [
                # Fine near, coarse far: a collision is decided within metres.
                (seen[..., :2] / 3).clamp(-4, 4),
                (seen[..., :2] / 20).clamp(-3, 3),
                torch.cos(seen[..., 2:]),
                torch.sin(seen[..., 2:]),
                agent_motion[..., :1] / 10,
                agent_size / 5,
            ],
            -1,
        )
        out = torch.nn.functional.silu(self.each(x)).float()
        return torch.where((agent_class > 0)[..., None], out, 0).amax(1)


def forget_far(agent_class: Tensor, agent_pose: Tensor, ego_pose: Tensor) -> Tensor:
    """Classes (B, K) with the slots emptied whose agent is out of reach of the ego."""
    far = ((agent_pose[..., :2] - ego_pose[:, None, :2]) ** 2).sum(-1) > FORGET**2
    return agent_class.masked_fill(far, 0)
