"""Everything that CARLA 0.9.16 can spawn is there, by its id, and spawns."""

from __future__ import annotations

import pytest

from learned_sim_env.carla_standin.blueprints import BLUEPRINTS
from tests.standin import Standin

carla = pytest.importorskip("carla", reason="needs the extra [carla]")
pytest.importorskip("msgpack", reason="needs the extra [carla]")


@pytest.fixture(scope="module")
def client():
    with Standin() as standin:
        client = carla.Client("127.0.0.1", standin.port)
        client.set_timeout(20.0)
        yield client


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("vehicle.*", 41),
        ("walker.pedestrian.*", 52),
        ("sensor.*", 19),
        ("sensor.camera.*", 8),
        ("static.prop.*debris*", 3),
        ("static.trigger.friction", 1),
        ("controller.ai.walker", 1),
        ("util.actor.empty", 1),
    ],
)
def test_what_programs_look_for_is_there(client, pattern, count):
    assert len(client.get_world().get_blueprint_library().filter(pattern)) == count


def test_vehicles_are_told_apart_by_their_attributes(client):
    library = client.get_world().get_blueprint_library()

    def have(name: str, value: object) -> set[str]:
        read = {bool: carla.ActorAttribute.as_bool, int: carla.ActorAttribute.as_int, str: carla.ActorAttribute.as_str}
        return {b.id for b in library.filter("vehicle.*") if read[type(value)](b.get_attribute(name)) == value}

    two_wheels = have("base_type", "bicycle") | have("base_type", "motorcycle")
    assert have("number_of_wheels", 2) == two_wheels
    assert len(two_wheels) == 7
    assert have("special_type", "taxi") == {"vehicle.ford.crown"}
    assert "vehicle.ford.ambulance" in have("special_type", "emergency")
    assert have("has_dynamic_doors", True) < have("has_lights", True) < have("generation", 2)
    assert have("base_type", "bus") == {"vehicle.mitsubishi.fusorosa"}
    assert all(b.has_attribute("color") and b.has_attribute("ros_name") for b in library.filter("vehicle.*"))


def test_what_can_be_set_has_a_value_that_is_recommended(client):
    for blueprint in client.get_world().get_blueprint_library():
        for attribute in blueprint:
            values = attribute.recommended_values
            assert bool(values) or not attribute.is_modifiable, (blueprint.id, attribute.id)


def test_every_one_of_them_spawns(client):
    world = client.load_world("GridTown")
    library = sorted(world.get_blueprint_library(), key=lambda b: b.id)
    assert {b.id for b in library} == set(BLUEPRINTS)
    # On the plane beside the town, out of one another's way.
    places = [carla.Transform(carla.Location(1000.0 + 30.0 * (i % 20), 1000.0 + 30.0 * (i // 20))) for i in range(300)]
    batch = [carla.command.SpawnActor(blueprint, place) for blueprint, place in zip(library, places)]
    answers = client.apply_batch_sync(batch, False)
    assert [(b.id, answer.error) for b, answer in zip(library, answers) if answer.error] == []
    world.tick()
    actors = {actor.type_id: actor for actor in world.get_actors([answer.actor_id for answer in answers])}
    assert set(actors) == set(BLUEPRINTS)
    assert all(isinstance(a, carla.Sensor) for name, a in actors.items() if name.startswith("sensor."))
    # Half of the size, as measured on CARLA.
    assert actors["vehicle.carlamotors.firetruck"].bounding_box.extent.x == pytest.approx(4.234, abs=1e-3)
    assert actors["walker.pedestrian.0009"].bounding_box.extent.z == pytest.approx(0.55)


def test_what_is_no_body_is_in_nobodys_way(client):
    world = client.load_world("GridTown")
    library = world.get_blueprint_library()
    place = carla.Transform(carla.Location(1000.0, 1000.0, 0.0))
    for name in ("static.trigger.friction", "util.actor.empty", "sensor.camera.rgb", "vehicle.audi.a2"):
        assert world.spawn_actor(library.find(name), place).type_id == name
