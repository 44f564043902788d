"""What is done to the frames of cameras, and how the world's look is changed."""

from __future__ import annotations

import numpy as np
import pytest

from learned_sim_env.harness.stress.strategies import disturbed_frames as frames
from learned_sim_env.harness.stress.strategies.disturbed_appearance import BEGIN, Fog, Night, SuddenFog
from learned_sim_env.harness.stress.strategies.disturbed_observations import Occlusion, Patch, SensorNoise, Weather
from learned_sim_env.harness.stress.strategies.imitated_appearance import imitated, towards
from learned_sim_env.rendering.camera import Appearance, CameraRenderer
from learned_sim_env.spec import CAMERAS, SemanticClass
from tests import scenes

ROAD = scenes.scene(others=scenes.agents((SemanticClass.VEHICLE, 14.0, 0.0, 0.0, 4.5, 1.9)))


def plain() -> dict[str, np.ndarray]:
    return {name: np.full((64, 96, 3), 100, np.uint8) for name in CAMERAS} | {"ego": np.zeros(6, np.float32)}


def drawn(look: Appearance) -> dict[str, np.ndarray]:
    return CameraRenderer(CAMERAS).render(ROAD, look)


def test_a_patch_stays_where_it_is_and_differs_from_camera_to_camera():
    see = Patch(0.5, 3).observation()
    first, second = see(0, plain()), see(1, plain())
    changed = {name: (first[name] != 100).any(-1) for name in CAMERAS}
    assert all(np.array_equal(first[name], second[name]) for name in CAMERAS)
    assert all(0 < mask.sum() <= 19 * 19 for mask in changed.values())
    assert not np.array_equal(changed["front"], changed["left"])
    # Whichever cameras a driver sees, each has the patch that it has beside the others.
    alone = Patch(0.5, 3).observation()(0, {"left": plain()["left"]})
    np.testing.assert_array_equal(alone["left"], first["left"])


@pytest.mark.parametrize("edge, place", list(enumerate([np.s_[:, :24], np.s_[:, 72:], np.s_[48:], np.s_[:16]])))
def test_dirt_covers_a_share_from_an_edge_on(edge, place):
    view = plain()["front"]
    frames.cover(view, 0.25, edge)
    dark = (view == frames.DARK).all(-1)
    assert dark[place].all() and dark.mean() == 0.25
    seen = Occlusion(0.25, 1).observation()(0, plain())
    assert all((seen[name] == frames.DARK).all(-1).mean() == 0.25 for name in CAMERAS)


def test_a_blur_keeps_the_mean_and_loses_what_is_small():
    view = plain()["front"]
    view[32, 48] = 255
    blurred = frames.blurred(view, 2)
    assert blurred[32, 48, 0] == round((24 * 100 + 255) / 25) and blurred[0, 0, 0] == 100


def test_noise_is_another_in_every_step_and_as_strong_as_said():
    see = SensorNoise(0.4, 0).observation()
    first, second = (see(t, plain())["front"].astype(float) for t in range(2))
    assert not np.array_equal(first, second) and first.std() == pytest.approx(0.4 * 0.25 * 255, rel=0.03)


def test_haze_hides_what_is_far_first():
    distances = frames.ground_distances("front", (64, 96))
    # The camera stands 1.5 m high and sees 45 degrees down nowhere; its lowest row looks 25 degrees down.
    assert distances[-1, 48] == pytest.approx(1.5 / np.sin(np.arctan(31.5 / CAMERAS["front"].focal_length)), rel=0.01)
    assert (distances[:32] == frames.BEYOND).all() and (np.diff(distances[32:, 48]) <= 0).all()
    hazy = frames.hazy(plain()["front"], "front", 1.0)
    assert np.abs(hazy[20].astype(int) - frames.HAZE).max() <= 1 and abs(int(hazy[-1, 48, 0]) - 100) < 30
    speckled = Weather(1.0, 0).observation()(0, plain())["front"]
    assert (speckled[-4:] == frames.HAZE).all(-1).mean() == pytest.approx(0.25, abs=0.06)


def test_appearances_between_two_are_between_them():
    own = Appearance.named("clear", 5)
    assert (
        towards(own, "fog", 0.0) == own and towards(own, "fog", 1.0).visibility == Appearance.named("fog", 5).visibility
    )
    sights = [towards(own, "fog", share).visibility for share in (0.0, 0.25, 0.5, 1.0)]
    assert sights == sorted(sights, reverse=True)
    assert [towards(own, "night", share).lamps for share in (0.4, 0.5)] == [False, True]
    assert Night(0.0).appearance(5) is None and Fog(1.0).appearance(5).condition == "fog"


@pytest.mark.parametrize("condition", ["night", "fog"])
def test_an_imitated_appearance_is_nearer_to_the_true_one_than_the_picture_was(condition):
    own = Appearance.named("clear", 5)
    new = towards(own, condition, 1.0)
    before, after = drawn(own), drawn(new)
    for name in CAMERAS:
        left = np.abs(imitated(before[name], name, own, new).astype(float) - after[name]).mean()
        assert left < 0.4 * np.abs(before[name].astype(float) - after[name]).mean()


def test_what_comes_suddenly_comes_later_and_in_a_dream_by_the_picture():
    fog = SuddenFog(1.0, 0)
    assert fog.later_appearance(5)[0] == BEGIN and fog.observation() is None and fog.appearance(5) is None
    see = fog.imitation(5)
    at_first, then = see(BEGIN - 1, plain()), see(BEGIN, plain())
    assert (at_first["front"] == 100).all() and (then["front"] != 100).any() and not then["ego"].any()
