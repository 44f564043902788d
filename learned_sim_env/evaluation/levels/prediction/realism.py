"""Whether imagined clips are such as happen, taken all together."""

from __future__ import annotations

from typing import Any

import numpy as np

from learned_sim_env.evaluation.levels.prediction.futures import PredictedFutures
from learned_sim_env.measures.bootstrap import INTERVAL
from learned_sim_env.measures.frechet import COMPONENTS, MOMENTS, distances_of_halves
from learned_sim_env.reporting.display import number, plain
from learned_sim_env.reporting.parts import Part, Table

# Random halvings of the episodes.
HALVINGS = 40
_PERCENTILES = (INTERVAL[0], 50, INTERVAL[1])
_COMPARED = ("same_windows", "other_episodes")


def realism_part(seen: PredictedFutures, seed: int) -> Part:
    """Frechet distance of imagined and of baselines' clips from real ones, beside that of real clips from real ones."""
    whole = seen.valid[:, MOMENTS[-1] - 1]
    values: dict[str, Any] = {"clips": int(whole.sum()), "steps": MOMENTS[-1]}
    tables = []
    for key, title, sets in (
        ("views", "views", seen.view_features),
        ("motion", "the ego's motion", seen.motion_features),
    ):
        if not sets:
            continue
        clips = {name: features[whole] for name, features in sets.items()}
        found = distances_of_halves(clips, seen.episode[whole], "true", HALVINGS, seed)
        rows, values[key] = [], {}
        for name in ("true", *(n for n in found if n != "true")):
            # A halving is unknown for all or for none.
            d = found[name][~np.isnan(found[name]).any(1)]
            ranges = np.percentile(d, _PERCENTILES, axis=0).T if len(d) else np.full((2, 3), np.nan)
            values[key][name] = {
                kind: plain(dict(zip(("low", "median", "high"), x))) for kind, x in zip(_COMPARED, ranges)
            }
            label = "real clips" if name == "true" else name
            rows.append((label, *(_range(x) for x in ranges)))
        head = ("clips", "from real clips of the same windows", "from real clips of other episodes")
        tables.append(Table(f"Frechet distance of {title}", head, tuple(rows)))
    return Part(
        name="realism",
        title="L1: are the imagined clips such as happen?",
        method=(
            f"Clips of {MOMENTS[-1]} steps. Of views: the share of each class in each cell of a 4 by 4 grid at steps "
            f"{', '.join(map(str, MOMENTS))}. Of motion: place, heading, mean, change and spread of speed, turning. "
            f"Features are whitened on the real clips (at most {COMPONENTS} principal components), so a distance of 1 "
            "is a mean off by one deviation. The clips of a random half of the episodes are compared with the real "
            "ones of the same windows, where a perfect model has 0, and with those of the other half, where real clips "
            f"give the floor: what chance alone sets apart. {HALVINGS} random halves; median and range of 95% of "
            "them.\n\nThe moved view and the drifting boxes are given how the ego truly moved. The ego itself is drawn "
            "the same in all."
        ),
        limits=(
            "It compares sets, not futures: clips that are swapped among windows stay as near. Only means and "
            "covariances of these features count, so what they do not see (sharp edges, single pixels, how boxes move "
            "between the three moments) is free, and the mode of a model, which leaves out chance, is expected to vary "
            "less than reality. The interval is of the halves, not of other data."
        ),
        tables=tuple(tables),
        values=values,
    )


def _range(quantiles: np.ndarray) -> str:
    """Low, median and high as a cell."""
    low, middle, high = (number(float(x), 2) for x in quantiles)
    return middle if middle == "-" else f"{middle} [{low}, {high}]"
