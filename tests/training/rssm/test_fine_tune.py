"""What is trained last, by itself: the ego's own motion, that of others, and what follows."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from learned_sim_env.spec import CONTRACTS
from learned_sim_env.training.batches import WindowSampler
from learned_sim_env.training.ego_path import fine_tune_path, path_loss
from learned_sim_env.training.rssm.agent_losses import traffic_loss
from learned_sim_env.training.rssm.fine_tune import fine_tune_agents
from learned_sim_env.training.rssm.fine_tune_heads import fine_tune_heads, head_loss, imagined
from learned_sim_env.training.rssm.settings import RSSMSettings
from learned_sim_env.world_model.ego_path import EgoPath
from learned_sim_env.world_model.rssm.config import SIZES
from learned_sim_env.world_model.rssm.model import DrivingRSSM

SETTINGS = RSSMSettings(
    path_batch=32,
    path_steps=60,
    agent_batch=16,
    agent_steps=120,
    head_windows=128,
    head_steps=150,
    head_learning_rate=3e-3,
)


@pytest.fixture
def windows(packed) -> WindowSampler:
    return WindowSampler(packed.split("train"), 5, 12, 0.1)


@pytest.fixture
def fresh() -> DrivingRSSM:
    torch.manual_seed(0)
    return DrivingRSSM(SIZES["rssm-tiny"], CONTRACTS["driving"])


def test_the_ego_is_better_foreseen_afterwards(windows):
    torch.manual_seed(0)
    path = EgoPath(0.1)
    # As it begins, it says that motion goes on, which is true of the drawn episodes.
    torch.nn.init.normal_(path.dynamics.output.weight, std=0.3)
    seen = windows.sample_paths(200, 0, 0)
    again, before = copy.deepcopy(path), path_loss(path, seen).item()
    fine_tune_path(path, windows, SETTINGS, 0)
    assert path_loss(path, seen).item() < 0.5 * before
    fine_tune_path(again, windows, SETTINGS, 0)
    assert all(torch.equal(a, b) for a, b in zip(path.parameters(), again.parameters())), "chance comes from the seed"


@pytest.mark.slow
def test_others_are_better_foreseen_afterwards_and_nothing_else_is_touched(windows, fresh):
    seen = windows.sample_traffic(100, 0, 0)
    again, before = copy.deepcopy(fresh), copy.deepcopy(fresh.state_dict())
    # The other car keeps its speed and its heading: once that is learned, there is nothing to be surprised by.
    first = traffic_loss(fresh, seen).item()
    fine_tune_agents(fresh, windows, SETTINGS, 0)
    assert traffic_loss(fresh, seen).item() < 0.5 * first
    changed = {name for name, value in fresh.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all(name.startswith("agent_motion.") for name in changed)
    fine_tune_agents(again, windows, SETTINGS, 0)
    assert all(torch.equal(a, b) for a, b in zip(fresh.parameters(), again.parameters())), "chance comes from the seed"


@pytest.mark.slow
def test_what_follows_is_better_foreseen_afterwards_and_nothing_else_is_touched(windows, fresh):
    later = imagined(fresh, windows.sample(32, 5, 0), 0)
    again, before = copy.deepcopy(fresh), copy.deepcopy(fresh.state_dict())
    first = head_loss(fresh.heads, later).item()
    fine_tune_heads(fresh, windows, SETTINGS, 0)
    assert head_loss(fresh.heads, later).item() < 0.9 * first
    changed = {name for name, value in fresh.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all(name.startswith("heads.") for name in changed)
    assert fresh.training, "it is left as it was"
    fine_tune_heads(again, windows, SETTINGS, 0)
    assert all(torch.equal(a, b) for a, b in zip(fresh.parameters(), again.parameters())), "chance comes from the seed"


def test_lessons_are_of_moments_that_were_recorded(windows, fresh):
    batch = windows.sample(16, 0, 0)
    lessons = imagined(fresh, batch, 0)
    c = batch.context
    assert len(lessons.features) == batch.valid[:, c:].sum()
    assert torch.equal(lessons.events, batch.events[:, c:][batch.valid[:, c:]])
    place, view = lessons.errors.T
    assert (place >= 0).all(), "known of every moment"
    known = ~view.isnan()
    assert 0 < known.sum() < len(view) and (view[known] >= 0).all() and (view[known] <= 1).all()


def test_none_of_it_may_be_wanted(windows, fresh):
    before = copy.deepcopy(fresh.state_dict())
    settings = replace(SETTINGS, path_steps=0, agent_steps=0, head_steps=0)
    fine_tune_path(fresh.ego_path, windows, settings, 0)
    fine_tune_agents(fresh, windows, settings, 0)
    fine_tune_heads(fresh, windows, settings, 0)
    assert all(torch.equal(before[name], value) for name, value in fresh.state_dict().items())
