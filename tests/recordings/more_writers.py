"""More of `writers`: formats of several files, databases and bags, some of which need the packages that read them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.recordings.world import LANE, LENGTH, WIDTH, World, aside

PERCEIVED, PERCEPTION = "/perception/object_recognition/tracking/objects", "autoware_perception_msgs/msg"
OBJECTS = {
    "Id": "uint8[16] uuid\n",
    "Label": "uint8 label\nfloat32 probability\n",
    "Kinematics": "geometry_msgs/PoseWithCovariance pose_with_covariance\n",
    "Shape": "geometry_msgs/Vector3 dimensions\n",
    "TrackedObject": (
        "autoware_perception_msgs/Id object_id\nautoware_perception_msgs/Label[] classification\n"
        "autoware_perception_msgs/Kinematics kinematics\nautoware_perception_msgs/Shape shape\n"
    ),
    "TrackedObjects": "std_msgs/Header header\nautoware_perception_msgs/TrackedObject[] objects\n",
}
MICRO, NANO = 1_000_000, 1_000_000_000
START = 1_700_000_000


def quaternion(heading: float) -> list[float]:
    """w, x, y, z of a turn about the vertical."""
    return [float(np.cos(heading / 2)), 0.0, 0.0, float(np.sin(heading / 2))]


def points(line: np.ndarray) -> list[dict[str, float]]:
    return [{"x": float(x), "y": float(y), "z": 0.0} for x, y in line]


def argoverse_map(path: Path, world: World, centres: bool) -> None:
    """A map file; sensor logs' have no centre lines."""
    segments = {}
    half = len(world.road) // 2
    for number in range(3):
        line = world.lane(number)
        for piece, part in enumerate((slice(0, half + 1), slice(half, None))):
            name = 10 * (number + 1) + piece
            beside = {0: ("left_neighbor_id", 20 + piece), 1: ("right_neighbor_id", 10 + piece)}.get(number)
            segments[str(name)] = {
                "id": name,
                "is_intersection": False,
                "lane_type": "VEHICLE",
                "left_lane_boundary": points(aside(line, LANE / 2)[part]),
                "right_lane_boundary": points(aside(line, -LANE / 2)[part]),
                "left_lane_mark_type": "DASHED_WHITE",
                "right_lane_mark_type": "SOLID_WHITE" if number == 0 else "NONE",
                "successors": [name + 1] if piece == 0 else [],
                "predecessors": [],
                **({} if beside is None else {beside[0]: beside[1]}),
                **({"centerline": points(line[part])} if centres else {}),
            }
    path.write_text(json.dumps({"lane_segments": segments, "drivable_areas": {}, "pedestrian_crossings": {}}))


def argoverse2(folder: Path, world: World) -> Path:
    """A motion forecasting scenario, of which the ego's place is its rear axle."""
    import pyarrow as pa
    from pyarrow import parquet

    out = folder / "abc"
    out.mkdir()
    argoverse_map(out / "log_map_archive_abc.json", world, centres=True)
    kinds = {"VEHICLE": "vehicle", "PEDESTRIAN": "pedestrian", "TRAFFIC_CONE": "static"}
    rows: dict[str, list] = {}
    things = [("AV", "vehicle", world.rear), *((m.name, kinds[m.kind], m.poses) for m in world.movers)]
    for name, kind, poses in things:
        velocity = np.gradient(poses[:, :2], 0.1, axis=0)
        for t, (x, y, heading) in enumerate(poses):
            row = {
                "track_id": name,
                "object_type": kind,
                "timestep": t,
                "position_x": x,
                "position_y": y,
                "heading": heading,
                "velocity_x": velocity[t, 0],
                "velocity_y": velocity[t, 1],
                "scenario_id": "abc",
                "observed": t < 50,
            }
            for column, value in row.items():
                rows.setdefault(column, []).append(value)
    parquet.write_table(pa.table(rows), out / "scenario_abc.parquet")
    return out


