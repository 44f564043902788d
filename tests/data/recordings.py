"""Drawn episodes that lack something, as recordings of real driving do."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from learned_sim_env.data.episode import PARTS, SCENERY_SLOTS, Episode
from learned_sim_env.spec import CONTRACTS
from tests.evaluation.world import episode

CAMERAS = ("front", "left", "right")
CONTRACT = CONTRACTS["driving-camera"]


def recording(
    seed: int,
    steps: int = 6,
    parts: Collection[str] = tuple(PARTS),
    modalities: Collection[str] = ("bev", "ego"),
    masks: Mapping[str, np.ndarray] | None = None,
    log: str = "",
) -> Episode:
    """A drawn episode with these parts and modalities only, each known where its mask (steps + 1,), if any, is True."""
    whole, rng = episode(seed, steps), np.random.default_rng(seed)
    seen = dict(whole.observations)
    for name in (*CAMERAS, "route"):
        modality = CONTRACT.modality(name)
        # Noise in the upper half, so that frames differ in size, and nothing below.
        noise = rng.integers(0, 100, (steps + 1, *modality.shape)).astype(modality.dtype)
        noise[:, modality.shape[0] // 2 :] = 0
        seen[name] = noise
    whole = replace(whole, scenery_kinds=rng.integers(0, 8, (steps + 1, SCENERY_SLOTS)).astype(np.uint8))
    fields = {name: None for part, names in PARTS.items() if part not in parts for name in names}
    made = replace(whole, **fields, observations={n: seen[n].copy() for n in modalities}, log=log)  # type: ignore[arg-type]
    for name, mask in (masks or {}).items():
        for array in [made.observations[name]] if name in made.observations else []:
            array[~mask] = 0
    return replace(made, valid=dict(masks or {}))


def same(a: Episode, b: Episode) -> bool:
    """Whether all arrays, masks and metadata are equal."""
    pairs = [(a.arrays(), b.arrays()), (a.valid, b.valid)]
    return a.metadata() == b.metadata() and all(
        set(one) == set(other)
        and all(v.dtype == other[k].dtype and np.array_equal(v, other[k]) for k, v in one.items())
        for one, other in pairs
    )
