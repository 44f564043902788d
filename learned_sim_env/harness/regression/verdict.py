"""Whether a run is worse than its baseline: scenario by scenario, beyond what chance explains and beyond a limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from learned_sim_env.harness.regression.metrics import METRICS
from learned_sim_env.harness.regression.run import REPLICATES, Run, means
from learned_sim_env.measures.bootstrap import Estimate, ratio, resample
from learned_sim_env.reporting.display import plain
from learned_sim_env.spec import unknown


@dataclass(frozen=True, eq=False)
class Change:
    """How a metric of a world differs from the baseline's. worse: by how much, positive is worse; limit: what is still
    no regression. scenarios: names of those that got worse, worst first. Where no scenario is known of both, `now` and
    `worse` are NaN.
    """

    world: str
    metric: str
    baseline: float
    now: float
    worse: Estimate
    limit: float
    scenarios: tuple[str, ...]

    @property
    def regressed(self) -> bool:
        """Whether it is worse by more than the limit, and by more than other drawings of scenarios explain."""
        return bool(self.worse.value > self.limit and self.worse.low > 0)

    @property
    def lost(self) -> bool:
        """Whether the baseline knew it, and now it cannot be told."""
        return bool(np.isfinite(self.baseline) and np.isnan(self.worse.value))

    def sentence(self) -> str:
        """What a person would say."""
        m = METRICS[self.metric]
        numbers = f"{self.baseline:.{m.digits}f} -> {self.now:.{m.digits}f}"
        worst = f"; worst in {', '.join(self.scenarios[:3])}" if self.scenarios and self.regressed else ""
        return f"{self.world}: {m.title} {numbers}{worst}"


@dataclass(frozen=True, eq=False)
class Verdict:
    """All changes of a run from its baseline, and the bounds that a run has to keep by itself."""

    changes: tuple[Change, ...]
    broken: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing regressed, no bound is broken, and no drive failed for another reason than the driver."""
        return not self.broken and not any(change.regressed for change in self.changes)

    @property
    def reasons(self) -> list[str]:
        """Why it did not pass."""
        return [*self.broken, *(change.sentence() for change in self.changes if change.regressed)]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "passed": self.passed,
            "reasons": self.reasons,
            "changes": [plain({**vars(c), "scenarios": c.scenarios, "regressed": c.regressed}) for c in self.changes],
        }


def compare(run: Run, baseline: Run, limits: dict[str, float]) -> tuple[Change, ...]:
    """The changes of the limited metrics, over the scenarios and worlds that both runs have.

    Raises:
        ValueError: for a limit of an unknown metric or that is no number, runs in other dreams, or without a scenario
            in common.
    """
    _check("limit", limits)
    names = [s.name for s in baseline.scenarios]
    shared = [(i, names.index(s.name)) for i, s in enumerate(run.scenarios) if s.name in names]
    if not shared:
        raise ValueError("the run and its baseline have no scenario in common")
    if "dream" in run.worlds and "dream" in baseline.worlds and run.about["model"] != baseline.about["model"]:
        raise ValueError(
            f"the baseline dreamt with model {baseline.about['model'][:12]}, the run with {run.about['model'][:12]}: "
            "what differs may be the dream; run the baseline again, or compare with --worlds twin"
        )
    mine, its = (np.array(rows) for rows in zip(*shared))
    changes = []
    for world in run.worlds:
        if world not in baseline.worlds:
            continue
        for metric, limit in limits.items():
            now, before = run.worlds[world].values[metric][mine], baseline.worlds[world].values[metric][its]
            sign = METRICS[metric].worse
            pair = [means(values) for values in (now, before)]
            worse = sign * (pair[0] - pair[1])
            known = np.isfinite(worse)
            replicates = np.full(2, np.nan)
            if known.any():
                weights = resample(np.arange(known.sum()), int(known.sum()), REPLICATES, seed=0)
                replicates = ratio(weights @ worse[known], weights.sum(-1))
            # Of the baseline where it is compared; where nothing is, of all that it knew.
            before_known = pair[1][known] if known.any() else pair[1][np.isfinite(pair[1])]
            order = [
                int(i) for i in np.argsort(-np.where(known, worse, -np.inf), kind="stable") if known[i] and worse[i] > 0
            ]
            changes.append(
                Change(
                    world,
                    metric,
                    _mean(before_known),
                    _mean(pair[0][known]),
                    Estimate.of(replicates),
                    limit,
                    tuple(run.scenarios[mine[i]].name for i in order),
                )
            )
    return tuple(changes)


def judge(run: Run, baseline: Run | None, limits: dict[str, float], bounds: dict[str, float]) -> Verdict:
    """The verdict on a run.

    Args:
        run: to be judged.
        baseline: what it must not be worse than, or None.
        limits: by metric, by how much worse is still well.
        bounds: by metric, what the mean has to keep in every world: at most where more is worse, at least where less
        is.

    Raises:
        ValueError: for unknown metrics, or runs that do not compare.
    """
    broken = []
    _check("bound", bounds)
    for name, bound in bounds.items():
        for world in run.worlds:
            value = float(run.summary(world)[name].value)
            if not METRICS[name].worse * value <= METRICS[name].worse * bound:
                word = "more" if METRICS[name].worse > 0 else "less"
                broken.append(f"{world}: {METRICS[name].title} is {value:.3f}, {word} than {bound:g}")
    for drives in run.worlds.values():
        failed = np.argwhere(drives.errors != "")
        if len(failed):
            first = run.scenarios[failed[0, 0]].name, drives.errors[tuple(failed[0])]
            such = f"such as {first[0]}: {first[1]}"
            broken.append(f"{drives.name}: {len(failed)} of {drives.errors.size} drives failed to run, {such}")
    changes = compare(run, baseline, limits) if baseline is not None else ()
    broken += [
        f"{c.world}: {METRICS[c.metric].title} is known of no scenario any more, so that nothing can be compared"
        for c in changes
        if c.lost
    ]
    return Verdict(changes, tuple(broken))


def _check(what: str, numbers: dict[str, float]) -> None:
    for name, number in numbers.items():
        if name not in METRICS:
            raise unknown(f"metric with a {what}:", name, METRICS)
        if np.isnan(number):
            raise ValueError(f"the {what} of {name} is {number}: nothing would ever be worse")


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")
