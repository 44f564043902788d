"""What `gym.make` asks of an environment: a `spec` that JSON can hold, and to keep a limit that a wrapper knows."""

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
    """For an environment or a vector of them: `spec`, whose arguments are such that `spec.to_json()` works."""

    _spec: EnvSpec | None = None

    @property
    def spec(self) -> EnvSpec | None:
        """What it was made from, None where its class was called; Gymnasium sets it."""
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
    """Steps after which the episode that `env` is about to begin ends: to be called by its `reset`.

    Where Gymnasium's `TimeLimit` is among the wrappers, it ends the episode in any case. The environment follows it, so
    that `info["end_reason"]` says so, and so that a limit above the contract's holds as well.

    Args:
        env: whose `reset` is running.
        contract: its contract.
        asked: the limit that its constructor was given, None if none.

    Returns:
        The wrapper's limit or `asked`, whichever is less; the contract's where there is neither.
    """
    limits = [limit for limit in (asked, _wrapped_limit(env)) if limit is not None]
    return min(limits, default=contract.max_episode_steps)


def _wrapped_limit(env: gym.Env) -> int | None:
    """The least limit of the `TimeLimit`s around `env`, None without one.

    A wrapper knows what it wraps, and what is wrapped knows of no wrapper. But its `reset` is called by theirs, so they
    are among the callers.
    """
    limits = []
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code is TimeLimit.reset.__code__ and (wrapper := frame.f_locals["self"]).unwrapped is env:
            limits.append(wrapper._max_episode_steps)
        frame = frame.f_back
    return min(limits, default=None)
