"""What was found out about sampled futures, as a part of the report."""

from __future__ import annotations

import numpy as np

from learned_sim_env.evaluation.levels.prediction.branching import (
    MOMENTS,
    Branches,
    displacements,
    error_of_mean,
    place_spread,
    pooled_iou,
    vehicle_overlaps,
    view_spread,
)
from learned_sim_env.measures.bootstrap import Estimate, ratio
from learned_sim_env.reporting.display import at, plain, text
from learned_sim_env.reporting.parts import Part, Table


def branches_part(found: Branches, weights: np.ndarray) -> Part:
    """weights: (R, N), see `bootstrap.resample`."""
    k, total = found.places.shape[1], weights.sum(1, keepdims=True)

    def mean(values: np.ndarray) -> np.ndarray:
        return ratio(weights @ values, np.broadcast_to(total, (len(weights), values.shape[1])))

    fde = {name: Estimate.of(mean(d)) for name, d in displacements(found).items()}
    viewed = found.views is not None
    overlaps = vehicle_overlaps(found) if viewed else {}
    vehicles = {name: Estimate.of(pooled_iou(weights, o)) for name, o in overlaps.items()}
    spread, error = (np.sqrt(mean(x**2)) for x in (place_spread(found), error_of_mean(found)))
    diversity = {
        "spread of places, root mean square [m]": Estimate.of(spread),
        "error of their mean, root mean square [m]": Estimate.of(error),
        "spread / error": Estimate.of(ratio(spread, error)),
    }
    if viewed:
        diversity["pixels in which two futures differ [share]"] = Estimate.of(mean(view_spread(found)))
    head = tuple(f"{step} steps" for step in MOMENTS)
    return Part(
        name="branches",
        title="L1: futures that branch",
        method=(
            f"{len(found.episode)} windows, evenly chosen among those that reach {MOMENTS[-1]} steps; of each the mode "
            f"and k = {k} futures with different noise, under the recorded actions. Mean and best of the k, beside the "
            "mode; intersections and unions are summed over windows. Borrowed: the mode plus the deviations of another "
            "window's samples, the baseline for the best of k. If the truth is like one more sample, spread / error is "
            "1; below 1, the model is surer of the ego's path than it may be."
        ),
        limits=(
            "One recorded future a moment cannot show whether the others could have happened. The best of k gets "
            "better with k for any noise, so it is to be compared with the borrowed one and never with a model of "
            "another k. Where the ego's path follows from the actions alone, by design of the model, its spread is 0 "
            "and all its futures err alike. Spread is of the ego's place and of pixels, which do not tell likely from "
            "absurd."
        ),
        tables=(
            _table("Final displacement of the ego [m]", "futures", head, fde, 3),
            *((_table("IoU of vehicles", "futures", head, vehicles, 3),) if viewed else ()),
            _table("Diversity", "measure", head, diversity, 4),
        ),
        values=plain(
            {"windows": len(found.episode), "k": k, "steps": MOMENTS, "fde": fde, "vehicle_iou": vehicles}
            | {"diversity": diversity}
        ),
    )


def _table(title: str, first: str, head: tuple[str, ...], rows: dict[str, Estimate], digits: int) -> Table:
    cells = tuple((name, *(text(at(e, i), digits) for i in range(len(MOMENTS)))) for name, e in rows.items())
    return Table(title, (first, *head), cells)
