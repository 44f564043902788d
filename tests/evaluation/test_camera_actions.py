"""Whether motion can be read from frames, and tells a model whose pictures answer from one whose do not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from learned_sim_env.data.packed import PackedData
from learned_sim_env.evaluation.levels.camera_actions.answers import swapped
from learned_sim_env.evaluation.levels.camera_actions.answers_part import AnswersConfig, measure_answers
from learned_sim_env.evaluation.levels.camera_actions.estimator import (
    EstimatorConfig,
    MotionEstimator,
    clips_of,
    mirrored,
    open_estimator,
    train_estimator,
)
from learned_sim_env.spec import CONTRACTS
from tests.evaluation.test_cameras import painted
from tests.evaluation.world import FIRST_SEED, episode

CONTRACT = CONTRACTS["driving-camera"]
CAMERA = CONTRACT.modality("front").camera
CAMERAS = {"front": CAMERA}
SMALL = EstimatorConfig(clips=200, steps=300, batch_size=64, hidden=32)
# [1/s] Yaw rate that full steering gives at once, + is left.
TURNS = -0.9


def filmed(seed: int, steps: int = 30) -> object:
    """An episode that drives over the pattern, at a speed and with steering of its own."""
    rng = np.random.default_rng(seed)
    driven = episode(FIRST_SEED + seed, steps)
    speed = np.full(steps + 1, rng.uniform(3, 9))
    steer = np.clip(0.5 * np.sin(np.arange(steps + 1) / 4 + rng.uniform(0, 6)) + rng.normal(0, 0.2), -0.8, 0.8)
    steer[0] = 0
    pose = rolled(np.array([rng.uniform(0, 50), rng.uniform(0, 50), rng.uniform(-3, 3)]), speed, steer)
    ego = driven.ego.copy()
    ego[:, 0], ego[:, 1], ego[:, 2] = speed, TURNS * steer, steer
    front = np.stack([painted(CAMERA, tuple(p)) for p in pose])
    actions = driven.actions.copy()
    actions[:, 0] = steer[1:]
    return replace(driven, observations={"ego": ego, "front": front}, ego_pose=pose, actions=actions)


def rolled(pose: np.ndarray, speed: np.ndarray, steer: np.ndarray) -> np.ndarray:
    """(T, 3) poses, the first of them given."""
    poses = [pose]
    for v, s in zip(speed[1:], steer[1:]):
        x, y, heading = poses[-1]
        poses.append(
            np.array([x + 0.1 * v * np.cos(heading), y + 0.1 * v * np.sin(heading), heading + 0.1 * TURNS * s])
        )
    return np.stack(poses)


@pytest.fixture(scope="module")
def data() -> PackedData:
    return PackedData.of([filmed(i) for i in range(24)], CONTRACT.fingerprints(("ego", "front")))


class Pictured:
    """Drives on from where its context ended, over the same pattern; its pictures steer `answer` times as much."""

    contract, latent_size, noise_size, static_graph = CONTRACT, 1, 1, False
    observes, draws, context_steps = ("front", "ego"), ("front",), 2

    def __init__(self, answer: float):
        self.answer = answer

    def initial(self, batch_size):
        return {"pose": torch.zeros(batch_size, 3), "speed": torch.zeros(batch_size), "yaw": torch.zeros(batch_size)}

    def observe(self, state, action, observation):
        return {**self.initial(len(action)), "speed": observation["ego"][:, 0]}

    def imagine(self, state, action, noise, temperature=1.0):
        x, y, heading = state["pose"].unbind(1)
        yaw = TURNS * action[:, 0]
        moved = [
            x + 0.1 * state["speed"] * heading.cos(),
            y + 0.1 * state["speed"] * heading.sin(),
            heading + 0.1 * self.answer * yaw,
        ]
        return {"pose": torch.stack(moved, 1), "speed": state["speed"], "yaw": yaw}

    def decode(self, state):
        zero = torch.zeros_like(state["yaw"])
        return {"ego": torch.stack([state["speed"], state["yaw"], zero, zero, zero, zero], 1)}

    def draw(self, state, names):
        return {"front": torch.from_numpy(np.stack([painted(CAMERA, tuple(p)) for p in state["pose"].numpy()]))}, state


def checkpoint(answer: float) -> SimpleNamespace:
    return SimpleNamespace(name="pictured", model=Pictured(answer), contract=CONTRACT, fingerprint="0" * 64)


def test_clips_are_frames_in_a_row() -> None:
    frames = np.arange(5, dtype=np.uint8)[None, :, None, None, None] * np.ones((1, 1, 2, 2, 3), np.uint8)
    assert clips_of(frames)[0, :, :, 0, 0, 0].tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4]]


def test_a_mirrored_clip_turns_the_other_way() -> None:
    torch.manual_seed(0)
    pose, rig = filmed(1, 6).ego_pose, {m.name: m.camera for m in CONTRACT.cameras}
    clips = {name: clips_of(np.stack([painted(c, tuple(p)) for p in pose])[None])[0] for name, c in rig.items()}
    images = mirrored(rig)
    assert images == {"front": "front", "left": "right", "right": "left"}
    model = MotionEstimator(rig, CONTRACT.dt, 8).eval()
    one = model.read(clips)
    other = model.read({name: clips[image][:, :, :, ::-1].copy() for name, image in images.items()})
    np.testing.assert_allclose(one, other * [1, -1], atol=1e-5)
    assert np.abs(one[:, 1]).max() > 1e-3
    # Standing still explains it less well than driving at about the speed that it was driven at.
    speeds = model.explained(clips)[:, 0].amax((1, 3)).mean(0)
    assert speeds[0] < 0.7 * speeds.max()


def test_a_camera_without_its_mirror_image_is_not_read() -> None:
    rig = {m.name: m.camera for m in CONTRACT.cameras if m.name != "right"}
    assert mirrored(rig) == {"front": "front"}
    assert mirrored({"left": rig["left"]}) == {}


def test_a_turn_is_swapped_if_both_sides_are_right() -> None:
    assert swapped(np.array([[0.2, -0.1], [0.2, 0.1], [-0.1, 0.1], [0.0, -0.1]])).tolist() == [
        True,
        False,
        False,
        False,
    ]


@pytest.mark.slow
def test_motion_is_read_better_than_by_a_constant(data: PackedData, tmp_path: Path) -> None:
    seen, unseen = data.select(np.arange(0, 24, 2)), data.select(np.arange(1, 24, 2))
    model = open_estimator(seen, CAMERAS, CONTRACT.dt, SMALL, tmp_path)
    rows = np.concatenate([np.arange(s + 2, s + n) for s, n in zip(unseen.starts, unseen.lengths)])
    clips = {"front": unseen.read("front", rows[:, None] + np.arange(-2, 1))}
    truth = unseen.arrays["ego"][rows, :2]
    error = np.sqrt(((model.read(clips) - truth) ** 2).mean(0))
    assert (error < 0.6 * truth.std(0)).all()
    # It is kept, and made anew it is the same.
    (kept,) = tmp_path.iterdir()
    written = kept.stat().st_mtime_ns
    again = open_estimator(seen, CAMERAS, CONTRACT.dt, SMALL, tmp_path)
    assert kept.stat().st_mtime_ns == written
    np.testing.assert_array_equal(again.read(clips), model.read(clips))
    few = replace(SMALL, clips=4, steps=3)
    first, second = (train_estimator(seen, CAMERAS, CONTRACT.dt, few).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
def test_pictures_that_do_not_answer_are_told_from_those_that_do(data: PackedData, tmp_path: Path) -> None:
    config = AnswersConfig(horizon=12, windows=12, replicates=20, estimator=SMALL)
    parts = [measure_answers(checkpoint(answer), data, tmp_path, config) for answer in (1.0, 0.0, -1.0)]
    read = [part.values["swapped"]["read from dreamt frames"]["value"] for part in parts]
    assert read[0] > 0.9 > 0.5 > read[1] and read[2] < 0.1
    assert all(part.values["swapped"]["the dream's own motion"]["value"] == 1 for part in parts)
    turn = [
        part.values["correlation"]["dreamt frames, where the actions truly led"]["yaw rate"]["value"] for part in parts
    ]
    assert turn[0] > 0.8 > 0.5 > turn[1] and turn[2] < -0.8
    ceiling = [
        part.values["correlation"]["recorded frames, their motion (the ceiling)"]["yaw rate"]["value"] for part in parts
    ]
    assert ceiling[0] > 0.8 and ceiling == [ceiling[0]] * 3
    assert [target.verdict for target in parts[2].targets][1:] == ["missed", "missed"]


def test_too_little_data_is_not_measured(data: PackedData, tmp_path: Path) -> None:
    part = measure_answers(checkpoint(1.0), data.select(np.array([0])), tmp_path)
    assert "give 2" in part.values["not_applicable"]
