"""Which episodes are for training, validation and test. Data is split by seed or recording, never by frame."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from learned_sim_env.spec import TEST_SCENARIOS, TRAINING_SCENARIOS

# Seeds that a collection for a split may use.
COLLECTED_SPLITS = {"train": TRAINING_SCENARIOS, "test": TEST_SCENARIOS}
SPLITS = ("train", "validation", "test")


# Shares of recordings that are held out for validation and for test, and how many are needed to hold out any.
HELD_OUT, FEWEST_LOGS = 0.1, 3


def split_of(seed: int, log: str = "", split: str = "") -> str:
    """The split of an episode: the one that it was given, or by its recording's name, or by its scenario seed.

    One in ten of the collected training seeds is held out for validation; of recordings, one in ten for validation
    and one in ten for test, chosen by a hash of the name, so that more of them move none to another split.

    Raises `ValueError` for a seed that no split may use.
    """
    if split:
        return split
    if log:
        place = _place(log)
        return "validation" if place < HELD_OUT else "test" if place >= 1 - HELD_OUT else "train"
    if seed in COLLECTED_SPLITS["train"]:
        return "validation" if seed % 10 == 9 else "train"
    if seed in COLLECTED_SPLITS["test"]:
        return "test"
    raise ValueError(f"seed {seed} belongs to no split; seeds are 0 to {COLLECTED_SPLITS['test'].stop - 1}")


def splits_of_logs(logs: Iterable[str]) -> dict[str, str]:
    """The splits of recordings, by name, of which each has at least one: those of `split_of`, with as few changes.

    As recordings are added, those move back to training that were held out for want of others, and no others move.

    Raises `ValueError` for fewer than `FEWEST_LOGS`.
    """
    order = sorted(set(logs), key=_place)
    if len(order) < FEWEST_LOGS:
        raise ValueError(f"{len(order)} recordings cannot be in {len(SPLITS)} splits")
    found = {log: split_of(0, log) for log in order}
    # Those that would be the next to be held out.
    found[order[0]], found[order[-1]] = "validation", "test"
    found[min(order[1:-1], key=lambda log: abs(_place(log) - 0.5))] = "train"
    return found


def _place(log: str) -> float:
    """A number from 0 to 1, as good as drawn, of a name."""
    return int(hashlib.sha256(log.encode()).hexdigest(), 16) / 2**256
