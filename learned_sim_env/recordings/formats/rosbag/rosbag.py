"""ROS 1 bags, ROS 2 bags and MCAP: a mapping says which topics and fields are what, see docs/recordings.md.

A mapping is a TOML file `learned-sim.toml` beside the bag; without one, the presets are tried.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from learned_sim_env.recordings.formats.rosbag.cameras import cameras_of
from learned_sim_env.recordings.formats.rosbag.messages import Topic, messages, topics_of
from learned_sim_env.recordings.formats.rosbag.objects import topic_of, tracks_of
from learned_sim_env.recordings.formats.rosbag.presets import preset_for
from learned_sim_env.recordings.formats.shared import lanelet2
from learned_sim_env.recordings.formats.shared.rotations import yaw_of
from learned_sim_env.recordings.recording import (
    SIGNALS,
    EgoPath,
    Recording,
    RecordingError,
    Signal,
    Track,
    Vehicle,
    in_order,
)
from learned_sim_env.spec import unknown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAPPING = "learned-sim.toml"
SUFFIXES = (".bag", ".mcap", ".db3")


def recognises(path: Path) -> bool:
    """A bag's file, or the folder of a ROS 2 bag."""
    if path.is_dir():
        about = path / "metadata.yaml"
        return about.is_file() and b"rosbag2_bagfile_information" in about.read_bytes()[:4096]
    return path.is_file() and path.suffix in SUFFIXES


def beside(path: Path) -> list[Path]:
    """The mapping and the map."""
    folder = path if path.is_dir() else path.parent
    places = (folder / MAPPING, lanelet2.map_in(folder))
    return [place for place in places if place is not None and place.is_file()]


def read(path: Path) -> Iterator[Recording]:
    """The one drive of a bag."""
    topics = topics_of(path)
    mapping, notes = mapping_of(path, topics)
    wanted = {mapping["ego"]["topic"], *(s["topic"] for s in mapping.get("signals", {}).values())}
    rows = messages(path, wanted & set(topics))
    ego = mapping["ego"]
    if not rows.get(ego["topic"]):
        raise RecordingError(f"topic {ego['topic']!r} of the ego has no messages; topics: {_told(topics)}")
    times = np.array([time for time, _ in rows[ego["topic"]]])
    start = float(times.min())
    things = [message for _, message in rows[ego["topic"]]]
    places = np.array([[_field(m, ego[k], ego["topic"]) for k in ("x", "y")] for m in things], np.float64)
    if "quaternion" in ego:
        parts = [[_field(m, f"{ego['quaternion']}.{k}", ego["topic"]) for k in "wxyz"] for m in things]
        headings: np.ndarray | None = yaw_of(np.array(parts, np.float64))
    elif "heading" in ego:
        headings = np.array([_field(m, ego["heading"], ego["topic"]) for m in things], np.float64)
    else:
        headings = None
    columns = in_order(times - start, places) if headings is None else in_order(times - start, places, headings)
    signals = {}
    for name, how in mapping.get("signals", {}).items():
        found = rows.get(how["topic"], [])
        if len(found) < 2:
            notes.append(f"topic {how['topic']!r} for {name} has {len(found)} messages")
            continue
        values = np.array([_field(m, how["field"], how["topic"]) for _, m in found], np.float64)
        values = (values == how["equals"]).astype(np.float64) if "equals" in how else values * how.get("scale", 1.0)
        signals[name] = Signal(*in_order(np.array([time for time, _ in found]) - start, values))
    told = mapping.get("vehicle", {})
    vehicle = Vehicle.of_box(told["length"], told["width"]) if {"length", "width"} <= set(told) else Vehicle()
    sizes = {name: float(told.get(name, getattr(vehicle, name))) for name in ("length", "width", "wheelbase", "rear")}
    osm = lanelet2.map_in(path if path.is_dir() else path.parent)
    road, why = (None, "") if osm is None else lanelet2.read_map(osm)
    notes += [why] if why else []
    yield Recording(
        name=path.stem,
        format="rosbag",
        file=path,
        log=f"rosbag/{path.resolve().stem}",
        ego=EgoPath(
            columns[0], columns[1], columns[2] if headings is not None else None, float(ego.get("origin", 0.0))
        ),
        vehicle=Vehicle(**sizes, guessed=vehicle.guessed - set(told)),
        signals=signals,
        tracks=_tracks(path, topics, start, notes),
        road=road,
        cameras=tuple(cameras_of(path, topics, mapping.get("cameras", {}), start, notes)),
        sources={"tracks": "perception of the car"},
        notes=tuple(notes),
    )


def _tracks(path: Path, topics: Mapping[str, Topic], start: float, notes: list[str]) -> tuple[Track, ...] | None:
    """Who else was there, None if no topic says so, or none that can be read; then `notes` tell why."""
    topic = topic_of(topics)
    if topic is None:
        return None
    try:
        return tracks_of(messages(path, {topic}).get(topic, []), start)
    except (RecordingError, AttributeError) as error:
        notes.append(f"others are not read: {error}")
        return None


def mapping_of(path: Path, topics: Mapping[str, Topic]) -> tuple[dict[str, Any], list[str]]:
    """The mapping beside a bag, or the preset that its topics fit; and sentences about it.

    Raises:
        RecordingError: if there is none that fits, or one is wrong.
    """
    file = (path if path.is_dir() else path.parent) / MAPPING
    if not file.is_file():
        found, note = preset_for(topics)
        if found is None:
            raise RecordingError(
                f"no topic says where the car was (nav_msgs/Odometry, geometry_msgs/PoseStamped): name one in "
                f"{MAPPING}; topics: {_told(topics)}"
            )
        return found, [note]
    try:
        mapping = tomllib.loads(file.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecordingError(f"{MAPPING} is no TOML ({error})") from None
    ego = mapping.get("ego", {})
    for name in ("topic", "x", "y"):
        if not isinstance(ego.get(name), str):
            raise RecordingError(f"{MAPPING} has no {name!r} in [ego]")
    if ego["topic"] not in topics:
        raise RecordingError(str(unknown("topic", ego["topic"], topics)))
    for name, how in mapping.get("signals", {}).items():
        if name not in SIGNALS:
            raise RecordingError(str(unknown("signal", name, SIGNALS)))
        if not {"topic", "field"} <= set(how):
            raise RecordingError(f"{MAPPING} has no 'topic' or no 'field' in [signals.{name}]")
    return mapping, []


def _field(message: Any, name: str, topic: str) -> float:
    """A number within a message, by its path in dots."""
    value = message
    for part in name.split("."):
        if not hasattr(value, part):
            fields = [f for f in vars(value) if not f.startswith("_")] if hasattr(value, "__dict__") else []
            raise RecordingError(f"messages of {topic} have no field {name!r}: {part!r} is none of {', '.join(fields)}")
        value = getattr(value, part)
    return float(value)


def _told(topics: Mapping[str, Topic]) -> str:
    told = [f"{name} ({topic.type})" for name, topic in sorted(topics.items())]
    return ", ".join(told[:12]) + (f" and {len(told) - 12} more" if len(told) > 12 else "")
