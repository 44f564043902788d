"""Where the paths of road users will meet: the closest approach of each to the ego and to another road user.

As time to collision and post-encroachment time are for pairs in traffic safety (Allen et al., Transportation Research
Record 667, 1978; Hayward, Highway Research Record 384, 1972), but from paths of constant speed and turn, and without a
threshold: how near, when, and which of the two passes in front. What drives in the same lane is no conflict here; see
`agents.motion` for vehicles ahead.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.world_model.geometry import turn

# Paths are foreseen at the ends of so many pieces of so many seconds each.
PIECES, PIECE = 6, 0.5
HORIZON = PIECES * PIECE  # [s]
# An arc is a power series in the angle turned, of so many terms, which at the sharpest turn [rad/s] is centimetres off
# in the end; paths turn no sharper.
TERMS, SHARPEST = 10, 1.0
# A CPU rounds a product of matrices differently for fewer rows or columns than this.
FEWEST = 16
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
# What is told of a conflict, see `Conflicts.told`, what it is multiplied by for a network, and what it is without one.
SCALE = (1 / HORIZON, 1 / REACH, 4.0, 0.2, 0.5, 1.0, 1.0)
NONE = (HORIZON, REACH, 1 / (REACH + NEAREST), 0.0, 0.0, 0.0, 0.0)
FEATURES = len(SCALE)
# Of two, which is the nearer is decided by whole numbers, of so many a metre; and there are fewer pairs than this.
FINE, NUMBERS = 1 << 16, 1 << 31


class Conflicts(nn.Module):
    """Two conflicts of each agent: with the ego, and with the other agent that it will come nearest to.

    Most slots are empty: only agents that are there are told anything, and only pairs of these are computed, as lists.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scale: Tensor
        self.register_buffer("scale", torch.tensor(SCALE)[:, None], persistent=False)
        self.none: Tensor
        self.register_buffer("none", torch.tensor(NONE)[:, None], persistent=False)
        times = torch.arange(PIECES + 1.0)[:, None]
        self.later: Tensor
        self.register_buffer("later", LATER * times, persistent=False)
        # The series' factors at the ends of pieces, after 1 for where a path begins: t^n / n!.
        factors = torch.ones(FEWEST, 1 + TERMS)
        for n in range(1, 1 + TERMS):
            factors[: PIECES + 1, n] = factors[: PIECES + 1, n - 1] * times[:, 0] * PIECE / n
        self.factors: Tensor
        self.register_buffer("factors", factors, persistent=False)

    def forward(self, moving: Tensor, there: Tensor, ego_motion: Tensor) -> Tensor:
        """(2, FEATURES, M) network inputs: of the conflict with the ego, then of that with another agent.

        Arguments as for `told`, whose result this is, scaled.
        """
        return self.told(moving, there, ego_motion) * self.scale

    def told(self, moving: Tensor, there: Tensor, ego_motion: Tensor) -> Tensor:
        """What the M agents that are there, slot by slot, are told of the conflict with the ego, and of that with
        another agent: (2, FEATURES, M).

        The time [s] until the two are nearest; the distance of their middles then [m]; one over it [1/m]; how far the
        other is ahead of the agent then [m], along the mean of their directions: above 0 the other passes first, and
        what the other is told is the negative; the deceleration [m/s^2] that stops the agent by then, the less the
        farther apart they pass; cosine and sine of the other's direction then, seen from the agent: a sine above 0 is
        of one from the right. Without a conflict `NONE`: that of two that are `REACH` apart in the end, and for the
        rest 0.

        moving: (5, K, B) x, y, heading in the ego frame, speed [m/s] and yaw rate [rad/s]. there: (K, B) bool.
        ego_motion: (2, B), the ego's speed and yaw rate.
        """
        k, b = map(int, there.shape)
        counts = there.flatten()
        here = counts.nonzero()[:, 0]
        # `index_select` takes an eighth of the time of an index in brackets on a CPU.
        pairs = _pairs(k, b, counts.device)
        both = counts.index_select(0, pairs[0]) & counts.index_select(0, pairs[1])
        pairs = pairs.index_select(1, both.nonzero()[:, 0])
        # All agents and, behind them, the ego of each row, with which pairs begin.
        with_ego = torch.stack([here, here % b + k * b])
        ego = F.pad(ego_motion, (0, 0, 3, 0))
        table = torch.cat([moving.flatten(1), ego], 1)
        table = torch.cat([foreseen(table, self.factors).flatten(0, 1), table[2:]])
        distance, found = self._pairs_told(
            table.index_select(1, torch.cat([with_ego, pairs], 1).flatten()).unflatten(1, (2, -1))
        )
        # The nearest of an agent's others: the least of what has the distance in front and, behind it, the number of
        # what the agent is told of the other, from 1 on; 0 is that there is none.
        numbers = torch.arange(1, found.shape[1] + 1, device=here.device).view(2, -1)[:, here.shape[0] :]
        keys = (distance[here.shape[0] :] * FINE).long() * NUMBERS + numbers
        nearest = torch.full_like(counts, int(REACH * FINE) * NUMBERS, dtype=torch.int64)
        nearest = nearest.scatter_reduce(0, pairs.flatten(), keys.flatten(), "amin").index_select(0, here) % NUMBERS
        other = torch.cat([self.none, found], 1).index_select(1, nearest)
        return torch.stack([found[:, : here.shape[0]], other])

    def _pairs_told(self, both: Tensor) -> tuple[Tensor, Tensor]:
        """How near pairs come (P,) [m], `REACH` without a conflict; and what the first of each is told, then what the
        second is, (FEATURES, 2 * P).

        both: (2 * (PIECES + 1) + 3, 2, P), for either the places at the ends of pieces, as `foreseen`, heading, speed
        and yaw rate.
        """
        heading, speed, yaw_rate = both[-3:]
        places = (both[:-3, 1] - both[:-3, 0]).unflatten(0, (-1, 2))
        # The nearest of the ends of pieces; from there, as both go before and after, to the nearest place of all.
        end = (places.square().sum(1) + self.later).min(0, keepdim=True)[1]
        before, after = (end - 1).clamp_min(0), (end + 1).clamp_max(PIECES)
        near, past, going = (places.gather(0, i[:, None].expand(-1, 2, -1))[0] for i in (end, before, after))
        going = (going - past) / (after - before)
        share = (near * going).sum(0, keepdim=True) / (going.square().sum(0, keepdim=True) + SLIGHT)
        share = (end - share.clamp(-1, 1)).clamp(0, PIECES) - end
        near, time = near + share * going, (end + share)[0] * PIECE
        distance = near.square().sum(0).clamp_min(SLIGHT).sqrt()
        # Directions now and then: x and y, now and then, summed over both.
        headings = torch.stack([heading, heading + time * yaw_rate])
        together = turn(headings).sum(1)
        # Not as `view_as_real`, which has no gradient for a single pair.
        mean = torch.stack([together.real, together.imag])
        # Of two unit vectors, the squared length of the sum is 2 + 2 cos.
        squared = mean.square().sum(0)
        # In line are those that drive one behind the other now, as `agents.motion` tells it: along the mean of their
        # directions, the chord of an arc.
        across = places[0, 1] * mean[0, 0] - places[0, 0] * mean[1, 0]
        in_line = (squared[0] > 2 + 2 * ALIGNED) & (across.square() < ASIDE**2 * squared[0])
        lead = (near * mean[:, 1]).sum(0) / squared[1].clamp_min(SLIGHT).sqrt()
        seen = turn(headings[1, 1] - headings[1, 0])
        inverse = (distance + NEAREST).reciprocal()
        braking = speed * (inverse / (time + SOONEST))
        alike = [v.expand(2, -1) for v in (time, distance, inverse, seen.real)]
        lead, sine = (torch.stack([v, -v]) for v in (lead, seen.imag))
        told = torch.stack([*alike[:3], lead, braking, alike[3], sine])
        met = (distance < REACH) & ~in_line
        told = torch.where(met, told, self.none[..., None])
        return torch.where(met, distance, REACH), told.flatten(1)


