"""MetaDrive as a source of scenes: repeatable, headless, in the contract's signs, one engine a process."""

from __future__ import annotations

import hashlib
import socket
import urllib.request
from itertools import pairwise

import numpy as np
import pytest

from learned_sim_env import task
from learned_sim_env.rendering.bev import BevRenderer
from learned_sim_env.simulators import open_simulator
from learned_sim_env.spec import CONTRACTS, SCENARIO_TAGS, SemanticClass

pytest.importorskip("metadrive", reason="MetaDrive is not installed")

CONTRACT = CONTRACTS["driving"]
RENDERER = BevRenderer(CONTRACT.bev)


@pytest.fixture(scope="module")
def simulator():
    """The one engine of this process."""
    simulator = open_simulator("metadrive", CONTRACT)
    yield simulator
    simulator.close()


def drive(simulator, seed: int, steps: int = 40, **options) -> list:
    """The scenes of an episode of odd but gentle actions."""
    rng = np.random.default_rng(seed)
    scenes = [simulator.reset(seed, options)]
    for _ in range(steps):
        scenes.append(simulator.step(rng.uniform((-0.2, -0.2), (0.2, 1.0)).astype(np.float32)))
    return scenes


def fingerprint(scenes: list) -> str:
    """Of everything that scenes say, to the last bit, and of how they look."""
    digest = hashlib.sha256()
    for scene in scenes:
        e, a, road = scene.ego, scene.agents, scene.road_map
        digest.update(np.array([*e.pose, *e.velocity, e.yaw_rate, e.acceleration, e.steer, e.throttle_brake]).tobytes())
        for array in (a.ids, a.classes, a.poses, a.sizes, a.velocities, road.route, RENDERER.semantic(scene)):
            digest.update(array.tobytes())
        digest.update(str(sorted(scene.contacts)).encode())
        for lane in road.lanes:
            digest.update(lane.polygon.tobytes())
    return digest.hexdigest()


@pytest.mark.slow
def test_an_episode_is_the_same_in_every_process_and_after_any_other(simulator):
    drive(simulator, 3, steps=15)
    here = drive(simulator, 8)
    assert any(len(scene.agents) for scene in here)
    other = open_simulator("metadrive", CONTRACT, isolate=True)
    from_a_fresh_process = fingerprint(drive(other, 8))
    drive(other, 5, steps=15)
    after_others_there = fingerprint(drive(other, 8))
    other.close()
    assert fingerprint(here) == from_a_fresh_process == after_others_there
    assert fingerprint(drive(simulator, 9)) != fingerprint(here)


@pytest.mark.parametrize(("policy", "seed", "steps"), [("idm", 1000002, 150), ("expert", 1000004, 5)])
def test_an_episode_does_not_depend_on_memory_addresses(simulator, policy, seed, steps):
    """MetaDrive keeps what is around a vehicle in sets, ordered by address: here in one order, then its opposite.

    In these two episodes the order matters to MetaDrive, for the traffic in one and for the ego in the other.
    """
    from metadrive.component.sensors.lidar import Lidar

    objects, vehicles = Lidar.get_surrounding_objects, Lidar.get_surrounding_vehicles
    ends = []
    for backwards in (False, True):

        def order(found, backwards=backwards):
            return sorted(found, key=lambda thing: tuple(thing.position), reverse=backwards)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Lidar, "get_surrounding_objects", lambda *given, order=order: order(objects(*given)))
            patch.setattr(Lidar, "get_surrounding_vehicles", lambda _, found, order=order: order(vehicles(found)))
            scene = simulator.reset(seed, {})
            for _ in range(steps):
                scene = simulator.step(simulator.policy_action(policy))
        ends.append(fingerprint([scene]))
    assert ends[0] == ends[1]


def test_what_a_scene_says(simulator):
    scenes = drive(simulator, 8)
    assert len({id(scene.road_map) for scene in scenes}) == 1
    for scene in scenes:
        agents = scene.agents
        n = len(agents)
        assert [a.dtype.name for a in (agents.ids, agents.classes, agents.poses)] == ["int64", "uint8", "float32"]
        assert (agents.poses.shape, agents.sizes.shape, agents.velocities.shape) == ((n, 3), (n, 2), (n, 2))
        assert len(set(agents.ids.tolist())) == n
        distances = np.hypot(*(agents.poses[:, :2] - scene.ego.pose[:2]).T)
        assert (np.diff(distances) >= -1e-3).all(), "nearest first"
        assert (agents.sizes > 0).all()
        assert set(agents.classes.tolist()) <= {
            SemanticClass.STATIC_OBJECT,
            SemanticClass.VEHICLE,
            SemanticClass.PEDESTRIAN,
        }
    for before, after in pairwise(scenes):
        same, i, j = np.intersect1d(before.agents.ids, after.agents.ids, return_indices=True)
        moved = np.hypot(*(after.agents.poses[j, :2] - before.agents.poses[i, :2]).T)
        assert (moved < 5.0).all(), "an id is the same agent from step to step"
        assert np.array_equal(before.agents.classes[i], after.agents.classes[j])


