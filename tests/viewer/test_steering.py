"""Keys move wheel and pedals as a hand would; controllers are read as they are."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learned_sim_env.viewer.steering import (
    DOWN,
    LEFT,
    RIGHT,
    SIDEWAYS,
    UP,
    WHEELBASE,
    KeyboardWheel,
    Pad,
    from_stick,
    steer_limit,
)


def held_for(
    wheel: KeyboardWheel, held: set[str], seconds: float, speed: float = 0.0, pictures: int = 30
) -> np.ndarray:
    for _ in range(round(seconds * pictures)):
        wheel.update(held, 1 / pictures, speed)
    return wheel.action


def test_a_held_key_turns_the_wheel_smoothly():
    wheel = KeyboardWheel()
    path = [float(held_for(wheel, {RIGHT}, 0.1)[0]) for _ in range(10)]
    assert path == sorted(path)
    assert 0 < path[0] < 0.3
    assert path[-1] == 1.0
    assert wheel.action[1] == 0.0
    assert wheel.action.dtype == np.float32


def test_it_returns_when_the_key_is_let_go():
    wheel = KeyboardWheel()
    held_for(wheel, {LEFT, UP}, 1.0)
    assert wheel.action.tolist() == [-1.0, 1.0]
    held_for(wheel, set(), 0.1)
    assert -1 < wheel.action[0] < 0 < wheel.action[1] < 1
    assert held_for(wheel, set(), 1.0).tolist() == [0.0, 0.0]


def test_both_ways_at_once_is_neither():
    assert held_for(KeyboardWheel(), {LEFT, RIGHT, UP, DOWN}, 1.0).tolist() == [0.0, 0.0]


def test_braking_comes_from_throttle_through_zero():
    wheel = KeyboardWheel()
    held_for(wheel, {UP}, 1.0)
    path = [float(held_for(wheel, {DOWN}, 1 / 30)[1]) for _ in range(60)]
    assert path == sorted(path, reverse=True)
    assert 0.0 in path
    assert path[-1] == -1.0


@given(st.floats(0, 40), st.floats(0, 40))
def test_the_faster_the_less_a_key_steers(one, other):
    slow, fast = sorted((one, other))
    assert 0 < steer_limit(fast) <= steer_limit(slow) <= 1
    # Sideways acceleration of a car on a circle, as its wheels stand.
    if steer_limit(fast) < 1:
        assert fast**2 * np.tan(steer_limit(fast) * 0.7) / WHEELBASE == pytest.approx(SIDEWAYS, rel=1e-3)


def test_how_often_the_screen_is_drawn_does_not_matter():
    often, seldom = (
        held_for(KeyboardWheel(), {RIGHT, UP}, 0.3, pictures=120),
        held_for(KeyboardWheel(), {RIGHT, UP}, 0.3, pictures=20),
    )
    np.testing.assert_allclose(often, seldom, atol=1e-5)


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 1))
def test_sticks_give_actions(x, left, right):
    action = from_stick(x, left, right)
    assert (np.abs(action) <= 1).all()
    assert action[0] * x >= 0
    mirrored = from_stick(-x, left, right)
    assert mirrored[0] == -action[0]


def test_sticks_rest_in_the_middle_and_reach_the_end():
    assert from_stick(0.1, 0.05, 0.1).tolist() == [0.0, 0.0]
    assert from_stick(1.0, 0.0, 1.0).tolist() == [1.0, 1.0]
    assert from_stick(-1.0, 1.0, 0.0).tolist() == [-1.0, -1.0]
    assert 0 < from_stick(0.4, 0.0, 0.0)[0] < 0.2


class Controllers:
    """Stands for SDL's controllers: there are as many as `axes` says."""

    def __init__(self, axes: list[dict[int, int]]):
        self.axes = axes

    def get_count(self) -> int:
        return len(self.axes)

    def is_controller(self, i: int) -> bool:
        return True

    def Controller(self, i: int):
        return SimpleNamespace(name="toy pad", get_axis=lambda axis: self.axes[i][axis])


def test_a_controller_that_comes_and_goes():
    pygame = pytest.importorskip("pygame", reason="needs the extra [viewer]")
    pad = Pad(pygame)
    assert pad.action(0.0) is None
    right, throttle = pygame.CONTROLLER_AXIS_LEFTX, pygame.CONTROLLER_AXIS_TRIGGERRIGHT
    brake = pygame.CONTROLLER_AXIS_TRIGGERLEFT
    axes = {right: 32767, brake: 0, throttle: 32767}
    pad._controllers = Controllers([axes])
    pad.look()
    assert pad.name == "toy pad"
    assert pad.action(0.0).tolist() == [1.0, 1.0]
    assert pad.action(20.0)[0] == pytest.approx(steer_limit(20.0))
    axes.update({right: 0, throttle: 0})
    assert pad.action(0.0) is None
    pad._controllers = Controllers([])
    pad.look()
    assert pad.name == ""
    assert pad.action(0.0) is None
