"""What is around the ego, in a few numbers: the remembered map near it, other road users, what stands in its way."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.world_model.layers import Linear, one_hot
from learned_sim_env.world_model.protocol import State
from learned_sim_env.world_model.rssm.agents.boxes import AgentSummary
from learned_sim_env.world_model.rssm.map.memory import UNKNOWN

# Places around the ego whose remembered class decides what happens next, ego frame [m]: finer under and before it.
NEARBY = [(1.5 * i, 0.75 * j) for i in range(-1, 3) for j in range(-2, 3)]
NEARBY += [(4.0 * i, 3.0 * j) for i in range(1, 4) for j in (-1, 1)]


class Surroundings(nn.Module):
    """(B, 2 * size): `size` numbers of the map at `points` (N, 2) [m] in the ego frame, and as many of agents."""

    def __init__(self, size: int):
        super().__init__()
        self.nearby = Linear(len(NEARBY) * (UNKNOWN + 1), size)
        self.agents = AgentSummary(size)
        self.points: Tensor
        self.register_buffer("points", torch.tensor(NEARBY), persistent=False)

    def forward(self, ids: Tensor, agents: State, obstacle: Tensor) -> Tensor:
        """From what was seen of the map at the points, (B, N) uint8, agents by their names in a state, and the gap to
        the nearest obstacle (B,) [m]; last of all is the smallest gap to anything.
        """
        near = self.nearby(one_hot(ids, UNKNOWN + 1, self.nearby.weight.dtype).flatten(1))
        around = self.agents(*(agents[k] for k in ("agent_pose", "agent_motion", "agent_size", "agent_class")))
        nearest = torch.minimum(around[:, -1], obstacle.clamp_min(-1))
        return torch.cat([F.silu(near).float(), around[:, :-1], nearest[:, None]], -1)