def test_ego_motion_is_consistent(simulator):
    scenes = drive(simulator, 8)
    for before, after in pairwise(scenes):
        dt, a, b = CONTRACT.dt, before.ego, after.ego
        assert b.yaw_rate == pytest.approx((b.heading - a.heading + np.pi) % (2 * np.pi) / dt - np.pi / dt, abs=1e-6)
        assert b.acceleration == pytest.approx((b.speed - a.speed) / dt)
        # Metres travelled are about the mean speed times a tenth of a second.
        assert np.hypot(b.x - a.x, b.y - a.y) == pytest.approx((a.speed + b.speed) / 2 * dt, abs=0.1)
    assert scenes[-1].ego.speed > 1.0


def test_it_starts_on_the_route_and_in_its_direction(simulator):
    for seed in (0, 1, 2):
        scene = simulator.reset(seed, {})
        assert not task.events(scene, CONTRACT).any()
        _, _, _, _, distance, error = task.ego_vector(scene, CONTRACT)
        assert abs(distance) < 12.0
        assert abs(error) < 0.1
        assert scene.ego.speed < 0.1
        assert any(lane.on_route for lane in scene.road_map.lanes)
        assert any(line.broken for line in scene.road_map.lines)
        assert not all(line.broken for line in scene.road_map.lines)


@pytest.mark.parametrize("side", [1.0, -1.0], ids=["right", "left"])
def test_positive_steering_is_right(simulator, side):
    simulator.reset(1, {})
    for _ in range(15):
        simulator.step(np.array([0.0, 0.8], np.float32))
    scene = [simulator.step(np.array([0.5 * side, 0.3], np.float32)) for _ in range(5)][-1]
    assert scene.ego.yaw_rate * side < -0.1
    assert scene.ego.steer == 0.5 * side


def test_throttle_and_brake(simulator):
    simulator.reset(1, {})
    speeds = [simulator.step(np.array([0.0, 1.0], np.float32)).ego.speed for _ in range(15)]
    assert speeds[-1] > speeds[0] + 2
    speeds += [simulator.step(np.array([0.0, -1.0], np.float32)).ego.speed for _ in range(25)]
    assert speeds[-1] < 0.5


@pytest.mark.parametrize("tag", ["curve", "intersection", "roundabout", "merge"])
def test_a_scenario_asked_for_is_on_the_map(simulator, tag):
    assert tag in {lane.tag for lane in simulator.reset(0, {"scenario": tag}).road_map.lanes}


@pytest.mark.parametrize("tag", SCENARIO_TAGS)
def test_a_scenario_asked_for_is_met(simulator, tag):
    """Driven by MetaDrive's own policy, within half a minute, on one of a few maps."""
    for seed in range(8):
        scene = simulator.reset(seed, {"scenario": tag})
        for _ in range(300):
            if task.scenario_tags(scene)[SCENARIO_TAGS.index(tag)]:
                return
            scene = simulator.step(simulator.policy_action("idm"))
            if task.events(scene, CONTRACT).any():
                break
    pytest.fail(f"no {tag!r} on eight maps that were asked for one")


def test_unknown_scenarios_and_policies(simulator):
    with pytest.raises(ValueError, match=r"unknown scenario 'roundabot'\. Did you mean 'roundabout'\?"):
        simulator.reset(0, {"scenario": "roundabot"})
    simulator.reset(0, {})
    with pytest.raises(ValueError, match=r"unknown policy 'experts'\. Did you mean 'expert'\?"):
        simulator.policy_action("experts")


@pytest.mark.parametrize("policy", ["expert", "idm"])
def test_its_own_policies_drive_in_the_contracts_signs(simulator, policy):
    start = simulator.reset(4, {})
    for _ in range(60):
        action = simulator.policy_action(policy)
        assert (action.shape, action.dtype) == ((2,), np.float32)
        assert (np.abs(action) <= 1).all()
        scene = simulator.step(action)
        assert not task.events(scene, CONTRACT)[:2].any()
    assert np.hypot(*(scene.ego.pose - start.ego.pose)[:2]) > 20.0


def test_nothing_is_downloaded_and_no_display_is_needed(simulator, monkeypatch):
    def refuse(*arguments, **more):
        raise AssertionError(f"tried to reach {arguments}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr(urllib.request, "urlretrieve", refuse)
    monkeypatch.delenv("DISPLAY", raising=False)
    simulator.reset(2, {})
    simulator.step(np.zeros(2, np.float32))


def test_it_can_be_closed_and_opened_again(simulator):
    first = fingerprint(drive(simulator, 8, steps=5))
    simulator.close()
    simulator.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("learned_sim_env.simulators.process.ProcessSimulator.__init__", None)
        between = open_simulator("metadrive", CONTRACT)
    between.reset(0, {})
    with pytest.raises(RuntimeError, match="isolate=True"):
        simulator.reset(8, {})
    between.close()
    assert fingerprint(drive(simulator, 8, steps=5)) == first


def test_a_second_one_in_this_process_says_what_to_do(simulator):
    simulator.reset(0, {})
    with pytest.raises(RuntimeError, match=r"close the other environment.*isolate=True"):
        open_simulator("metadrive", CONTRACT, isolate=False)
