"""Other road users as a few boxes with motion of their own, instead of pixels.

State, per row K slots: `agent_pose` (B, K, 3) in the anchored frame of the remembered map, `agent_motion` (B, K, 2)
speed along the heading [m/s] and yaw rate [rad/s], `agent_size` (B, K, 2) length and width [m], `agent_class` (B, K)
uint8 a `SemanticClass`, 0 for an empty slot.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from learned_sim_env.spec import SemanticClass
from learned_sim_env.world_model.geometry import place, points_from, turn, wrap
from learned_sim_env.world_model.layers import MLP, one_hot
from learned_sim_env.world_model.map_memory import UNKNOWN
from learned_sim_env.world_model.protocol import State

# [m] An agent farther than this from the ego is forgotten.
FORGET = 60.0
# Places looked up in the remembered map, in the frame of an agent [m]: what lies ahead decides how it will steer.
LOOK_AHEAD = [(x, y) for x in (8.0, 18.0) for y in (-3.5, 0.0, 3.5)]
# [m/s^2] and [rad/s]: what a step's network output of 1 means.
ACCELERATION_SCALE, YAW_RATE_SCALE = 3.0, 0.2
# Half-widths of the gap in which another road user counts as ahead [m].
CORRIDOR = 2.5
# [m] of the ego drawn in the dream; the size of MetaDrive's default vehicle.
EGO_SIZE = (4.515, 1.852)
# [m] An agent that comes into view keeps this distance from the others.
APART = 5.0
# [m] Farther gaps to the ego count as this.
GAP_REACH = 6.0


class AgentMotion(nn.Module):
    """One clock step of every agent, from its motion, the map before it, the ego and whoever is ahead of it."""

    def __init__(self, dt: float, hidden: tuple[int, ...] = (64, 48)):
        super().__init__()
        self.dt = dt
        self.look_ahead: Tensor
        self.register_buffer("look_ahead", torch.tensor(LOOK_AHEAD), persistent=False)
        self.scale: Tensor
        scale = [0.1, 1.0, 1 / YAW_RATE_SCALE, 0.2, 1.0, 0.05, 0.2, 1.0, 1.0, 0.1, 0.05, 0.1]
        self.register_buffer("scale", torch.tensor(scale), persistent=False)
        self.net = MLP(len(LOOK_AHEAD) * (UNKNOWN + 1) + 12, hidden, 2, norm=False)
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
        gap, closing, ego = self._ahead(agent_pose, agent_motion, agent_class, ego_pose, ego_speed)
        turned = ego_pose[:, None, 2] - agent_pose[..., 2]
        speed, yaw_rate = agent_motion.unbind(-1)
        x = torch.stack(
            [
                speed,
                (speed < 0.3).float(),
                yaw_rate,
                agent_size[..., 0],
                (agent_class == SemanticClass.PEDESTRIAN).float(),
                ego[0].clamp(-40, 40),
                ego[1].clamp(-10, 10),
                torch.cos(turned),
                torch.sin(turned),
                ego_speed[:, None].expand(-1, k),
                gap,
                closing,
            ],
            -1,
        )
        dtype = self.net.output.weight.dtype
        seen = one_hot(map_ids.view(b, k, -1), UNKNOWN + 1, dtype).flatten(2)
        out = self.net(torch.cat([seen, (x * self.scale).to(dtype)], -1)).float()
        speed = (speed + out[..., 0] * ACCELERATION_SCALE * self.dt).clamp_min(0.0)
        yaw_rate = yaw_rate + out[..., 1] * YAW_RATE_SCALE
        heading = agent_pose[..., 2] + yaw_rate * self.dt
        ahead = place(agent_pose) + torch.polar(speed * self.dt, (heading + agent_pose[..., 2]) / 2)
        pose = torch.cat([torch.view_as_real(ahead), wrap(heading)[..., None]], -1)
        return pose, torch.stack([speed, yaw_rate], -1)

    def _ahead(
        self, pose: Tensor, motion: Tensor, classes: Tensor, ego_pose: Tensor, ego_speed: Tensor
    ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        """Distance [m] to whoever is next ahead in the agent's corridor (40: nobody), and its speed less one's own.

        The ego counts as well; also its place along and across the agent's heading. All (B, K).
        """
        here = place(pose)
        everyone = torch.cat([here, place(ego_pose)[:, None]], 1)
        # (B, K, K + 1): [i, j] is j seen from i.
        seen = (everyone[:, None] - here[:, :, None]) * turn(-pose[..., 2:])
        along, across = seen.real, seen.imag
        speeds = torch.cat([motion[..., 0], ego_speed[:, None]], 1)
        there = torch.cat([classes > 0, torch.ones_like(classes[:, :1], dtype=torch.bool)], 1)
        ahead = (along > 1.0) & (across.abs() < CORRIDOR) & there[:, None]
        gap, who = torch.where(ahead, along, 40.0).min(-1)
        gap = gap.clamp_max(40.0)
        closing = torch.where(gap < 40.0, speeds.gather(1, who) - motion[..., 0], 0.0)
        return gap, closing, (along[..., -1], across[..., -1])


class AgentSummary(nn.Module):
    """What the agents around the ego mean for it: (B, size), order irrelevant; last, the smallest `box_gap`."""

    def __init__(self, size: int, hidden: int = 48):
        super().__init__()
        self.each = MLP(10, (hidden,), size - 1, norm=False)

    def forward(
        self, agent_pose: Tensor, agent_motion: Tensor, agent_size: Tensor, agent_class: Tensor, ego_pose: Tensor
    ) -> Tensor:
        """Agents as in the module's docstring, ego pose (B, 3) in the same frame."""
        there = agent_class > 0
        seen = (place(agent_pose) - place(ego_pose)[:, None]) * turn(-ego_pose[:, None, 2])
        facing = turn(agent_pose[..., 2] - ego_pose[:, None, 2])
        xy, gap = torch.view_as_real(seen), box_gap(seen, facing, agent_size)
        # Fine near, coarse far: a collision is decided within metres.
        x = torch.cat(
            [
                (xy / 3).clamp(-4, 4),
                (xy / 20).clamp(-3, 3),
                torch.view_as_real(facing),
                agent_motion[..., :1] / 10,
                agent_size / 5,
                (gap[..., None] / 2).clamp(-1, 4),
            ],
            -1,
        )
        # What an empty slot says is zero. In float32: a maximum over bfloat16 takes three times as long on a CPU.
        out = (torch.nn.functional.silu(self.each(x)).float() * there[..., None]).amax(1)
        nearest = torch.where(there, gap, GAP_REACH).amin(1).clamp(-1, GAP_REACH)
        return torch.cat([out, nearest[:, None]], 1)


