"""Which episodes are for training, validation and test. Data is split by seed or recording, never by frame."""

from __future__ import annotations

import hashlib

from learned_sim_env.spec import TEST_SCENARIOS, TRAINING_SCENARIOS

# Seeds that a collection for a split may use.
COLLECTED_SPLITS = {"train": TRAINING_SCENARIOS, "test": TEST_SCENARIOS}
SPLITS = ("train", "validation", "test")


def split_of(seed: int, log: str = "") -> str:
    """The split of an episode, by its scenario seed or, where it is a piece of a recording, by that recording's name.

    One in ten of the collected training seeds is held out for validation; of recordings, one in ten for validation
    and one in ten for test, chosen by a hash of the name, so that more of them move none to another split.

    Raises `ValueError` for a seed that no split may use.
    """
    if log:
        return {0: "validation", 1: "test"}.get(int(hashlib.sha256(log.encode()).hexdigest(), 16) % 10, "train")
    if seed in COLLECTED_SPLITS["train"]:
        return "validation" if seed % 10 == 9 else "train"
    if seed in COLLECTED_SPLITS["test"]:
        return "test"
    raise ValueError(f"seed {seed} belongs to no split; seeds are 0 to {COLLECTED_SPLITS['test'].stop - 1}")
