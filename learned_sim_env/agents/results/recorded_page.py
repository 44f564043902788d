"""How well those drove from whose episodes agents have learned, by what the same page says of agents."""

from __future__ import annotations

import numpy as np

from learned_sim_env.agents.experience.worth import of_recorded
from learned_sim_env.agents.settings import TaskSettings
from learned_sim_env.data.packed import PackedData
from learned_sim_env.measures.bootstrap import Estimate, ratio, resample
from learned_sim_env.reinforcement.transfer_page import DT, ENDS, MEASURES, PER_KM, REPLICATES
from learned_sim_env.reporting.display import plain, text
from learned_sim_env.reporting.parts import Part, Table

# Of `MEASURES`, those that recorded episodes tell of.
KNOWN = (*ENDS, PER_KM, "cost_per_km", "speed", "reward")


def recorded_parts(data: PackedData) -> list[Part]:
    """A part on whole episodes of the training split; none, if rewards were not recorded throughout."""
    episodes = data.split("train")
    # What stands at an episode's first moment belongs to no step of it.
    steps = [slice(start + 1, start + length) for start, length in zip(episodes.starts, episodes.lengths)]
    if not data.has("reward_terms") or not all(data.known("reward", rows).all() for rows in steps):
        return []
    worth, speed = of_recorded(episodes, TaskSettings()), episodes.arrays["ego"][:, 0]
    reward, cost, metres = (
        np.array([values[rows].sum(dtype=np.float64) for rows in steps])
        for values in (worth.reward, worth.cost, DT * speed)
    )
    weights = resample(np.arange(len(episodes)), len(episodes), REPLICATES, seed=0)
    ends = {end: (episodes.end_reasons == end).astype(float) for end in ENDS}
    km, count = weights @ metres / 1000, weights.sum(1)
    found = {end: Estimate.of(weights @ there / count) for end, there in ends.items()} | {
        PER_KM: Estimate.of(ratio(weights @ ends["collision"], km)),
        "cost_per_km": Estimate.of(ratio(weights @ cost, km)),
        "speed": Estimate.of(1000 * km / (weights @ (DT * (episodes.lengths - 1)))),
        "reward": Estimate.of(weights @ reward / count),
    }
    title = (str(len(episodes)), f"{episodes.steps:,}")
    part = Part(
        name="recorded",
        title="What was recorded",
        method=(
            "Episodes of the training split, as they were driven in the simulator by all that recorded them. Intervals "
            "(95%) resample episodes."
        ),
        limits="They are of other scenarios than those in which agents are judged.",
        tables=(
            Table(
                "Recorded episodes",
                ("episodes", "steps", *(MEASURES[name][0] for name in KNOWN)),
                ((*title, *(text(found[name], MEASURES[name][1]) for name in KNOWN)),),
            ),
        ),
        values=plain(found),
    )
    return [part]
