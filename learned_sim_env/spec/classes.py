"""Pixel classes of the bird's-eye view and their colours."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class SemanticClass(IntEnum):
    """Pixel classes of the bird's-eye view, in painting order: a higher class covers a lower one."""

    OFF_ROAD = 0
    ROAD = 1
    ROUTE = 2
    BROKEN_LINE = 3
    SOLID_LINE = 4
    STATIC_OBJECT = 5
    VEHICLE = 6
    PEDESTRIAN = 7
    EGO = 8


class SceneryKind(IntEnum):
    """What stands beside the road, as drawn cameras show it; `NONE` is an empty slot."""

    NONE = 0
    TREE = 1
    CONIFER = 2
    BUSH = 3
    HOUSE = 4
    BLOCK = 5
    LAMP = 6
    POST = 7


# [m] What stands farther from the ego is not recorded.
SCENERY_REACH = 80.0


NUM_CLASSES = len(SemanticClass)
# Classes up to this one belong to the map: they never move. The others are agents, painted over it.
NUM_MAP_CLASSES = SemanticClass.SOLID_LINE + 1
# Classes up to this one stand still.
NUM_STATIC_CLASSES = SemanticClass.STATIC_OBJECT + 1

# One colour a class, shape (NUM_CLASSES, 3) uint8 RGB, so that class ids can be read back exactly.
PALETTE = np.array(
    [
        (44, 62, 48),  # off-road
        (96, 100, 110),  # road
        (58, 132, 196),  # route
        (214, 214, 214),  # broken line
        (250, 196, 60),  # solid line
        (240, 120, 40),  # static object
        (222, 60, 72),  # vehicle
        (232, 92, 216),  # pedestrian
        (92, 230, 128),  # ego
    ],
    dtype=np.uint8,
)
PALETTE.setflags(write=False)
