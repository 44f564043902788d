"""Which scenario seeds are for training, validation and test. Data is split by seed, never by frame."""

from __future__ import annotations

from learned_sim_env.spec import TEST_SCENARIOS, TRAINING_SCENARIOS

# Seeds that a collection for a split may use.
COLLECTED_SPLITS = {"train": TRAINING_SCENARIOS, "test": TEST_SCENARIOS}
SPLITS = ("train", "validation", "test")


def split_of(seed: int) -> str:
    """The split of a scenario seed: one in ten of the collected training seeds is held out for validation.

    Raises `ValueError` for a seed that no split may use.
    """
    if seed in COLLECTED_SPLITS["train"]:
        return "validation" if seed % 10 == 9 else "train"
    if seed in COLLECTED_SPLITS["test"]:
        return "test"
    raise ValueError(f"seed {seed} belongs to no split; seeds are 0 to {COLLECTED_SPLITS['test'].stop - 1}")
