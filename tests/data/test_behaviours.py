from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learned_sim_env.data.behaviours import BEHAVIOURS, OrnsteinUhlenbeck, choose_behaviour, make_behaviour


def driving(steer: float = 0.2, throttle_brake: float = 0.7, speed: float = 6.0, gap: float = np.inf) -> Any:
    """Where every policy of the simulator does the same thing; `gap` [m] ahead is an agent, unless it is infinite."""
    action = np.array([steer, throttle_brake], np.float32)
    poses = np.array([[gap, 0.0, 0.0]] if np.isfinite(gap) else np.zeros((0, 3)))
    return SimpleNamespace(
        simulator=SimpleNamespace(policy_action=lambda name: action),
        scene=SimpleNamespace(ego=SimpleNamespace(speed=speed, pose=np.zeros(3)), agents=SimpleNamespace(poses=poses)),
    )


def actions(name: str, seed: int, steps: int = 300, **kwargs: float) -> np.ndarray:
    behaviour, env = make_behaviour(name, seed), driving(**kwargs)
    return np.array([behaviour.act(env) for _ in range(steps)])


def test_shares_add_up() -> None:
    assert sum(share for _, share in BEHAVIOURS.values()) == pytest.approx(1.0)


def test_seeds_choose_behaviours_by_their_shares() -> None:
    names = [choose_behaviour(seed) for seed in range(3000)]
    assert names == [choose_behaviour(seed) for seed in range(3000)]
    for name, (_, share) in BEHAVIOURS.items():
        assert names.count(name) / 3000 == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("name", BEHAVIOURS)
@given(seed=st.integers(0, 1_999_999))
def test_actions_are_valid_and_a_function_of_the_seed(name: str, seed: int) -> None:
    first = actions(name, seed, steps=50)
    assert first.dtype == np.float32
    assert first.shape == (50, 2)
    assert np.abs(first).max() <= 1.0
    np.testing.assert_array_equal(first, actions(name, seed, steps=50))


@pytest.mark.parametrize("name", sorted(set(BEHAVIOURS) - {"expert", "idm"}))
def test_seeds_differ(name: str) -> None:
    assert not np.array_equal(actions(name, 0), actions(name, 1))


@pytest.mark.parametrize("name", ["expert", "idm"])
def test_policies_are_unchanged(name: str) -> None:
    np.testing.assert_array_equal(actions(name, 3), np.tile(np.array([0.2, 0.7], np.float32), (300, 1)))


def test_brake_swerve_interrupts_and_recovers() -> None:
    calm = (np.concatenate([actions("brake_swerve", seed) for seed in range(20)]) == np.float32([0.2, 0.7])).all(-1)
    assert 0.4 < calm.mean() < 0.95
    # From calm to burst and back, many times.
    assert np.abs(np.diff(calm.astype(int))).sum() > 40


def test_drift_moves_forward() -> None:
    assert np.mean([actions("drift", seed)[:, 1].mean() for seed in range(20)]) > 0.2


def test_stop_and_go_brakes_and_goes() -> None:
    throttle = np.concatenate([actions("stop_and_go", seed)[:, 1] for seed in range(5)])
    assert throttle.min() < -0.5 < 0.5 < throttle.max()


def test_noise_has_its_scale_and_correlation() -> None:
    noise = OrnsteinUhlenbeck(np.random.default_rng(0), np.array([0.3, 1.0]), tau=0.5)
    samples = np.array([noise.sample() for _ in range(20_000)])
    np.testing.assert_allclose(samples.std(0), [0.3, 1.0], rtol=0.1)
    correlation = np.corrcoef(samples[1:, 0], samples[:-1, 0])[0, 1]
    assert correlation == pytest.approx(np.exp(-0.1 / 0.5), abs=0.03)


def test_unknown_name() -> None:
    with pytest.raises(ValueError, match="'brake_swerve'"):
        make_behaviour("brake_swerv", 0)


def test_fast_exceeds_what_others_keep_to_and_now_and_then_ignores_who_is_ahead() -> None:
    assert (np.concatenate([actions("fast", seed, speed=8.9) for seed in range(20)])[:, 1] > 0).all()
    brakes = [(actions("fast", seed, speed=10.0, gap=8.0)[:, 1] < 0).all() for seed in range(100)]
    assert 0.4 < np.mean(brakes) < 0.9
