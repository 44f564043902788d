"""comma2k19 segments (github.com/commaai/comma2k19): a minute of CAN bus and of poses on the earth, as NumPy files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from learned_sim_env.recordings.formats.shared.rotations import matrix_of
from learned_sim_env.recordings.pictures import Video
from learned_sim_env.recordings.recording import Camera, EgoPath, Recording, RecordingError, Signal, in_order
from learned_sim_env.spec import CameraSpec

# [m] Half axes of the earth (WGS 84).
EQUATOR, POLE = 6378137.0, 6356752.314245
# [m] How far the camera behind the windscreen is ahead of the rear axle, where turns do not tell.
CAMERA = 1.7
# [pixels, pixels] Focal length, and height and width, of the device's pictures; [m] how high it is above the ground.
# (comma2k19, utils/camera.py; the height is that of cars of its kind.)
FOCAL, SIZE, HEIGHT = 910.0, (874, 1164), 1.22
# [rad/s] The car has to turn this much (standard deviation) for them to tell.
LEAST_TURNING = 0.03


def recognises(path: Path) -> bool:
    """A folder with poses and a processed log."""
    return path.is_dir() and (path / "global_pose" / "frame_positions").is_file()


def read(path: Path) -> Iterator[Recording]:
    """The one segment of a folder."""
    poses = path / "global_pose"
    times = _array(poses / "frame_times", 1)
    positions, velocities = _array(poses / "frame_positions", 2), _array(poses / "frame_velocities", 2)
    orientations = _array(poses / "frame_orientations", 2)
    if not len(times) == len(positions) == len(velocities) == len(orientations):
        raise RecordingError(
            f"its poses disagree: {len(times)} times, {len(positions)} positions, {len(orientations)} orientations"
        )
    if not np.isfinite(positions).all() or not (np.abs(np.linalg.norm(positions, axis=1) - EQUATOR) < 5e4).all():
        raise RecordingError("frame_positions are not on the earth's surface: metres from its centre are expected")
    ground = _ground(positions[0])
    places = (positions - positions[0]) @ ground[:2].T
    # Axes of the device are forward, right, down, and the quaternion turns them into those of the earth.
    forward = matrix_of(orientations)[..., 0] @ ground[:2].T
    headings = np.arctan2(forward[:, 1], forward[:, 0])
    start = float(times[0])
    ordered, places, headings, velocity = in_order(times - start, places, headings, velocities @ ground[:2].T)
    origin, skew = _mounting(ordered, np.unwrap(headings), velocity)
    signals, notes = _signals(path / "processed_log" / "CAN", start)
    ahead = CAMERA if origin is None else origin
    pitch = _pitch(matrix_of(orientations), velocities)
    yield Recording(
        name=path.resolve().parent.name + "/" + path.resolve().name,
        format="comma",
        file=path,
        log=f"comma/{path.resolve().parent.name}",
        ego=EgoPath(ordered, places, headings + skew, ahead, noise=0.1),
        signals=signals,
        cameras=tuple(_cameras(path, times - start, ahead, skew, pitch)),
        notes=(
            "the car is not known: a usual one is assumed, and the steering wheel's ratio is fitted",
            *(() if origin is not None else ("the car hardly turns: where the camera is on it is assumed",)),
            *notes,
        ),
    )


def _array(path: Path, dimensions: int) -> np.ndarray:
    """A NumPy file without a suffix, float64, with so many dimensions."""
    if not path.is_file():
        raise RecordingError(f"{path.parent.name}/{path.name} is missing")
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise RecordingError(f"{path.parent.name}/{path.name} is no NumPy array ({error})") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise RecordingError(f"{path.parent.name}/{path.name} holds no numbers")
    if dimensions == 1 and array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != dimensions or len(array) < 2:
        raise RecordingError(f"{path.parent.name}/{path.name} has shape {array.shape}")
    return array.astype(np.float64)


def _ground(position: np.ndarray) -> np.ndarray:
    """(3, 3) rows east, north, up at a place on the earth (3,)."""
    up = position / np.array([EQUATOR, EQUATOR, POLE]) ** 2
    up = up / np.linalg.norm(up)
    east = np.cross([0.0, 0.0, 1.0], up)
    east = east / np.linalg.norm(east)
    return np.stack([east, np.cross(up, east), up])


def _mounting(times: np.ndarray, headings: np.ndarray, velocity: np.ndarray) -> tuple[float | None, float]:
    """How far the device is ahead of the rear axle [m], None where turns do not tell, and how it is turned in the car.

    A point `o` ahead of the rear axle goes sideways by o times the yaw rate; where it is turned, with a share of speed.
    """
    turning = np.gradient(headings, times)
    # A second of averaging: derivatives of headings are noise.
    width = max(1, int(0.5 / np.median(np.diff(times))))
    turning = np.convolve(turning, np.ones(width) / width, mode="same")
    forward = velocity[:, 0] * np.cos(headings) + velocity[:, 1] * np.sin(headings)
    left = -velocity[:, 0] * np.sin(headings) + velocity[:, 1] * np.cos(headings)
    rolling = forward > 3.0
    if rolling.sum() < 20:
        return None, 0.0
    columns = np.stack([turning, forward], -1)[rolling]
    if turning[rolling].std() < LEAST_TURNING:
        return None, float(np.median(left[rolling] / forward[rolling]))
    (origin, skew), *_ = np.linalg.lstsq(columns, left[rolling], rcond=None)
    return (float(origin) if 0.5 < origin < 3.0 else None), float(skew)


def _pitch(axes: np.ndarray, velocities: np.ndarray) -> float:
    """[rad] By which the device looks up in the car: as a car drives along itself, what it drives down in the device.

    axes: (N, 3, 3), columns are forward, right and down of the device; velocities (N, 3), both on the earth.
    """
    forward, down = ((axes[..., k] * velocities).sum(-1) for k in (0, 2))
    rolling = forward > 5.0
    return float(np.median(np.arctan2(down[rolling], forward[rolling]))) if rolling.sum() > 20 else 0.0


def _cameras(path: Path, times: np.ndarray, ahead: float, skew: float, pitch: float) -> Iterator[Camera]:
    """The device's own, if its video is there; a frame for each of the `times` (N,)."""
    video = path / "video.hevc"
    if video.is_file() and (np.diff(times) > 0).all():
        height, width = SIZE
        matrix = np.array([[FOCAL, 0, (width - 1) / 2], [0, FOCAL, (height - 1) / 2], [0, 0, 1.0]])
        # The car's heading is the device's and `skew`.
        rotation = CameraSpec(yaw=float(np.degrees(-skew)), pitch=float(np.degrees(pitch))).rotation
        yield Camera("video", times, Video(video), matrix, np.array([ahead, 0.0, HEIGHT]), rotation, size=SIZE)


def _signals(can: Path, start: float) -> tuple[dict[str, Signal], list[str]]:
    found, notes = {}, []
    for folder, name, unit in (("speed", "speed", 1.0), ("steering_angle", "steering_wheel", np.pi / 180)):
        if not (can / folder / "value").is_file():
            notes.append(f"CAN/{folder} is missing")
            continue
        times, values = _array(can / folder / "t", 1), np.load(can / folder / "value", allow_pickle=False).ravel()
        if len(times) != len(values):
            raise RecordingError(f"CAN/{folder} has {len(times)} times and {len(values)} values")
        found[name] = Signal(*in_order(times - start, values.astype(np.float64) * unit))
    return found, notes
