"""Recordings of one known world, in every format."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.recordings import writers
from tests.recordings.world import World, make_world

# By name: what writes it, and the package that reading or writing needs.
WRITERS: dict[str, tuple[Callable[[Path, World], Path], str]] = {
    "scenarionet": (writers.scenarionet, ""),
    "metadrive": (writers.metadrive, ""),
    "waymo": (writers.waymo, "google.protobuf"),
    "gpudrive": (writers.gpudrive, ""),
    "nocturne": (partial(writers.gpudrive, degrees=True, ego=False), ""),
    "table": (writers.table, ""),
    "argoverse2": (writers.argoverse2, "pyarrow"),
    "argoverse2-sensor": (writers.argoverse2_sensor, "pyarrow"),
    "nuscenes": (writers.nuscenes, ""),
    "nuscenes-plain": (partial(writers.nuscenes, can=False, road=False), ""),
    "nuplan": (writers.nuplan, ""),
    "nuplan-plain": (partial(writers.nuplan, road=False), ""),
    "commonroad": (writers.commonroad, ""),
    "commonroad-2018b": (partial(writers.commonroad, old=True), ""),
    "comma": (writers.comma, ""),
    "rosbag": (writers.rosbag, "rosbags"),
    "rosbag-ros1": (partial(writers.rosbag, ros=1), "rosbags"),
    "rosbag-autoware": (partial(writers.rosbag, autoware=True), "rosbags"),
}


@pytest.fixture(scope="session")
def world() -> World:
    return make_world()


@pytest.fixture
def write(world, tmp_path) -> Callable[[str], Path]:
    """Writes the world in the format that is named, and says where."""

    def written(name: str) -> Path:
        writer, package = WRITERS[name]
        if package:
            pytest.importorskip(package)
        return writer(tmp_path, world)

    return written
