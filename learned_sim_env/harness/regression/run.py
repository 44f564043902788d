"""One run of a policy through a suite: every scenario in the dream, with several chances, and in the twin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from learned_sim_env.harness.engine.job import DriveResult, Job
from learned_sim_env.harness.engine.perturbation import Perturbation
from learned_sim_env.harness.engine.suite import Suite, SuiteScenario
from learned_sim_env.harness.regression.metrics import METRICS, measure
from learned_sim_env.measures.bootstrap import Estimate, ratio, resample
from learned_sim_env.reporting.display import plain

FORMAT = 1
REPLICATES = 1000


def jobs_of(scenarios: Sequence[SuiteScenario], chances: int, perturbations: tuple[Perturbation, ...]) -> list[Job]:
    """`chances` jobs of every scenario, one scenario after the other; they differ in the dream's chance."""
    if chances < 1:
        raise ValueError(f"seeds is {chances}; at least 1 is needed")
    return [
        Job(s.name, s.start, s.seed + 100_000 * chance, s.horizon, perturbations)
        for s in scenarios
        for chance in range(chances)
    ]


@dataclass(frozen=True, eq=False)
class WorldResults:
    """What one world, "dream" or "twin", said of S scenarios.

    values: by metric, (S, C) float64 for C chances, NaN of drives that failed or tell nothing. ends, errors: (S, C)
    text.
    """

    name: str
    values: dict[str, np.ndarray]
    ends: np.ndarray
    errors: np.ndarray

    @staticmethod
    def of(name: str, drives: Sequence[DriveResult], scenarios: Sequence[SuiteScenario], suite: Suite) -> WorldResults:
        """From the drives of `jobs_of` the scenarios."""
        shape = (len(scenarios), -1)
        per = len(drives) // len(scenarios)
        nothing = dict.fromkeys(METRICS, np.nan)
        measured = [
            nothing if drive.error else measure(drive, scenarios[i // per], suite) for i, drive in enumerate(drives)
        ]
        return WorldResults(
            name,
            {metric: np.array([m[metric] for m in measured]).reshape(shape) for metric in METRICS},
            np.array([d.end or "horizon" for d in drives]).reshape(shape),
            np.array([d.error for d in drives]).reshape(shape),
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; numbers rounded to six digits."""
        values = {name: plain(value) for name, value in self.values.items()}
        return {"values": values, "ends": self.ends.tolist(), "errors": self.errors.tolist()}

    @staticmethod
    def from_dict(name: str, written: dict[str, Any]) -> WorldResults:
        """What `to_dict` gave."""
        values = {
            metric: np.array([[np.nan if v is None else v for v in row] for row in rows], np.float64)
            for metric, rows in written["values"].items()
        }
        return WorldResults(name, values, np.array(written["ends"]), np.array(written["errors"]))


@dataclass(frozen=True, eq=False)
class Run:
    """A policy's run. about: policy, perturbations, suite and model, by fingerprint. worlds: by name."""

    about: dict[str, Any]
    scenarios: tuple[SuiteScenario, ...]
    worlds: dict[str, WorldResults]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, the same for the same drives, whenever and wherever."""
        return {
            "format": FORMAT,
            "about": self.about,
            "summary": {name: plain(self.summary(name)) for name in self.worlds},
            "coverage": {name: self.coverage(name) for name in self.worlds},
            "scenarios": [{"name": s.name, "tags": list(s.tags), "expected": s.expected} for s in self.scenarios],
            "worlds": {name: world.to_dict() for name, world in self.worlds.items()},
        }

    @staticmethod
    def from_dict(written: dict[str, Any], suite: Suite) -> Run:
        """What `to_dict` gave, of scenarios of the same suite; `ValueError` for anything else."""
        if written.get("format") != FORMAT:
            raise ValueError(f"this is a run of format {written.get('format')!r}; this package reads {FORMAT}")
        if written["about"]["suite"] != _suite(suite):
            raise ValueError(
                f"the run was through suite {written['about']['suite']}, this is {_suite(suite)}: runs through other "
                "scenarios do not compare, run the baseline again"
            )
        known = {s.name: s for s in suite.scenarios}
        scenarios = tuple(known[s["name"]] for s in written["scenarios"])
        worlds = {name: WorldResults.from_dict(name, world) for name, world in written["worlds"].items()}
        return Run(written["about"], scenarios, worlds)

    def summary(self, world: str, tag: str | None = None) -> dict[str, Estimate]:
        """Mean of every metric over scenarios, or those with a tag, and chances; 95% intervals resample scenarios."""
        which = np.array([tag is None or tag in s.tags for s in self.scenarios])
        weights = resample(np.arange(which.sum()), int(which.sum()), REPLICATES, seed=0)
        found = {}
        for metric, values in self.worlds[world].values.items():
            some = values[which]
            known = np.isfinite(some)
            sums = (weights @ np.where(known, some, 0.0).sum(1), weights @ known.sum(1).astype(np.float64))
            found[metric] = Estimate.of(ratio(*sums))
        return found

    def coverage(self, world: str) -> dict[str, Any]:
        """Kinds of scenes that were driven, and the share of the drives of each that went as expected.

        "handled" is the share of kinds of which at least 9 in 10 drives did.
        """
        kinds = sorted({tag for s in self.scenarios for tag in s.tags})
        success = self.worlds[world].values["success"]
        shares = {}
        for kind in kinds:
            some = success[[kind in s.tags for s in self.scenarios]]
            shares[kind] = round(float(np.nanmean(some)), 6) if np.isfinite(some).any() else None
        handled = sum(share is not None and share >= 0.9 for share in shares.values())
        return {"kinds": len(kinds), "handled": round(handled / len(kinds), 6), "success": shares}


def means(values: np.ndarray) -> np.ndarray:
    """(S,) means of what is known in (S, C) values, NaN where nothing is."""
    known = np.isfinite(values)
    return ratio(np.where(known, values, 0.0).sum(1), known.sum(1))


def about(policy: str, perturbations: tuple[Perturbation, ...], suite: Suite, model: str) -> dict[str, Any]:
    """What a run was of. model: fingerprint of the checkpoint."""
    return {
        "policy": policy,
        "perturbations": [p.to_dict() for p in perturbations],
        "suite": _suite(suite),
        "model": model,
    }


def _suite(suite: Suite) -> str:
    return f"{suite.name} {suite.fingerprint[:12]}"
