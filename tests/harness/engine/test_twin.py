"""The twin starts where the dream does, and repeats itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from learned_sim_env.harness.engine import twin
from learned_sim_env.harness.engine.job import STEPS, Job
from learned_sim_env.harness.engine.suite import Suite
from learned_sim_env.harness.engine.twin import TwinRunner
from learned_sim_env.harness.stress.strategies.disturbed_actions import ActionDelay
from learned_sim_env.harness.stress.strategies.disturbed_latents import LatentNoise
from learned_sim_env.twins.pairing import twin_settings


@pytest.mark.slow
def test_the_twin_drives_from_the_moment_of_a_scenario_and_repeats_itself(tmp_path):
    pytest.importorskip("metadrive", reason="needs the extra [metadrive]")
    suite = Suite.load("driving")
    start = int(np.diff(suite.starts.replay_starts).argmin())
    jobs = [Job("plain", start, 1, 6), Job("late", start, 1, 6, (ActionDelay(0.3),)), Job("plain", start, 1, 6)]
    drives = TwinRunner("LearnedDriving-v0", suite.starts, "random", tmp_path / "a").run(jobs, workers=1)
    assert [d.error for d in drives] == [""] * 3
    np.testing.assert_array_equal(drives[0].views[0], suite.starts.observations["bev"][start, -1])
    assert all(np.array_equal(getattr(drives[0], name), getattr(drives[2], name)) for name in STEPS)
    assert not np.array_equal(drives[0].actions, drives[1].actions)
    taken = tuple((float(a), float(b)) for a, b in drives[0].actions)
    replay = TwinRunner("LearnedDriving-v0", suite.starts, "idm", tmp_path / "b").run(
        [Job("replay", start, 9, 6, (LatentNoise(),), taken)], workers=1
    )[0]
    np.testing.assert_array_equal(replay.ego, drives[0].ego)


def test_a_latent_cannot_be_disturbed_in_a_simulator(tmp_path):
    runner = TwinRunner("LearnedDriving-v0", Suite.load("driving").starts, "follow-8", tmp_path)
    with pytest.raises(ValueError, match="latent_noise cannot be done to a simulator"):
        runner.run([Job("x", 0, 0, 5, (LatentNoise(),))])


def test_drives_are_kept_by_all_that_they_depend_on(tmp_path, monkeypatch):
    bank = Suite.load("driving").starts
    runner = TwinRunner("LearnedDriving-v0", bank, "follow-8", tmp_path, (Job("x", 3, 0, 5),), "follow-8")
    first = runner.file(0)
    assert first == replace(runner, driver="named otherwise").file(0)
    views, replayed = bank.observations["bev"].copy(), bank.replay.copy()
    views[3, -1, 0, 0] += 1
    replayed[bank.replay_starts[3]] += 0.5
    others = [
        replace(runner, identity="idm").file(0),
        replace(runner, bank=replace(bank, observations={**bank.observations, "bev": views})).file(0),
        replace(runner, bank=replace(bank, replay=replayed)).file(0),
        replace(runner, bank=replace(bank, scenarios=bank.scenarios + 1)).file(0),
        *(replace(runner, jobs=(Job("x", *about),)).file(0) for about in ((4, 0, 5), (3, 1, 5), (3, 0, 6))),
        replace(runner, jobs=(Job("x", 3, 0, 5, (ActionDelay(0.3),)),)).file(0),
    ]
    with monkeypatch.context() as patched:
        patched.setattr(twin, "twin_settings", lambda *of: {**twin_settings(*of), "traffic": 0.5})
        others.append(runner.file(0))
    with monkeypatch.context() as patched:
        patched.setattr(twin, "installed_version", lambda name: "0.0.1")
        others.append(runner.file(0))
    assert len({first, *others}) == 1 + len(others)
