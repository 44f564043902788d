"""Clips: successive moments of recordings, of which actions, places and outcomes may be unknown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from learned_sim_env.data.dataset import PackedData, packed_file
from learned_sim_env.data.splits import split_of
from learned_sim_env.spec import Contract
from learned_sim_env.training.batches import Batch

# In the place of pictures: what the frozen tokenizer has made of them, see `token_store`.
TOKENS = "tokens"
# Beside them: those of the frame before, moved with the ego and as it was.
BEFORE = "before"
# What a video lacks: parts and modalities of an episode, and its actions.
LABELS = ("actions", "ego", "pose", "reward", "events")


@dataclass(frozen=True)
class Clips:
    """B clips of T moments.

    observations: by modality (B, T, *shape), or `TOKENS` and `BEFORE` alone, (B, T, count, channels) float16, and twice
        as many channels.
    valid: (B, T) bool, moments of the episode in which one of the modalities is known.
    seen: by modality (B, T) bool, in which of those moments it is; one without a mask is in all.
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
    seen: dict[str, Tensor] = field(default_factory=dict)

    @staticmethod
    def of(batch: Batch, names: tuple[str, ...], contract: Contract | None = None) -> Clips:
        """The windows of a batch with the modalities `names`; those that it has not are the contract's, and unseen.
        With tokens it has no pictures.
        """
        known = batch.known
        observations = dict(batch.observations)
        kept = names
        if TOKENS in observations:
            kept = (TOKENS, BEFORE)
            tokens, *before = observations[TOKENS].unbind(2)
            observations.update(zip(kept, (tokens, torch.cat(before, -1))))
        elif contract is not None:
            for m in (contract.modality(name) for name in names if name not in observations):
                blank = np.zeros((*batch.valid.shape, *m.shape), m.dtype)
                observations[m.name] = torch.from_numpy(blank)
        nowhere = torch.zeros_like(batch.valid)
        shown = {name: known.get(name, nowhere) for name in names}
        valid = torch.stack(list(shown.values())).any(0) & batch.valid
        masks = {
            "actions": known["actions"],
            # An episode begins with a motion of 0, which no step led to.
            "ego": known["ego"] & (known["motion"] | ~batch.stepped),
            "reward": known["reward"],
            "events": known["events"] & batch.stepped,
        }
        return Clips(
            {name: observations[name] for name in kept},
            valid,
            batch.actions,
            batch.ego,
            batch.motion,
            batch.terms,
            batch.events,
            masks,
            # After an episode's end nothing counts, and nothing has to be hidden.
            {name: mask | ~batch.valid for name, mask in shown.items()},
        )

    @staticmethod
    def together(several: Sequence[Clips]) -> Clips:
        """All clips of several batches."""

        def joined(values: Sequence[Any]) -> Any:
            if isinstance(values[0], dict):
                return {name: torch.cat([v[name] for v in values]) for name in values[0]}
            return torch.cat(list(values))

        return Clips(*(joined([getattr(clips, f.name) for clips in several]) for f in fields(Clips)))

    def each(self, change: Callable[[Tensor], Tensor]) -> Clips:
        """The same clips, every tensor changed."""

        def changed(value: Any) -> Any:
            return {name: change(v) for name, v in value.items()} if isinstance(value, dict) else change(value)

        return Clips(*(changed(getattr(self, f.name)) for f in fields(self)))

    def without_observations(self) -> Clips:
        """The same clips without pictures, which are most of their size."""
        return replace(self, observations={})


def video(path: str, contract: Contract, names: tuple[str, ...]) -> tuple[PackedData, tuple[str, ...]]:
    """Recordings to learn from without labels, none of them for test, and which of the modalities `names` they have.

    What else they have is masked as unknown.

    Args:
        path: folder of a collection or of imported recordings, or a packed file.
        contract: that they must have been recorded under, but for what they lack.
        names: of the modalities that are learned.

    Raises:
        ValueError: for data of another contract, without any of the modalities, or for test alone.
    """
    folder = Path(path)
    data = PackedData.load(packed_file(folder))
    there = tuple(name for name in names if name in data.modalities)
    if not there:
        raise ValueError(
            f"{path} has none of {', '.join(names)}, which are learned: it has {', '.join(data.modalities)}"
        )
    data.check_contract(contract, there)
    about = zip(data.seeds, data.logs, data.splits)
    kept = [split_of(int(seed), str(log), str(split)) != "test" for seed, log, split in about]
    if not any(kept):
        raise ValueError(f"all {len(data)} episodes of {path} are for test: add others")
    return _without_labels(data.select(np.array(kept)), np.ones(len(data.arrays["actions"]), bool)), there


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
    plain = np.zeros(len(data.arrays["actions"]), bool)
    for start, length, seed, log, split in zip(data.starts, data.lengths, data.seeds, data.logs, data.splits):
        learned = split_of(int(seed), str(log), str(split)) == "train"
        if learned and np.random.default_rng((int(seed), 7)).random() >= share:
            plain[start : start + length] = True
    return _without_labels(data, plain)


def _without_labels(data: PackedData, plain: np.ndarray) -> PackedData:
    """The same episodes, without `LABELS` in rows (N,) bool that are plain video."""
    return replace(data, valid={**data.valid, **{name: data.known(name, slice(None)) & ~plain for name in LABELS}})


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
