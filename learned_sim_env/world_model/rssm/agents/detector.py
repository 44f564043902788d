"""Boxes of road users from a few successive views: what the posterior knows of agents.

A view is cut into cells; each says whether an agent's middle lies in it, and where, how large and how fast that agent
is (as CenterNet, arXiv 1904.07850, at one scale). Earlier views are given moved into the present ego frame, so that
what still moves between them is the agent's own motion. The boxes are then refined, see `box_refiner`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.spec import BevSpec, SemanticClass
from learned_sim_env.world_model.geometry import points_from, relative, sample_bilinear, sample_nearest, view_points
from learned_sim_env.world_model.rssm.agents.box_refiner import BoxRefiner
from learned_sim_env.world_model.rssm.agents.boxes import UNKNOWN_ACCELERATION

# Earlier views used: this many steps ago.
LAGS = (1, 2, 3, 4)
STRIDE = 2
# Outputs of a cell: score, place (2) in cells, cos and sin of the heading, speed / 10, yaw rate / 0.2, log size (2).
OUTPUTS = 9
SIZE_SCALE = (4.6, 1.9)  # [m] a common car
THRESHOLD = 0.4


class Detector(nn.Module):
    """Views to boxes."""

    def __init__(self, bev: BevSpec, dt: float, width: int = 48):
        super().__init__()
        self.bev = bev
        # The attribute keeps the name that it has in the tensors of checkpoints.
        self.close_look = BoxRefiner(bev, dt, 1 + len(LAGS))
        self.cell = STRIDE * bev.metres_per_pixel  # [m]
        self.points: Tensor
        self.register_buffer("points", view_points(bev), persistent=False)
        self.stem = nn.Conv2d(6 + len(LAGS), width, 5, STRIDE, 2)
        self.blocks = nn.ModuleList(nn.Conv2d(width, width, 3, padding=d, dilation=d) for d in (1, 2, 1, 2))
        self.head = nn.Conv2d(width, OUTPUTS, 1)
        assert self.head.bias is not None
        nn.init.constant_(self.head.bias[:1], -4.0)

    def forward(self, semantic: Tensor, earlier: Tensor, earlier_pose: Tensor) -> Tensor:
        """Raw outputs (B, OUTPUTS, H / 2, W / 2).

        Args:
            semantic: (B, H, W) uint8, the present view.
            earlier: (B, len(LAGS), H, W) uint8.
            earlier_pose: (B, len(LAGS), 3) of those views' egos in the present ego frame.
        """
        movers = [self._moved(earlier[:, i], earlier_pose[:, i]) for i in range(len(LAGS))]
        groups = [(6, 7), (7, 7), (5, 5), (1, 4), (2, 2), (8, 8)]
        now = [((semantic >= low) & (semantic <= high)) for low, high in groups]
        x = torch.cat([torch.stack(now, 1), torch.stack(movers, 1)], 1).to(self.stem.weight.dtype)
        x = F.silu(self.stem(x))
        for block in self.blocks:
            x = x + F.silu(block(x))
        return self.head(x).float()

    def _moved(self, semantic: Tensor, pose: Tensor) -> Tensor:
        """Where movers were in an earlier view, drawn in the present one: (B, H, W) float32 in [0, 1]."""
        bev = self.bev
        # The earlier ego's frame from the present one: the inverse motion.
        back = relative(torch.zeros_like(pose), pose)
        # Between pixels: a tenth of a pixel in a step is the difference between driving and standing.
        moved = sample_bilinear(is_mover(semantic)[:, None].float(), points_from(self.points, back), bev)
        return moved.view(-1, bev.height, bev.width)

    def centres(self, device: torch.device | str) -> Tensor:
        """Ego-frame places of the cells' middles (H / 2, W / 2, 2) [m]."""
        points = self.points.view(self.bev.height, self.bev.width, 2).to(device)
        return points[::STRIDE, ::STRIDE]

    def detect(
        self, semantic: Tensor, views: Tensor, view_pose: Tensor, anchor: Tensor, seen: Tensor, slots: int
    ) -> dict[str, Tensor]:
        """The `slots` best agents in a view (B, H, W) uint8 that follows others; keys and shapes as in `agents.boxes`.

        views, view_pose: (B, max(LAGS), H, W) uint8 and (B, max(LAGS), 3), the latest last. anchor: (B, 3), the present
        ego in the frame of those poses. seen: (B,) bool, whether there were any; else nothing moved so far.
        """
        earlier = torch.stack([views[:, -lag] for lag in LAGS], 1)
        pose = relative(torch.stack([view_pose[:, -lag] for lag in LAGS], 1), anchor[:, None])
        earlier = torch.where(seen[:, None, None, None], earlier, semantic[:, None])
        pose = torch.where(seen[:, None, None], pose, 0)
        return self.boxes(self(semantic, earlier, pose), semantic, earlier, pose, slots)

    def boxes(
        self, outputs: Tensor, semantic: Tensor, earlier: Tensor, earlier_pose: Tensor, slots: int
    ) -> dict[str, Tensor]:
        """The `slots` best agents of `forward`'s outputs, refined; keys and shapes as in `agents.boxes`.

        semantic, earlier, earlier_pose: as for `forward`.
        """
        b, _, height, width = outputs.shape
        score = outputs[:, 0].sigmoid()
        # An agent shows in several cells; the best of its neighbourhood stands for it.
        peak = score == F.max_pool2d(score[:, None], 3, 1, 1)[:, 0]
        value, index = torch.where(peak, score, 0.0).flatten(1).topk(slots, -1)
        found = outputs.flatten(2).gather(2, index[:, None].expand(-1, OUTPUTS, -1)).transpose(1, 2)
        centre = self.centres(outputs.device).reshape(-1, 2)[index]
        place = centre + found[..., 1:3].clamp(-1.5, 1.5) * self.cell
        heading = torch.atan2(found[..., 4], found[..., 3])
        size = found[..., 7:9].clamp(-1, 1.2).exp() * found.new_tensor(SIZE_SCALE)
        there = value > THRESHOLD
        pedestrian = sample_nearest(semantic, place, self.bev)[0] == SemanticClass.PEDESTRIAN
        classes = torch.where(pedestrian, int(SemanticClass.PEDESTRIAN), int(SemanticClass.VEHICLE))
        agents = {
            "agent_pose": torch.cat([place, heading[..., None]], -1),
            "agent_motion": torch.stack(
                [
                    (found[..., 5] * 10).clamp_min(0),
                    found[..., 6] * 0.2,
                    torch.full_like(value, UNKNOWN_ACCELERATION),
                ],
                -1,
            ),
            "agent_size": size,
            "agent_class": torch.where(there, classes, 0).to(torch.uint8),
        }
        return self.close_look.corrected(agents, *views_of_movers(semantic, earlier, earlier_pose))


