"""Every driver is had by its name, drives rows as if each were alone, and is told apart from others."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from learned_sim_env.drivers import catalogue, route
from learned_sim_env.drivers.catalogue import SCRIPTED, identity, open_driver
from learned_sim_env.drivers.driver import needs_bev
from learned_sim_env.drivers.metadrive import METADRIVE_DRIVERS
from learned_sim_env.drivers.ray_features import LAG, features
from learned_sim_env.spec import CONTRACTS
from tests.drivers.road import EGO, YES, road, seen
from tests.drivers.test_network import network
from tests.toy_simulator import ToySimulator

OWN = f"{route.__name__}:RouteDriver"


@pytest.fixture
def file(tmp_path) -> str:
    network().save(tmp_path / "p.safetensors")
    return str(tmp_path / "p.safetensors")


@pytest.mark.parametrize("name", [*SCRIPTED, "network"])
def test_rows_are_driven_as_one_by_one(name, file):
    name = file if name == "network" else name
    rng, n = np.random.default_rng(0), 19
    many, alone = open_driver(name, range(n)), [open_driver(name, [i]) for i in range(n)]
    if not needs_bev(many):
        assert open_driver(name, [0])({"ego": EGO}, YES).shape == (1, 2)
    for t in range(8):
        views = np.concatenate([road(row) for row in rng.integers(8, 46, n)])
        observations = seen(views, EGO + rng.normal(size=(n, 6)).astype(np.float32))
        began = (rng.random(n) < 0.3) | (t == 0)
        actions = many(observations, began)
        assert actions.shape == (n, 2) and actions.dtype == np.float32 and (np.abs(actions) <= 1).all()
        for i, act in enumerate(alone):
            row = {key: values[i : i + 1] for key, values in observations.items()}
            np.testing.assert_array_equal(act(row, began[i : i + 1])[0], actions[i])


def test_a_network_drives_by_what_it_sees_now_and_saw_before(file):
    act, past = open_driver(file, [0]), []
    for t in range(LAG + 3):
        past.append(seen(road(10 + 4 * t)))
        first = {key: values[0] for key, values in past[max(0, t - LAG)].items()}
        now = {key: values[0] for key, values in past[t].items()}
        expected = network()(features(now, first))
        np.testing.assert_allclose(act(past[t], np.array([t == 0]))[0], expected, atol=1e-6)


def test_what_ships_is_had_by_its_name(file, monkeypatch, tmp_path):
    from learned_sim_env.drivers import network as networks

    (tmp_path / "policies").mkdir()
    shutil.copy(file, tmp_path / "policies" / "shipped.safetensors")
    monkeypatch.setattr(networks, "checkpoints_dir", lambda: tmp_path)
    ships, by_file = (open_driver(name, [0])(seen(road(20)), YES) for name in ("shipped", file))
    np.testing.assert_array_equal(ships, by_file)
    assert identity("shipped") == identity(file)


@pytest.mark.parametrize("name", METADRIVE_DRIVERS)
def test_metadrives_own_ask_the_simulator_and_need_it(name):
    simulator = ToySimulator(CONTRACTS["driving"])
    expected = simulator.policy_action(name.removeprefix("metadrive-"))[None]
    np.testing.assert_array_equal(open_driver(name, [0], simulator)({"ego": EGO}, YES), expected)
    with pytest.raises(ValueError, match="cannot drive where there is no simulator"):
        open_driver(name, [0])


def test_metadrives_own_drive_metadrive():
    pytest.importorskip("metadrive", reason="needs the extra [metadrive]")
    from learned_sim_env.environments.twin import TwinDrivingEnv

    twin = TwinDrivingEnv("metadrive")
    try:
        twin.reset(seed=3)
        for name, asked in METADRIVE_DRIVERS.items():
            action = open_driver(name, [0], twin.simulator)({}, YES)
            assert action.shape == (1, 2) and (np.abs(action) <= 1).all()
            np.testing.assert_allclose(action[0], twin.simulator.policy_action(asked), atol=1e-6)
    finally:
        twin.close()


def test_ones_own_is_found_by_its_module():
    assert catalogue.load_maker(OWN) is route.RouteDriver
    with pytest.raises(ValueError, match="has no function nobody"):
        open_driver(f"{route.__name__}:nobody", [0])
    with pytest.raises(ImportError, match="nowhere"):
        open_driver("nowhere:nobody", [0])


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("carefull", ValueError, "Did you mean 'careful'"),
        ("folow-8", ValueError, "Did you mean 'follow-8'"),
        ("exprt", ValueError, "Did you mean 'metadrive-expert'"),
        ("none.safetensors", FileNotFoundError, r"none\.safetensors does not exist"),
    ],
)
def test_unknown_ones(name, error, message):
    with pytest.raises(error, match=message):
        open_driver(name, [0])


def test_drives_are_kept_by_what_cannot_have_changed(file, monkeypatch):
    assert identity("careful") == "careful" != identity("idm")
    first = identity(file)
    network(targets=True).save(Path(file))
    assert identity(file) != first
    without = identity(OWN)
    monkeypatch.setattr(route.RouteDriver, "fingerprint", "v1", raising=False)
    assert identity(OWN) == f"{OWN} v1" != without
