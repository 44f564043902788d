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
