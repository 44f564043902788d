"""The real `carla` client does its work on the stand-in: maps, actors, sensors, lights, batches, TrafficManager."""

from __future__ import annotations

import queue
import socket
import subprocess
import sys

import numpy as np
import pytest

from tests.standin import Standin

carla = pytest.importorskip("carla", reason="needs the extra [carla]")
msgpack = pytest.importorskip("msgpack", reason="needs the extra [carla]")


@pytest.fixture(scope="module")
def client():
    with Standin() as standin:
        client = carla.Client("127.0.0.1", standin.port, worker_threads=4)
        client.set_timeout(10.0)
        yield client
        KEPT.clear()


@pytest.fixture
def world(client):
    """A world of its own, at ten steps a second."""
    world = client.load_world("GridTown", reset_settings=False)
    settings = world.get_settings()
    settings.synchronous_mode, settings.fixed_delta_seconds = True, 0.1
    world.apply_settings(settings)
    return world


# A sensor that nobody holds stops listening.
KEPT = []


def spawn(world, name="vehicle.tesla.model3", at=0, **attributes):
    blueprint = world.get_blueprint_library().find(name)
    for key, value in attributes.items():
        blueprint.set_attribute(key, value)
    points = sorted(world.get_map().get_spawn_points(), key=lambda t: (t.location.x, t.location.y))
    return world.spawn_actor(blueprint, points[at])


def fixed(world, name, parent, place=None, **attributes):
    blueprint = world.get_blueprint_library().find(name)
    for key, value in attributes.items():
        blueprint.set_attribute(key, value)
    sensor = world.spawn_actor(blueprint, place or carla.Transform(), attach_to=parent)
    KEPT.append(sensor)
    return sensor


def test_versions_and_maps(client, world):
    assert client.get_server_version() == client.get_client_version() == "0.9.16"
    assert client.get_available_maps() == ["/Game/Carla/Maps/GridTown", "/Game/Carla/Maps/RingTown"]
    assert world.get_map().name == "Carla/Maps/GridTown"
    assert len(world.get_map().get_spawn_points()) > 100
    assert client.load_world("RingTown", reset_settings=False).get_map().name == "Carla/Maps/RingTown"
    with pytest.raises(RuntimeError, match="NoTown"):
        client.load_world("NoTown")


def test_an_opendrive_text_becomes_the_world(client, world):
    text = world.get_map().to_opendrive().replace("GridTown", "Other")
    again = client.generate_opendrive_world(text, carla.OpendriveGenerationParameters(), False)
    assert again.get_map().to_opendrive() == text
    with pytest.raises(RuntimeError, match="no roads"):
        client.generate_opendrive_world("<OpenDRIVE/>", carla.OpendriveGenerationParameters(), False)


def test_a_step_is_one_frame_of_the_chosen_length(world):
    first, second = world.tick(), world.tick()
    snapshot = world.get_snapshot()
    assert (second - first, snapshot.frame) == (1, second)
    assert snapshot.timestamp.delta_seconds == pytest.approx(0.1)


def test_control_reaches_the_vehicle(world):
    ego = spawn(world)
    start = world.tick() and ego.get_transform()
    ego.apply_control(carla.VehicleControl(throttle=0.7))
    for _ in range(20):
        world.tick()
    forward = start.get_forward_vector()
    moved = ego.get_location() - start.location
    assert moved.dot(forward) > 5.0
    assert ego.get_velocity().length() > 4.0
    assert ego.get_control().throttle == pytest.approx(0.7)


@pytest.mark.parametrize(("yaw", "told"), [(180.0, 180.0), (-180.0, 180.0), (270.0, -90.0), (-30.0, -30.0)])
def test_angles_are_told_as_unreal_engine_has_them(world, yaw, told):
    assert all(-180.0 < point.rotation.yaw <= 180.0 for point in world.get_map().get_spawn_points())
    ego = spawn(world)
    ego.set_transform(carla.Transform(carla.Location(1000.0, 1000.0), carla.Rotation(yaw=yaw)))
    world.tick()
    assert ego.get_transform().rotation.yaw == pytest.approx(told, abs=1e-4)


def test_an_occupied_place_is_refused(world):
    spawn(world)
    with pytest.raises(RuntimeError, match="collision at spawn position"):
        spawn(world)


