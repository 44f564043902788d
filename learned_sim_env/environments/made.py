"""What `gym.make` requires of an environment: a `spec` that JSON can hold, and the time limit of its wrapper."""

from __future__ import annotations

import os
import sys
from enum import Enum
from types import FrameType
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec
from gymnasium.wrappers import TimeLimit

from learned_sim_env.spec import Contract


class Made:
    """Mixin for environments and vector environments: a `spec` for which `spec.to_json()` works."""

    _spec: EnvSpec | None = None

    @property
    def spec(self) -> EnvSpec | None:
        """The spec that Gymnasium made it from; None if its class was called directly."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        if spec is not None:
            spec.kwargs = {name: _plain(value) for name, value in spec.kwargs.items()}
        self._spec = spec


def _plain(value: Any) -> Any:
    """Paths, members of enumerations and devices of torch as the texts that mean the same to a constructor."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Enum):
        return value.value
    return str(value) if type(value).__module__ == "torch" else value


def episode_limit(env: gym.Env, contract: Contract, asked: int | None) -> int:
    """Time limit [steps] of the episode that `env` is about to begin. To be called by its `reset`.

    Where Gymnasium's `TimeLimit` is among the wrappers, it ends the episode in any case. The environment follows it, so
    that `info["end_reason"]` says so, and so that a limit above the contract's holds as well.

    Args:
        env: the environment, while its `reset` is running.
        contract: its contract.
        asked: the limit that its constructor was given, None if none.

    Returns:
        The wrapper's limit or `asked`, whichever is less; the contract's where there is neither.
    """
    limits = [limit for limit in (asked, _wrapped_limit(env)) if limit is not None]
    return min(limits, default=contract.max_episode_steps)


def _wrapped_limit(env: gym.Env) -> int | None:
    """The least limit of the `TimeLimit`s around `env`, None without one.

    An environment has no reference to its wrappers. But their `reset` calls its own, so they are on the call stack.
    """
    limits = []
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code is TimeLimit.reset.__code__ and (wrapper := frame.f_locals["self"]).unwrapped is env:
            limits.append(wrapper._max_episode_steps)
        frame = frame.f_back
    return min(limits, default=None)
