"""Camera frames: their measures, the baselines' geometry, and the level on futures that are known."""

from __future__ import annotations

from dataclasses import dataclass, fields
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from learned_sim_env.data.packed import PackedData
from learned_sim_env.evaluation.levels.cameras import LEVEL
from learned_sim_env.evaluation.levels.cameras.frame_baselines import warped_over_ground
from learned_sim_env.evaluation.levels.cameras.frame_futures import COPIED, TOLD, WARPED, compare_frames
from learned_sim_env.evaluation.levels.cameras.frames_part import frames_part
from learned_sim_env.evaluation.levels.cameras.seeing_part import AHEAD, AREAS, compared
from learned_sim_env.evaluation.levels.cameras.true_scenes import true_scenes
from learned_sim_env.evaluation.open_loop import MODEL
from learned_sim_env.evaluation.windows import WindowReader, Windows
from learned_sim_env.measures.bootstrap import resample
from learned_sim_env.measures.frame_error import MOST_PSNR, changed, frame_ssim, psnr
from learned_sim_env.measures.iou import iou
from learned_sim_env.reporting.html import write_html
from learned_sim_env.spec import CONTRACTS, CameraSpec, SemanticClass
from learned_sim_env.world_model.protocol import ScenePainter
from tests.evaluation.world import PIXEL

CONTRACT = CONTRACTS["driving-camera"]
RNG = np.random.default_rng(0)


def test_psnr_is_that_of_its_definition() -> None:
    truth = RNG.integers(0, 200, (2, 16, 20, 3)).astype(np.uint8)
    off = truth.copy()
    off[1] += 51
    # A fifth of the range everywhere: 20 log10(5).
    np.testing.assert_allclose(psnr(off, truth), [MOST_PSNR, 20 * np.log10(5)])
    where = np.zeros((2, 16, 20), bool)
    assert np.isnan(psnr(off, truth, where)).all()
    off[1, :, 10:] = truth[1, :, 10:]
    where[:, :, :10] = True
    np.testing.assert_allclose(psnr(off, truth, where)[1], 20 * np.log10(5))
    np.testing.assert_allclose(psnr(off, truth)[1], 20 * np.log10(5) + 10 * np.log10(2))


def test_measures_agree_with_scikit_image() -> None:
    metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    truth = RNG.integers(0, 256, (64, 96, 3)).astype(np.uint8)
    other = np.clip(truth + RNG.normal(0, 30, truth.shape), 0, 255).astype(np.uint8)
    assert psnr(other, truth) == pytest.approx(metrics.peak_signal_noise_ratio(truth, other), abs=1e-9)
    theirs = metrics.structural_similarity(truth, other, channel_axis=-1)
    assert frame_ssim(other, truth) == pytest.approx(theirs, abs=1e-5)
    _, each = metrics.structural_similarity(truth, other, channel_axis=-1, full=True)
    where = np.zeros((64, 96), bool)
    where[10:20, 30:60] = True
    assert frame_ssim(other, truth, where) == pytest.approx(each[10:20, 30:60].mean(), abs=1e-5)


def test_similarity_of_a_constant_shift_is_that_of_its_formula() -> None:
    dark, light = (np.full((16, 16, 3), level, np.uint8) for level in (51, 102))
    # Without variance it is the luminance term alone.
    expected = (2 * 0.2 * 0.4 + 1e-4) / (0.2**2 + 0.4**2 + 1e-4)
    assert frame_ssim(light, dark) == pytest.approx(expected, abs=1e-4)
    assert frame_ssim(dark, dark) == pytest.approx(1.0)
    where = np.zeros((16, 16), bool)
    # At the edge no window is centred.
    where[0] = True
    assert np.isnan(frame_ssim(light, dark, where))


def test_what_changed_is_what_differs_visibly() -> None:
    before = np.full((4, 5, 3), 100, np.uint8)
    frame = before.copy()
    frame[1, 2], frame[2, 2] = 108, 140
    np.testing.assert_array_equal(np.argwhere(changed(frame, before)), [[2, 2]])


def painted(camera: CameraSpec, pose: tuple[float, float, float]) -> np.ndarray:
    """(H, W, 3) uint8: a smooth pattern on the ground, seen from a pose; the sky's colour is that of its direction."""
    rows, columns = np.mgrid[0 : camera.height, 0 : camera.width] + 0.5
    rays = camera.rays(rows, columns)
    down = np.maximum(-rays[..., 2], 1e-9)
    points = (np.array(camera.position) + rays * (camera.position[2] / down)[..., None])[..., :2]
    x, y, heading = pose
    c, s = np.cos(heading), np.sin(heading)
    place = np.stack([x + c * points[..., 0] - s * points[..., 1], y + s * points[..., 0] + c * points[..., 1]], -1)
    ground = 128 + 100 * np.sin(place[..., 0] / 4) * np.cos(place[..., 1] / 3)
    azimuth = np.arctan2(rays[..., 1], rays[..., 0]) + heading
    sky = 128 + 100 * np.cos(2 * azimuth)
    frame = np.where(rays[..., 2] < 0, ground, sky)
    return np.repeat(frame[..., None], 3, -1).round().astype(np.uint8)


