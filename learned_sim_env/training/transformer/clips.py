"""Clips: successive moments of recordings, of which actions, places and outcomes may be unknown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from torch import Tensor

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.data.splits import split_of
from learned_sim_env.training.batches import Batch

# What a video lacks: parts and modalities of an episode, and its actions.
LABELS = ("actions", "ego", "pose", "reward", "events")


@dataclass(frozen=True)
class Clips:
    """B clips of T moments.

    observations: by modality (B, T, *shape). valid: (B, T) bool, moments of the episode in which all of them are known.
    actions: (B, T, 2), action t led to moment t. ego: (B, T, 6), see `spec.EGO_FIELDS`. motion: (B, T, 3), of the step
    that led to the moment. terms: (B, T, 4), events: (B, T, 4) bool, of that step.
    known: (B, T) bool each: "actions"; "ego", where motion is known as well; "reward", of the terms; "events".
    """

    observations: dict[str, Tensor]
    valid: Tensor
    actions: Tensor
    ego: Tensor
    motion: Tensor
    terms: Tensor
    events: Tensor
    known: dict[str, Tensor]

    @staticmethod
    def of(batch: Batch, names: tuple[str, ...]) -> Clips:
        """The windows of a batch with the modalities `names`."""
        valid, known = batch.valid, batch.known
        for name in names:
            valid = valid & known[name]
        masks = {
            "actions": known["actions"],
            # An episode begins with a motion of 0, which no step led to.
            "ego": known["ego"] & (known["motion"] | ~batch.stepped),
            "reward": known["reward"],
            "events": known["events"] & batch.stepped,
        }
        return Clips(
            {name: batch.observations[name] for name in names},
            valid,
            batch.actions,
            batch.ego,
            batch.motion,
            batch.terms,
            batch.events,
            masks,
        )

    def each(self, change: Callable[[Tensor], Tensor]) -> Clips:
        """The same clips, every tensor changed."""

        def changed(value: Any) -> Any:
            return {name: change(v) for name, v in value.items()} if isinstance(value, dict) else change(value)

        return Clips(*(changed(getattr(self, f.name)) for f in fields(self)))

    def without_observations(self) -> Clips:
        """The same clips without pictures, which are most of their size."""
        return replace(self, observations={})


def partly_labelled(data: PackedData, share: float) -> PackedData:
    """The same episodes, of which only a share of those for training keeps its `LABELS`; the others become plain video.

    Which ones follows from their seeds: those of a smaller share are among those of a larger one.

    Raises:
        ValueError: if the share is not above 0 and at most 1.
    """
    if not 0 < share <= 1:
        raise ValueError(f"labelled {share!r} is not a share above 0 and at most 1")
    if share == 1:
        return data
    kept = np.ones(len(data.arrays["actions"]), bool)
    for start, length, seed, log, split in zip(data.starts, data.lengths, data.seeds, data.logs, data.splits):
        learned = split_of(int(seed), str(log), str(split)) == "train"
        if learned and np.random.default_rng((int(seed), 7)).random() >= share:
            kept[start : start + length] = False
    return replace(data, valid={**data.valid, **{name: data.known(name, slice(None)) & kept for name in LABELS}})


def labelled_episodes(data: PackedData) -> PackedData:
    """The episodes in which actions, poses and the ego are known throughout.

    Raises:
        ValueError: if there are none.
    """
    rows = [slice(int(start), int(start + length)) for start, length in zip(data.starts, data.lengths)]
    # No action led to the first moment.
    found = [
        bool(data.known("ego", r).all() and data.known("pose", r).all() and data.known("actions", r)[1:].all())
        for r in rows
    ]
    if not any(found):
        raise ValueError(
            "no training episode has actions, poses and ego vectors throughout, from which the ego's motion is "
            "learned: add episodes that have, or give a larger --labelled"
        )
    return data.select(np.array(found))
