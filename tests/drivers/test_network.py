"""Networks are read as they were written, and drive as their outputs mean."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from learned_sim_env.drivers import ray_features
from learned_sim_env.drivers.network import NEEDED, NetworkPolicy, open_network, shipped_policies
from learned_sim_env.drivers.route import follow
from learned_sim_env.spec import CONTRACTS


def network(targets=False):
    rng = np.random.default_rng(0)
    sizes = [ray_features.SIZE, 8, 4, 2]
    layers = [(rng.normal(size=(b, a)) / 8, rng.normal(size=b)) for a, b in pairwise(sizes)]
    return NetworkPolicy(tuple((w.astype(np.float32), b.astype(np.float32)) for w, b in layers), targets, {"steps": 3})


def test_a_network_may_give_targets(tmp_path):
    features = np.random.default_rng(1).normal(size=(5, ray_features.SIZE)).astype(np.float32)
    features[:, -6:] = np.random.default_rng(2).uniform(-1, 1, (5, 6))
    network(targets=True).save(tmp_path / "p.safetensors")
    actions = open_network(str(tmp_path / "p.safetensors"))(features)
    np.testing.assert_array_equal(actions, follow(network()(features), features[:, -6:] / ray_features.EGO_SCALE))
    assert not np.array_equal(actions, network()(features))


def test_a_network_is_read_as_it_was_written(tmp_path):
    policy = network()
    policy.save(tmp_path / "p.safetensors")
    read = open_network(str(tmp_path / "p.safetensors"))
    features = np.random.default_rng(1).normal(size=(5, ray_features.SIZE)).astype(np.float32)
    np.testing.assert_array_equal(read(features), policy(features))
    np.testing.assert_allclose(read(features[0]), policy(features)[0], rtol=1e-6)
    assert read(features).shape == (5, 2) and (np.abs(read(features)) <= 1).all()
    assert read.about == {"steps": 3}


def test_files_that_are_no_networks(tmp_path):
    from safetensors.numpy import load_file, save_file

    path = tmp_path / "p.safetensors"
    with pytest.raises(FileNotFoundError, match=r"p\.safetensors does not exist"):
        open_network(str(path))
    path.write_bytes(b"nothing at all")
    with pytest.raises(ValueError, match="is not a policy"):
        open_network(str(path))
    network().save(path)
    tensors, metadata = load_file(path), {"schema_version": "2", "outputs": "actions"}
    metadata["contract"] = str(CONTRACTS["driving"].fingerprints(NEEDED))
    for changed, message in (
        ((tensors, {**metadata, "schema_version": "1"}), "not a policy of schema version 2: 1"),
        ((tensors, {}), "is not a policy: it has no schema version"),
        ((tensors, {**metadata, "outputs": "wishes"}), "gives wishes, not one of actions, targets"),
        ((tensors, {**metadata, "contract": "another"}), "no fingerprint of a contract"),
        (({**tensors, "1.weight": np.zeros((4, 9), np.float32)}, metadata), "layer 1 is missing or does not take 8"),
        (({n: v for n, v in tensors.items() if n[0] != "2"}, metadata), "its last layer gives 4 numbers"),
    ):
        save_file(changed[0], path, changed[1])
        with pytest.raises(ValueError, match=message):
            open_network(str(path))
    with pytest.raises(ValueError, match="unknown policy 'drem'"):
        open_network("drem")


@pytest.mark.parametrize("name", shipped_policies())
def test_what_ships_can_be_read(name):
    assert open_network(name).about
