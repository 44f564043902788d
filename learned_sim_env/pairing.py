"""A dream beside the simulator it was learned from: started at the same moment, driven with the same actions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np

from learned_sim_env.recording import beside, labelled
from learned_sim_env.registration import declarations
from learned_sim_env.rendering.palette import colourise
from learned_sim_env.scene import SimulatorError
from learned_sim_env.spec import unknown

if TYPE_CHECKING:
    from learned_sim_env.environments.twin import TwinDrivingEnv
    from learned_sim_env.world_model.contexts import Contexts

# Why a simulator may not come to a context.
NOT_THE_SAME = "this is not the simulator, or not the version or settings of it, that the context was recorded in"


def open_twin(env_id: str, simulator: str = "", **settings: Any) -> TwinDrivingEnv:
    """The twin that environment `env_id` declares, without a time limit of its own: a dream begins after its start.

    Args:
        env_id: of a learned environment.
        simulator: another one of the same contract than the declared twin's.
        settings: of the simulator, beside those that are declared.

    Raises:
        ValueError: if it declares none, or there is no such simulator.
        ImportError: if what the twin needs is not installed.
    """
    from learned_sim_env.environments.twin import TwinDrivingEnv

    known = declarations()
    if simulator:
        alike = [d for d in known.values() if (d.contract, d.form) == (known[env_id].contract, known[env_id].form)]
        twins = {d.backend: d for d in alike if d.backend != "learned"}
        if simulator not in twins:
            raise unknown("simulator", simulator, twins)
        twin = twins[simulator]
    elif known[env_id].twin:
        twin = known[known[env_id].twin]
    else:
        raise ValueError(f"{env_id} has no twin")
    return TwinDrivingEnv(**{**twin.kwargs(), "info_type": "full", "max_episode_steps": 1_000_000, **settings})


def approach(twin: TwinDrivingEnv, contexts: Contexts, index: int) -> Iterator[int]:
    """Drive the scenario of context `index` up to the context's end, as it was driven when it was recorded.

    Args:
        twin: the simulator that the contexts were recorded in, with continuous actions.
        contexts: of the checkpoint that dreams.
        index: of the context, as in `info["context"]`.

    Yields:
        The steps that are still to be driven, before each of them and at the end.

    Raises:
        ValueError: if the episode ends on the way, which it did not when it was recorded.
        SimulatorError: if the simulator fails.
    """
    actions = contexts.replay_actions(index)
    twin.reset(seed=int(contexts.scenarios[index]))
    for step, action in enumerate(actions, start=1):
        yield len(actions) - step + 1
        *_, terminated, truncated, info = twin.step(action)
        if info["end_reason"] == "simulator_error":
            raise SimulatorError(f"the simulator failed on the way to context {index}")
        if terminated or truncated:
            raise ValueError(
                f"scenario {contexts.scenarios[index]} ends after {step} steps ({info['end_reason']}), before context "
                f"{index}: {NOT_THE_SAME}"
            )
    yield 0


def agreement(twin: TwinDrivingEnv, contexts: Contexts, index: int) -> float:
    """Share of pixels of the simulator's view that equal the last one of context `index`."""
    return float(np.mean(twin.semantic == contexts.semantic[index, -1]))


def bring_to_context(twin: TwinDrivingEnv, contexts: Contexts, index: int) -> float:
    """`approach` to the end.

    Returns:
        Share of pixels of the simulator's view that equal the context's last one: 1.0 where it is the same moment.
    """
    for _ in approach(twin, contexts, index):
        pass
    return agreement(twin, contexts, index)


@dataclass(frozen=True)
class Side:
    """What one of the two showed and gave at a moment. frame: (H, W, 3) uint8 RGB."""

    frame: np.ndarray
    reward: float = 0.0
    cost: float = 0.0
    end_reason: str = ""


@dataclass(frozen=True)
class Moment:
    """One moment of a pair; observation and info are the dream's, `twin` is None where there is none."""

    observation: dict[str, np.ndarray]
    info: dict[str, Any]
    dream: Side
    twin: Side | None

    @property
    def over(self) -> bool:
        """Whether the episode has ended in either."""
        return bool(self.dream.end_reason or (self.twin and self.twin.end_reason))

    def picture(self, scale: int = 5) -> np.ndarray:
        """RGB (H', W', 3) uint8, enlarged, each side under its name and how it ended; needs Pillow."""
        sides = [(f"imagined, {self.info['imagined_steps']} steps since real", self.dream)]
        if self.twin is not None:
            sides.append(("MetaDrive", self.twin))
        ends = [f": {side.end_reason.replace('_', ' ')}" if side.end_reason else "" for _, side in sides]
        return beside([labelled(side.frame, name + end, scale) for (name, side), end in zip(sides, ends)])


class Pair:
    """A learned environment (obs_type "dict", continuous actions) and its twin, or None to dream alone.

    Attributes:
        agreement: share of equal pixels at the start, see `bring_to_context`.
        steps: taken since it was made. dream_seconds, twin_seconds: spent in them.
    """

    def __init__(self, dream: gym.Env, twin: TwinDrivingEnv | None):
        self.dream, self.twin = dream, twin
        self.agreement = 0.0
        self.steps, self.dream_seconds, self.twin_seconds = 0, 0.0, 0.0

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Moment:
        """Begin at a context: `seed` and `options` are the dream's."""
        observation, info = self.dream.reset(seed=seed, options=options)
        twin = None
        if self.twin is not None:
            contexts = self.dream.get_wrapper_attr("checkpoint").contexts
            self.agreement = bring_to_context(self.twin, contexts, info["context"])
            twin = Side(colourise(self.twin.semantic))
        return Moment(observation, info, Side(observation["bev"]), twin)

    def step(self, action: np.ndarray) -> Moment:
        """One clock step of both under `action` (2,) float32."""
        began = time.perf_counter()
        observation, reward, _, _, info = self.dream.step(action)
        self.dream_seconds += time.perf_counter() - began
        self.steps += 1
        twin = None
        if self.twin is not None:
            began = time.perf_counter()
            twin_observation, twin_reward, _, _, twin_info = self.twin.step(action)
            self.twin_seconds += time.perf_counter() - began
            twin = Side(twin_observation["bev"], twin_reward, twin_info["cost"], twin_info["end_reason"])
        return Moment(
            observation, info, Side(observation["bev"], float(reward), info["cost"], info["end_reason"]), twin
        )

    def close(self) -> None:
        """Close both."""
        self.dream.close()
        if self.twin is not None:
            self.twin.close()
