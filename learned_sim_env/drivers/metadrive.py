"""MetaDrive's own drivers, which read the simulator's insides and so exist where it runs alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from learned_sim_env.drivers.driver import Observations

# What they are called, and what the simulator calls them.
METADRIVE_DRIVERS = {"metadrive-expert": "expert", "metadrive-idm": "idm"}


class MetaDriveDriver:
    """One of `METADRIVE_DRIVERS`, for a single row.

    Raises:
        ValueError: without the simulator.
    """

    needs_bev = False

    def __init__(self, name: str, simulator: Any):
        if simulator is None:
            raise ValueError(f"{name!r} reads MetaDrive's insides: it cannot drive where there is no simulator")
        self._simulator, self._name = simulator, METADRIVE_DRIVERS[name]

    def __call__(self, observations: Observations, began: np.ndarray) -> np.ndarray:
        """See `Driver`."""
        return self._simulator.policy_action(self._name)[None]
