"""Trained policies as drivers."""

from __future__ import annotations

import numpy as np

from learned_sim_env.drivers.driver import Observations
from learned_sim_env.drivers.policies import NetworkPolicy
from learned_sim_env.drivers.sight import Sight


class Network:
    """A trained policy, without noise."""

    looks = True

    def __init__(self, policy: NetworkPolicy, num_rows: int):
        self._policy, self._sight = policy, Sight(num_rows)

    def __call__(self, observations: Observations, began: np.ndarray) -> np.ndarray:
        """See `Driver`."""
        # A row at a time: in a product of matrices its rounding would depend on how many others there are.
        return self._policy(self._sight.look(observations, began)[:, None])[:, 0]
