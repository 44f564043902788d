"""What is trained last: the ego's own motion, alone."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch

from learned_sim_env.training.batches import WindowSampler
from learned_sim_env.training.config import TrainConfig
from learned_sim_env.training.ego_path import settle
from learned_sim_env.training.losses import path_loss
from learned_sim_env.world_model.ego_path import EgoPath

CONFIG = TrainConfig(path_batch=32, path_steps=60)


def test_the_ego_is_better_foreseen_afterwards(packed):
    torch.manual_seed(0)
    windows, path = WindowSampler(packed.split("train"), 5, 12, 0.1), EgoPath(0.1)
    # As it begins, it says that motion goes on, which is true of the drawn episodes.
    torch.nn.init.normal_(path.dynamics.output.weight, std=0.3)
    seen = windows.sample_paths(200, 0, 0)
    again, before = copy.deepcopy(path), path_loss(path, seen).item()
    settle(path, windows, CONFIG)
    assert path_loss(path, seen).item() < 0.5 * before
    settle(again, windows, CONFIG)
    assert all(torch.equal(a, b) for a, b in zip(path.parameters(), again.parameters())), "chance comes from the seed"


def test_none_of_it_may_be_wanted(packed):
    path = EgoPath(0.1)
    before = copy.deepcopy(path.state_dict())
    settle(path, WindowSampler(packed.split("train"), 5, 12, 0.1), replace(CONFIG, path_steps=0))
    assert all(torch.equal(before[name], value) for name, value in path.state_dict().items())
