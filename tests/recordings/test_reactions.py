"""Others brake for an ego that is in their way, and for nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from learned_sim_env.recordings import formats
from learned_sim_env.recordings.drives import Drive, drives_of
from learned_sim_env.recordings.reactions import Reactions
from tests.recordings.world import LANE
from tests.recordings.writers import table


@pytest.fixture
def drive(world, tmp_path) -> Drive:
    """With one more car, 15 m behind the ego."""
    path = table(tmp_path, world)
    way = np.concatenate([[0.0], np.cumsum((world.speeds[1:] + world.speeds[:-1]) / 2 * 0.1)])
    centre = world.lane(0)
    s = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(centre, axis=0).T))]) - 60.0
    with open(path / "tracks.csv", "a") as file:
        for time, w in zip(world.times, way - 15.0):
            x, y = (np.interp(w, s, centre[:, k]) for k in (0, 1))
            dx, dy = (np.interp(w + 0.5, s, centre[:, k]) - np.interp(w - 0.5, s, centre[:, k]) for k in (0, 1))
            file.write(f"\n{time},behind,car,{x},{y},{np.arctan2(dy, dx)},4.5,1.8")
    (found,) = drives_of(next(formats.read(path)))
    return found


def ego_that_stands(drive: Drive):
    from dataclasses import replace

    return replace(drive.ego(0), velocity=(0.0, 0.0))


def test_nobody_minds_the_recorded_ego(drive):
    reactions = Reactions(drive)
    for t in range(len(drive)):
        assert not len(reactions.disturbed(t, drive.ego(t)))
        reactions.step(t, drive.ego(t))
    assert not reactions.drivers


def test_the_driver_behind_stops_for_an_ego_that_stands(drive):
    ego, reactions = ego_that_stands(drive), Reactions(drive)
    for t in range(len(drive)):
        reactions.step(t, ego)
    assert len(reactions.drivers) == 1
    moved = reactions.moved()
    gap = np.hypot(*(moved.poses[0, :2] - ego.pose[:2])) - (4.5 + 4.8) / 2
    assert 0.5 < gap < 6.0
    assert np.hypot(*moved.velocities[0]) < 0.5
    # As it was recorded, it would have driven through.
    scene = drive.scene_around(len(drive), ego, moved)
    assert scene.last


def test_an_ego_beside_the_lane_disturbs_nobody(drive):
    from dataclasses import replace

    ego, reactions = ego_that_stands(drive), Reactions(drive)
    ego = replace(ego, x=ego.x + 2 * LANE * np.sin(ego.heading), y=ego.y - 2 * LANE * np.cos(ego.heading))
    for t in range(len(drive)):
        reactions.step(t, ego)
    assert not reactions.drivers