def argoverse2_sensor(folder: Path, world: World) -> Path:
    """A sensor log: poses twice, a nanosecond apart, boxes in the frame of the car."""
    import pyarrow as pa
    from pyarrow import feather

    out = folder / "log"
    (out / "map").mkdir(parents=True)
    argoverse_map(out / "map" / "log_map_archive_log.json", world, centres=False)
    stamps = (START * NANO + np.round(world.times * NANO)).astype(np.int64)
    names = ("qw", "qx", "qy", "qz")
    poses: dict[str, list] = {"timestamp_ns": [], "tx_m": [], "ty_m": [], "tz_m": [], **{n: [] for n in names}}
    boxes: dict[str, list] = {
        **{n: [] for n in ("timestamp_ns", "track_uuid", "category", "length_m", "width_m", "tx_m", "ty_m", *names)}
    }
    kinds = {"VEHICLE": "REGULAR_VEHICLE", "PEDESTRIAN": "PEDESTRIAN", "TRAFFIC_CONE": "CONSTRUCTION_CONE"}
    for t, stamp in enumerate(stamps):
        x, y, heading = world.rear[t]
        for later in (0, 1):
            row = {"timestamp_ns": stamp + later, "tx_m": x, "ty_m": y, "tz_m": 0.0}
            for column, value in {**row, **dict(zip(names, quaternion(heading)))}.items():
                poses[column].append(value)
        c, s = np.cos(heading), np.sin(heading)
        for m in world.movers:
            dx, dy = m.poses[t, :2] - (x, y)
            row = {
                "timestamp_ns": stamp,
                "track_uuid": m.name,
                "category": kinds[m.kind],
                "length_m": m.size[0],
                "width_m": m.size[1],
                "tx_m": c * dx + s * dy,
                "ty_m": -s * dx + c * dy,
                **dict(zip(names, quaternion(m.poses[t, 2] - heading))),
            }
            for column, value in row.items():
                boxes[column].append(value)
    feather.write_feather(pa.table(poses), out / "city_SE3_egovehicle.feather")
    feather.write_feather(pa.table(boxes), out / "annotations.feather")
    return out


def nuscenes(folder: Path, world: World, can: bool = True, road: bool = True) -> Path:
    """Tables of one scene: poses ten times a second, boxes twice, a CAN bus whose wheel turns 15 times the tyres."""
    out = folder / "nuscenes"
    (out / "v1.0-mini").mkdir(parents=True)
    stamps = [START * MICRO + round(t * MICRO) for t in world.times]
    keys = range(0, len(stamps), 5)
    tables: dict[str, list] = {
        "log": [{"token": "log", "logfile": "n008-1", "vehicle": "n008", "location": "somewhere"}],
        "scene": [{"token": "scene", "name": "scene-0001", "log_token": "log"}],
        "sample": [{"token": f"s{t}", "timestamp": stamps[t], "scene_token": "scene"} for t in keys],
        "ego_pose": [
            {"token": f"e{t}", "timestamp": stamps[t], "translation": [x, y, 0.0], "rotation": quaternion(heading)}
            for t, (x, y, heading) in enumerate(world.rear)
        ],
        "sample_data": [
            {
                "token": f"d{t}",
                "sample_token": f"s{5 * (t // 5)}",
                "ego_pose_token": f"e{t}",
                "calibrated_sensor_token": "c",
                "timestamp": stamps[t],
                "filename": "samples/LIDAR_TOP/x.bin",
                "fileformat": "bin",
            }
            for t in range(len(stamps))
        ],
        "instance": [{"token": m.name, "category_token": m.kind} for m in world.movers],
        "category": [
            {"token": "VEHICLE", "name": "vehicle.car"},
            {"token": "PEDESTRIAN", "name": "human.pedestrian.adult"},
            {"token": "TRAFFIC_CONE", "name": "movable_object.trafficcone"},
        ],
        "sample_annotation": [
            {
                "token": f"{m.name}{t}",
                "sample_token": f"s{t}",
                "instance_token": m.name,
                "translation": [*m.poses[t, :2], 0.0],
                "size": [m.size[1], m.size[0], 1.5],
                "rotation": quaternion(m.poses[t, 2]),
            }
            for m in world.movers
            for t in keys
        ],
    }
    for name, rows in tables.items():
        (out / "v1.0-mini" / f"{name}.json").write_text(json.dumps(rows))
    if can:
        (out / "can_bus").mkdir()
        wheel = 15 * np.arctan(2.588 * world.curvature)
        feedback = [{"utime": s, "value": float(w)} for s, w in zip(stamps, wheel)]
        (out / "can_bus" / "scene-0001_steeranglefeedback.json").write_text(json.dumps(feedback))
        monitor = [{"utime": s, "throttle": 300, "brake": 0} for s in stamps[::5]]
        (out / "can_bus" / "scene-0001_vehicle_monitor.json").write_text(json.dumps(monitor))
    if road:
        (out / "maps" / "expansion").mkdir(parents=True)
        (out / "maps" / "expansion" / "somewhere.json").write_text(json.dumps(_expansion(world)))
    return out


