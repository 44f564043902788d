"""A model that runs freely for thousands of steps, under three kinds of drivers, and what is kept of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from learned_sim_env.data.behaviours import OrnsteinUhlenbeck
from learned_sim_env.data.dataset import PackedData
from learned_sim_env.drivers.route import RouteFollower
from learned_sim_env.imagination.inference import Inference
from learned_sim_env.imagination.rollout import Rollout
from learned_sim_env.imagination.starts import Starts
from learned_sim_env.settings import check_at_least
from learned_sim_env.world_model.checkpoint import Checkpoint
from learned_sim_env.world_model.protocol import device_of

EgoDriver = Callable[[np.ndarray], np.ndarray]

# What drives; see `_drivers`.
GROUPS = ("random", "expert-like", "extreme")
# Steps at which every row is drawn, as far as the rollout goes, and its last.
DRAWN = (1, 10, 30, 100, 300, 1000, 3000, 10_000)
# What is compared with physics, each a magnitude; and which bound of the modality "ego" is its.
QUANTITIES = {
    "speed [m/s]": 0,
    "acceleration [m/s^2]": None,
    "yaw rate [rad/s]": 1,
    "distance a step over time [m/s]": None,
    "distance to the route [m]": 4,
}
# Stands in place of a class where nothing was drawn.
NOTHING = 255


@dataclass(frozen=True)
class ValidityConfig:
    """contexts: rows of each group, each from a context of its own. steps: of each row. watched: rows of each group
    that are drawn at every step, as environments with pictures are. seed: of actions and noise.
    """

    contexts: int = 64
    steps: int = 10_000
    watched: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least(self, contexts=1, steps=1, watched=1)
        if self.watched >= self.contexts:
            raise ValueError(f"watched is {self.watched}; it must be less than the {self.contexts} contexts")


@dataclass(frozen=True, eq=False)
class FreeRun:
    """What G groups of n rows did in T steps; K of the steps were drawn, the first of them step 0, the start.

    finite: (T, G, n) bool, whether all that was predicted up to a step was finite. quantities: (T, G, n, 5) float32, of
    `QUANTITIES`. seconds: (T,) a step of all rows, without drawing. drawn: (K,) int64. views: (K, G, n, H, W) uint8,
    seen from above, all `NOTHING` where a row was not finite; None where the model draws none.
    """

    finite: np.ndarray
    quantities: np.ndarray
    seconds: np.ndarray
    drawn: np.ndarray
    views: np.ndarray | None


def run_freely(checkpoint: Checkpoint, config: ValidityConfig) -> FreeRun:
    """Roll out a row for each group and context; rows are sampled at temperature 1 and never reset."""
    model, contract = checkpoint.model, checkpoint.contract
    n, groups = config.contexts, len(GROUPS)
    inference = Inference(device_of(model))
    # Shared out evenly, and used again where there are too few.
    which = np.arange(n) * len(checkpoint.contexts) // n
    # What environments draw at every step: the view from above, or else all that the model can draw.
    viewed = "bev" in model.draws
    names = ("bev",) if viewed else tuple(model.draws)
    start = Starts(model, checkpoint.contexts, inference, names=names).from_contexts(which)
    rollout, rows = Rollout(model, groups * n, inference), np.arange(groups * n).reshape(groups, n)
    for some in rows:
        rollout.start(some, start, config.seed * groups * n + some)
    drivers = _drivers(start.ego, np.random.default_rng(config.seed))
    steps = sorted({step for step in DRAWN if step < config.steps} | {config.steps})
    views = [np.broadcast_to(start.drawn["bev"], (groups, *start.drawn["bev"].shape))] if viewed else []
    ego = np.tile(start.ego, (groups, 1, 1))
    alive = np.ones((groups, n), bool)
    finite, seconds = np.zeros((config.steps, groups, n), bool), np.zeros(config.steps)
    quantities = np.zeros((config.steps, groups, n, len(QUANTITIES)), np.float32)
    for t in tqdm(range(config.steps), desc="running freely", unit="step"):
        actions = np.concatenate([driver(ego[g]) for g, driver in enumerate(drivers)])
        began = time.perf_counter()
        imagined = rollout.step(actions)
        seconds[t] = time.perf_counter() - began
        alive &= imagined.finite.reshape(groups, n)
        finite[t], before = alive, ego
        ego = imagined.ego.reshape(groups, n, -1)
        distance = np.hypot(*imagined.motion[:, :2].T).reshape(groups, n)
        quantities[t] = magnitudes(before, ego, distance, contract.dt)
        # A picture of what is not finite is not defined, not even that it can be drawn.
        rollout.draw(names, rows[:, : config.watched][alive[:, : config.watched]])
        if viewed and t + 1 in steps:
            shown = np.full_like(views[0], NOTHING)
            shown[alive] = rollout.drawn("bev", rows[alive])
            views.append(shown)
    return FreeRun(finite, quantities, seconds, np.array([0, *steps]), np.stack(views) if viewed else None)


def _drivers(ego: np.ndarray, rng: np.random.Generator) -> tuple[EgoDriver, EgoDriver, EgoDriver]:
    """Of each of `GROUPS`: from the rows' ego vectors (n, 6), at first `ego`, to actions (n, 2) float32."""
    n = len(ego)
    noise = OrnsteinUhlenbeck(rng, np.full((n, 2), 0.6), tau=1.0)
    # Without the bias it would stand most of the time, as brakes are stronger than the engine.
    forward = np.array([0.0, 0.3])
    held = np.zeros((n, 2), np.float32)

    def random(_: np.ndarray) -> np.ndarray:
        return np.clip(noise.sample() + forward, -1, 1).astype(np.float32)

    def extreme(_: np.ndarray) -> np.ndarray:
        steer, throttle = rng.choice([-1.0, 1.0], n), rng.choice([-1.0, 1.0], n, p=[0.25, 0.75])
        # Held for 2 s on average, long enough to get somewhere.
        switches = (rng.random(n) < 0.05) | (held[:, 0] == 0)
        held[switches] = np.stack([steer, throttle], 1)[switches]
        return held

    return random, RouteFollower.from_ego(ego), extreme


def magnitudes(before: np.ndarray, ego: np.ndarray, distance: np.ndarray, dt: float) -> np.ndarray:
    """(..., 5) `QUANTITIES` of steps from ego vectors `before` to `ego` (..., 6), over `distance` (...) [m]."""
    acceleration = np.abs(ego[..., 0] - before[..., 0]) / dt
    return np.stack([ego[..., 0], acceleration, np.abs(ego[..., 1]), distance / dt, np.abs(ego[..., 4])], -1)


def episode_rows(data: PackedData) -> np.ndarray:
    """(N,) int64: rows of all moments of the episodes listed but for the first of each."""
    return np.concatenate([np.arange(start + 1, start + n) for start, n in zip(data.starts, data.lengths)])
