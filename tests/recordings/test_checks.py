"""Figures that tell what is wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from learned_sim_env.recordings import formats
from learned_sim_env.recordings.checks import figures, overlapping, warnings_of
from learned_sim_env.recordings.drives import drives_of
from learned_sim_env.recordings.recording import EgoPath
from tests.recordings.writers import table


@pytest.mark.parametrize(
    ("other", "count"),
    [
        ((4.0, 0.0, 0.0), 1),
        ((5.0, 0.0, 0.0), 0),
        ((0.0, 2.1, 0.0), 0),
        ((0.0, 1.5, 0.0), 1),
        # Corner to corner: their circles overlap, they do not.
        ((1.0, 3.4, np.pi / 4), 0),
        ((3.0, 1.5, np.pi / 4), 1),
    ],
)
def test_overlaps(other, count):
    poses = np.array([(0.0, 0.0, 0.0), other])
    assert overlapping(poses, np.array([(4.5, 1.9), (4.5, 1.9)])) == count


def test_a_good_recording_needs_no_warning(world, tmp_path):
    (recording,) = formats.read(table(tmp_path, world))
    drives = drives_of(recording)
    (found,) = (figures(d) for d in drives)
    assert found.on_lane == 1.0 and found.overlaps == 0 and found.replay < 0.05 and found.steering > 0.9
    assert warnings_of(recording, drives, [found]) == []


def test_a_map_of_another_place(world, tmp_path):
    (recording,) = formats.read(table(tmp_path, world))
    ego = recording.ego
    moved = replace(recording, ego=EgoPath(ego.times, ego.places + np.array([60.0, 0.0]), ego.headings))
    drives = drives_of(moved)
    told = "\n".join(warnings_of(moved, drives, [figures(d) for d in drives]))
    assert "is the map of the same place" in told


def test_boxes_on_top_of_one_another(world, tmp_path):
    (recording,) = formats.read(table(tmp_path, world))
    (lead,) = (track for track in recording.tracks if track.name == "lead")
    pile = tuple(replace(lead, name=str(k)) for k in range(4))
    piled = replace(recording, tracks=(*recording.tracks, *pile))
    drives = drives_of(piled)
    told = "\n".join(warnings_of(piled, drives, [figures(d) for d in drives]))
    assert "pairs of boxes overlap" in told


def test_events(world, tmp_path):
    path = table(tmp_path, world)
    # A parked car that the ego passes at 40 cm, and half a second of hard braking.
    x, y, heading = world.middle[40]
    aside = (1.9 + 1.8) / 2 + 0.4
    x, y = x + aside * np.sin(heading), y - aside * np.cos(heading)
    with open(path / "tracks.csv", "a") as file:
        file.writelines(f"\n{time},parked,car,{x},{y},{heading},4.5,1.8" for time in world.times)
    (recording,) = formats.read(path)
    (found,) = (figures(d) for d in drives_of(recording))
    assert (found.near, found.hard_braking, found.off_route) == (1, 0, 0)
    (path / "tracks.csv").unlink()
    (recording,) = formats.read(path)
    ego, times = recording.ego, recording.ego.times
    # Through the same places with other times: from 8 m/s to 3 within a second.
    slow = times + np.where(times > 4.0, 1.6 * (times - 4.0), 0.0)
    braking = replace(recording, ego=EgoPath(slow, ego.places, ego.headings))
    (found,) = (figures(d) for d in drives_of(braking))
    assert (found.near, found.hard_braking, found.off_route) == (0, 1, 0)
