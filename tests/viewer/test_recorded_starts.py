"""Starts that are recorded in a simulator lead it back to the same moments, and the dream begins there."""

from __future__ import annotations

import numpy as np
import pytest

from learned_sim_env.environments.twin import TwinDrivingEnv
from learned_sim_env.scene import SimulatorError
from learned_sim_env.simulators import SIMULATORS
from learned_sim_env.spec import SCENARIO_TAGS
from learned_sim_env.twins.approach import bring_to_context
from learned_sim_env.viewer.recorded_starts import STEPS, recorded_contexts
from learned_sim_env.world_model.contexts import Contexts
from tests.toy_simulator import NEAR_THE_END, ToySimulator


class Gentle(ToySimulator):
    """Its expert goes at 5 m/s, a little to the right."""

    def policy_action(self, name):
        assert name == "expert"
        return np.array([0.002 * self.scene.ego.x, 0.5], np.float32)


@pytest.fixture
def twin(monkeypatch):
    monkeypatch.setitem(SIMULATORS, "gentle", f"{__name__}:Gentle")
    monkeypatch.setattr("learned_sim_env.simulators.load", lambda path: Gentle)
    return TwinDrivingEnv("gentle", max_episode_steps=1_000_000)


def test_they_lead_back_to_the_same_moment(twin, tmp_path):
    recorded_contexts(twin, [3, 7], ("bev", "ego")).save(tmp_path / "contexts.npz")
    contexts = Contexts.load(tmp_path / "contexts.npz")
    assert contexts.scenarios.tolist() == [3, 7]
    assert contexts.observations["bev"].shape == (2, 5, 64, 64)
    for index in range(2):
        assert len(contexts.replay_actions(index)) == STEPS
        np.testing.assert_array_equal(contexts.replay_actions(index)[-5:], contexts.actions[index])
        assert bring_to_context(twin, contexts, index).identical
        np.testing.assert_array_equal(twin.ego_vector, contexts.ego[index, -1])
    assert contexts.indices("straight").tolist() == [0, 1]
    assert contexts.tags.shape == (2, len(SCENARIO_TAGS))


def test_scenarios_that_end_too_soon_are_left_out(twin):
    assert recorded_contexts(twin, [NEAR_THE_END, 4], ("bev", "ego")).scenarios.tolist() == [4]
    with pytest.raises(ValueError, match=f"no scenario lasts {STEPS} steps"):
        recorded_contexts(twin, [NEAR_THE_END], ("bev", "ego"))


def test_a_simulator_that_fails_is_no_start(twin, monkeypatch):
    def fail(self, action):
        raise SimulatorError("the server is gone")

    monkeypatch.setattr(Gentle, "step", fail)
    with pytest.warns(UserWarning, match="the server is gone"), pytest.raises(SimulatorError, match="in scenario 3"):
        recorded_contexts(twin, [3], ("bev", "ego"))
