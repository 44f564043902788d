"""How to see, learned from single moments."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from learned_sim_env.training.rssm.camera.augmentation import Shown, changed
from learned_sim_env.training.rssm.camera.moments import Moments
from learned_sim_env.training.rssm.camera.perception_loss import perception_loss, rig_of_squares
from learned_sim_env.training.rssm.camera.sightings import Squares
from learned_sim_env.world_model.rssm.camera.model import CameraWorldModel
from learned_sim_env.world_model.rssm.camera.perception.perception import STRIDE

# So many of the moments to be seen are within this of an obstacle [m], which few are.
OBSTACLE_SHARE, OBSTACLE_REACH = 0.2, 35.0


class SeeingObjective:
    """Single moments: pictures and route to the view from above, and to what stands around the ego."""

    def __init__(self, model: CameraWorldModel, data: Mapping[str, Moments], batch_size: int = 16, seed: int = 0):
        self.model, self.data, self.batch_size, self.seed = model, data, batch_size, seed
        cameras = model.rig.cameras
        device = data["train"].device
        self.rig = rig_of_squares(cameras).to(device)
        self.squares = Squares.of(cameras, STRIDE, device)
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
        """See `perception_loss`. Moments of training are shown otherwise than they were, as they themselves decide."""
        data, perception = self.data[split], self.model.perception
        pictures, route, view = data.tensors(batch, "pictures", "route", "bev")
        shown = Shown(pictures, route, view, data.agents(batch), data.scenery(batch))
        if split == "train":
            shown = changed(shown, self.model.rig.cameras, perception.bev, [self.seed, *batch.tolist()])
        percept = perception(shown.pictures, shown.route)
        with torch.autocast(view.device.type, enabled=False):
            return perception_loss(perception, percept, shown.view, shown.agents, shown.scenery, self.rig, self.squares)
