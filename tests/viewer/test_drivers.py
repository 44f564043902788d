"""The expert stays in its lane, and chooses it anew wherever it is put."""

from __future__ import annotations

import numpy as np

from learned_sim_env.policies import LANE
from learned_sim_env.viewer.drivers import Expert, open_driver
from learned_sim_env.viewer.session import Session


def test_the_expert_follows_the_route(shipped):
    session, expert = Session(shipped, seed=0, scenario="straight"), Expert()
    lane = np.clip(session.moment.observation["ego"][4], -LANE, LANE)
    for _ in range(30):
        session.step(expert(session))
    assert not session.moment.over
    assert abs(session.moment.observation["ego"][4] - lane) < 1.0
    assert session.moment.observation["ego"][0] > 3


def test_it_keeps_its_lane_until_it_is_put_elsewhere(shipped):
    session, expert = Session(shipped, seed=0), Expert()
    expert(session)
    first = expert._follower
    session.step(expert(session))
    expert(session)
    assert expert._follower is first
    session.following()
    expert(session)
    assert expert._follower is not first


def test_a_human_has_the_expert_beside(session):
    assert isinstance(open_driver("human", session), Expert)
    assert isinstance(open_driver("expert", session), Expert)


def test_a_network_sees_the_same_after_going_back(shipped, tmp_path):
    from learned_sim_env.sight import LAG, features
    from tests.test_policies import network

    network().save(tmp_path / "p.safetensors")
    session = Session(shipped, seed=1)
    driver = open_driver(str(tmp_path / "p.safetensors"), session)
    assert driver.name == "p.safetensors"
    moments, actions = [session.moment], []
    for _ in range(LAG + 2):
        actions.append(driver(session))
        moments.append(session.step(actions[-1]))
    for t, action in enumerate(actions):
        seen = features(moments[t].observation, moments[max(0, t - LAG)].observation)
        np.testing.assert_array_equal(action, network()(seen))
    session.restore(moments[-2])
    np.testing.assert_array_equal(driver(session), actions[-1])
