"""Episodes to evaluate on: those of a data set, or recorded on the spot."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from learned_sim_env.data.dataset import PackedData, packed_file

# Longer ones say little more, and cost simulator time.
MAX_STEPS = 300


def open_episodes(data: Path, split: str, episodes: int) -> PackedData:
    """The first `episodes` of a split, by seed, of a collection folder or a packed file; all if there are fewer.

    Raises:
        FileNotFoundError: see `packed_file`.
        ValueError: if it has no episode of the split.
    """
    found = PackedData.load(packed_file(data)).split(split)
    if not len(found):
        raise ValueError(f"{data} has no episode of the {split} split: collect more, or import more logs")
    return found.select(np.argsort(found.seeds, kind="stable")[:episodes])


def record_episodes(folder: Path, episodes: int, workers: int, contract: str = "") -> PackedData:
    """The first `episodes` of the test split, recorded in `folder`; those recorded there before are kept.

    contract: a name in `spec.CONTRACTS`, whose observations are recorded beside the view from above; "" for the first.
    """
    from learned_sim_env.data.collect import CollectConfig, collect

    collect(
        CollectConfig(
            out=folder, episodes=episodes, split="test", max_steps=MAX_STEPS, workers=workers, contract=contract
        )
    )
    return open_episodes(folder, "test", episodes)
