"""Other road users as a few boxes with motion of their own, instead of pixels.

State, per row K slots: `agent_pose` (B, K, 3) in the ego frame, `agent_motion` (B, K, 2) speed along the heading [m/s]
and yaw rate [rad/s], `agent_size` (B, K, 2) length and width [m], `agent_class` (B, K) uint8 a `SemanticClass`, 0 for
an empty slot.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.spec import SemanticClass
from learned_sim_env.world_model.geometry import place, points_from, turn
from learned_sim_env.world_model.layers import MLP, one_hot
from learned_sim_env.world_model.map_memory import UNKNOWN
from learned_sim_env.world_model.protocol import State

# Names in a state.
KEYS = ("agent_pose", "agent_motion", "agent_size", "agent_class")
# [m] An agent farther than this from the ego is forgotten.
FORGET = 60.0
# Places looked up in the remembered map, in the frame of an agent [m]: what lies ahead decides how it will steer.
LOOK_AHEAD = [(x, y) for x in (8.0, 18.0) for y in (-3.5, 0.0, 3.5)]
# [m/s^2] and [rad/s]: what a step's network output of 1 means.
ACCELERATION_SCALE, YAW_RATE_SCALE = 3.0, 0.2
# Half-widths of the gap in which another road user counts as ahead [m].
CORRIDOR = 2.5
# [m] Nobody ahead counts as somebody that far away.
FAR = 40.0
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
        scale = [0.1, 1 / YAW_RATE_SCALE, 0.2, 0.5, 1.0, 1.0, 0.05, 0.2, 1.0, 0.1, 0.05, 0.1]
        self.register_buffer("scale", torch.tensor(scale), persistent=False)
        self.change: Tensor
        self.register_buffer("change", torch.tensor([ACCELERATION_SCALE * dt, YAW_RATE_SCALE]), persistent=False)
        self.net = MLP(len(LOOK_AHEAD) * (UNKNOWN + 1) + 12, hidden, 2, norm=False)
        nn.init.zeros_(self.net.output.weight)
        nn.init.zeros_(self.net.output.bias)

    def places(self, agent_pose: Tensor) -> Tensor:
        """Ego-frame points (B, K * P, 2) [m] that `forward` wants the map's class ids of."""
        return points_from(self.look_ahead, agent_pose).flatten(1, 2)

    def forward(
        self,
        agent_pose: Tensor,
        agent_motion: Tensor,
        agent_size: Tensor,
        agent_class: Tensor,
        ego_speed: Tensor,
        map_ids: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Poses and motions after a step, shapes as before.

        ego_speed: (B,) [m/s]. map_ids: (B, K * P) uint8, the map at `places`.
        """
        b, k, _ = agent_pose.shape
        here, facing, ego_speed = place(agent_pose), turn(agent_pose[..., 2]), ego_speed[:, None]
        speed, yaw_rate = agent_motion.unbind(-1)
        gap, closing, ego = self._ahead(here, facing.conj(), speed, agent_class > 0, ego_speed)
        facts = [speed.clamp_max(1.0), ego_speed.expand(-1, k), gap, closing]
        x = torch.cat(
            [agent_motion, agent_size, torch.view_as_real(facing), ego.clamp(-FAR, FAR), torch.stack(facts, -1)], -1
        )
        dtype = self.net.output.weight.dtype
        seen = one_hot(map_ids.view(b, k, -1), UNKNOWN + 1, dtype).flatten(2)
        change = self.net(torch.cat([seen, (x * self.scale).to(dtype)], -1)).float() * self.change
        speed, yaw_rate = (speed + change[..., 0]).clamp_min(0.0), yaw_rate + change[..., 1]
        turned = yaw_rate * self.dt
        ahead = here + facing * torch.polar(speed * self.dt, turned / 2)
        pose = torch.cat([torch.view_as_real(ahead), agent_pose[..., 2:] + turned[..., None]], -1)
        return pose, torch.stack([speed, yaw_rate], -1)

    def _ahead(
        self, here: Tensor, back: Tensor, speed: Tensor, there: Tensor, ego_speed: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Distance [m] (B, K) to whoever is next ahead in the agent's corridor (`FAR`: nobody), and its speed less
        one's own (B, K). The ego counts as well; also its place (B, K, 2) [m] in the agent's frame.

        here, back: (B, K) complex, where agents are and the turn into their frames. speed: (B, K). there: (B, K) bool.
        ego_speed: (B, 1).
        """
        # The ego last: [i, j] of (B, K, K + 1) is j seen from i.
        seen = (F.pad(here, (0, 1))[:, None] - here[:, :, None]) * back[:, :, None]
        along, across = seen.real, seen.imag
        ahead = (along > 1.0) & (across.abs() < CORRIDOR) & F.pad(there, (0, 1), value=True)[:, None]
        gap, who = torch.where(ahead, along, FAR).min(-1)
        closing = torch.cat([speed, ego_speed], 1).gather(1, who) - speed
        return gap.clamp_max(FAR), torch.where(gap < FAR, closing, 0.0), torch.view_as_real(seen[..., -1])


class AgentSummary(nn.Module):
    """What the agents around the ego mean for it: (B, size), order irrelevant; last, the smallest `box_gap`."""

    def __init__(self, size: int, hidden: int = 48):
        super().__init__()
        self.each = MLP(10, (hidden,), size - 1, norm=False)

    def forward(self, agent_pose: Tensor, agent_motion: Tensor, agent_size: Tensor, agent_class: Tensor) -> Tensor:
        """Agents as in the module's docstring."""
        there = agent_class > 0
        facing = turn(agent_pose[..., 2])
        xy, gap = agent_pose[..., :2], box_gap(place(agent_pose), facing, agent_size)
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
        out = (F.silu(self.each(x)).float() * there[..., None]).amax(1)
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


def forget_far(agent_class: Tensor, agent_pose: Tensor) -> Tensor:
    """Classes (B, K) with the slots emptied whose agent is out of reach of the ego."""
    return agent_class.masked_fill(place(agent_pose).abs() > FORGET, 0)


def no_agents(batch_size: int, slots: int, device: torch.device | str) -> State:
    """The agents' part of a state, all slots empty."""
    return {
        "agent_pose": torch.zeros(batch_size, slots, 3, device=device),
        "agent_motion": torch.zeros(batch_size, slots, 2, device=device),
        "agent_size": torch.ones(batch_size, slots, 2, device=device),
        "agent_class": torch.zeros(batch_size, slots, dtype=torch.uint8, device=device),
    }


def appear(agents: State, come: Tensor, pose: Tensor, motion: Tensor, size: Tensor) -> State:
    """The agents, with a vehicle more in the rows in `come` (B,) bool, in the first empty slot if there is one.

    Nobody appears inside another.

    pose: (B, 3) in the ego frame. motion, size: (B, 2), see the module's docstring.
    """
    there = agents["agent_class"] > 0
    near = (place(agents["agent_pose"]) - place(pose)[:, None]).abs() < APART
    free = ~there
    put = free & (free.cumsum(-1) == 1) & (come & ~(near & there).any(-1))[:, None]
    new = {
        key: torch.where(put[..., None], value[:, None], agents[key])
        for key, value in (("agent_pose", pose), ("agent_motion", motion), ("agent_size", size))
    }
    return {**new, "agent_class": agents["agent_class"].masked_fill(put, int(SemanticClass.VEHICLE))}
