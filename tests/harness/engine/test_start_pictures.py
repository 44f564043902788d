"""Starts are drawn by the simulator that they were recorded in, in any appearance, and a drive then begins so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from learned_sim_env.data.workers import Result
from learned_sim_env.failures import Failure
from learned_sim_env.harness.engine import start_pictures
from learned_sim_env.harness.engine.dream import DreamRunner
from learned_sim_env.harness.engine.job import Job
from learned_sim_env.harness.engine.start_pictures import StartPictures
from learned_sim_env.harness.engine.suite import Suite
from learned_sim_env.harness.stress.strategies.disturbed_appearance import Fog
from learned_sim_env.rendering.camera import Appearance
from learned_sim_env.spec import CONTRACTS
from tests.toy_model import toy_camera_checkpoint

TWIN = {"simulator": "metadrive", "contract": "driving-camera", "info_type": "full", "max_episode_steps": 1_000_000}


class Drawn(StartPictures):
    """Shows a colour instead of driving a simulator, and counts."""

    count = 0

    def draw(self, wanted, done=None):
        type(self).count += len(list(wanted))

    def of(self, row, look):
        return {name: np.full((5, 64, 96, 3), 200 if look else 20, np.uint8) for name in self.names}


def test_a_drive_begins_in_the_look_that_its_perturbation_asks_for():
    toy = toy_camera_checkpoint(4)
    pictures = Drawn("any", toy.contexts, ("front", "left", "right"), None)
    runner = DreamRunner(toy, toy.contexts, "follow-8", rows=2, pictures=pictures)
    plain, foggy = runner.run([Job("a", 0, 1, 2), Job("b", 0, 1, 2, (Fog(1.0),))], views=True)
    # The toy's state is what the front camera last showed in its corner.
    assert (plain.views[0][0, 0, 0], foggy.views[0][0, 0, 0]) == (20, 200) and Drawn.count == 1
    without = DreamRunner(toy, toy.contexts, "follow-8", rows=2).run([Job("b", 0, 1, 2, (Fog(1.0),))])[0]
    assert "no simulator is known" in without.error


def test_pictures_are_kept_by_all_that_they_depend_on(tmp_path, monkeypatch):
    monkeypatch.setattr(start_pictures, "twin_settings", lambda env_id: TWIN)
    bank = Suite.load("driving").starts
    pictures = StartPictures("any", bank, ("front",), tmp_path)
    files = {pictures.file(row, look) for row in (0, 1) for look in (None, Appearance.named("fog", 1))}
    files.add(replace(pictures, names=("front", "route")).file(0, None))
    files.add(replace(pictures, bank=replace(bank, replay=bank.replay + 0.1)).file(0, None))
    assert len(files) == 6
    monkeypatch.setattr(start_pictures, "installed_version", lambda name: "")
    assert "metadrive, which draws its starts, is not installed" in pictures.unfit([0])


@pytest.mark.slow
def test_a_suite_without_cameras_is_completed_by_the_twin(tmp_path, monkeypatch):
    pytest.importorskip("metadrive", reason="needs the extra [metadrive]")
    monkeypatch.setattr(start_pictures, "twin_settings", lambda env_id: TWIN)
    whole = Suite.load("driving").starts
    row = int(np.diff(whole.replay_starts).argmin())
    actions, kept = whole.replay_actions(row), [row]
    bank = replace(
        whole,
        observations={name: values[kept] for name, values in whole.observations.items()},
        actions=whole.actions[kept],
        tags=whole.tags[kept],
        scenarios=whole.scenarios[kept],
        replay=actions,
        replay_starts=np.array([0, len(actions)]),
    )
    monkeypatch.setattr(start_pictures, "run_seeds", _here)
    monkeypatch.setattr(start_pictures, "open_twin", lambda env_id: _twin())
    pictures = StartPictures("any", bank, ("front", "route"), tmp_path, workers=1)
    completed = pictures.completed(("front", "route"))
    completed.check_fit(CONTRACTS["driving-camera"], ("front", "route", "ego"), 5)
    assert pictures.kept and completed.observations["front"].std() > 5
    # In the simulator's own look its own picture, in another one another.
    fog = pictures.of(0, Appearance.named("fog", int(bank.scenarios[0])))["front"]
    assert not np.array_equal(fog[-1], completed.observations["front"][0, -1])
    elsewhere = replace(bank, observations={**bank.observations, "ego": bank.ego + 1})
    moved = StartPictures("any", elsewhere, ("front",), tmp_path / "b", workers=1)
    assert "does not come to the recorded moment" in moved.unfit([0])


def _twin():
    from learned_sim_env.environments.twin import TwinDrivingEnv

    return TwinDrivingEnv(**TWIN)


def _here(make_task, seeds, workers):
    """As `run_seeds`, in this process: what is patched here is not in another."""
    task = make_task()
    for seed in seeds:
        try:
            yield Result(seed, task(seed))
        except ValueError as error:
            yield Result(seed, 0, Failure.of(error))
