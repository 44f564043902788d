"""Numbers beyond all bounds, and what is no number, do no harm: they are clamped, or refused."""

from __future__ import annotations

from math import inf, isfinite, nan

import numpy as np
import pytest

from tests.carla_standin.test_world import FIELD, at, car, run
from tests.standin import Standin

pytest.importorskip("msgpack", reason="needs the extra [carla]")
pytest.importorskip("carla", reason="needs the extra [carla]")

import carla

from learned_sim_env.carla_standin import wire
from learned_sim_env.carla_standin.blueprints import BLUEPRINTS, sound_attributes
from learned_sim_env.carla_standin.procedures import actor_calls, calls
from learned_sim_env.carla_standin.registry import answer
from learned_sim_env.carla_standin.server import Server
from learned_sim_env.carla_standin.towns import TOWNS
from learned_sim_env.carla_standin.wire import Refused
from learned_sim_env.carla_standin.world.world import StandInWorld

assert actor_calls and calls
HUGE = 3.4e38


@pytest.fixture(scope="module")
def served():
    return Server(dict(TOWNS), "GridTown", synchronous=True)


@pytest.fixture
def server(served):
    served.load("", reset_settings=False)
    return served


@pytest.fixture
def world(server) -> StandInWorld:
    return server.world


def ask(server, name, *arguments):
    """The reply to a call; a client waits for it, so an error is in it."""
    return answer(server, name, list(arguments), silent=False)


def sound(world) -> bool:
    """Whether all numbers that a client is sent are finite, after a second of steps."""
    run(world, 1.0)
    rows = np.frombuffer(world.snapshot()[36:], wire.ACTOR)
    numbers = ("transform", "velocity", "angular_velocity", "acceleration")
    return all(np.isfinite(rows[name]).all() for name in numbers)


def test_more_than_full_throttle_is_full_throttle(world, server):
    full, more = car(world), car(world, at(1000.0, 1100.0))
    for actor, throttle in ((full, 1.0), (more, 5.0)):
        ask(server, "apply_control_to_vehicle", actor.id, [throttle, 0.0, 0.0, False, False, False, 0])
    run(world, 2.0)
    assert more.forward_speed == full.forward_speed > 5.0


