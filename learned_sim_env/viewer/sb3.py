"""Policies that Stable-Baselines3 has saved, read without unpickling anything.

A file holds JSON, in which some values are pickled, and the weights. The weights are read as tensors alone; what the
policy looks like is in the readable part, and the spaces are the contract's own.
"""

from __future__ import annotations

import importlib
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from learned_sim_env.drivers.ray_features import LAG, features
from learned_sim_env.environments.actions import to_continuous
from learned_sim_env.environments.observations import needed, shown
from learned_sim_env.optional import require
from learned_sim_env.spec import ACTION_TYPES
from learned_sim_env.viewer.session import Session

PACKAGE = "stable_baselines3"


class PolicyDriver:
    """A policy of Stable-Baselines3, without noise, which sees what it was trained to see."""

    def __init__(self, path: Path, policy: Any, obs_type: str, action_type: str):
        self.name, self._policy = path.name, policy
        self.obs_type, self.action_type = obs_type, action_type

    def __call__(self, session: Session) -> np.ndarray:
        """Action (2,) float32 for the session's present moment."""
        action, _ = self._policy.predict(observed(session, self.obs_type), deterministic=True)
        return to_continuous(action, self.action_type)


def observed(session: Session, obs_type: str) -> Any:
    """What an environment of that `obs_type` shows at the session's present moment."""
    if obs_type == "latent":
        return session.features()
    if obs_type == "flat":
        now, *earlier = [moment for _, moment in zip(range(LAG + 1), session.moment.back())]
        first = earlier[-1] if earlier else now
        return features(*({"semantic": m.views["bev"], "ego": m.observation["ego"]} for m in (now, first)))
    return shown(session.modalities(needed(session.contract, obs_type)), obs_type, session.contract)


def open_policy(path: Path, session: Session) -> PolicyDriver:
    """The policy in a file, for any of the contract's observations and actions.

    Raises:
        ValueError: if the file is no policy of Stable-Baselines3, or one for other spaces, or of a class that does not
            come with Stable-Baselines3.
        ImportError: if Stable-Baselines3 is not installed.
    """
    require(PACKAGE, extra="rl")
    data, weights = _read(path)
    policy_class = _class(path, data.get("policy_class"))
    settings = _settings(path, data.get("policy_kwargs"))
    shapes = _shapes(data.get("observation_space")), _shapes(data.get("action_space"))
    for obs_type, observations in _observations(session):
        for action_type in ACTION_TYPES:
            actions = session.contract.action_space(action_type)
            if shapes != (_signature(observations), _signature(actions)):
                continue
            try:
                policy = policy_class(observations, actions, lambda _: 0.0, **settings)
                policy.load_state_dict(weights)
            except (TypeError, ValueError, RuntimeError) as error:
                raise ValueError(f"{path}: its weights do not fit a {policy_class.__name__}: {error}") from error
            policy.set_training_mode(False)
            return PolicyDriver(path, policy, obs_type, action_type)
    takes = "; ".join(f"{name} {_signature(space)}" for name, space in _observations(session))
    gives = " or ".join(str(_signature(session.contract.action_space(name))) for name in ACTION_TYPES)
    raise ValueError(
        f"{path} does not fit: it was trained on observations {shapes[0]} and actions {shapes[1]}. Here, observations "
        f"are {takes}, and actions {gives}"
    )


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    import torch

    try:
        with zipfile.ZipFile(path) as file:
            data = json.loads(file.read("data"))
            with file.open("policy.pth") as stream:
                weights = torch.load(stream, map_location="cpu", weights_only=True)
    except (zipfile.BadZipFile, KeyError, ValueError, RuntimeError, EOFError) as error:
        raise ValueError(f"{path} is not a policy that Stable-Baselines3 has saved: {error}") from error
    return data, weights


def _class(path: Path, described: Any) -> Any:
    described = described if isinstance(described, dict) else {}
    module = str(described.get("__module__", ""))
    name = re.match(r"<function (\w+)\.__init__", str(described.get("__init__", "")))
    if not name or module.partition(".")[0] != PACKAGE:
        raise ValueError(f"{path}: its policy class, of module {module!r}, does not come with Stable-Baselines3")
    return getattr(importlib.import_module(module), name[1])


def _settings(path: Path, described: Any) -> dict[str, Any]:
    """The policy's own settings, as far as text tells them.

    Raises:
        ValueError: for one that only unpickling would tell.
    """
    from torch import nn

    settings: dict[str, Any] = {}
    for name, value in (described if isinstance(described, dict) else {}).items():
        # Pickles and their types, and what matters to training alone.
        if name.startswith((":", "optimizer_")):
            continue
        # What is no JSON stands there as its text.
        activation = re.fullmatch(r"<class 'torch\.nn\.modules\.activation\.(\w+)'>", str(value))
        if activation:
            value = getattr(nn, activation[1])
        elif isinstance(value, str) and value.startswith("<"):
            raise ValueError(f"{path}: its setting {name} is {value}, which could only be read by unpickling it")
        settings[name] = value
    return settings


def _observations(session: Session) -> Iterator[tuple[str, gym.Space]]:
    """Observations that the model can give, as policies see them: with the channels of a picture before its rows."""
    from stable_baselines3.common.preprocessing import is_image_space
    from stable_baselines3.common.vec_env import VecTransposeImage

    def transposed(space: Any) -> gym.Space:
        return VecTransposeImage.transpose_space(space) if is_image_space(space) else space

    size = len(session.features())
    for obs_type in session.contract.obs_types:
        if not set(needed(session.contract, obs_type)) <= {"ego", *session.draws}:
            continue
        space = session.contract.observation_space(obs_type, size)
        if isinstance(space, gym.spaces.Dict):
            yield obs_type, gym.spaces.Dict({name: transposed(part) for name, part in space.items()})
        else:
            yield obs_type, transposed(space)


def _signature(space: gym.Space) -> dict[str, tuple[int, ...]] | tuple[int, ...]:
    """Shape of a box, (n,) of n choices, or the shapes in a dict by name."""
    if isinstance(space, gym.spaces.Dict):
        return {name: tuple(box.shape or ()) for name, box in space.items()}
    return (int(space.n),) if isinstance(space, gym.spaces.Discrete) else tuple(space.shape or ())


def _shapes(described: Any) -> dict[str, tuple[int, ...]] | tuple[int, ...] | None:
    """As `_signature`, from what a file says of a space; None where that cannot be read."""
    if not isinstance(described, dict):
        return None
    if "n" in described:
        return (int(described["n"]),)
    if "spaces" in described:
        found = re.findall(r"'(\w+)': Box\([^()]*\(([\d, ]+)\)", str(described["spaces"]))
        return {name: tuple(int(n) for n in shape.replace(" ", "").split(",") if n) for name, shape in found}
    shape = described.get("_shape")
    return tuple(shape) if isinstance(shape, list) else None
