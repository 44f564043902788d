"""A driver with everything that is done to what it sees and to what it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from learned_sim_env.drivers.driver import Driver, observed_by
from learned_sim_env.harness.engine.job import Job
from learned_sim_env.rendering.palette import colourise


class Pilot:
    """Drives n jobs at once, row by row as if each were alone.

    Args:
        driver: of n rows.
        jobs: with their perturbations.
        scenarios: the simulator's seeds that they start from, where they are dreamt: what a simulator's world can do,
            to look otherwise in the midst of a drive, is then done to what is seen. None: in a simulator.
    """

    def __init__(self, driver: Driver, jobs: Sequence[Job], scenarios: Sequence[int] | None = None):
        self._driver, self._observes = driver, observed_by(driver)
        self._disturbances = [[s for p in job.perturbations if (s := p.observation())] for job in jobs]
        for disturbances, job, scenario in zip(self._disturbances, jobs, scenarios if scenarios is not None else ()):
            # The world comes before what a camera makes of it.
            disturbances[:0] = [s for p in job.perturbations if (s := p.imitation(int(scenario)))]
        self._actions = [[a for p in job.perturbations if (a := p.action())] for job in jobs]
        self._given = [None if job.actions is None else np.array(job.actions, np.float32) for job in jobs]
        self._step = 0

    def __call__(self, observations: Mapping[str, np.ndarray]) -> np.ndarray:
        """Actions (n, 2) float32 in [-1, 1], step after step.

        observations: by modality (n, *shape), all that the driver needs; "classes" as class ids, "ego" among them.
        """
        t, rows = self._step, len(self._given)
        seen = {name: values.copy() for name, values in observations.items()}
        for i, disturbances in enumerate(self._disturbances):
            for disturb in disturbances:
                for name, value in disturb(t, {name: values[i] for name, values in seen.items()}).items():
                    seen[name][i] = value
        shown = {name: _picture(seen[name]) for name in self._observes}
        actions = self._driver(shown, np.full(rows, t == 0)).astype(np.float32)
        if actions.shape != (rows, 2) or not np.isfinite(actions).all():
            raise ValueError(f"the policy gave {actions.shape} at step {t}, or what is not finite, for {rows} rows")
        for i, changes in enumerate(self._actions):
            for change in changes:
                actions[i] = change(t, actions[i])
            given = self._given[i]
            if given is not None:
                actions[i] = given[min(t, len(given) - 1)]
        self._step += 1
        return np.clip(actions, -1.0, 1.0)


def _picture(values: np.ndarray) -> np.ndarray:
    """Of n rows: class ids (n, H, W) uint8 in their colours, (n, H, W, 3); all else as it is."""
    return colourise(values) if values.ndim == 3 and values.dtype == np.uint8 else values
