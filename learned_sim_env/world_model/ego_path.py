"""The ego's own motion: low-dimensional, observed and nearly deterministic, so it has its own path in the state.

A network predicts the changes of speed and turn, and the slip, from the last motions and actions; the motion (dx, dy,
dyaw in the ego frame before the step) follows by kinematics. It is trained over many steps on its own predictions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from learned_sim_env.world_model.layers import MLP

MOTION_HISTORY = 4
ACTION_HISTORY = 5
# Typical sizes of dx, dy [m], dyaw [rad] and speed [m/s], and of their change in a step: what networks see is about 1.
MOTION_SCALE = (1.0, 0.1, 0.1)
MOTION_CHANGE = (0.05, 0.02, 0.02)
SPEED_SCALE, SPEED_CHANGE = 10.0, 0.5
# Inputs that are products of others.
PRODUCTS = 16
# [rad] Approximate angle of a car's wheels at a steer of 1, for the turn of a bicycle model.
WHEEL = 0.7
# [m/s] Below this a car rolls to a stop, with dynamics of its own.
SLOW = 2.0


class EgoPath(nn.Module):
    """Next motion and speed of the ego; and the motion behind two successive real observations."""

    def __init__(self, dt: float, hidden: tuple[int, ...] = (128, 128)):
        super().__init__()
        self.dt = dt
        self.scale: Tensor
        self.change: Tensor
        self.register_buffer("scale", torch.tensor(MOTION_SCALE), persistent=False)
        self.register_buffer("change", torch.tensor((*MOTION_CHANGE, SPEED_CHANGE)), persistent=False)
        # [m/s] The highest speed in the training data: it belongs to what was learned, so it is stored.
        self.top_speed: Tensor
        self.register_buffer("top_speed", torch.tensor(torch.inf))
        inputs = 3 * MOTION_HISTORY + 2 * ACTION_HISTORY + 1 + PRODUCTS
        self.dynamics = MLP(inputs, hidden, 4)
        # Between two observations only the slip is unknown: the turn is observed, the distance nearly so.
        self.inverse = MLP(inputs + 2, (96,), 2)
        for head in (self.dynamics.output, self.inverse.output):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def imagine(self, motions: Tensor, actions: Tensor, speed: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Predict one step.

        Args:
            motions: (B, 4, 3) the last motions, newest last.
            actions: (B, 5, 2) the last actions, newest last.
            speed: (B,) [m/s] now.
            action: (B, 2) to be taken now.

        Returns:
            motions, actions and speed after it; `motions[:, -1]` is the step's.
        """
        actions = torch.cat([actions[:, 1:], action[:, None]], 1)
        # Errors of millimetres add up: never in reduced precision.
        with torch.autocast(motions.device.type, enabled=False):
            out = self.dynamics(self._inputs(motions, actions, speed)) * self.change
        # Forward only: no action of the contract drives backwards.
        later = torch.minimum((speed + out[:, 3]).clamp_min(0.0), self.top_speed)
        motion = self._motion(speed, later, motions[:, -1, 2] + out[:, 2], out[:, :2])
        return torch.cat([motions[:, 1:], motion[:, None]], 1), actions, later

    def observe(
        self, motions: Tensor, actions: Tensor, speed: Tensor, action: Tensor, ego: Tensor, seen: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Read the motion of a step off what was observed after it.

        Args:
            motions, actions, speed, action: as for `imagine`.
            ego: (B, 6) observed ego vectors, see `spec.EGO_FIELDS`.
            seen: (B,) bool, whether anything was observed before; else there was no step, and the present motion and
                action fill the history.

        Returns:
            motions and actions after it.
        """
        later = torch.cat([actions[:, 1:], action[:, None]], 1)
        actions = torch.where(seen[:, None, None], later, action[:, None])
        new_speed, dyaw = ego[:, 0], ego[:, 1] * self.dt
        speed = torch.where(seen, speed, new_speed)
        extra = torch.stack([new_speed / SPEED_SCALE, dyaw / MOTION_SCALE[2]], -1)
        with torch.autocast(motions.device.type, enabled=False):
            x = torch.cat([self._inputs(motions, actions, speed), extra], -1)
            slip = torch.where(seen[:, None], self.inverse(x) * self.change[:2], 0)
        motion = self._motion(speed, new_speed, dyaw, slip)[:, None]
        return torch.where(seen[:, None, None], torch.cat([motions[:, 1:], motion], 1), motion), actions

    def _motion(self, speed: Tensor, later: Tensor, dyaw: Tensor, slip: Tensor) -> Tensor:
        """(B, 3): an arc of length mean speed times dt that turns by dyaw, plus the slip of the wheels (B, 2) [m]."""
        along = (speed + later) * (self.dt / 2)
        place = torch.view_as_real(torch.polar(along, dyaw / 2)) + slip
        return torch.cat([place, dyaw[:, None]], -1)

    def _inputs(self, motions: Tensor, actions: Tensor, speed: Tensor) -> Tensor:
        speed = speed[:, None] / SPEED_SCALE
        steer, throttle_brake = actions[:, -2:].unbind(-1)
        # Products that occur in forces, which a small network would have to approximate: the turn of a bicycle model,
        # now and before, its slip angle, and terms that matter at low speed only.
        turning, yaw = speed * steer, motions[:, -1, 2:] / self.scale[2]
        slow = speed * (SPEED_SCALE / SLOW)
        products = [
            *(turning, speed * turning, turning * steer.abs(), throttle_brake.relu(), speed * yaw, speed * speed),
            speed * torch.tan(actions[:, -3:, 0] * WHEEL),
            (motions[:, -1, 1:2] / (motions[:, -1, :1].abs() + 0.05) * 5).clamp(-3, 3),
            *(slow.clamp_max(1), 1 / (1 + slow)),
        ]
        return torch.cat([(motions / self.scale).flatten(1), actions.flatten(1), speed, *products], -1)
