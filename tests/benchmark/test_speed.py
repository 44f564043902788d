"""Measurements cover what they say, measure what runs, and leave torch as it was."""

from __future__ import annotations

import time

import pytest
import torch

from learned_sim_env.benchmark import speed
from learned_sim_env.benchmark.machine import Machine
from learned_sim_env.benchmark.speed import (
    Setting,
    Speed,
    learned_speed,
    measure,
    settings,
    torch_threads,
    twin_speed,
    with_few_contexts,
)
from learned_sim_env.world_model.checkpoint import from_pretrained


def test_settings_cover_batches_threads_and_dtypes():
    every = list(settings("LearnedDriving-v0", cores=4))
    assert len(set(every)) == len(every) == 27
    assert {s.batch for s in every} == {1, 16, 256}
    assert {s.obs_type for s in every} == {"latent", "semantic", "dict"}
    # A single row always runs on one thread, and gains nothing from bfloat16.
    assert {(s.dtype, s.threads) for s in every if s.batch == 1} == {("float32", 1)}
    assert len({(s.dtype, s.threads) for s in every if s.batch == 256}) == 4
    assert {s.threads for s in settings("LearnedDriving-v0", cores=1)} == {1}
    assert {s.obs_type for s in settings("LearnedDriving-v0", 1, draws=("front",))} == {"latent", "dict"}
    cameras = settings("LearnedDrivingCamera-v0", 1, draws=("left", "front", "right", "bev", "route"))
    assert {s.obs_type for s in cameras} == {"latent", "semantic", "front", "dict"}


def test_measure_counts_steps_a_second():
    def advance() -> int:
        time.sleep(0.002)
        return 10

    found = measure(advance, 0.2)
    assert 0 < found.low <= found.typical <= found.high <= 5000


def test_measure_takes_a_step_however_short_the_time():
    calls = []
    assert measure(lambda: calls.append(1) or 1, 0.0).low > 0
    assert len(calls) == 1 + speed.CHUNKS


def test_speed_is_the_median():
    assert Speed.of([3.0, 1.0, 100.0]) == Speed(3.0, 1.0, 100.0)


def test_threads_are_restored():
    before = torch.get_num_threads()
    with pytest.raises(KeyError), torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise KeyError
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    "setting",
    [
        Setting("LearnedDriving-v0", 1, "dict"),
        Setting("LearnedDriving-v0", 3, "latent", "bfloat16"),
        Setting("LearnedDriving-v0", 2, "semantic", threads=2),
    ],
)
def test_learned_environments_are_measured(setting):
    checkpoint = with_few_contexts(from_pretrained("bev-rssm"), count=2)
    before = torch.get_num_threads()
    assert learned_speed(setting, checkpoint, 0.05).low > 1
    assert torch.get_num_threads() == before


def test_few_contexts_are_the_first():
    whole = from_pretrained("bev-rssm")
    few = with_few_contexts(whole, count=3)
    assert len(few.contexts) == 3
    assert few.model is whole.model
    for i in range(3):
        assert (few.contexts.replay_actions(i) == whole.contexts.replay_actions(i)).all()
        assert (few.contexts.observations["bev"][i] == whole.contexts.observations["bev"][i]).all()


def test_simulator_is_slower_with_its_resets(monkeypatch):
    pytest.importorskip("metadrive", reason="needs the extra [metadrive]")
    monkeypatch.setattr(speed, "SCENARIOS", 1)
    driving, whole = twin_speed(Setting("MetaDriveDriving-v0"), 0.0)
    assert driving.typical > whole.typical > 0


def test_machine():
    machine = Machine.look()
    assert machine.cores >= 1
    assert machine.torch == torch.__version__
    assert machine.processor in str(machine)
    idle = Machine("x", 4, 0.2, "", "", "", "")
    assert not idle.busy
    assert Machine("x", 4, 3.0, "", "", "", "").busy
    assert not Machine("x", 4, None, "", "", "", "").busy
    assert "load unknown" in str(Machine("x", 4, None, "", "", "", ""))
