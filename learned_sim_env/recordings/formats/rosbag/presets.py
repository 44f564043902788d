"""Which topics and fields are what in bags of usual set-ups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from learned_sim_env.recordings.formats.rosbag.messages import Topic

# Poses of an odometry message.
ODOMETRY = {"x": "pose.pose.position.x", "y": "pose.pose.position.y", "quaternion": "pose.pose.orientation"}
POSE = {"x": "pose.position.x", "y": "pose.position.y", "quaternion": "pose.orientation"}
AUTOWARE: dict[str, Any] = {
    "ego": {"topic": "/localization/kinematic_state", **ODOMETRY},
    "signals": {
        "road_wheel": {"topic": "/vehicle/status/steering_status", "field": "steering_tire_angle"},
        "speed": {"topic": "/vehicle/status/velocity_status", "field": "longitudinal_velocity"},
        # autoware_vehicle_msgs/ControlModeReport: 1 is autonomous.
        "autonomous": {"topic": "/vehicle/status/control_mode", "field": "mode", "equals": 1},
    },
}
ACKERMANN = "ackermann_msgs/msg/AckermannDriveStamped"
# Types that say where a car was, best first.
PLACES = {"nav_msgs/msg/Odometry": ODOMETRY, "geometry_msgs/msg/PoseStamped": POSE}


def preset_for(topics: Mapping[str, Topic]) -> tuple[dict[str, Any] | None, str]:
    """A mapping that fits the topics of a bag, or None; and a sentence about it."""
    if AUTOWARE["ego"]["topic"] in topics:
        signals = {name: how for name, how in AUTOWARE["signals"].items() if how["topic"] in topics}
        return {**AUTOWARE, "signals": signals}, "topics are Autoware's"
    for kind, fields in PLACES.items():
        # Of several, the one with the most messages.
        found = sorted(
            (t for t in topics if topics[t].type == kind and topics[t].count), key=lambda t: -topics[t].count
        )
        if found:
            mapping: dict[str, Any] = {"ego": {"topic": found[0], **fields}, "signals": {}}
            driven = [t for t in topics if topics[t].type == ACKERMANN]
            if driven:
                mapping["signals"]["road_wheel"] = {"topic": driven[0], "field": "drive.steering_angle"}
            others = f" (of {', '.join(found)})" if len(found) > 1 else ""
            return mapping, f"the ego is where {found[0]} says{others}"
    return None, ""
