"""Counterfactuals: toys whose answers to actions are known, and MetaDrive itself for one moment."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from learned_sim_env.environments.twin import TwinDrivingEnv
from learned_sim_env.evaluation.levels.responses import counterfactuals
from learned_sim_env.evaluation.levels.responses.counterfactuals import (
    Counterfactuals,
    TwinCounterfactuals,
    gather,
    imagined_counterfactuals,
)
from learned_sim_env.evaluation.levels.responses.measure import measure
from learned_sim_env.evaluation.levels.responses.responses import (
    ACTIONS,
    MOVING,
    ResponsesConfig,
    choose_contexts,
    constant_motion,
    responses,
)
from learned_sim_env.evaluation.levels.responses.responses_page import label
from learned_sim_env.reporting.parts import Part
from learned_sim_env.resources import checkpoints_dir
from learned_sim_env.simulators import SIMULATORS
from learned_sim_env.spec import CONTRACTS
from learned_sim_env.twins.pairing import open_twin
from learned_sim_env.world_model.contexts import CONTEXT_STEPS, Contexts
from tests.toy_simulator import NEAR_THE_EDGE

CONTRACT = CONTRACTS["driving"]
SCENARIOS = (3, 40, NEAR_THE_EDGE, 77)
# The last moment's picture shows something else than what the simulator comes to.
STRANGE = 3
CONFIG = ResponsesConfig(contexts=4, steps=(5, 10), workers=1, replicates=20)


def toy_twin(**settings) -> TwinDrivingEnv:
    """In a worker it is found by name. What is true of it: see `tests.toy_simulator`."""
    SIMULATORS["toy"] = "tests.toy_simulator:ToySimulator"
    return TwinDrivingEnv("toy", isolate=False, **settings)


def toy_contexts() -> Contexts:
    """A moment of each of `SCENARIOS`, after a few steps of driving at half speed, not quite straight."""
    twin, rows, replay = toy_twin(), [], []
    for scenario in SCENARIOS:
        twin.reset(seed=scenario)
        actions = np.tile(np.array([[0.0, 0.5]], np.float32), (CONTEXT_STEPS + scenario % 3, 1))
        actions[-1, 0] = -0.125
        seen = []
        for action in actions:
            twin.step(action)
            seen.append((twin.semantic, twin.ego_vector, action, twin.tags))
        rows.append([np.stack(values[-CONTEXT_STEPS:]) for values in zip(*seen)])
        replay.append(actions)
    semantic, ego, actions, tags = (np.stack(values) for values in zip(*rows))
    semantic[STRANGE] = 0
    return Contexts(
        {"bev": semantic, "ego": ego},
        actions=actions,
        tags=tags[:, -1],
        scenarios=np.array(SCENARIOS),
        replay=np.concatenate(replay),
        replay_starts=np.cumsum([0, *map(len, replay)]),
    )


class ToyDream:
    """Moves as the toy simulator does; its reward is the throttle.

    deaf: takes every action for none. mirrored: steers to the other side. risk: probability of a crash at every step.
    """

    contract, latent_size, noise_size = CONTRACT, 2, 1
    observes, draws, context_steps = ("ego",), (), CONTEXT_STEPS

    def __init__(self, deaf: bool = False, mirrored: bool = False, risk: float = 0.0):
        self.deaf, self.mirrored, self.risk = deaf, mirrored, risk

    def initial(self, batch_size):
        return {"action": torch.zeros(batch_size, 2)}

    def observe(self, state, action, observation):
        return {"action": action}

    def imagine(self, state, action, noise, temperature=1.0):
        assert noise is None
        return {"action": action * (0 if self.deaf else 1) * torch.tensor([-1.0 if self.mirrored else 1.0, 1.0])}

    def decode(self, state):
        steer, throttle = state["action"].T
        zero, turn = torch.zeros_like(steer), -0.1 * steer
        way = 10 * throttle * CONTRACT.dt
        return {
            "ego": torch.stack([zero] * 6, 1),
            "motion": torch.stack([way * turn.cos(), way * turn.sin(), turn], 1),
            "terms": torch.stack([throttle, zero, zero, zero], 1),
            "events": torch.stack([zero + self.risk, zero, zero, zero + 0.5], 1),
        }


def toy_checkpoint(contexts: Contexts, **settings) -> SimpleNamespace:
    return SimpleNamespace(model=ToyDream(**settings), contract=CONTRACT, contexts=contexts)


@pytest.fixture(scope="module")
def contexts() -> Contexts:
    return toy_contexts()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("twin")


@pytest.fixture(scope="module")
def perfect(contexts: Contexts, cache: Path) -> Part:
    """What is said of a model that moves as its twin does."""
    return responses(toy_checkpoint(contexts), CONFIG, cache, toy_twin)


def of_cached(contexts: Contexts, cache: Path, **settings) -> dict:
    """What is said of another model, the twin's side being there already."""

    def missing() -> TwinDrivingEnv:
        raise ImportError("no twin here")

    return responses(toy_checkpoint(contexts, **settings), CONFIG, cache, missing).values