def _expansion(world: World) -> dict[str, Any]:
    """nuScenes' map of the ego's lane and the one beside it, whose centre lines are short straight arcs."""
    nodes, polygons, lanes, arcs = [], [], [], {}
    for number in range(2):
        line = world.lane(number)
        outline = np.concatenate([aside(line, LANE / 2), aside(line, -LANE / 2)[::-1]])
        names = [f"n{number}-{k}" for k in range(len(outline))]
        nodes += [{"token": n, "x": float(x), "y": float(y)} for n, (x, y) in zip(names, outline)]
        polygons.append({"token": f"p{number}", "exterior_node_tokens": names})
        lanes.append({"token": f"l{number}", "polygon_token": f"p{number}"})
        steps = np.diff(line, axis=0)
        arcs[f"l{number}"] = [
            {
                "start_pose": [float(x), float(y), float(np.arctan2(dy, dx))],
                "shape": "LSR",
                "radius": 50.0,
                "segment_length": [0.0, float(np.hypot(dx, dy)), 0.0],
            }
            for (x, y), (dx, dy) in zip(line, steps)
        ]
    return {
        "node": nodes,
        "polygon": polygons,
        "line": [],
        "lane": lanes,
        "lane_connector": [],
        "arcline_path_3": arcs,
        "connectivity": {name: {"incoming": [], "outgoing": []} for name in arcs},
        "drivable_area": [],
    }


def lanelet2(path: Path, world: World) -> None:
    """A map as Autoware writes it; the points of some borders are in the other order."""
    parts, node = [], 0
    for number in range(4):
        refs = []
        line = world.border(number)[::4]
        for x, y in line[::-1] if number == 1 else line:
            node += 1
            parts.append(f'<node id="{node}"><tag k="local_x" v="{x}"/><tag k="local_y" v="{y}"/></node>')
            refs.append(f'<nd ref="{node}"/>')
        kind, sub = (("road_border", "solid"), ("line_thin", "dashed"), ("line_thin", "solid"), ("road_border", ""))[
            number
        ]
        tags = f'<tag k="type" v="{kind}"/><tag k="subtype" v="{sub}"/>'
        parts.append(f'<way id="w{number}">{"".join(refs)}{tags}</way>')
    for number in range(3):
        # The last one leads back, so that what is left of it is the line that it shares with the one before.
        left, right = (number + 1, number) if number < 2 else (number, number + 1)
        members = f'<member type="way" ref="w{left}" role="left"/><member type="way" ref="w{right}" role="right"/>'
        tags = '<tag k="type" v="lanelet"/><tag k="subtype" v="road"/>'
        parts.append(f'<relation id="r{number}">{members}{tags}</relation>')
    path.write_text(f"<?xml version='1.0'?><osm>{''.join(parts)}</osm>")


