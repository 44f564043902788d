"""Training of the world model of cameras, on drives along a road made by hand."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from learned_sim_env.data.episode import SCENERY_SLOTS
from learned_sim_env.data.episode_recorder import agent_slots, scenery_slots
from learned_sim_env.data.packed import PackedData
from learned_sim_env.road import road_index
from learned_sim_env.scene import to_frame
from learned_sim_env.spec import CAMERAS, CONTRACTS, BevSpec, SemanticClass
from learned_sim_env.training.loop.trainer import Trainer
from learned_sim_env.training.objective import run_config
from learned_sim_env.training.processes import Process
from learned_sim_env.training.rssm.camera.moments import Moments
from learned_sim_env.training.rssm.camera.objective import CameraObjective, CameraSettings
from learned_sim_env.training.rssm.camera.painter_examples import OwnPictures, examples, looked_at, slots_of
from learned_sim_env.training.rssm.camera.painter_examples import scenery as scenery_found
from learned_sim_env.training.rssm.camera.painter_loss import paint, psnr
from learned_sim_env.training.rssm.camera.seeing import SeeingObjective
from learned_sim_env.world_model.checkpoint import from_pretrained
from learned_sim_env.world_model.rssm.camera.config import SIZES
from learned_sim_env.world_model.rssm.camera.model import CameraWorldModel
from learned_sim_env.world_model.rssm.camera.painting.casting import AGENT, FIRST
from learned_sim_env.world_model.rssm.camera.painting.keyframe import BASE, Hypotheses, Keyframe
from tests import scenes
from tests.training.rssm.camera.recorded import Recorded

pytest.importorskip("cv2", reason="drawing needs OpenCV, which the simulators' extras bring")

from learned_sim_env.rendering.bev import BevRenderer
from learned_sim_env.rendering.camera import Appearance, CameraRenderer
from learned_sim_env.rendering.camera.scenery import scenery

# All of it trains or dreams: left out by `make test-fast`.
pytestmark = pytest.mark.slow

CONTRACT, BEV = CONTRACTS["driving-camera"], BevSpec()
STEPS = 14


@pytest.fixture(scope="module")
def moments() -> Moments:
    """Two drives of STEPS + 1 moments past a car that drives as well, a standing one, and a cone."""
    rows, view = [], BevRenderer(BEV)
    for number, condition in enumerate(("clear", "overcast")):
        renderer, look = CameraRenderer(), Appearance.named(condition, number)
        for t in range(STEPS + 1):
            others = scenes.agents(
                (SemanticClass.VEHICLE, 14 + 0.6 * t, 3.5, 0.02 * t, 4.6, 1.9),
                (SemanticClass.VEHICLE, 22.0, -1.0 - number, 0.4, 4.4, 1.8),
                (SemanticClass.STATIC_OBJECT, 16.0, 1.0, 0.0, 0.4, 0.4),
            )
            scene = scenes.scene(others=others, x=0.9 * t, y=0.2 * number, heading=0.01 * t, velocity=(9.0, 0.0))
            pictures, road = renderer.render(scene, look), road_index(scene.road_map)
            left, _, _ = road.on_route(scene.ego.pose)
            rows.append(
                {
                    **pictures,
                    "map": view.map_layer(scene),
                    "bev": view.semantic(scene),
                    "ego_pose": scene.ego.pose,
                    "route": road.waypoints(scene.ego.pose),
                    "route_left": np.float32(left),
                    "route_headings": road.route_headings(left).astype(np.float32),
                    **agent_slots(scene.agents),
                    **scenery_slots(scene),
                }
            )
    arrays = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    return Moments(Recorded(arrays), np.arange(len(rows)), np.repeat([3, 8], STEPS + 1), tuple(CAMERAS))


@pytest.fixture
def model() -> CameraWorldModel:
    torch.manual_seed(0)
    return CameraWorldModel(SIZES["camera-tiny"], CONTRACT)


def test_pairs_are_of_one_episode_and_as_far_apart_as_asked(moments):
    steps = np.random.default_rng(0).integers(1, STEPS + 1, 200)
    first, later = moments.pairs(np.random.default_rng(1), 200, steps)
    assert (later - first == steps).all() and (moments.episode[first] == moments.episode[later]).all()
    assert not moments.later(np.array([STEPS, STEPS, 2 * STEPS + 1]), np.array([1, 2, 1])).any()
    alone = dataclasses.replace(moments, episode=np.zeros_like(moments.episode))
    assert not alone.later(np.array([-1]), np.array([1])).any()
    looked = looked_at(moments, np.random.default_rng(2), first)
    assert (
        (looked <= first).all() and (moments.episode[looked] == moments.episode[first]).all() and (looked < first).any()
    )


def test_moments_near_obstacles_are_seen_more_often(moments, model):
    reach = 10.0
    near = moments.near_obstacles(reach)
    away = np.hypot(*(np.array([16.0, 1.0]) - moments.read("ego_pose", np.arange(len(moments)))[:, :2]).T)
    assert near.tolist() == np.flatnonzero(away < reach).tolist() and 0 < len(near) < len(moments)
    objective = SeeingObjective(model, {"train": moments, "validation": moments}, batch_size=4000)
    objective.obstacles = {"train": near[:1], "validation": near[:1]}
    shares = [(objective.batch(split, 0) == near[0]).mean() for split in ("train", "validation")]
    assert shares[0] == pytest.approx(0.2 + 0.8 / len(moments), abs=0.03) and shares[1] < 0.06


def test_agents_are_given_in_the_frame_of_the_ego(moments):
    agents = moments.agents(np.array([5]))
    ego = moments.read("ego_pose", np.array(5))
    x, y = np.array([22.0, -1.0]) - ego[:2]
    c, s = np.cos(ego[2]), np.sin(ego[2])
    np.testing.assert_allclose(agents["pose"][0, 1], [c * x + s * y, c * y - s * x, 0.4 - ego[2]], atol=1e-4)
    assert agents["class"][0].tolist().count(SemanticClass.VEHICLE) == 2


def test_scenery_is_given_in_the_frame_of_the_ego(moments):
    now, later = np.array([2, STEPS + 3]), np.array([9, STEPS + 10])
    there = moments.scenery(later, seen_from=now)
    assert there["pose"].shape == there["size"].shape == (2, SCENERY_SLOTS, 3)
    assert there["pose"].dtype == there["size"].dtype == torch.float32 and there["kind"].dtype == torch.uint8
    assert there["pose"].abs()[..., 2].max() <= np.pi and (there["size"][there["kind"] > 0] > 0).all()
    whole = scenery(scenes.straight_road())
    for row, moment in enumerate(now):
        here, ego = moments.scenery(now), moments.read("ego_pose", moment)
        # The nearest first; where they stand does not depend on the moment they are listed at.
        assert (here["pose"][row, here["kind"][row] > 0, :2].norm(dim=-1).diff() > -1e-4).all()
        for listed in (here, there):
            pose = listed["pose"][row, listed["kind"][row] > 0].double().numpy()
            back = np.array([*to_frame(np.zeros(2), ego), -ego[2]])
            world = to_frame(pose[:, :2], back)
            away = np.hypot(*(world[:, None] - whole.poses[:, :2]).T)
            assert (away.min(0) < 1e-3).all()
            assert (whole.kinds[away.argmin(0)] == listed["kind"][row, : len(pose)].numpy()).all()


def test_the_slots_in_which_agents_were_are_told_by_their_number(moments):
    first, later = np.array([2]), np.array([9])
    now, before = moments.agents(later), moments.agents(first)
    slots = slots_of(now, before)
    for slot in (0, 1, 16):  # The last is the cone.
        assert before["id"][0, slots[0, slot]] == now["id"][0, slot] and now["class"][0, slot] > 0
    before["id"][0, 0] = 77
    assert slots_of(now, before)[0, :2].tolist() == [-1, 1]


def test_scenery_is_found_imprecisely_in_training(moments):
    later, first = np.array([9, 24]), np.array([2, 17])
    exact = scenery_found(moments, None, later, first, 8)
    true = moments.scenery(later, first)
    assert torch.equal(exact.pose, true["pose"][:, :8]) and torch.equal(exact.kind, true["kind"][:, :8])
    off, sizes, missed = [], [], []
    for seed in range(60):
        found = scenery_found(moments, np.random.default_rng(seed), later, first, 8)
        there = (found.kind > 0) & (exact.kind > 0)
        off.append((found.pose[..., :2].norm(dim=-1) / exact.pose[..., :2].norm(dim=-1))[there])
        sizes.append((found.size / exact.size)[there])
        missed.append((exact.kind > 0) & (found.kind == 0))
    off, sizes, missed = torch.cat(off), torch.cat(sizes), torch.stack(missed)
    # Half of them by about a twelfth, the others not at all.
    assert 0.3 < (off == 1).float().mean() < 0.7 and off[off != 1].std().item() == pytest.approx(0.08, rel=0.3)
    assert 0.02 < missed[:, exact.kind > 0].float().mean() < 0.12
    # What seems to be farther seems to be larger.
    assert torch.corrcoef(torch.stack([off, sizes.mean(-1)]))[0, 1] > 0.7


def test_examples_agree_with_the_pictures(moments, model):
    """What geometry says of a moment explains its pictures: ground, agents and scenery are where examples have them."""
    first = np.array([0, STEPS + 1])
    given = examples(moments, first, first + 6, first, model.rssm.memory, model.rig, 16)
    hits, rig = given.now.hits, model.rig
    shown = [torch.cat([v, torch.zeros_like(v[..., :1])], -1) for v in (given.key.pictures, given.real.pictures)]
    key = Keyframe.of(shown[0], shown[1][:, :, : rig.skyline], given.turned, given.generation)
    looked = Hypotheses(rig)(key, given.motion, hits, given.now.things, given.then)
    true, copied = (moments.tensors(m, "pictures")[0].flatten(1, 3) / 255 for m in (first + 6, first))
    pixel, sources = hits.row * len(rig.rays) + hits.ray, looked.behind[:, BASE].transpose(1, 2).flatten(0, 1)
    free = torch.ones(true.shape[0] * true.shape[1], dtype=torch.bool).index_fill(0, pixel, False)
    ground = torch.zeros(len(rig.rays), dtype=torch.bool).index_fill(0, rig.ground, True).repeat(2) & free
    true, copied = (v.reshape(-1, 3) for v in (true, copied))
    parts = [(sources[ground], ground.nonzero()[:, 0])]
    parts += [(looked.things[hits.layer == layer], pixel[hits.layer == layer]) for layer in (AGENT, FIRST)]
    for colours, at in parts:
        seen = colours[:, 3] > 0
        near, far = ((v[seen] - true[at][seen]).abs().mean() for v in (colours[:, :3], copied[at]))
        assert seen.sum() > 150 and near < 0.75 * far


def test_own_pictures_replace_others_when_full():
    own, rng = OwnPictures(10), np.random.default_rng(0)
    for start in range(0, 40, 4):
        number = np.arange(start, start + 4)
        own.add(rng, number, np.full((4, 1, 2, 2, 3), start, np.uint8), np.ones(4, np.float32))
    assert len(own) == 10 and own.moments.max() >= 36
    assert all((picture == moment // 4 * 4).all() for moment, picture in zip(own.moments, own.pictures, strict=True))


def test_movers_move_as_they_do(moments):
    pose, motion, size = moments.movers(np.array([0, 6]), 0.1)
    car = moments.read("agent_ids", np.array(6))[:16].tolist().index(0)
    assert motion[1, car, 1].item() == pytest.approx(0.2, abs=1e-3)  # It turns by 0.02 a step.
    assert not motion[0, :, 1].any() and size[1, car].tolist() == pytest.approx([4.6, 1.9])
    assert torch.equal(pose, moments.agents(np.array([0, 6]))["pose"][:, :16])


@pytest.fixture(scope="module")
def packed(moments) -> PackedData:
    """The drives as data: one for each split."""
    arrays = {**moments.data.arrays, "ego": np.zeros((2 * STEPS + 2, 6), np.float32)}
    arrays["actions"] = np.zeros((2 * STEPS + 2, 2), np.float32)
    seeds, names = np.array([0, 9]), np.array(["", ""])
    starts, lengths = np.array([0, STEPS + 1]), np.full(2, STEPS + 1)
    fingerprints = CONTRACT.fingerprints((*CAMERAS, "ego", "route", "bev"))
    return PackedData(arrays, starts, lengths, seeds, names, names, names, names, names, fingerprints)


@pytest.fixture
def short_pairs(monkeypatch):
    monkeypatch.setattr("learned_sim_env.training.rssm.camera.objectives.LONGEST", 8)
    monkeypatch.setattr("learned_sim_env.training.rssm.camera.objectives.LONGEST_OWN", 8)
    monkeypatch.setattr("learned_sim_env.training.rssm.camera.objectives.OWN_FROM", 4)


def trainer(packed: PackedData, out: Path, steps: int, **more: int) -> Trainer:
    config = run_config("camera-tiny", steps=steps, batch_size=4, warmup=2, learning_rate=4e-3)
    settings = CameraSettings(painted=3, detected=4, detect_from=1)
    return Trainer(config, packed, out, settings, log_every=1, **more)


def test_it_learns_to_see_to_paint_and_to_find_agents(packed, moments, short_pairs, tmp_path):
    run = trainer(packed, tmp_path, 26)
    first = np.array([0, 1])
    given = examples(moments, first, first + 3, first, run.model.rssm.memory, run.model.rig, 8)
    run.run()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    train, (validation,) = ([line for line in lines if line["kind"] == kind] for kind in ("train", "validation"))
    for part in ("classes", "found"):
        before, after = (np.mean([line[part] for line in some if part in line]) for some in (train[:4], train[-4:]))
        assert after < 0.8 * before, part
    assert {"classes", "psnr", "found"} <= set(validation) and (tmp_path / "dream-000026.png").exists()
    own = run.objective.painting.own
    assert len(own) == 26 * 3 and own.generations.max() >= 2 and (own.moments <= STEPS).all()
    with torch.no_grad():
        painted = psnr(paint(run.model.eval(), given).colours, given.true).mean()
    copied = psnr(moments.tensors(first, "pictures")[0].permute(0, 1, 4, 2, 3) / 255, given.true).mean()
    assert painted > copied


def test_a_run_goes_on_exactly_from_what_it_painted(packed, short_pairs, tmp_path, monkeypatch):
    monkeypatch.setattr("learned_sim_env.training.loop.trainer.Trainer._validate", lambda *_: None)
    trainer(packed, tmp_path / "whole", 12).run()
    half = trainer(packed, tmp_path / "parted", 12, save_every=8)
    saved = half.save

    def killed() -> None:
        saved()
        raise RuntimeError("killed")

    half.save = killed
    with pytest.raises(RuntimeError, match="killed"):
        half.run()
    half = trainer(packed, tmp_path / "parted", 12)
    assert half.step == 8 and len(half.objective.painting.own) == 8 * 3
    half.run()
    whole, parted = (load_file(tmp_path / name / "state.safetensors") for name in ("whole", "parted"))
    assert whole.keys() == parted.keys() and "memory.0.pictures" in whole
    assert all(torch.equal(whole[name], parted[name]) for name in whole)


def test_all_of_it_is_one_objective(packed, moments, short_pairs):
    config = run_config("camera-tiny", batch_size=2)
    assert config.contract == CONTRACT.name and config.clip_norm == 1
    settings = CameraSettings(painted=2, detected=2, detect_from=1)
    objective = CameraObjective(config, settings, packed, Process(), torch.device("cpu"))
    assert set(moments.rows[objective.batch(0).seen]) <= set(range(STEPS + 1))
    assert all((batch.painted.moments <= STEPS).all() for batch in objective.validation_batches())
    shipped = from_pretrained("bev-rssm").model.state_dict()
    weights = dict(objective.model.rssm.named_parameters())
    assert all(torch.equal(weights[name], shipped[name]) for name in weights)

    optimizer = torch.optim.SGD(objective.parameter_groups(), 1e-3)
    before = {name: value.clone() for name, value in objective.model.state_dict().items()}
    for step in (0, 1):
        total, parts = objective.loss(objective.batch(step))
        total.backward()
        assert ("found" in parts) == (step == 1) and {"classes", "psnr"} <= set(parts)
    optimizer.step()
    changed = {name for name, value in objective.model.state_dict().items() if not torch.equal(value, before[name])}
    for part in ("perception", "painter", "look", "rssm.detector"):
        assert any(name.startswith(part) for name in changed), part
    assert all(name.startswith("rssm.detector") for name in changed if name.startswith("rssm"))
    assert objective.pictures().shape == (2 * 2 * 64, 3 * 96, 3)
    assert not objective.finish().model.training
