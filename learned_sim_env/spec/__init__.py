"""The contract every environment of this package keeps, as frozen dataclasses.

Frames: world x, y in metres, right-handed, heading counter-clockwise from +x in radians. Ego frame: x forward, y left.
Units are SI throughout. Nothing here imports torch or a simulator.
"""

from learned_sim_env.spec.actions import ACTION_TYPES, DISCRETE_ACTIONS
from learned_sim_env.spec.classes import (
    NUM_CLASSES,
    NUM_MAP_CLASSES,
    NUM_STATIC_CLASSES,
    PALETTE,
    SCENERY_REACH,
    SceneryKind,
    SemanticClass,
)
from learned_sim_env.spec.contract import CONTRACTS, FLAT_SIZE, OBS_TYPES, Contract, RewardSpec, observed_as
from learned_sim_env.spec.errors import unknown
from learned_sim_env.spec.fingerprints import Fingerprints
from learned_sim_env.spec.geometry import CAMERAS, EGO_SIZE, BevSpec, CameraSpec
from learned_sim_env.spec.modality import WAYPOINTS, Modality
from learned_sim_env.spec.names import (
    COST_TERMS,
    EGO_FIELDS,
    FAILURES,
    INFO_KEYS,
    INFO_TYPES,
    MOTION_FIELDS,
    RECORDED_SCENARIOS,
    REWARD_TERMS,
    SCENARIO_TAGS,
    TERMINATIONS,
    TEST_SCENARIOS,
    TRAINING_SCENARIOS,
    TRUNCATIONS,
)

__all__ = [
    "ACTION_TYPES",
    "CAMERAS",
    "CONTRACTS",
    "COST_TERMS",
    "DISCRETE_ACTIONS",
    "EGO_FIELDS",
    "EGO_SIZE",
    "FAILURES",
    "FLAT_SIZE",
    "INFO_KEYS",
    "INFO_TYPES",
    "MOTION_FIELDS",
    "NUM_CLASSES",
    "NUM_MAP_CLASSES",
    "NUM_STATIC_CLASSES",
    "OBS_TYPES",
    "PALETTE",
    "RECORDED_SCENARIOS",
    "REWARD_TERMS",
    "SCENARIO_TAGS",
    "TERMINATIONS",
    "TEST_SCENARIOS",
    "TRAINING_SCENARIOS",
    "TRUNCATIONS",
    "WAYPOINTS",
    "BevSpec",
    "CameraSpec",
    "Contract",
    "Fingerprints",
    "Modality",
    "RewardSpec",
    "SCENERY_REACH",
    "SceneryKind",
    "SemanticClass",
    "observed_as",
    "unknown",
]
