"""Searches find the smallest change in a world in which it is known; cases and forecasts are what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from learned_sim_env.harness.engine.dream import DreamRunner
from learned_sim_env.harness.engine.job import STEPS, DriveResult, Job
from learned_sim_env.harness.stress.confirm import DRIVEN, NONE, REPLAYED, Confirmation, how
from learned_sim_env.harness.stress.foresight import Forecasts, foresight_part, lead_times
from learned_sim_env.harness.stress.search import SearchConfig, safe_starts, search
from learned_sim_env.harness.stress.starting_moments import other_chances, search_cases, sweep_cases
from learned_sim_env.harness.stress.strategies.disturbed_actions import ActionBias
from learned_sim_env.harness.stress.strategies.disturbed_latents import LatentComposition, LatentNoise
from learned_sim_env.harness.stress.stress_page import cases_part, confirm_part, search_part, sweep_part
from learned_sim_env.harness.stress.sweep import SweepConfig, sweep
from tests.evaluation.small import small_checkpoint
from tests.evaluation.world import episode, packed
from tests.harness.world import small_suite


def made(end: str, risk: float, steps: int = 10, uncertainty: float = 0.1) -> DriveResult:
    arrays = {name: np.zeros((steps, *shape), dtype) for name, (shape, dtype) in STEPS.items()}
    arrays["risk"][:], arrays["uncertainty"][:] = risk, uncertainty
    return DriveResult(**arrays, end=end)


class Cliff:
    """A world in which a pulse to the right that is strong and long enough ends off the road, and nothing else does."""

    def __init__(self) -> None:
        self.drives = 0

    def run(self, jobs, done=None):
        self.drives += len(jobs)
        return [self._drive(job.perturbations[0]) for job in jobs]

    def _drive(self, pulse) -> DriveResult:
        push = pulse.steer * min(pulse.length, 2.0)
        return made("off_road" if push > 0.3 else "", float(np.clip(push, 0, 0.3)))


def test_the_adaptive_search_finds_smaller_changes_with_the_same_budget():
    config = SearchConfig(starts=(0, 1), seeds=5, population=16, rounds=6)
    found = {}
    for method in ("adaptive", "random"):
        world = Cliff()
        found[method] = search(world, "action_pulse", method, config)  # type: ignore[arg-type]
        assert world.drives == 2 * 5 * config.budget
    adaptive, random = (np.array([f.sizes[-1] for f in found[m]]) for m in ("adaptive", "random"))
    assert np.isfinite(adaptive).all() and (adaptive <= random).mean() > 0.8
    assert adaptive.mean() < 0.8 * random.mean()
    for f in found["adaptive"]:
        assert list(f.sizes) == sorted(f.sizes, reverse=True)
        assert f.job is not None and f.drive is not None
        assert f.drive.crashed and f.job.size == pytest.approx(f.sizes[-1])
    part = search_part({"action_pulse": found}, config)
    assert part.values["action_pulse"]["random_less_adaptive"]["low"] > 0


class Chance(Cliff):
    """A world in which one drive in three crashes, whatever is done."""

    def __init__(self) -> None:
        super().__init__()
        self.rounds: list[list[float]] = []

    def run(self, jobs, done=None):
        self.rounds.append([job.size for job in jobs])
        return [made("collision" if int(1e6 * job.size) % 3 == 0 else "", 0.1) for job in jobs]


def test_nothing_larger_than_what_has_crashed_is_driven():
    world = Chance()
    config = SearchConfig(starts=(0,), seeds=1, population=16, rounds=6)
    (found,) = search(world, "injection", "adaptive", config)  # type: ignore[arg-type]
    assert np.isfinite(found.sizes[0])
    for smallest, sizes in zip(found.sizes, world.rounds[1:]):
        smaller = np.array(sizes) < smallest
        # Close to nothing, there may be too few that are smaller.
        assert smaller.all() or smallest < 0.1


def test_starts_that_end_by_themselves_are_not_searched_from():
    jobs = [Job("x", start, 0, 10) for start in (0, 0, 1, 2)]
    assert safe_starts([made("", 0), made("collision", 0), made("", 0), made("arrival", 0)], jobs) == [1]


@pytest.fixture(scope="module")
def swept():
    checkpoint, suite = small_suite()
    runner = DreamRunner(checkpoint, suite.starts, "follow-8", rows=16)
    config = SweepConfig((0, 1), ("action_bias", "latent_noise"), (0.5, 1.0), ("blur", "action_noise"), 2, 5)
    return runner, sweep(runner, config)


def test_a_sweep_drives_every_strategy_at_every_strength(swept):
    _, found = swept
    names = ("action_bias", "latent_noise", "blur+action_noise")
    assert set(found.drives) == {(name, strength) for name in names for strength in (0.5, 1.0)}
    assert [len(drives) for drives in found.drives.values()] == [4] * 6 and len(found.plain) == 4
    jobs = found.jobs["blur+action_noise", 0.5]
    assert [[p.name for p in job.perturbations] for job in jobs] == [["blur", "action_noise"]] * 4
    assert len({job.perturbations[0].seed for job in jobs}) == 4, "every drive is disturbed in its own way"
    assert [(j.start, j.seed) for j in jobs] == [(j.start, j.seed) for j in found.plain_jobs]


def test_success_counts_only_what_did_not_crash_anyway(swept):
    _, found = swept
    key = ("action_bias", 1.0)
    some = [made("off_road", 0), made("off_road", 0, uncertainty=9.0), made("", 0), DriveResult.failed("x")]
    plain = [made("", 0), made("collision", 0), made("", 0), made("", 0)]
    found = replace(found, plain=plain, drives={**found.drives, key: some}, doubt=1.0)
    crashed, counts = found.attacked(key)
    assert crashed.tolist() == [True, True, False, False] and counts.tolist() == [True, False, True, False]
    values = sweep_part(found).values["action_bias"]["1"]
    assert values["success"]["value"] == 0.5 and values["failed_to_run"] == 1
    cases = [case for case in sweep_cases(found, most=3) if case.found_by == "action_bias" and case.job.size == 1.0]
    assert len(cases) == 1 and cases[0].plausible


def test_other_chances_and_confirmations_are_shares(swept):
    runner, found = swept
    cases = sweep_cases(found, most=1)
    assert all(0 <= share <= 1 for share in other_chances(runner, cases)) if cases else True
    names = ["a", "a", "b", "b"]
    told = [Confirmation(DRIVEN, True, False), Confirmation(DRIVEN, False, False), Confirmation(REPLAYED, True, True)]
    values = confirm_part(names, [*told, Confirmation(NONE)]).values
    assert (values["a"]["confirmed"], values["a"]["known"]) == (1, 2) and values["b"]["known"] == 0
    assert values["all"]["share"]["value"] == 0.5
    assert cases_part([], {}).values == {"files": []}
    assert search_cases({}, found) == []


def test_how_a_crash_is_looked_for_depends_on_what_was_done():
    assert how(Job("x", 0, 0, 1, (ActionBias(),))) == DRIVEN
    assert how(Job("x", 0, 0, 1, (ActionBias(), LatentNoise()))) == REPLAYED
    assert how(Job("x", 0, 0, 1, (LatentComposition(), ActionBias()))) == NONE


def test_leads_are_of_warnings_that_hold_until_the_collision():
    left = np.array([30, 20, 10, 5, 1, 30, 20, 10, 5, 1, *[10_000] * 100])
    episode_of = np.array([0] * 5 + [1] * 5 + [2] * 100)
    scores = np.concatenate([[9, 0, 9, 9, 9], [9, 9, 9, 9, 0], np.linspace(0, 1, 100)])
    forecasts = Forecasts(episode_of, left, np.ones(110, bool), scores, scores)
    threshold, leads, episodes = lead_times(forecasts, scores)
    assert threshold == pytest.approx(0.95, abs=0.01)
    assert leads.tolist() == [10, 0] and episodes.tolist() == [0, 1]


def test_foresight_is_measured_on_recorded_collisions():
    data = packed([episode(1_000_000 + i, 40, "collision" if i < 2 else "time_limit") for i in range(4)])
    model = small_checkpoint(data).model
    part = foresight_part(model, data, 0.1)
    assert set(part.values) == {"model", "speed over gap ahead"}
    assert 0 <= part.values["model"]["auroc"]["value"] <= 1 and len(part.values["model"]["leads"]) == 2
    calm = packed([episode(1_000_000, 40)])
    with pytest.raises(ValueError, match="none of 1 episodes ends in a collision"):
        foresight_part(model, calm, 0.1)
