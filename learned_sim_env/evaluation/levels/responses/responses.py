"""Whether a dream answers to actions as its twin does: the same moment, different actions, compared a little later."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from learned_sim_env.environments.twin import TwinDrivingEnv
from learned_sim_env.evaluation.levels.responses.counterfactuals import (
    TwinCounterfactuals,
    gather,
    imagined_counterfactuals,
)
from learned_sim_env.evaluation.levels.responses.measure import measure
from learned_sim_env.evaluation.levels.responses.responses_page import report
from learned_sim_env.measures.bootstrap import resample
from learned_sim_env.reporting.parts import Part
from learned_sim_env.settings import check_at_least
from learned_sim_env.simulators import installed_version
from learned_sim_env.spec import SCENARIO_TAGS
from learned_sim_env.twins.pairing import open_twin, twin_settings
from learned_sim_env.world_model.checkpoint import Checkpoint
from learned_sim_env.world_model.contexts import Contexts
from learned_sim_env.world_model.geometry import integrate

# [steer, throttle_brake]: nothing, then a fan of steering, a fan of throttle and brake, and steering while braking.
ACTIONS = (
    (0.0, 0.0),
    *((steer, 0.3) for steer in (-1.0, -0.5, -0.2, 0.2, 0.5, 1.0)),
    *((0.0, throttle) for throttle in (-1.0, -0.5, 0.5, 1.0)),
    *((steer, -0.5) for steer in (-0.5, 0.5)),
)
# [m/s] Below this the ego hardly answers to the wheel; one moment in so many is slower.
MOVING, SLOW_EVERY = 2.0, 8


@dataclass(frozen=True)
class ResponsesConfig:
    """How to compare.

    contexts: moments to start from. steps: after which to compare; an action is held up to the last. actions: the first
    is to do nothing. env_id: whose twin. simulator: another one than the declared twin, and its settings. workers:
    processes, each with a twin. replicates, seed: of the bootstrap; the seed also chooses the moments.
    """

    contexts: int = 40
    steps: tuple[int, ...] = (5, 10, 20)
    actions: tuple[tuple[float, float], ...] = ACTIONS
    env_id: str = "LearnedDriving-v0"
    simulator: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    workers: int = 2
    replicates: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least(self, contexts=1, workers=1, replicates=1)
        if not self.steps or list(self.steps) != sorted({s for s in self.steps if s >= 1}):
            raise ValueError(f"steps are {self.steps}; they must be at least 1 and increase")
        if not self.actions or self.actions[0] != (0.0, 0.0):
            raise ValueError("the first of the actions must be (0, 0), which the others are compared with")
        if not np.abs(self.actions).max() <= 1:
            raise ValueError(f"actions must lie in [-1, 1], got {self.actions}")


def responses(
    checkpoint: Checkpoint,
    config: ResponsesConfig | None = None,
    cache: Path | None = None,
    make_twin: Callable[[], TwinDrivingEnv] | None = None,
) -> Part:
    """Compare what actions lead to in the dream with what they lead to in the twin, from the same moments.

    Args:
        checkpoint: whose contexts are the moments.
        config: how to compare.
        cache: folder in which the twin's side is kept, so that it is gathered once; None: it is not kept.
        make_twin: opens another twin than the one that `config.env_id` declares; picklable.

    Raises:
        ImportError: if the twin is needed and not installed.
        RuntimeError: if its processes cannot start or keep failing.
        ValueError: if the environment has no twin, or the twin comes to none of the moments.
    """
    config = config or ResponsesConfig()
    contexts, actions = checkpoint.contexts, np.array(config.actions, np.float32)
    asked = choose_contexts(contexts, config.contexts, config.seed)
    settings = {} if make_twin else twin_settings(config.env_id, config.simulator, **config.settings)
    if settings:
        settings["version"] = installed_version(settings["simulator"])
    name = f"the twin of {config.env_id}, task {checkpoint.contract.task_fingerprint()[:12]}"
    with tempfile.TemporaryDirectory() if cache is None else nullcontext(cache) as folder:
        source = TwinCounterfactuals(
            make_twin or partial(open_twin, config.env_id, config.simulator, **config.settings),
            name,
            contexts,
            actions,
            config.steps[-1],
            Path(folder),
            settings,
        )
        twin, found = gather(source, asked, config.workers)
    dream = imagined_counterfactuals(checkpoint, found, actions, config.steps[-1])
    constant = constant_motion(contexts.ego[found, -1], config.steps[-1], checkpoint.contract.dt)
    _, episode = np.unique(contexts.scenarios[found], return_inverse=True)
    weights = resample(episode, int(episode.max()) + 1, config.replicates, config.seed)
    about = {
        "contexts": found.tolist(),
        "left_out": sorted({*asked.tolist()} - {*found.tolist()}),
        "scenarios": int(episode.max()) + 1,
        "moving": int((contexts.ego[found, -1, 0] > MOVING).sum()),
        "tags": {tag: int(n) for tag, n in zip(SCENARIO_TAGS, contexts.tags[found].sum(0))},
        "dt": checkpoint.contract.dt,
        "steps": list(config.steps),
        "actions": [list(action) for action in config.actions],
        "replicates": config.replicates,
    }
    return report(about, dream, twin, measure(weights, dream, twin, constant, actions, config.steps))


def choose_contexts(contexts: Contexts, count: int, seed: int) -> np.ndarray:
    """(min(count, N),) int64: contexts of every tag in turn, of as many scenarios as possible, few of them slow."""
    rng = np.random.default_rng(seed)
    order, used = rng.permutation(len(contexts)), {int(s): 0 for s in contexts.scenarios}
    moving = contexts.ego[:, -1, 0] > MOVING
    chosen: list[int] = []
    while len(chosen) < min(count, len(contexts)):
        left = order[~np.isin(order, chosen)]
        has_tag = contexts.tags[left, len(chosen) % len(SCENARIO_TAGS)]
        paced = moving[left] == (len(chosen) % SLOW_EVERY != SLOW_EVERY - 1)
        fits = next(fit for fit in (left[has_tag & paced], left[paced], left) if len(fit))
        pick = min(fits.tolist(), key=lambda i: used[int(contexts.scenarios[i])])
        used[int(contexts.scenarios[pick])] += 1
        chosen.append(pick)
    return np.array(chosen)


def constant_motion(ego: np.ndarray, horizon: int, dt: float) -> np.ndarray:
    """(N, T, 3) poses of an ego that keeps the speed and yaw rate of its vector (N, 6), see `spec.EGO_FIELDS`."""
    step = np.stack([ego[:, 0] * dt, np.zeros(len(ego)), ego[:, 1] * dt], -1).astype(np.float64)
    return integrate(torch.from_numpy(step)[:, None].expand(-1, horizon, -1)).numpy()
