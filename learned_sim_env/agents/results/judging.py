"""What policies that were kept are worth in the simulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from learned_sim_env.reinforcement.jobs import Judge, read, run_all
from learned_sim_env.reinforcement.transfer import JUDGED_ON


def judged(out: Path, saved: Sequence[Mapping[str, Any]], episodes: int, contract: str) -> dict[str, list[Any]]:
    """Whole episodes of each policy in the simulator, by the judge of `learned-sim transfer`, on validation scenarios.

    Args:
        out: folder of the run; what was driven before is kept there.
        saved: policies, as in `run.json`.
        episodes: of each policy.
        contract: name of that of the world model.

    Returns:
        By the name of the policy's file, JSON objects of `driving.EpisodeScore`; nothing for no episodes.
    """
    if not episodes:
        return {}
    seeds = tuple(JUDGED_ON["validation"][:episodes])
    jobs = {
        entry["policy"]: Judge(
            out / "episodes" / f"{entry['updates']}-{episodes}.json", str(out / entry["policy"]), seeds, contract
        )
        for entry in saved
    }
    for job in run_all(list(jobs.values()), workers=1):
        print(f"driven: {job.path}")
    return {name: read(job.path) for name, job in jobs.items()}