def foreseen(moving: Tensor, factors: Tensor) -> Tensor:
    """Places now and at the ends of the pieces of the way, x and y (PIECES + 1, 2, N) [m], of those that go on as
    `moving` (5, N): x, y, heading, speed, yaw rate.

    The integral of v exp(i (a + w t)) is the sum of v exp(i a) (i w)^(n - 1) t^n / n!. factors: see `Conflicts`.
    """
    moving = moving.to(factors.dtype)
    rate = moving[4].clamp(-SHARPEST, SHARPEST)
    way = turn(moving[2])
    velocity = moving[3] * torch.stack([way.real, way.imag])
    terms = torch.stack([velocity, torch.stack([-velocity[1], velocity[0]]) * rate])
    series, onward = [moving[None, :2], terms], -rate.square()
    while 2 * len(series) < TERMS + 2:
        series.append(series[-1] * onward)
    together = torch.cat(series).flatten(1)
    spare = max(0, FEWEST - int(together.shape[1]))
    places = factors @ (F.pad(together, (0, spare)) if spare else together)
    return places[: PIECES + 1, : int(together.shape[1])].unflatten(1, (2, -1))


@functools.lru_cache(maxsize=32)
def _pairs(agents: int, rows: int, device: torch.device) -> Tensor:
    """All pairs among agents in all rows: (2, pairs * rows) int64, which the first is and the second, counted through
    agents and then rows.
    """
    # Made outside of inference mode, so that training may use it as well.
    with torch.inference_mode(False):
        pairs = torch.triu_indices(agents, agents, 1, device=device)[..., None] * rows
        return (pairs + torch.arange(rows, device=device)).flatten(1)