def is_mover(semantic: Tensor) -> Tensor:
    """Pixels, given as class ids, that show a road user other than the ego."""
    return (semantic == SemanticClass.VEHICLE) | (semantic == SemanticClass.PEDESTRIAN)


def views_of_movers(semantic: Tensor, earlier: Tensor, earlier_pose: Tensor) -> tuple[Tensor, Tensor]:
    """What `BoxRefiner` reads, from what `Detector` does: movers (B, V, H, W) float32 and frames (B, V, 3)."""
    views = torch.cat([semantic[:, None], earlier], 1)
    return is_mover(views).float(), F.pad(earlier_pose, (0, 0, 1, 0))


def detection_loss(
    detector: Detector, outputs: Tensor, pose: Tensor, motion: Tensor, size: Tensor, seen: Tensor
) -> Tensor:
    """Loss of raw outputs against true agents.

    Args:
        outputs: (B, OUTPUTS, h, w).
        pose: (B, N, 3) in the ego frame. motion: (B, N, 2) speed, yaw rate. size: (B, N, 2). seen: (B, N) bool.
    """
    b, _, height, width = outputs.shape
    first = detector.centres(outputs.device)[0, 0]
    at = (first - pose[..., :2]) / detector.cell
    cell = at.round().long()
    seen = seen & (cell >= 0).all(-1) & (cell[..., 0] < height) & (cell[..., 1] < width)
    row, slot = seen.nonzero(as_tuple=True)
    r, c = cell[row, slot].unbind(-1)
    target = torch.zeros(b, height, width, device=outputs.device)
    target[row, r, c] = 1.0
    # A neighbour of a middle is neither right nor wrong.
    near = F.max_pool2d(target[:, None], 3, 1, 1)[:, 0]
    weight = torch.where(target > 0, 1.0, torch.where(near > 0, 0.0, 1.0))
    score = outputs[:, 0]
    focal = (score.sigmoid() - target).abs() ** 2
    loss = (F.binary_cross_entropy_with_logits(score, target, reduction="none") * weight * focal).sum() / max(b, 1)
    if len(row):
        found = outputs[row, :, r, c]
        p, m, s = pose[row, slot], motion[row, slot], size[row, slot]
        offset = (p[:, :2] - detector.centres(outputs.device)[r, c]) / detector.cell
        wanted = torch.cat(
            [
                offset,
                torch.cos(p[:, 2:]),
                torch.sin(p[:, 2:]),
                m[:, :1] / 10,
                m[:, 1:] / 0.2,
                (s / s.new_tensor(SIZE_SCALE)).log(),
            ],
            -1,
        )
        loss = loss + F.smooth_l1_loss(found[:, 1:], wanted, beta=0.1, reduction="sum") / b
    return loss
