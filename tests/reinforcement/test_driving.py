"""Drivers are judged by what they do."""

from __future__ import annotations

import numpy as np
import pytest

from learned_sim_env.environments.twin import TwinDrivingEnv
from learned_sim_env.reinforcement.driving import drive, summary
from learned_sim_env.reinforcement.matched import DrivenStretches, in_dream, reachable
from learned_sim_env.scene import SimulatorError
from tests.toy_model import ToyModel, toy_checkpoint
from tests.toy_simulator import NEAR_A_CONE, NEAR_THE_END


@pytest.fixture
def twin(toy):
    env = TwinDrivingEnv("toy", max_episode_steps=50)
    yield env
    env.close()


def test_episodes_are_judged_by_what_happened(twin):
    arrived, hit, slow = (next(drive(twin, "throttle", [s])) for s in (NEAR_THE_END, NEAR_A_CONE, 0))
    assert (arrived.end, arrived.completion, arrived.score) == ("arrival", 1.0, 1.0)
    assert hit.end == "collision" and hit.cost == 1.0 and 0 < hit.score < hit.completion
    # 50 steps at 5 m/s on a route of which 150 m are left.
    assert slow.end == "time_limit" and slow.steps == 50 and slow.completion == pytest.approx(25 / 150, abs=0.01)
    assert slow.score == slow.completion and slow.speed == pytest.approx(5.0, rel=0.03)
    told = summary([arrived, hit, slow])
    assert told["success"] == told["collision"] == pytest.approx(1 / 3) and told["off_road"] == 0


def test_a_dream_is_driven_from_each_moment():
    checkpoint = toy_checkpoint(ToyModel())
    found = in_dream(checkpoint, "throttle", [3, 0, 7], repeats=2, steps=4)
    # The toy's reward is the throttle plus a sixteenth of z, which begins at the class of the context's picture.
    z = np.array([3, 3, 0, 0, 7, 7])
    np.testing.assert_allclose(found.reward, 4 * 0.5 + (4 * z + 1 + 2 + 3 + 4) / 16, rtol=1e-5)
    assert found.steps.tolist() == [4] * 6 and found.end == ("",) * 6
    assert DrivenStretches.of_plain(found.plain()).reward.tolist() == found.reward.tolist()


def test_an_end_in_the_dream_ends_what_is_counted():
    found = in_dream(toy_checkpoint(ToyModel(risk=0.5)), "nothing", list(range(20)), repeats=2, steps=30)
    assert (
        set(found.end) == {"off_road"} and (found.cost == 1).all() and 1 <= found.steps.min() < found.steps.max() < 30
    )


def test_failures_are_no_driving(twin, monkeypatch):
    class Breaking(ToyModel):
        def decode(self, state):
            heads = super().decode(state)
            heads["terms"][state["z"] == 9] = np.nan
            return heads

    with pytest.warns(UserWarning), pytest.raises(ValueError, match=r"not finite from contexts \[7, 7\]"):
        in_dream(toy_checkpoint(Breaking()), "throttle", [3, 7], repeats=2, steps=4)

    def fail(action):
        raise SimulatorError("the server is gone")

    monkeypatch.setattr(twin.simulator, "step", fail)
    with pytest.warns(UserWarning), pytest.raises(SimulatorError, match="failed in scenario 0, after 1 steps"):
        next(drive(twin, "throttle", [0]))


def test_moments_that_are_near_the_start():
    class Contexts:
        replay_starts = np.cumsum([0, 100, 20, 300, 40, 60])

    assert reachable(Contexts(), 10, 100) == [0, 1, 3, 4]
    assert reachable(Contexts(), 2, 100) == [0, 4]
    assert reachable(Contexts(), 2, 50) == [1, 3]
