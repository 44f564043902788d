"""A moment is the same where the ego moves as it did, at the same place of the route; views say the rest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from learned_sim_env.environments.twin import TwinDrivingEnv
from learned_sim_env.resources import checkpoints_dir
from learned_sim_env.spec import EGO_FIELDS, SCENARIO_TAGS
from learned_sim_env.twins.approach import SAME_VIEW, TOLERANCES, Agreement, approach, bring_to_context
from learned_sim_env.world_model.contexts import Contexts

pytest.importorskip("cv2", reason="drawing roads needs OpenCV, which the simulators' extras bring")

SEEDS = (20, 500)
ACTIONS = np.tile(np.array([[0.02, 0.5]], np.float32), (8, 1))
EGO = {"speed": 0.0, "yaw_rate": 0.0, "route_distance": 0.0, "route_heading_error": 0.0}


@pytest.fixture
def twin(toy) -> TwinDrivingEnv:
    return TwinDrivingEnv("toy", contract="driving-camera", max_episode_steps=1_000_000)


def recorded(twin: TwinDrivingEnv, names: tuple[str, ...]) -> Contexts:
    """Contexts of the toy simulator, of five moments, with these modalities."""
    rows = []
    for seed in SEEDS:
        twin.reset(seed=seed)
        seen = []
        for action in ACTIONS:
            twin.step(action)
            seen.append({name: value.copy() for name, value in twin.observed(names).items()})
        rows.append({name: np.stack([moment[name] for moment in seen[-5:]]) for name in names})
    n = len(SEEDS)
    return Contexts(
        {name: np.stack([row[name] for row in rows]) for name in names},
        actions=np.stack([ACTIONS[-5:]] * n),
        tags=np.zeros((n, len(SCENARIO_TAGS)), bool),
        scenarios=np.array(SEEDS),
        replay=np.concatenate([ACTIONS] * n),
        replay_starts=len(ACTIONS) * np.arange(n + 1),
    )


def test_it_counts_the_steps_and_returns_how_near_it_came(twin):
    contexts, left = recorded(twin, ("bev", "ego")), []
    way = approach(twin, contexts, 0, further=3)
    try:
        while True:
            left.append(next(way))
    except StopIteration as arrived:
        assert arrived.value == Agreement(**EGO, views={"bev": 1.0})
    assert left == list(range(11, 2, -1))


def test_cameras_and_the_route_do_without_a_view_from_above(twin):
    contexts = recorded(twin, ("front", "ego", "route"))
    agreement = bring_to_context(twin, contexts, 0)
    assert agreement == Agreement(**EGO, route=0.0, cameras={"front": 1.0})
    assert agreement.identical
    # Another light changes every pixel, and not the moment.
    dark = replace(contexts, observations={**contexts.observations, "front": contexts.observations["front"] // 2})
    agreement = bring_to_context(twin, dark, 0)
    assert agreement.cameras["front"] < 0.1
    assert agreement.same
    # The ego moves alike elsewhere: there the road ahead tells.
    farther = contexts.observations["route"] + np.array([0.0, 1.5], np.float32)
    agreement = bring_to_context(twin, replace(contexts, observations={**contexts.observations, "route": farther}), 0)
    assert not agreement.same
    assert str(agreement) == "it differs in route by 1.5 m (at most 1)"


@pytest.mark.parametrize("field", [name for name in EGO_FIELDS if name in TOLERANCES])
@pytest.mark.parametrize("moment", [-1, -4])
def test_an_ego_that_moves_otherwise_is_another_moment(field, moment, twin):
    contexts = recorded(twin, ("bev", "ego"))
    ego, most = contexts.ego.copy(), TOLERANCES[field][0]
    ego[0, moment, EGO_FIELDS.index(field)] += 0.9 * most
    near = bring_to_context(twin, replace(contexts, observations={**contexts.observations, "ego": ego}), 0)
    assert near.same
    assert getattr(near, field) == pytest.approx(0.9 * most, rel=1e-3)
    ego[0, moment, EGO_FIELDS.index(field)] += 0.2 * most
    far = bring_to_context(twin, replace(contexts, observations={**contexts.observations, "ego": ego}), 0)
    assert not far.same
    assert str(far).startswith(f"it differs in {field.replace('_', ' ')} by ")
    assert far.views == {"bev": 1.0}


def test_a_heading_error_of_half_a_turn_has_two_signs(twin):
    contexts = recorded(twin, ("ego",))
    contexts.ego[0, :, EGO_FIELDS.index("route_heading_error")] += 2 * np.pi
    assert bring_to_context(twin, contexts, 0).same


def test_traffic_that_differs_is_the_same_moment_but_not_identical(twin):
    contexts = recorded(twin, ("bev", "ego"))
    contexts.observations["bev"][0, -1, 2:6, 2:4] += 1
    agreement = bring_to_context(twin, contexts, 0)
    assert agreement.same and not agreement.identical
    assert "99.8% of bev equal" in str(agreement)
    contexts.observations["bev"][0, -1, :10] += 1
    agreement = bring_to_context(twin, contexts, 0)
    assert not agreement.same
    assert f"at most {1 - SAME_VIEW:.0%}" in str(agreement)


def test_numbers_that_are_not_finite_are_no_agreement():
    assert not Agreement(**{**EGO, "speed": float("nan")}).same


def test_few_moments_that_ship_are_mistaken_for_another():
    """Two different contexts pass for one by ego and view more rarely than by either alone."""
    contexts = Contexts.load(Path(checkpoints_dir()) / "bev-rssm" / "contexts.npz")
    columns = [EGO_FIELDS.index(name) for name in EGO_FIELDS if name in TOLERANCES]
    most = np.array([TOLERANCES[EGO_FIELDS[column]][0] for column in columns])
    ego, views = contexts.ego[..., columns], contexts.observations["bev"][:, -1]
    alike = (np.abs(ego[:, None] - ego[None]).max(2) <= most).all(-1)
    np.fill_diagonal(alike, False)
    flat = views.reshape(len(views), -1)
    seen = np.array([(flat == one).mean(1) >= SAME_VIEW for one in flat])
    np.fill_diagonal(seen, False)
    assert (alike & seen).mean() < min(alike.mean(), 0.5 * seen.mean())
    assert alike.mean() < 0.5 * seen.mean() < 0.01
