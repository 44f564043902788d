"""At the wheel of a session a driver keeps its lane, and sees the same again wherever it is put back to."""

from __future__ import annotations

import numpy as np
import pytest

from learned_sim_env.drivers.ray_features import LAG, features
from learned_sim_env.drivers.route import LANE
from learned_sim_env.viewer.policies import expert, open_policy
from learned_sim_env.viewer.session import Session
from tests.drivers.test_network import network


def test_the_expert_follows_the_route(shipped):
    session, policy = Session(shipped, seed=0, scenario="straight"), expert()
    lane = np.clip(session.moment.observation["ego"][4], -LANE, LANE)
    for _ in range(30):
        session.step(policy(session))
    assert not session.moment.over
    assert abs(session.moment.observation["ego"][4] - lane) < 1.0
    assert session.moment.observation["ego"][0] > 3


def test_it_keeps_its_lane_until_it_is_put_elsewhere(shipped):
    def steer(session, policy):
        return float(policy(session)[0])

    sessions = (Session(shipped, seed=seed, scenario="straight") for seed in range(20))
    session, policy = next(s for s in sessions if abs(s.moment.observation["ego"][4]) < 1.7), expert()
    for _ in range(12):
        session.step(np.clip(policy(session) + np.array([0.05, 0.0]), -1, 1))  # pulled to the right all the while
    assert session.moment.since_start()[0].observation["ego"][4] - session.moment.observation["ego"][4] > 0.15
    # It steers back to where it began; one that takes over stays where it is.
    assert steer(session, policy) < steer(session, expert()) - 0.01
    session.following()
    np.testing.assert_array_equal(policy(session), expert()(session))


def test_a_human_has_the_learned_policy_beside(session):
    assert open_policy("human", session).name == "dream"
    assert open_policy("expert", session).name == expert().name


@pytest.mark.parametrize("name", ["network", "idm"])
def test_a_driver_sees_the_same_after_going_back(name, shipped, tmp_path):
    network().save(tmp_path / "p.safetensors")
    session = Session(shipped, seed=1, scenario="traffic")
    policy = open_policy(str(tmp_path / "p.safetensors") if name == "network" else name, session)
    assert policy.name == ("p.safetensors" if name == "network" else name)
    moments, actions = [session.moment], []
    for _ in range(LAG + 6):
        actions.append(policy(session))
        moments.append(session.step(actions[-1]))
    if name == "network":
        for t, action in enumerate(actions):
            seen = features(moments[t].observation, moments[max(0, t - LAG)].observation)
            np.testing.assert_allclose(action, network()(seen), atol=1e-6)
    for t in (-2, 3, -4):
        session.restore(moments[t])
        if name == "network":
            np.testing.assert_array_equal(policy(session), actions[t + 1 if t < 0 else t])
        else:  # it chooses its lane anew
            assert policy(session)[1] == actions[t + 1 if t < 0 else t][1]


def test_asked_twice_it_does_the_same(session):
    policy = open_policy("random", session)
    first = policy(session)
    np.testing.assert_array_equal(policy(session), first)
    session.step(first)
    assert not np.array_equal(policy(session), first)


def test_who_needs_a_simulator_or_does_not_exist_is_refused(session):
    with pytest.raises(ValueError, match="cannot drive where there is no simulator"):
        open_policy("metadrive-idm", session)
    with pytest.raises(ValueError, match="Did you mean 'careful'"):
        open_policy("carful", session)
    with pytest.raises(ImportError, match="nowhere"):
        open_policy("nowhere.at:all", session)
