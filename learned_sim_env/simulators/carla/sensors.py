"""Sensors on the ego. Their data comes on other sockets than the world's: it is matched by frame."""

from __future__ import annotations

import queue
from collections.abc import Mapping
from typing import Any

import numpy as np

from learned_sim_env.scene import SimulatorError
from learned_sim_env.simulators.carla.connection import role
from learned_sim_env.spec import CameraSpec, SemanticClass, unknown

# Name of an extra of `info` -> CARLA's blueprint, for those that are sensors.
BLUEPRINTS = {
    "lane_invasion": "sensor.other.lane_invasion",
    "rgb": "sensor.camera.rgb",
    "semantic_camera": "sensor.camera.semantic_segmentation",
}
CAMERAS = ("rgb", "semantic_camera")
EXTRAS = ("red_light", *BLUEPRINTS)
# [m, deg] Where cameras are fixed.
CAMERA_PLACE, CAMERA_PITCH = (0.8, 0.0, 1.7), -5.0


def check_extras(extras: tuple[str, ...]) -> None:
    """`ValueError` for a name that is not in `EXTRAS`."""
    for name in extras:
        if name not in EXTRAS:
            raise unknown("extra", name, EXTRAS)


def contact_class(type_id: str) -> SemanticClass:
    """What an actor of a CARLA type is to the contract."""
    kinds = {"vehicle": SemanticClass.VEHICLE, "walker": SemanticClass.PEDESTRIAN}
    return kinds.get(type_id.partition(".")[0], SemanticClass.STATIC_OBJECT)


class Sensors:
    """What listens on one ego.

    size: (width, height) of pictures that are extras. cameras: the contract's, by name.
    """

    def __init__(
        self,
        carla: Any,
        world: Any,
        ego: Any,
        extras: tuple[str, ...],
        size: tuple[int, int],
        cameras: Mapping[str, CameraSpec],
    ):
        self.actors: list[Any] = []
        self._collisions: queue.SimpleQueue[SemanticClass] = queue.SimpleQueue()
        self._data: dict[str, queue.SimpleQueue[Any]] = {}
        library, here = world.get_blueprint_library(), carla.Transform()
        blueprint = library.find("sensor.other.collision")
        blueprint.set_attribute("role_name", role())
        collision = world.spawn_actor(blueprint, here, attach_to=ego)
        self.actors.append(collision)
        felt = self._collisions
        collision.listen(lambda event: felt.put(contact_class(event.other_actor.type_id)))
        for name in (n for n in extras if n in BLUEPRINTS):
            blueprint, place = library.find(BLUEPRINTS[name]), here
            blueprint.set_attribute("role_name", role())
            if name in CAMERAS:
                blueprint.set_attribute("image_size_x", str(size[0]))
                blueprint.set_attribute("image_size_y", str(size[1]))
                place = carla.Transform(carla.Location(*CAMERA_PLACE), carla.Rotation(pitch=CAMERA_PITCH))
            sensor = world.spawn_actor(blueprint, place, attach_to=ego)
            self.actors.append(sensor)
            data = self._data[name] = queue.SimpleQueue()
            sensor.listen(data.put)
        self._pictures: dict[str, queue.SimpleQueue[Any]] = {}
        for name, camera in cameras.items():
            blueprint = library.find(BLUEPRINTS["rgb"])
            attributes = {"image_size_x": camera.width, "image_size_y": camera.height, "fov": camera.fov}
            for attribute, value in {"role_name": role(), **attributes}.items():
                blueprint.set_attribute(attribute, str(value))
            sensor = world.spawn_actor(blueprint, _mount(carla, camera, ego.bounding_box), attach_to=ego)
            self.actors.append(sensor)
            data = self._pictures[name] = queue.SimpleQueue()
            sensor.listen(data.put)

    def contacts(self) -> frozenset[SemanticClass]:
        """What has touched the ego and was not told before; nothing is waited for, as most frames have no contact."""
        return frozenset(_drained(self._collisions))

    def extras(self, frame: int, patience: float) -> dict[str, Any]:
        """`lane_invasion`: names of the markings crossed; cameras: (H, W, 3) uint8 RGB or (H, W) uint8 tags.

        Raises:
            SimulatorError: if a picture of `frame` has not come after `patience` seconds.
        """
        found: dict[str, Any] = {}
        for name, data in self._data.items():
            if name in CAMERAS:
                found[name] = _picture(name, data, frame, patience)
            else:
                found[name] = tuple(m.type.name for event in _drained(data) for m in event.crossed_lane_markings)
        return found

    def pictures(self, frame: int, patience: float) -> dict[str, np.ndarray]:
        """(H, W, 3) uint8 RGB of the contract's cameras, by name; raises as `extras` does."""
        return {name: _picture(name, data, frame, patience) for name, data in self._pictures.items()}

    def stop(self) -> None:
        """Let none of them speak any more."""
        for sensor in self.actors:
            if sensor.is_listening:
                sensor.stop()


def _mount(carla: Any, camera: CameraSpec, box: Any) -> Any:
    """Where a camera is fixed, in CARLA's left-handed frame of the ego, whose origin is not the middle of its box."""
    x, y, z = camera.position
    middle, ground = box.location, box.location.z - box.extent.z
    place = carla.Location(middle.x + x, middle.y - y, ground + z)
    return carla.Transform(place, carla.Rotation(pitch=camera.pitch, yaw=-camera.yaw))


def _drained(data: queue.SimpleQueue[Any]) -> list[Any]:
    events = []
    while not data.empty():
        events.append(data.get())
    return events


def _picture(name: str, data: queue.SimpleQueue[Any], frame: int, patience: float) -> np.ndarray:
    while True:
        try:
            image = data.get(timeout=patience)
        except queue.Empty:
            raise SimulatorError(
                f"no data of sensor {name!r} for frame {frame} within {patience:g} s: does the server render?"
            ) from None
        if image.frame < frame:
            continue
        pixels = np.frombuffer(image.raw_data, np.uint8).reshape(image.height, image.width, 4)
        return pixels[..., 2].copy() if name == "semantic_camera" else pixels[..., 2::-1].copy()
