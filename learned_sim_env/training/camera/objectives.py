"""What is trained of the world model of cameras: how to see, and how to paint. Neither needs the other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from learned_sim_env.training.camera.moments import Moments
from learned_sim_env.training.camera.painter_examples import Examples, OwnPictures, examples, looked_at
from learned_sim_env.training.camera.painter_loss import paint, painter_loss
from learned_sim_env.training.camera.perception_loss import perception_loss, square_rays
from learned_sim_env.world_model.camera.model import CameraWorldModel, as_bytes, with_agents

# Shares of examples whose keyframe is one of the painter's own pictures, once it has painted for so many steps.
OWN_SHARE, OWN_FROM = 0.5, 300
OWN_KEPT = 1200
# Most steps between a keyframe and what is painted from it; few are likelier than many.
LONGEST, LONGEST_OWN = 30, 20


class SeeingObjective:
    """Single moments: pictures and route to the view from above."""

    def __init__(self, model: CameraWorldModel, data: Mapping[str, Moments], batch_size: int = 16, seed: int = 0):
        self.model, self.data, self.batch_size, self.seed = model, data, batch_size, seed
        self.rays, self.origins = square_rays(model.rig.cameras)

    def batch(self, split: str, step: int) -> np.ndarray:
        """Moments (B,) of a step."""
        return np.random.default_rng([self.seed, 1, step]).integers(len(self.data[split]), size=self.batch_size)

    def loss(self, split: str, batch: np.ndarray) -> tuple[Tensor, dict[str, Tensor]]:
        """See `perception_loss`."""
        data = self.data[split]
        pictures, route, view = data.tensors(batch, "pictures", "route", "semantic")
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
                own = torch.from_numpy(self.own.pictures[which]), torch.from_numpy(self.own.generations[which])
        return examples(data, first, later, looked_at(data, rng, first), memory, rig, own)

    def loss(self, split: str, batch: Examples) -> tuple[Tensor, dict[str, Tensor]]:
        """See `painter_loss`; what was painted of training's moments is kept for later steps."""
        painting = paint(self.model, batch)
        if split == "train":
            pictures = with_agents(as_bytes(painting.colours.detach()), batch.scenes.hits)
            rng = np.random.default_rng([self.seed, 3, *batch.moments[:2]])
            self.own.add(rng, batch.moments, pictures.numpy(), batch.keyframe.generation.numpy() + 1)
        return painter_loss(painting, batch)