@pytest.mark.parametrize("camera", [CameraSpec(), CameraSpec(yaw=60.0), CameraSpec(yaw=-60.0, pitch=-10.0)])
def test_the_ground_is_where_the_ego_moves_over_it(camera: CameraSpec) -> None:
    moves = [(1.5, 0.2, 0.0), (0.0, 0.0, 0.2), (1.0, -0.3, -0.15)]
    first = painted(camera, (0.0, 0.0, 0.0))
    warped = warped_over_ground(first[None], np.array([moves]), camera)
    rows, columns = np.mgrid[0 : camera.height, 0 : camera.width] + 0.5
    rays = camera.rays(rows, columns)
    # Farther away the pattern is finer than pixels.
    near = rays[..., 2] < -0.08
    for k, move in enumerate(moves):
        truth = painted(camera, move)
        copied = np.abs(first.astype(int) - truth).mean(-1)
        error = np.abs(warped[0, k].astype(int) - truth).mean(-1)
        assert np.median(error[near]) < 2 < np.median(copied[near])
        if move[2]:
            sky = rays[..., 2] > 0.02
            assert np.median(error[sky]) < 2 < np.median(copied[sky])


def test_what_the_frame_does_not_hold_stays() -> None:
    camera = CameraSpec()
    frame = RNG.integers(0, 256, (1, camera.height, camera.width, 3)).astype(np.uint8)
    still, round_about = warped_over_ground(frame, np.array([[(0.0, 0.0, 0.0), (0.0, 0.0, np.pi)]]), camera)[0]
    np.testing.assert_array_equal(still, frame[0])
    np.testing.assert_array_equal(round_about, frame[0])


@dataclass
class HandMade:
    """A batch of one camera, with what the level reads."""

    context: int
    observations: dict[str, torch.Tensor]
    actions: torch.Tensor
    pose: torch.Tensor
    valid: torch.Tensor

    def to(self, device):
        return HandMade(*(getattr(self, f.name) for f in fields(self)))


def hand_made(steps: int = 16) -> HandMade:
    """The ego drives straight over the pattern at 5 m/s; the second window ends after seven steps."""
    camera = CONTRACT.modality("front").camera
    poses = [(0.5 * (t - 4), 0.0, 0.0) for t in range(5 + steps)]
    front = torch.from_numpy(np.stack([painted(camera, pose) for pose in poses]))[None].repeat(2, 1, 1, 1, 1)
    valid = torch.ones(2, 5 + steps, dtype=torch.bool)
    valid[1, 12:] = False
    pose = torch.tensor(poses, dtype=torch.float32)[None].repeat(2, 1, 1)
    ego = torch.zeros(2, 5 + steps, 6)
    return HandMade(5, {"front": front, "ego": ego}, torch.zeros(2, 5 + steps, 2), pose, valid)


class Projector:
    """Shows the frames it is given, in their order, `noise` levels too bright."""

    contract, latent_size, noise_size = CONTRACT, 1, 1
    observes, draws, context_steps = ("front", "ego"), ("front",), 5

    def __init__(self, frames: torch.Tensor, noise: int = 0):
        self.frames, self.noise = frames, noise

    def initial(self, batch_size):
        return {"t": torch.full((batch_size,), -1)}

    def observe(self, state, action, observation):
        return {"t": state["t"] + 1}

    def imagine(self, state, action, noise, temperature=1.0):
        return {"t": state["t"] + 1}

    def decode(self, state):
        return {"motion": torch.zeros(len(state["t"]), 3)}

    def draw(self, state, names):
        frames = torch.stack([self.frames[int(t)] for t in state["t"]])
        return {"front": (frames.int() + self.noise).clamp(0, 255).to(torch.uint8)}, state


