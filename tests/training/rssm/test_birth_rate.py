"""How many come into view in dreams, and how many should."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from learned_sim_env.spec import CONTRACTS
from learned_sim_env.training.rssm.birth_rate import calibrate_birth_rate
from learned_sim_env.world_model.rssm.agents.births import BIRTH_GRID
from learned_sim_env.world_model.rssm.config import SIZES
from learned_sim_env.world_model.rssm.model import DrivingRSSM


def test_as_many_come_into_view_as_are_foreseen(packed, monkeypatch):
    torch.manual_seed(0)
    model = DrivingRSSM(SIZES["rssm-tiny"], CONTRACTS["driving"]).eval()
    # Somebody is foreseen in one step of twenty; half of them are turned away.
    with torch.no_grad():
        model.births.ahead.weight.zero_()
        model.births.ahead.bias.zero_()
        model.births.ahead.bias[BIRTH_GRID**2] = np.log(19 * BIRTH_GRID**2)
    turn = iter(range(10**6))

    def every_other(born, *_):
        come = born.come & (born.rows % 2 == next(turn) % 2)
        return born._replace(come=come, **{name: getattr(born, name)[:, 0] for name in ("pose", "motion", "size")})

    monkeypatch.setattr("learned_sim_env.world_model.rssm.model.on_the_road", every_other)
    before = model.births.guesses(torch.zeros(1, 32))[0]
    factor = calibrate_birth_rate(model, packed)
    # Some more are turned away because another one is there, or because all slots are taken.
    assert 1.7 < factor < 3.0
    likelier = (model.births.guesses(torch.zeros(1, 32))[0] - before)[0].detach()
    assert likelier[: BIRTH_GRID**2].numpy() == pytest.approx(np.log(factor), rel=1e-4)
    assert not likelier[BIRTH_GRID**2 :].any()
