"""Who is next to the ego, ahead and behind, in its lane and in those beside it.

As the surrounding vehicles of the highD data set (Krajewski et al., arXiv 1810.05642), with gaps and closing speeds, of
which time to collision is the quotient. Where the road bends, somebody is ahead along the chord of an arc, as in
`agents.motion`; who comes across is where the ego sees it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.spec import EGO_SIZE
from learned_sim_env.world_model.geometry import turn

# [m] Middles of the lanes to the left, of the ego's own and to the right, and how far from there nobody is in them any
# more: over the last metre less and less, as one who changes lanes is more and more in the other.
LANES, HALVES = (3.55, 0.0, -3.55), (2.35, 2.2, 2.35)
# [m] Gaps beyond which nobody counts, and from how much before that on less and less.
FAR, FADING = 45.0, 10.0
# [m] Added to gaps before they are inverted.
NEAREST = 2.0
# What is told of each beside that it is there, see `Neighbours.forward`, is multiplied by this, and at most so large.
SCALE, MOST = (1 / FAR, 0.1, 1.0, 0.25, 0.2), 3.0
# Of these, what has the other sign of those ahead: they come nearer where the distance along the road shrinks.
CLOSING = (1, 2)
# Ahead and behind in each lane.
PLACES = 2 * len(LANES)
SIZE = PLACES * (1 + len(SCALE))


class Neighbours(nn.Module):
    """(B, SIZE) float32: of six places around the ego, whoever is nearest there."""

    def __init__(self) -> None:
        super().__init__()
        self.lanes: Tensor
        self.register_buffer("lanes", torch.tensor([LANES, HALVES])[..., None, None], persistent=False)
        self.scale: Tensor  # (5, 6, 1)
        scale = torch.tensor(SCALE)[:, None].repeat(1, PLACES)
        scale[CLOSING, ::2] *= -1
        self.register_buffer("scale", scale[..., None], persistent=False)

    def forward(
        self, agent_pose: Tensor, agent_motion: Tensor, agent_size: Tensor, agent_class: Tensor, speed: Tensor
    ) -> Tensor:
        """Of agents as in `agents.boxes`, and the ego's speed (B,) [m/s].

        Places are those ahead and behind to the left, then in the ego's own lane, then to the right. First, for all of
        them, comes whether somebody is there, in [0, 1], less than 1 where that is about to change. By it all others
        are multiplied: how near, from 0 at `FAR` to 1 where boxes touch; the closing speed [10 m/s]; the same over the
        gap + `NEAREST` [1/s]; how far to the left [4 m]; how fast it moves there [5 m/s]. The gap is along the road,
        between boxes.
        """
        # Rows last, as long as everything is done number by number: a CPU takes half the time.
        facing = torch.view_as_real(turn(agent_pose[..., 2]))
        parts = [v[..., i : i + 1] for i in (0, 1) for v in (agent_pose, facing)]
        table = torch.cat([*parts, agent_motion[..., :1], agent_size], -1).permute(2, 1, 0).contiguous()
        first, second, (own, length, width) = table[:2], table[2:4], table[4:].unbind()
        # The line along which somebody is ahead or behind has the mean of the ego's direction and theirs, or of the
        # opposite if they come towards the ego; and the less of theirs the more they come across.
        weight = (2 * first[1]).clamp(-1, 1)
        x, y = 1 + weight * first[1], weight * second[1]
        unit = (x.square() + y.square()).rsqrt()
        x, y = x * unit, y * unit
        along, straight = (first * x + second * y).unbind()
        across, aside = (second * x - first * y).unbind()
        parting, drift = own * straight - speed * x, own * aside + speed * y
        reach = length * straight.abs() + width * aside.abs()
        gap = (along.abs() - (reach + EGO_SIZE[0]) / 2).clamp_min(0)
        near = (gap + NEAREST).reciprocal()

        left = FAR - gap
        there = (left / FADING).clamp(0, 1) * (agent_class > 0).t()
        # Over 6 m who passes is both ahead and behind, by a share each.
        ahead = there * F.hardsigmoid(along)
        middle, half = self.lanes.unbind()
        lane = (half - (across - middle).abs()).clamp(0, 1)
        share = (lane[:, None] * torch.stack([ahead, there - ahead])).flatten(0, 1)
        # `argmax` takes ten times as long on a CPU.
        nearest = (share * near).max(1, keepdim=True)[1]
        told = torch.stack([left, parting, parting * near, across, drift])
        told = told.gather(1, nearest[None, :, 0].expand(len(SCALE), -1, -1))
        share = share.gather(1, nearest)[None, :, 0]
        told = torch.cat([share, (told * self.scale).clamp(-MOST, MOST) * share])
        return told.flatten(0, 1).t().contiguous()
