"""Drives depend on nothing but themselves, are kept, and fail alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from learned_sim_env.harness.engine import dream
from learned_sim_env.harness.engine.dream import DreamRunner
from learned_sim_env.harness.engine.job import STEPS, DriveResult, Job, pack, unpack
from learned_sim_env.harness.engine.perturbation import Perturbation
from learned_sim_env.harness.engine.perturbed_model import PUSH, PerturbedModel
from learned_sim_env.harness.stress.strategies.disturbed_latents import (
    LatentComposition,
    LatentFlips,
    LatentNoise,
    LatentTemperature,
)
from learned_sim_env.imagination.inference import Inference
from learned_sim_env.imagination.rollout import Rollout
from learned_sim_env.spec import RewardSpec
from learned_sim_env.world_model.protocol import LatentModel
from tests.drivers.test_network import network
from tests.harness.world import HORIZON, small_suite
from tests.toy_model import ToyModel


@dataclass(frozen=True)
class Broken(Perturbation):
    name = "broken"

    def observation(self):
        raise RuntimeError("nothing is to be seen")


@dataclass(frozen=True)
class Exploding(Perturbation):
    name = "exploding"

    def dream(self):
        return {PUSH: float("inf")}


class Steady:
    """Steers by the seed, and needs no picture."""

    needs_bev = False

    def __init__(self, seeds):
        self.actions = np.stack([np.array(seeds) % 10 / 10, np.ones(len(seeds))], 1)

    def __call__(self, observations, began):
        return self.actions


def steady(seeds) -> Steady:
    return Steady(seeds)


@pytest.fixture(scope="module")
def world():
    return small_suite()


@pytest.fixture(scope="module")
def runner(world) -> DreamRunner:
    checkpoint, suite = world
    return DreamRunner(checkpoint, suite.starts, "random", rows=16)


def jobs(*perturbations: Perturbation, count: int = 4, horizon: int = HORIZON) -> list[Job]:
    return [Job(f"job {i}", i % 4, 100 + i, horizon, perturbations) for i in range(count)]


def same(a: DriveResult, b: DriveResult) -> bool:
    return a.end == b.end and all(np.array_equal(getattr(a, name), getattr(b, name)) for name in STEPS)


def test_a_drive_does_not_depend_on_those_beside_it(runner):
    together = runner.run(jobs(count=6))
    alone = [runner.run([job])[0] for job in jobs(count=6)]
    backwards = runner.run(jobs(count=6)[::-1])[::-1]
    assert all(map(same, together, alone)) and all(map(same, together, backwards))
    assert not same(together[0], together[4]), "another chance is another drive"


def test_the_same_jobs_give_the_same_drives(runner):
    assert all(map(same, runner.run(jobs()), runner.run(jobs())))


def test_given_actions_are_taken_and_lead_to_the_same_dream(runner):
    first = runner.run(jobs())[2]
    taken = tuple((float(a), float(b)) for a, b in first.actions)
    again = runner.run([Job("again", 2, 102, len(first), (), taken)])[0]
    assert same(first, again)


def test_views_are_kept_when_asked_for(runner):
    drive = runner.run(jobs(), views=True)[1]
    assert drive.views is not None and drive.views.shape == (len(drive) + 1, 64, 64)
    assert runner.run(jobs())[1].views is None


@pytest.mark.parametrize("strategy", [LatentNoise, LatentFlips, LatentTemperature, LatentComposition])
def test_a_disturbed_dream_leaves_its_neighbours_alone(runner, strategy):
    calm = runner.run(jobs())
    mixed = [replace(job, perturbations=(strategy(1.0, 3),) if i == 1 else ()) for i, job in enumerate(jobs())]
    disturbed = runner.run(mixed)
    assert all(same(calm[i], disturbed[i]) for i in (0, 2, 3))
    assert not same(calm[1], disturbed[1])
    assert same(disturbed[1], runner.run(mixed)[1])


@pytest.mark.parametrize("strategy", [LatentComposition, LatentFlips])
def test_disturbed_latents_are_latents(runner, strategy):
    groups, classes = runner.model.latent_groups
    job = Job("mixed", 0, 0, HORIZON, (strategy(0.5, 1),))
    start = runner.starts([job])
    rollout = Rollout(runner.model, 1, Inference(torch.device("cpu")))
    rollout.start(np.array([0]), start, 0)
    rollout.step(np.zeros((1, 2), np.float32))
    for state in (start.state, rollout._state):
        z = state["z"].view(-1, groups, classes)
        assert torch.equal(z.sum(-1), torch.ones(1, groups)) and ((z == 0) | (z == 1)).all()
    plain = runner.starts([replace(job, perturbations=())]).state["z"].view(groups, classes)
    if strategy is LatentComposition:
        taken = (start.state["z"].view(groups, classes) != plain).any(-1)
        assert 0 < taken.sum() < groups, "some are the other moment's, not all"


def test_a_dream_that_is_not_finite_ends_alone(runner):
    calm = runner.run(jobs())
    mixed = [replace(job, perturbations=(Exploding(),) if i == 1 else ()) for i, job in enumerate(jobs())]
    drives = runner.run(mixed)
    assert (drives[1].end, len(drives[1]), drives[1].error) == ("not_finite", 1, "")
    assert drives[1].broken_off and not drives[1].failure
    assert all(np.isfinite(getattr(drives[1], name)).all() for name in STEPS if name != "gap")
    assert not drives[1].reward_terms.any() and not drives[1].risk.any()
    assert all(same(calm[i], drives[i]) for i in (0, 2, 3))


def test_a_model_without_latents_is_left_as_it_is():
    model, toy = PerturbedModel(ToyModel()), ToyModel()
    assert not isinstance(model, LatentModel) and model.noise_size == toy.noise_size
    state, action, noise = model.initial(3), torch.zeros(3, 2), torch.rand(3, 2)
    after = model.imagine(state, action, noise)
    expected = toy.imagine(toy.initial(3), action, noise)
    assert all(torch.equal(after[name], value) for name, value in expected.items())


def test_one_that_fails_costs_no_other(runner):
    some = jobs(count=5)
    some[2] = Job("broken", 2, 7, HORIZON, (Broken(),))
    drives = runner.run(some)
    assert "nothing is to be seen" in drives[2].error and len(drives[2]) == 0
    calm = runner.run(jobs(count=5))
    assert all(same(calm[i], drives[i]) for i in (0, 1, 3, 4))


def test_kept_drives_are_not_driven_again(world, tmp_path, monkeypatch):
    checkpoint, suite = world
    keeper = DreamRunner(checkpoint, suite.starts, "follow-8", rows=16, folder=tmp_path)
    counted: list[int] = []
    drives = keeper.run(jobs(count=18), counted.append)
    assert counted == [16, 2]

    def refused(*_):
        raise RuntimeError("it is driven again")

    monkeypatch.setattr(dream.DreamRunner, "_batch", refused)
    assert all(map(same, drives, keeper.run(jobs(count=18))))
    other = DreamRunner(checkpoint, suite.starts, "idm", rows=16, folder=tmp_path)
    assert "it is driven again" in other.run(jobs(count=1))[0].error, "another driver drives otherwise"


def test_drives_are_kept_by_all_that_they_depend_on(world):
    checkpoint, suite = world

    def key(
        checkpoint=checkpoint,
        bank=suite.starts,
        driver="follow-8",
        some=(),
        rows=16,
        draw_views=True,
        views=False,
    ):
        return DreamRunner(checkpoint, bank, driver, rows, draw_views)._key(list(some) or jobs(), views)

    first, starts = key(), suite.starts
    assert key() == first == key(some=[replace(job, name="the same") for job in jobs()])
    faster = replace(checkpoint.contract, reward=RewardSpec(progress=2.0))
    others = [
        key(checkpoint=replace(checkpoint, uncertainty_bound=0.5)),
        key(checkpoint=replace(checkpoint, contract=faster)),
        key(checkpoint=replace(checkpoint, fingerprint="1" * 64)),
        *(
            key(bank=replace(starts, observations={**starts.observations, name: seen[::-1]}))
            for name, seen in starts.observations.items()
        ),
        key(bank=replace(starts, actions=starts.actions[::-1])),
        key(bank=replace(starts, tags=~starts.tags)),
        key(driver="idm"),
        key(rows=32),
        key(draw_views=False),
        key(views=True),
        *(key(some=jobs(LatentNoise(strength))) for strength in (0.25, 0.5)),
        key(some=jobs(horizon=HORIZON + 1)),
    ]
    assert len({first, *others}) == 1 + len(others)


@pytest.mark.parametrize("driver", ["network", "tests.harness.test_dream:steady"])
def test_networks_and_ones_own_drive(world, tmp_path, driver, monkeypatch):
    from learned_sim_env.drivers import catalogue

    # Tests are no package that could be imported by name.
    monkeypatch.setattr(catalogue, "load_maker", lambda name: steady)
    network().save(tmp_path / "p.safetensors")
    checkpoint, suite = world
    name = str(tmp_path / "p.safetensors") if driver == "network" else driver
    runner = DreamRunner(checkpoint, suite.starts, name, rows=32, draw_views=False)
    assert runner.draw_views == (driver == "network")
    together = runner.run(jobs(count=20))
    assert not any(drive.error for drive in together)
    assert all(map(same, together[17:], runner.run(jobs(count=20)[17:])))
    assert len(np.unique(np.concatenate([drive.actions[:, 0] for drive in together]))) > 4


def test_drives_survive_being_packed(runner):
    drives = [*runner.run(jobs(), views=True), *runner.run(jobs(horizon=3), views=True)]
    again = unpack(pack(drives))
    assert all(map(same, drives, again))
    for a, b in zip(drives, again):
        np.testing.assert_array_equal(a.views, b.views)


def test_undisturbed_it_dreams_as_the_environment_does(world):
    from learned_sim_env.environments.learned import LearnedDrivingEnv

    checkpoint, suite = world
    one = DreamRunner(checkpoint, suite.starts, "random", rows=1)
    drive = one.run([Job("alone", 1, 55, HORIZON)])[0]
    env = LearnedDrivingEnv(checkpoint)
    env.reset(seed=0, options={"context": 1})
    env.restore({**env.snapshot(), "seed": 55})
    for t in range(len(drive)):
        observation, *_, info = env.step(drive.actions[t])
        np.testing.assert_allclose(observation["ego"], drive.ego[t], atol=1e-4)
    assert info["end_reason"] == drive.end


def test_rows_must_be_some(world):
    checkpoint, suite = world
    with pytest.raises(ValueError, match="rows is 0; it must be 1 or more"):
        DreamRunner(checkpoint, suite.starts, "follow-8", rows=0)


def test_how_many_are_driven_together_does_not_matter(world, runner):
    checkpoint, suite = world
    fewer = DreamRunner(checkpoint, suite.starts, "random", rows=5)
    assert all(map(same, runner.run(jobs()), fewer.run(jobs())))


def test_who_does_not_look_dreams_the_same_without_pictures(world, runner):
    checkpoint, suite = world
    unseen = DreamRunner(checkpoint, suite.starts, "random", rows=16, draw_views=False).run(jobs())
    for drive, seen in zip(unseen, runner.run(jobs())):
        np.testing.assert_array_equal(drive.ego, seen.ego)
        assert drive.end == seen.end and np.isinf(drive.gap).all()
    careful = DreamRunner(checkpoint, suite.starts, "careful", rows=16, draw_views=False)
    assert careful.draw_views, "this one needs the view"