def test_a_crash_is_felt_by_both(world):
    ego = spawn(world)
    world.tick()
    here = ego.get_transform()
    ahead = carla.Transform(here.location + 10.0 * here.get_forward_vector(), here.rotation)
    library = world.get_blueprint_library()
    prop = world.spawn_actor(library.find("static.prop.container"), ahead)
    felt = queue.Queue()
    fixed(world, "sensor.other.collision", ego).listen(felt.put)
    ego.apply_control(carla.VehicleControl(throttle=1.0))
    for _ in range(30):
        world.tick()
    event = felt.get(timeout=5.0)
    assert (event.actor.id, event.other_actor.id) == (ego.id, prop.id)
    assert event.normal_impulse.length() > 1000.0


def test_crossing_a_line_is_seen(world):
    ego = spawn(world)
    world.tick()
    crossed = queue.Queue()
    fixed(world, "sensor.other.lane_invasion", ego).listen(crossed.put)
    ego.apply_control(carla.VehicleControl(throttle=0.8, steer=0.15))
    for _ in range(40):
        world.tick()
    assert crossed.get(timeout=5.0).crossed_lane_markings


def test_cameras_show_the_road_and_who_is_on_it(world):
    ego = spawn(world)
    world.tick()
    here = ego.get_transform()
    ahead = carla.Transform(here.location + 12.0 * here.get_forward_vector(), here.rotation)
    world.spawn_actor(world.get_blueprint_library().find("vehicle.mitsubishi.fusorosa"), ahead)
    size = {"image_size_x": "160", "image_size_y": "90"}
    images = {}
    for kind in ("semantic_segmentation", "rgb"):
        camera = fixed(world, f"sensor.camera.{kind}", ego, carla.Transform(carla.Location(z=2.0)), **size)
        images[kind] = queue.Queue()
        camera.listen(images[kind].put)
    for _ in range(3):
        frame = world.tick()
    pictures = {}
    for kind, data in images.items():
        image = next(i for i in iter(lambda data=data: data.get(timeout=5.0), None) if i.frame == frame)
        assert (image.width, image.height) == (160, 90)
        pictures[kind] = np.frombuffer(image.raw_data, np.uint8).reshape(90, 160, 4)
    tags = pictures["semantic_segmentation"][..., 2]
    # The red of CARLA's colours for a bus and for the road.
    assert (pictures["rgb"][45, 80, 2], pictures["rgb"][-1, 80, 2]) == (0, 128)
    assert tags[45, 80] == int(carla.CityObjectLabel.Bus)
    assert tags[-1, 80] == int(carla.CityObjectLabel.Roads)
    assert tags[0, 0] == int(carla.CityObjectLabel.Sky)


def test_nothing_is_rendered_where_nothing_is_to_be(world):
    settings = world.get_settings()
    settings.no_rendering_mode = True
    world.apply_settings(settings)
    ego, data = spawn(world), queue.Queue()
    fixed(world, "sensor.camera.rgb", ego).listen(data.put)
    for _ in range(3):
        world.tick()
    with pytest.raises(queue.Empty):
        data.get(timeout=0.3)


def test_inertia_and_place(world):
    ego, inertia, place = spawn(world), queue.Queue(), queue.Queue()
    fixed(world, "sensor.other.imu", ego).listen(inertia.put)
    fixed(world, "sensor.other.gnss", ego).listen(place.put)
    ego.apply_control(carla.VehicleControl(throttle=1.0))
    for _ in range(5):
        frame = world.tick()

    def latest(readings: queue.Queue) -> carla.SensorData:
        # The client may begin to listen a tick late: the first reading is not always there.
        return next(r for r in iter(lambda: readings.get(timeout=5.0), None) if r.frame == frame)

    felt, last = latest(inertia), latest(place)
    assert felt.accelerometer.x == pytest.approx(5.0, abs=0.6)
    assert felt.accelerometer.z == pytest.approx(9.81, abs=1e-3)
    expected = world.get_map().transform_to_geolocation(ego.get_location())
    assert (last.latitude, last.longitude) == pytest.approx((expected.latitude, expected.longitude), abs=1e-7)


