"""Twins on the toy simulator, and how tests drive them."""

from __future__ import annotations

import numpy as np

from learned_sim_env.environments.twin import TwinDrivingEnv

IDLE = np.zeros(2, np.float32)
FORWARD = np.array([0.0, 1.0], np.float32)


def make(**settings) -> TwinDrivingEnv:
    return TwinDrivingEnv("toy", **settings)


def drive(env, seed, steps=30):
    rng = np.random.default_rng(0)
    results = [env.reset(seed=seed)]
    for _ in range(steps):
        results.append(env.step(rng.uniform((-0.2, 0.0), (0.2, 1.0)).astype(np.float32)))
    return results
