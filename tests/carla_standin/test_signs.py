"""Lights and signs of maps as others write them: references, several lanes, stop, yield and speed-limit signs."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from learned_sim_env.carla_standin.towns import TOWNS
from learned_sim_env.simulators.carla.lights import StopLines
from tests.standin import Standin

carla = pytest.importorskip("carla", reason="needs the extra [carla]")
pytest.importorskip("msgpack", reason="needs the extra [carla]")

SIGNS = {"206": "traffic.stop", "205": "traffic.yield", "274": "traffic.speed_limit.60"}


def referring_town() -> str:
    """GridTown with its lights as CARLA's own towns have them, and three signs.

    A `<signal>` holds for no lane where it stands; `<signalReference>`s on the roads across the junction say for which.
    """
    root = ElementTree.fromstring(TOWNS["GridTown"]().encode())
    roads = root.findall("road")
    for road in roads:
        for signal in road.findall("signals/signal"):
            validity = signal.find("validity")
            lanes = range(int(validity.get("fromLane")), int(validity.get("toLane")) + 1)
            validity.set("fromLane", "0")
            validity.set("toLane", "0")
            contact = "start" if float(signal.get("s")) < float(road.get("length")) / 2 else "end"
            for across in roads:
                before = across.find("link/predecessor")
                lane = across.find("lanes/laneSection/right/lane/link/predecessor")
                if lane is None or int(lane.get("id")) not in lanes:
                    continue
                if (before.get("elementId"), before.get("contactPoint")) != (road.get("id"), contact):
                    continue
                of = {"id": signal.get("id"), "s": "0.6", "t": "0.0", "orientation": "+"}
                reference = ElementTree.SubElement(across.find("signals"), "signalReference", of)
                ElementTree.SubElement(reference, "validity", fromLane="-1", toLane="-1")
    for i, kind in enumerate(SIGNS):
        of = {"id": f"sign{i}", "name": kind, "s": f"{20 + i}", "t": "-9", "orientation": "+", "dynamic": "no"}
        of |= {"type": kind, "subtype": "-1", "value": "60" if kind == "274" else "-1", "unit": "km/h", "zOffset": "2"}
        of |= {
            "country": "OpenDRIVE",
            "hOffset": "0",
            "pitch": "0",
            "roll": "0",
            "text": "",
            "height": "1",
            "width": "1",
        }
        sign = ElementTree.SubElement(roads[0].find("signals"), "signal", of)
        ElementTree.SubElement(sign, "validity", fromLane="-3", toLane="-1")
    return ElementTree.tostring(root, encoding="unicode")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    path = tmp_path_factory.mktemp("maps") / "referring.xodr"
    path.write_text(referring_town())
    with Standin("--map", str(path)) as standin:
        client = carla.Client("127.0.0.1", standin.port)
        client.set_timeout(10.0)
        world = client.get_world()
        world.tick()
        yield world


def lights_of(world):
    return sorted(world.get_actors().filter("traffic.traffic_light"), key=lambda light: light.id)


def test_a_signal_is_one_light_whatever_its_references(world):
    lights = lights_of(world)
    landmarks = world.get_map().get_all_landmarks_of_type("1000001")
    assert len(landmarks) > len(lights) == len({mark.id for mark in landmarks}) == 26
    assert {light.get_opendrive_id() for light in lights} == {mark.id for mark in landmarks}
    for light in lights:
        assert light.id in [other.id for other in light.get_group_traffic_lights()]
        light.set_state(carla.TrafficLightState.Green)
        assert world.get_traffic_light_from_opendrive_id(light.get_opendrive_id()).id == light.id


def test_references_say_where_a_light_holds(world):
    for light in lights_of(world):
        places = light.get_affected_lane_waypoints()
        assert len(places) > 1
        assert all(w.is_junction for w in places)
        # The lanes before the junction, at which CARLA's own code lets cars wait.
        stops = light.get_stop_waypoints()
        assert {w.is_junction for w in stops} == {False}
        assert len({w.lane_id for w in stops}) == 2
        # As programs look for those lanes: along the x axis of the volume.
        volume, place = light.trigger_volume, light.get_transform()
        assert volume.extent.x == pytest.approx(3.325, abs=0.01)
        middle = place.transform(volume.location)
        assert world.get_map().get_waypoint(middle).road_id == stops[0].road_id


def test_the_twin_closes_a_line_for_each_reference(world):
    lines = StopLines(world).closed("Red", "Yellow", "Green")
    assert len(lines) == sum(len(light.get_affected_lane_waypoints()) for light in lights_of(world)) > 26
    for line in lines:
        assert np.hypot(*(line.points[1] - line.points[0])) == pytest.approx(3.5, abs=0.01)


def test_a_car_before_the_junction_is_at_the_light(world):
    light = lights_of(world)[0]
    stop = light.get_stop_waypoints()[0]
    blueprint = world.get_blueprint_library().find("vehicle.tesla.model3")
    for distance, held in ((0.5, True), (20.0, False)):
        place = stop.previous(distance)[0].transform
        place.location.z += 0.3
        car = world.spawn_actor(blueprint, place)
        world.tick()
        assert car.is_at_traffic_light() == held
        if held:
            assert car.get_traffic_light().id == light.id
        car.destroy()


def test_signs_are_actors_of_their_types(world):
    signs = {a.type_id: a for a in world.get_actors().filter("traffic.*") if a.type_id != "traffic.traffic_light"}
    assert sorted(signs) == sorted(SIGNS.values())
    for mark in world.get_map().get_all_landmarks():
        if mark.type in SIGNS:
            sign = world.get_traffic_sign(mark)
            assert sign.type_id == SIGNS[mark.type]
            # Across both lanes that are driven on, and not across the pavement.
            assert sign.trigger_volume.extent.x == pytest.approx(3.325, abs=0.01)
            assert sign.get_location().distance(mark.transform.location) < 0.01


def test_only_the_line_with_the_port_goes_to_the_output(tmp_path):
    path = tmp_path / "nowhere.xodr"
    start, _, rest = TOWNS["RingTown"]().partition("<geoReference>")
    path.write_text(start + rest.partition("</geoReference>")[2])
    # CARLA's map code warns that such a map has no place on Earth.
    with Standin("--map", str(path)) as standin:
        client = carla.Client("127.0.0.1", standin.port)
        client.set_timeout(10.0)
        assert client.get_server_version() == "0.9.16"
