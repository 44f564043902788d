"""How other road users move, one clock step at a time, with accelerations drawn from a learned distribution.

Of two vehicles in the same situation one may pull away and the other wait, and their mean predicts neither. So the
network gives a distribution over accelerations, and the drawn one is kept in the state: a vehicle that has begun to
pull away continues. (As sets of motion tokens in MotionLM, arXiv 2309.16534, with a step's acceleration as the token.)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.road import STATION
from learned_sim_env.spec import EGO_SIZE
from learned_sim_env.world_model.geometry import place, points_from, product, turn, wrap
from learned_sim_env.world_model.layers import MLP, drawn, one_hot, tempered
from learned_sim_env.world_model.rssm.agents.boxes import UNKNOWN_ACCELERATION
from learned_sim_env.world_model.rssm.agents.conflicts import FEATURES, Conflicts
from learned_sim_env.world_model.rssm.map.memory import UNKNOWN
from learned_sim_env.world_model.rssm.route.path import ROADWAY, beside

# [m/s^2] Accelerations to choose from.
ACCELERATIONS = (
    *(-10.0, -7.0, -5.0, -3.5, -2.5, -1.6, -0.9, -0.4, -0.1),
    *(0.1, 0.4, 0.8, 1.2, 1.6, 2.0, 2.6, 3.6),
)
# Places looked up in the remembered map, in the frame of an agent [m]: what lies ahead decides how it will steer.
LOOK_AHEAD = [(x, y) for x in (8.0, 18.0) for y in (-3.5, 0.0, 3.5)]
LOOK_AHEAD += [(4.0, -1.9), (4.0, 0.0), (4.0, 1.9), (12.0, 0.0), (26.0, 0.0)]
# Which of them decides whether the map ahead of an agent is known.
JUST_AHEAD = LOOK_AHEAD.index((4.0, 0.0))
# [rad] An agent whose heading differs by more from the route's, in either direction, does not drive along it; [1/s] the
# rate at which headings are aligned with the route.
ASKEW, INTO_LINE = 0.6, 1.0
# [m] Halves of a lane, and how far the lanes beside it reach.
LANE, BESIDE = 1.7, 5.4
# [m] The gap where no vehicle is ahead.
FAR = 45.0
# [rad/s] What a network output of 1 changes the yaw rate by; [m/s] the speed of a town's traffic.
TURN_SCALE, TOWN = 0.2, 8.3
# [m] Added to gaps before they are inverted.
NEAREST = 2.0
# Of so many rows, or a multiple, `layers.linear` need not make more in every layer, and a CPU computes `silu` of all
# alike, see `layers.logistic`.
EVEN = 16


class AgentMotion(nn.Module):
    """One clock step of every agent, from its motion, the map ahead of it, the ego and the vehicles ahead.

    conflicts: whether also from where the paths of agents and the ego will meet.
    """

    def __init__(self, dt: float, hidden: tuple[int, ...] = (64, 48), conflicts: bool = False):
        super().__init__()
        self.dt = dt
        self.look_ahead: Tensor
        self.register_buffer("look_ahead", torch.tensor(LOOK_AHEAD), persistent=False)
        self.accelerations: Tensor
        self.register_buffer("accelerations", torch.tensor(ACCELERATIONS), persistent=False)
        self.own_scale: Tensor
        scale = (0.1, 1, 1 / TOWN, TOWN**-4, 1 / TURN_SCALE, 0.5, 1, 0.2, 0.5, 1, 1, 0.05, 0.2, 0.1, 0.1, 1, 1)
        self.register_buffer("own_scale", torch.tensor(scale)[:, None, None], persistent=False)
        self.others_scale: Tensor
        others_scale = torch.tensor((0.05, 4.0, 0.2, 1.0, 1.0))[:, None, None]
        self.register_buffer("others_scale", others_scale, persistent=False)
        self.lanes: Tensor  # (2, 3, 1, 1, 1) from where to where they reach, left, own, right [m]
        lanes = torch.tensor([[LANE, -LANE, -BESIDE], [BESIDE, LANE, -LANE]])
        self.register_buffer("lanes", lanes[..., None, None, None], persistent=False)
        self.ego: Tensor  # (6, 1, 1) place, direction, half its length, and that it is there
        ego = torch.tensor([0.0, 0.0, 1.0, 0.0, EGO_SIZE[0] / 2, 1.0])
        self.register_buffer("ego", ego[:, None, None], persistent=False)
        self.conflicts = Conflicts() if conflicts else None
        inputs = len(LOOK_AHEAD) * (UNKNOWN + 1) + len(self.own_scale) + 3 * len(self.others_scale)
        inputs += 2 * FEATURES if conflicts else 0
        self.net = MLP(inputs, hidden, len(ACCELERATIONS) + 1, norm=False)
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
        ego_motion: Tensor,
        map_ids: Tensor,
        uniforms: Tensor | None = None,
        temperature: float = 1.0,
        route: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Poses and motions after a step, shapes as in `agents.boxes`.

        ego_motion: (B, 3), its speed some steps ago and now [m/s]: where the ego has just set off, others do as well;
        and its yaw rate [rad/s].
        map_ids: (B, K * P) uint8, the map at `places`. uniforms: (B, K) at which the distributions of accelerations are
        inverted; None takes what is likeliest. route: (B, STATIONS + 1, 3) in the ego frame, see `route.path`: where no
        map was seen, agents drive along it.
        """
        logits, turning = self.guesses(agent_pose, agent_motion, agent_size, agent_class, ego_motion, map_ids)
        likely = logits.softmax(-1)
        if uniforms is None or temperature == 0:
            acceleration = self._around_the_mode(likely)
        else:
            acceleration = self.accelerations[drawn(tempered(likely, temperature), uniforms)]
        before = agent_motion[..., 0]
        speed, yaw_rate = (before + acceleration * self.dt).clamp_min(0.0), agent_motion[..., 1] + turning
        if route is not None:
            unseen = (map_ids.view(*before.shape, -1)[..., JUST_AHEAD] == UNKNOWN) & (agent_class > 0)
            # Few are.
            some = unseen.flatten().nonzero()[:, 0]
            rows = some // before.shape[1]
            pose, *moving = (x.flatten(0, 1).index_select(0, some)[:, None] for x in (agent_pose, speed, yaw_rate))
            rate = along_route(pose, moving[0], moving[1], route.index_select(0, rows))
            yaw_rate = yaw_rate.flatten().index_copy(0, some, rate[:, 0]).view_as(before)
        motion = torch.stack([speed, yaw_rate, (speed - before) / self.dt], -1)
        return advance(agent_pose, motion, self.dt), motion

    def guesses(
        self,
        agent_pose: Tensor,
        agent_motion: Tensor,
        agent_size: Tensor,
        agent_class: Tensor,
        ego_motion: Tensor,
        map_ids: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Logits (B, K, len(ACCELERATIONS)) of the accelerations, and changes of the yaw rate (B, K) [rad/s], float32;
        0 in empty slots.

        Arguments as for `forward`.
        """
        b, k, _ = agent_pose.shape
        # Rows last, as long as everything is done number by number: a CPU takes half the time.
        pose, motion, size = (v.permute(2, 1, 0).contiguous() for v in (agent_pose, agent_motion, agent_size))
        speed, yaw_rate, acceleration = motion
        there, ego_motion = (agent_class > 0).t().contiguous(), ego_motion.t().contiguous()
        ego_speeds = ego_motion[:2]
        facing = turn(pose[2])
        known = acceleration > UNKNOWN_ACCELERATION
        ego = product(-torch.complex(pose[0], pose[1]), facing.conj())
        own = [
            speed,
            speed.clamp_max(1.0),
            (speed - TOWN).clamp(-TOWN, TOWN),
            speed.square().square(),
            yaw_rate,
            acceleration.masked_fill(~known, 0.0),
            known.float(),
            *size,
            facing.real,
            facing.imag,
            ego.real.clamp(-40, 40),
            ego.imag.clamp(-15, 15),
            *ego_speeds[:, None].expand(-1, k, -1),
            *ego_speeds[:, None].clamp_max(1.0).expand(-1, k, -1),
        ]
        ahead = self._ahead(pose, facing, speed, size[0], there, ego_speeds[1])
        # Most slots are empty: the network is asked of those that are not, as a list.
        here = there.flatten().nonzero()[:, 0]
        told = torch.cat([torch.stack(own) * self.own_scale, (ahead * self.others_scale).flatten(0, 1)])
        told = told.flatten(1).index_select(1, here)
        if self.conflicts is not None:
            conflicts = self.conflicts(torch.cat([pose, motion[:2]]), there, ego_motion[1:])
            told = torch.cat([told, conflicts.flatten(0, 1)])
        dtype = self.net.output.weight.dtype
        ids = map_ids.view(b, k, -1).transpose(0, 1).flatten(0, 1).index_select(0, here)
        inputs = torch.cat([one_hot(ids, UNKNOWN + 1, dtype).flatten(1), told.t().to(dtype)], 1)
        # Some more than there are, so that each is the same to the bit however many there are.
        out = self.net(F.pad(inputs, (0, 0, 0, EVEN - inputs.shape[0] % EVEN)))[: here.shape[0]].float()
        out = out.new_zeros(k * b, out.shape[1]).index_copy(0, here, out).view(k, b, -1).transpose(0, 1)
        return out[..., :-1], out[..., -1] * TURN_SCALE

    def _ahead(
        self, pose: Tensor, facing: Tensor, speed: Tensor, length: Tensor, there: Tensor, ego_speed: Tensor
    ) -> Tensor:
        """The next vehicle ahead in the lane to the left, in the agent's own lane, and in the lane to the right.

        pose: (3, K, B). facing: (K, B) complex. speed, length: (K, B). there: (K, B) bool. ego_speed: (B,).

        Returns:
            (3, 5, K, B): the gap [m], its inverse [1/m], the closing speed [m/s], and closing and own speed divided by
            the gap [1/s].
        """
        own = torch.stack([pose[0], pose[1], facing.real, facing.imag, length / 2, there, speed])
        own_x, own_y, own_c, own_s, own_half, _, own_speed = own
        ego = torch.cat([self.ego.expand(-1, -1, len(ego_speed)), ego_speed[None, None]])
        # The ego last: [j, i] of (K + 1, K, B) is j seen from i. Two that follow the same bend see each other along the
        # mean of their headings, whatever the bend: the chord of an arc.
        x, y, c, s, half, counts, others = torch.cat([own, ego], 1)[:, :, None]
        x, y, c, s = x - own_x, y - own_y, c + own_c, s + own_s
        straight = c.square() + s.square()
        unit = straight.clamp_min(0.01).rsqrt()
        distance, across = (x * c + y * s) * unit, (y * c - x * s) * unit
        # Agents whose headings differ by more than 120 degrees are not ahead. No agent is ahead of itself.
        free = torch.where((straight > 1.0) & (distance > 0) & (counts > 0), distance - half - own_half, FAR)
        lane = (across > self.lanes[0]) & (across < self.lanes[1])
        gap, leader = torch.where(lane, free, FAR).min(1)
        other = others[:, 0].gather(0, leader.flatten(0, 1)).view_as(leader)
        closing = torch.where(gap < FAR, own_speed - other, 0.0)
        gap = gap.clamp(0, FAR)
        near = (gap + NEAREST).reciprocal()
        return torch.stack([gap, near, closing, closing * near, own_speed * near], 1)

    def _around_the_mode(self, likely: Tensor) -> Tensor:
        """(B, K) [m/s^2]: the mean of the likeliest of (B, K, len(ACCELERATIONS)) and its neighbours."""
        best = likely.argmax(-1, keepdim=True)
        some = torch.cat([best - 1, best, best + 1], -1).clamp(0, len(ACCELERATIONS) - 1)
        weight = likely.gather(-1, some)
        return (weight * self.accelerations[some]).sum(-1) / weight.sum(-1)


def along_route(pose: Tensor, speed: Tensor, yaw_rate: Tensor, route: Tensor) -> Tensor:
    """Yaw rates (..., K) [rad/s] of agents that drive along a route or against it: such that they follow it; and of
    others those that they have.

    pose: (..., K, 3). speed, yaw_rate: (..., K) [m/s, rad/s]. route: (..., STATIONS + 1, 3) in the same frame.
    """
    near, headings = beside(route, pose[..., :2]), route[..., 2]
    bend = headings.diff(dim=-1, prepend=headings[..., :1]).gather(-1, near.which) / STATION
    off = pose[..., 2] - near.heading
    halves = torch.round(off / torch.pi)
    error = off - halves * torch.pi
    against = halves.remainder(2) == 1
    rate = torch.where(against, -bend, bend) * speed - INTO_LINE * error
    return torch.where((near.across.abs() < ROADWAY) & (error.abs() < ASKEW), rate, yaw_rate)


def advance(pose: Tensor, motion: Tensor, dt: float) -> Tensor:
    """Poses (..., 3) after `dt` [s] along arcs, at a speed [m/s] and yaw rate [rad/s] (..., 2 or more)."""
    turned = motion[..., 1] * dt
    ahead = place(pose) + product(turn(pose[..., 2]), torch.polar(motion[..., 0] * dt, turned / 2))
    return torch.cat([torch.view_as_real(ahead), wrap(pose[..., 2:] + turned[..., None])], -1)
