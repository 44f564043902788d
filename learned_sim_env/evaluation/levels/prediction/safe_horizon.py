"""For how many steps a model stays within a stated bound, and whether its errors compound as independent ones would."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from learned_sim_env.evaluation.levels.prediction.accuracy import displacement
from learned_sim_env.evaluation.levels.prediction.futures import PredictedFutures
from learned_sim_env.evaluation.open_loop import MODEL
from learned_sim_env.measures import ego
from learned_sim_env.measures.bootstrap import Estimate
from learned_sim_env.measures.image_error import wrong_share
from learned_sim_env.measures.iou import CLASSES, iou
from learned_sim_env.reporting.display import STYLES, at, curve, number, plain, steps_text, text
from learned_sim_env.reporting.parts import Part, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Bounds: mean displacement [m], share of wrong pixels, IoU of the road.
POSITION, WRONG_PIXELS, ROAD = 0.5, 0.1, 0.8


def steps_within(holds: np.ndarray) -> np.ndarray:
    """(R,) float64: how many of the first steps all keep the bound, of `holds` (R, T) bool."""
    return np.cumprod(holds, axis=1).sum(1, dtype=np.float64)


def compounded(share: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """1 - (1 - e)^T: share of futures that failed within T steps, if each step fails alike and on its own.

    share: (R,) e in [0, 1]. steps: (T,). Returns (R, T).
    """
    return 1 - (1 - share[:, None]) ** steps


def rate_per_step(share: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """The e for which `compounded` gives `share` (..., T) after `steps` (T,)."""
    return 1 - (1 - share) ** (1 / steps)


def horizon_part(seen: PredictedFutures, weights: np.ndarray, steps: Sequence[int], dt: float) -> Part:
    """weights: (R, N), see `bootstrap.resample`. steps: those that the table of the law shows."""
    road, last = list(CLASSES).index("road"), seen.valid.shape[1]
    apart = {name: displacement(seen, name) for name in seen.pose}
    wrong = {name: wrong_share(weights, seen.views[name]) for name in seen.views}
    # A comparison with NaN is false: a step without data ends the run.
    holds: dict[str, dict[str, np.ndarray]] = {
        f"mean position error below {POSITION} m": {
            name: ego.mean_at(weights, apart[name], seen.valid) < POSITION for name in seen.pose
        },
        f"wrong pixels below {WRONG_PIXELS:.0%}": {name: share < WRONG_PIXELS for name, share in wrong.items()},
        f"IoU of road above {ROAD}": {name: iou(weights, seen.views[name])[..., road] > ROAD for name in seen.views},
    }
    found = {bound: {n: Estimate.of(steps_within(h)) for n, h in by.items()} for bound, by in holds.items()}
    rows = tuple(
        (bound, name, text(e, 0), text(e, 1, dt), "yes" if e.value >= last else "no")
        for bound, by in found.items()
        for name, e in by.items()
    )
    failed = np.maximum.accumulate(apart[MODEL] > POSITION, axis=1)
    laws = {
        **({"wrong pixels": _law(wrong[MODEL])} if MODEL in wrong else {}),
        f"futures that were ever {POSITION} m off": _law(ego.mean_at(weights, failed, seen.valid)),
    }
    law_rows = tuple(
        (
            name,
            steps_text(s),
            *(text(at(law[key], s - 1), 3) for key in ("seen", "law")),
            text(at(law["rate"], s - 1), 5),
        )
        for name, law in laws.items()
        for s in steps
    )
    return Part(
        name="safe_horizon",
        title="L1: how far ahead is safe",
        method=(
            "The safe horizon is the last step up to which every step's mean error (over the windows that reach it) "
            f"keeps the bound: {POSITION} m for the ego's place, {WRONG_PIXELS:.0%} of wrong pixels, {ROAD} for the "
            "IoU of plain road. It is computed in every replicate that resamples episodes.\n\nThe law of compounding "
            "errors says that if each step fails with the same probability e on its own, 1 - (1 - e)^T have failed "
            "after T steps. e is taken from step 1 and the law is compared with what was seen; the last column is the "
            "e that would explain each step's share. If that e falls with T, errors settle or heal; if it rises, they "
            "feed each other."
        ),
        limits=(
            f"A mean below its bound hides windows far above it. A horizon of {last} steps, the longest looked at, "
            "means at least that. The bounds are round numbers, not what a task needs. Wrong pixels may become right "
            "again, which the law does not know; and displacement grows by adding up, so hardly any future is off at "
            "step 1 and the law, started there, is bound to say too little."
        ),
        tables=(
            Table("Safe horizon", ("bound", "method", "steps", "seconds", "reaches the end"), rows),
            Table(
                "Compounding errors of the model",
                ("error", "after", "share seen", "1 - (1 - e)^T, e of step 1", "e per step that explains it"),
                law_rows,
            ),
        ),
        values={
            "safe_horizon_steps": plain(found),
            "longest": last,
            "compounding": plain(laws),
            "bounds": {"position_m": POSITION, "wrong_pixels": WRONG_PIXELS, "road_iou": ROAD},
        },
        figures={"Errors and the compounding law": lambda figure: _draw(figure, laws)},
    )


def _law(shares: np.ndarray) -> dict[str, Estimate]:
    """What was seen, what the law of step 1 says, and the rate that explains it, of replicates (R, T)."""
    steps = np.arange(1, shares.shape[1] + 1)
    return {
        "seen": Estimate.of(shares),
        "law": Estimate.of(compounded(shares[:, 0], steps)),
        "rate": Estimate.of(rate_per_step(shares, steps)),
    }


def _draw(figure: Figure, laws: dict[str, dict[str, Estimate]]) -> None:
    figure.set_size_inches(11, 4.2)
    axes: Any = figure.subplots(1, len(laws), squeeze=False)[0]
    for axis, (name, law) in zip(axes, laws.items()):
        x = np.arange(1, len(law["seen"].value) + 1)
        curve(axis, x, law["seen"], "seen", STYLES[0])
        e = number(float(law["seen"].value[0]), 4)
        curve(axis, x, law["law"], f"1 - (1 - e)^T, e = {e} of step 1", STYLES[2])
        axis.set(title=name, ylim=(0, 1), xlabel="steps after the context", ylabel="share")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
