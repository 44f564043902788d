"""Vehicles, walkers, boxes and lights of the stand-in move as they should, seen without a client."""

from __future__ import annotations

import numpy as np
import pytest

from learned_sim_env.carla_standin.towns import TOWNS

pytest.importorskip("carla", reason="needs the extra [carla]")

from learned_sim_env.carla_standin.sensing.sensors import WorldSensors
from learned_sim_env.carla_standin.wire import Refused
from learned_sim_env.carla_standin.world.lights import GREEN, RED, YELLOW
from learned_sim_env.carla_standin.world.roads import Roads
from learned_sim_env.carla_standin.world.world import StandInWorld

ROADS = Roads("GridTown", TOWNS["GridTown"]())
FULL_THROTTLE = (1.0, 0.0, 0.0, False, False, False, 0)
# On the plane beside the town, heading along x.
FIELD = [1000.0, 1000.0, 0.0, 0.0, 0.0, 0.0]


@pytest.fixture
def world():
    return StandInWorld(ROADS, synchronous=True)


def at(x: float, y: float = 1000.0, yaw: float = 0.0) -> list[float]:
    return [x, y, 0.0, 0.0, yaw, 0.0]


def car(world, place=FIELD, control=FULL_THROTTLE):
    actor = world.spawn("vehicle.tesla.model3", {}, list(place))
    actor.control = control
    return actor


def run(world, seconds: float) -> None:
    for _ in range(round(seconds / 0.1)):
        world.step(0.1)


def test_throttle_moves_along_the_heading_and_the_brake_stops_without_going_back(world):
    actor = car(world)
    run(world, 3.0)
    assert actor.velocity[0] > 8.0
    assert actor.place[1] == pytest.approx(1000.0)
    assert actor.place[0] - 1000.0 == pytest.approx(0.5 * 5.0 * 9.0, rel=0.2)
    actor.control = (0.0, 0.0, 1.0, False, False, False, 0)
    run(world, 3.0)
    assert actor.forward_speed == 0.0


@pytest.mark.parametrize(("sticky", "speed"), [("true", 4.5), ("False", 0.0)])
def test_a_control_that_is_not_sticky_holds_for_one_step(world, sticky, speed):
    actor = world.spawn("vehicle.tesla.model3", {"sticky_control": sticky}, list(FIELD))
    actor.steer(FULL_THROTTLE)
    world.step(0.1)
    assert actor.control == FULL_THROTTLE
    run(world, 1.0)
    assert actor.forward_speed == pytest.approx(speed, abs=1.0)


def test_positive_steering_turns_right_which_is_towards_y(world):
    actor = car(world, control=(0.5, 0.4, 0.0, False, False, False, 0))
    run(world, 2.0)
    assert actor.place[1] > 1001.0
    assert actor.yaw_rate > 5.0


def test_reverse_goes_back(world):
    actor = car(world, control=(0.5, 0.0, 0.0, False, True, False, 0))
    run(world, 2.0)
    assert actor.place[0] < 998.0


def test_a_crash_stops_both_and_is_told_once_a_step(world):
    first, second = car(world), car(world, at(1012.0), (0.0, 0.0, 0.0, False, False, False, 0))
    for _ in range(40):
        world.step(0.1)
        if world.collisions:
            break
    (collision,) = world.collisions
    assert {collision.actor, collision.other} == {first, second}
    assert first.forward_speed == second.forward_speed == 0.0
    assert collision.impulse[0] < -1000.0
    assert second.place[0] - first.place[0] == pytest.approx(4.79, abs=0.2)


def test_who_parts_is_not_held(world):
    actor = car(world, at(1005.0), (1.0, 0.0, 0.0, False, True, False, 0))
    # Put into it, as no spawning would.
    wall = car(world, at(1020.0))
    wall.place[0], wall.still = 1009.0, True
    run(world, 2.0)
    assert actor.place[0] < 1001.0


def test_spawning_in_another_is_refused(world):
    car(world)
    with pytest.raises(Refused, match="collision at spawn position"):
        car(world, at(1003.0, yaw=90.0))
    car(world, at(1006.0))


@pytest.mark.parametrize(("height", "free"), [(-50.0, True), (-1.6, True), (-1.4, False), (1.4, False), (1.6, True)])
def test_heights_count_where_something_is_spawned(world, height, free):
    low = car(world, [1000.0, 1000.0, height, 0.0, 0.0, 0.0])
    low.still = True
    if free:
        assert car(world).id > low.id
    else:
        with pytest.raises(Refused, match="collision at spawn position"):
            car(world)


