"""What is trained of the world model of cameras: how to see and how to paint, neither of which needs the other; and how
to find agents in what is seen, which needs the first.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from learned_sim_env.training.rssm.agent_losses import box_refiner_loss
from learned_sim_env.training.rssm.camera.moments import Moments
from learned_sim_env.training.rssm.camera.painter_examples import Examples, OwnPictures, examples, looked_at
from learned_sim_env.training.rssm.camera.painter_loss import paint, painter_loss
from learned_sim_env.training.rssm.camera.perception_loss import perception_loss, square_rays
from learned_sim_env.world_model.geometry import relative, sample_nearest
from learned_sim_env.world_model.rssm.camera.model import CameraWorldModel, as_bytes
from learned_sim_env.world_model.rssm.detector import LAGS, detection_loss, views_of_movers

# Shares of examples whose keyframe is one of the painter's own pictures, once it has painted for so many steps.
OWN_SHARE, OWN_FROM = 0.6, 300
OWN_KEPT = 1200
# So many of the moments to be seen are within this of an obstacle [m], which few are.
OBSTACLE_SHARE, OBSTACLE_REACH = 0.2, 35.0
# Moments that the detector looks back.
VIEWS = max(LAGS)
# Most steps between a keyframe and what is painted from it, in which the ego drives about as far as from one keyframe
# to the next; few are likelier than many.
LONGEST, LONGEST_OWN = 18, 16


class SeeingObjective:
    """Single moments: pictures and route to the view from above."""

    def __init__(self, model: CameraWorldModel, data: Mapping[str, Moments], batch_size: int = 16, seed: int = 0):
        self.model, self.data, self.batch_size, self.seed = model, data, batch_size, seed
        rays, origins = square_rays(model.rig.cameras)
        device = data["train"].device
        self.rays, self.origins = rays.to(device), origins.to(device)

        self.obstacles = {split: moments.near_obstacles(OBSTACLE_REACH) for split, moments in data.items()}

    def batch(self, split: str, step: int) -> np.ndarray:
        """Moments (B,) of a step; of training, as many near obstacles as it takes for them to be learned."""
        rng, rare = np.random.default_rng([self.seed, 1, step]), self.obstacles[split]
        moments = rng.integers(len(self.data[split]), size=self.batch_size)
        if split == "train" and len(rare):
            chosen = rng.random(self.batch_size) < OBSTACLE_SHARE
            moments = np.where(chosen, rare[rng.integers(len(rare), size=self.batch_size)], moments)
        return moments

    def loss(self, split: str, batch: np.ndarray) -> tuple[Tensor, dict[str, Tensor]]:
        """See `perception_loss`."""
        data = self.data[split]
        pictures, route, view = data.tensors(batch, "pictures", "route", "bev")
        percept = self.model.perception(pictures, route)
        with torch.autocast(view.device.type, enabled=False):
            return perception_loss(self.model.perception, percept, view, data.agents(batch), self.rays, self.origins)


class PaintingObjective:
    """Pairs of moments, from the true scenes and a keyframe to the later one's pictures."""

    def __init__(self, model: CameraWorldModel, data: Mapping[str, Moments], batch_size: int = 8, seed: int = 0):
        self.model, self.data, self.batch_size, self.seed = model, data, batch_size, seed
        self.own = OwnPictures(OWN_KEPT)

    def batch(self, split: str, step: int) -> Examples:
        """Examples of a step; of training, in part with keyframes that were painted before."""
        rng, data, b = np.random.default_rng([self.seed, 2, step]), self.data[split], self.batch_size
        own, memory, rig = None, self.model.rssm.memory, self.model.rig
        steps = 1 + (LONGEST * rng.random(b) ** 2).astype(np.int64)
        first, later = data.pairs(rng, b, steps)
        if split == "train" and step >= OWN_FROM and len(self.own) and rng.random() < OWN_SHARE:
            which = rng.integers(len(self.own), size=4 * b)
            steps = 1 + (LONGEST_OWN * rng.random(4 * b) ** 1.5).astype(np.int64)
            good = np.flatnonzero(data.later(self.own.moments[which], steps))[:b]
            if len(good) == b:
                which, steps = which[good], steps[good]
                first = self.own.moments[which]
                later = first + steps
                pictures, generations = self.own.pictures[which], self.own.generations[which]
                own = torch.from_numpy(pictures).to(data.device), torch.from_numpy(generations).to(data.device)
        slots, wrongly = self.model.config.scenery_slots, rng if split == "train" else None
        return examples(data, first, later, looked_at(data, rng, first), memory, rig, slots, own, wrongly)

    def loss(self, split: str, batch: Examples) -> tuple[Tensor, dict[str, Tensor]]:
        """See `painter_loss`; what was painted of training's moments is kept for later steps."""
        painting = paint(self.model, batch)
        if split == "train":
            pictures = as_bytes(painting.colours.detach())
            rng = np.random.default_rng([self.seed, 3, *batch.moments[:2]])
            self.own.add(rng, batch.moments, pictures.cpu().numpy(), batch.generation.cpu().numpy() + 1)
        return painter_loss(painting, batch)


