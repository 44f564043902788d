"""Reward, cost and end: each term as its formula says, each event where it happens."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from learned_sim_env import task
from learned_sim_env.scene import Agents, RoadMap
from learned_sim_env.spec import (
    COST_TERMS,
    EGO_FIELDS,
    REWARD_TERMS,
    SCENARIO_TAGS,
    TERMINATIONS,
    Contract,
    RewardSpec,
    SemanticClass,
)
from tests import scenes

pytest.importorskip("cv2", reason="lane look-ups need OpenCV, which the simulators' extras bring")

CONTRACT = Contract()
REWARD = CONTRACT.reward
COLLISION, OFF_ROAD, ARRIVAL, WRONG_WAY = range(4)
BOUNDS = np.array([REWARD.progress, REWARD.lateral_speed, REWARD.jerk, REWARD.steering_change])
HEADINGS = st.floats(-np.pi, np.pi)

TERMS = st.integers(1, 5).flatmap(
    lambda n: st.tuples(hnp.arrays(np.float32, (n, 4), elements=st.floats(-1, 1, width=32)), hnp.arrays(bool, (n, 4)))
)


def graded(before, after, contract=CONTRACT):
    return dict(zip(task.GRADED_TERMS, task.graded_terms(before, after, contract).tolist()))


def happened(scene) -> set[str]:
    return {name for name, holds in zip(task.EVENTS, task.events(scene, CONTRACT)) if holds}


def test_expectations_are_means_over_all_that_can_happen():
    terms = np.array([[0.5, -0.1, 0.0, -0.02]], np.float32)
    likely = np.array([[0.2, 0.1, 0.05, 0.3]], np.float32)
    found = task.expected(terms, likely, REWARD)
    every = np.array(list(itertools.product([False, True], repeat=4)))
    chance = np.where(every, likely, 1 - likely).prod(1)
    outcome = task.outcome(np.repeat(terms, 16, 0), every, REWARD)
    assert found.reward == pytest.approx([chance @ outcome.reward])
    assert found.cost == pytest.approx([chance @ outcome.cost])
    assert found.goes_on == pytest.approx([chance @ ~outcome.terminated])


@given(TERMS)
def test_outcome_adds_up(rows):
    terms, events = rows
    out = task.outcome(terms, events, REWARD)
    assert out.reward_terms.shape == (len(terms), len(REWARD_TERMS))
    assert out.cost_terms.shape == (len(terms), len(COST_TERMS))
    assert (out.reward_terms.dtype, out.cost_terms.dtype, out.end.dtype) == (np.float32, np.float32, np.int8)
    assert np.array_equal(out.reward_terms[:, :4], terms)
    bonus = 10.0 * (events[:, ARRIVAL].astype(int) - events[:, COLLISION] - events[:, OFF_ROAD])
    assert out.reward == pytest.approx(terms.sum(-1) + bonus, abs=1e-4)
    assert np.array_equal(out.cost_terms, events[:, [COLLISION, OFF_ROAD, WRONG_WAY]])
    assert np.array_equal(out.cost, events[:, [COLLISION, OFF_ROAD, WRONG_WAY]].any(-1))
    assert set(out.cost) <= {0.0, 1.0}
    assert np.array_equal(out.terminated, events[:, :3].any(-1)), "driving the wrong way costs and goes on"


@given(TERMS)
def test_the_first_of_the_ends_is_named(rows):
    terms, events = rows
    for row, end in zip(events, task.outcome(terms, events, REWARD).end):
        reasons = [name for name in TERMINATIONS if row[task.EVENTS.index(name)]]
        assert (TERMINATIONS[end] if end >= 0 else None) == (reasons[0] if reasons else None)


@given(TERMS)
def test_rows_of_an_outcome_are_independent(rows):
    terms, events = rows
    together = task.outcome(terms, events, REWARD)
    for i in range(len(terms)):
        alone = task.outcome(terms[i : i + 1], events[i : i + 1], REWARD)
        assert np.array_equal(together.reward_terms[i], alone.reward_terms[0])
        assert together.end[i] == alone.end[0]


SPEEDS = st.floats(-80.0, 80.0)


@given(
    velocity=st.tuples(SPEEDS, SPEEDS),
    heading=HEADINGS,
    accelerations=st.tuples(st.floats(-50, 50), st.floats(-50, 50)),
    steers=st.tuples(st.floats(-1, 1), st.floats(-1, 1)),
)
def test_graded_terms_are_bounded_and_as_their_formulas(velocity, heading, accelerations, steers):
    before = scenes.scene(acceleration=accelerations[0], steer=steers[0])
    after = scenes.scene(acceleration=accelerations[1], steer=steers[1], velocity=velocity, heading=heading, y=0.3)
    found = task.graded_terms(before, after, CONTRACT)
    assert (found.shape, found.dtype) == ((4,), np.float32)
    assert (np.abs(found) <= BOUNDS.astype(np.float32)).all()
    jerk = abs(accelerations[1] - accelerations[0]) / 0.1
    expected = [
        # The route leads along +x, whichever way the ego points.
        np.clip(velocity[0] / 15.0, -1, 1),
        -0.2 * min(abs(velocity[1]) / 3.0, 1),
        -0.1 * min(jerk / 60.0, 1),
        -0.1 * abs(steers[1] - steers[0]) / 2,
    ]
    assert found == pytest.approx(np.array(expected), abs=1e-5)


@given(st.tuples(SPEEDS, SPEEDS), HEADINGS, st.floats(-300, 300), HEADINGS)
def test_reward_does_not_depend_on_where_the_world_begins(velocity, heading, shift, turn):
    before, after = scenes.scene(), scenes.scene(x=1.0, velocity=velocity, heading=heading)
    here = task.graded_terms(before, after, CONTRACT)
    there = task.graded_terms(*(scenes.moved(s, shift, -shift, turn) for s in (before, after)), CONTRACT)
    assert here == pytest.approx(there, abs=1e-4)


def test_weights_of_terms():
    before = scenes.scene()
    after = scenes.scene(velocity=(3.0, 1.0), acceleration=1.0, steer=0.5)
    once = graded(before, after)
    for name in task.GRADED_TERMS:
        doubled = replace(CONTRACT, reward=replace(REWARD, **{name: 2 * getattr(REWARD, name)}))
        assert graded(before, after, doubled) == pytest.approx({**once, name: 2 * once[name]})
        assert once[name] != 0
    spec = RewardSpec(arrival=1.0, collision=2.0, off_road=4.0)
    out = task.outcome(np.zeros((1, 4), np.float32), np.array([[True, True, True, False]]), spec)
    assert dict(zip(REWARD_TERMS[4:], out.reward_terms[0, 4:].tolist())) == {
        "arrival": 1.0,
        "collision": -2.0,
        "off_road": -4.0,
    }


def test_driving_along_the_route_is_uneventful():
    assert happened(scenes.scene(velocity=(8.0, 0.0))) == set()


@pytest.mark.parametrize(
    ("x", "arrived"), [(140.0, False), (143.9, False), (144.1, True), (150.0, True), (155.0, True), (157.0, False)]
)
def test_arrival_is_near_the_end_of_the_route(x, arrived):
    assert ("arrival" in happened(scenes.scene(x=x))) is arrived


def test_arrival_on_the_next_lane_counts_and_across_the_road_does_not():
    assert "arrival" in happened(scenes.scene(x=148.0, y=3.5))
    assert "arrival" not in happened(scenes.scene(x=148.0, y=7.5))


@pytest.mark.parametrize(("y", "off"), [(-1.7, False), (-2.3, True), (1.75, False), (8.7, False), (9.3, True)])
def test_off_the_road(y, off):
    assert ("off_road" in happened(scenes.scene(y=y))) is off


@pytest.mark.parametrize(
    ("y", "heading", "wrong"),
    [
        (0.0, 0.0, False),
        (0.0, 1.5, False),
        (0.0, 1.65, True),
        (0.0, np.pi, True),
        (0.0, -3.0, True),
        (7.0, np.pi, False),
        (7.0, 0.1, True),
        (3.5, 0.0, False),
    ],
)
def test_the_wrong_way_is_against_the_lane(y, heading, wrong):
    assert ("wrong_way" in happened(scenes.scene(y=y, heading=heading))) is wrong


def test_where_lanes_overlap_either_direction_will_do():
    crossing = RoadMap((scenes.lane(0.0), scenes.lane(0.0, ends=(200.0, -200.0))), (), scenes.straight_road().route)
    for heading in (0.0, np.pi):
        assert "wrong_way" not in happened(scenes.scene(crossing, heading=heading))


def test_off_the_road_there_is_no_wrong_way():
    assert happened(scenes.scene(y=30.0, heading=np.pi)) == {"off_road"}


KINDS = st.sampled_from([SemanticClass.STATIC_OBJECT, SemanticClass.VEHICLE, SemanticClass.PEDESTRIAN])


@given(
    KINDS,
    st.tuples(st.floats(-8, 8), st.floats(-6, 6), HEADINGS),
    st.tuples(st.floats(0.2, 10.0), st.floats(0.2, 3.0)),
    HEADINGS,
)
def test_boxes_that_overlap_have_collided(kind, pose, size, heading):
    """Against polygons cut by another library."""
    geometry = pytest.importorskip("shapely.geometry", reason="comes with MetaDrive")
    affinity = pytest.importorskip("shapely.affinity")

    def box(x, y, angle, length, width):
        shape = geometry.box(-length / 2, -width / 2, length / 2, width / 2)
        return affinity.translate(affinity.rotate(shape, angle, (0, 0), use_radians=True), x, y)

    mine = box(0.0, 0.0, heading, scenes.LENGTH, scenes.WIDTH)
    other = box(*pose, *size)
    collided = "collision" in happened(scenes.scene(others=scenes.agents((kind, *pose, *size)), heading=heading))
    gap, overlap = mine.distance(other), mine.intersection(other).area
    if gap > 1e-4:
        assert not collided
    elif overlap > 1e-3:
        assert collided


@given(HEADINGS, st.floats(-100, 100), st.floats(-1, 1))
def test_one_agent_among_many_is_enough(heading, x, y):
    far = (SemanticClass.VEHICLE, x + 40.0, 0.0, 0.0, 4.0, 2.0)
    near = (SemanticClass.STATIC_OBJECT, x, y, heading, 0.3, 0.3)
    assert "collision" not in happened(scenes.scene(x=x, others=scenes.agents(far, far)))
    assert "collision" in happened(scenes.scene(x=x, others=scenes.agents(far, near, far)))


def test_what_the_simulator_felt_is_a_collision():
    assert happened(scenes.scene(contacts={SemanticClass.VEHICLE})) == {"collision"}


def test_ego_vector():
    here = scenes.scene(
        y=1.0, heading=0.25, velocity=(3.0, 4.0), yaw_rate=-0.5, steer=0.125, throttle_brake=-0.75, acceleration=2.0
    )
    found = task.ego_vector(here, CONTRACT)
    assert found.dtype == np.float32
    assert dict(zip(EGO_FIELDS, found.tolist())) == pytest.approx(
        {
            "speed": 5.0,
            "yaw_rate": -0.5,
            "last_steer": 0.125,
            "last_throttle_brake": -0.75,
            "route_distance": 1.0,
            "route_heading_error": 0.25,
        }
    )


@given(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), st.floats(-1e3, 1e3), st.floats(-100, 100), HEADINGS)
def test_ego_vector_is_in_its_box(velocity, y, yaw_rate, heading):
    here = scenes.scene(y=y, heading=heading, velocity=velocity, yaw_rate=yaw_rate)
    assert task.ego_vector(here, CONTRACT) in CONTRACT.observation_space()["ego"]


def tags(scene) -> set[str]:
    return {name for name, has in zip(SCENARIO_TAGS, task.scenario_tags(scene)) if has}


def test_scenario_tags():
    route = scenes.straight_road().route
    plain, curve = scenes.lane(0.0), scenes.lane(0.0, ends=(30.0, 60.0), tag="curve")
    road = RoadMap((plain, curve), (), route)
    assert tags(scenes.scene(RoadMap((plain,), (), route))) == {"straight"}
    assert tags(scenes.scene(road, x=-20.0)) == {"straight"}, "not there yet"
    assert tags(scenes.scene(road, x=20.0)) == {"curve"}, "just before it"
    assert tags(scenes.scene(road, x=20.0, heading=np.pi)) == {"straight"}, "behind"
    assert tags(scenes.scene(road, x=45.0)) == {"curve"}


def test_tags_of_what_is_around():
    def at(kind, x):
        return tags(scenes.scene(others=scenes.agents((kind, x, 3.5, 0.0, 2.0, 1.0))))

    assert at(SemanticClass.VEHICLE, 20.0) == at(SemanticClass.PEDESTRIAN, -20.0) == {"straight", "traffic"}
    assert at(SemanticClass.STATIC_OBJECT, 20.0) == {"straight", "objects"}
    assert at(SemanticClass.VEHICLE, 30.0) == {"straight"}
    assert tags(scenes.scene(others=Agents.none())) == {"straight"}
