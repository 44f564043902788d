"""Whole episodes in the dream and in its twin, as parts of the report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.evaluation.drives.dream_drives import drive_dream
from learned_sim_env.evaluation.drives.drives import Drives, DrivesConfig
from learned_sim_env.evaluation.drives.twin_drives import SIMULATOR, TwinDrives, drive_twin, twin_side
from learned_sim_env.evaluation.levels.world.contents import BEND, JUNCTION, MEASURES, Counts, count
from learned_sim_env.evaluation.levels.world.ends import DOUBT, shares, within_doubt
from learned_sim_env.evaluation.levels.world.likeness import HALVINGS, RARE, distances, spread, told
from learned_sim_env.measures.bootstrap import Estimate, resample
from learned_sim_env.rendering.palette import colourise
from learned_sim_env.reporting.display import at, plain, text
from learned_sim_env.reporting.parts import Part, Table, Target, not_applicable
from learned_sim_env.settings import check_at_least
from learned_sim_env.spec import Contract
from learned_sim_env.world_model.checkpoint import Checkpoint

DREAM, TWIN = "dream", "simulator"
# Steps since the last real moment up to which contents are counted, each from the one before on, and at which views are
# compared.
AGES = (100, 300, 500)
# Steps between the views of a drive that are shown.
SHEET_EVERY = 100
# What is asked: dreams cut off by doubt, at most; by how much ends by reason may differ from the simulator's, of those
# that are at least so frequent there; Frechet distance over that of the simulator's own halves; AUROC of doubt.
MOST_CUT, ENDS_ALIKE, FREQUENT, MOST_APART, LEAST_TOLD = 0.1, 0.3, 0.1, 1.5, 0.85


@dataclass(frozen=True)
class WorldConfig:
    """drives: scenarios. drivers: each drives all of them. before: steps driven before the context. steps: after it.
    every: steps between the moments that are looked at. replicates: of drives. seed: of all chance.
    """

    drives: int = 64
    drivers: tuple[str, ...] = ("careful", "dream")
    before: int = 20
    steps: int = 500
    every: int = 5
    replicates: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least(self, drives=1, before=0, steps=1, every=1, replicates=1)
        if not self.drivers:
            raise ValueError("there are no drivers: name at least one, as in careful")

    @property
    def ages(self) -> list[int]:
        """Those of `AGES` that are reached, or else the last step."""
        return [age for age in AGES if age <= self.steps] or [self.steps]


def measure_world(
    checkpoint: Checkpoint, data: PackedData, folder: Path, workers: int, config: WorldConfig | None = None
) -> tuple[Part, ...]:
    """A part for each driver, "world_<driver>", or one that says why there is none. The scenarios are the first of
    those in `data` that the twin can drive.

    Raises:
        ImportError: if the twin's simulator is needed and not installed.
        ValueError: if no drive in the simulator lasts until a context is over.
    """
    config = config or WorldConfig()
    seeds = np.unique(data.seeds[data.simulators == SIMULATOR])[: config.drives]
    if not len(seeds):
        reason = f"no episode was recorded in {SIMULATOR}, whose scenarios are driven"
        return (not_applicable("world", "L1: a world for as long as an episode", reason),)
    model, contract = checkpoint.model, checkpoint.contract
    drives = DrivesConfig(len(seeds), config.before, config.steps, config.every, seed=config.seed)
    parts = []
    for driver in config.drivers:
        source = TwinDrives(contract.name, model.observes, (), model.context_steps, driver, drives, folder)
        found = drive_twin(source, seeds, workers)
        dream, twin = drive_dream(checkpoint, found, (), driver, drives), twin_side(found, (), True)
        parts.append(world_part(driver, dream, twin, drives.drawn, contract, config))
    return tuple(parts)


def world_part(
    driver: str, dream: Drives, twin: Drives, drawn: list[int], contract: Contract, config: WorldConfig
) -> Part:
    """drawn: the steps (A,) at which drives have views."""
    steps, n = np.array(drawn), len(dream.running)
    weights = resample(np.arange(n), n, config.replicates, config.seed)
    sides, ends = {DREAM: dream, TWIN: twin}, {}
    seen = {name: _views(side) for name, side in sides.items()}
    shown = {name: within_doubt(side, steps) for name, side in sides.items()}
    seconds = np.diff(steps, prepend=0) * contract.dt
    counts = {name: count(side, shown[name], seconds, contract.bev) for name, side in sides.items()}
    for name, side in sides.items():
        ends[name] = shares(side, weights)
    spans = list(zip([0, *config.ages], config.ages))
    contents = {name: [_over(counts[name], weights, steps, span) for span in spans] for name in sides}
    apart, tells = [], []
    for since, age in spans:
        i = int(np.searchsorted(steps, age))
        lasting = shown[DREAM][:, i], shown[TWIN][:, i]
        halves = distances(seen[DREAM][:, i], seen[TWIN][:, i], lasting, config.seed)
        apart.append(spread(np.concatenate([halves, halves[:, :1] / halves[:, 1:]], 1)))
        moments = dream.running & (steps > since) & (steps <= age)
        real = seen[TWIN][twin.running & (steps > since) & (steps <= age)]
        tells.append(told(weights, seen[DREAM], dream.doubt, moments, real))
    columns = np.searchsorted(steps, config.ages)
    under_way = {name: there[:, columns].sum(0).tolist() for name, there in shown.items()}
    values: dict[str, Any] = {
        "driver": driver,
        "drives": n,
        "ages": config.ages,
        "ends": ends,
        "under_way": under_way,
        "contents": {m.name: {s: [at(e, k) for e in contents[s]] for s in sides} for k, m in enumerate(MEASURES)},
        "frechet": {name: [at(e, k) for e in apart] for k, name in enumerate((DREAM, TWIN, "ratio"))},
        "doubt_auroc": tells,
    }
    spans_text = [f"steps {since + 1} to {age}" for since, age in spans]
    return Part(
        name=f"world_{driver}",
        title=f"L1: a world for {config.steps * contract.dt:.0f} s, driven by {driver}",
        method=(
            f"From {n} moments the driver {driver} drives on for {config.steps} steps, or until the episode ends, in "
            "the dream (sampled at temperature 1) and in the simulator. Contents are counted in the views from above "
            f"of both, every {config.every} steps, by the same rules: junctions and ramps where road leaves the view "
            f"in {JUNCTION} places or more, bends where the ego turns on a radius below {BEND:.0f} m, vehicles and "
            "objects as connected patches over the length of a view, the roadway's width as far as the route is wide "
            "ahead of the ego. Implausible are pixels at frayed rims, in holes and loose patches, and lone markings. "
            "Frechet distances are of the views' classes in 4 by 4 cells, between halves of the scenarios chosen at "
            f"random ({HALVINGS} times; median and 95% of them), beside the simulator's own halves. AUROC is the "
            "chance that of two imagined moments the one with more implausible pixels than "
            f"{1 - RARE:.0%} of the simulator's views have is the more uncertain one; moments after doubt would have "
            "ended the episode count here. In brackets 95% intervals over drives."
        ),
        limits=(
            "What is counted in views is not what a map has: a ramp beside the road, or a view's corner, makes a "
            "junction; vehicles that touch are one. Contents can be as frequent and in the wrong places. Traffic "
            "lights, right of way and who follows whom are not looked at. Drives that last are the calmer ones, on "
            "both sides, and few views are far apart by chance, which the simulator's own halves tell."
        ),
        tables=(
            _ends_table(ends),
            Table(
                "Met on the way",
                ("measure", "side", *spans_text),
                tuple(
                    (m.name, side, *(text(at(e, k), m.digits) for e in contents[side]))
                    for k, m in enumerate(MEASURES)
                    for side in sides
                ),
            ),
            Table(
                "Views of an age, all together",
                ("figure", *(f"{age} steps" for age in config.ages)),
                (
                    *((f"drives under way, {name}", *map(str, found)) for name, found in under_way.items()),
                    *(
                        (name, *(text(at(e, k), 2) for e in apart))
                        for k, name in enumerate(
                            ("Frechet distance, dream", "Frechet distance, simulator's halves", "dream / simulator")
                        )
                    ),
                    ("AUROC of doubt until then", *(text(e, 2) for e in tells)),
                ),
            ),
        ),
        values=plain(values),
        pictures={
            f"The first drives every {SHEET_EVERY} steps: the simulator above, the dream below; dark past the end": (
                sheet(dream, twin, drawn)
            )
        },
        targets=(*_end_targets(ends), *_targets(contents, apart, tells, config.ages)),
    )


def sheet(dream: Drives, twin: Drives, drawn: list[int], most: int = 8) -> np.ndarray:
    """(H, W, 3) uint8: the first drives of both sides, every `SHEET_EVERY` steps, dark where one is over."""
    at_steps = np.searchsorted(drawn, [step for step in drawn if step % SHEET_EVERY == 0])
    rows = []
    for i in range(min(len(dream.running), most)):
        for side in (twin, dream):
            pictures = colourise(_views(side)[i, at_steps])
            pictures[~side.running[i, at_steps]] //= 4
            rows.append(np.concatenate(list(np.pad(pictures, ((0, 0), (0, 2), (0, 2), (0, 0)))), 1))
    return np.concatenate(rows)


def _views(side: Drives) -> np.ndarray:
    assert side.views is not None, "the level needs a model that draws them"
    return side.views


def _over(counts: Counts, weights: np.ndarray, steps: np.ndarray, span: tuple[int, int]) -> Estimate:
    return counts.over(weights, (steps > span[0]) & (steps <= span[1]))


def _ends_table(ends: dict[str, dict[str, Estimate]]) -> Table:
    every = list(dict.fromkeys([*ends[TWIN], *ends[DREAM]]))
    none = Estimate(*(np.zeros(()) for _ in range(3)))
    rows = tuple((end, *(text(ends[side].get(end, none), 1, 100) for side in (DREAM, TWIN))) for end in every)
    return Table("How episodes end [%]", ("reason", DREAM, TWIN), rows)


def _end_targets(ends: dict[str, dict[str, Estimate]]) -> list[Target]:
    cut = float(ends[DREAM][DOUBT].value) if DOUBT in ends[DREAM] else 0.0
    targets = [Target.most("share of dreams cut off by doubt", MOST_CUT, cut)]
    for end, estimate in ends[TWIN].items():
        if (share := float(estimate.value)) >= FREQUENT:
            there = float(ends[DREAM][end].value) if end in ends[DREAM] else 0.0
            name = f"ends by {end}: off the simulator's share by"
            targets.append(Target.most(name, ENDS_ALIKE, abs(there / share - 1)))
    return targets


def _targets(
    contents: dict[str, list[Estimate]], apart: list[Estimate], tells: list[Estimate], ages: list[int]
) -> list[Target]:
    targets = []
    for i, age in enumerate(ages):
        name = f"Frechet distance after {age} steps over that of the simulator's halves"
        targets.append(Target.most(name, MOST_APART, float(apart[i].value[2])))
        targets.append(Target.least(f"AUROC of doubt up to {age} steps", LEAST_TOLD, float(tells[i].value)))
        for k, measure in enumerate(MEASURES):
            if measure.most is not None:
                real, there = (float(contents[side][i].value[k]) for side in (TWIN, DREAM))
                off = abs(there / real - 1) if real else np.nan
                targets.append(Target.most(f"{measure.name}, up to {age} steps: off by", measure.most, off))
    return targets