class DetectingObjective:
    """The RSSM's detector of agents, in views as they are perceived, which are not quite those it was trained on."""

    def __init__(self, model: CameraWorldModel, data: Mapping[str, Moments], batch_size: int = 4, seed: int = 0):
        self.model, self.data, self.batch_size, self.seed = model, data, batch_size, seed

    def batch(self, split: str, step: int) -> np.ndarray:
        """Moments (B,) of a step, before which there are as many others as the detector looks back."""
        rng = np.random.default_rng([self.seed, 4, step])
        _, last = self.data[split].pairs(rng, self.batch_size, np.full(self.batch_size, VIEWS))
        return last

    def loss(self, split: str, batch: np.ndarray) -> tuple[Tensor, dict[str, Tensor]]:
        """See `detection_loss` and `box_refiner_loss`."""
        data, detector, bev = self.data[split], self.model.rssm.detector, self.model.contract.bev
        moments = batch[:, None] - np.array([0, *LAGS])
        views = self._perceived(data, moments)
        (ego,) = data.tensors(moments, "ego_pose")
        where = relative(ego[:, 1:], ego[:, :1]).float()
        pose, motion, size = data.movers(batch, self.model.contract.dt)
        ids = data.tensors(batch, "agent_ids")[0][:, : pose.shape[1]]
        # Whom no camera shows now may have been shown by the earliest.
        shown = self._shown(pose) | self._shown(relative(pose, where[:, -1:]))
        row, column = bev.pixels(pose)
        shown &= (ids >= 0) & (row > -0.5) & (row < bev.height - 0.5) & (column > -0.5) & (column < bev.width - 0.5)
        with torch.autocast(pose.device.type, enabled=False):
            outputs = detector(views[:, 0], views[:, 1:], where)
            found = detection_loss(detector, outputs, pose, motion, size, shown)
            true, movers = torch.cat([pose, motion, size], -1), views_of_movers(views[:, 0], views[:, 1:], where)
            close = box_refiner_loss(detector.close_look, true, shown, *movers)
        return found + close, {"found": found.detach(), "close": close.detach()}

    def _shown(self, pose: Tensor) -> Tensor:
        """Whether a camera shows the places of poses (B, N, 3) in the ego frame: bool."""
        seen, inside = sample_nearest(
            self.model.perception.seen.expand(len(pose), -1, -1), pose[..., :2], self.model.contract.bev
        )
        return seen & inside

    @torch.no_grad()
    def _perceived(self, data: Moments, moments: np.ndarray) -> Tensor:
        """Views (B, T, H, W) uint8 of moments (B, T)."""
        pictures, route = data.tensors(moments.reshape(-1), "pictures", "route")
        views = self.model.with_ego(self.model.perception(pictures, route).view())
        return views.unflatten(0, moments.shape)
