"""What these tests start from."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from learned_sim_env.imagination.inference import Inference
from learned_sim_env.imagination.rollout import Rollout
from learned_sim_env.imagination.starts import Starts
from tests.toy_model import ToyContexts


@pytest.fixture
def inference():
    return Inference(torch.device("cpu"))


@pytest.fixture
def rollout(inference):
    """Make a rollout of `model` whose rows stand at `contexts` (n,) with `seeds` (n,)."""

    def make(model, contexts, seeds, pictures=False, **settings):
        made = Rollout(model, len(contexts), inference, **settings)
        starts = Starts(model, ToyContexts(), inference, ("bev",) if pictures else ())
        made.start(np.arange(len(contexts)), starts.from_contexts(np.array(contexts)), np.array(seeds))
        return made

    return make
