"""Whether road users go on as such do, as a part of the report."""

from __future__ import annotations

import numpy as np

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.evaluation.levels.world.road_users import (
    MODEL,
    SAME,
    STEADY,
    RoadUsersConfig,
    has_road_users,
    realism,
)
from learned_sim_env.evaluation.open_loop import episodes_for
from learned_sim_env.measures.bootstrap import Estimate, ratio, resample
from learned_sim_env.measures.histogram_likelihood import NAMES
from learned_sim_env.reporting.display import at, plain, text
from learned_sim_env.reporting.parts import Part, Table, Target, not_applicable
from learned_sim_env.world_model.checkpoint import Checkpoint

TITLE, REPLICATES = "L1: do road users go on as such do?", 1000


def road_users(checkpoint: Checkpoint, data: PackedData, config: RoadUsersConfig | None = None) -> Part:
    """Realism of road users in several futures of recorded moments.

    Raises:
        ValueError: if the data was recorded under another contract, or has no episode long enough.
    """
    config, data = config or RoadUsersConfig(), episodes_for(checkpoint, data)
    for lacking, reason in (
        (not has_road_users(checkpoint.model), "the model's state does not say where road users are"),
        (not data.has("agents"), "the episodes were recorded without road users"),
    ):
        if lacking:
            return not_applicable("road_users", TITLE, reason)
    found, episode = realism(checkpoint.model, data, config)
    weights = resample(episode, len(data), REPLICATES, config.seed)
    estimates = {name: _mean(values, weights) for name, values in found.items()}
    rows = (*NAMES, "all, weighted")
    all_of_them = {name: float(estimate.value[-1]) for name, estimate in estimates.items()}
    moments = int(np.isfinite(found[MODEL][:, -1]).sum())
    return Part(
        name="road_users",
        title=TITLE,
        method=(
            f"From {moments} recorded moments {config.futures} futures of {config.horizon} steps are imagined under "
            "the recorded actions of the ego. For every road user that is in the state at the start, within "
            f"{SAME} m of a recorded one, the likelihood of what it truly did is taken from histograms of what it does "
            "in the futures, all steps together; scores are geometric means over the road users of a moment, averaged "
            "over moments. Bins, smoothing and weights are those of the Waymo Open Sim Agents Challenge of 2025. One "
            "that keeps its speed and direction is the baseline. In brackets 95% intervals over episodes."
        ),
        limits=(
            "Time to collision, distance to the road's edge, leaving the road and traffic lights, 0.45 of the weight "
            "in the challenge, are left out, and so are road users that come into view later. Speeds are differences "
            "of successive places, gaps those of the separating-axis test, and futures are shorter than the "
            "challenge's 8 s. The numbers cannot be compared with its leaderboard."
        ),
        tables=(
            Table(
                "Likelihood of what happened",
                ("feature", *estimates),
                tuple((row, *(text(at(e, k), 3) for e in estimates.values())) for k, row in enumerate(rows)),
            ),
        ),
        values={
            "moments": moments,
            "futures": config.futures,
            "horizon": config.horizon,
            "likelihood": plain(estimates),
        },
        targets=(
            Target.least(
                "realism of road users, above that of constant velocity", all_of_them[STEADY], all_of_them[MODEL], 3
            ),
        ),
    )


def _mean(values: np.ndarray, weights: np.ndarray) -> Estimate:
    known = np.isfinite(values)
    return Estimate.of(ratio(weights @ np.where(known, values, 0.0), weights @ known.astype(np.float64)))
