"""The smallest perturbation that makes a policy crash: by the cross-entropy method, and at random to compare with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from learned_sim_env.harness.engine.dream import DreamRunner
from learned_sim_env.harness.engine.job import DriveResult, Job
from learned_sim_env.harness.engine.perturbation import Perturbation
from learned_sim_env.harness.stress.strategies.disturbed_actions import ActionPulse
from learned_sim_env.harness.stress.strategies.disturbed_starts import Injection

METHODS = ("adaptive", "random")
# So many perturbations are thought of for each that an adaptive search drives; share that ignores what was found.
DRAWN, ANYWHERE = 20, 0.25


@dataclass(frozen=True)
class Space:
    """Perturbations of one strategy with D parameters, each between its low and its high."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    make: Callable[[np.ndarray], Perturbation]


def _pulse(x: np.ndarray) -> Perturbation:
    steer, throttle_brake, begin, length = (float(v) for v in x)
    return ActionPulse(1.0, 0, steer, throttle_brake, begin, length)


def _injection(x: np.ndarray) -> Perturbation:
    ahead, across, heading, speed = (float(v) for v in x)
    return Injection(1.0, 0, "vehicle", ahead, across, heading, speed)


# By the name of the strategy:
# steer, throttle or brake, begin and length [s]; metres ahead and to the left, heading [rad], speed [m/s].
SPACES = {
    "action_pulse": Space((-1.0, -1.0, 0.0, 0.2), (1.0, 1.0, 3.0, 3.0), _pulse),
    "injection": Space((5.0, -3.5, -float(np.pi), 0.0), (34.0, 3.5, float(np.pi), 8.0), _injection),
}


@dataclass(frozen=True)
class SearchConfig:
    """starts: rows of the bank. seeds: searches from each. population: of a round; rounds of it are the budget of
    either method. elite: share of a round that the next one is drawn like. horizon: steps.
    """

    starts: tuple[int, ...]
    seeds: int = 5
    population: int = 16
    rounds: int = 6
    elite: float = 0.25
    horizon: int = 60

    @property
    def budget(self) -> int:
        """Drives of one search."""
        return self.population * self.rounds


@dataclass(frozen=True)
class Found:
    """The smallest crash of one search, or None; the sizes after every round, infinite until something crashes."""

    start: int
    seed: int
    job: Job | None
    drive: DriveResult | None
    sizes: tuple[float, ...]


def search(
    runner: DreamRunner,
    space: str,
    method: Literal["adaptive", "random"],
    config: SearchConfig,
    done: Callable[[int], object] | None = None,
) -> list[Found]:
    """All searches of one method, `config.seeds` from every start, side by side in the same batches.

    Each minimises the perturbation's size among those that crash; as long as none does, what comes nearest to a crash,
    by the model's own risk, is best. The adaptive one draws each round like the best of all before, the elite, as the
    cross-entropy method does, but around each of them: what crashes by chance lies in many places. The dream's chance
    is that of the start, the same in all drives and for both methods.
    """
    s, rng = SPACES[space], [np.random.default_rng([k, i]) for i in config.starts for k in range(config.seeds)]
    places = [(start, k) for start in config.starts for k in range(config.seeds)]
    tried: list[list[np.ndarray]] = [[] for _ in places]
    scores: list[list[float]] = [[] for _ in places]
    best: list[tuple[float, Job | None, DriveResult | None]] = [(np.inf, None, None)] * len(places)
    sizes: list[list[float]] = [[] for _ in places]
    for number in range(config.rounds):
        for i, chance in enumerate(rng):
            if method == "adaptive" and number:
                tried[i] += _proposed(chance, s, tried[i], scores[i], best[i][0], config, number)
            else:
                tried[i] += list(chance.uniform(s.low, s.high, (config.population, len(s.low))))
        jobs = [
            Job(f"{space}, start {start}", start, 9_000 + start, config.horizon, (s.make(x),))
            for (start, _), all_tried in zip(places, tried)
            for x in all_tried[-config.population :]
        ]
        drives = runner.run(jobs, done)
        for i in range(len(places)):
            some = slice(i * config.population, (i + 1) * config.population)
            new = [score(j, d) for j, d in zip(jobs[some], drives[some])]
            first = int(np.argmin(new))
            if drives[some][first].crashed and new[first] < best[i][0]:
                best[i] = (new[first], jobs[some][first], drives[some][first])
            sizes[i].append(best[i][0])
            scores[i] += new
    return [Found(start, k, best[i][1], best[i][2], tuple(sizes[i])) for i, (start, k) in enumerate(places)]


def score(job: Job, drive: DriveResult) -> float:
    """To be minimised: the size of a perturbation that makes a crash; else 1 to 2, the less the nearer to one."""
    if drive.crashed:
        return job.size
    return 2.0 - (float(drive.risk.max()) if len(drive) else 0.0)


def safe_starts(drives: Sequence[DriveResult], jobs: Sequence[Job]) -> list[int]:
    """Starts of which no undisturbed drive crashed or came to its end early: where a crash is the perturbation's."""
    bad = {job.start for job, drive in zip(jobs, drives) if drive.end or drive.error}
    return [start for start in dict.fromkeys(job.start for job in jobs) if start not in bad]


def _proposed(
    rng: np.random.Generator,
    space: Space,
    tried: Sequence[np.ndarray],
    scores: Sequence[float],
    smallest: float,
    config: SearchConfig,
    number: int,
) -> list[np.ndarray]:
    """What round `number` tries, `config.population` times (D,): near the best so far, some of it anywhere.

    A size is known before anything is driven: what is no smaller than the `smallest` crash so far is not worth a drive.
    """
    low, high = np.array(space.low), np.array(space.high)
    first = np.argsort(scores, kind="stable")[: max(2, round(config.elite * config.population))]
    elite = np.array([tried[i] for i in first])
    # Never so sure that nothing new is tried any more.
    width = np.maximum(elite.std(0), 0.05 * (high - low) * 0.7**number)
    count = config.population * DRAWN
    near = rng.normal(elite[rng.integers(len(elite), size=count)], width)
    drawn = np.where(rng.random((count, 1)) < ANYWHERE, rng.uniform(low, high, near.shape), np.clip(near, low, high))
    size = np.array([space.make(x).size for x in drawn])
    # Smaller ones first, as they were drawn; then, if they are too few, the least that remains.
    wanted = np.argsort(np.where(size < smallest, 0.0, size), kind="stable")[: config.population]
    return list(drawn[wanted])
