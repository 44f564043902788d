"""A policy of cameras is read as it was written, and drives by what it observes alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from learned_sim_env.drivers import open_driver
from learned_sim_env.drivers.camera_network import (
    CAMERAS,
    READINGS,
    VISIBLE,
    CameraNetwork,
    CameraPolicy,
    Reader,
    closeness,
    reading_targets,
)
from learned_sim_env.drivers.driver import observed_by
from learned_sim_env.drivers.network import NetworkPolicy
from learned_sim_env.drivers.route import follow
from learned_sim_env.rendering.rays import ANGLES, TARGETS
from learned_sim_env.spec import CONTRACTS, SemanticClass

CONTRACT = CONTRACTS["driving-camera"]


def observations(rows=3):
    rng = np.random.default_rng(0)
    spaces = CONTRACT.observation_space()
    spaces.seed(0)
    drawn = [spaces.sample() for _ in range(rows)]
    seen = {name: np.stack([row[name] for row in drawn]) for name in spaces}
    return {**seen, "ego": rng.uniform(-1, 1, (rows, 6)).astype(np.float32)}


def policy(cameras=CAMERAS, targets=False):
    torch.manual_seed(0)
    return CameraPolicy(CameraNetwork(len(cameras), (8, 4)).eval(), cameras, targets, {"steps": 3})


@pytest.mark.parametrize("cameras", [CAMERAS, ()])
def test_a_policy_is_read_as_it_was_written(tmp_path, cameras):
    policy(cameras).save(tmp_path / "p.safetensors")
    read, seen = CameraPolicy.load(tmp_path / "p.safetensors"), observations()
    np.testing.assert_array_equal(read(seen), policy(cameras)(seen))
    assert read.about == {"steps": 3} and read.observes == (*cameras, "ego", "route") and not read.targets


def test_a_driver_needs_no_view_from_above_and_its_rows_are_their_own(tmp_path):
    policy(targets=True).save(tmp_path / "p.safetensors")
    driver, seen = open_driver(str(tmp_path / "p.safetensors"), [0, 1, 2]), observations()
    assert observed_by(driver) == ("front", "left", "right", "ego", "route")
    actions = driver(seen, np.ones(3, bool))
    assert actions.shape == (3, 2) and actions.dtype == np.float32
    np.testing.assert_array_equal(actions, follow(policy()(seen), seen["ego"]))
    alone = driver({name: value[1:2] for name, value in seen.items()}, np.ones(1, bool))
    np.testing.assert_array_equal(alone[0], actions[1])


@pytest.mark.parametrize("name", ["front", "left", "right", "ego", "route"])
def test_all_that_is_observed_matters(name):
    seen = observations()
    changed = {**seen, name: seen[name][::-1]}
    assert not np.array_equal(policy()(seen)[0], policy()(changed)[0])


def test_a_ray_is_read_where_it_is_seen():
    torch.manual_seed(0)
    reader, front = Reader(), CONTRACT.modality("front").camera
    pictures = torch.full((1, 3, 64, 96, 3), 127.5, requires_grad=True)
    angles = np.array(ANGLES)[VISIBLE]
    for angle, camera in ((0.0, 0), (-12.0, 0), (60.0, 1), (-90.0, 2)):
        ray = int(np.flatnonzero(angles == angle)[0])
        logits = reader(pictures).view(len(TARGETS), -1)[:, ray].sum()
        (grown,) = torch.autograd.grad(logits, pictures)
        weight = grown[0].abs().sum((1, 3))
        assert weight.sum(1).argmax() == camera and weight.sum(1).count_nonzero() == 1
        columns = weight[camera].nonzero()[:, 0].numpy()
        yaw = np.radians(angle - (0.0, 60.0, -60.0)[camera])
        column = front.width / 2 - front.focal_length * np.tan(yaw)
        assert columns.min() <= column <= columns.max() and np.ptp(columns) < 24
        assert columns.mean() == pytest.approx(column, abs=3 if 12 < column < 84 else 12)


def test_readings_are_of_rays_where_cameras_look():
    bev = CONTRACT.bev
    view = np.full((1, bev.height, bev.width), SemanticClass.ROUTE, np.uint8)
    row, column = (round(float(v)) for v in bev.pixels(np.array([9.0, 0.0])))
    view[0, row, column - 1 : column + 2] = SemanticClass.VEHICLE
    close = closeness(view)
    obstacle = close[0, list(TARGETS).index("obstacle")]
    assert obstacle[ANGLES.index(0.0)] == pytest.approx(1 - 9 / 36, abs=0.03)
    assert obstacle[ANGLES.index(180.0)] == 0 and obstacle[ANGLES.index(60)] == 0
    targets = reading_targets(torch.from_numpy(close))
    assert targets.shape == (1, READINGS) and targets.max() == close[:, 2].max()


def test_readings_are_learned_from_pictures():
    """A pillar ahead that reaches the farther down, the nearer it stands."""
    torch.manual_seed(0)
    front = CONTRACT.modality("front").camera
    angles = torch.from_numpy(np.array(ANGLES)[VISIBLE])
    pictures, true = torch.zeros(72, 3, 64, 96, 3, dtype=torch.uint8), torch.zeros(72, len(TARGETS), len(angles))
    for i, (where, near) in enumerate(torch.rand(72, 2).tolist()):
        angle = 50 * where - 25
        column = round(front.width / 2 - front.focal_length * np.tan(np.radians(angle)))
        pictures[i, 0, : round(20 + 40 * near), column - 4 : column + 5] = 255
        true[i, :, (angles - angle).abs() < 4] = near
    reader, loss = Reader(), torch.nn.functional.binary_cross_entropy_with_logits
    optimiser = torch.optim.Adam(reader.parameters(), 3e-3)
    for _ in range(60):
        optimiser.zero_grad()
        loss(reader(pictures[:64]), true[:64].flatten(1)).backward()
        optimiser.step()
    with torch.inference_mode():
        error = (reader(pictures[64:]).sigmoid() - true[64:].flatten(1)).abs().mean()
    assert error < 0.35 * true[64:].mean()


def test_files_that_are_no_policies_of_cameras(tmp_path):
    from safetensors.numpy import load_file, save_file

    path = tmp_path / "p.safetensors"
    policy().save(path)
    tensors = load_file(path)
    observes = ("front", "left", "right", "ego", "route")
    metadata = {
        "schema_version": "2",
        "outputs": "targets",
        "observes": ",".join(observes),
        "contract": str(CONTRACT.fingerprints(observes)),
    }
    for changed, message in (
        ((tensors, {**metadata, "observes": "front,bev"}), "observes front, bev, not cameras, ego and route"),
        ((tensors, {**metadata, "observes": "bev,ego,route"}), "observes bev, ego, route"),
        ((tensors, {**metadata, "outputs": "wishes"}), "gives wishes"),
        ((tensors, {**metadata, "contract": str(CONTRACT.fingerprints(("ego",)))}), "has no modality 'front'"),
        (({n: v for n, v in tensors.items() if "layers" not in n}, metadata), "has no layers"),
        (({n: v for n, v in tensors.items() if "reader" not in n}, metadata), "does not hold the network"),
    ):
        save_file(changed[0], path, changed[1])
        with pytest.raises(ValueError, match=message):
            CameraPolicy.load(path)
    policy().save(path)
    with pytest.raises(ValueError, match="has no modality 'bev'"):
        NetworkPolicy.load(path)
