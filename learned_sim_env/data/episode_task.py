"""The episode of a seed: a simulator driven by one of several behaviours, to the end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from learned_sim_env.data.behaviours import choose_behaviour, make_behaviour
from learned_sim_env.data.episode import MODALITIES, Episode
from learned_sim_env.data.episode_recorder import EpisodeRecorder
from learned_sim_env.data.store import EpisodeFolder
from learned_sim_env.data.workers import Task
from learned_sim_env.environments.twin import TwinDrivingEnv
from learned_sim_env.scene import SimulatorError


def record_episode(env: TwinDrivingEnv, simulator: str, seed: int, names: Iterable[str] = MODALITIES) -> Episode:
    """Drive the episode of `seed` to its end, with the behaviour that the seed chooses; `names` are of modalities."""
    name = choose_behaviour(seed)
    behaviour = make_behaviour(name, seed)
    recorder = EpisodeRecorder(env, names)
    env.reset(seed=seed)
    recorder.moment()
    terminated = truncated = False
    info: dict[str, Any] = {}
    while not (terminated or truncated):
        action = behaviour.act(env)
        _, reward, terminated, truncated, info = env.step(action)
        recorder.transition(action, float(reward), terminated, truncated)
        recorder.moment()
    if info["end_reason"] == "simulator_error":
        raise SimulatorError(f"the simulator failed in the episode of seed {seed}: it is not recorded")
    return recorder.episode(seed, simulator, name, info["end_reason"])


@dataclass(frozen=True)
class EpisodeTask:
    """Made into a task inside a worker: opens the simulator there, then records and stores the episodes of seeds."""

    simulator: str
    max_steps: int
    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)
    contract: str = "driving"
    names: tuple[str, ...] = MODALITIES

    def env(self) -> TwinDrivingEnv:
        """Where it drives; opened, but not begun."""
        return TwinDrivingEnv(
            simulator=self.simulator,
            contract=self.contract,
            # The cheapest: episodes are recorded from what the environment can show, not from its observations.
            obs_type="ego",
            max_episode_steps=self.max_steps,
            **self.settings,
        )

    def __call__(self) -> Task:
        env, folder = self.env(), EpisodeFolder(self.folder)

        def task(seed: int) -> int:
            episode = record_episode(env, self.simulator, seed, self.names)
            folder.write(episode)
            return len(episode)

        return task
