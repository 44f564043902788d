"""A run can be stopped at any update and goes on as if it had not been; its policies and numbers are kept."""

from __future__ import annotations

import json
import os
import signal

import pytest
import torch
from safetensors.torch import load_file

pytest.importorskip("tensorboard", reason="needs the extra [train]")

from learned_sim_env.agents.actor_critic.dreamer_settings import DreamerSettings
from learned_sim_env.agents.agent import agent_class
from learned_sim_env.agents.learning import Learner
from learned_sim_env.agents.settings import LearnConfig
from tests.agents.line_world import line_checkpoint, line_episodes

SMALL = {"rows": 8, "horizon": 4, "dream": 6, "hidden": (8,), "minibatches": 2, "warmup": 2, "actions": "actions"}
# Of others than dreamers.
OWN = {
    "pmpo": {**SMALL, "actions": "action-bins", "cloning": 2, "batch": 8, "moments": 5},
    "cloning": {"actions": "action-bins", "hidden": (8,), "batch": 8},
    "mppi": {"actions": "actions", "sequences": 4, "elites": 2, "horizon": 2, "stretch": 2, "proposals": 0},
    "tdmpc2": {"actions": "actions", "hidden": (8,), "latent": 8, "batch": 4},
    "jepa-goal": {"actions": "actions", "hidden": (8,), "latent": 8, "batch": 4, "kept": 4},
}


def learner(out, agent="dreamer", updates=6, **settings):
    made = agent_class(agent).settings_class(**{**OWN.get(agent, SMALL), **settings})
    data = line_episodes(count=4) if agent_class(agent).needs_data else None
    config = LearnConfig(agent=agent, updates=updates, saves=2)
    return Learner(config, made, line_checkpoint(), out, data, save_every=2, log_every=1)


@pytest.mark.parametrize("agent", ["dreamer", "safe-dreamer", *OWN])
def test_a_run_goes_on_exactly(agent, tmp_path):
    whole = learner(tmp_path / "whole", agent)
    whole.run()
    learner(tmp_path / "parts", agent, updates=3).run()
    learner(tmp_path / "parts", agent).run()
    states = [load_file(tmp_path / name / "state.safetensors") for name in ("whole", "parts")]
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        assert value.equal(states[1][name]), name


def test_a_run_is_written_down(tmp_path):
    done = learner(tmp_path)
    done.run()
    assert done.share == 1
    run = json.loads((tmp_path / "run.json").read_text())
    assert run["updates"] == 6 and run["steps"] == 6 * 8 * 4 and run["seconds"] > 0 and run["model"] == "line"
    assert [saved["policy"] for saved in run["saved"]] == ["policy-3.safetensors", "policy.safetensors"]
    assert all((tmp_path / saved["policy"]).is_file() for saved in run["saved"])
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["update"] for row in rows] == list(range(1, 7)) and {"reward", "critic", "seconds"} <= rows[-1].keys()
    assert list((tmp_path / "tensorboard").iterdir()) and not list(tmp_path.rglob("*.pkl"))


def test_what_is_logged_is_a_mean_and_is_told_once(tmp_path, monkeypatch):
    told = learner(tmp_path, updates=5)
    told.log_every = 3
    monkeypatch.setattr(told.agent, "update", lambda number: {"reward": float(number), "steps": 1})
    told.run()
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(row["update"], row["reward"]) for row in rows] == [(3, 1.0), (5, 3.5)]
    # Killed after the last update that was saved, the fourth, a run goes on from there.
    (tmp_path / "state.safetensors").unlink()
    (tmp_path / "run.json").write_text(json.dumps({**told.progress, "updates": 4}))
    learner(tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["update"] for row in rows] == [3]


def test_what_is_done_is_not_done_again(tmp_path, monkeypatch):
    learner(tmp_path, updates=1).run()
    again = learner(tmp_path, updates=1)
    monkeypatch.setattr(again.agent, "update", None)
    again.run()


def test_it_ends_after_its_minutes(tmp_path):
    config = LearnConfig(updates=10**9, minutes=1e-9)
    short = Learner(config, DreamerSettings(**SMALL), line_checkpoint(), tmp_path)
    short.run()
    assert short.progress["updates"] == 1 and (tmp_path / "policy.safetensors").is_file()


def test_it_ends_after_its_steps(tmp_path):
    short = Learner(LearnConfig(updates=10**9, steps=50), DreamerSettings(**SMALL), line_checkpoint(), tmp_path)
    short.run()
    assert short.progress["updates"] == 2 and short.progress["steps"] == 64


def test_a_planner_takes_its_guide_from_a_run(tmp_path):
    from learned_sim_env.agents.planning.guide import Guide

    done = learner(tmp_path / "dreamer")
    done.run()
    guide = Guide.of_run(tmp_path / "dreamer", line_checkpoint())
    features = torch.randn(3, 12)
    module = done.agent.module
    torch.testing.assert_close(guide.values(features), module.critic(module.actor.inputs(features)))
    assert guide.costs(features).tolist() == [0, 0, 0]
    planner = learner(tmp_path / "mppi", "mppi", 1, guide=str(tmp_path / "dreamer"), proposals=2)
    planner.run()
    assert (tmp_path / "mppi" / "policy.safetensors").is_file()
    learner(tmp_path / "cloning", "cloning", 1).run()
    with pytest.raises(ValueError, match="a run of cloning, which has no critic"):
        Guide.of_run(tmp_path / "cloning", line_checkpoint())
    with pytest.raises(FileNotFoundError, match="is no folder of a run"):
        Guide.of_run(tmp_path / "none", line_checkpoint())


def test_asked_to_end_it_saves_first(tmp_path, monkeypatch):
    stopped = learner(tmp_path)
    update = stopped.agent.update

    def interrupted(number):
        if number == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return update(number)

    monkeypatch.setattr(stopped.agent, "update", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    assert learner(tmp_path).progress["updates"] == 3


def test_a_run_tells_how_long_its_dreams_are(tmp_path):
    assert learner(tmp_path, dream=0).progress["settings"]["dream"] == 40
    # As if nothing had been said.
    learner(tmp_path, dream=40)
    with pytest.raises(ValueError, match=r"holds a run with dream=40, this one has 100"):
        learner(tmp_path, dream=100)


def test_another_run_is_refused(tmp_path):
    learner(tmp_path, updates=1).run()
    with pytest.raises(ValueError, match=r"holds a run with horizon=4, this one has 5"):
        learner(tmp_path, horizon=5)
    with pytest.raises(ValueError, match=r"holds a run with agent='dreamer'"):
        learner(tmp_path, "safe-dreamer")
