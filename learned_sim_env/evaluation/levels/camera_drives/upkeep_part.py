"""Whether pictures of a dream fade: colours, contrast and detail at every age, beside the simulator's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from learned_sim_env.evaluation.drives.drives import Drives
from learned_sim_env.evaluation.levels.camera_drives.frames_over_time import DREAM, TWIN
from learned_sim_env.measures.bootstrap import Estimate, mean_of_known, ratio, resample
from learned_sim_env.measures.upkeep import REGIONS, contrast, detail, region_colours, regions
from learned_sim_env.reporting.display import STYLES, at, curve, plain, steps_text, text
from learned_sim_env.reporting.parts import Part, Table, Target
from learned_sim_env.spec import Contract

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STRENGTHS = {"contrast": contrast, "detail": detail}
# What is asked: shares of contrast and detail kept until `LATE`; and how much farther than the simulator's the mean
# colour of a region may be from that at the first step [levels of 255].
LATE, LEAST_KEPT, MOST_DRIFT = 300, 0.9, 10.0
REPLICATES = 1000


@dataclass(frozen=True, eq=False)
class Upkeep:
    """What N drives of one side show at A ages, averaged over cameras.

    strengths: (N, A) [levels] by name of `STRENGTHS`. drift: (N, A, R) [levels], how far the mean colour of each of the
    R `REGIONS` is from that at the first age; None without views from above. NaN where the episode had ended.
    """

    strengths: dict[str, np.ndarray]
    drift: np.ndarray | None


def upkeep(drives: Drives, at_ages: np.ndarray, contract: Contract) -> Upkeep:
    """At the moments drawn with indices `at_ages` (A,)."""
    running = drives.running[:, at_ages]
    n, ages = running.shape

    def each(frames: np.ndarray) -> np.ndarray:
        return frames[:, at_ages].reshape(n * ages, *frames.shape[2:])

    strengths = {}
    for name, measured in STRENGTHS.items():
        values = np.mean([measured(each(frames)) for frames in drives.frames.values()], 0).reshape(n, ages)
        strengths[name] = np.where(running, values, np.nan)
    if drives.views is None:
        return Upkeep(strengths, None)
    drifts = []
    for name, frames in drives.frames.items():
        camera = contract.modality(name).camera
        assert camera is not None
        where = regions(each(drives.views), contract.bev, camera)
        colours = region_colours(each(frames), where).reshape(n, ages, len(REGIONS), 3)
        drifts.append(np.abs(colours - colours[:, :1]).mean(-1))
    drift = np.where(running[..., None], mean_of_known(np.stack(drifts), 0), np.nan)
    return Upkeep(strengths, drift)


def kept(dream: np.ndarray, twin: np.ndarray, weights: np.ndarray) -> Estimate:
    """(A,) share of a strength that is kept: of the dream's over the simulator's at each age, divided by the same at
    the first, over drives that last on both sides.

    dream, twin: (N, A). weights: (R, N), see `bootstrap.resample`.
    """
    known = np.isfinite(dream) & np.isfinite(twin)
    both = np.log(np.where(known, dream, 1.0)) - np.log(np.where(known, twin, 1.0))
    change, counted = both - both[:, :1], weights @ known.astype(np.float64)
    return Estimate.of(np.exp(ratio(weights @ np.where(known, change, 0.0), counted)))


_METHOD = (
    "Contrast is the standard deviation of brightness in windows of 7 by 7 pixels, detail the difference of "
    "neighbouring pixels, both averaged over frames and cameras. What is kept of them is the dream's over the "
    "simulator's at an age, divided by the same after the first step (geometric mean over drives that last on "
    "both sides): the simulator's own pictures lose contrast where a road leads out of a town. Mean colours "
    "are of what a pixel looks at by its ray and the view from above of its own side: above the horizon, the "
    "road, and the ground beside it; how far they are from those after the first step is given for both "
    "sides, because what stands on the ground changes. Intervals are 95% of replicates that resample drives. "
)
_LIMITS = (
    "Noise or invented patterns keep contrast and detail as well as what is right does; that frames are such "
    "as the simulator's is judged apart. Drives that end are missing at later ages. A region is where the side "
    "believes it to be."
)
# By what is measured, an estimate at all ages for each side.
_Sides = dict[str, dict[str, Estimate]]


def upkeep_part(
    dreams: Mapping[str, Drives], twin: Drives, drawn: list[int], ages: list[int], contract: Contract, seed: int
) -> Part:
    """dreams: by name, that of the model that is measured, `DREAM`, the first. drawn: steps at which frames are; ages:
    those of them at which they are looked at, the first of them first.
    """
    at_ages, dream = np.searchsorted(drawn, ages), dreams[DREAM]
    sides = {name: upkeep(side, at_ages, contract) for name, side in {**dreams, TWIN: twin}.items()}
    weights = resample(np.arange(len(dream.running)), len(dream.running), REPLICATES, seed)
    shares = {
        name: {side: kept(sides[side].strengths[name], sides[TWIN].strengths[name], weights) for side in dreams}
        for name in STRENGTHS
    }
    levels = {
        name: {side: _mean(found.strengths[name], weights) for side, found in sides.items()} for name in STRENGTHS
    }
    drift = {
        region: {side: _mean(found.drift[..., i], weights) for side, found in sides.items() if found.drift is not None}
        for i, region in enumerate(REGIONS)
    }
    drift = {region: both for region, both in drift.items() if both}
    broken = {name: int((~side.finite).sum()) for name, side in dreams.items()}
    drives = f"drives of {len(dream.finite)}"
    finite = Target.most(f"{drives} with a value that is not finite, {drawn[-1]} steps", 0, broken[DREAM], 0)
    return Part(
        name="camera_upkeep",
        title="L1: do imagined pictures fade?",
        method=(
            f"{_METHOD}{drives.capitalize()} in which a value that is not finite was predicted, and which end there: "
            f"{', '.join(f'{name} {count}' for name, count in broken.items())}."
        ),
        limits=_LIMITS,
        tables=(_table(levels, shares, drift, ages),),
        values={
            "ages": ages,
            "not_finite": broken,
            "kept": plain(shares),
            "levels": plain(levels),
            "drift": plain(drift),
        },
        figures={"Contrast and detail over time": partial(_draw, levels, ages)},
        pictures={
            f"The first drive, {name}, at steps {', '.join(map(str, ages))}: the simulator, {', '.join(dreams)}": (
                np.concatenate([_strip(side.frames[name][0, at_ages]) for side in (twin, *dreams.values())])
            )
            for name in dream.frames
        },
        targets=(finite, *(_late_targets(shares, drift, ages.index(LATE)) if LATE in ages else ())),
    )


def _table(levels: _Sides, shares: _Sides, drift: _Sides, ages: list[int]) -> Table:
    """A row for each measure and side, a column for each age."""
    rows = [
        *((f"{name} [levels]", side, e, 2) for name, both in levels.items() for side, e in both.items()),
        *(
            (f"{name}: share kept", f"{side} / simulator", e, 2)
            for name, both in shares.items()
            for side, e in both.items()
        ),
        *(
            (f"colour {region}: from the first [levels]", side, e, 1)
            for region, both in drift.items()
            for side, e in both.items()
        ),
    ]
    entries = range(len(ages))
    return Table(
        "Pictures over time",
        ("measure", "side", *(steps_text(age) for age in ages)),
        tuple((name, side, *(text(at(e, i), digits) for i in entries)) for name, side, e, digits in rows),
    )


def _late_targets(shares: _Sides, drift: _Sides, late: int) -> list[Target]:
    """What is asked at `LATE`, the age with that index."""
    targets = []
    for name, both in shares.items():
        value = float(both[DREAM].value[late])
        targets.append(Target.least(f"share of {name} kept after {LATE} steps", LEAST_KEPT, value))
    for region, both in drift.items():
        if both.keys() >= {DREAM, TWIN}:
            more = float(both[DREAM].value[late] - both[TWIN].value[late])
            name = f"mean colour {region} after {LATE} steps: farther off than the simulator's"
            targets.append(Target.most(name, MOST_DRIFT, more, 1, "levels"))
    return targets


def _draw(levels: _Sides, ages: list[int], figure: Figure) -> None:
    """A curve over time for each strength and side."""
    figure.set_size_inches(10, 3.8)
    for axis, (name, both) in zip(figure.subplots(1, len(levels)), levels.items()):
        for (side, e), style in zip(both.items(), STYLES):
            curve(axis, np.arange(len(ages)), e, side, style)
        axis.set_xticks(np.arange(len(ages)), [str(age) for age in ages])
        axis.set(title=f"{name} [levels of 255]", xlabel="steps since the last real moment", ylim=(0, None))
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)


def _strip(frames: np.ndarray) -> np.ndarray:
    """Frames (A, H, W, 3) side by side."""
    return np.concatenate(list(np.pad(frames, ((0, 0), (0, 2), (0, 2), (0, 0)))), 1)


def _mean(values: np.ndarray, weights: np.ndarray) -> Estimate:
    """(A,) mean over drives (N, A), of those that are known."""
    known = np.isfinite(values)
    return Estimate.of(ratio(weights @ np.where(known, values, 0.0), weights @ known.astype(np.float64)))