@pytest.mark.parametrize("control", [[-1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [-HUGE, -HUGE, -HUGE]])
def test_negative_pedals_do_not_push(world, server, control):
    actor = car(world)
    ask(server, "apply_control_to_vehicle", actor.id, [*control, False, False, False, 2**40])
    assert sound(world)
    assert (actor.place[:2], actor.forward_speed) == (FIELD[:2], 0.0)


ROW = [0.0, 0.0, 0.0]
CALLS = {
    "apply_control_to_vehicle": lambda x: [[0.0, x, 0.0, False, False, False, 0]],
    "apply_ackermann_control_to_vehicle": lambda x: [[0.0, 0.0, x, 0.0, 0.0]],
    "apply_control_to_walker": lambda x: [[[1.0, 0.0, 0.0], x, False]],
    "set_actor_transform": lambda x: [[[0.0, x, 0.0], ROW]],
    "set_actor_location": lambda x: [[0.0, x, 0.0]],
    "set_actor_target_velocity": lambda x: [[x, 0.0, 0.0]],
    "set_actor_target_angular_velocity": lambda x: [[x, 0.0, 0.0]],
    "enable_actor_constant_velocity": lambda x: [[x, 0.0, 0.0]],
    "add_actor_impulse": lambda x: [[x, 0.0, 0.0]],
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("number", [nan, inf, -inf])
def test_what_is_not_finite_is_refused_and_leaves_no_trace(world, server, name, number):
    actor = world.spawn("walker.pedestrian.0001", {}, list(FIELD)) if "walker" in name else car(world)
    before = (actor.control, actor.walk, list(actor.place), actor.hold, actor.velocity)
    ((failed, message),) = ask(server, name, actor.id, *CALLS[name](number))
    assert failed
    assert str(number) in message[0]
    assert (actor.control, actor.walk, list(actor.place), actor.hold, actor.velocity) == before
    # The same within a batch: one command is refused, the others are not.
    index = next((i for i, command in actor_calls.COMMANDS.items() if command == name), None)
    if index is not None:
        commands = [[[index, [actor.id, *CALLS[name](number)]]], [[1, [actor.id]]]]
        assert [reply[0] for ((reply),) in ask(server, "apply_batch", commands, False)] == [0, 1]


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("number", [HUGE, -HUGE, 1e300])
def test_the_largest_numbers_there_are_leave_the_world_sound(world, server, name, number):
    actor = world.spawn("walker.pedestrian.0001", {}, list(FIELD)) if "walker" in name else car(world)
    ask(server, name, actor.id, *CALLS[name](number))
    assert sound(world)


@pytest.mark.parametrize("place", [[nan, 0.0, 0.0], [0.0, inf, 0.0], [0.0, 0.0, HUGE]])
def test_nothing_is_spawned_out_of_this_world(world, server, place):
    before = len(world.actors)
    ((kind, _),) = ask(server, "spawn_actor", [1, "vehicle.audi.a2", []], [place, ROW])
    assert (kind, len(world.actors)) == (0, before)


@pytest.mark.parametrize(
    ("blueprint", "attribute", "text"),
    [
        ("sensor.other.imu", "sensor_tick", "nan"),
        ("sensor.other.imu", "sensor_tick", "-1"),
        ("sensor.camera.rgb", "fov", "inf"),
        ("sensor.camera.rgb", "fov", "180"),
        ("sensor.camera.rgb", "image_size_x", "0"),
        ("sensor.camera.rgb", "image_size_y", "wide"),
        ("walker.pedestrian.0001", "speed", "fast"),
    ],
)
def test_attributes_that_cannot_be_are_refused_by_name(world, blueprint, attribute, text):
    with pytest.raises(Refused, match=f"attribute {attribute} of {blueprint}.*{text}"):
        world.spawn(blueprint, {attribute: text}, list(FIELD))


@pytest.mark.parametrize("step", [nan, inf, -0.1, 1e9])
def test_a_step_that_cannot_be_is_refused(world, server, step):
    before = list(world.settings)
    ((kind, message),) = ask(server, "set_episode_settings", [True, False, [True, step]])
    assert (kind, world.settings) == (0, before)
    assert message


def test_sub_steps_are_as_many_as_carla_has(world, server):
    ask(server, "set_episode_settings", [True, False, [True, 0.1], True, -1.0, 10**9, *world.settings[6:]])
    car(world)
    assert sound(world)
    assert world.settings[5] == 16


def test_weather_and_lights_stay_sound(world, server):
    ((failed, _),) = ask(server, "set_weather_parameters", [nan] * 14)
    assert failed
    assert all(isfinite(value) for value in world.weather)
    light = next(iter(world.lights))
    ask(server, "set_traffic_light_green_time", light, -5.0)
    assert world.lights[light].times[0] == 0.0
    for state in (-1, 5, 300):
        ((failed, message),) = ask(server, "set_traffic_light_state", light, state)
        assert failed
        assert str(state) in message[0]
    assert sound(world)


def test_arguments_of_another_form_are_answered_with_an_error(world, server, capfd):
    actor = car(world)
    ((failed, message),) = ask(server, "apply_control_to_vehicle", actor.id, [1.0, 0.0])
    assert (failed, message[0].partition(":")[0]) == (True, "apply_control_to_vehicle")
    assert "Traceback" in capfd.readouterr().err
    assert sound(world)


def test_the_client_sees_what_is_refused():
    with Standin() as standin:
        client = carla.Client("127.0.0.1", standin.port)
        client.set_timeout(10.0)
        world = client.get_world()
        with pytest.raises(RuntimeError, match=r"fixed_delta_seconds of 1e\+09"):
            settings = world.get_settings()
            settings.fixed_delta_seconds = 1e9
            world.apply_settings(settings)
        car = world.get_blueprint_library().find("vehicle.audi.a2")
        with pytest.raises(RuntimeError, match="nan where a finite number is expected"):
            world.spawn_actor(car, carla.Transform(carla.Location(x=nan)))
        actor = world.spawn_actor(car, world.get_map().get_spawn_points()[0])
        world.tick()
        start = actor.get_location()
        actor.apply_control(carla.VehicleControl(throttle=nan))
        for _ in range(10):
            world.tick()
        assert actor.get_location().distance(start) < 0.5
        assert actor.get_control().throttle == 0.0


def test_attributes_that_blueprints_begin_with_are_sound():
    for blueprint in BLUEPRINTS.values():
        attributes = {attribute.name: attribute.value for attribute in blueprint.attributes}
        assert sound_attributes(blueprint, attributes).keys() == attributes.keys()


def test_a_whole_number_may_be_written_as_a_decimal_as_carla_takes_it(world):
    camera = world.spawn("sensor.camera.rgb", {"image_size_x": "64.0"}, list(FIELD))
    assert camera.attributes["image_size_x"] == "64"
