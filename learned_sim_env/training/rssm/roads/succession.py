"""Which piece of road follows on which: learned by telling true successors from others that would fit as well.

A network scores pairs of pieces by what they are like; trained by noise-contrastive estimation (InfoNCE, arXiv
1807.03748) with pieces that fit as alternatives, the softmax of its scores is the probability of each to follow.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from learned_sim_env.spec import SCENARIO_TAGS
from learned_sim_env.training.rssm.roads.cutting import Piece
from learned_sim_env.world_model.layers import MLP
from learned_sim_env.world_model.rssm.roads.library import SUCCESSORS

# Alternatives that a true successor is told from, and pairs in a batch.
OTHERS, BATCH = 63, 64


def described(pieces: Sequence[Piece]) -> torch.Tensor:
    """(V, features) float32: lanes, widths, length, how it turns at first, at last and in all, and kinds of place."""
    rows = []
    for p in pieces:
        leaving = p.exit or p.entry
        turning = [p.turned(0, 6), p.turned(-6, None), p.exit_pose[2]]
        tags = [float(tag in p.tags) for tag in SCENARIO_TAGS]
        rows.append(
            [
                *(p.entry.own / 3, p.entry.opposite / 3, leaving.own / 3, leaving.opposite / 3),
                *((p.entry.width - 3.5) * 4, p.length / 60, float(p.exit is None)),
                *turning,
                *np.abs(turning),
                *tags,
            ]
        )
    return torch.tensor(np.array(rows), dtype=torch.float32)


class Succession(nn.Module):
    """Scores (...) of pairs of pieces, by features (..., F): how much likelier than by chance the second follows."""

    def __init__(self, features: int, hidden: int = 64):
        super().__init__()
        self.net = MLP(2 * features, (hidden, hidden), 1)

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return self.net(torch.cat([first, second], -1))[..., 0]


def trained(
    pieces: Sequence[Piece], fits: np.ndarray, steps: int, seed: int, held_out: int = 8
) -> tuple[Succession, dict[str, float]]:
    """A network trained on the successions in `pieces`, and what it says of those of held-out scenarios.

    Args:
        pieces: of many routes, see `Piece.order`.
        fits: (V, V) bool, see `assembly.compatible`.
        steps: of gradient descent. seed: of its chance.
        held_out: scenarios whose seeds end in this digit are not trained on.

    Returns:
        The network, and "pairs" that it learned from, "held_out" ones, and, if there are such, "nats", by which a true
        successor among `OTHERS` alternatives is likelier than by chance.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        features = described(pieces)
        net = Succession(features.shape[1])
    follows = [
        (i, i + 1)
        for i in range(len(pieces) - 1)
        if pieces[i].source == pieces[i + 1].source and pieces[i + 1].order == pieces[i].order + 1
    ]
    pairs = torch.tensor([pair for pair in follows if fits[pair]])
    apart = torch.tensor([pieces[int(i)].source % 10 == held_out for i, _ in pairs])
    own, other = pairs[~apart], pairs[apart]
    allowed = torch.from_numpy(fits).float()

    def loss(some: torch.Tensor) -> torch.Tensor:
        others = torch.multinomial(allowed[some[:, 0]], OTHERS, replacement=True, generator=generator)
        second = torch.cat([some[:, 1:], others], 1)
        scores = net(features[some[:, :1]].expand(-1, OTHERS + 1, -1), features[second])
        return F.cross_entropy(scores, torch.zeros(len(some), dtype=torch.long))

    optimiser = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=0.05)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * (1 - step / steps)
        batch = own[torch.randint(len(own), (BATCH,), generator=generator)]
        optimiser.zero_grad()
        loss(batch).backward()
        optimiser.step()
    net.eval()
    said = {"pairs": float(len(own)), "held_out": float(len(other))}
    if len(other):
        with torch.no_grad():
            said["nats"] = float(np.log(OTHERS + 1) - np.mean([loss(other).item() for _ in range(8)]))
    return net, said


def successors(net: Succession, pieces: Sequence[Piece], fits: np.ndarray) -> np.ndarray:
    """(V, SUCCESSORS) int64: for each piece, others as often as they are likely to follow, the likeliest first."""
    features = described(pieces)
    levels = (np.arange(SUCCESSORS) + 0.5) / SUCCESSORS
    found = np.zeros((len(pieces), SUCCESSORS), np.int64)
    with torch.no_grad():
        for i in range(len(pieces)):
            some = np.flatnonzero(fits[i])
            if not len(some):
                continue
            scores = net(features[i].expand(len(some), -1), features[some])
            likely = scores.softmax(0).numpy()
            order = np.argsort(-likely, kind="stable")
            found[i] = some[order[np.searchsorted(likely[order].cumsum(), levels).clip(0, len(some) - 1)]]
    return found
