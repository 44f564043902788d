"""What the stand-in has not, or takes without effect: clients hear of it, its log names it, the docs list it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.standin import Standin

pytest.importorskip("carla", reason="needs the extra [carla]")
pytest.importorskip("msgpack", reason="needs the extra [carla]")

import carla

from learned_sim_env.carla_standin.procedures import actor_calls, calls
from learned_sim_env.carla_standin.registry import CALLS

assert actor_calls and calls


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return tmp_path_factory.mktemp("log") / "standin.txt"


@pytest.fixture(scope="module")
def client(log):
    with Standin(log=log) as standin:
        client = carla.Client("127.0.0.1", standin.port)
        client.set_timeout(10.0)
        yield client


@pytest.fixture(scope="module")
def world(client):
    return client.get_world()


@pytest.fixture(scope="module")
def car(world):
    actor = world.spawn_actor(
        world.get_blueprint_library().find("vehicle.audi.a2"), world.get_map().get_spawn_points()[0]
    )
    world.tick()
    return actor


@pytest.mark.parametrize(
    ("name", "call"),
    [
        # Replies with a value, and without one: an error has another form in each.
        ("show_recorder_file_info", lambda client, world, car: client.show_recorder_file_info("a.log", False)),
        ("start_recorder", lambda client, world, car: client.start_recorder("a.log")),
        ("get_actor_bone_names", lambda client, world, car: car.get_bone_names()),
        ("get_actor_socket_names", lambda client, world, car: car.get_socket_names()),
        (
            "apply_color_texture_to_objects",
            lambda client, world, car: world.apply_color_texture_to_object(
                "house", carla.MaterialParameter.Diffuse, carla.TextureColor(2, 2)
            ),
        ),
    ],
)
def test_a_call_that_waits_hears_what_is_missing(client, world, car, log, name, call):
    with pytest.raises(RuntimeError, match=f"{name}: the stand-in has no such procedure"):
        call(client, world, car)
    assert f"carla_standin: {name}: the stand-in has no such procedure\n" in log.read_text()
    assert client.get_server_version() == "0.9.16"


@pytest.mark.parametrize(
    ("line", "call"),
    [
        ("stop_recorder: the stand-in has no such procedure", lambda client, world, car: client.stop_recorder()),
        ("enable_chrono_physics: the", lambda client, world, car: car.enable_chrono_physics(1, 0.1, "", "", "", "")),
        ("add_actor_impulse: taken, and without effect", lambda client, world, car: car.add_impulse(carla.Vector3D())),
        ("draw_debug_shape: taken, and without", lambda client, world, car: world.debug.draw_point(carla.Location())),
        ("set_actor_transform: (1e+07, 0, 0)", lambda client, world, car: car.set_transform(far())),
    ],
)
def test_a_call_that_does_not_wait_is_named_once_in_the_log(client, world, car, log, line, call):
    for _ in range(3):
        call(client, world, car)
    assert client.get_server_version() == "0.9.16"
    assert log.read_text().count(f"carla_standin: {line}") == 1


def far():
    return carla.Transform(carla.Location(x=1e7))


def test_the_docs_list_what_has_no_effect():
    text = Path("docs/carla.md").read_text(encoding="utf-8")
    assert [name for name, call in CALLS.items() if call.idle and f"`{name}`" not in text] == []
