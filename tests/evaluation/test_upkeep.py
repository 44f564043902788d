"""What fades in pictures, and how far sets of frames are apart: on frames whose faults are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from learned_sim_env.evaluation.drives.drives import Drives, DrivesConfig
from learned_sim_env.evaluation.levels.camera_drives.frames_over_time import DREAM, TWIN, distances, frames_over_time
from learned_sim_env.evaluation.levels.camera_drives.upkeep_part import upkeep_part
from learned_sim_env.measures.frame_features import FEATURES, frame_features
from learned_sim_env.measures.upkeep import ELSEWHERE, REGIONS, contrast, detail, region_colours, regions
from learned_sim_env.reporting.html import write_html
from learned_sim_env.spec import CAMERAS, CONTRACTS, BevSpec, SemanticClass

CONTRACT = CONTRACTS["driving-camera"]
FRONT = CAMERAS["front"]


def patterns(count: int, seed: int) -> np.ndarray:
    """(count, 64, 96, 3) uint8: a bright sky over dark ground, with blobs of all sizes."""
    rng = np.random.default_rng(seed)
    frames = np.where(np.arange(64)[:, None, None] < 32, 170.0, 80.0) + rng.normal(0, 12, (count, 1, 1, 3))
    for size in (2, 4, 8, 16):
        blobs = torch.from_numpy(rng.normal(0, 15, (count, 3, 64 // size, 96 // size)))
        frames = frames + F.interpolate(blobs, (64, 96), mode="bilinear").permute(0, 2, 3, 1).numpy()
    return np.clip(frames + rng.normal(0, 4, frames.shape), 0, 255).astype(np.uint8)


def blurred(frames: np.ndarray, strength: int) -> np.ndarray:
    smooth = torch.from_numpy(frames).permute(0, 3, 1, 2).double()
    for _ in range(strength):
        smooth = F.avg_pool2d(F.pad(smooth, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return smooth.permute(0, 2, 3, 1).round().to(torch.uint8).numpy()


def noisy(frames: np.ndarray, strength: int) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 8 * strength, frames.shape)
    return np.clip(frames + noise, 0, 255).astype(np.uint8)


def faded(frames: np.ndarray, strength: int) -> np.ndarray:
    mean = frames.mean((1, 2), keepdims=True)
    return (mean + (frames - mean) * 0.7**strength).round().astype(np.uint8)


@pytest.mark.parametrize("spoilt", [blurred, noisy, faded])
def test_frames_are_the_farther_the_more_they_are_spoilt(spoilt) -> None:
    frames = patterns(96, 1)
    # Twelve drives with two cameras at four ages, of which each is spoilt more.
    twin = frame_features(frames).reshape(4, 12, 2, FEATURES)
    dream = np.stack([frame_features(spoilt(part, i) if i else part) for i, part in enumerate(np.split(frames, 4))])
    found = distances({DREAM: dream.reshape(twin.shape)}, twin, seed=0)
    medians = np.median(found[DREAM], 0)
    assert (np.diff(medians) > 0).all() and medians[1] > 1.5 * medians[0]
    # Two halves of what is real are about as near at any age, and nearer than what is spoilt.
    floor = np.median(found[TWIN], 0)
    assert floor.max() < 2 * floor.min() and medians[0] == pytest.approx(floor[0]) and medians[1] > floor[1]


def test_fading_lowers_contrast_and_a_blur_lowers_detail_first() -> None:
    frames = patterns(3, 2)
    for measured in (contrast, detail):
        np.testing.assert_allclose(measured(faded(frames, 1)) / measured(frames), 0.7, atol=0.02)
        assert (measured(blurred(frames, 2)) < measured(blurred(frames, 1))).all()
    loss = [(measured(blurred(frames, 1)) / measured(frames)).mean() for measured in (contrast, detail)]
    assert loss[1] < loss[0] < 1
    assert np.allclose(contrast(np.full((1, 64, 96, 3), 90, np.uint8)), 0, atol=1e-6)


def test_regions_are_what_rays_meet() -> None:
    bev = BevSpec()
    view = np.full((1, bev.height, bev.width), SemanticClass.OFF_ROAD, np.uint8)
    y = bev.pixel_centres()[0, :, 1]
    view[:, :, np.abs(y) < 4] = SemanticClass.ROAD
    view[:, :, np.abs(y - 2) < 0.5] = SemanticClass.SOLID_LINE
    where = regions(view, bev, FRONT)[0]
    assert (where[:32] == REGIONS.index("above the horizon")).all() and (where[32:] != 0).all()
    # Straight below is the road; to the left of the picture, four metres aside and more, is the ground beside it.
    assert where[60, 48] == REGIONS.index("road") and where[40, 2] == REGIONS.index("beside the road")
    assert (where == ELSEWHERE).any()
    frame = np.zeros((1, 64, 96, 3), np.uint8)
    for i in range(3):
        frame[0][where == i] = 50 * (i + 1)
    np.testing.assert_allclose(region_colours(frame, where[None])[0], np.array([50, 100, 150])[:, None] * np.ones(3))
    assert np.isnan(region_colours(frame, np.full_like(where, ELSEWHERE)[None])).all()


def driven(seed: int, config: DrivesConfig, fade: float = 0.0) -> Drives:
    """Ten drives along a road; what is drawn fades by a share until the end. The last two end before step 100."""
    drawn, n = config.drawn, 10
    frames, views = {}, np.full((n, len(drawn), 64, 64), SemanticClass.OFF_ROAD, np.uint8)
    views[..., 20:44] = SemanticClass.ROAD
    for k, name in enumerate(CAMERAS):
        seen = patterns(n * len(drawn), 7 * seed + k).reshape(n, len(drawn), 64, 96, 3)
        mean = seen.mean((2, 3), keepdims=True)
        share = 1 - fade * np.array(drawn)[:, None, None, None] / config.steps
        frames[name] = (mean + (seen - mean) * share).round().astype(np.uint8)
    running = np.ones((n, len(drawn)), bool)
    running[-2:, drawn.index(100) :] = False
    nothing = np.zeros(running.shape, np.float32)
    ends = np.full(n, "time_limit")
    ego = np.zeros((*running.shape, 6), np.float32)
    return Drives(
        running, np.ones(n, bool), frames, views, ego, ends, nothing, np.zeros(n, bool), np.zeros(n, np.int64)
    )


def test_a_dream_that_fades_is_told_from_one_that_does_not() -> None:
    config = DrivesConfig(drives=10, every=150)
    ages = [1, 15, 30, 100, 300]
    twin = driven(1, config)
    for fade, met in ((0.0, True), (0.4, False)):
        dream = driven(2, config, fade)
        upkeep = upkeep_part({DREAM: dream}, twin, config.drawn, ages, CONTRACT, 0)
        asked = {t.name: t.met for t in upkeep.targets}
        assert asked["share of contrast kept after 300 steps"] is met
        assert asked["share of detail kept after 300 steps"] is met
        share = upkeep.values["kept"]["contrast"][DREAM]["value"]
        assert share[0] == 1 and share[-1] == pytest.approx(1 - fade, abs=0.04)
        assert upkeep.values["levels"]["contrast"]["simulator"]["value"][-1] > 5
        over_time = frames_over_time({DREAM: dream}, twin, config.drawn, ages, 0)
        (target,) = over_time.targets
        assert target.met is met
        assert over_time.values["running"]["dream"] == [10, 10, 10, 8, 8]


def test_other_models_are_shown_beside_without_changing_what_is_asked() -> None:
    config = DrivesConfig(drives=10, every=150)
    ages = [1, 15, 30, 100, 300]
    twin, dream, faded_one = driven(1, config), driven(2, config), driven(3, config, 0.4)
    blind = replace(faded_one, views=None)
    parts = [
        [
            frames_over_time(dreams, twin, config.drawn, ages, 0),
            upkeep_part(dreams, twin, config.drawn, ages, CONTRACT, 0),
        ]
        for dreams in ({DREAM: dream}, {DREAM: dream, "other": blind})
    ]
    for alone, beside in zip(*parts):
        assert alone.targets == beside.targets
    over_time, upkeep = parts[1]
    assert [row[0] for row in over_time.tables[0].rows] == [DREAM, "other", TWIN]
    distance = over_time.values["distance"]
    assert distance["other"]["value"][-1] > 1.5 * distance[DREAM]["value"][-1]
    kept = {side: e["value"][-1] for side, e in upkeep.values["kept"]["contrast"].items()}
    assert kept["other"] == pytest.approx(0.6, abs=0.04) and kept[DREAM] == pytest.approx(1, abs=0.04)
    assert {row[1] for row in upkeep.tables[0].rows} >= {"other", "other / simulator"}
    assert set(upkeep.values["drift"]["road"]) == {DREAM, TWIN}, "without a view from above there are no regions"


def test_drives_that_all_end_leave_nothing_to_measure(tmp_path: Path) -> None:
    config, ages = DrivesConfig(drives=10, every=150), [1, 15, 30, 100, 300]
    twin, dream = driven(1, config), driven(2, config)
    twin.running[:, -1] = False
    over_time = frames_over_time({DREAM: dream}, twin, config.drawn, ages, 0)
    (target,) = over_time.targets
    assert target.met is None and target.measured == "-" and target.verdict == "not measured"
    upkeep = upkeep_part({DREAM: dream}, twin, config.drawn, ages, CONTRACT, 0)
    broken, *late = upkeep.targets
    # None of them broke, though.
    assert broken.met and broken.measured == "0" and all(target.met is None for target in late)
    dream.finite[3] = False
    assert not upkeep_part({DREAM: dream}, twin, config.drawn, ages, CONTRACT, 0).targets[0].met
    assert {picture.shape for picture in upkeep.pictures.values()} == {(2 * 66, 5 * 98, 3)}
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    write_html(tmp_path / "ladder.html", "Ladder", {}, [over_time, upkeep])
