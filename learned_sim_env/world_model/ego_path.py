"""The ego's own motion: low-dimensional, observed and nearly deterministic, so it has its own path in the state.

A residual network predicts the next motion (dx, dy, dyaw in the ego frame before the step) and speed from the last
motions and actions; it is trained over many steps on its own predictions.
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


class EgoPath(nn.Module):
    """Next motion and speed of the ego; and the motion behind two successive real observations."""

    def __init__(self, dt: float, hidden: tuple[int, ...] = (192, 192)):
        super().__init__()
        self.dt = dt
        self.register_buffer("scale", torch.tensor(MOTION_SCALE), persistent=False)
        self.register_buffer("change", torch.tensor((*MOTION_CHANGE, SPEED_CHANGE)), persistent=False)
        inputs = 3 * MOTION_HISTORY + 2 * ACTION_HISTORY + 1
        self.dynamics = MLP(inputs, hidden, 4)
        # Two observations leave only the slip to be found: the turn is observed, the distance nearly.
        self.inverse = MLP(inputs + 2, (96,), 2)
        for head in (self.dynamics[-1], self.inverse[-1]):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def forward(self, motions: Tensor, actions: Tensor, speed: Tensor) -> tuple[Tensor, Tensor]:
        """Predict one step.

        Args:
            motions: (B, 4, 3) the last motions, newest last.
            actions: (B, 5, 2) the last actions, newest last: the one to be taken now.
            speed: (B,) [m/s] now.

        Returns:
            (B, 3) motion and (B,) speed after it.
        """
        # Millimetres add up: never in reduced precision.
        with torch.autocast(motions.device.type, enabled=False):
            out = self.dynamics(self._inputs(motions, actions, speed)) * self.change
        # Nothing in the data moves backwards.
        return motions[:, -1] + out[:, :3], (speed + out[:, 3]).clamp_min(0.0)

    def from_observations(
        self, motions: Tensor, actions: Tensor, speed: Tensor, new_speed: Tensor, yaw_rate: Tensor
    ) -> Tensor:
        """(B, 3): the motion of a step after which `new_speed` and `yaw_rate` (B,) were observed; else as `forward`."""
        dyaw = yaw_rate * self.dt
        x = torch.cat(
            [self._inputs(motions, actions, speed), new_speed[:, None] / SPEED_SCALE, dyaw[:, None] / MOTION_SCALE[2]],
            -1,
        )
        with torch.autocast(motions.device.type, enabled=False):
            slip = self.inverse(x) * self.change[:2]
        along = (speed + new_speed) / 2 * self.dt
        return torch.stack(
            [along * torch.cos(dyaw / 2) + slip[:, 0], along * torch.sin(dyaw / 2) + slip[:, 1], dyaw], -1
        )

    def _inputs(self, motions: Tensor, actions: Tensor, speed: Tensor) -> Tensor:
        return torch.cat([(motions / self.scale).flatten(1), actions.flatten(1), speed[:, None] / SPEED_SCALE], -1)