def nuplan(folder: Path, world: World) -> Path:
    """A nuPlan log with one scene."""
    path = folder / "log.db"
    database = sqlite3.connect(path)
    database.executescript(
        """
        CREATE TABLE log (token, logfile); CREATE TABLE scene (token, name); CREATE TABLE category (token, name);
        CREATE TABLE track (token, category_token);
        CREATE TABLE lidar_pc (token, scene_token, ego_pose_token, timestamp);
        CREATE TABLE ego_pose (token, timestamp, x, y, qw, qx, qy, qz);
        CREATE TABLE lidar_box (lidar_pc_token, track_token, x, y, yaw, length, width);
        INSERT INTO log VALUES (x'01', '2021.a'); INSERT INTO scene VALUES (x'02', 'scene-1');
        INSERT INTO category VALUES ('VEHICLE', 'vehicle'), ('PEDESTRIAN', 'pedestrian'), ('TRAFFIC_CONE', 'cone');
        """
    )
    database.executemany("INSERT INTO track VALUES (?, ?)", [(m.name, m.kind) for m in world.movers])
    for t, time in enumerate(world.times):
        stamp = START * MICRO + round(time * MICRO)
        x, y, heading = world.rear[t]
        database.execute("INSERT INTO ego_pose VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (t, stamp, x, y, *quaternion(heading)))
        database.execute("INSERT INTO lidar_pc VALUES (?, x'02', ?, ?)", (t, t, stamp))
        for m in world.movers:
            row = (t, m.name, *m.poses[t].tolist(), *m.size)
            database.execute("INSERT INTO lidar_box VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    database.commit()
    database.close()
    return path


def commonroad(folder: Path, world: World, old: bool = False) -> Path:
    """A scenario of 2020a, or of 2018b, in which the lead car drives farthest."""

    def bound(tag: str, line: np.ndarray, mark: str) -> str:
        inner = "".join(f"<point><x>{x}</x><y>{y}</y></point>" for x, y in line)
        return f"<{tag}>{inner}<lineMarking>{mark}</lineMarking></{tag}>"

    def state(tag: str, pose: np.ndarray, t: int) -> str:
        x, y, heading = pose
        place = f"<position><point><x>{x}</x><y>{y}</y></point></position>"
        turned = f"<orientation><exact>{heading}</exact></orientation><time><exact>{t}</exact></time>"
        return f"<{tag}>{place}{turned}</{tag}>"

    parts = []
    half = len(world.road) // 2
    for number in range(3):
        line = world.lane(number)
        for piece, part in enumerate((slice(0, half + 1), slice(half, None))):
            name = 10 * (number + 1) + piece
            inner = bound("leftBound", aside(line, LANE / 2)[part], "dashed")
            inner += bound("rightBound", aside(line, -LANE / 2)[part], "solid")
            inner += f'<successor ref="{name + 1}"/>' if piece == 0 else ""
            if number < 2:
                side, other = (("Left", name + 10), ("Right", name - 10))[number]
                inner += f'<adjacent{side} ref="{other}" drivingDir="same"/>'
            parts.append(f'<lanelet id="{name}">{inner}</lanelet>')
    kinds = {"VEHICLE": "car", "PEDESTRIAN": "pedestrian", "TRAFFIC_CONE": "roadBoundary"}
    things = [("ego", "car", world.middle, (LENGTH, WIDTH))]
    things += [(m.name, kinds[m.kind], m.poses, m.size) for m in world.movers if m.name not in ("lead", "back")]
    for name, kind, poses, (length, width) in things:
        shape = f"<shape><rectangle><length>{length}</length><width>{width}</width></rectangle></shape>"
        states = "".join(state("state", pose, t) for t, pose in enumerate(poses[1:], 1))
        inner = f"<type>{kind}</type>{shape}{state('initialState', poses[0], 0)}<trajectory>{states}</trajectory>"
        tag = "obstacle" if old else "dynamicObstacle"
        role = "<role>dynamic</role>" if old else ""
        parts.append(f'<{tag} id="{name}">{role}{inner}</{tag}>')
    version = "2018b" if old else "2020a"
    path = folder / "scenario.xml"
    head = f'<commonRoad timeStepSize="0.1" commonRoadVersion="{version}" benchmarkID="ABC_Town-1_1_T-1">'
    path.write_text(f"<?xml version='1.0' encoding='UTF-8'?>{head}{''.join(parts)}</commonRoad>")
    return path


def comma(folder: Path, world: World, ratio: float = 16.0) -> Path:
    """A segment on the earth: its device 1.7 m ahead of the rear axle, its wheel turning `ratio` times the tyres."""
    out = folder / "drive" / "7"
    poses = out / "global_pose"
    poses.mkdir(parents=True)
    latitude, longitude = 0.65, -2.1
    a, b = 6378137.0, 6356752.314245
    up = np.array([np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)])
    east = np.array([-np.sin(longitude), np.cos(longitude), 0.0])
    north = np.cross(up, east)
    curve = a * a / np.sqrt((a * np.cos(latitude)) ** 2 + (b * np.sin(latitude)) ** 2)
    centre = curve * up * np.array([1.0, 1.0, (b / a) ** 2])
    fine = np.arange(0.0, world.times[-1], 0.05)
    x, y, heading = (np.interp(fine, world.times, world.rear[:, k]) for k in range(3))
    local = np.stack([x + 1.7 * np.cos(heading), y + 1.7 * np.sin(heading)], -1)
    local -= local[0]
    positions = centre + local[:, :1] * east + local[:, 1:] * north
    forward = np.cos(heading)[:, None] * east + np.sin(heading)[:, None] * north
    right = np.sin(heading)[:, None] * east - np.cos(heading)[:, None] * north
    axes = np.stack([forward, right, np.repeat(-up[None], len(fine), 0)], -1)
    arrays = {
        "frame_times": 5000.0 + fine,
        "frame_positions": positions,
        "frame_velocities": np.gradient(positions, 0.05, axis=0),
        "frame_orientations": np.array([quaternion_of(m) for m in axes]),
    }
    for name, array in arrays.items():
        _save(poses / name, array)
    wheel = ratio * np.degrees(np.arctan(2.8 * world.curvature))
    for name, values in (("speed", world.speeds), ("steering_angle", wheel)):
        (out / "processed_log" / "CAN" / name).mkdir(parents=True)
        _save(out / "processed_log" / "CAN" / name / "t", 5000.0 + world.times)
        _save(out / "processed_log" / "CAN" / name / "value", values)
    return out


def _save(path: Path, array: np.ndarray) -> None:
    with open(path, "wb") as file:
        np.save(file, array)


def quaternion_of(matrix: np.ndarray) -> np.ndarray:
    """w, x, y, z of a rotation matrix: the eigenvector of Bar-Itzhack's matrix."""
    m = matrix
    k = np.array(
        [
            [m[0, 0] - m[1, 1] - m[2, 2], m[1, 0] + m[0, 1], m[2, 0] + m[0, 2], m[2, 1] - m[1, 2]],
            [m[1, 0] + m[0, 1], m[1, 1] - m[0, 0] - m[2, 2], m[2, 1] + m[1, 2], m[0, 2] - m[2, 0]],
            [m[2, 0] + m[0, 2], m[2, 1] + m[1, 2], m[2, 2] - m[0, 0] - m[1, 1], m[1, 0] - m[0, 1]],
            [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], m[0, 0] + m[1, 1] + m[2, 2]],
        ]
    )
    x, y, z, w = np.linalg.eigh(k)[1][:, -1]
    return np.array([w, x, y, z])