def test_a_dream_that_moves_as_the_twin(perfect: Part) -> None:
    v = perfect.values
    assert (sorted(v["contexts"]), v["left_out"], v["scenarios"], v["moving"]) == ([0, 1, 2], [STRANGE], 3, 3)
    np.testing.assert_allclose(v["displacement"]["dream"]["high"], 0.0, atol=1e-5)
    assert min(v["displacement"]["constant motion"]["value"]) > 1.0
    for name in ("lateral", "longitudinal"):
        assert v["direction"][name]["low"] == [1.0, 1.0]
        np.testing.assert_allclose(v["gain"][name]["value"], 1.0, atol=1e-5)
    # No throttle leads farther than more throttle, and so the twin itself has these orders.
    for control in ("steer and lateral", "throttle and longitudinal"):
        order = v["order"]
        assert order[f"{control} displacement, dream"] == order[f"{control} displacement, twin"]
        assert order[f"{control} displacement, twin"]["value"][0] == pytest.approx(1.0)
        assert order[f"{control} displacement, dream with twin"]["value"] == pytest.approx([1.0, 1.0])
    np.testing.assert_allclose(v["nothing"]["sideways from the twin"]["value"], 0.0, atol=1e-5)


def test_pairs_count_as_long_as_the_twin_drives_on(perfect: Part) -> None:
    """Who steers to the right near the edge leaves the road."""
    counts, every = perfect.values["counts"], 3 * len(ACTIONS)
    assert [a + b for a, b in zip(counts["pairs"], counts["pairs_ended"])] == [every, every]
    assert 0 < counts["pairs_ended"][0] < counts["pairs_ended"][1]


def test_a_deaf_dream(contexts: Contexts, cache: Path, perfect: Part) -> None:
    v = of_cached(contexts, cache, deaf=True)
    for name in ("lateral", "longitudinal"):
        assert v["direction"][name]["value"] == [0.0, 0.0]
        assert v["gain"][name]["value"] == [0.0, 0.0]
    assert v["order"]["steer and lateral displacement, dream"]["value"] == [0.0, 0.0]
    assert (
        v["order"]["steer and lateral displacement, twin"]
        == (perfect.values["order"]["steer and lateral displacement, twin"])
    )
    assert v["ranking"]["Spearman"]["value"] == [0.0, 0.0]
    # It chooses the first of the actions, for it thinks them all alike.
    assert v["ranking"]["regret of the dream's choice"] == v["ranking"]["regret of doing nothing"]


def test_a_dream_that_steers_to_the_other_side(contexts: Contexts, cache: Path, perfect: Part) -> None:
    v = of_cached(contexts, cache, mirrored=True)
    assert v["direction"]["lateral"]["value"] == [0.0, 0.0]
    assert max(v["gain"]["lateral"]["value"]) < 0
    for compared in ("dream", "dream with twin"):
        assert v["order"][f"steer and lateral displacement, {compared}"]["value"][0] == pytest.approx(-1.0)
    assert v["direction"]["longitudinal"]["value"] == [1.0, 1.0]


def test_the_twin_is_not_needed_twice_and_else_asked_for_at_once(
    contexts: Contexts, cache: Path, perfect: Part, tmp_path: Path
) -> None:
    assert of_cached(contexts, cache) == perfect.values
    with pytest.raises(ImportError, match="no twin here"):
        of_cached(contexts, tmp_path)


