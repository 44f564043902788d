"""Where recordings are cut."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from learned_sim_env.recordings.drives import drives_of
from learned_sim_env.recordings.recording import EgoPath, Recording, RecordingError, Signal
from learned_sim_env.spec import CONTRACTS


def recording(tmp_path, speeds: np.ndarray, dt: float = 0.1, **more) -> Recording:
    """Straight ahead with speeds (T,)."""
    times = dt * np.arange(len(speeds))
    x = np.concatenate([[0.0], np.cumsum((speeds[1:] + speeds[:-1]) / 2 * dt)])
    places = np.stack([x, np.zeros(len(x))], -1)
    return Recording("r", "table", tmp_path, "log", EgoPath(times, places, np.zeros(len(x))), **more)


def test_in_equal_parts_no_longer_than_an_episode(tmp_path):
    drives = drives_of(recording(tmp_path, np.full(1202, 8.0)))
    assert [len(d) for d in drives] == [400, 401, 400]
    assert [d.name for d in drives] == ["r/0", "r/1", "r/2"]
    assert max(map(len, drives)) <= CONTRACTS["driving"].max_episode_steps
    assert drives[1].start == pytest.approx(drives[0].start + 40.0)


def test_at_gaps(tmp_path):
    whole = recording(tmp_path, np.full(201, 8.0))
    keep = np.ones(201, bool)
    keep[90:105] = False
    ego = whole.ego
    gappy = replace(whole, ego=EgoPath(ego.times[keep], ego.places[keep], ego.headings[keep]))
    first, second = drives_of(gappy)
    assert (len(first), len(second)) == (89, 95)
    assert second.start == pytest.approx(10.5)


def test_short_gaps_are_bridged(tmp_path):
    whole = recording(tmp_path, np.full(101, 8.0))
    keep = np.ones(101, bool)
    keep[40:48] = False
    ego = whole.ego
    (drive,) = drives_of(replace(whole, ego=EgoPath(ego.times[keep], ego.places[keep], ego.headings[keep])))
    assert len(drive) == 100
    assert np.abs(drive.states[:, 3] - 8.0).max() < 0.1


def test_long_stops_are_cut(tmp_path):
    ramp = np.linspace(8.0, 0.0, 60)
    speeds = np.concatenate([np.full(50, 8.0), ramp, np.zeros(200), ramp[::-1], np.full(50, 8.0)])
    first, second = drives_of(recording(tmp_path, speeds))
    stood = [int((np.abs(d.states[:, 3]) < 0.1).sum()) for d in (first, second)]
    assert all(15 <= s <= 30 for s in stood)


def test_short_stops_stay(tmp_path):
    ramp = np.linspace(8.0, 0.0, 60)
    speeds = np.concatenate([np.full(50, 8.0), ramp, np.zeros(60), ramp[::-1], np.full(50, 8.0)])
    assert len(drives_of(recording(tmp_path, speeds))) == 1


def test_at_takeovers(tmp_path):
    whole = recording(tmp_path, np.full(201, 8.0))
    driving = Signal(whole.ego.times, (whole.ego.times > 12.0).astype(float))
    first, second = drives_of(replace(whole, signals={"autonomous": driving}))
    assert second.start == pytest.approx(12.05, abs=0.1)
    assert len(first) + len(second) == 199


def test_why_there_is_nothing(tmp_path):
    with pytest.raises(RecordingError, match=r"2\.0 s without a gap are less than 3 s"):
        drives_of(recording(tmp_path, np.full(21, 8.0)))
    with pytest.raises(RecordingError, match=r"stands still for 20\.0 s"):
        drives_of(recording(tmp_path, np.zeros(201)))


def test_frame_begins_near_the_start(tmp_path):
    whole = recording(tmp_path, np.full(101, 8.0))
    far = EgoPath(whole.ego.times, whole.ego.places + np.array([4.6e6, 5.3e5]), whole.ego.headings)
    (drive,) = drives_of(replace(whole, ego=far))
    assert np.abs(drive.states[0, :2]).max() < 1.0
    assert np.allclose(drive.states[0, :2] + drive.origin, far.places[0], atol=0.1)
