"""What vectors, rewards, costs, ends, `info` and scenarios are made of, by name."""

from __future__ import annotations

# Components of the `ego` observation, in order.
EGO_FIELDS = ("speed", "yaw_rate", "last_steer", "last_throttle_brake", "route_distance", "route_heading_error")
# Components of one step's ego motion in the ego frame before the step: metres, metres, radians.
MOTION_FIELDS = ("dx", "dy", "dyaw")

REWARD_TERMS = ("progress", "lateral_speed", "jerk", "steering_change", "arrival", "collision", "off_road")
COST_TERMS = ("collision", "off_road", "wrong_way")
# Every way an episode can end; the first three terminate, the others truncate.
TERMINATIONS = ("collision", "off_road", "arrival")
TRUNCATIONS = ("time_limit", "uncertainty", "simulator_error", "not_finite")
# Those that say nothing about the driving: the simulator failed, or the model gave numbers that are not finite. The
# last step then has no reward and no cost, and shows what the one before it showed.
FAILURES = ("simulator_error", "not_finite")

# Scenario seeds, by what they are for; others are left untouched. Those of recordings are the episodes of an import,
# one after the other: what they are for is kept with them.
TRAINING_SCENARIOS, TEST_SCENARIOS = range(0, 1_000_000), range(1_000_000, 2_000_000)
RECORDED_SCENARIOS = range(2_000_000, 3_000_000)

SCENARIO_TAGS = ("straight", "curve", "intersection", "roundabout", "merge", "traffic", "objects")

# Keys of `info` after `reset` and after `step`, the same for every environment id. `ego_motion` is (3,) float32, see
# MOTION_FIELDS; `imagined_steps` counts the steps since the last real observation (always 0 in a simulator); `context`
# is the index of the starting context (-1 in a simulator); `end_reason` is "" while the episode runs; `scenario_tags`,
# of `SCENARIO_TAGS`, describe the moment at which the episode began, in a dream that of its context. With
# `info_type="numeric"`, see `environments.info.numeric`.
INFO_KEYS = (
    "reward_terms",
    "cost",
    "cost_terms",
    "end_reason",
    "uncertainty",
    "ego_motion",
    "imagined_steps",
    "context",
    "scenario_tags",
)

INFO_TYPES = ("full", "numeric")
