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
