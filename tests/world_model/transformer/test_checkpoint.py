"""A transformer as a checkpoint, and as an environment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch

import learned_sim_env  # noqa: F401
from learned_sim_env.spec import CONTRACTS
from learned_sim_env.world_model.checkpoint import from_pretrained, save_pretrained
from learned_sim_env.world_model.contexts import Contexts
from learned_sim_env.world_model.transformer.config import SIZES
from learned_sim_env.world_model.transformer.model import EXACT, DrivingTransformer


@pytest.fixture(scope="module")
def model() -> DrivingTransformer:
    torch.manual_seed(0)
    config = replace(SIZES["transformer-tiny"], modalities=("bev",))
    return DrivingTransformer(config, CONTRACTS["driving"]).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def folder(model: DrivingTransformer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    n, rng = 4, np.random.default_rng(0)
    ego = np.zeros((n, 5, 6), np.float32)
    ego[..., 0] = 8.0
    contexts = Contexts(
        {"bev": rng.integers(0, 9, (n, 5, 64, 64)).astype(np.uint8), "ego": ego},
        rng.uniform(-1, 1, (n, 5, 2)).astype(np.float32),
        np.ones((n, 7), bool),
        np.arange(n),
        rng.uniform(-1, 1, (n * 7, 2)).astype(np.float32),
        np.arange(n + 1) * 7,
    )
    return save_pretrained(tmp_path_factory.mktemp("made") / "small", model, contexts, 3.0, {"steps": 0})


def test_weights_are_kept_in_half_precision_but_for_what_is_exact(model: DrivingTransformer, folder: Path) -> None:
    numbers = sum(value.numel() for value in model.state_dict().values())
    assert (folder / "model.safetensors").stat().st_size < 2.7 * numbers
    loaded = from_pretrained(folder).model
    assert loaded.config == model.config and not loaded.training
    for name, value in model.state_dict().items():
        kept = loaded.state_dict()[name]
        assert kept.dtype == torch.float32
        assert torch.equal(kept, value if name.startswith(EXACT) else value.half().float()), name
    # What was rounded once stays as it is.
    assert all(torch.equal(v.float(), loaded.state_dict()[n]) for n, v in loaded.stored_weights().items())


def test_it_drives_the_environment_and_snapshots_are_bit_identical(folder: Path) -> None:
    """Snapshots are of compact states; the way on from them is the same, beyond the window."""
    env = gym.make("LearnedDriving-v0", checkpoint=f"{folder}", max_episode_steps=100).unwrapped
    first, info = env.reset(seed=3)
    assert first["bev"].shape == (64, 64, 3) and info["imagined_steps"] == 0
    actions = np.random.default_rng(1).uniform(-1, 1, (14, 2)).astype(np.float32)
    for action in actions[:6]:
        env.step(action)
    snapshot = env.snapshot()
    assert "keys_0" not in snapshot["state"]

    def on() -> list[np.ndarray]:
        observations = [env.step(action)[0] for action in actions[6:]]
        return [o[name] for o in observations for name in ("bev", "ego")]

    once = on()
    env.restore(snapshot)
    assert all(np.array_equal(a, b) for a, b in zip(once, on()))
    other, _ = env.reset(seed=4)
    assert not np.array_equal(other["bev"], first["bev"])
