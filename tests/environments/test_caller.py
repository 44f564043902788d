"""Environments compute in a state of their own: what the caller has set of torch changes nothing, and stays."""

from __future__ import annotations

import random
from contextlib import contextmanager, nullcontext

import gymnasium as gym
import numpy as np
import pytest
import torch

import learned_sim_env  # noqa: F401  registers the ids
from learned_sim_env.benchmark.speed import with_few_contexts
from learned_sim_env.world_model.checkpoint import from_pretrained


@contextmanager
def default(dtype=None, device=None, precision=None, threads=None):
    before = torch.get_default_dtype(), torch.get_float32_matmul_precision(), torch.get_num_threads()
    try:
        torch.set_default_dtype(dtype or before[0])
        torch.set_default_device(device)
        torch.set_float32_matmul_precision(precision or before[1])
        torch.set_num_threads(threads or before[2])
        yield
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(before[0])
        torch.set_float32_matmul_precision(before[1])
        torch.set_num_threads(before[2])


STATES = {
    "float64": lambda: default(dtype=torch.float64),
    "bfloat16": lambda: default(dtype=torch.bfloat16),
    # A device that computes nothing stands for a GPU.
    "device": lambda: default(device="meta"),
    "device context": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "precision": lambda: default(precision="medium"),
    "threads": lambda: default(threads=2),
    "no gradients": torch.no_grad,
    "gradients": torch.enable_grad,
    "inference": torch.inference_mode,
}


def state():
    """All that an environment is to leave alone."""
    return (
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.get_float32_matmul_precision(),
        torch.is_autocast_enabled("cpu"),
        torch.get_autocast_dtype("cpu"),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.get_num_threads(),
        torch.get_rng_state().numpy().tobytes(),
        random.getstate(),
        np.random.get_state()[1].tobytes(),  # noqa: NPY002  what callers may still use
    )


def life(around, between=nullcontext, dtype="float32"):
    """What an environment shows, made and driven within `around`, with calls within `between`."""
    seen = []
    with around():
        before = state()
        checkpoint = with_few_contexts(from_pretrained("bev-rssm"), 4)
        env = gym.make("LearnedDriving-v0", checkpoint=checkpoint, render_mode="rgb_array", dtype=dtype).unwrapped
        many = gym.make_vec("LearnedDriving-v0", num_envs=2, checkpoint=checkpoint, obs_type="latent", dtype=dtype)
        assert state() == before
    with between():
        before = state()
        seen += [env.reset(seed=3)[0], many.reset(seed=3)[0]]
        for _ in range(4):
            observation, reward, *_ = env.step(np.array([0.1, 0.4], np.float32))
            batch, rewards, *_ = many.step(np.full((2, 2), 0.2, np.float32))
            seen += [observation, reward, batch, rewards]
        snapshot = env.snapshot()
        branch = env.branch(2)
        seen += [env.render(), branch.step(np.zeros((2, 2), np.float32))[0], env.restore(snapshot)[0]]
        own = {name: np.repeat(observation[name][None], 5, 0) for name in ("bev", "ego")}
        seen.append(env.reset(seed=1, options={"observations": own, "actions": np.zeros((5, 2), np.float32)})[0])
        assert state() == before
    return seen


def same(a, b):
    if isinstance(a, dict):
        return all(same(a[name], b[name]) for name in a)
    return np.array_equal(a, b)


@pytest.fixture(scope="module")
def plain():
    return {dtype: life(nullcontext, dtype=dtype) for dtype in ("float32", "bfloat16")}


@pytest.mark.slow
@pytest.mark.parametrize("name", STATES)
def test_the_same_whatever_the_caller_has_set(plain, name):
    assert all(same(a, b) for a, b in zip(plain["float32"], life(STATES[name], STATES[name]), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bfloat16", "device", "autocast"])
def test_the_same_if_it_is_set_or_unset_between(plain, name):
    for around, between in ((nullcontext, STATES[name]), (STATES[name], nullcontext)):
        assert all(same(a, b) for a, b in zip(plain["float32"], life(around, between), strict=True))
    found = life(STATES[name], STATES[name], "bfloat16")
    assert all(same(a, b) for a, b in zip(plain["bfloat16"], found, strict=True))


def test_a_model_that_is_loaded_within_inference_mode_can_be_trained():
    with torch.inference_mode():
        model = from_pretrained("bev-rssm").model
    assert not any(weight.is_inference() for weight in model.state_dict().values())