def test_lights_can_be_read_set_and_frozen(world):
    world.tick()
    lights = world.get_actors().filter("traffic.traffic_light")
    assert len(lights) == 26
    light = lights[0]
    assert {lane.lane_id for lane in light.get_affected_lane_waypoints()} in ({1, 2}, {-1, -2})
    assert light.id in [other.id for other in light.get_group_traffic_lights()]
    light.freeze(True)
    light.set_state(carla.TrafficLightState.Yellow)
    for _ in range(50):
        world.tick()
    assert light.get_state() == carla.TrafficLightState.Yellow


def test_physics_that_were_applied_are_told(world):
    ego = spawn(world)
    physics = ego.get_physics_control()
    physics.mass, physics.drag_coefficient = 2345.0, 0.7
    ego.apply_physics_control(physics)
    world.tick()
    told = ego.get_physics_control()
    assert (told.mass, told.drag_coefficient) == pytest.approx((2345.0, 0.7))


def test_a_batch_answers_for_each_command(client, world):
    blueprint = world.get_blueprint_library().find("vehicle.audi.a2")
    point = sorted(world.get_map().get_spawn_points(), key=lambda t: (t.location.x, t.location.y))[5]
    command = carla.command
    first, second = client.apply_batch_sync([command.SpawnActor(blueprint, point)] * 2, False)
    assert (bool(first.error), "collision" in second.error) == (False, True)
    control = command.ApplyVehicleControl(first.actor_id, carla.VehicleControl(throttle=1.0))
    answers = client.apply_batch_sync([control, command.DestroyActor(99999)], False)
    assert (bool(answers[0].error), bool(answers[1].error)) == (False, True)
    for _ in range(10):
        world.tick()
    assert world.get_actor(first.actor_id).get_velocity().length() > 2.0
    client.apply_batch_sync([command.DestroyActor(first.actor_id)], False)
    world.tick()
    assert first.actor_id not in [actor.id for actor in world.get_actors()]


def test_the_traffic_manager_drives_within_the_lanes_and_stops_at_red(client, world):
    manager = client.get_trafficmanager(18123)
    manager.set_synchronous_mode(True)
    manager.set_random_device_seed(1)
    cars = [spawn(world, "vehicle.audi.a2", at=i) for i in range(0, 100, 8)]
    for car in cars:
        car.set_autopilot(True, 18123)
    moved, waited = set(), set()
    for _ in range(200):
        world.tick()
        for car in cars:
            speed, place = car.get_velocity().length(), car.get_location()
            if speed > 3.0:
                moved.add(car.id)
                assert world.get_map().get_waypoint(place, project_to_road=False) is not None
            if speed < 0.1 and car.is_at_traffic_light() and car.get_traffic_light_state().name == "Red":
                waited.add(car.id)
    assert len(moved) > 0.8 * len(cars)
    assert waited
    client.apply_batch_sync([carla.command.DestroyActor(car) for car in cars], False)
    world.tick()
    manager.shut_down()


def test_an_asynchronous_world_runs_by_itself():
    command = [sys.executable, "-m", "learned_sim_env.carla_standin", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = int(process.stdout.readline().split(",")[0].rpartition(":")[2])
            client = carla.Client("127.0.0.1", port)
            client.set_timeout(10.0)
            world = client.get_world()
            first = world.wait_for_tick(5.0).frame
            assert world.wait_for_tick(5.0).frame > first
        finally:
            process.kill()


def test_bad_command_lines_say_what_is_wrong(tmp_path):
    path = tmp_path / "bad.xodr"
    path.write_text("garbage")
    for arguments, message in ((["--map", str(path)], "no XML"), (["--town", "RingTwn"], "Did you mean 'RingTown'")):
        command = [sys.executable, "-m", "learned_sim_env.carla_standin", "--port", "0", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 2
        assert message in done.stderr


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", msgpack.packb([0, 1, "get_actors_by_id", [[False]]]), b"\xc1" * 20]
)
def test_nonsense_harms_nobody_else(data):
    with Standin() as standin:
        with socket.create_connection(("127.0.0.1", standin.port)) as stranger:
            stranger.sendall(data)
            stranger.settimeout(5.0)
            # An error as the answer to a call, or the end of the connection.
            assert b"get_actors_by_id" in (answer := stranger.recv(1000)) or not answer
        client = carla.Client("127.0.0.1", standin.port)
        client.set_timeout(5.0)
        assert client.get_server_version() == "0.9.16"
