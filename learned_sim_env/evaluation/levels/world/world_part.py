"""What is told of whole episodes in the dream and in its twin, as a part of the report."""

from __future__ import annotations

import numpy as np

from learned_sim_env.evaluation.drives.drives import Drives, DrivesConfig
from learned_sim_env.evaluation.levels.world.compared import DREAM, FRECHET, TWIN, Compared, views
from learned_sim_env.evaluation.levels.world.contents import BEND, JUNCTION, MEASURES
from learned_sim_env.evaluation.levels.world.ends import DOUBT
from learned_sim_env.evaluation.levels.world.likeness import HALVINGS, RARE
from learned_sim_env.measures.bootstrap import Estimate
from learned_sim_env.rendering.palette import colourise
from learned_sim_env.reporting.display import at, plain, text
from learned_sim_env.reporting.parts import Part, Table, Target

# Steps between the views of a drive that are shown.
SHEET_EVERY = 100
# What is asked: dreams cut off by doubt, at most; by how much ends by reason may differ from the simulator's, of those
# that are at least so frequent there; Frechet distance over that of the simulator's own halves; AUROC of doubt.
MOST_CUT, ENDS_ALIKE, FREQUENT, MOST_APART, LEAST_TOLD = 0.1, 0.3, 0.1, 1.5, 0.85


def world_part(driver: str, found: Compared, dream: Drives, twin: Drives, config: DrivesConfig, dt: float) -> Part:
    """config: of the drives. dt: [s] of a step."""
    n, steps = len(dream.running), config.steps
    return Part(
        name=f"world_{driver}",
        title=f"L1: a world for {steps * dt:.0f} s, driven by {driver}",
        method=(
            f"From {n} moments the driver {driver} drives on for {steps} steps, or until the episode ends, in "
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
        tables=(_ends_table(found.ends), _contents_table(found), _ages_table(found)),
        values=plain(
            {
                "driver": driver,
                "drives": n,
                "ages": found.ages,
                "ends": found.ends,
                "under_way": found.under_way,
                "contents": {
                    m.name: {side: [at(e, k) for e in spans] for side, spans in found.contents.items()}
                    for k, m in enumerate(MEASURES)
                },
                "frechet": {name: [at(e, k) for e in found.frechet] for k, name in enumerate(FRECHET)},
                "doubt_auroc": found.auroc,
            }
        ),
        pictures={
            f"The first drives every {SHEET_EVERY} steps: the simulator above, the dream below; dark past the end": (
                sheet(dream, twin, config.drawn)
            )
        },
        targets=(*_end_targets(found.ends), *_targets(found)),
    )


def sheet(dream: Drives, twin: Drives, drawn: list[int], most: int = 8) -> np.ndarray:
    """(H, W, 3) uint8: the first drives of both sides, every `SHEET_EVERY` steps, dark where one is over.

    drawn: the steps (A,) at which drives have views.
    """
    at_steps = np.searchsorted(drawn, [step for step in drawn if step % SHEET_EVERY == 0])
    rows = []
    for i in range(min(len(dream.running), most)):
        for side in (twin, dream):
            pictures = colourise(views(side)[i, at_steps])
            pictures[~side.running[i, at_steps]] //= 4
            rows.append(np.concatenate(list(np.pad(pictures, ((0, 0), (0, 2), (0, 2), (0, 0)))), 1))
    return np.concatenate(rows)


def _ends_table(ends: dict[str, dict[str, Estimate]]) -> Table:
    every = list(dict.fromkeys([*ends[TWIN], *ends[DREAM]]))
    none = Estimate(*(np.zeros(()) for _ in range(3)))
    rows = tuple((end, *(text(ends[side].get(end, none), 1, 100) for side in (DREAM, TWIN))) for end in every)
    return Table("How episodes end [%]", ("reason", DREAM, TWIN), rows)


def _contents_table(found: Compared) -> Table:
    rows = (
        (m.name, side, *(text(at(e, k), m.digits) for e in spans))
        for k, m in enumerate(MEASURES)
        for side, spans in found.contents.items()
    )
    spans = (f"steps {since + 1} to {age}" for since, age in found.spans)
    return Table("Met on the way", ("measure", "side", *spans), tuple(rows))


def _ages_table(found: Compared) -> Table:
    distances = ("Frechet distance, dream", "Frechet distance, simulator's halves", "dream / simulator")
    rows = (
        *((f"drives under way, {name}", *map(str, there)) for name, there in found.under_way.items()),
        *((name, *(text(at(e, k), 2) for e in found.frechet)) for k, name in enumerate(distances)),
        ("AUROC of doubt until then", *(text(e, 2) for e in found.auroc)),
    )
    return Table("Views of an age, all together", ("figure", *(f"{age} steps" for age in found.ages)), rows)


def _end_targets(ends: dict[str, dict[str, Estimate]]) -> list[Target]:
    cut = float(ends[DREAM][DOUBT].value) if DOUBT in ends[DREAM] else 0.0
    targets = [Target.most("share of dreams cut off by doubt", MOST_CUT, cut)]
    for end, estimate in ends[TWIN].items():
        if (share := float(estimate.value)) >= FREQUENT:
            there = float(ends[DREAM][end].value) if end in ends[DREAM] else 0.0
            name = f"ends by {end}: off the simulator's share by"
            targets.append(Target.most(name, ENDS_ALIKE, abs(there / share - 1)))
    return targets


def _targets(found: Compared) -> list[Target]:
    targets = []
    for i, age in enumerate(found.ages):
        name = f"Frechet distance after {age} steps over that of the simulator's halves"
        targets.append(Target.most(name, MOST_APART, float(found.frechet[i].value[2])))
        targets.append(Target.least(f"AUROC of doubt up to {age} steps", LEAST_TOLD, float(found.auroc[i].value)))
        for k, measure in enumerate(MEASURES):
            if measure.most is not None:
                real, there = (float(found.contents[side][i].value[k]) for side in (TWIN, DREAM))
                off = abs(there / real - 1) if real else np.nan
                targets.append(Target.most(f"{measure.name}, up to {age} steps: off by", measure.most, off))
    return targets
