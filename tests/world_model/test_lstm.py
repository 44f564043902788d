"""The plain world model: whatever its modalities are, and what makes a difference to it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from learned_sim_env.spec import CONTRACTS, Contract
from learned_sim_env.spec.modality import BEV, EGO, ROUTE
from learned_sim_env.world_model.checkpoint import from_pretrained, save_pretrained
from learned_sim_env.world_model.lstm import SIZES, DrivingLSTM

DRIVING = CONTRACTS["driving"]


@pytest.fixture
def lstm() -> DrivingLSTM:
    torch.manual_seed(0)
    return DrivingLSTM(SIZES["lstm-tiny"], DRIVING).eval().requires_grad_(False)


def advanced(model, action=0.0, noise=0.5, temperature=1.0, steps=3):
    state = model.initial(2)
    for _ in range(steps):
        uniforms = None if noise is None else torch.full((2, model.noise_size), noise)
        state = model.imagine(state, torch.full((2, 2), action), uniforms, temperature)
    return state


def test_actions_and_chance_make_a_difference(lstm):
    start = lstm.features(advanced(lstm))
    assert not torch.equal(start, lstm.features(advanced(lstm, action=1.0)))
    assert not torch.equal(start, lstm.features(advanced(lstm, noise=0.99)))
    mode = lstm.features(advanced(lstm, noise=None))
    assert torch.equal(mode, lstm.features(advanced(lstm, temperature=0.0)))


@torch.no_grad()
def test_every_latent_is_drawn_as_often_as_it_is_likely(lstm):
    state, action = lstm.initial(4000), torch.zeros(4000, 2)
    noise = torch.rand(4000, lstm.noise_size, generator=torch.Generator().manual_seed(0))
    z = lstm.imagine(state, action, noise)["z"].unflatten(1, (4, 16))
    _, prior, _ = lstm.observe_with_beliefs(state, action, torch.zeros(4000, 64), None)
    assert (z.sum(-1) == 1).all()
    assert torch.allclose(z.mean(0), prior[0], atol=0.02)


def test_the_ego_vector_says_which_action_was_taken(lstm):
    decoded = lstm.decode(advanced(lstm, action=0.25))
    assert (decoded["ego"][:, 2:4] == 0.25).all()
    assert (decoded["terms"][:, 3] == 0).all(), "the steering has not changed"


def test_vectors_can_be_drawn(lstm):
    model = DrivingLSTM(replace(SIZES["lstm-tiny"], draws=("route",)), DRIVING).eval()
    shown, _ = model.draw(advanced(model), ("route",))
    assert shown["route"].shape == (2, *ROUTE.shape)


def test_a_picture_that_cannot_be_halved_evenly_is_refused():
    bev = replace(BEV.bev, height=60, width=50, ego_row=40, ego_column=25)
    contract = Contract("odd", modalities=(replace(BEV, shape=(60, 50), bev=bev), EGO))
    with pytest.raises(ValueError, match="60 x 50 cannot be halved evenly: give multiples of 8"):
        DrivingLSTM(SIZES["lstm-tiny"], contract)


def test_a_checkpoint_gives_it_back(lstm, contexts, tmp_path):
    found = from_pretrained(save_pretrained(tmp_path / "plain", lstm, contexts, 1.0, {})).model
    assert found.config == lstm.config
    assert torch.equal(found.features(advanced(found)), lstm.features(advanced(lstm)))
