"""Refinement of detected boxes: their exact place, motion and size.

The views are sampled again along the box's own path, in the frame of the box, so that the network only has to predict
the errors of the box: as the second stage of Faster R-CNN (arXiv 1506.01497), over time. Road users are a few pixels
large, and half a metre a second is a tenth of a pixel between successive views.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from learned_sim_env.spec import BevSpec
from learned_sim_env.world_model.geometry import compose, points_from, relative, sample_bilinear
from learned_sim_env.world_model.layers import MLP
from learned_sim_env.world_model.protocol import State
from learned_sim_env.world_model.rssm.agents.motion import advance

# Errors of a box: of its place (2) and heading in its own frame, speed, yaw rate, length and width. The values are what
# an output of 1 means.
ERRORS = (0.5, 0.3, 0.1, 1.0, 0.1, 0.3, 0.15)  # [m, m, rad, m/s, rad/s, m, m]
# Where views are read, in the frame of the box [m].
HALF_LENGTH, HALF_WIDTH, APART = 4.5, 2.25, 0.5
# Times that a box is refined.
REFINEMENTS = 2


class BoxRefiner(nn.Module):
    """Corrects boxes by `views` successive views, the latest first."""

    def __init__(self, bev: BevSpec, dt: float, views: int, hidden: tuple[int, ...] = (256, 128)):
        super().__init__()
        self.bev, self.dt = bev, dt
        grid = torch.cartesian_prod(
            torch.arange(-HALF_LENGTH, HALF_LENGTH + 0.01, APART), torch.arange(-HALF_WIDTH, HALF_WIDTH + 0.01, APART)
        )
        self.grid: Tensor
        self.register_buffer("grid", grid, persistent=False)
        self.scale: Tensor
        self.register_buffer("scale", torch.tensor(ERRORS), persistent=False)
        self.net = MLP(2 * views * len(grid) + 6, hidden, len(ERRORS))
        nn.init.zeros_(self.net.output.weight)
        nn.init.zeros_(self.net.output.bias)

    def forward(self, boxes: Tensor, movers: Tensor, frames: Tensor) -> Tensor:
        """How far boxes are off, (N, 7): see `ERRORS`.

        Args:
            boxes: (N, 7) x, y, heading in the present ego frame, speed, yaw rate, length, width.
            movers: (N, V, H, W) float32, 1 where a mover was seen; the present view first, then ever earlier ones.
            frames: (N, V, 3) of those views' egos in the present ego frame.
        """
        sampled = []
        for i in range(movers.shape[1]):
            # Back along its way.
            then = advance(boxes[:, :3], boxes[:, 3:5], -i * self.dt)
            places = points_from(self.grid, relative(then, frames[:, i]))
            # The second channel tells places without a mover from places beyond the view.
            view = torch.stack([movers[:, i], torch.ones_like(movers[:, i])], 1)
            sampled.append(sample_bilinear(view, places, self.bev).flatten(1))
        speed, yaw_rate, length, width = boxes[:, 3:].unbind(-1)
        heading = boxes[:, 2]
        facts = [speed / 10, yaw_rate, length / 5, width / 2, heading.cos(), heading.sin()]
        return self.net(torch.cat([*sampled, torch.stack(facts, -1)], -1)).float() * self.scale

    def corrected(self, agents: State, movers: Tensor, frames: Tensor) -> State:
        """Agents as in `agents.boxes`, with refined poses, motions and sizes.

        movers: (B, V, H, W) and frames: (B, V, 3) as for `forward`, one a row.
        """
        row, slot = (agents["agent_class"] > 0).nonzero(as_tuple=True)
        pose, motion, size = (agents[key][row, slot] for key in ("agent_pose", "agent_motion", "agent_size"))
        boxes = torch.cat([pose, motion[:, :2], size], -1)
        for _ in range(REFINEMENTS if len(row) else 0):
            boxes = corrected(boxes, self(boxes, movers[row], frames[row]))
        pose, moves, size = boxes.split([3, 2, 2], -1)
        found = {"agent_pose": pose, "agent_motion": torch.cat([moves, motion[:, 2:]], -1), "agent_size": size}
        return {**agents, **{key: agents[key].index_put((row, slot), values) for key, values in found.items()}}


def corrected(boxes: Tensor, errors: Tensor) -> Tensor:
    """Boxes (N, 7) without `errors` (N, 7)."""
    pose, others = compose(boxes[:, :3], errors[:, :3]), boxes[:, 3:] + errors[:, 3:]
    speed, yaw_rate, size = others.split([1, 1, 2], -1)
    return torch.cat([pose, speed.clamp_min(0), yaw_rate, size.clamp_min(0.2)], -1)


def errors_of(boxes: Tensor, true: Tensor) -> Tensor:
    """(N, 7) by which `corrected` would make `boxes` (N, 7) the true ones."""
    return torch.cat([relative(true[:, :3], boxes[:, :3]), true[:, 3:] - boxes[:, 3:]], -1)