def changed(contexts: Contexts, name: str) -> dict[str, np.ndarray]:
    return {**contexts.observations, name: contexts.observations[name] + 1}


def test_other_futures_are_kept_elsewhere(contexts: Contexts) -> None:
    actions = np.array(ACTIONS, np.float32)
    source = TwinCounterfactuals(toy_twin, "toy", contexts, actions, 10, Path("somewhere"))
    others = [
        replace(source, name="other"),
        replace(source, actions=actions[:5]),
        replace(source, horizon=9),
        replace(source, contexts=replace(contexts, scenarios=contexts.scenarios + 1)),
        replace(source, contexts=replace(contexts, replay=contexts.replay / 2)),
        replace(source, contexts=replace(contexts, observations=changed(contexts, "bev"))),
    ]
    assert len({source.file(0), source.file(1), *(other.file(0) for other in others)}) == 8
    # Whatever else the checkpoint has, the twin's side is the same.
    assert replace(source, contexts=replace(contexts, observations=changed(contexts, "ego"))).file(0) == source.file(0)


def test_the_part_can_be_written_and_drawn(perfect: Part) -> None:
    figures = pytest.importorskip("matplotlib.figure", reason="needs the extra [train]")
    assert json.loads(json.dumps(perfect.values, allow_nan=False)) == perfect.values
    for table in perfect.tables:
        assert table.rows
        assert {len(row) for row in table.rows} == {len(table.head)}
    for draw in perfect.figures.values():
        figure = figures.Figure()
        draw(figure)
        assert figure.axes
    assert "validation" in perfect.limits


def test_a_twin_that_comes_to_none_of_the_moments_is_an_error(contexts: Contexts, tmp_path: Path) -> None:
    source = TwinCounterfactuals(toy_twin, "toy", contexts, np.zeros((1, 2), np.float32), 1, tmp_path)
    twin = source.make_twin()
    branches = {index: source.branches(twin, index) for index in (0, STRANGE)}
    assert branches[0]["agreement"] == 1.0 > branches[STRANGE]["agreement"]
    np.savez(source.file(STRANGE), **branches[STRANGE])
    with pytest.raises(ValueError, match="toy comes to the moment of none of 1 contexts"):
        gather(source, np.array([STRANGE]), workers=1)


def test_expected_rewards_end_with_the_episode(contexts: Contexts) -> None:
    actions = np.array([[0.0, 0.0], [0.0, 1.0]], np.float32)
    found = imagined_counterfactuals(toy_checkpoint(contexts, risk=0.25), np.array([2, 0, 1]), actions, 4)
    assert found.pose.shape == (3, 2, 4, 3)
    alive = 0.75 ** np.arange(4)
    crash = -CONTRACT.reward.collision * 0.25
    for row in found.reward:  # driving against the traffic ends nothing
        np.testing.assert_allclose(row, [alive * crash, alive * (1 + crash)], rtol=1e-6)


def test_a_model_that_breaks_down_is_refused(contexts: Contexts) -> None:
    checkpoint = toy_checkpoint(contexts, risk=np.nan)
    with pytest.raises(ValueError, match="'events' is not finite 1 steps"):
        imagined_counterfactuals(checkpoint, np.array([0]), np.zeros((1, 2), np.float32), 2)


def hand_made(returns: np.ndarray) -> Counterfactuals:
    """Counterfactuals (N, A) with these returns, which move nowhere."""
    shape = (*returns.shape, 1)
    return Counterfactuals(np.zeros((*shape, 3)), returns[..., None].astype(float), np.ones(shape, bool))


