"""Messages of bags, of the topics asked for alone: one type that cannot be read does not cost the others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from learned_sim_env.failures import line_of
from learned_sim_env.optional import require
from learned_sim_env.recordings.recording import RecordingError

# Types that bags of older ROS 2 versions do not define themselves.
DEFINITIONS = {
    "ackermann_msgs/msg/AckermannDrive": (
        "float32 steering_angle\nfloat32 steering_angle_velocity\nfloat32 speed\nfloat32 acceleration\nfloat32 jerk\n"
    ),
    "ackermann_msgs/msg/AckermannDriveStamped": "std_msgs/Header header\nackermann_msgs/AckermannDrive drive\n",
    "autoware_vehicle_msgs/msg/SteeringReport": "builtin_interfaces/Time stamp\nfloat32 steering_tire_angle\n",
    "autoware_vehicle_msgs/msg/VelocityReport": (
        "std_msgs/Header header\nfloat32 longitudinal_velocity\nfloat32 lateral_velocity\nfloat32 heading_rate\n"
    ),
    "autoware_vehicle_msgs/msg/ControlModeReport": "builtin_interfaces/Time stamp\nuint8 mode\n",
}
# Anchors and aliases, with which a small YAML file can stand for a huge one; no bag's metadata has them.
ALIASES = re.compile(r"(^|[\s\[{,:-])[&*][A-Za-z0-9_]", re.MULTILINE)
LARGEST_METADATA = 16 * 2**20


@dataclass(frozen=True)
class Topic:
    """type: of its messages. count: how many there are."""

    type: str
    count: int


def topics_of(path: Path) -> dict[str, Topic]:
    """Topics of a bag by name."""
    with _opened(path) as reader:
        found: dict[str, Topic] = {}
        for c in reader.connections:
            count = c.msgcount + (found[c.topic].count if c.topic in found else 0)
            found[c.topic] = Topic(c.msgtype, count)
        return found


def messages(path: Path, topics: set[str]) -> dict[str, list[tuple[float, Any]]]:
    """Time [s] and message by topic, in the order of time; times are those of the messages, if they have any.

    Raises:
        RecordingError: for a bag that is damaged or whose types are not known.
    """
    found, expected = _messages(path, topics)
    count = sum(map(len, found.values()))
    if count < expected and path.is_dir():
        # Where the metadata's qualities of service differ from the file's, its reader finds nothing.
        for file in sorted(f for f in path.iterdir() if f.suffix in (".mcap", ".db3")):
            for topic, rows in _messages(file, topics)[0].items():
                found.setdefault(topic, [])
                found[topic] = [*found[topic], *rows] if count == 0 else found[topic]
        count = sum(map(len, found.values()))
    if count < expected:
        raise RecordingError(f"it has {count} messages of {', '.join(sorted(topics))}, and its index says {expected}")
    for rows in found.values():
        rows.sort(key=lambda row: row[0])
    return found


def _messages(path: Path, topics: set[str]) -> tuple[dict[str, list[tuple[float, Any]]], int]:
    found: dict[str, list[tuple[float, Any]]] = {}
    expected = sum(topic.count for name, topic in topics_of(path).items() if name in topics)
    for topic, time, message in stream(path, topics) if expected else ():
        found.setdefault(topic, []).append((time, message))
    return found, expected


def stream(path: Path, topics: set[str]) -> Iterator[tuple[str, float, Any]]:
    """Topic, time [s] and message, one after the other in the order in which they were recorded.

    Raises:
        RecordingError: for a bag that is damaged or whose types are not known.
    """
    require("rosbags", extra="recordings")
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    first = path.suffix == ".bag"
    store = get_typestore(Stores.ROS1_NOETIC if first else Stores.ROS2_HUMBLE)
    with _opened(path) as reader:
        wanted = [c for c in reader.connections if c.topic in topics]
        for connection in wanted:
            _register(store, connection, get_types_from_msg)
        if not wanted:
            return
        decode = store.deserialize_ros1 if first else store.deserialize_cdr
        for connection, stamp, data in reader.messages(connections=wanted):
            message = decode(data, connection.msgtype)
            yield connection.topic, _time_of(message, stamp), message


def _register(store: Any, connection: Any, parse: Any) -> None:
    """Make the type of a connection known, by its own definition or ours."""
    name = connection.msgtype
    if name in store.types:
        return
    text = getattr(getattr(connection, "msgdef", ""), "data", getattr(connection, "msgdef", "")) or ""
    try:
        if text:
            store.register({k: v for k, v in parse(text, name).items() if k not in store.types})
        elif name in DEFINITIONS:
            for other, definition in DEFINITIONS.items():
                if other not in store.types:
                    store.register(parse(definition, other))
    except Exception as error:
        raise RecordingError(f"type {name} of topic {connection.topic} cannot be read ({error})") from None
    if name not in store.types:
        raise RecordingError(
            f"topic {connection.topic} is of type {name}, which the bag does not define: record it as MCAP, which does"
        )


def _time_of(message: Any, stamp: int) -> float:
    """When a message says it was [s], or when it was recorded (`stamp` [ns]): that is later, by no fixed time."""
    own = getattr(getattr(message, "header", message), "stamp", None)
    if own is not None and hasattr(own, "sec") and own.sec > 0:
        return float(own.sec) + 1e-9 * float(own.nanosec)
    return 1e-9 * stamp


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    require("rosbags", extra="recordings")
    from rosbags.rosbag1 import Reader as Reader1
    from rosbags.rosbag2 import Reader as Reader2

    if path.is_dir():
        check_metadata(path / "metadata.yaml")
        if not any(f.suffix in (".mcap", ".db3", ".zstd") for f in path.iterdir()):
            raise RecordingError("it has a bag's metadata.yaml, but not the bag (.mcap or .db3) that this describes")
    try:
        with (Reader1 if path.suffix == ".bag" else Reader2)(path) as reader:
            yield reader
    except RecordingError:
        raise
    except Exception as error:
        raise RecordingError(f"it is no whole bag ({type(error).__name__}: {line_of(error)[:200]})") from None


def check_metadata(path: Path) -> None:
    """`RecordingError` for YAML that could be a bomb."""
    if path.stat().st_size > LARGEST_METADATA:
        raise RecordingError(f"{path.name} has more than {LARGEST_METADATA >> 20} MiB")
    if ALIASES.search(path.read_text(encoding="utf-8", errors="replace")):
        raise RecordingError(f"{path.name} has anchors or aliases, which no recorder writes: it is not read")
