"""How to find agents in what is seen, learned once there is something to be seen."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from learned_sim_env.training.rssm.agent_losses import box_refiner_loss
from learned_sim_env.training.rssm.camera.moments import Moments
from learned_sim_env.world_model.geometry import relative, sample_nearest
from learned_sim_env.world_model.rssm.agents.detector import LAGS, detection_loss, views_of_movers
from learned_sim_env.world_model.rssm.camera.model import CameraWorldModel

# Moments that the detector looks back.
VIEWS = max(LAGS)


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
