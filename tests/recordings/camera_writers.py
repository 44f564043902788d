"""The formats that have cameras, each with pictures of `pictures.RECORDED` beside what `writers` write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.recordings import writers
from tests.recordings.pictures import RECORDED, matrix, taken, write
from tests.recordings.world import REAR, World
from tests.recordings.writers.clocks import MICRO, NANO, START, quaternion_of


def place(name: str) -> list[float]:
    """[m] Of a camera in the frame of the rear axle, on the ground."""
    x, y, z = RECORDED[name].position
    return [x + REAR, y, z]


def turn(name: str) -> list[float]:
    """Quaternion w, x, y, z that turns directions of a camera (right, down, forward) into those of the car."""
    return quaternion_of(RECORDED[name].rotation.T).tolist()


def table(folder: Path, world: World) -> Path:
    out = writers.table(folder, world)
    about = json.loads((out / "about.json").read_text())
    about["cameras"] = {}
    for name, spec in RECORDED.items():
        told: dict[str, Any] = {"size": [spec.width, spec.height], "yaw": spec.yaw, "pitch": spec.pitch}
        about["cameras"][name] = {**told, "position": place(name), "fov": spec.fov}
        rows = ["time,file"]
        for t, time in enumerate(world.times):
            write(out / "cameras" / name / f"{t}.png", taken(spec, t))
            rows.append(f"{time},{name}/{t}.png")
        (out / "cameras" / f"{name}.csv").write_text("\n".join(rows))
    (out / "about.json").write_text(json.dumps(about))
    return out


def nuscenes(folder: Path, world: World) -> Path:
    out = writers.nuscenes(folder, world)
    tables: dict[str, list] = {"sensor": [], "calibrated_sensor": []}
    shots = json.loads((out / "v1.0-mini" / "sample_data.json").read_text())
    for name, spec in RECORDED.items():
        tables["sensor"].append({"token": f"s-{name}", "channel": name})
        tables["calibrated_sensor"].append(
            {
                "token": f"c-{name}",
                "sensor_token": f"s-{name}",
                "translation": place(name),
                "rotation": turn(name),
                "camera_intrinsic": matrix(spec),
            }
        )
        for t, time in enumerate(world.times):
            file = f"sweeps/{name}/{t}.jpg"
            write(out / file, taken(spec, t))
            shots.append(
                {
                    "token": f"{name}{t}",
                    "sample_token": f"s{5 * (t // 5)}",
                    "ego_pose_token": f"e{t}",
                    "calibrated_sensor_token": f"c-{name}",
                    "timestamp": START * MICRO + round(time * MICRO) + 20_000,
                    "filename": file,
                    "fileformat": "jpg",
                }
            )
    for table_name, rows in {**tables, "sample_data": shots}.items():
        (out / "v1.0-mini" / f"{table_name}.json").write_text(json.dumps(rows))
    return out


def argoverse2_sensor(folder: Path, world: World) -> Path:
    import pyarrow as pa
    from pyarrow import feather

    out = writers.argoverse2_sensor(folder, world)
    lenses: dict[str, list] = {}
    poses: dict[str, list] = {}
    for name, spec in RECORDED.items():
        (fx, _, cx), (_, fy, cy), _ = matrix(spec)
        w, x, y, z = turn(name)
        px, py, pz = place(name)
        lens = {"sensor_name": name, "fx_px": fx, "fy_px": fy, "cx_px": cx, "cy_px": cy}
        # The frame of the car is on the axle.
        pose = {"sensor_name": name, "qw": w, "qx": x, "qy": y, "qz": z, "tx_m": px, "ty_m": py, "tz_m": pz - 0.33}
        for columns, row in ((lenses, lens), (poses, pose)):
            for column, value in row.items():
                columns.setdefault(column, []).append(value)
        for t, time in enumerate(world.times):
            stamp = START * NANO + round(time * NANO)
            write(out / "sensors" / "cameras" / name / f"{stamp}.jpg", taken(spec, t))
    (out / "calibration").mkdir()
    feather.write_feather(pa.table(lenses), out / "calibration" / "intrinsics.feather")
    feather.write_feather(pa.table(poses), out / "calibration" / "egovehicle_SE3_sensor.feather")
    return out


def rosbag(folder: Path, world: World, ros: int = 2, told: bool = False) -> Path:
    """told: where cameras are is said by a mapping, and not by static transforms."""

    def messages(types: Any, header: Any) -> list:
        found: list = []
        for name, spec in RECORDED.items():
            raw = name == "ahead"
            for t, time in enumerate(world.times):
                stamp = START * NANO + round(float(time) * NANO)
                picture = taken(spec, t)
                head = header(stamp, f"{name}_optical")
                if raw:
                    kind = "sensor_msgs/msg/Image"
                    fields = {"height": spec.height, "width": spec.width, "encoding": "bgr8", "is_bigendian": 0}
                    data = np.ascontiguousarray(picture[..., ::-1]).ravel()
                    message = types[kind](header=head, step=3 * spec.width, data=data, **fields)
                else:
                    import cv2

                    kind = "sensor_msgs/msg/CompressedImage"
                    data = cv2.imencode(".png", picture[..., ::-1])[1].ravel()
                    message = types[kind](header=head, format="png", data=data)
                topic = f"/{name}/image_raw" + ("" if raw else "/compressed")
                found.append((topic, kind, stamp + 30_000_000, message))
            found.append(
                (f"/{name}/camera_info", "sensor_msgs/msg/CameraInfo", START * NANO, _info(types, header, name, ros))
            )
        if not told:
            found.append(("/tf_static", "tf2_msgs/msg/TFMessage", START * NANO, _transforms(types, header)))
        return found

    path = writers.rosbag(folder, world, ros, more=messages)
    if told:
        lines = ['[ego]\ntopic = "/odom"\nx = "pose.pose.position.x"\ny = "pose.pose.position.y"']
        lines.append('quaternion = "pose.pose.orientation"')
        for name, spec in RECORDED.items():
            topic = f"/{name}/image_raw" + ("" if name == "ahead" else "/compressed")
            lines.append(f'[cameras.{name}]\ntopic = "{topic}"\nfov = {spec.fov}\nyaw = {spec.yaw}')
            lines.append(f"pitch = {spec.pitch}\nposition = {place(name)}")
        (path / "learned-sim.toml").write_text("\n".join(lines))
    return path


def _info(types: Any, header: Any, name: str, ros: int) -> Any:
    spec = RECORDED[name]
    fields = {
        "k": np.array(matrix(spec)).ravel(),
        "d": np.zeros(5),
        "r": np.eye(3).ravel(),
        "p": np.pad(matrix(spec), ((0, 0), (0, 1))).ravel(),
    }
    region = types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    return types["sensor_msgs/msg/CameraInfo"](
        header=header(START * NANO, f"{name}_optical"),
        height=spec.height,
        width=spec.width,
        distortion_model="plumb_bob",
        binning_x=0,
        binning_y=0,
        roi=region,
        **{key.upper() if ros == 1 else key: value for key, value in fields.items()},
    )


def _transforms(types: Any, header: Any) -> Any:
    """A mast of 1 m on the car, and cameras on it."""

    def step(parent: str, child: str, moved: list[float], turned: list[float]) -> Any:
        w, x, y, z = turned
        transform = types["geometry_msgs/msg/Transform"](
            translation=types["geometry_msgs/msg/Vector3"](*moved),
            rotation=types["geometry_msgs/msg/Quaternion"](x, y, z, w),
        )
        return types["geometry_msgs/msg/TransformStamped"](header(START * NANO, parent), child, transform)

    steps = [step("base_link", "mast", [0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0])]
    for name in RECORDED:
        x, y, z = place(name)
        steps.append(step("mast", f"{name}_optical", [x, y, z - 1.0], turn(name)))
    return types["tf2_msgs/msg/TFMessage"](transforms=steps)


def comma(folder: Path, world: World) -> Path:
    """With the video of a device that looks straight ahead."""
    import cv2

    from learned_sim_env.recordings.formats.comma import FOCAL, SIZE
    from learned_sim_env.spec import CameraSpec

    out = writers.comma(folder, world)
    height, width = SIZE
    fov = 2 * np.degrees(np.arctan(width / 2 / FOCAL))
    spec = CameraSpec(fov=float(fov), height=height // 2 * 2, width=width)
    video = cv2.VideoWriter(str(out / "video.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 20, (width, height // 2 * 2))
    picture = taken(spec, 0)
    for frame in range(len(np.arange(0.0, world.times[-1], 0.05))):
        picture[..., 2] = 30 + frame
        video.write(picture[..., ::-1])
    video.release()
    (out / "video.avi").rename(out / "video.hevc")
    return out
