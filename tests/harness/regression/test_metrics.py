"""Metrics of drives whose course is known."""

from __future__ import annotations

import numpy as np
import pytest

from learned_sim_env.harness.engine.job import STEPS, DriveResult
from learned_sim_env.harness.engine.strips import FRAMES, strips
from learned_sim_env.harness.engine.suite import Suite, SuiteScenario
from learned_sim_env.harness.regression.metrics import CONCERN, measure, poses, succeeded, times_to_collision

STEPS_DRIVEN = 20


def drive(
    end: str = "", speed: float = 5.0, turn: float = 0.0, gap: np.ndarray | None = None, wrong: int = 0
) -> DriveResult:
    """Steadily, along an arc of `turn` rad a step."""
    arrays = {name: np.zeros((STEPS_DRIVEN, *shape), dtype) for name, (shape, dtype) in STEPS.items()}
    arrays["ego"][:, 0], arrays["ego"][:, 1] = speed, turn / 0.1
    arrays["motion"][:] = (speed * 0.1, 0.0, turn)
    arrays["reward_terms"][:, 0] = speed / 15.0
    arrays["gap"][:] = np.inf if gap is None else gap
    arrays["cost_terms"][-1] = (end == "collision", end == "off_road", 0)
    arrays["cost_terms"][:wrong, 2] = 1
    return DriveResult(**arrays, end=end)


def scenario(expected: str = "safe") -> SuiteScenario:
    return SuiteScenario("s", ("a",), 0, 0, STEPS_DRIVEN, expected)


def suite(path: np.ndarray, steps: int = STEPS_DRIVEN) -> Suite:
    return Suite("s", (scenario(),), None, path[None].astype(np.float32), np.array([steps]), {})  # type: ignore[arg-type]


STRAIGHT = np.column_stack([0.5 * np.arange(1, STEPS_DRIVEN + 1), np.zeros(STEPS_DRIVEN), np.zeros(STEPS_DRIVEN)])


def test_a_drive_like_the_recorded_one_is_no_way_off():
    found = measure(drive(), scenario(), suite(STRAIGHT))
    assert found["ade"] == pytest.approx(0, abs=1e-6) and found["fde"] == pytest.approx(0, abs=1e-6)
    assert found["progress"] == pytest.approx(10.0) and found["jerk"] == 0 and found["min_ttc"] == CONCERN
    assert (found["collision"], found["violation"], found["success"]) == (0, 0, 1)


def test_displacement_counts_as_far_as_both_went():
    found = measure(drive(speed=7.0), scenario(), suite(STRAIGHT, steps=10))
    assert found["fde"] == pytest.approx(2.0) and found["ade"] == pytest.approx(1.1)


def test_a_full_turn_comes_back():
    turn = 2 * np.pi / STEPS_DRIVEN
    path = poses(drive(turn=turn))
    assert np.hypot(*path[-1, :2]) < 1e-4 and path[-1, 2] == pytest.approx(2 * np.pi, abs=1e-5)
    found = measure(drive(turn=turn), scenario(), suite(STRAIGHT))
    assert found["lateral"] == pytest.approx(5.0 * turn / 0.1, rel=1e-4)


def test_time_to_collision_is_gap_over_closing_speed():
    gap = 20.0 - 0.4 * np.arange(STEPS_DRIVEN)
    time = times_to_collision(drive(gap=gap))
    assert (time[:5] == CONCERN).all() and time[-1] == pytest.approx(gap[-1] / 4.0, rel=1e-5)
    assert (times_to_collision(drive(gap=np.full(STEPS_DRIVEN, 8.0))) == CONCERN).all(), "nobody comes nearer"
    assert times_to_collision(drive("collision"))[-1] == 0


@pytest.mark.parametrize(
    ("expected", "end", "progress", "success"),
    [
        ("safe", "", 0.0, True),
        ("safe", "collision", 9.0, False),
        ("drive", "", 3.0, False),
        ("drive", "", 5.0, True),
        ("drive", "arrival", 1.0, True),
        ("arrive", "", 50.0, False),
        ("arrive", "arrival", 1.0, True),
    ],
)
def test_success_is_what_the_scenario_expects(expected, end, progress, success):
    assert succeeded(drive(end), scenario(expected), progress) is success


def test_of_a_drive_that_the_model_broke_off_nobody_knows_how_it_would_have_ended():
    found = measure(drive("uncertainty"), scenario(), suite(STRAIGHT))
    assert np.isnan(found["success"]) and found["broken_off"] == 1 and found["collision"] == 0
    assert measure(drive("collision"), scenario(), suite(STRAIGHT))["broken_off"] == 0


def test_a_step_against_the_traffic_is_noise_and_half_a_second_is_not():
    assert not drive(wrong=2).violated and drive(wrong=5).violated and drive("off_road").violated
    assert drive("off_road").crashed and drive("collision").collided and not drive("arrival").crashed


def test_strips_are_black_after_the_end():
    views = np.full((21, 64, 64), 1, np.uint8)
    picture = strips([views, views[:11]], horizon=20)
    assert picture.shape == (2 * 66, FRAMES * 66, 3)
    whole, cut = (picture[row : row + 64].reshape(64, FRAMES, 66, 3)[:, :, :64] for row in (0, 66))
    assert (whole > 0).any(-1).all(), "nothing is black"
    assert [bool((cut[:, i] > 0).any()) for i in range(FRAMES)] == [True] * 7 + [False] * 4