def test_ranking_of_known_returns() -> None:
    true = np.array([[0.0, 1.0, 2.0, 4.0], [3.0, 2.0, 1.0, 2.5], [0.0, 0.01, 0.02, 0.03]])
    mine = np.array([[0.0, 1.0, 9.0, 4.0], [3.0, 2.0, 1.0, 2.5], [9.0, 1.0, 2.0, 3.0]])
    actions = np.array([[0.0, 0.0], [0.0, 0.3], [0.0, 0.5], [0.0, 1.0]])
    weights = np.ones((2, 3))
    found = measure(weights, hand_made(mine), hand_made(true), np.zeros((3, 1, 3)), actions, (1,))
    assert (found.counts["ranked"], found.counts["too_alike_to_rank"]) == (2, 1)
    ranking = {name: float(e.value[0]) for name, e in found.measures["ranking"].items()}
    assert ranking["Spearman"] == pytest.approx((0.8 + 1) / 2)
    assert ranking["Kendall"] == pytest.approx((2 / 3 + 1) / 2)
    assert ranking["regret of the dream's choice"] == pytest.approx((0.5 + 0) / 2)
    assert ranking["regret of doing nothing"] == pytest.approx((1 + 0) / 2)
    assert ranking["regret of a random choice"] == pytest.approx((2.25 / 4 + (3 - 8.5 / 4) / 2) / 2)
    assert ranking["regret of the best single action"] == pytest.approx((0 + 0.25) / 2)


def test_constant_motion_follows_a_circle() -> None:
    ego = np.zeros((2, 6), np.float32)
    ego[:, 0], ego[1, 1] = 10.0, 2 * np.pi / 4
    pose = constant_motion(ego, 40, 0.1)
    np.testing.assert_allclose(pose[0, -1], [40.0, 0.0, 0.0])
    np.testing.assert_allclose(pose[1, -1], 0.0, atol=1e-5)  # once around
    assert pose[1, 10, 1] > 0  # to the left


def test_chosen_contexts_are_varied() -> None:
    contexts = Contexts.load(checkpoints_dir() / "bev-rssm" / "contexts.npz")
    chosen = choose_contexts(contexts, 40, seed=0)
    assert len(set(chosen.tolist())) == 40
    assert contexts.tags[chosen].sum(0).min() >= 5
    assert len(set(contexts.scenarios[chosen].tolist())) > 30
    assert 30 <= (contexts.ego[chosen, -1, 0] > MOVING).sum() < 40
    np.testing.assert_array_equal(choose_contexts(contexts, 40, seed=0), chosen)
    assert sorted(choose_contexts(contexts, 1000, seed=0)) == list(range(len(contexts)))


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"contexts": 0}, "contexts is 0"),
        ({"steps": ()}, "steps are"),
        ({"steps": (5, 5)}, "steps are"),
        ({"steps": (0, 5)}, "steps are"),
        ({"actions": ((0.0, 1.0),)}, r"must be \(0, 0\)"),
        ({"actions": ((0.0, 0.0), (2.0, 0.0))}, r"in \[-1, 1\]"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        ResponsesConfig(**wrong)


def test_actions_in_words() -> None:
    assert [label(np.array(a)) for a in ((0, 0), (-0.2, 0.3), (1, -0.5))] == [
        "nothing",
        "left 0.2, throttle 0.3",
        "right 1, brake 0.5",
    ]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="copies of a process need fork")
def test_an_error_in_a_copy_of_the_process_is_an_error(capfd: pytest.CaptureFixture) -> None:
    with pytest.raises(RuntimeError, match="failed with status"):
        counterfactuals._in_a_copy(partial(int, "no number"))
    assert "no number" in capfd.readouterr().err
    assert counterfactuals._in_a_copy(partial(int, "7")) == 7


def test_copies_of_metadrive_are_what_a_replay_leads_to(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("metadrive", reason="needs the extra [metadrive]")
    contexts = Contexts.load(checkpoints_dir() / "bev-rssm" / "contexts.npz")
    quickest = int(np.diff(contexts.replay_starts).argmin())
    actions = np.array([(0.0, 0.0), (1.0, 1.0), (0.0, 1.0)], np.float32)
    source = TwinCounterfactuals(partial(open_twin, "LearnedDriving-v0"), "", contexts, actions, 6, Path())
    twin = source.make_twin()
    try:
        copied = source.branches(twin, quickest)
        monkeypatch.delattr(os, "fork", raising=False)
        replayed = source.branches(twin, quickest)
    finally:
        twin.close()
    assert copied["agreement"] == 1.0
    for name, value in replayed.items():
        np.testing.assert_array_equal(copied[name], value, err_msg=name)
    # More throttle leads farther, and full steering to the right.
    assert copied["pose"][2, -1, 0] > copied["pose"][0, -1, 0] + 0.1
    assert copied["pose"][1, -1, 1] < copied["pose"][2, -1, 1]
