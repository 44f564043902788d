"""Whether the frames of dreams are such as the simulator's, at every age: Frechet distances of their features."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from learned_sim_env.evaluation.drives.drives import Drives
from learned_sim_env.measures.bootstrap import INTERVAL, Estimate
from learned_sim_env.measures.frame_features import FEATURES, frame_features
from learned_sim_env.measures.frechet import COMPONENTS, Whitening, frechet_distance
from learned_sim_env.reporting.display import STYLES, at, curve, plain, steps_text, text
from learned_sim_env.reporting.parts import Part, Table, Target

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Random halvings of the drives.
HALVINGS = 40
# What is asked: the distance at the later of two ages, at most so many times that at the earlier.
EARLY, LATE, MOST = 15, 300, 1.5
DREAM, TWIN = "dream", "simulator"
# Frames needed for each principal component that is kept.
_FRAMES_PER_COMPONENT = 4


def features_of(drives: Drives, rows: np.ndarray, at_ages: np.ndarray) -> np.ndarray:
    """(A, n, C, FEATURES) float32 of the frames of C cameras in n drives, at A of the moments drawn, all by index."""
    frames = np.stack([frames[np.ix_(rows, at_ages)] for frames in drives.frames.values()], 2).swapaxes(0, 1)
    return frame_features(frames.reshape(-1, *frames.shape[3:])).reshape(*frames.shape[:3], FEATURES)


def distances(dreams: Mapping[str, np.ndarray], twin: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """(HALVINGS, A) float64 by name of a dream and `TWIN`: Frechet distance of each side's frames of one half of the
    drives from the simulator's frames of the same age in the other half.

    Drives of the same scenario are never compared, or dreams would be nearer than real drives can be while they are
    still the same moments. NaN if there are too few drives.

    dreams by name, twin: (A, n, C, F) features, see `features_of`.
    """
    n, cameras = twin.shape[1:3]
    sides = {**dreams, TWIN: twin}
    found = {name: np.full((HALVINGS, len(twin)), np.nan) for name in sides}
    components = min(n // 2 * cameras // _FRAMES_PER_COMPONENT, COMPONENTS)
    if n < 4 or components < 1:
        return found
    whiten = Whitening.of(twin.reshape(-1, twin.shape[-1]).astype(np.float64), components)
    white = {name: whiten(values.astype(np.float64)) for name, values in sides.items()}
    rng = np.random.default_rng(seed)
    for i in range(HALVINGS):
        one, other = np.array_split(rng.permutation(n), 2)
        for age in range(len(twin)):
            real = white[TWIN][age, other].reshape(-1, whiten.components.shape[1])
            for name, values in white.items():
                found[name][i, age] = frechet_distance(values[age, one].reshape(len(one) * cameras, -1), real)
    return found


_LIMITS = (
    "It compares sets of frames: a frame of the wrong scene is as good as one of the right scene. The features "
    "see colours and detail, not shapes: a car that has come apart is hardly noticed. Small sets are far "
    "apart by chance, which the floor tells and which makes ratios smaller than they would be. Dream and "
    "simulator drift apart in traffic and speed, and so in what they look at. Drives that last are the calmer "
    "ones."
)


def frames_over_time(dreams: Mapping[str, Drives], twin: Drives, drawn: list[int], ages: list[int], seed: int) -> Part:
    """dreams: by name, that of the model that is measured, `DREAM`, the first. drawn: steps at which frames are; ages:
    those of them at which they are compared.
    """
    at_ages, sides = np.searchsorted(drawn, ages), {**dreams, TWIN: twin}
    # The same drives at every age: fewer of them would be farther apart by chance.
    rows = np.flatnonzero(np.all([side.running[:, at_ages[-1]] for side in sides.values()], 0))
    shown = {name: features_of(side, rows, at_ages) for name, side in dreams.items()}
    halves = distances(shown, features_of(twin, rows, at_ages), seed)
    found = {name: _spread(values) for name, values in halves.items()}
    times = {}
    if EARLY in ages and LATE in ages:
        early, late = ages.index(EARLY), ages.index(LATE)
        times = {name: _spread(values[:, late] / values[:, early]) for name, values in halves.items()}
    running = {name: side.running[:, at_ages].sum(0) for name, side in sides.items()}

    head = ("frames", *(steps_text(age) for age in ages))
    ratios = (f"{steps_text(LATE)} / {steps_text(EARLY)}",) if times else ()
    return Part(
        name="camera_frames_over_time",
        title="L1: are imagined frames such as the simulator's, also later?",
        method=(
            "Frechet distance between the frames of dreams and those of the simulator as long after the same start, "
            "all cameras together. Features of a frame are the mean colours of 4 by 3 cells and, as logarithms, the "
            "energy of gradients in them and in their directions, at three scales; they are whitened on the "
            f"simulator's frames of all ages (at most {COMPONENTS} principal components). The drives are halved at "
            "random; the dreams of one half are compared with the simulator's drives of the other half, beside the "
            f"simulator's own drives of the first half, which are the floor. {HALVINGS} halvings; median and range of "
            f"95% of them. Only the {len(rows)} drives that last on all sides are taken, so that there are as many "
            "at every age."
        ),
        limits=_LIMITS,
        tables=(
            Table(
                "Frechet distance from the simulator's frames of other drives",
                (*head, *ratios),
                tuple(
                    (name, *(text(at(e, i), 2) for i in range(len(ages))), *((text(times[name], 2),) if times else ()))
                    for name, e in found.items()
                ),
            ),
            Table("Drives that last", head, tuple((name, *map(str, n)) for name, n in running.items())),
        ),
        values={
            "ages": ages,
            "distance": plain(found),
            "late_over_early": plain(times),
            "running": plain(running),
        },
        figures={"Frechet distance over time": partial(_draw, found, ages)},
        targets=(
            Target.most(f"Frechet distance after {LATE} steps", MOST, float(times[DREAM].value), unit=f"times {EARLY}"),
        )
        if times
        else (),
    )


def _draw(found: dict[str, Estimate], ages: list[int], figure: Figure) -> None:
    axis = figure.subplots()
    for (name, estimate), style in zip(found.items(), STYLES):
        curve(axis, np.arange(len(ages)), estimate, f"{name} from simulator", style)
    axis.set_xticks(np.arange(len(ages)), [str(age) for age in ages])
    axis.set(xlabel="steps since the last real moment", ylabel="Frechet distance", ylim=(0, None))
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)


def _spread(values: np.ndarray) -> Estimate:
    """Median and interval of (HALVINGS, ...)."""
    if not np.isfinite(values).any():
        return Estimate(*(np.full(values.shape[1:], np.nan) for _ in range(3)))
    return Estimate(*np.nanpercentile(values, (50, *INTERVAL), axis=0))
