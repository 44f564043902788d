"""Episodes of one environment, by scenario and driver, as the numbers that are compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import gymnasium as gym
import numpy as np

from learned_sim_env.drivers.catalogue import open_driver
from learned_sim_env.drivers.driver import needs_bev
from learned_sim_env.drivers.gaps import gaps_ahead
from learned_sim_env.rendering.palette import classes_of
from learned_sim_env.spec import FAILURES, NUM_CLASSES, TEST_SCENARIOS

# What is compared of a camera's pictures: mean and standard deviation of the brightness, and how much neighbouring
# pixels differ, which is less where they are blurred.
PICTURED = ("brightness", "contrast", "detail")


@dataclass(frozen=True)
class ComparisonPlan:
    """What both environments drive: `episodes` of each scenario with each driver, of at most `steps` steps.

    Raises:
        ValueError: for less than one episode or step.
    """

    scenarios: tuple[str, ...] = ("straight", "curve", "intersection", "roundabout", "merge", "traffic")
    drivers: tuple[str, ...] = ("careful", "follow-10", "noisy-2")
    episodes: int = 3
    steps: int = 200

    def __post_init__(self) -> None:
        if self.episodes < 1 or self.steps < 1:
            raise ValueError(f"episodes is {self.episodes} and steps {self.steps}; both must be at least 1")


@dataclass(frozen=True, eq=False)
class DrivenEpisode:
    """One episode of T steps.

    speed, acceleration, yaw_rate [m/s, m/s^2, rad/s], reward, cost: (T,) float64. headway: seconds to the vehicle ahead
    in the view, (T,), NaN where there is none or the ego stands. end: its reason, or "" where the plan's steps were
    over first. classes: by class view, (9,) share of pixels of each class. pictures: by camera, (3,) of `PICTURED`.
    """

    scenario: str
    driver: str
    speed: np.ndarray
    acceleration: np.ndarray
    yaw_rate: np.ndarray
    headway: np.ndarray
    reward: np.ndarray
    cost: np.ndarray
    end: str
    classes: Mapping[str, np.ndarray] = field(default_factory=dict)
    pictures: Mapping[str, np.ndarray] = field(default_factory=dict)


def drive(env: gym.Env, plan: ComparisonPlan) -> tuple[list[DrivenEpisode], dict[str, str]]:
    """Drive the whole plan.

    Returns:
        The episodes, and why each scenario that the environment cannot have, and each driver that needs a view which it
        does not show, was left out. Episodes that the
        simulator or the model broke off, see `spec.FAILURES`, are left out as well.
    """
    episodes: list[DrivenEpisode] = []
    seen = env.observation_space
    blind = isinstance(seen, gym.spaces.Dict) and "bev" not in seen.spaces
    missing = {d: "needs the view from above" for d in plan.drivers if blind and needs_bev(open_driver(d, [0]))}
    for scenario in plan.scenarios:
        for driver in plan.drivers:
            if scenario in missing or driver in missing:
                continue
            try:
                episodes += [e for e in _repeats(env, plan, scenario, driver) if e.end not in FAILURES]
            except ValueError as error:
                missing[scenario] = str(error)
    return episodes, missing


def _repeats(env: gym.Env, plan: ComparisonPlan, scenario: str, driver: str) -> Iterator[DrivenEpisode]:
    for i in range(plan.episodes):
        yield _episode(env, scenario, driver, TEST_SCENARIOS.start + i, plan.steps)


def _episode(env: gym.Env, scenario: str, driver: str, seed: int, steps: int) -> DrivenEpisode:
    observation, info = env.reset(seed=seed, options={"scenario": scenario})
    act, began = open_driver(driver, [seed]), np.ones(1, bool)
    speeds, turns, gaps, rewards, costs = [float(observation["ego"][0])], [], [], [], []
    modalities = [env.get_wrapper_attr("contract").modality(name) for name in observation]
    totals = {m.name: np.zeros(NUM_CLASSES if m.kind == "classes" else len(PICTURED)) for m in modalities}
    for _ in range(steps):
        action = act({name: value[None] for name, value in observation.items()}, began)[0]
        observation, reward, terminated, truncated, info = env.step(action)
        began = np.zeros(1, bool)
        speeds.append(float(observation["ego"][0]))
        turns.append(float(observation["ego"][1]))
        gaps.append(float(gaps_ahead(observation["bev"][None])[0]) if "bev" in observation else np.nan)
        rewards.append(float(reward))
        costs.append(info["cost"])
        for m in modalities:
            if m.kind == "classes":
                totals[m.name] += np.bincount(classes_of(observation[m.name]).ravel(), minlength=NUM_CLASSES)
            elif m.kind == "rgb":
                totals[m.name] += pictured(observation[m.name])
        if terminated or truncated:
            break
    speed, gap = np.array(speeds), np.array(gaps)
    moving = np.isfinite(gap) & (speed[1:] > 1.0)
    return DrivenEpisode(
        scenario=scenario,
        driver=driver,
        speed=speed[1:],
        acceleration=np.diff(speed) * env.metadata["render_fps"],
        yaw_rate=np.array(turns),
        headway=np.divide(gap, speed[1:], out=np.full(len(gap), np.nan), where=moving),
        reward=np.array(rewards),
        cost=np.array(costs),
        end=info["end_reason"],
        classes={m.name: totals[m.name] / totals[m.name].sum() for m in modalities if m.kind == "classes"},
        pictures={m.name: totals[m.name] / len(rewards) for m in modalities if m.kind == "rgb"},
    )


def pictured(rgb: np.ndarray) -> np.ndarray:
    """(3,) float64, `PICTURED` of a picture (H, W, 3) uint8, each as a share of the full range."""
    grey = rgb.mean(-1) / 255
    return np.array([grey.mean(), grey.std(), np.abs(np.diff(grey, axis=1)).mean()])


def pooled(episodes: Sequence[DrivenEpisode], name: str) -> tuple[np.ndarray, np.ndarray]:
    """All known values (N,) of a quantity, and the index of the episode (N,) that each is of."""
    values = [getattr(e, name) for e in episodes]
    owner = np.repeat(np.arange(len(values)), [len(v) for v in values])
    flat = np.concatenate(values) if values else np.zeros(0)
    known = np.isfinite(flat)
    return flat[known], owner[known]
