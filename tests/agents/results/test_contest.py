"""Agents beside PPO in `learned-sim transfer`: which runs, in which order, judged and ranked by the same jobs."""

from __future__ import annotations

import pytest

from learned_sim_env.agents.results.contest import AgentPlan, Learn, named

AGENTS = ("mppi", "dreamer", "osrp")


def test_agents_take_part_with_as_many_steps_and_for_as_long(tmp_path):
    plan = AgentPlan(tmp_path, steps=1000, longer=3, seeds=2, agents=AGENTS, agent_minutes=5)
    learned = plan.learned()
    assert list(learned) == ["mppi", "dreamer, 3,000 steps", "dreamer, 5 minutes", "osrp"]
    assert [run.steps for run in learned["dreamer, 3,000 steps"]] == [3000, 3000]
    assert [(run.minutes, run.seed) for run in learned["dreamer, 5 minutes"]] == [(5, 0), (5, 1)]
    guide = learned["dreamer, 5 minutes"][1]
    assert learned["mppi"][1].settings == {"guide": str(guide.path)} and learned["osrp"][0].settings == {}
    alone = AgentPlan(tmp_path, steps=1000, longer=3, seeds=2)
    assert list(plan.judged()) == [*learned, *alone.judged()]
    judged = plan.judged()["mppi"][0]
    assert judged.driver == str(learned["mppi"][0].policy) and judged.seeds == alone.judged()["dream"][0].seeds
    assert set(plan.ranked()) - set(alone.ranked()) == {run.path.name for runs in learned.values() for run in runs}
    stages = plan.stages()
    assert [name for name, _ in stages] == ["train", "plan", "judge", "rank"]
    assert guide in stages[0][1] and learned["mppi"][0] in stages[1][1]
    assert len({job.path for _, jobs in stages for job in jobs}) == sum(len(jobs) for _, jobs in stages)
    assert [name for name, _ in alone.stages()] == ["train", "judge", "rank"] and not alone.learned()


def test_agents_with_settings_of_their_own(tmp_path):
    names = ("dreamer", "safe-dreamer:cost-limit=0.05,hold=4", "mppi:horizon=30", "mppi:guide=")
    plan = AgentPlan(tmp_path, steps=1000, longer=3, seeds=1, agents=names, only_agents=True)
    learned = plan.learned()
    assert list(learned) == ["dreamer, 7 minutes", f"{names[1]}, 7 minutes", *names[2:]]
    safe, guided, alone = (learned[name][0] for name in list(learned)[1:])
    assert safe.settings == {"cost_limit": 0.05, "hold": 4} and safe.agent == "safe-dreamer"
    assert safe.path.name == "safe-dreamer-cost-limit-0.05-hold-4-minutes-0"
    assert guided.settings == {"guide": str(learned["dreamer, 7 minutes"][0].path), "horizon": 30}
    assert named("dreamer:hidden=64+32") == ("dreamer", {"hidden": (64, 32)})
    assert alone.settings == {"guide": ""} and alone.path != guided.path
    # Neither PPO nor others beside it.
    assert list(plan.judged()) == list(learned) and not plan.runs() and len(plan.ranked()) == len(learned)
    assert [name for name, _ in plan.stages()] == ["train", "plan", "judge", "rank"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("dreamer:hodl=4", "setting of agent dreamer 'hodl'.*Did you mean 'hold'"),
        ("dreamer:hold=often", "dreamer:hold=often: hold is 'often', where the default is 1"),
        ("dreamer:hidden=8x8", "hidden is '8x8', where the default is"),
        ("dreamer:hold=0", "hold"),
        ("dreamr", "Did you mean 'dreamer'"),
    ],
)
def test_what_is_no_agent_or_setting_is_refused(tmp_path, text, error):
    with pytest.raises(ValueError, match=error):
        AgentPlan(tmp_path, agents=(text,))
    with pytest.raises(ValueError, match="leaves nothing to compare"):
        AgentPlan(tmp_path, only_agents=True)


def test_agents_that_need_episodes_are_refused_without(tmp_path):
    with pytest.raises(ValueError, match="agent pmpo learns from recorded episodes"):
        AgentPlan(tmp_path, agents=("pmpo",))


@pytest.mark.slow
def test_a_run_is_over_after_its_steps(tmp_path):
    pytest.importorskip("tensorboard", reason="needs the extra [train]")
    small = {"rows": 4, "horizon": 2, "hidden": (8,), "minibatches": 1}
    job = Learn(tmp_path, "dreamer", "bev-rssm", seed=0, steps=20, settings=small)
    assert not job.done and job.share == 0
    job.run()
    assert job.done and job.share == 1 and job.policy.is_file()
