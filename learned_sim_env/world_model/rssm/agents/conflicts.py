"""Where the paths of road users will meet: the closest approach of each to the ego and to another road user.

As time to collision and post-encroachment time are for pairs in traffic safety (Allen et al., Transportation Research
Record 667, 1978; Hayward, Highway Research Record 384, 1972), but from paths of constant speed and turn, and without a
threshold: how near, when, and which of the two passes in front. What drives in the same lane is no conflict here; see
`agent_motion` for vehicles ahead.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn

from learned_sim_env.world_model.geometry import product, turn

# Paths are foreseen for so many pieces of so many seconds each: straight, and turned from one to the next.
PIECES, PIECE = 6, 0.5
HORIZON = PIECES * PIECE  # [s]
# [m] Farther away at the closest, two are in no conflict.
REACH = 12.0
# [m^2] By which a place has to be nearer for each piece that it comes later: two that go on side by side are as near
# all the time, up to rounding, and approach now.
LATER = 0.25
# [m^2] Added where a path is divided by its length, for two that keep their distance.
SLIGHT = 0.01
# [m] Two that go the same way, to within 30 degrees (its cosine), and are no farther aside than this now, are in line.
ALIGNED, ASIDE = 0.866, 1.7
# [m] and [s] Added before they are inverted.
NEAREST, SOONEST = 2.0, 0.5
# What is told of a conflict, see `Conflicts.told`, and what it is multiplied by for a network.
SCALE = (1 / HORIZON, 1 / REACH, 4.0, 0.2, 0.5, 1.0, 1.0)
FEATURES = len(SCALE)


class Conflicts(nn.Module):
    """Two conflicts of each agent: with the ego, and with the other agent that it will come nearest to."""

    def __init__(self) -> None:
        super().__init__()
        self.scale: Tensor
        self.register_buffer("scale", torch.tensor(SCALE)[:, None, None], persistent=False)
        self.later: Tensor
        self.register_buffer("later", LATER * torch.arange(PIECES)[:, None, None], persistent=False)

    def forward(
        self, pose: Tensor, facing: Tensor, speed: Tensor, yaw_rate: Tensor, there: Tensor, ego_motion: Tensor
    ) -> Tensor:
        """(2 * FEATURES, K, B) network inputs: of the conflict with the ego, then of that with another agent.

        Arguments as for `told`, whose result this is, scaled.
        """
        return (self.told(pose, facing, speed, yaw_rate, there, ego_motion) * self.scale).flatten(0, 1)

    def told(
        self, pose: Tensor, facing: Tensor, speed: Tensor, yaw_rate: Tensor, there: Tensor, ego_motion: Tensor
    ) -> Tensor:
        """What is told of the conflict with the ego, and of that with another agent: (2, FEATURES, K, B).

        The time [s] until the two are nearest; the distance of their middles then [m]; one over it [1/m]; how far the
        other is ahead of the agent then [m], along the mean of their directions: above 0 the other passes first, and
        what the other is told is the negative; the deceleration [m/s^2] that stops the agent by then, the less the
        farther apart they pass; cosine and sine of the other's direction then, seen from the agent: a sine above 0 is
        of one from the right. Without a conflict, that of two that are `REACH` apart in the end, and for the rest 0.

        pose: (3, K, B) in the ego frame. facing: (K, B) complex. speed, yaw_rate: (K, B) [m/s, rad/s]. there: (K, B)
        bool. ego_motion: (2, B), its speed and yaw rate.
        """
        k = int(speed.shape[0])
        first, second, pair_of = _pairs(k, speed.device)
        # The ego last.
        ego = torch.cat([torch.zeros_like(ego_motion), ego_motion])[:, None]
        x, y, speeds, yaw_rates = torch.cat([torch.stack([pose[0], pose[1], speed, yaw_rate]), ego], 1)
        ways = torch.cat([facing, torch.ones_like(facing[:1])])
        xs, ys, cs, ss = foreseen(x, y, ways, speeds, yaw_rates)
        # `index_select` takes an eighth of the time of an index in brackets on a CPU, `min` a twentieth of `argmin`.
        away_x, away_y = (v.index_select(1, second) - v.index_select(1, first) for v in (xs, ys))
        # The nearest on each piece of the way, along which places change linearly.
        step_x, step_y = (v[1:] - v[:-1] for v in (away_x, away_y))
        share = -(away_x[:-1] * step_x + away_y[:-1] * step_y) / (step_x.square() + step_y.square() + SLIGHT)
        share = share.clamp(0, 1)
        near_x, near_y = away_x[:-1] + share * step_x, away_y[:-1] + share * step_y
        squared = near_x.square() + near_y.square()
        piece = (squared + self.later).min(0, keepdim=True)[1]
        share, near_x, near_y, squared = (v.gather(0, piece)[0] for v in (share, near_x, near_y, squared))
        c, s, other_c, other_s = (
            v.flatten(0, 1).gather(0, piece[0] * (k + 1) + which[:, None])
            for which in (first, second)
            for v in (cs, ss)
        )
        mean_c, mean_s = c + other_c, s + other_s
        length = (mean_c.square() + mean_s.square()).clamp_min(SLIGHT).sqrt()
        pairs = torch.stack(
            [
                (piece[0] + share) * PIECE,
                squared.clamp_min(SLIGHT).sqrt(),
                (near_x * mean_c + near_y * mean_s) / length,
                c * other_c + s * other_s,
                c * other_s - s * other_c,
            ]
        )
        counts = torch.cat([there, torch.ones_like(there[:1])])
        counts = counts.index_select(0, first) & counts.index_select(0, second)
        counts = counts & ~_in_line(away_x[0], away_y[0], ways.real, ways.imag, first, second)
        distance = torch.where(counts, pairs[1], torch.inf)
        apart, with_ego = distance.index_select(0, pair_of.flatten()).unflatten(0, (k + 1, k)).split([k, 1])
        apart = apart.masked_fill(torch.eye(k, dtype=torch.bool, device=x.device)[..., None], torch.inf)
        least, other = apart.min(0)
        numbers = torch.arange(k, device=x.device)[:, None]
        # Each with the ego, then each with its other: (2, K, B).
        which = torch.stack([pair_of[k][:, None].expand_as(other), pair_of[other, numbers]])
        leads = torch.stack([torch.ones_like(speed), torch.where(other > numbers, 1.0, -1.0)])
        own = pairs.gather(1, which.flatten(0, 1).expand(len(pairs), -1, -1)).unflatten(1, (2, k))
        met = torch.cat([with_ego, least[None]]) < REACH
        time, between = torch.where(met, own[0], HORIZON), torch.where(met, own[1], REACH)
        near = (between + NEAREST).reciprocal()
        braking = torch.where(met, speed * near / (time + SOONEST), 0.0)
        lead, crossing = (torch.where(met, v * leads, 0.0) for v in (own[2], own[4]))
        return torch.stack([time, between, near, lead, braking, torch.where(met, own[3], 0.0), crossing], 1)


def foreseen(
    x: Tensor, y: Tensor, facing: Tensor, speed: Tensor, yaw_rate: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Places now and at the end of each piece of the way, x and y (PIECES + 1, N, B) [m], and the pieces' directions,
    cosines and sines (PIECES, N, B).

    x, y, speed, yaw_rate: (N, B). facing: (N, B) complex.
    """
    on, ways = turn(yaw_rate * PIECE), [product(facing, turn(yaw_rate * (PIECE / 2)))]
    while len(ways) < PIECES:
        ways.append(product(ways[-1], on))
    together = torch.stack(ways)
    # Contiguous: what follows is done number by number.
    c, s = together.real.contiguous(), together.imag.contiguous()
    xs, ys, length = [x], [y], speed * PIECE
    for piece in range(PIECES):
        xs.append(xs[-1] + length * c[piece])
        ys.append(ys[-1] + length * s[piece])
    return torch.stack(xs), torch.stack(ys), c, s


