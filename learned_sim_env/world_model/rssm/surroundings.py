"""What is around the ego, in a few numbers: the remembered map near it, other road users, what stands in its way."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.world_model.layers import Linear, one_hot
from learned_sim_env.world_model.protocol import State
from learned_sim_env.world_model.rssm.agents.boxes import KEYS, AgentSummary
from learned_sim_env.world_model.rssm.agents.neighbours import SIZE as NEIGHBOURS
from learned_sim_env.world_model.rssm.agents.neighbours import Neighbours
from learned_sim_env.world_model.rssm.map.memory import UNKNOWN

# Places around the ego whose remembered class decides what happens next, ego frame [m]: finer under and before it.
NEARBY = [(1.5 * i, 0.75 * j) for i in range(-1, 3) for j in range(-2, 3)]
NEARBY += [(4.0 * i, 3.0 * j) for i in range(1, 4) for j in (-1, 1)]


class Surroundings(nn.Module):
    """(B, `size`): `features` numbers of the map at `points` (N, 2) [m] in the ego frame, and as many of agents.

    neighbours: whether there are those of `Neighbours` as well.
    """

    def __init__(self, features: int, neighbours: bool = False):
        super().__init__()
        self.nearby = Linear(len(NEARBY) * (UNKNOWN + 1), features)
        self.agents = AgentSummary(features)
        self.neighbours = Neighbours() if neighbours else None
        self.size = 2 * features + (NEIGHBOURS if neighbours else 0)
        self.points: Tensor
        self.register_buffer("points", torch.tensor(NEARBY), persistent=False)

    def forward(self, ids: Tensor, state: State, obstacle: Tensor) -> Tensor:
        """From what was seen of the map at the points, (B, N) uint8, a state's agents and the ego's speed, and the gap
        to the nearest obstacle (B,) [m]; last of all is the smallest gap to anything.
        """
        near = self.nearby(one_hot(ids, UNKNOWN + 1, self.nearby.weight.dtype).flatten(1))
        agents = [state[name] for name in KEYS]
        around = self.agents(*agents)
        nearest = torch.minimum(around[:, -1], obstacle.clamp_min(-1))
        next_to = [] if self.neighbours is None else [self.neighbours(*agents, state["ego"][:, 0])]
        return torch.cat([F.silu(near).float(), around[:, :-1], *next_to, nearest[:, None]], -1)
