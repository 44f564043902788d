"""Observations that are computed from what has been seen so far, of one row of real moments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from learned_sim_env.drivers.ray_features import SIZE, RayFeatures
from learned_sim_env.spec import Contract

if TYPE_CHECKING:
    from learned_sim_env.imagination.filter import Filter
    from learned_sim_env.world_model.checkpoint import Checkpoint


class RayFilter:
    """Ray features of one row, given as `imagination.filter.Filter` gives those of a world model."""

    observes, size = ("bev", "ego"), SIZE

    def __init__(self) -> None:
        self._features = RayFeatures(1)

    def begin(self, observation: Mapping[str, np.ndarray]) -> np.ndarray:
        """(SIZE,) float32 at the start of an episode; class ids "bev" (H, W) uint8 and "ego" (6,) float32."""
        return self._features.begin(_row(observation), np.array([0]))[0]

    def go_on(self, observation: Mapping[str, np.ndarray], action: np.ndarray) -> np.ndarray:
        """(SIZE,) float32 after one more observation; the action is part of it."""
        return self._features.update(_row(observation), np.zeros(1, bool))[0]


def _row(observation: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"semantic": observation["bev"][None], "ego": observation["ego"][None]}


def open_filter(
    obs_type: str, checkpoint: str | Path | Checkpoint | None, contract: Contract
) -> RayFilter | Filter | None:
    """What gives observations of `obs_type` "flat" or "latent" of `contract`; None for others, which show the present.

    Raises:
        ValueError: for "latent" without a checkpoint, or with one of another contract.
    """
    if obs_type == "flat":
        return RayFilter()
    if obs_type != "latent":
        return None
    from learned_sim_env.imagination.filter import Filter
    from learned_sim_env.world_model.checkpoint import check_contract, from_pretrained

    if checkpoint is None:
        raise ValueError("obs_type 'latent' shows a world model's features: name its checkpoint, as in 'bev-rssm'")
    if isinstance(checkpoint, str | Path):
        checkpoint = from_pretrained(checkpoint, contract=contract)
    check_contract(checkpoint, contract)
    return Filter(checkpoint)