def test_the_level_tells_a_good_model_from_the_baselines(tmp_path) -> None:
    batch = hand_made()
    frames = batch.observations["front"][0]
    models = {MODEL: Projector(frames), "brighter": Projector(frames, 20)}
    found = compare_frames(models, batch, np.array([0, 1]), ["front"])
    scores = found.scores["front"]
    assert list(scores) == [MODEL, "brighter", COPIED, WARPED] and found.valid.tolist() == [
        [True] * 3,
        [True, True, False],
    ]
    assert (scores[MODEL]["psnr"] == MOST_PSNR).all() and np.allclose(scores[MODEL]["ssim"], 1)
    np.testing.assert_allclose(scores["brighter"]["psnr"], -20 * np.log10(20 / 255), atol=0.3)
    # Over flat ground the moved frame is better than the copied one, and less so on what changed.
    assert (scores[WARPED]["psnr"] > scores[COPIED]["psnr"] + 3).all()
    assert (scores[COPIED]["psnr_changed"] < scores[COPIED]["psnr"]).all()
    assert (np.diff(found.changed["front"][0]) > 0).all()
    part = frames_part(found, resample(found.episode, 2, 20, 0), 16, 0.1, {})
    assert {target.met for target in part.targets} == {True}
    psnr_of = {m: v["psnr"]["value"] for m, v in part.values["scores"]["front"].items()}
    assert psnr_of[MODEL] == [MOST_PSNR] * 3 and psnr_of[COPIED][0] > psnr_of[COPIED][2]
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    write_html(tmp_path / "cameras.html", "Cameras", {}, [part])


class Told(Projector):
    """A model that draws what it is told: brighter by the number of road users."""

    static_graph = False
    in_bfloat16 = features = Projector.decode

    def paint(self, state, then, now, names):
        there = (now["agent_class"] > 0).sum(1)
        return {"front": there.to(torch.uint8)[:, None, None, None].repeat(1, 64, 96, 3)}


def test_a_model_that_can_be_told_the_scene_is_the_ceiling(world: PackedData) -> None:
    reader = WindowReader(world, 16, CONTRACT.dt, ("bev", "ego"))
    batch = reader.read(Windows(np.array([0, 1]), np.array([3, 10])))
    frames = hand_made().observations["front"]
    batch.observations["front"] = frames
    assert isinstance(Told(frames[0]), ScenePainter) and not isinstance(Projector(frames[0]), ScenePainter)
    found = compare_frames({MODEL: Told(frames[0])}, batch, np.array([0, 1]), ["front"])
    one = np.ones((2, 3, 64, 96, 3), np.uint8)
    at = np.array([1, 5, 15]) - 1
    expected = psnr(one, frames[:, 5:][:, at].numpy())
    np.testing.assert_allclose(found.scores["front"][TOLD]["psnr"], expected)


def test_true_scenes_hold_the_same_road_users_at_both_moments(world: PackedData) -> None:
    batch = WindowReader(world, 16, CONTRACT.dt, ("bev", "ego")).read(Windows(np.array([1]), np.array([2])))
    # The second slot is taken by another that comes later, nearer to the ego.
    batch.agent_ids[:, 5:, 1], batch.agent_class[:, 5:, 1] = 9, int(SemanticClass.PEDESTRIAN)
    batch.agent_pose[:, :, 1] = batch.pose + torch.tensor([1.0, 0.5, 0.0])
    then, now = true_scenes(batch, 12)
    assert now["agent_class"][0, :3].tolist() == [int(SemanticClass.PEDESTRIAN), int(SemanticClass.VEHICLE), 0]
    assert then["agent_class"][0, :3].tolist() == [0, int(SemanticClass.VEHICLE), 0]
    torch.testing.assert_close(now["pose"], batch.pose[:, 12])
    # It drives along x of its own frame, as the ego does, twice as fast.
    moved = now["agent_pose"][0, 1] - then["agent_pose"][0, 1]
    torch.testing.assert_close(moved[:2], torch.tensor([8 * PIXEL, 0.0]), atol=1e-3, rtol=0)
    assert (now["ground"] == batch.static[:, 12]).all()


def test_what_is_seen_is_judged_ahead_and_everywhere(world: PackedData) -> None:
    bev = CONTRACT.bev
    truth = world.arrays["bev"][:3]
    known = np.array([True, True, False])
    view, ahead = truth.copy(), (bev.pixel_centres()[..., 0] > 0) & (bev.pixel_centres()[..., 0] <= AHEAD)
    view[:, ~ahead] = SemanticClass.OFF_ROAD
    found = {area: iou(np.ones((1, 3)), counts)[0, 0] for area, counts in compared(view, truth, known, bev).items()}
    # Nothing is wrong ahead; behind, all of the road is missing.
    assert found[AREAS[0]][0] == 1 > found[AREAS[1]][0] > 0.5
    assert compared(view, truth, known, bev)[AREAS[0]][2].sum() == 0


def test_a_model_without_cameras_is_told_so() -> None:
    model = SimpleNamespace(contract=CONTRACT, draws=("bev",), observes=("bev", "ego"))
    reason = LEVEL.reason_not_applicable(SimpleNamespace(model=model))
    assert reason == "SimpleNamespace draws bev, no camera"
