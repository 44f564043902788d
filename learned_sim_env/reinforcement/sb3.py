"""Stable-Baselines3 on Gymnasium's vector environments: rows stay one batch all the way.

Stable-Baselines3 has vector environments of its own kind. The one here hands arrays over as they are; only rows whose
episode ended get an info of their own, because that is all that its algorithms read.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode

from learned_sim_env.environments.observations import take
from learned_sim_env.optional import require
from learned_sim_env.reinforcement.infos import merged, of_step

require("stable_baselines3", extra="rl")
from stable_baselines3.common.vec_env import VecEnv  # noqa: E402

# What the info of a row's last step tells besides what Stable-Baselines3 asks for.
KEPT_INFOS = ("cost", "end_reason", "uncertainty")


class Sb3VecEnv(VecEnv):
    """A Gymnasium vector environment in autoreset mode SAME_STEP as a `VecEnv` of Stable-Baselines3.

    `infos[i]` is empty but in the step that ends row i's episode, when it holds "terminal_observation",
    "TimeLimit.truncated", "episode" (return "r", length "l", time "t", summed cost "c") and `KEPT_INFOS`. The infos
    of all rows are in `batch_infos`, as arrays.

    Args:
        env: the vector environment, wrapped or not.

    Raises:
        ValueError: if it is in another autoreset mode.

    Attributes:
        batch_infos: infos of the last reset or step, in Gymnasium's vector form.
        seconds: spent in the environment so far.
    """

    def __init__(self, env: gym.vector.VectorEnv):
        mode = env.metadata.get("autoreset_mode")
        if mode is not AutoresetMode.SAME_STEP:
            raise ValueError(
                f"autoreset_mode is {mode}: Stable-Baselines3 wants the first observation of the next episode at once; "
                'make the environment with autoreset_mode="SameStep"'
            )
        self.env = env
        self.batch_infos: dict[str, Any] = {}
        self.seconds = 0.0
        self._began = time.perf_counter()
        self._returns, self._costs = np.zeros(env.num_envs), np.zeros(env.num_envs)
        self._lengths = np.zeros(env.num_envs, np.int64)
        self._actions: Any = None
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> Any:
        """Observations of new episodes in all rows, each with the seed and options that `seed` and `set_options` gave.

        Raises:
            ValueError: for options of another number of rows, or that the environment refuses.
        """
        seeds: Any = None if all(seed is None for seed in self._seeds) else list(self._seeds)
        first, *others = _alike(self._options, self.num_envs)
        # All rows at first, because not every vector environment can begin with some.
        observations, infos = self.env.reset(seed=seeds, options=dict(self._options[first.argmax()]) or None)
        for mask in others:
            options = {**self._options[mask.argmax()], "reset_mask": mask.copy()}
            observations, later = self.env.reset(seed=seeds, options=options)
            infos = merged(infos, later, mask)
        self.batch_infos = infos
        self.reset_infos = [{} for _ in range(self.num_envs)]
        self._returns[:], self._costs[:], self._lengths[:] = 0.0, 0.0, 0
        self._reset_seeds()
        self._reset_options()
        return observations

    def step_async(self, actions: np.ndarray) -> None:
        """Remember the actions."""
        self._actions = actions

    def step_wait(self) -> tuple[Any, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Take the step: observations, rewards (B,) float32, dones (B,) bool and infos."""
        began = time.perf_counter()
        observations, rewards, terminated, truncated, told = self.env.step(self._actions)
        self.seconds += time.perf_counter() - began
        over = terminated | truncated
        self.batch_infos = told
        self._returns += rewards
        self._costs += of_step(told, "cost", over)
        self._lengths += 1
        infos: list[dict[str, Any]] = [{}] * self.num_envs
        if over.any():
            last = {key: of_step(told, key, over) for key in KEPT_INFOS}
            for i in np.flatnonzero(over):
                infos[i] = {
                    "terminal_observation": take(told["final_obs"], int(i)),
                    "TimeLimit.truncated": bool(truncated[i] and not terminated[i]),
                    "episode": {
                        "r": float(self._returns[i]),
                        "l": int(self._lengths[i]),
                        "t": round(time.perf_counter() - self._began, 6),
                        "c": float(self._costs[i]),
                    },
                    **{key: value[i] for key, value in last.items()},
                }
            self._returns[over], self._costs[over], self._lengths[over] = 0.0, 0.0, 0
        return observations, rewards.astype(np.float32), over, infos

    def close(self) -> None:
        """Close the environment."""
        self.env.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute, which all rows share, once for each of `indices`."""
        return [getattr(self.env, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute of all rows, see `environments.rows.Rows.set_attr`.

        Raises:
            AttributeError: for some of the rows only.
        """
        self._all_or_none("set", attr_name, indices)
        self.env.unwrapped.set_attr(attr_name, [value] * self.num_envs)  # type: ignore[attr-defined]

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """What a method gives in every row, see `environments.rows.Rows.call`.

        Raises:
            AttributeError: for some of the rows only.
        """
        self._all_or_none("call", method_name, indices)
        return list(self.env.unwrapped.call(method_name, *args, **kwargs))  # type: ignore[attr-defined]

    def _all_or_none(self, verb: str, name: str, indices: Any) -> None:
        if list(self._get_indices(indices)) != list(range(self.num_envs)):
            raise AttributeError(f"rows share one environment: {verb} {name!r} for all of them")

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: Any = None) -> list[bool]:
        """Whether rows are wrapped, each by itself: never."""
        return [False for _ in self._get_indices(indices)]

    def get_images(self) -> Sequence[np.ndarray | None]:
        """One frame a row."""
        frames: Any = self.env.render()
        return [None] * self.num_envs if frames is None else list(frames)


def _alike(options: Sequence[dict[str, Any]], num_rows: int) -> list[np.ndarray]:
    """Masks (B,) bool of the rows that have the same options."""
    if len(options) != num_rows:
        raise ValueError(f"{len(options)} options for {num_rows} rows: give one dict for all, or one a row")
    masks: list[np.ndarray] = []
    for i, given in enumerate(options):
        for mask in masks:
            if data_equivalence(options[int(mask.argmax())], given):
                mask[i] = True
                break
        else:
            masks.append(np.arange(num_rows) == i)
    return masks