def box_gap(seen: Tensor, facing: Tensor, size: Tensor) -> Tensor:
    """How far boxes are from touching the ego's (...) [m], below 0 where they overlap.

    The largest gap along the axes of either box: the separating-axis test. Off a corner it is less than the distance.

    Args:
        seen, facing: (...) complex, place in the ego frame [m] and direction, see `geometry.place` and `turn`.
        size: (..., 2) length and width [m].
    """
    half, ego = size / 2, size.new_tensor(EGO_SIZE) / 2
    # Along and across, in one: |cos| and |sin|, and the same the other way round.
    turned = torch.view_as_real(facing).abs()
    swapped = turned.flip(-1)
    own = torch.view_as_real(seen).abs() - half[..., :1] * turned - half[..., 1:] * swapped - ego
    other = torch.view_as_real(seen * facing.conj()).abs() - ego[0] * turned - ego[1] * swapped - half
    return torch.maximum(own, other).amax(-1)


def forget_far(agent_class: Tensor, agent_pose: Tensor, ego_pose: Tensor) -> Tensor:
    """Classes (B, K) with the slots emptied whose agent is out of reach of the ego."""
    far = ((agent_pose[..., :2] - ego_pose[:, None, :2]) ** 2).sum(-1) > FORGET**2
    return agent_class.masked_fill(far, 0)


def no_agents(batch_size: int, slots: int, device: torch.device | str) -> State:
    """The agents' part of a state, all slots empty."""
    return {
        "agent_pose": torch.zeros(batch_size, slots, 3, device=device),
        "agent_motion": torch.zeros(batch_size, slots, 2, device=device),
        "agent_size": torch.ones(batch_size, slots, 2, device=device),
        "agent_class": torch.zeros(batch_size, slots, dtype=torch.uint8, device=device),
    }


def appear(state: State, rows: Tensor, pose: Tensor, motion: Tensor, size: Tensor) -> State:
    """The agents of `state`, with a vehicle more in each of `rows` (n,) int64, in the first empty slot if there is one.

    Nobody appears inside another.

    pose: (n, 3) anchored. motion, size: (n, 2), see the module's docstring.
    """
    there = state["agent_class"][rows] > 0
    near = ((state["agent_pose"][rows, :, :2] - pose[:, None, :2]) ** 2).sum(-1) < APART**2
    fits = ~(near & there).any(-1) & ~there.all(-1)
    rows, slot = rows[fits], there.to(torch.uint8).argmin(-1)[fits]
    new = {key: state[key].clone() for key in ("agent_pose", "agent_motion", "agent_size", "agent_class")}
    new["agent_pose"][rows, slot] = pose[fits]
    new["agent_motion"][rows, slot] = motion[fits]
    new["agent_size"][rows, slot] = size[fits]
    new["agent_class"][rows, slot] = int(SemanticClass.VEHICLE)
    return new