@pytest.mark.parametrize(("height", "stopped"), [(-500.0, False), (0.0, True), (30.0, False)])
def test_heights_count_in_a_crash(world, height, stopped):
    actor = car(world)
    world.spawn("static.prop.trafficcone01", {}, [1012.0, 1000.0, height, 0.0, 0.0, 0.0])
    run(world, 4.0)
    assert (actor.place[0] < 1012.0) == stopped


def test_a_walker_walks_where_it_is_told_and_looks_there(world):
    walker = world.spawn("walker.pedestrian.0001", {}, list(FIELD))
    walker.walk = ((0.0, -1.0, 0.0), 1.5, False)
    run(world, 2.0)
    assert walker.place[:2] == pytest.approx([1000.0, 997.0])
    assert walker.place[4] == pytest.approx(-90.0)


def test_what_is_fixed_to_a_vehicle_goes_with_it(world):
    actor = car(world, at(1000.0, yaw=90.0))
    sensor = world.spawn("sensor.camera.rgb", {}, [2.0, 0.0, 1.5, -5.0, 0.0, 0.0], actor.id)
    run(world, 2.0)
    assert sensor.place[0] == pytest.approx(actor.place[0], abs=1e-6)
    assert sensor.place[1] == pytest.approx(actor.place[1] + 2.0)
    assert sensor.place[3:5] == [-5.0, actor.place[4]]
    world.destroy(actor.id)
    assert sensor.parent is None


def test_one_phase_of_a_junction_is_green_at_a_time(world):
    seen = set()
    for _ in range(400):
        for group in world.light_groups:
            states = [{light.state for light in turn} for turn in group.controllers]
            assert all(len(s) == 1 for s in states)
            assert sum(s != {RED} for s in states) <= 1
            seen |= {next(iter(s)) for s in states}
        world.step(0.1)
    assert seen == {RED, YELLOW, GREEN}


def test_a_frozen_light_stays(world):
    light = next(iter(world.lights.values()))
    for other in world.group_of(light.actor.id).lights:
        other.frozen = True
    light.state = RED
    run(world, 30.0)
    assert light.state == RED


def test_a_vehicle_stands_at_the_light_of_its_lane_alone(world):
    light = next(light for light in world.lights.values() if light.signal.approaches[0].lane < 0)
    stops = {(a.road, a.lane): a.s for a in light.signal.approaches}
    road = light.signal.approaches[0].road
    lanes = {(w.road_id, w.lane_id, w.s): w.transform for w in ROADS.waypoints(1.0) if w.road_id == road}
    for (_, lane, s), transform in lanes.items():
        actor = car(world, [transform.location.x, transform.location.y, 0.0, 0.0, transform.rotation.yaw, 0.0])
        held = world.light_for(actor) is light
        stop = stops.get((road, lane))
        assert held == (stop is not None and -1.0 <= stop - s <= 12.0), (lane, s)
        world.destroy(actor.id)


def test_a_radar_over_an_empty_road_sees_the_road_alone(world):
    sensors = WorldSensors()
    stream = sensors.add("sensor.other.radar")
    sensors.attach(world.spawn("sensor.other.radar", {}, [0.0, 0.0, 2.0, 0.0, 0.0, 0.0]), stream)
    world.step(0.1)
    ((_, message),) = sensors.data(world, {stream})
    records = np.frombuffer(message[48:], "<f4").reshape(-1, 4)
    assert 0 < len(records) < 150
    assert (records[:, 0] == 0.0).all()
    assert (records[:, 2] < 0.0).all()


@pytest.mark.parametrize("kind", ["lidar.ray_cast", "lidar.ray_cast_semantic", "other.radar"])
def test_a_scene_that_is_repeated_is_measured_alike(world, kind):
    def scene(steps_before: int) -> list[bytes]:
        sensors = WorldSensors()
        world.load(ROADS)
        run(world, 0.1 * steps_before)
        actor = car(world, at(20.0, 0.0))
        stream = sensors.add(f"sensor.{kind}")
        scanner = world.spawn(f"sensor.{kind}", {"noise_seed": "7"}, [0.0, 0.0, 2.0, 0.0, 0.0, 0.0], actor.id)
        sensors.attach(scanner, stream)
        bodies = []
        for _ in range(5):
            world.step(0.03)
            bodies += [message[48:] for _, message in sensors.data(world, {stream})]
        return bodies

    assert scene(0) == scene(7)


def test_seconds_begin_anew_with_an_episode_and_frames_do_not(world):
    run(world, 1.0)
    frame = world.frame
    world.load(ROADS)
    assert (world.seconds, world.frame) == (0.0, frame)
