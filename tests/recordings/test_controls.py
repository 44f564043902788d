"""What was measured on the car goes before what its path tells, with its sign, its scale and its gaps."""

from __future__ import annotations

import re

import numpy as np
import pytest

from learned_sim_env.recordings import formats
from learned_sim_env.recordings.checks import figures, warnings_of
from learned_sim_env.recordings.drives import drives_of
from tests.recordings.writers import table


def drive_with(world, tmp_path, **columns):
    (recording,) = formats.read(table(tmp_path, world, **columns))
    drives = drives_of(recording)
    return recording, drives, drives[0].controls


def said(recording, drives) -> str:
    return "\n".join(warnings_of(recording, drives, [figures(d) for d in drives]))


def test_road_wheel(world, tmp_path):
    angle = np.arctan(2.8 * world.curvature)
    _, drives, controls = drive_with(world, tmp_path, road_wheel=angle)
    assert controls.sources == ("measured", "inverse")
    assert np.abs(controls.actions[:, 0] - controls.inverse[:, 0]).max() < 0.05


def test_steering_wheel_is_fitted(world, tmp_path):
    wheel = 15 * np.arctan(2.8 * world.curvature) + np.radians(3.0)
    recording, drives, controls = drive_with(world, tmp_path, steering_wheel_deg=np.degrees(wheel))
    assert controls.sources[0] == "measured"
    assert np.abs(controls.actions[:, 0] - controls.inverse[:, 0]).max() < 0.05
    (note,) = (n for n in controls.notes if "steering fitted" in n)
    ratio, straight = (float(word) for word in re.findall(r"[+-]?\d+\.?\d*", note)[:3:2])
    assert ratio == pytest.approx(np.degrees(15 * 2.8), rel=0.03)
    assert straight == pytest.approx(3.0, abs=0.5)


def test_reversed_steering_is_told(world, tmp_path):
    recording, drives, _ = drive_with(world, tmp_path, steer=np.clip(world.curvature / 0.1, -1, 1))
    assert "the steering sign looks reversed: correlation -1.0" in said(recording, drives)


def test_wheel_that_says_nothing(world, tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.1, len(world.times))
    _, _, controls = drive_with(world, tmp_path, steering_wheel=noise)
    assert controls.sources[0] == "inverse"
    assert any("explains" in n for n in controls.notes)


def test_pedals(world, tmp_path):
    brake = np.where(world.times > 4, 0.25, 0.0)
    _, _, controls = drive_with(world, tmp_path, throttle=np.full(len(world.times), 0.4), brake=brake)
    assert controls.sources == ("inverse", "measured")
    assert np.allclose(controls.actions[:38, 1], 0.4)
    assert np.allclose(controls.actions[42:, 1], -0.25)


def test_gaps_are_not_valid(world, tmp_path):
    pedal = np.full(len(world.times), 0.4)
    pedal[30:60] = np.nan
    _, _, controls = drive_with(world, tmp_path, throttle_brake=pedal)
    assert not controls.valid[36:53, 1].any()
    assert controls.valid[:29, 1].all() and controls.valid[:, 0].all()
    # Where it is not known, what stands there is what the path tells.
    assert np.allclose(controls.actions[36:53, 1], controls.inverse[36:53, 1])


@pytest.mark.parametrize(("factor", "words"), [(3.6, "km/h"), (2.237, "miles an hour"), (1.0, "")])
def test_units_of_speed(factor, words, world, tmp_path):
    recording, drives, _ = drive_with(world, tmp_path, speed=world.speeds * factor)
    told = said(recording, drives)
    assert (words in told) if words else ("measured speeds" not in told)
