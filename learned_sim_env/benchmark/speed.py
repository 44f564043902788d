"""Steps a second of environments, through the interface that a user's program calls."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import cycle
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np

from learned_sim_env.drivers.route import RouteFollower
from learned_sim_env.spec import CAMERAS, TEST_SCENARIOS

if TYPE_CHECKING:
    from learned_sim_env.world_model.checkpoint import Checkpoint

# Parts of a measurement, whose median is reported.
CHUNKS = 7
# Scenarios that a simulator drives at least: one may take ten times as long as another.
SCENARIOS = 20


@dataclass(frozen=True)
class Setting:
    """What is measured: how many rows, what they observe, how they compute. `dtype` and `threads` are torch's."""

    env_id: str
    batch: int = 1
    obs_type: str = "dict"
    dtype: str = "float32"
    threads: int = 1


@dataclass(frozen=True)
class Speed:
    """Steps a second, all rows together, and the extremes of the parts of the measurement."""

    typical: float
    low: float
    high: float

    @staticmethod
    def of(rates: list[float]) -> Speed:
        """From the steps a second of each part; the parts are alike, so the median is typical."""
        return Speed(statistics.median(rates), min(rates), max(rates))


def settings(env_id: str, cores: int, draws: Sequence[str] = ("bev",)) -> Iterator[Setting]:
    """All that is measured of a learned environment whose model draws `draws`; one row always runs on one thread.

    Of several cameras, the first alone is measured as well.
    """
    cameras = [name for name in CAMERAS if name in draws]
    alone = cameras[:1] if len(cameras) > 1 else []
    obs_types = ("latent", *(["semantic"] if "bev" in draws else []), *alone, "dict")
    for batch, dtypes in ((1, ("float32",)), (16, ("float32", "bfloat16")), (256, ("float32", "bfloat16"))):
        for threads in (1,) if batch == 1 else sorted({1, cores}):
            for dtype in dtypes:
                for obs_type in obs_types:
                    yield Setting(env_id, batch, obs_type, dtype, threads)


def learned_speed(setting: Setting, checkpoint: Checkpoint, seconds: float) -> Speed:
    """Speed of a learned environment under mild random actions, the resets of ended episodes included."""
    with torch_threads(setting.threads):
        kwargs: dict[str, Any] = {"checkpoint": checkpoint, "obs_type": setting.obs_type, "dtype": setting.dtype}
        if setting.obs_type == "dict":
            known = ("ego", *checkpoint.model.draws)
            kwargs["modalities"] = tuple(name for name in checkpoint.contract.observation if name in known)
        env: gym.Env | gym.vector.VectorEnv
        if setting.batch == 1:
            env = gym.make(setting.env_id, **kwargs)
        else:
            env = gym.make_vec(setting.env_id, num_envs=setting.batch, **kwargs)
        env.reset(seed=0)
        rng = np.random.default_rng(0)
        mild = rng.normal([0.0, 0.2], [0.1, 0.3], (64, setting.batch, 2)).clip(-1, 1).astype(np.float32)
        actions = cycle(mild[:, 0] if setting.batch == 1 else mild)

        def advance() -> int:
            *_, terminated, truncated, _ = env.step(next(actions))
            if setting.batch == 1 and (terminated or truncated):
                env.reset()
            return setting.batch

        speed = measure(advance, seconds)
        env.close()
    return speed


def with_few_contexts(checkpoint: Checkpoint, count: int = 16) -> Checkpoint:
    """The same model with its first contexts only.

    An environment warms its model up on a context when an episode first begins there: once, so that a program that runs
    for a while pays nothing for it. A short measurement with all contexts would.
    """
    c = checkpoint.contexts
    seen = {name: values[:count] for name, values in c.observations.items()}
    few = {name: getattr(c, name)[:count] for name in ("actions", "tags", "scenarios")}
    return replace(
        checkpoint, contexts=replace(c, observations=seen, **few, replay_starts=c.replay_starts[: count + 1])
    )


def twin_speed(setting: Setting, seconds: float) -> tuple[Speed, Speed]:
    """Speed of a simulator while it drives whole scenarios along their routes: without and with the time of resets."""
    env = gym.make(setting.env_id, obs_type=setting.obs_type)
    counts, driving, whole = [], [], []
    # The first one, during which everything is loaded, does not count.
    for scenario in range(-1, 1000):
        began = time.perf_counter()
        observation, _ = env.reset(seed=TEST_SCENARIOS[max(scenario, 0)])
        reset, steps, over = time.perf_counter(), 0, False
        driver = RouteFollower.from_ego(observation["ego"])
        while not over:
            observation, _, terminated, truncated, _ = env.step(driver(observation["ego"]))
            over, steps = terminated or truncated, steps + 1
        ended = time.perf_counter()
        if scenario >= 0:
            counts.append(steps)
            driving.append(ended - reset)
            whole.append(ended - began)
        if sum(driving) >= seconds and len(counts) >= SCENARIOS:
            break
    env.close()

    def speed(spent: list[float]) -> Speed:
        # Scenarios differ, so all steps over all time: what a program that drives them gets.
        rates = [count / time for count, time in zip(counts, spent)]
        return Speed(sum(counts) / sum(spent), min(rates), max(rates))

    return speed(driving), speed(whole)


def measure(advance: Callable[[], int], seconds: float) -> Speed:
    """Speed of `advance`, which takes some steps and returns how many, called for about `seconds` after a warm-up."""
    rates = []
    for _ in range(1 + CHUNKS):
        steps, began = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - began) < seconds / CHUNKS or not steps:
            steps += advance()
        rates.append(steps / elapsed)
    return Speed.of(rates[1:])


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """torch on `count` threads of the processor; afterwards on as many as before."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
