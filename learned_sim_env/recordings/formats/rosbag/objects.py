"""Who else was there, in bags of Autoware: its messages of predicted and of tracked objects, in the map's frame."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from learned_sim_env.recordings.formats.rosbag.messages import Topic
from learned_sim_env.recordings.formats.shared.features import track_of
from learned_sim_env.recordings.formats.shared.rotations import yaw_of
from learned_sim_env.recordings.recording import Track
from learned_sim_env.spec import SemanticClass

# Topics of such messages, best first, and the last words of their types.
TOPICS = ("/perception/object_recognition/objects", "/perception/object_recognition/tracking/objects")
TYPES = ("PredictedObjects", "TrackedObjects")
# Labels of autoware_perception_msgs/ObjectClassification.
VEHICLES, PEDESTRIAN = range(1, 7), 7


def topic_of(topics: Mapping[str, Topic]) -> str | None:
    """The topic of a bag that says who is there, None if there is none."""
    return next((t for t in TOPICS if t in topics and topics[t].type.endswith(TYPES)), None)


def tracks_of(messages: list[tuple[float, Any]], start: float) -> tuple[Track, ...]:
    """Tracks from time [s] and message, times from `start` on."""
    rows: dict[bytes, list[tuple[float, ...]]] = defaultdict(list)
    labels: dict[bytes, int] = {}
    for time, message in messages:
        for thing in message.objects:
            name = bytes(bytearray(thing.object_id.uuid))
            kinematics = thing.kinematics
            # Predicted objects call it the initial one.
            covariant = getattr(kinematics, "initial_pose_with_covariance", None) or kinematics.pose_with_covariance
            place, turn = covariant.pose.position, covariant.pose.orientation
            size = thing.shape.dimensions
            rows[name].append((time - start, place.x, place.y, turn.w, turn.x, turn.y, turn.z, size.x, size.y))
            best = max(thing.classification, key=lambda c: c.probability, default=None)
            labels[name] = 0 if best is None else int(best.label)
    found = []
    for name, values in rows.items():
        columns = np.array(values, np.float64)
        poses = np.concatenate([columns[:, 1:3], yaw_of(columns[:, 3:7])[:, None]], -1)
        everywhere = np.ones(len(columns), bool)
        kind = _kind(labels[name])
        found.append(track_of(name.hex(), kind, columns[:, 0], poses, columns[:, 7], columns[:, 8], everywhere))
    return tuple(track for track in found if track is not None)


def _kind(label: int) -> SemanticClass:
    if label in VEHICLES:
        return SemanticClass.VEHICLE
    return SemanticClass.PEDESTRIAN if label == PEDESTRIAN else SemanticClass.STATIC_OBJECT
