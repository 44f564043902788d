"""Policies on a world model's features: what they see is what the model filters, and their files say which model."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest
import torch

from learned_sim_env.agents.actor_critic.latent_policy import LatentNetwork, LatentPolicy
from learned_sim_env.agents.decisions import ACTION_KINDS
from learned_sim_env.agents.experience import filtered
from learned_sim_env.drivers.catalogue import open_driver
from learned_sim_env.drivers.driver import observed_by
from learned_sim_env.drivers.network import read, write
from learned_sim_env.imagination.filter import Filter
from learned_sim_env.rendering.palette import colourise
from learned_sim_env.resources import checkpoints_dir
from learned_sim_env.spec import Fingerprints
from learned_sim_env.world_model.checkpoint import from_pretrained

YES, NO = np.ones(2, bool), np.zeros(2, bool)


@pytest.fixture(scope="module")
def checkpoint():
    return from_pretrained("bev-rssm")


def policy(checkpoint, kind="targets", named="bev-rssm"):
    torch.manual_seed(0)
    network = LatentNetwork(checkpoint.model.latent_size, (16,), kind)
    network.inputs.fit(3 * torch.randn(50, network.size))
    return LatentPolicy(network, checkpoint, named, {"seed": 1})


def moments(checkpoint, t):
    """Observations of two rows at step t of two contexts, as drivers are given them."""
    seen = {name: values[[3, 8], t] for name, values in checkpoint.contexts.observations.items()}
    return {**seen, "bev": colourise(seen["bev"])}


@pytest.mark.parametrize("kind", ACTION_KINDS)
def test_a_file_gives_back_the_policy(kind, checkpoint, tmp_path):
    made = policy(checkpoint, kind)
    made.save(tmp_path / "p.safetensors")
    found = LatentPolicy.load(tmp_path / "p.safetensors")
    features, ego = np.random.default_rng(0).normal(size=(3, made.network.size)).astype(np.float32), np.zeros((3, 6))
    actions = made(features, ego)
    assert actions.shape == (3, 2) and actions.dtype == np.float32 and np.abs(actions).max() <= 1
    np.testing.assert_array_equal(found(features, ego), actions)
    assert found.about == {"seed": 1} and found.network.kind == kind


@pytest.mark.parametrize(
    ("named", "kept"), [("bev-rssm", "bev-rssm"), ("hf://a/b", "hf://a/b"), ("runs/x", os.path.abspath("runs/x"))]
)
def test_paths_are_kept_absolute(named, kept, checkpoint):
    assert filtered.world_model_metadata(checkpoint, named)[filtered.WORLD_MODEL] == kept


def test_inputs_are_standardised_and_held():
    network = LatentNetwork(3, (4,), "targets")
    features = torch.tensor([[0.0, 5.0, 1.0], [4.0, 5.0, 3.0]])
    network.inputs.fit(features)
    found = network.inputs(features)
    torch.testing.assert_close(found[:, [0, 2]], torch.tensor([[-1.0, -1.0], [1.0, 1.0]]) / 2**0.5)
    assert network.inputs(torch.tensor([[1e9, 5.0, 2.0]])).max() == 10
    # What does not vary over real moments is left out wherever it does.
    assert (network.inputs(torch.tensor([[0.0, 9.0, 1.0], [0.0, -9.0, 1.0]]))[:, 1] == 0).all()


def test_it_sees_what_the_model_filters(checkpoint, tmp_path):
    made = policy(checkpoint)
    made.save(tmp_path / "p.safetensors")
    act = open_driver(str(tmp_path / "p.safetensors"), [0, 1])
    assert observed_by(act) == ("bev", "ego")
    alone = [open_driver(str(tmp_path / "p.safetensors"), [i]) for i in range(2)]
    rows = [Filter(checkpoint) for _ in range(2)]
    for t in range(3):
        seen = moments(checkpoint, t)
        actions = act(seen, YES if t == 0 else NO)
        for i, row in enumerate(rows):
            now = {name: values[[3, 8][i], t] for name, values in checkpoint.contexts.observations.items()}
            features = row.begin(now) if t == 0 else row.go_on(now, now["ego"][2:4])
            np.testing.assert_array_equal(made(features[None], now["ego"][None])[0], actions[i])
            mine = {name: values[i : i + 1] for name, values in seen.items()}
            np.testing.assert_array_equal(alone[i](mine, np.array([t == 0]))[0], actions[i])


def test_an_episode_that_begins_knows_nothing_of_the_last(checkpoint, tmp_path):
    policy(checkpoint).save(tmp_path / "p.safetensors")
    act = open_driver(str(tmp_path / "p.safetensors"), [0, 1])
    first = act(moments(checkpoint, 0), YES)
    act(moments(checkpoint, 1), NO)
    np.testing.assert_array_equal(act(moments(checkpoint, 0), YES), first)


def test_the_world_model_may_lie_beside_the_policy(checkpoint, tmp_path):
    shutil.copytree(checkpoints_dir() / "bev-rssm", tmp_path / "there" / "model")
    policy(checkpoint, named=str(tmp_path / "gone" / "model")).save(tmp_path / "there" / "p.safetensors")
    assert LatentPolicy.load(tmp_path / "there" / "p.safetensors").checkpoint.fingerprint == checkpoint.fingerprint
    policy(checkpoint, named=str(tmp_path / "gone" / "model")).save(tmp_path / "p.safetensors")
    with pytest.raises(FileNotFoundError, match=r"drives by the world model .*gone/model, which is not there: put"):
        open_driver(str(tmp_path / "p.safetensors"), [0])


def test_another_world_model_is_refused(checkpoint, tmp_path):
    path = tmp_path / "p.safetensors"
    policy(checkpoint).save(path)
    metadata, tensors = read(path)
    declared, about = Fingerprints.parse(metadata["contract"]), json.loads(metadata["about"])
    more = {name: metadata[name] for name in ("driver", "network", filtered.WORLD_MODEL)}
    write(path, tensors, declared, True, about, {**more, filtered.FINGERPRINT: "0" * 64})
    with pytest.raises(ValueError, match=f"of world model bev-rssm {'0' * 12}, but that is now"):
        open_driver(str(path), [0])
    write(path, tensors, declared, True, about, {**more, "driver": "latnt"})
    with pytest.raises(ValueError, match="Did you mean 'latent'"):
        open_driver(str(path), [0])
    write(path, {**tensors, "layers.0.weight": tensors["layers.0.weight"][:3]}, declared, True, about, metadata)
    with pytest.raises(ValueError, match="does not hold the network that it declares"):
        open_driver(str(path), [0])
