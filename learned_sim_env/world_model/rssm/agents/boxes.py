"""Other road users as a few boxes with motion of their own, instead of pixels.

State, per row K slots: `agent_pose` (B, K, 3) in the ego frame, `agent_motion` (B, K, 3) speed along the heading [m/s],
yaw rate [rad/s] and acceleration [m/s^2], `agent_size` (B, K, 2) length and width [m], `agent_class` (B, K) uint8 a
`SemanticClass`, 0 for an empty slot. `motion` moves them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.spec import EGO_SIZE, SemanticClass
from learned_sim_env.world_model.geometry import place, product, turn
from learned_sim_env.world_model.layers import MLP
from learned_sim_env.world_model.protocol import State

# Names in a state.
KEYS = ("agent_pose", "agent_motion", "agent_size", "agent_class")
# [m] An agent farther than this from the ego is forgotten.
FORGET = 60.0
# [m/s^2] Stands where nothing is known of an agent's acceleration, because it was not seen for long enough.
UNKNOWN_ACCELERATION = -20.0
# [m] An agent that comes into view keeps this distance from the others.
APART = 5.0
# [m] Farther gaps to the ego count as this.
GAP_REACH = 6.0


class AgentSummary(nn.Module):
    """What the agents around the ego mean for it: (B, size), order irrelevant; last, the smallest `box_gap`."""

    def __init__(self, size: int, hidden: int = 48):
        super().__init__()
        self.size = size - 1
        self.each = MLP(10, (hidden,), self.size, norm=False)

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
        # Rows of 32, see `layers.logistic`.
        said = F.silu(F.pad(self.each(x), (0, -self.size % 32)))[..., : self.size]
        # What an empty slot says is zero. In float32: a maximum over bfloat16 takes three times as long on a CPU.
        out = (said.float() * there[..., None]).amax(1)
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
    other = torch.view_as_real(product(seen, facing.conj())).abs() - ego[0] * turned - ego[1] * swapped - half
    return torch.maximum(own, other).amax(-1)


def forget_far(agent_class: Tensor, agent_pose: Tensor) -> Tensor:
    """Classes (B, K) with the slots emptied whose agent is out of reach of the ego."""
    return agent_class.masked_fill(place(agent_pose).abs() > FORGET, 0)


def no_agents(batch_size: int, slots: int, device: torch.device | str) -> State:
    """The agents' part of a state, all slots empty."""
    return {
        "agent_pose": torch.zeros(batch_size, slots, 3, device=device),
        "agent_motion": torch.zeros(batch_size, slots, 3, device=device),
        "agent_size": torch.ones(batch_size, slots, 2, device=device),
        "agent_class": torch.zeros(batch_size, slots, dtype=torch.uint8, device=device),
    }


def appear(agents: State, rows: Tensor, come: Tensor, pose: Tensor, motion: Tensor, size: Tensor) -> State:
    """The agents, with one more vehicle in those of `rows` (N,) int64 in which one is to `come` (N,) bool, in the first
    empty slot if there is one.

    No vehicle appears inside another agent.

    pose, motion: (N, 3). size: (N, 2), see the module's docstring.
    """
    old = {key: agents[key].index_select(0, rows) for key in KEYS}
    there = old["agent_class"] > 0
    near = (place(old["agent_pose"]) - place(pose)[:, None]).abs() < APART
    free = ~there
    put = free & (free.cumsum(-1) == 1) & (come & ~(near & there).any(-1))[:, None]
    new = {
        key: torch.where(put[..., None], value[:, None], old[key])
        for key, value in (("agent_pose", pose), ("agent_motion", motion), ("agent_size", size))
    }
    new["agent_class"] = old["agent_class"].masked_fill(put, int(SemanticClass.VEHICLE))
    return {key: agents[key].index_copy(0, rows, new[key]) for key in KEYS}