def _in_line(x: Tensor, y: Tensor, c: Tensor, s: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Which pairs (P, B) bool drive one behind the other now, as `agent_motion` tells it: along the mean of their
    directions, the chord of an arc.

    x, y: (P, B) from the first of a pair to its second. c, s: (N, B) directions of all.
    """
    mean_c, mean_s = (v.index_select(0, first) + v.index_select(0, second) for v in (c, s))
    # Of two unit vectors, the squared length of the sum is 2 + 2 cos.
    squared = mean_c.square() + mean_s.square()
    across = y * mean_c - x * mean_s
    return (squared > 2 + 2 * ALIGNED) & (across.square() < ASIDE**2 * squared)


@functools.cache
def _pairs(agents: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """The first and the second (P,) int64 of all pairs among agents and the ego, which is the last; and the pair
    (agents + 1, agents) int64 of two, of one with itself any.
    """
    # Made outside of inference mode, so that training may use it as well.
    with torch.inference_mode(False):
        first, second = torch.triu_indices(agents + 1, agents + 1, 1, device=device)
        pair_of = torch.zeros(agents + 1, agents + 1, dtype=torch.int64, device=device)
        pair_of[first, second] = pair_of[second, first] = torch.arange(len(first), device=device)
        return first, second, pair_of[:, :agents].contiguous()
