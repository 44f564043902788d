"""How to paint, learned from pairs of moments."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from learned_sim_env.training.rssm.camera.moments import Moments
from learned_sim_env.training.rssm.camera.painter_examples import Examples, OwnPictures, examples, looked_at
from learned_sim_env.training.rssm.camera.painter_loss import paint, painter_loss
from learned_sim_env.world_model.rssm.camera.model import CameraWorldModel
from learned_sim_env.world_model.rssm.camera.painting.view import as_bytes

# Shares of examples whose keyframe is one of the painter's own pictures, once it has painted for so many steps.
OWN_SHARE, OWN_FROM = 0.6, 300
OWN_KEPT = 1200
# Most steps between a keyframe and what is painted from it, in which the ego drives about as far as from one keyframe
# to the next; few are likelier than many.
LONGEST, LONGEST_OWN = 18, 16


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
