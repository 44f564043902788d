"""Routes are drawn on long roads too: cut out of them."""

from __future__ import annotations

import numpy as np
import pytest

from learned_sim_env.carla_standin.towns import TOWNS
from learned_sim_env.carla_standin.towns.curves import Pose, arc, line
from learned_sim_env.carla_standin.towns.opendrive import Town
from learned_sim_env.simulators.carla.roads import RoadNetwork
from learned_sim_env.simulators.carla.routes import LENGTHS, draw_route, offset_of
from tests import standin

carla = pytest.importorskip("carla", reason="needs the extra [carla]")


def straight() -> str:
    """One road of 500 m that leads nowhere."""
    town = Town("Straight")
    town.road(line(Pose(0.0, 0.0, 0.0), 500.0), right=1, left=1)
    return town.xml()


def motorway() -> str:
    """Three lanes a direction, in two roads of 2 km, the second one bent."""
    town = Town("Motorway")
    first = town.road(line(Pose(0.0, 0.0, 0.0), 2000.0), right=3, left=3)
    second = town.road(arc(Pose(2000.0, 0.0, 0.0), 1500.0, -1.3), right=3, left=3)
    first.successor, second.predecessor = ("road", second.id, "start"), ("road", first.id, "end")
    return town.xml()


LONG = {"straight": straight, "motorway": motorway}


@pytest.mark.parametrize("name", LONG)
def test_routes_are_cut_out_of_long_roads(name):
    network = RoadNetwork(carla.Map(name, LONG[name]()))
    starts = set()
    for seed in range(12):
        route = draw_route(network, np.random.default_rng(seed))
        for way in (route.path, route.road_map.route):
            steps = np.hypot(*np.diff(way, axis=0).T)
            assert steps.max() < 1.1
            assert LENGTHS[0] - 2.0 <= steps.sum() <= LENGTHS[1] + 2.0
        # The roadway's middle begins and ends where the path does.
        for end in (0, -1):
            assert np.hypot(*(route.road_map.route[end] - route.path[end])) < 8.0
        # Even on long bends the path keeps to the lanes' centres.
        centres = np.concatenate([s.centre for group in route.groups for s in group])
        assert max(offset_of(centres, place) for place in route.path[30:-30]) < 4.5
        starts.add(tuple(route.path[0].round()))
    assert len(starts) > 6, "they begin anywhere"


@pytest.mark.parametrize("town", TOWNS)
def test_where_lanes_are_short_a_route_begins_and_ends_with_a_lane(town):
    network = RoadNetwork(carla.Map(town, TOWNS[town]()))
    starts = np.array([s.centre[0] for s in network.segments.values()])
    for seed in range(6):
        route = draw_route(network, np.random.default_rng(seed))
        assert offset_of(starts, route.path[0]) < 0.01
        assert LENGTHS[0] <= len(route.path) - 1 <= LENGTHS[1] + 1


@pytest.mark.parametrize("name", LONG)
def test_an_episode_on_a_long_road(name, tmp_path):
    pytest.importorskip("msgpack", reason="needs the extra [carla]")
    from learned_sim_env.environments.twin import TwinDrivingEnv

    path = tmp_path / f"{name}.xodr"
    path.write_text(LONG[name]())
    with standin.server("--map", str(path)) as settings:
        env = TwinDrivingEnv("carla", **settings)
        for seed in range(2):
            env.reset(seed=seed)
            for _ in range(30):
                *_, terminated, truncated, info = env.step(env.simulator.policy_action("expert"))
                assert not terminated, info
                assert not truncated, info
            assert env.scene.ego.speed > 3.0
        env.close()
