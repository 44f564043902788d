"""Agents by name, and what their settings refuse."""

from __future__ import annotations

from dataclasses import fields

import pytest

from learned_sim_env.agents import LearnConfig, agent_class, open_agent
from learned_sim_env.agents.actor_critic.dreamer import Dreamer
from learned_sim_env.agents.actor_critic.dreamer_settings import DreamerSettings
from learned_sim_env.agents.agent import AGENTS


@pytest.mark.parametrize("name", AGENTS)
def test_every_agent_keeps_to_the_protocol(name):
    found = agent_class(name)
    for needed in (
        "settings_class",
        "run_defaults",
        "needs_data",
        "learns",
        "by_features",
        "progress",
        "update",
        "policy",
        "memory",
        "recall",
    ):
        assert hasattr(found, needed), needed
    assert isinstance(found.settings_class(), object)
    shared = {field.name for field in fields(LearnConfig)}
    assert shared.isdisjoint(field.name for field in fields(found.settings_class)), "flags of the same name"
    assert LearnConfig(**{"agent": name, **found.run_defaults}).agent == name


def test_unknown_agents():
    with pytest.raises(ValueError, match="Did you mean 'dreamer'"):
        agent_class("dreamr")


def test_an_agent_that_needs_data_says_so(monkeypatch):
    monkeypatch.setattr(Dreamer, "needs_data", True)
    with pytest.raises(ValueError, match="--data"):
        open_agent(LearnConfig(), DreamerSettings(), None)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rows": 0}, "rows is 0; it must be at least 1"),
        ({"actions": "target"}, "Did you mean 'targets'"),
        ({"minibatches": 0}, "minibatches is 0"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        DreamerSettings(**settings)
