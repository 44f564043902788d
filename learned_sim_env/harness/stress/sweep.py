"""Every strategy at several strengths, from many starts: how often does the policy crash where it did not before?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from learned_sim_env.harness.engine.dream import DreamRunner
from learned_sim_env.harness.engine.job import DriveResult, Job
from learned_sim_env.harness.engine.perturbation import Perturbation
from learned_sim_env.harness.stress.strategy_catalogue import STRATEGIES


@dataclass(frozen=True)
class SweepConfig:
    """starts: rows of the bank. seeds: of the dream's chance and of the perturbation, of every start. strengths: of
    every strategy. together: strategies that are applied at once, as one more. horizon: steps.
    """

    starts: tuple[int, ...]
    strategies: tuple[str, ...]
    strengths: tuple[float, ...] = (0.25, 0.5, 1.0)
    together: tuple[str, ...] = ()
    seeds: int = 3
    horizon: int = 100

    @property
    def names(self) -> list[str]:
        """Strategies as they are reported."""
        return [*self.strategies, *(["+".join(self.together)] if self.together else [])]

    def perturbations(self, name: str, strength: float, seed: int) -> tuple[Perturbation, ...]:
        """One of `names` at a strength."""
        return tuple(STRATEGIES[part](strength=strength, seed=seed) for part in name.split("+"))


@dataclass(frozen=True, eq=False)
class Sweep:
    """What was driven. undisturbed: (S * C) drives of S starts and C seeds. cases: by (strategy, strength), as many,
    with what was asked for. `doubt`: what the undisturbed ones were most uncertain about, the 99th of 100, and the
    model's own bound, whichever is less.
    """

    config: SweepConfig
    jobs: dict[tuple[str, float], list[Job]]
    drives: dict[tuple[str, float], list[DriveResult]]
    plain_jobs: list[Job]
    plain: list[DriveResult]
    doubt: float

    def attacked(self, key: tuple[str, float]) -> tuple[np.ndarray, np.ndarray]:
        """Of every drive, whether it crashed, and whether it counts: it ran, and undisturbed it did not crash."""
        drives = self.drives[key]
        counts = [not d.error and not p.error and not p.crashed for d, p in zip(drives, self.plain)]
        return np.array([d.crashed for d in drives]), np.array(counts)

    def plausible(self, drive: DriveResult) -> bool:
        """Whether the model was no more uncertain, up to the end, than it is in drives that nothing disturbs."""
        return bool(len(drive) and drive.uncertainty.max() <= self.doubt)


def applicable(config: SweepConfig, model: Any, no_pictures: str | None = None) -> tuple[SweepConfig, dict[str, str]]:
    """The strategies that can be applied to a model's dreams, and why the others cannot, by name.

    no_pictures: why starts cannot be drawn in another appearance; None if they can.
    """
    asked = [STRATEGIES[name] for name in (*config.strategies, *config.together)]
    lacking = {s.name: s.needs.lacking(model) or (no_pictures if s.redraws else None) for s in asked}
    reasons = {name: reason for name, reason in lacking.items() if reason is not None}
    if set(config.together) & set(reasons):
        reasons["+".join(config.together)] = "; ".join(sorted({reasons[n] for n in config.together if n in reasons}))
        config = replace(config, together=())
    return replace(config, strategies=tuple(n for n in config.strategies if n not in reasons)), reasons


def plain_jobs(config: SweepConfig) -> list[Job]:
    """The same starts and chances without any perturbation."""
    return [
        Job("undisturbed", start, 5_000 + 1_000 * seed + start, config.horizon)
        for start in config.starts
        for seed in range(config.seeds)
    ]


def sweep(runner: DreamRunner, config: SweepConfig, done: Callable[[int], object] | None = None) -> Sweep:
    """Drive all of it; jobs of all strategies share their batches."""
    undisturbed = plain_jobs(config)
    keys = [(name, strength) for name in config.names for strength in config.strengths]
    jobs = {
        (name, strength): [
            replace(job, name=name, perturbations=config.perturbations(name, strength, i))
            for i, job in enumerate(undisturbed)
        ]
        for name, strength in keys
    }
    flat = [*undisturbed, *(job for key in keys for job in jobs[key])]
    drives = runner.run(flat, done)
    plain, per = drives[: len(undisturbed)], len(undisturbed)
    parts = {key: drives[per * (i + 1) : per * (i + 2)] for i, key in enumerate(keys)}
    return Sweep(config, jobs, parts, undisturbed, plain, doubt(plain, runner.checkpoint.uncertainty_bound))


def doubt(undisturbed: Sequence[DriveResult], bound: float) -> float:
    """Uncertainty above which a drive is called implausible."""
    highest = [float(d.uncertainty.max()) for d in undisturbed if len(d)]
    return min(bound, float(np.quantile(highest, 0.99))) if highest else bound
