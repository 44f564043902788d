"""Planners as drivers: the file gives back the planner, which plans from what the model filters."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from learned_sim_env.agents.agent import agent_class
from learned_sim_env.agents.planning.guide import Guide
from learned_sim_env.agents.planning.planner_policy import PlannerPolicy
from learned_sim_env.drivers.catalogue import open_driver
from learned_sim_env.drivers.driver import observed_by
from learned_sim_env.rendering.palette import colourise
from learned_sim_env.world_model.checkpoint import from_pretrained

SMALL = {"horizon": 4, "sequences": 6, "elites": 2, "iterations": 1, "proposals": 2}


@pytest.mark.parametrize("agent", ["mppi", "osrp-lag"])
def test_a_file_drives(agent, tmp_path):
    checkpoint = from_pretrained("bev-rssm")
    torch.manual_seed(0)
    guide = Guide(checkpoint.model.latent_size, (8,), "target-bins", costs=agent == "osrp-lag").requires_grad_(False)
    settings = agent_class(agent).settings_class(**SMALL)
    path = tmp_path / "p.safetensors"
    PlannerPolicy(agent, settings, guide, checkpoint, "bev-rssm", {"seed": 1}).save(path)
    found = PlannerPolicy.load(path)
    assert found.settings == settings and found.about == {"seed": 1} and found.agent == agent
    for name, value in guide.state_dict().items():
        assert torch.equal(found.guide.state_dict()[name], value), name
    both, alone = open_driver(str(path), [3, 4]), open_driver(str(path), [4])
    assert observed_by(both) == ("bev", "ego")
    for t in range(2):
        seen = {name: values[[3, 8], t] for name, values in checkpoint.contexts.observations.items()}
        seen["bev"] = colourise(seen["bev"])
        actions = both(seen, np.full(2, t == 0))
        assert actions.shape == (2, 2) and np.abs(actions).max() <= 1
        np.testing.assert_array_equal(alone({n: v[1:] for n, v in seen.items()}, np.full(1, t == 0)), actions[1:])


def test_without_a_guide_nothing_counts_beyond(tmp_path):
    checkpoint = from_pretrained("bev-rssm")
    settings = agent_class("cem").settings_class(**SMALL)
    PlannerPolicy("cem", settings, None, checkpoint, "bev-rssm").save(tmp_path / "p.safetensors")
    assert PlannerPolicy.load(tmp_path / "p.safetensors").guide is None
