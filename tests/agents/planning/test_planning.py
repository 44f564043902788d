"""Planners: how each search goes on, by hand; and that each finds the best driving of a world where it is known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from learned_sim_env.agents.actor_critic.lagrangian import MultiplierSettings
from learned_sim_env.agents.agent import agent_class, open_agent
from learned_sim_env.agents.planning.cem import cem_refit
from learned_sim_env.agents.planning.futures import Futures
from learned_sim_env.agents.planning.guide import Guide
from learned_sim_env.agents.planning.mppi import mppi_refit
from learned_sim_env.agents.planning.osrp import OSRPLagSettings, osrp_lag_refit, safest
from learned_sim_env.agents.planning.planner_policy import RowPlanner
from learned_sim_env.agents.planning.planner_settings import PlannerSettings
from learned_sim_env.agents.planning.search import Drawn, Plan, SearchSettings, search
from learned_sim_env.agents.settings import LearnConfig
from learned_sim_env.imagination import Start
from tests.agents.line_world import BORDER, GOAL, STRIDE, LineWorld, line_checkpoint, planned

TASK = {"actions": "actions", "speed_limit": 0, "cost_weight": 0, "wrong_way_weight": 0}
QUICK = {**TASK, "horizon": 8, "hold": 2, "sequences": 32, "elites": 4, "stretch": 5, "proposals": 8}
# Of the futures.
SEEDS = np.arange(4)


def drawn(firsts, returns, costs=None) -> Drawn:
    """Plans of one decision, whose first number is given."""
    plans = np.zeros((len(firsts), 1, 2), np.float32)
    plans[:, 0, 0] = firsts
    return Drawn(plans, np.array(returns, float), np.zeros(len(firsts)) if costs is None else np.array(costs, float))


BEFORE = Plan(np.full((1, 2), 0.4), np.full((1, 2), 0.2))


def test_mppi_weighs_elites_by_their_returns():
    # e to the power of 0.5 * (0 and -2).
    share = np.exp(-1) / (1 + np.exp(-1))
    plan = mppi_refit(elites=2, sharpness=0.5)(drawn([1.0, -1.0, 0.0], [3.0, 1.0, 0.0]), BEFORE)
    mean = 1 - 2 * share
    np.testing.assert_allclose(plan.mean, [[mean, 0]])
    np.testing.assert_allclose(plan.deviation[0, 0], np.sqrt((1 - share) * (1 - mean) ** 2 + share * (1 + mean) ** 2))


def test_cem_takes_elites_alike_and_keeps_some_of_the_last():
    plan = cem_refit(elites=2, momentum=0.1)(drawn([1.0, 0.5, 0.0], [3.0, 1.0, 0.0]), BEFORE)
    np.testing.assert_allclose(plan.mean, [[0.9 * 0.75 + 0.04, 0.04]], rtol=1e-6)
    np.testing.assert_allclose(plan.deviation, [[0.9 * 0.25 + 0.02, 0.02]], rtol=1e-6)


def test_the_safe_compete_by_return_and_too_few_by_cost():
    found = drawn([0, 1, 2, 3], [9.0, 1.0, 5.0, 3.0], [2.0, 0.5, 0.1, 0.2])
    # The first costs too much, whatever it earns; an index that was padded with 0 would name it.
    assert safest(found, 2, limit=0.5).tolist() == [2, 3]
    assert safest(found, 3, limit=0.5).tolist() == [2, 3, 1]
    assert safest(found, 3, limit=0.2).tolist() == [2, 3, 1]
    assert safest(found, 2, limit=0.15).tolist() == [2, 3]
    assert safest(found, 1, limit=0.05).tolist() == [2]


def test_the_price_of_cost_rises_until_the_elites_change():
    settings = OSRPLagSettings(
        **TASK | {"elites": 1, "momentum": 0.0, "cost_limit": 0.0}, multiplier=MultiplierSettings("pid", 0.0, 1.0, 0.0)
    )
    refit, found = osrp_lag_refit(settings), drawn([1.0, -1.0], [3.0, 1.5], [1.0, 0.0])
    # The price is 0, 1 and then 2, where 3 - 2 is less than 1.5.
    assert [refit(found, BEFORE).mean[0, 0] for _ in range(4)] == [1.0, 1.0, -1.0, -1.0]


def test_a_plan_goes_on_one_step_later():
    plan = Plan(np.array([[0.0, 0], [0.6, 0], [0.3, 0]]), np.full((3, 2), 0.1))
    later = plan.later(hold=3, first=0.5)
    np.testing.assert_allclose(later.mean[:, 0], [0.2, 0.5, 0.3])
    assert (later.deviation == 0.5).all()


def test_a_search_finds_the_top_of_a_hill():
    def evaluate(plans):
        return -((plans - [0.3, -0.6]) ** 2).sum((1, 2)), np.zeros(len(plans))

    settings = SearchSettings(sequences=128, elites=16, iterations=6, least=0.01)
    begin = Plan(np.zeros((2, 2)), np.full((2, 2), 0.5))
    for refit in (cem_refit(16, 0.1), mppi_refit(16, 2.0)):
        plan = search(evaluate, refit, begin, settings, np.random.default_rng(0))
        np.testing.assert_allclose(plan.mean, [[0.3, -0.6]] * 2, atol=0.08)
    proposals = np.tile(np.array([0.3, -0.6], np.float32), (1, 2, 1))
    one = SearchSettings(sequences=64, elites=1, iterations=1)
    plan = search(evaluate, cem_refit(1, 0.0), begin, one, np.random.default_rng(0), proposals)
    np.testing.assert_allclose(plan.mean, [[0.3, -0.6]] * 2, atol=1e-6)


def start_at(place: float) -> Start:
    state = {"x": torch.tensor([place]), "action": torch.zeros(1, 2)}
    return Start(state, LineWorld().decode(state)["ego"].numpy())


def test_what_comes_of_plans_by_hand():
    settings = PlannerSettings(
        **{**QUICK, "horizon": 3, "hold": 2, "sequences": 2, "elites": 1, "proposals": 0}, gamma=0.9
    )
    plans = np.array([[[1.0, 0], [0.5, 0]], [[0.0, 0], [-1.0, 0]]], np.float32)
    worth, cost = Futures(line_checkpoint(), settings).evaluate(start_at(0.0), plans, SEEDS)
    paths = np.array([[0.2, 0.4, 0.5], [0.0, 0.0, -0.2]])
    discount = 0.9 ** np.arange(3)
    np.testing.assert_allclose(worth, ((1 - np.abs(paths - GOAL)) * discount).sum(1), rtol=1e-5)
    np.testing.assert_allclose(cost, ((paths > BORDER + 1e-6) * discount).sum(1), rtol=1e-5)


def test_values_count_where_plans_end():
    settings = PlannerSettings(**{**QUICK, "horizon": 2, "sequences": 2, "elites": 1, "proposals": 1}, gamma=0.5)
    guide = Guide(12, (4,), "actions", costs=True)
    guide.values, guide.costs = (lambda features: 10 * features[:, 0]), (lambda features: 4 * features[:, 0])
    futures, plans = Futures(line_checkpoint(), settings, guide), np.zeros((2, 1, 2), np.float32)
    plans[1] = 1.0
    worth, cost = futures.evaluate(start_at(-0.5), plans, SEEDS)
    ends = np.array([-0.5, -0.1])
    rewards = 1 - np.abs(np.array([[-0.5, -0.5], [-0.3, -0.1]]) - GOAL)
    np.testing.assert_allclose(worth, rewards @ [1, 0.5] + 0.25 * 10 * ends, rtol=1e-5)
    np.testing.assert_allclose(cost, 0.25 * 4 * ends, rtol=1e-5)


class Gamble(LineWorld):
    """A stake, the second action above 0, pays `WON` times itself with a probability of 0.2 and is lost otherwise.

    A loss ends the episode with a probability of half the stake, which counts as its cost.
    """

    WON = 1.5

    def initial(self, batch_size):
        return {"x": torch.zeros(batch_size), "action": torch.zeros(batch_size, 2), "luck": torch.ones(batch_size)}

    def imagine(self, state, action, noise, temperature=1.0):
        return {"x": state["x"], "action": action.clone(), "luck": noise[:, 0].clone()}

    def decode(self, state):
        said = super().decode(state)
        stake, lost = state["action"][:, 1].clamp_min(0), state["luck"] >= 0.2
        zero = torch.zeros_like(stake)
        said["terms"] = torch.stack([torch.where(lost, -stake, self.WON * stake), zero, zero, zero], 1)
        said["events"] = torch.stack([lost * stake / 2, zero, zero, zero], 1)
        return said


def gamble() -> tuple[SimpleNamespace, Start]:
    """A checkpoint around it, and a moment."""
    checkpoint = line_checkpoint()
    checkpoint.model = model = Gamble()
    state = model.initial(1)
    return checkpoint, Start(state, model.decode(state)["ego"].numpy())


def test_plans_of_a_decision_meet_the_same_futures():
    checkpoint, start = gamble()
    given = {**QUICK, "horizon": 3, "sequences": 3, "elites": 1, "proposals": 0}
    plans = np.zeros((3, 2, 2), np.float32)
    plans[:, :, 1] = [[0.5, 0.5], [0.5, 0.5], [0.0, 0.0]]
    seeds = np.array([5, 6, 7, 8])
    told = Futures(checkpoint, PlannerSettings(**given, futures=4)).evaluate(start, plans, seeds)
    one = Futures(checkpoint, PlannerSettings(**given, futures=1))
    alone = [one.evaluate(start, plans, seeds[i : i + 1]) for i in range(4)]
    for mean, each in zip(told, zip(*alone)):
        # Plans that are alike come out alike, to the bit; what differs between futures is averaged.
        assert mean[0] == mean[1] and mean[2] == 0 and np.std(each, 0)[0] > 0.01
        np.testing.assert_allclose(mean, np.mean(each, 0), rtol=1e-12)


@pytest.mark.parametrize("name", ["mppi", "cem"])
def test_the_luckiest_plan_loses_against_the_safe_one(name):
    checkpoint, start = gamble()
    # A single decision, so that all that tells plans apart is how much of it is luck.
    settings = agent_class(name).settings_class(**{**QUICK, "horizon": 1, "hold": 1, "futures": 8})
    agent = open_agent(LearnConfig(agent=name), settings, checkpoint)
    stakes = []
    for seed in range(20):
        row = RowPlanner(agent.policy({}), agent._futures, seed)
        stakes.append(row.decide(start)[1])
        row.begin()
        assert row.decide(start)[1] == stakes[-1]
    # With noise of its own for every plan, the elites are those few that won.
    assert np.mean(np.array(stakes) > 0.05) <= 0.1, stakes


def driver(name: str, **settings):
    """A planner of one row of the line."""
    agent = open_agent(
        LearnConfig(agent=name), agent_class(name).settings_class(**{**QUICK, **settings}), line_checkpoint()
    )
    row = RowPlanner(agent.policy({}), agent._futures, seed=0)

    def act(observations, began):
        if began[0]:
            row.begin()
        return row.decide(start_at(float(observations["ego"][0, 0])))[None]

    return act, agent


@pytest.mark.parametrize("name", ["mppi", "cem"])
def test_planners_go_to_the_goal(name):
    act, agent = driver(name)
    reached = planned(act)
    assert np.abs(reached - GOAL).max() < 0.1
    np.testing.assert_array_equal(planned(act), reached)
    told = agent.update(0)
    assert told["steps"] == 5 and told["milliseconds"] > 0


def test_planners_mind_the_limit_of_cost():
    reached = planned(driver("osrp", cost_limit=0.0)[0])
    assert (reached <= BORDER).all() and np.abs(reached - BORDER).max() < STRIDE
    price = MultiplierSettings("pid", kp=1.0, ki=0.5, kd=0.0)
    reached = planned(driver("osrp-lag", cost_limit=0.0, multiplier=price)[0], steps=30)
    assert np.abs(reached - BORDER).max() < 1.5 * STRIDE
    free = planned(driver("osrp", cost_limit=100.0)[0])
    assert np.abs(free - GOAL).max() < 0.1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"actions": "discrete"}, "plans are of targets or actions"),
        ({"futures": 0}, "futures is 0; it must be at least 1"),
        ({"gamma": 1.5}, "gamma is 1.5; it must be from 0 to 1"),
        ({"elites": 99}, "elites 99 must be at most sequences 32"),
        ({"proposals": 32}, "proposals 32 must be fewer than sequences 32"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        PlannerSettings(**{**QUICK, **settings})


def test_a_guide_that_decides_something_else_is_refused(monkeypatch):
    guide = Guide(12, (4,), "targets", costs=False)
    monkeypatch.setattr(Guide, "of_run", staticmethod(lambda path, checkpoint: guide))
    settings = agent_class("mppi").settings_class(**QUICK, guide="runs/x")
    with pytest.raises(ValueError, match="the guide decides targets, the plans are of actions"):
        open_agent(LearnConfig(agent="mppi"), settings, SimpleNamespace(**vars(line_checkpoint())))
