"""Real steps that a drive starts from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learned_sim_env.world_model.contexts import Contexts


@dataclass(frozen=True, eq=False)
class Moments:
    """The last five real steps of a drive. (5, H, W) uint8, (5, 6) float32, (5, 2) float32."""

    semantic: np.ndarray
    ego: np.ndarray
    actions: np.ndarray

    @staticmethod
    def of(bank: Contexts, i: int) -> Moments:
        """Row `i` of a bank."""
        return Moments(bank.observations["bev"][i], bank.ego[i], bank.actions[i])
