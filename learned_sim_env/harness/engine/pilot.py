"""A driver with everything that is done to what it sees and to what it does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from learned_sim_env.drivers.driver import Driver, needs_bev
from learned_sim_env.harness.engine.job import Job
from learned_sim_env.rendering.palette import colourise


class Pilot:
    """Drives n jobs at once, row by row as if each were alone.

    Args:
        driver: of n rows.
        jobs: with their perturbations.
    """

    def __init__(self, driver: Driver, jobs: Sequence[Job]):
        self._driver, self._needs_bev = driver, needs_bev(driver)
        self._observed = [[s for p in job.perturbations if (s := p.observation())] for job in jobs]
        self._actions = [[a for p in job.perturbations if (a := p.action())] for job in jobs]
        self._given = [None if job.actions is None else np.array(job.actions, np.float32) for job in jobs]
        self._step = 0

    def __call__(self, views: np.ndarray, ego: np.ndarray) -> np.ndarray:
        """Actions (n, 2) float32 in [-1, 1] for views (n, H, W) uint8 and ego vectors (n, 6), step after step."""
        t, views, ego = self._step, views.copy(), ego.copy()
        for i, disturbances in enumerate(self._observed):
            for disturb in disturbances:
                views[i], ego[i] = disturb(t, views[i], ego[i])
        seen = {"bev": colourise(views), "ego": ego} if self._needs_bev else {"ego": ego}
        actions = self._driver(seen, np.full(len(views), t == 0)).astype(np.float32)
        if actions.shape != (len(views), 2) or not np.isfinite(actions).all():
            raise ValueError(
                f"the policy gave {actions.shape} at step {t}, or what is not finite, for {len(views)} rows"
            )
        for i, changes in enumerate(self._actions):
            for change in changes:
                actions[i] = change(t, actions[i])
            given = self._given[i]
            if given is not None:
                actions[i] = given[min(t, len(given) - 1)]
        self._step += 1
        return np.clip(actions, -1.0, 1.0)
