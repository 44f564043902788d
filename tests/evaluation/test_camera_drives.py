"""Drives in the dream and in its twin, which begin at the same moments."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from learned_sim_env.evaluation.drives.dream_drives import drive_dream
from learned_sim_env.evaluation.drives.drives import DrivesConfig
from learned_sim_env.evaluation.drives.twin_drives import TwinDrives, drive_twin
from learned_sim_env.evaluation.ladder import find_level
from learned_sim_env.evaluation.levels.camera_drives.drives_part import BLIND_DRIVER, measure_drives, paired_drives
from learned_sim_env.evaluation.levels.camera_drives.frames_over_time import DREAM
from tests.toy_model import toy_camera_checkpoint

CAMERAS = ("front", "left", "right")


def test_moments_are_drawn_at_all_ages_and_in_between() -> None:
    drawn = DrivesConfig(steps=40, every=12).drawn
    assert drawn == [0, 1, 12, 15, 24, 30, 36, 40]
    with pytest.raises(ValueError, match="every"):
        DrivesConfig(every=0)


def test_the_level_says_what_it_needs() -> None:
    level = find_level("camera_drives")
    toy = toy_camera_checkpoint()
    assert level.reason_not_applicable(toy) is None
    toy.training = {"simulators": ["carla"]}
    assert level.reason_not_applicable(toy) == "it was trained on carla, and the twin is metadrive"
    blind = SimpleNamespace(contract=toy.contract, draws=("bev",), observes=("bev", "ego"))
    assert "no camera" in level.reason_not_applicable(SimpleNamespace(model=blind, training={}))


def test_episodes_of_another_simulator_have_no_twin(tmp_path: Path) -> None:
    data = SimpleNamespace(seeds=np.array([3]), simulators=np.array(["nuscenes"]))
    (part,) = measure_drives(toy_camera_checkpoint(), data, tmp_path, 1)
    assert "no episode was recorded in metadrive" in part.values["not_applicable"]


@pytest.mark.slow
def test_dream_and_twin_begin_at_the_same_moments(tmp_path: Path) -> None:
    pytest.importorskip("metadrive", reason="MetaDrive is not installed")
    toy = toy_camera_checkpoint()
    config = DrivesConfig(drives=1, before=3, steps=6, every=3, appearance="night")
    seeds = np.array([9])
    dreams, twin = paired_drives(toy, seeds, tmp_path, 1, config)
    dream = dreams.pop(DREAM)
    assert not dreams
    assert dream.frames.keys() == twin.frames.keys() == set(CAMERAS)
    assert twin.frames["front"].shape == dream.frames["front"].shape == (1, 4, 64, 96, 3)
    assert twin.running.all() and dream.running.shape == (1, 4)
    source = TwinDrives("driving-camera", toy.model.observes, CAMERAS, 2, BLIND_DRIVER, config, tmp_path)
    kept = source.file(9)
    written = kept.stat().st_mtime_ns
    (found,) = drive_twin(source, seeds, 1).values()
    assert kept.stat().st_mtime_ns == written and str(found["condition"]) == "night"
    assert found["context.front"].shape == (2, 64, 96, 3) and found["actions"].shape == (2, 2)
    # The toy shows how bright its context was, a step brighter with every step, and by chance.
    corner = float(np.mean([found[f"context.{name}"][-1, 0, 0, 0] for name in CAMERAS]))
    assert dream.frames["front"][0, 0, 0, 0, 0] == int(corner)
    assert 0 <= int(dream.frames["front"][0, 1, 0, 0, 0]) - int(corner + 1) <= 7
    np.testing.assert_array_equal(twin.frames["front"][0, 0], found["context.front"][-1])
    assert source.file(9) != dataclasses.replace(source, config=DrivesConfig(appearance="fog")).file(9)


def test_a_drive_with_a_value_that_is_not_finite_ends_there_alone() -> None:
    toy = toy_camera_checkpoint()
    decode = toy.model.decode

    def decoded(state):
        heads = decode(state)
        # The second of the rows, from its third step on.
        broken = (state["count"] >= 3) & (torch.arange(len(state["count"])) == 1)
        return heads | {"ego": heads["ego"].masked_fill(broken[:, None], torch.nan)}

    toy.model.decode = decoded
    moments = {f"context.{name}": np.full((2, 64, 96, 3), 50, np.uint8) for name in CAMERAS}
    moments |= {"context.ego": np.zeros((2, 6), np.float32), "actions": np.zeros((2, 2), np.float32)}
    drives = drive_dream(toy, {1: moments, 2: moments}, CAMERAS, BLIND_DRIVER, DrivesConfig(steps=6, every=1))
    assert drives.finite.tolist() == [True, False]
    assert drives.running[0].all() and drives.running[1].tolist() == [True, True, True, *[False] * 4]
