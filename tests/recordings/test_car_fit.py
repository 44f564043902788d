"""A car of known answers is found again in a minute of it, and drives what was driven."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from learned_sim_env.recordings import formats
from learned_sim_env.recordings.car import SingleTrack
from learned_sim_env.recordings.car_fit import CarFit, fit_car
from learned_sim_env.recordings.drives import drives_of
from learned_sim_env.recordings.recording import Recording
from learned_sim_env.recordings.segments import part, smooth_piece
from tests.recordings.writers import write_csv

DT = 0.1
TRUE = SingleTrack(
    full_lock=0.18,
    offset=0.004,
    understeer=0.002,
    pedals=((-1.0, -8.0), (-0.5, -4.0), (-0.25, -2.2), (-0.1, -1.0), (0.0, -0.2), (0.1, 0.3), (0.25, 0.9), (1.0, 4.0)),
    steering_delay=0.2,
    pedal_delay=0.3,
)


def driven(seconds: float, seed: int = 0) -> dict[str, np.ndarray]:
    """Columns of a table: a minute of `TRUE` by somebody who turns and changes speed, with noise of a good receiver."""
    rng, count = np.random.default_rng(seed), round(seconds / DT)
    t = DT * np.arange(count + 1)
    steer = 0.25 * np.sin(0.5 * t) + 0.15 * np.sin(1.1 * t + 1)
    push = np.clip(0.25 * np.sin(0.35 * t) + 0.2 * np.sin(0.8 * t + 2) + 0.02, -0.4, 1)
    push[: round(8 / DT)] = 0.5
    late_steer = np.interp(t - TRUE.steering_delay, t, steer)
    late_push = np.interp(t - TRUE.pedal_delay, t, push)
    states = [np.array([0.0, 0.0, 0.3, 8.0])]
    for k in range(count):
        # What is asked for in the middle of a step.
        action = [(values[k] + values[k + 1]) / 2 for values in (late_steer, late_push)]
        states.append(TRUE.step(states[-1], np.array(action), DT))
    x, y, heading, speed = np.array(states).T
    noise = rng.normal(0, 0.02, (2, count + 1))
    heading = np.unwrap(heading) + rng.normal(0, 0.003, count + 1)
    return {"time": t, "x": x + noise[0], "y": y + noise[1], "heading": heading, "steer": steer, "throttle_brake": push}


def recorded(folder: Path, columns: dict[str, np.ndarray]) -> Recording:
    folder.mkdir(exist_ok=True)
    write_csv(folder / "ego.csv", columns)
    return next(iter(formats.read(folder)))


def fitted(recording: Recording) -> CarFit:
    piece = smooth_piece(part(recording.ego, 0, len(recording.ego.times) - 1), DT)
    return fit_car(recording, [(piece.times, piece.states)], DT)


@pytest.fixture(scope="module")
def minute(tmp_path_factory) -> Recording:
    return recorded(tmp_path_factory.mktemp("minute"), driven(60.0))


def test_gains_offset_delays_and_understeer_are_found(minute):
    found = fitted(minute)
    steering, pedals = found.steering, found.pedals
    assert steering.share > 0.98 and pedals.share > 0.9
    assert -steering.slope == pytest.approx(TRUE.full_lock, rel=0.05)
    assert steering.offset == pytest.approx(TRUE.offset, abs=0.0015)
    assert steering.understeer == pytest.approx(TRUE.understeer, abs=0.0006)
    assert steering.delay == pytest.approx(TRUE.steering_delay, abs=0.051)
    assert pedals.delay == pytest.approx(TRUE.pedal_delay, abs=0.051)
    for push in (-0.25, 0.0, 0.25):
        answer = np.interp(push, *np.array(pedals.points).T)
        assert answer == pytest.approx(np.interp(push, *np.array(TRUE.pedals).T), abs=0.25)
    assert (np.diff(np.array(pedals.points), axis=0) > 0).all()
    assert found.ade < 0.1
    told = " ".join(found.notes)
    assert "car fitted: full lock is a curvature of 0.1" in told and "pedals fitted: full throttle" in told


def test_wheels_of_other_kinds(tmp_path):
    columns = driven(40.0)
    curvature = -TRUE.full_lock * columns.pop("steer")
    road = fitted(recorded(tmp_path / "road", {**columns, "road_wheel": curvature * 2.6}))
    assert road.steering.wheelbase == pytest.approx(2.6, rel=0.06)
    wheel = fitted(recorded(tmp_path / "wheel", {**columns, "steering_wheel": curvature * 2.6 * 15 + 0.05}))
    assert np.degrees(1 / wheel.steering.slope) == pytest.approx(np.degrees(2.6 * 15), rel=0.06)


def test_little_or_useless_driving_is_not_fitted(tmp_path):
    short = fitted(recorded(tmp_path / "short", driven(10.0)))
    assert short.steering is None and "10 s are too few" in short.notes[0]
    columns, rng = driven(30.0), np.random.default_rng(1)
    for name in ("steer", "throttle_brake"):
        columns[name] = rng.normal(0, 0.3, len(columns[name]))
    noise = fitted(recorded(tmp_path / "noise", columns))
    assert noise.steering is None and noise.pedals is None and "explains" in noise.notes[0]
    for name in ("steer", "throttle_brake"):
        columns[name][:] = 0.0
    assert "it hardly moves" in fitted(recorded(tmp_path / "still", columns)).notes[0]
    none = fitted(
        recorded(tmp_path / "none", {k: v for k, v in columns.items() if k not in ("steer", "throttle_brake")})
    )
    assert [n.rpartition(": ")[2] for n in none.notes] == ["it was not measured", "they were not measured"]


def test_drives_of_the_fitted_car_are_driven_by_what_was_measured(minute):
    usual, own = drives_of(minute), drives_of(minute, fit_the_car=True)
    drive = own[0]
    assert drive.car.understeer > 0 and drive.car.steering_delay > 0 and usual[0].car == SingleTrack(minute.vehicle)
    # What is inferred from the path is what was asked for, as far as the car answers late.
    late = round(drive.car.steering_delay / DT)
    off = np.abs(drive.controls.inverse[late:, 0] - drive.controls.actions[: len(drive) - late, 0])
    other = np.abs(usual[0].controls.inverse[:, 0] - usual[0].controls.actions[:, 0])
    assert np.median(off) < 0.02 < np.median(other)
    assert any("car fitted" in note for note in drive.notes)
