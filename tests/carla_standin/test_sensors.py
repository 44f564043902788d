"""Depth and instance cameras, lidars, radar and obstacle detector measure the stand-in's world, seen by the client."""

from __future__ import annotations

import math
import queue

import numpy as np
import pytest

from tests.standin import Standin

carla = pytest.importorskip("carla", reason="needs the extra [carla]")
pytest.importorskip("msgpack", reason="needs the extra [carla]")

HEIGHT = 2.0  # [m] of sensors above the ground
SENSOR = carla.Transform(carla.Location(z=HEIGHT))
# [m] from the sensor to the middle of the bus ahead, and half of its length.
AHEAD, HALF = 15.0, 10.273 / 2


class Scene:
    """A car with a bus ahead of it, on the plane beside the town, and what sensors on the car say."""

    def __init__(self, client: carla.Client):
        self.world = client.load_world("GridTown", reset_settings=False)
        settings = self.world.get_settings()
        settings.synchronous_mode, settings.fixed_delta_seconds = True, 0.1
        self.world.apply_settings(settings)
        self.kept: list[carla.Sensor] = []
        # On a street of the town that is straight for far enough.
        points = self.world.get_map().get_spawn_points()
        self.here = next(p for p in points if self._straight(p))
        self.car = self.spawn("vehicle.tesla.model3", 0.0)
        self.bus = self.spawn("vehicle.mitsubishi.fusorosa", AHEAD)
        self.world.tick()

    def _straight(self, place: carla.Transform) -> bool:
        there = self.world.get_map().get_waypoint(place.location + 40.0 * place.get_forward_vector(), False)
        return there is not None and abs(there.transform.rotation.yaw - place.rotation.yaw) % 360.0 < 0.1

    def spawn(self, name: str, ahead: float) -> carla.Actor:
        place = carla.Transform(self.here.location + ahead * self.here.get_forward_vector(), self.here.rotation)
        place.location.z = 0.0
        return self.world.spawn_actor(self.world.get_blueprint_library().find(name), place)

    def sensor(self, name: str, place: carla.Transform = SENSOR, **attributes: object) -> queue.Queue:
        blueprint, data = self.world.get_blueprint_library().find(name), queue.Queue()
        for key, value in attributes.items():
            blueprint.set_attribute(key, str(value))
        self.kept.append(self.world.spawn_actor(blueprint, place, attach_to=self.car))
        self.kept[-1].listen(data.put)
        return data

    def close(self) -> None:
        for sensor in self.kept:
            sensor.stop()
            sensor.destroy()

    def latest(self, data: queue.Queue, ticks: int = 3) -> carla.SensorData:
        for _ in range(ticks):
            frame = self.world.tick()
        return next(d for d in iter(lambda: data.get(timeout=10.0), None) if d.frame == frame)


@pytest.fixture(scope="module")
def client():
    with Standin() as standin:
        client = carla.Client("127.0.0.1", standin.port, worker_threads=4)
        client.set_timeout(20.0)
        yield client


@pytest.fixture
def scene(client):
    scene = Scene(client)
    yield scene
    scene.close()


SIZE = {"image_size_x": 160, "image_size_y": 90}


def pixels(image: carla.Image) -> np.ndarray:
    return np.frombuffer(image.raw_data, np.uint8).reshape(image.height, image.width, 4).astype(np.int64)


def test_depth_is_along_the_cameras_axis(scene):
    seen = pixels(scene.latest(scene.sensor("sensor.camera.depth", **SIZE)))
    metres = 1000.0 * (seen[..., 2] + 256 * seen[..., 1] + 65536 * seen[..., 0]) / (256**3 - 1)
    # The bus's back, a plane across the axis, is as far in its corners as in its middle.
    assert metres[45, 80] == pytest.approx(AHEAD - HALF, abs=1e-3)
    assert metres[45, 70] == pytest.approx(AHEAD - HALF, abs=1e-3)
    # The ground, by similar triangles: half a picture is as wide as the focal length at 90 degrees.
    assert metres[-1, 10] == pytest.approx(HEIGHT * 80.0 / 44.5, abs=1e-3)
    assert metres[0, 0] == 1000.0


def test_instances_are_known_by_their_ids(scene):
    near = scene.spawn("static.prop.trafficcone01", 6.0)
    seen = pixels(scene.latest(scene.sensor("sensor.camera.instance_segmentation", **SIZE)))
    ids = seen[..., 1] + 256 * seen[..., 0]
    assert set(np.unique(ids)) == {0, scene.bus.id & 0xFFFF, near.id & 0xFFFF}
    assert (ids[45, 80], seen[45, 80, 2]) == (scene.bus.id & 0xFFFF, int(carla.CityObjectLabel.Bus))
    # The cone stands before the bus, on the ground.
    rows, _ = np.nonzero(ids == near.id & 0xFFFF)
    assert rows.min() > 45
    assert seen[0, 0, 2] == int(carla.CityObjectLabel.Sky)


def test_a_body_that_reaches_behind_the_camera_is_seen(scene):
    # Beside the bus, which begins behind the camera.
    at = carla.Transform(carla.Location(AHEAD - 2.0, -4.0, HEIGHT), carla.Rotation(yaw=90.0))
    seen = pixels(scene.latest(scene.sensor("sensor.camera.semantic_segmentation", at, **SIZE)))
    assert (seen[20:60, :, 2] == int(carla.CityObjectLabel.Bus)).mean() > 0.9


