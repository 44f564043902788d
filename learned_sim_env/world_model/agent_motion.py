"""How other road users move: a clock step at a time, the acceleration drawn from what others did in such a place.

Of two vehicles that look alike one pulls away and the other waits; halfway between them, neither is foreseen. So the
network gives a distribution over accelerations, and the one that was drawn is in the state: who has begun to pull away
goes on with it. (As sets of motion tokens in MotionLM, arXiv 2309.16534, with a step's acceleration as the token.)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.world_model.agents import EGO_SIZE, UNKNOWN_ACCELERATION
from learned_sim_env.world_model.geometry import place, points_from, turn, wrap
from learned_sim_env.world_model.layers import MLP, drawn, one_hot, tempered
from learned_sim_env.world_model.map_memory import UNKNOWN

# [m/s^2] Accelerations to choose from.
ACCELERATIONS = (
    *(-10.0, -7.0, -5.0, -3.5, -2.5, -1.6, -0.9, -0.4, -0.1),
    *(0.1, 0.4, 0.8, 1.2, 1.6, 2.0, 2.6, 3.6),
)
# Places looked up in the remembered map, in the frame of an agent [m]: what lies ahead decides how it will steer.
LOOK_AHEAD = [(x, y) for x in (8.0, 18.0) for y in (-3.5, 0.0, 3.5)]
LOOK_AHEAD += [(4.0, -1.9), (4.0, 0.0), (4.0, 1.9), (12.0, 0.0), (26.0, 0.0)]
# [m] Halves of a lane, and how far the lanes beside it reach.
LANE, BESIDE = 1.7, 5.4
# [m] Nobody ahead counts as somebody that far away.
FAR = 45.0
# [rad/s] What a network output of 1 changes the yaw rate by; [m/s] the speed of a town's traffic.
TURN_SCALE, TOWN = 0.2, 8.3
# [m] Nobody is nearer than this, by whom others' distances are told.
NEAREST = 2.0


class AgentMotion(nn.Module):
    """One clock step of every agent, from its motion, the map before it, the ego and whoever is ahead of it."""

    def __init__(self, dt: float, hidden: tuple[int, ...] = (64, 48)):
        super().__init__()
        self.dt = dt
        self.look_ahead: Tensor
        self.register_buffer("look_ahead", torch.tensor(LOOK_AHEAD), persistent=False)
        self.accelerations: Tensor
        self.register_buffer("accelerations", torch.tensor(ACCELERATIONS), persistent=False)
        self.own_scale: Tensor
        scale = (0.1, 1, 1 / TOWN, TOWN**-4, 1 / TURN_SCALE, 0.5, 1, 0.2, 0.5, 1, 1, 0.05, 0.2, 0.1, 0.1, 1, 1)
        self.register_buffer("own_scale", torch.tensor(scale), persistent=False)
        self.others_scale: Tensor
        self.register_buffer("others_scale", torch.tensor((0.05, 4.0, 0.2, 1.0, 1.0)), persistent=False)
        self.lanes: Tensor  # (2, 3, 1) from where to where they reach, left, own, right [m]
        lanes = torch.tensor([[LANE, -LANE, -BESIDE], [BESIDE, LANE, -LANE]])
        self.register_buffer("lanes", lanes[..., None], persistent=False)
        inputs = len(LOOK_AHEAD) * (UNKNOWN + 1) + len(self.own_scale) + 3 * len(self.others_scale)
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
        ego_speeds: Tensor,
        map_ids: Tensor,
        uniforms: Tensor | None = None,
        temperature: float = 1.0,
    ) -> tuple[Tensor, Tensor]:
        """Poses and motions after a step, shapes as in `agents`.

        ego_speeds: (B, 2) [m/s], some steps ago and now: where the ego has just set off, others do as well.
        map_ids: (B, K * P) uint8, the map at `places`. uniforms: (B, K) at which the distributions of accelerations are
        inverted; None takes what is likeliest.
        """
        logits, turning = self.guesses(agent_pose, agent_motion, agent_size, agent_class, ego_speeds, map_ids)
        likely = logits.softmax(-1)
        if uniforms is None or temperature == 0:
            acceleration = self._around_the_mode(likely)
        else:
            acceleration = self.accelerations[drawn(tempered(likely, temperature), uniforms)]
        before = agent_motion[..., 0]
        speed, yaw_rate = (before + acceleration * self.dt).clamp_min(0.0), agent_motion[..., 1] + turning
        motion = torch.stack([speed, yaw_rate, (speed - before) / self.dt], -1)
        return advance(agent_pose, motion, self.dt), motion

    def guesses(
        self,
        agent_pose: Tensor,
        agent_motion: Tensor,
        agent_size: Tensor,
        agent_class: Tensor,
        ego_speeds: Tensor,
        map_ids: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Logits (B, K, len(ACCELERATIONS)) of the accelerations, and changes of the yaw rate (B, K) [rad/s], float32.

        Arguments as for `forward`.
        """
        b, k, _ = agent_pose.shape
        facing = turn(agent_pose[..., 2])
        speed, yaw_rate, acceleration = agent_motion.unbind(-1)
        known = acceleration > UNKNOWN_ACCELERATION
        ego = torch.view_as_real(-place(agent_pose) * facing.conj())
        own = [
            speed,
            speed.clamp_max(1.0),
            (speed - TOWN).clamp(-TOWN, TOWN),
            speed.square().square(),
            yaw_rate,
            acceleration.masked_fill(~known, 0.0),
            known.float(),
            *agent_size.unbind(-1),
            facing.real,
            facing.imag,
            ego[..., 0].clamp(-40, 40),
            ego[..., 1].clamp(-15, 15),
            *ego_speeds[..., None].expand(-1, -1, k).unbind(1),
            *ego_speeds[..., None].clamp_max(1.0).expand(-1, -1, k).unbind(1),
        ]
        ahead = self._ahead(agent_pose, facing, speed, agent_size[..., 0], agent_class > 0, ego_speeds[:, 1:])
        facts = torch.cat([torch.stack(own, -1) * self.own_scale, (ahead * self.others_scale).flatten(2)], -1)
        dtype = self.net.output.weight.dtype
        seen = one_hot(map_ids.view(b, k, -1), UNKNOWN + 1, dtype).flatten(2)
        out = self.net(torch.cat([seen, facts.to(dtype)], -1)).float()
        return out[..., :-1], out[..., -1] * TURN_SCALE

    def _ahead(
        self, pose: Tensor, facing: Tensor, speed: Tensor, length: Tensor, there: Tensor, ego_speed: Tensor
    ) -> Tensor:
        """Who is next ahead in the lane to the left, in one's own, and in the one to the right.

        pose: (B, K, 3). facing: (B, K) complex. speed, length: (B, K). there: (B, K) bool. ego_speed: (B, 1).

        Returns:
            (B, K, 3, 5): the gap [m], its inverse [1/m], how fast it closes [m/s], both of these by the gap [1/s].
        """
        k = pose.shape[1]
        # The ego last: [i, j] of (B, K, K + 1) is j seen from i. Two that follow the same bend see each other along
        # the mean of their headings, whatever the bend: the chord of an arc.
        own_x, own_y, own_c, own_s = (v[:, :, None] for v in (pose[..., 0], pose[..., 1], facing.real, facing.imag))
        x, y, s = (F.pad(v, (0, 1))[:, None] for v in (pose[..., 0], pose[..., 1], facing.imag))
        c = F.pad(facing.real, (0, 1), value=1.0)[:, None]
        x, y, c, s = x - own_x, y - own_y, c + own_c, s + own_s
        straight = c.square() + s.square()
        unit = straight.clamp_min(0.01).rsqrt()
        distance, across = (x * c + y * s) * unit, (y * c - x * s) * unit
        lengths = length[:, :, None] + F.pad(length, (0, 1), value=EGO_SIZE[0])[:, None]
        # Whose headings differ by more than 120 degrees drives elsewhere. Nobody is ahead of itself.
        counts = (straight > 1.0) & (distance > 0) & F.pad(there, (0, 1), value=True)[:, None]
        aside = across[:, :, None]
        lane = (aside > self.lanes[0]) & (aside < self.lanes[1]) & counts[:, :, None]
        gap, who = torch.where(lane, (distance - lengths / 2)[:, :, None], FAR).min(-1)
        others = torch.cat([speed, ego_speed], 1)[:, None].expand(-1, k, -1).gather(2, who)
        own = speed[..., None]
        closing = torch.where(gap < FAR, own - others, 0.0)
        gap = gap.clamp(0, FAR)
        near = (gap + NEAREST).reciprocal()
        return torch.stack([gap, near, closing, closing * near, own * near], -1)

    def _around_the_mode(self, likely: Tensor) -> Tensor:
        """(B, K) [m/s^2]: the mean of the likeliest of (B, K, len(ACCELERATIONS)) and its neighbours."""
        best = likely.argmax(-1, keepdim=True)
        some = torch.cat([best - 1, best, best + 1], -1).clamp(0, len(ACCELERATIONS) - 1)
        weight = likely.gather(-1, some)
        return (weight * self.accelerations[some]).sum(-1) / weight.sum(-1)


def advance(pose: Tensor, motion: Tensor, dt: float) -> Tensor:
    """Poses (..., 3) after `dt` [s] along arcs, at a speed [m/s] and yaw rate [rad/s] (..., 2 or more)."""
    turned = motion[..., 1] * dt
    ahead = place(pose) + turn(pose[..., 2]) * torch.polar(motion[..., 0] * dt, turned / 2)
    return torch.cat([torch.view_as_real(ahead), wrap(pose[..., 2:] + turned[..., None])], -1)
