"""Cameras of bags: images, what `camera_info` says of the lens, and static transforms of where they are on the car."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from learned_sim_env.recordings.formats.rosbag.messages import Topic, messages, stream
from learned_sim_env.recordings.formats.shared.rotations import matrix_of
from learned_sim_env.recordings.pictures import decoded, shrunk
from learned_sim_env.recordings.recording import Camera, RecordingError
from learned_sim_env.spec import CameraSpec

IMAGES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
# The frame of the car, on its rear axle and on the ground, by the convention of Autoware and most others.
CAR, STATIC = "base_link", "/tf_static"
# By encoding of `sensor_msgs/Image`: bytes of a pixel, and which of them are red, green and blue.
ENCODINGS = {
    "rgb8": (3, (0, 1, 2)),
    "bgr8": (3, (2, 1, 0)),
    "rgba8": (4, (0, 1, 2)),
    "bgra8": (4, (2, 1, 0)),
    "mono8": (1, (0, 0, 0)),
}


@dataclass(frozen=True)
class BagPictures:
    """Images of a topic in the order in which they were recorded; those whose stamps go back are left out."""

    path: Path
    topic: str

    def times(self) -> np.ndarray:
        """(N,) [s] stamps."""
        return np.array([time for time, _ in self._ascending()])

    def read(self, numbers: Iterable[int], shrink: int = 1) -> Iterator[np.ndarray | None]:
        """See `pictures.Pictures`."""
        wanted = iter(numbers)
        number = next(wanted, None)
        for k, (_, message) in enumerate(self._ascending()):
            if number is None:
                return
            if k == number:
                yield _picture(message, shrink)
                number = next(wanted, None)

    def _ascending(self) -> Iterator[tuple[float, Any]]:
        last = -np.inf
        for _, time, message in stream(self.path, {self.topic}):
            if time > last:
                last = time
                yield time, message


def cameras_of(
    path: Path, topics: Mapping[str, Topic], told: Mapping[str, Any], start: float, notes: list[str]
) -> Iterator[Camera]:
    """Cameras that a mapping tells of under [cameras], or all whose lens is known. start: [s] of the recording's clock.

    Raises:
        RecordingError: where the mapping is wrong.
    """
    wanted = dict(told)
    for name, topic in topics.items():
        info = f"{_base(name)}/camera_info"
        if not told and topic.type in IMAGES and info in topics:
            wanted[_base(name).strip("/")] = {"topic": name, "info": info}
    if not wanted:
        return
    mounted = _mounted(path, topics)
    for name, how in wanted.items():
        for key in ("topic", "info"):
            if how.get(key, how.get("topic")) not in topics:
                raise RecordingError(f"[cameras.{name}] needs {key!r}, a topic of the bag, not {how.get(key)!r}")
        if (kind := topics[how["topic"]].type) not in IMAGES:
            raise RecordingError(f"[cameras.{name}]: {how['topic']} is no topic of images, but {kind}")
        pictures = BagPictures(path, how["topic"])
        first = next((m for _, _, m in stream(path, {how["topic"]})), None)
        if first is None or (size := _size(first)) is None:
            notes.append(f"images of {how['topic']} cannot be decoded")
            continue
        matrix, lens, frame = _lens(path, how, size)
        frame = frame or str(first.header.frame_id).lstrip("/")
        nowhere: tuple[None, None] = (None, None)
        place, rotation = mounted.get(frame, nowhere)
        if "yaw" in how or "pitch" in how or "position" in how:
            place = np.array(how.get("position", (1.5, 0.0, 1.5)), np.float64)
            rotation = CameraSpec(yaw=float(how.get("yaw", 0.0)), pitch=float(how.get("pitch", 0.0))).rotation
        yield Camera(name, pictures.times() - start, pictures, matrix, place, rotation, lens, size)


def _base(topic: str) -> str:
    """Namespace of a camera, of a topic such as /front/image_raw/compressed."""
    parts = topic.split("/")
    return "/".join(parts[: next((k for k, part in enumerate(parts) if part.startswith("image")), len(parts) - 1)])


def _lens(path: Path, how: Mapping[str, Any], size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray | None, str]:
    """Matrix, distortion and frame of a camera: as told by its field of view, or as `camera_info` says."""
    height, width = size
    if "info" in how:
        message = next((m for _, _, m in stream(path, {how["info"]})), None)
        if message is None:
            raise RecordingError(f"{how['info']} has no messages")
        get = lambda *names: next(getattr(message, n) for n in names if hasattr(message, n))  # noqa: E731
        matrix, lens = np.array(get("k", "K"), np.float64).reshape(3, 3), np.array(get("d", "D"), np.float64)
        rectified = "rect" in how["topic"]
        if rectified:
            matrix, lens = np.array(get("p", "P"), np.float64).reshape(3, 4)[:, :3], np.zeros(0)
        elif message.distortion_model not in ("plumb_bob", "") and lens.any():
            raise RecordingError(f"{how['info']} has the lens model {message.distortion_model!r}: rectify its images")
        return matrix, lens[:5] if len(lens) >= 5 and lens.any() else None, str(message.header.frame_id).lstrip("/")
    if "fov" not in how:
        raise RecordingError(f"a camera needs 'info', a topic, or 'fov' [degrees]: {how['topic']} has neither")
    focal = CameraSpec(fov=float(how["fov"]), width=width, height=height).focal_length
    return np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1.0]]), None, ""


def _mounted(path: Path, topics: Mapping[str, Topic]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By frame that a chain of static transforms leads to from the car's, its position and rotation (rows) in it."""
    if STATIC not in topics:
        return {}
    steps: dict[str, list[tuple[str, np.ndarray, np.ndarray]]] = {}
    for _, message in messages(path, {STATIC}).get(STATIC, []):
        for t in message.transforms:
            moved, turned = t.transform.translation, t.transform.rotation
            steps.setdefault(t.header.frame_id.lstrip("/"), []).append(
                (
                    t.child_frame_id.lstrip("/"),
                    np.array([moved.x, moved.y, moved.z]),
                    matrix_of(np.array([turned.w, turned.x, turned.y, turned.z])),
                )
            )
    found, todo = {CAR: (np.zeros(3), np.eye(3))}, [CAR]
    while todo:
        parent = todo.pop()
        place, axes = found[parent]
        for child, moved, turned in steps.get(parent, ()):
            if child not in found:
                found[child] = place + axes @ moved, axes @ turned
                todo.append(child)
    # Optical frames look along z, with x to the right and y down.
    return {frame: (place, axes.T) for frame, (place, axes) in found.items()}


def _size(message: Any) -> tuple[int, int] | None:
    picture = _picture(message, 1)
    return None if picture is None else (picture.shape[0], picture.shape[1])


def _picture(message: Any, shrink: int) -> np.ndarray | None:
    """(H, W, 3) uint8 RGB, None for a damaged one or an encoding that is not known."""
    data = np.asarray(message.data, np.uint8)
    if not hasattr(message, "encoding"):
        return decoded(data.tobytes(), shrink)
    if message.encoding not in ENCODINGS:
        return None
    channels, order = ENCODINGS[message.encoding]
    if message.step < channels * message.width or len(data) < message.step * message.height:
        return None
    rows = data[: message.step * message.height].reshape(message.height, message.step)
    pixels = rows[:, : channels * message.width].reshape(message.height, message.width, channels)
    return shrunk(np.ascontiguousarray(pixels[..., list(order)]), shrink)
