"""Every registered id keeps one contract: what is learned or measured in one can be checked in the other."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import load_env_creator
from gymnasium.utils.env_checker import check_env

from learned_sim_env.registration import BACKENDS, EnvDeclaration, declarations
from learned_sim_env.resources import checkpoints_dir
from learned_sim_env.spec import CONTRACTS, COST_TERMS, INFO_KEYS, REWARD_TERMS, SCENARIO_TAGS
from tests import standin
from tests.recordings.world import make_world
from tests.recordings.writers import scenarionet

FORWARD = np.array([0.0, 0.5], np.float32)
INFO_TYPES = {
    "reward_terms": dict,
    "cost": np.float64,
    "cost_terms": dict,
    "end_reason": str,
    "uncertainty": np.float64,
    "ego_motion": np.ndarray,
    "imagined_steps": int,
    "context": int,
    "scenario_tags": tuple,
}


def require(declaration: EnvDeclaration) -> None:
    """Skip an id that cannot run here."""
    backend = BACKENDS[declaration.backend]
    if importlib.util.find_spec(backend.module) is None:
        pytest.skip(f"{backend.module} is not installed")
    checkpoint = declaration.settings.get("checkpoint")
    if checkpoint is not None and not (checkpoints_dir() / checkpoint).is_dir():
        pytest.skip(f"there is no checkpoint {checkpoint!r} here")


def create(declaration: EnvDeclaration, **settings) -> gym.Env:
    """The environment itself; `gym.make` would take `max_episode_steps` for its own wrapper."""
    return load_env_creator(gym.spec(declaration.id).entry_point)(**{**declaration.kwargs(), **settings})


# The others differ from these in what they observe and how they are driven, see `test_forms`.
PLAIN = [d.id for d in declarations().values() if d.form == ("dict", "continuous")]


@pytest.fixture(scope="module", params=PLAIN)
def declaration(request):
    require(declarations()[request.param])
    return declarations()[request.param]


@contextlib.contextmanager
def needs(declaration: EnvDeclaration) -> Iterator[dict[str, object]]:
    """Settings of an environment that needs something to run; CARLA needs a server, one an environment."""
    if declaration.backend == "carla":
        with standin.server() as settings:
            yield settings
    elif declaration.backend == "recorded":
        with tempfile.TemporaryDirectory() as folder:
            scenarionet(Path(folder), make_world())
            yield {"recordings": folder}
    else:
        yield {}


@pytest.fixture(scope="module")
def env(declaration):
    with needs(declaration) as settings:
        env = gym.make(declaration.id, **settings)
        yield env
        env.close()


def test_spaces_and_clock_are_the_contracts(env, declaration):
    contract = CONTRACTS[declaration.contract]
    assert env.unwrapped.contract == contract
    assert env.observation_space == contract.observation_space()
    assert env.action_space == contract.action_space()
    assert env.metadata["render_fps"] == round(1 / contract.dt) == 10
    assert env.metadata["render_modes"] == ["human", "rgb_array"]
    assert declaration.max_episode_steps == contract.max_episode_steps == 500


def test_info_is_the_contracts(env):
    _, first = env.reset(seed=0)
    *_, later = env.step(FORWARD)
    for info in (first, later):
        # Cameras that are drawn, are drawn in some light; recordings say how far they are to be believed.
        more = set(info) - set(INFO_KEYS)
        assert tuple(info)[: len(INFO_KEYS)] == INFO_KEYS
        assert more <= {"appearance", "recorded_distance", "unreacting", "believable"}
        assert {key: type(info[key]) for key in INFO_KEYS} == INFO_TYPES
        assert tuple(info["reward_terms"]) == REWARD_TERMS
        assert tuple(info["cost_terms"]) == COST_TERMS
        assert all(type(v) is float for v in (*info["reward_terms"].values(), *info["cost_terms"].values()))
        assert (info["ego_motion"].shape, info["ego_motion"].dtype) == ((3,), np.float32)
        assert set(info["scenario_tags"]) <= set(SCENARIO_TAGS)
    assert not any(first["reward_terms"].values())
    assert (first["cost"], first["end_reason"], first["imagined_steps"]) == (0.0, "", 0)
    assert not first["ego_motion"].any()


def test_a_step_is_the_contracts(env):
    observation, _ = env.reset(seed=1)
    assert observation in env.observation_space
    for i in range(10):
        action = FORWARD * i / 10
        observation, reward, terminated, truncated, info = env.step(action)
        assert observation in env.observation_space
        assert [type(v) for v in (reward, terminated, truncated)] == [float, bool, bool]
        assert reward == pytest.approx(sum(info["reward_terms"].values()), abs=1e-5)
        assert info["cost"] == max(info["cost_terms"].values())
        assert observation["ego"][2:4].tolist() == action.tolist()
        assert (info["end_reason"] != "") == (terminated or truncated)
        if terminated or truncated:
            break


def test_the_seed_decides(env):
    def episode(seed):
        observation, _ = env.reset(seed=seed)
        name = env.unwrapped.contract.observation[0]
        return [observation[name], *(env.step(FORWARD)[0][name] for _ in range(3))]

    assert np.array_equal(episode(2), episode(2))
    assert not np.array_equal(episode(2), episode(3))


def test_other_observations_and_actions(declaration):
    if declaration.backend == "carla" and "CARLA_SERVER" in os.environ:
        pytest.skip("the one CARLA server is in use by the other environment")
    with needs(declaration) as settings:
        env = create(declaration, obs_type="semantic", action_type="discrete", max_episode_steps=1, **settings)
        contract = CONTRACTS[declaration.contract]
        assert env.observation_space == contract.observation_space("semantic")
        assert env.action_space == contract.action_space("discrete")
        observation, _ = env.reset(seed=0)
        assert observation in env.observation_space
        *_, terminated, truncated, info = env.step(10)
        assert terminated or truncated
        assert info["end_reason"] in ("time_limit", "uncertainty", "collision", "off_road", "arrival")
        env.close()


def test_unknown_names_are_refused_alike(declaration):
    for settings, message in (
        ({"obs_type": "dicts"}, "unknown obs_type 'dicts'. Did you mean 'dict'?"),
        ({"action_type": "discret"}, "unknown action_type 'discret'. Did you mean 'discrete'?"),
        ({"max_episode_steps": 0}, "max_episode_steps 0 is less than 1"),
    ):
        with pytest.raises(ValueError) as raised:
            create(declaration, **settings)
        assert message in str(raised.value)


def test_gymnasium_finds_nothing_to_complain_about(env):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Frames are checked with toys: here each would come from another engine, in a process of its own.
        check_env(env.unwrapped, skip_render_check=True)


def test_stable_baselines_finds_nothing_to_complain_about(env):
    checker = pytest.importorskip("stable_baselines3.common.env_checker", reason="needs the extra [rl]")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Its extractor flattens waypoints (10, 2), and says so.
        warnings.filterwarnings("ignore", message="Your observation route has an unconventional shape")
        checker.check_env(env, warn=True)
