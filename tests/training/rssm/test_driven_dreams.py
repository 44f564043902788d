"""Doubt where nothing can be compared with the truth is about whether a view could be one."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from learned_sim_env.spec import CONTRACTS, SemanticClass
from learned_sim_env.training.batches import WindowSampler
from learned_sim_env.training.rssm import fine_tune_heads
from learned_sim_env.training.rssm.driven_dreams import EVERY, driven_on, unit
from learned_sim_env.training.rssm.roads.assembly import with_roads
from learned_sim_env.training.rssm.settings import RSSMSettings
from learned_sim_env.world_model.rssm.config import SIZES
from learned_sim_env.world_model.rssm.heads import DOUBT_FLOOR
from learned_sim_env.world_model.rssm.model import OLDEST, DrivingRSSM
from learned_sim_env.world_model.rssm.roads.plan import BEGIN
from tests.winding_roads import library_of, winding_pieces


@pytest.fixture
def windows(packed) -> WindowSampler:
    return WindowSampler(packed.split("train"), 5, 12, 0.1)


@pytest.fixture(scope="module")
def road_model() -> DrivingRSSM:
    torch.manual_seed(0)
    model = DrivingRSSM(SIZES["rssm-tiny"], CONTRACTS["driving"])
    # Events are rare, so that drives last.
    model.heads.net.output.bias.data[-6:-2] = -20.0
    return with_roads(model, library_of(winding_pieces()))


def test_moments_are_those_that_cannot_be_compared_and_depend_on_the_seed_alone(windows, road_model):
    batch = windows.sample(3, 0, 0)
    features, shares = driven_on(road_model, batch, 0, steps=BEGIN + 2 * EVERY)
    assert features.shape == (len(shares), road_model.latent_size) and 0 < len(shares) <= 3 * 2
    assert ((shares >= 0) & (shares <= 1)).all()
    assert road_model.training, "it is left as it was"
    again = driven_on(road_model, batch, 0, steps=BEGIN + 2 * EVERY)
    assert torch.equal(features, again[0]) and torch.equal(shares, again[1])


def test_views_that_are_as_rare_among_real_ones_count_as_errors_that_are_as_rare():
    real = np.full((1000, 16, 16), SemanticClass.ROAD, np.uint8)
    errors = torch.cat([torch.full((998,), 0.1), torch.tensor([0.4, 0.4, torch.nan])])
    # The rarest of them have four lone markings.
    real[-2:, ::8, ::8] = SemanticClass.BROKEN_LINE
    assert unit(errors, real) == pytest.approx(0.4 / (4 / 16**2), rel=0.01)


def test_for_the_heads_nothing_is_older_than_they_have_learned(road_model):
    state = road_model.initial(1)
    oldest, older, young = (
        road_model.features({**state, "age": torch.full((1,), float(age))}) for age in (OLDEST, OLDEST + 200, 20)
    )
    assert torch.equal(oldest, older) and not torch.equal(oldest, young)


def test_doubt_of_driven_dreams_is_learned_beside_that_of_recorded_moments(windows, road_model, monkeypatch):
    monkeypatch.setattr(fine_tune_heads, "driven_on", partial(driven_on, steps=BEGIN + 2 * EVERY))
    monkeypatch.setattr(fine_tune_heads, "unit", lambda errors, real: 5.0)
    settings = RSSMSettings(head_windows=16, head_drives=4, head_steps=60, head_learning_rate=3e-3)
    features, shares = driven_on(road_model, windows.sample(4, 7, 0), 0, steps=BEGIN + 2 * EVERY)
    made = (5.0 * shares + DOUBT_FLOOR[1]).log()
    off = []
    for drives in (settings.head_drives, 0):
        model = with_roads(road_model, road_model.roads)
        fine_tune_heads.fine_tune_heads(model, windows, replace(settings, head_drives=drives), 0)
        with torch.no_grad():
            off.append((model.heads(features.float())[2][:, 1] - made).abs().mean().item())
    assert off[0] < 0.9 * off[1]
