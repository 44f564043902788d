"""ROS bags."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.recordings.world import World
from tests.recordings.writers.clocks import NANO, START, quaternion

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


def rosbag(
    folder: Path, world: World, ros: int = 2, autoware: bool = False, more: Callable[..., list] | None = None
) -> Path:
    """A bag with odometry and steering: ROS 1, or ROS 2 as MCAP; messages are recorded late, and out of order.

    more: further messages, of the types and a function that makes headers.
    """
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    from learned_sim_env.recordings.formats.rosbag.messages import DEFINITIONS

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
