"""Every strategy: nothing at strength 0, the same for the same seed, and what its name says."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from learned_sim_env.harness.engine.perturbation import RealSteps
from learned_sim_env.harness.stress.strategies.disturbed_actions import ActionBias, ActionDropout, ActionPulse
from learned_sim_env.harness.stress.strategies.disturbed_observations import Blur, DroppedFrames, Patch, Weather
from learned_sim_env.harness.stress.strategies.disturbed_starts import (
    Injection,
    Pedestrian,
    Tails,
    ViewComposition,
    rarity,
)
from learned_sim_env.harness.stress.strategy_catalogue import STRATEGIES, from_dict, parse
from learned_sim_env.spec import SemanticClass
from tests.harness.world import small_suite

BANK = small_suite()[1].starts


def effect(name: str, strength: float, seed: int) -> list[np.ndarray]:
    """All that a strategy makes of some moments, views, actions, of the world's look and of the dream's settings."""
    p = STRATEGIES[name](strength=strength, seed=seed)
    found = [np.array([p.start(1, BANK)]), p.moments(RealSteps.of(BANK, 1), BANK).bev]
    sight, action, look = p.observation(), p.action(), p.appearance(7)
    imitation = p.imitation(7)
    found.append(np.array([1e9 if look is None else look.visibility, p.later_appearance(7) is not None]))
    views = np.random.default_rng(0).integers(0, 8, (6, 64, 64)).astype(np.uint8)
    for t in range(6):
        ego = np.full(6, t, np.float32)
        shown = {"bev": views[t].copy(), "ego": ego.copy(), "front": np.full((64, 96, 3), 100 + t, np.uint8)}
        for see in (imitation, sight):
            shown = shown if see is None else see(3 * t, shown)
        wanted = np.array([0.1 * t, -0.1 * t], np.float32)
        found += [
            shown["bev"].copy(),
            shown["ego"].copy(),
            shown["front"].copy(),
            wanted if action is None else np.array(action(t, wanted.copy())),
        ]
    dream = {"temperature": 1.0, "push": 0.0, "flip": 0.0} | p.dream()
    partner = p.partner(BANK)
    return [*found, np.array(list(dream.values())), np.array([-1 if partner is None or strength == 0 else partner])]


def alike(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b))


@pytest.mark.parametrize("name", STRATEGIES)
def test_nothing_happens_at_strength_0(name):
    assert alike(effect(name, 0.0, 3), effect("action_bias", 0.0, 0))


@pytest.mark.parametrize("name", [n for n in STRATEGIES if n != "action_pulse"])
def test_the_seed_decides(name):
    assert alike(effect(name, 1.0, 3), effect(name, 1.0, 3))
    assert any(not alike(effect(name, 1.0, seed), effect(name, 0.0, seed)) for seed in range(4))


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_survives_being_written(name):
    p = STRATEGIES[name](strength=0.25, seed=9)
    assert from_dict(json.loads(json.dumps(p.to_dict()))) == p


def test_wrong_ones_are_named():
    with pytest.raises(ValueError, match="strength of blur is 1\\.5"):
        Blur(1.5)
    with pytest.raises(ValueError, match="Did you mean 'weather'"):
        parse("wether=0.5")
    with pytest.raises(ValueError, match="'blur' is not a strategy with a strength"):
        parse("blur")
    with pytest.raises(ValueError, match="Did you mean 'seed'"):
        from_dict({"name": "blur", "sed": 1})
    assert parse("weather=0.3@7") == Weather(0.3, 7)


def test_a_bias_is_constant_and_a_pulse_is_not():
    bias = ActionBias(1.0, 2).action()
    offsets = [bias(t, np.zeros(2)) for t in range(3)]
    np.testing.assert_array_equal(offsets[0], offsets[2])
    pulse = ActionPulse(1.0, 0, steer=0.5, throttle_brake=0.0, begin=0.2, length=0.3).action()
    assert [float(pulse(t, np.zeros(2))[0]) for t in range(7)] == [0, 0, 0.5, 0.5, 0.5, 0, 0]


def test_the_size_of_a_pulse_grows_with_height_and_length():
    sizes = [
        ActionPulse(1.0, 0, steer, 0.0, 0.0, length).size
        for steer, length in ((0.1, 1.0), (0.2, 1.0), (0.2, 2.0), (1.0, 10.0))
    ]
    assert sizes == sorted(sizes) and sizes[-1] == pytest.approx(0.5**0.5)


def test_lost_actions_and_views_are_those_before():
    lossy = ActionDropout(1.0, 0).action()
    assert [float(lossy(t, np.full(2, t, np.float32))[0]) for t in range(3)] == [0, 0, 0]
    frozen = DroppedFrames(1.0, 0).observation()
    seen = [frozen(t, {"front": np.full((4, 6, 3), t, np.uint8), "ego": np.full(6, t, np.float32)}) for t in range(3)]
    assert all(s["front"].max() == 0 and s["ego"].max() == 0 for s in seen)


def test_weather_hides_what_is_far_first():
    view = np.full((64, 64), SemanticClass.VEHICLE, np.uint8)
    light, thick = (Weather(s, 0).observation()(0, {"bev": view.copy()})["bev"] for s in (0.2, 0.9))
    near, far = (slice(45, 52), slice(29, 36)), (slice(0, 3), slice(0, 64))
    assert (thick[far] == SemanticClass.OFF_ROAD).all() and (light[far] == SemanticClass.OFF_ROAD).any()
    assert (thick[near] == SemanticClass.VEHICLE).mean() > 0.5


def test_blur_loses_what_is_small_and_keeps_what_is_large():
    view = np.full((64, 64), SemanticClass.ROAD, np.uint8)
    view[:, :32] = SemanticClass.OFF_ROAD
    view[10, 50] = SemanticClass.VEHICLE
    blurred = Blur(0.5, 0).observation()(0, {"bev": view.copy()})["bev"]
    assert blurred[10, 50] == SemanticClass.ROAD and (blurred == view).mean() > 0.98


def test_a_patch_shows_nothing_and_stays():
    view = np.full((64, 64), SemanticClass.ROAD, np.uint8)
    see = Patch(0.5, 1).observation()
    first, second = see(0, {"bev": view.copy()})["bev"], see(1, {"bev": view.copy()})["bev"]
    np.testing.assert_array_equal(first, second)
    assert 0 < (first == SemanticClass.OFF_ROAD).sum() <= 20 * 20


def plain_road(speed: float = 0.0) -> RealSteps:
    views = np.full((5, 64, 64), SemanticClass.ROAD, np.uint8)
    views[:, :, :20] = SemanticClass.OFF_ROAD
    ego = np.zeros((5, 6), np.float32)
    ego[:, 0] = speed
    return RealSteps({"bev": views, "ego": ego}, np.zeros((5, 2), np.float32))


def test_somebody_is_placed_on_the_road_where_asked():
    car = Injection(1.0, 0, ahead=15.0, across=0.0, heading=0.0)
    view = car.moments(plain_road(), BANK).bev
    assert (view[-1, 48 - 20, 30:35] == SemanticClass.VEHICLE).any() and (view[-1, 40:] == SemanticClass.ROAD).any()
    np.testing.assert_array_equal(view[0], view[-1])
    off = Injection(1.0, 0, ahead=15.0, across=15.0, heading=0.0)
    np.testing.assert_array_equal(off.moments(plain_road(), BANK).bev, plain_road().bev)
    on_foot = Pedestrian(1.0, 0, ahead=10.0, across=0.0, heading=1.5).moments(plain_road(), BANK).bev
    assert (on_foot == SemanticClass.PEDESTRIAN).any()


def test_a_standing_car_comes_nearer_while_the_ego_drives():
    views = Injection(1.0, 0, ahead=15.0, across=0.0, heading=0.0).moments(plain_road(speed=7.5), BANK).bev
    rows = [int(np.flatnonzero((v == SemanticClass.VEHICLE).any(1)).max()) for v in views]
    assert np.diff(rows).tolist() == [1, 1, 1, 1], "0.75 m a step are a pixel"


def test_nearer_is_larger():
    assert Injection(1.0, 0, ahead=8.0).size > Injection(1.0, 0, ahead=20.0).size > Injection(1.0, 0, ahead=34.0).size


def test_the_tails_are_what_has_no_neighbours():
    ego = BANK.ego[[1] * 12].copy()
    ego[:, -1] += np.random.default_rng(0).normal(0, 0.01, (12, 6))
    ego[7, -1, 0] += 5.0
    bank = replace(BANK, observations={"bev": BANK.observations["bev"][[1] * 12], "ego": ego})
    assert int(rarity(bank).argmax()) == 7
    rarest = set(np.argsort(-rarity(bank))[:4].tolist())
    assert {Tails(1.0, seed).start(1, bank) for seed in range(20)} == rarest
    assert Tails(0.0, 0).start(1, bank) == 1


def test_traffic_of_another_place_is_added_to_the_road_alone():
    start = RealSteps.of(BANK, 1)
    mixed = ViewComposition(1.0, 1).moments(start, BANK).bev
    changed = mixed != start.bev
    assert set(np.unique(start.bev[changed])) <= {1, 2, 3, 4}
    assert set(np.unique(mixed[changed])) <= {5, 6, 7}