def rosbag(
    folder: Path, world: World, ros: int = 2, autoware: bool = False, more: Callable[..., list] | None = None
) -> Path:
    """A bag with odometry and steering: ROS 1, or ROS 2 as MCAP; messages are recorded late, and out of order.

    more: further messages, of the types and a function that makes headers.
    """
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    from learned_sim_env.recordings.formats.rosbag_messages import DEFINITIONS

    store = get_typestore(Stores.ROS1_NOETIC if ros == 1 else Stores.ROS2_HUMBLE)
    for name, text in DEFINITIONS.items():
        if ros == 2 or name.startswith("ackermann"):
            store.register(get_types_from_msg(text, name))
    if "tf2_msgs/msg/TFMessage" not in store.types:
        store.register(get_types_from_msg("geometry_msgs/TransformStamped[] transforms\n", "tf2_msgs/msg/TFMessage"))
    types = store.types
    ackermann = "ackermann_msgs/msg/AckermannDriveStamped"

    def header(stamp: int, frame: str = "map") -> Any:
        time = types["builtin_interfaces/msg/Time"](sec=stamp // NANO, nanosec=stamp % NANO)
        sequence = {"seq": 0} if ros == 1 else {}
        return types["std_msgs/msg/Header"](stamp=time, frame_id=frame, **sequence)

    def vector(kind: str, *values: float) -> Any:
        return types[f"geometry_msgs/msg/{kind}"](*values)

    still = types["geometry_msgs/msg/TwistWithCovariance"](
        twist=types["geometry_msgs/msg/Twist"](linear=vector("Vector3", 0, 0, 0), angular=vector("Vector3", 0, 0, 0)),
        covariance=np.zeros(36),
    )
    odometry = "/localization/kinematic_state" if autoware else "/odom"
    steering = "/vehicle/status/steering_status" if autoware else "/drive"
    messages = []
    for t, time in enumerate(world.times):
        stamp = START * NANO + round(float(time) * NANO)
        x, y, heading = world.rear[t]
        w, _, _, z = quaternion(heading)
        pose = types["geometry_msgs/msg/Pose"](
            position=vector("Point", x, y, 0.0), orientation=vector("Quaternion", 0.0, 0.0, z, w)
        )
        covariant = types["geometry_msgs/msg/PoseWithCovariance"](pose=pose, covariance=np.zeros(36))
        message = types["nav_msgs/msg/Odometry"](
            header=header(stamp), child_frame_id="base_link", pose=covariant, twist=still
        )
        late = stamp + (70_000_000 if t % 2 else 190_000_000)
        messages.append((odometry, "nav_msgs/msg/Odometry", late, message))
        angle = float(np.arctan(2.8 * world.curvature[t]))
        if autoware:
            kind = "autoware_vehicle_msgs/msg/SteeringReport"
            message = types[kind](stamp=header(stamp).stamp, steering_tire_angle=angle)
        else:
            kind = ackermann
            zeros = dict.fromkeys(("steering_angle_velocity", "speed", "acceleration", "jerk"), 0.0)
            drive = types["ackermann_msgs/msg/AckermannDrive"](steering_angle=angle, **zeros)
            message = types[kind](header=header(stamp), drive=drive)
        messages.append((steering, kind, late, message))
        if autoware:
            messages.append((PERCEIVED, f"{PERCEPTION}/TrackedObjects", late, _objects(store, header(stamp), world, t)))
    messages += more(types, header) if more else []
    messages.sort(key=lambda m: m[2])
    return _write_bag(folder, store, messages, ros)


def _objects(store: Any, header: Any, world: World, t: int) -> Any:
    """What the car perceives, in messages that have the fields of Autoware's that are read."""
    from rosbags.typesys import get_types_from_msg

    types = store.types
    for name, text in OBJECTS.items():
        if f"{PERCEPTION}/{name}" not in types:
            store.register(get_types_from_msg(text, f"{PERCEPTION}/{name}"))
    labels = {"VEHICLE": 1, "PEDESTRIAN": 7, "TRAFFIC_CONE": 0}
    things = []
    for k, m in enumerate(world.movers):
        x, y, heading = m.poses[t]
        w, _, _, z = quaternion(heading)
        pose = types["geometry_msgs/msg/Pose"](
            position=types["geometry_msgs/msg/Point"](x, y, 0.0),
            orientation=types["geometry_msgs/msg/Quaternion"](0.0, 0.0, z, w),
        )
        covariant = types["geometry_msgs/msg/PoseWithCovariance"](pose=pose, covariance=np.zeros(36))
        things.append(
            types[f"{PERCEPTION}/TrackedObject"](
                object_id=types[f"{PERCEPTION}/Id"](uuid=np.full(16, k + 1, np.uint8)),
                classification=[
                    types[f"{PERCEPTION}/Label"](label=2, probability=0.1),
                    types[f"{PERCEPTION}/Label"](label=labels[m.kind], probability=0.8),
                ],
                kinematics=types[f"{PERCEPTION}/Kinematics"](pose_with_covariance=covariant),
                shape=types[f"{PERCEPTION}/Shape"](dimensions=types["geometry_msgs/msg/Vector3"](*m.size, 1.5)),
            )
        )
    return types[f"{PERCEPTION}/TrackedObjects"](header=header, objects=things)


def _write_bag(folder: Path, store: Any, messages: list, ros: int) -> Path:
    if ros == 1:
        from rosbags.rosbag1 import Writer as Writer1

        path, writer = folder / "drive.bag", Writer1(folder / "drive.bag")
    else:
        from rosbags.rosbag2 import StoragePlugin, Writer

        path = folder / "drive"
        writer = Writer(path, version=9, storage_plugin=StoragePlugin.MCAP)
    with writer:
        connections = {}
        for topic, kind, stamp, message in messages:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=store)
            encode = store.serialize_ros1 if ros == 1 else store.serialize_cdr
            writer.write(connections[topic], stamp, encode(message, kind))
    return path