LIDAR = {
    "channels": 16,
    "range": 50,
    "points_per_second": 160000,
    "rotation_frequency": 10,
    "upper_fov": 5,
    "lower_fov": -25,
}
WHOLE = {"dropoff_general_rate": 0.0, "dropoff_zero_intensity": 0.0}


def test_a_lidar_meets_the_ground_and_the_bus(scene):
    measured = scene.latest(scene.sensor("sensor.lidar.ray_cast", **LIDAR, **WHOLE))
    points = np.frombuffer(measured.raw_data, np.float32).reshape(-1, 4)
    assert measured.channels == 16
    assert sum(measured.get_point_count(i) for i in range(16)) == len(points) == len(list(measured))
    ground = np.isclose(points[:, 2], -HEIGHT, atol=1e-3)
    bus = points[~ground]
    assert ground.sum() > 1000
    assert len(bus) > 50
    # In the lidar's frame: forward x, right y.
    assert bus[:, 0].min() == pytest.approx(AHEAD - HALF, abs=0.01)
    assert np.abs(bus[:, 1]).max() < 3.944 / 2 + 0.01
    # A turn takes as long as a step: all around.
    assert len(np.unique(np.sign(points[ground][:, 0]))) == 2
    assert points[:, 3] == pytest.approx(np.exp(-0.004 * np.linalg.norm(points[:, :3], axis=1)), abs=1e-4)


def test_a_lidar_loses_points_as_it_is_told_to(scene):
    whole, some = (scene.sensor("sensor.lidar.ray_cast", **LIDAR, **more) for more in (WHOLE, {}))
    both = [len(scene.latest(data)) for data in (whole,)] + [len(scene.latest(some))]
    assert both[1] == pytest.approx(0.55 * both[0], rel=0.1)


def test_a_semantic_lidar_says_what_each_point_is_of(scene):
    measured = scene.latest(scene.sensor("sensor.lidar.ray_cast_semantic", **LIDAR))
    bus = [p for p in measured if p.object_idx == scene.bus.id]
    assert bus
    assert {p.object_tag for p in bus} == {int(carla.CityObjectLabel.Bus)}
    straight = min(bus, key=lambda p: abs(p.point.y) + abs(p.point.z))
    assert straight.cos_inc_angle == pytest.approx(1.0, abs=0.01)
    tags = {p.object_tag for p in measured if p.object_idx == 0}
    assert {int(carla.CityObjectLabel.Roads), int(carla.CityObjectLabel.RoadLines)} <= tags
    under = min(measured, key=lambda p: p.point.z)
    assert under.cos_inc_angle == pytest.approx(HEIGHT / math.hypot(HEIGHT, under.point.x, under.point.y), abs=1e-3)


@pytest.mark.parametrize("away", [1.0, -1.0], ids=["away", "towards"])
def test_a_radar_measures_speed(scene, away):
    data = scene.sensor("sensor.other.radar", horizontal_fov=10, vertical_fov=10, points_per_second=2000)
    scene.bus.apply_control(carla.VehicleControl(throttle=0.8, reverse=away < 0))
    measured = scene.latest(data, 4)
    speed = scene.bus.get_velocity().length()
    there = [d for d in measured if abs(d.velocity) > 0.1]
    assert len(there) > 50
    for d in there:
        # What of the speed is along the ray.
        assert d.velocity == pytest.approx(away * speed * math.cos(d.azimuth) * math.cos(d.altitude), rel=0.02)
        assert abs(d.azimuth) <= math.radians(5.0)
        assert d.depth > 5.0


def test_rays_that_meet_nothing_are_no_points(scene):
    scene.bus.destroy()
    up = carla.Transform(carla.Location(z=HEIGHT), carla.Rotation(pitch=60.0))
    for name, more in (
        ("other.radar", {}),
        ("lidar.ray_cast", {"lower_fov": 0}),
        ("lidar.ray_cast_semantic", {"lower_fov": 0}),
    ):
        assert len(scene.latest(scene.sensor(f"sensor.{name}", up, **more, horizontal_fov=30))) == 0


def test_an_obstacle_is_told_within_its_distance(scene):
    near, far = (scene.sensor("sensor.other.obstacle", distance=d, hit_radius=0.5) for d in (30.0, 5.0))
    event = scene.latest(near)
    assert (event.actor.id, event.other_actor.id) == (scene.car.id, scene.bus.id)
    assert event.distance == pytest.approx(AHEAD - HALF - 0.5, abs=0.01)
    assert far.empty()


def test_sensors_that_are_not_simulated_spawn_and_say_so_once(capfd):
    with Standin() as standin:
        client = carla.Client("127.0.0.1", standin.port)
        client.set_timeout(20.0)
        scene = Scene(client)
        data = [scene.sensor(f"sensor.camera.{kind}") for kind in ("optical_flow", "optical_flow", "dvs")]
        for _ in range(3):
            scene.world.tick()
        assert all(d.empty() for d in data)
        scene.close()
    said = [line for line in capfd.readouterr().err.splitlines() if "is not simulated" in line]
    assert said == [
        f"carla_standin: sensor.camera.{kind} is not simulated: it sends nothing" for kind in ("optical_flow", "dvs")
    ]
