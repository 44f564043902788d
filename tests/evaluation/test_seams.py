"""Whether cameras agree where they look at the same: geometry, and pictures of scenes that are known."""

from __future__ import annotations

import numpy as np
import pytest

from learned_sim_env.evaluation.levels.cameras.frame_futures import TRUE, FrameFutures
from learned_sim_env.evaluation.levels.cameras.seams_part import seams_part
from learned_sim_env.evaluation.open_loop import MODEL
from learned_sim_env.measures.bootstrap import resample
from learned_sim_env.measures.seams import overlap, overlaps, seam_error
from learned_sim_env.spec import CAMERAS, CONTRACTS, CameraSpec, SemanticClass
from tests import scenes

CONTRACT = CONTRACTS["driving-camera"]


def painted(camera: CameraSpec, turned: float = 0.0) -> np.ndarray:
    """(H, W, 3) uint8: what is infinitely far, a smooth function of its direction."""
    rows, columns = np.mgrid[0 : camera.height, 0 : camera.width] + 0.5
    rays = camera.rays(rows, columns)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    azimuth = np.arctan2(rays[..., 1], rays[..., 0]) + turned
    waves = (np.sin(9 * azimuth), np.cos(7 * azimuth + 5 * rays[..., 2]), np.sin(11 * rays[..., 2]))
    return (128 + 100 * np.stack(waves, -1)).round().astype(np.uint8)


def test_cameras_overlap_where_their_fields_of_view_do() -> None:
    found = overlaps(CONTRACT.cameras)
    # Of the side cameras each sees ten degrees of what the front one does, and nothing of the other's.
    assert list(found) == [("front", "left"), ("front", "right")]
    for (_, other), shared in found.items():
        rays = CAMERAS["front"].rays(shared.rows + 0.5, shared.columns + 0.5)
        azimuth = np.degrees(np.arctan2(rays[:, 1], rays[:, 0])) * (1 if other == "left" else -1)
        assert azimuth.min() > 25 and azimuth.max() < 35
        assert np.ptp(azimuth) > 8 and len(shared) > 500


def test_the_seam_error_is_that_of_colours_and_of_where_they_are() -> None:
    front, left = (painted(CAMERAS[name]) for name in ("front", "left"))
    shared = overlaps(CONTRACT.cameras)["front", "left"]
    assert seam_error(front, left, shared) < 1
    # A camera that is brighter by so many levels is off by as many; one that is turned, by more than that.
    assert seam_error(front, left - np.uint8(20), shared) == pytest.approx(20, abs=1)
    errors = [seam_error(front, painted(CAMERAS["left"], np.radians(turn)), shared) for turn in (0, 1, 3, 6)]
    assert errors == sorted(errors) and errors[1] > 2 * errors[0]
    many = seam_error(np.stack([front, front]), np.stack([left, left - np.uint8(20)]), shared)
    np.testing.assert_allclose(many, [errors[0], 20], atol=1)


def test_cameras_in_different_places_need_depth() -> None:
    pytest.importorskip("cv2", reason="drawing needs OpenCV, which the simulators' extras bring")
    from learned_sim_env.rendering.camera import Appearance, CameraRenderer

    pair = {"one": CameraSpec(position=(1.0, 0.5, 1.4)), "other": CameraSpec(yaw=20.0, position=(1.0, -0.5, 1.6))}
    car = scenes.agents((SemanticClass.VEHICLE, 9.0, 1.0, 0.4, 4.5, 1.8))
    images = CameraRenderer(pair).images(scenes.scene(others=car), Appearance.named("clear", 1))
    with pytest.raises(ValueError, match="m apart"):
        overlap(*pair.values())
    one, other = images["one"], images["other"]
    told = overlap(*pair.values(), one.depth, other.depth)
    # As if all that is seen were far away.
    untold = overlap(*pair.values(), np.full_like(one.depth, np.inf))
    right, wrong = (seam_error(one.rgb, other.rgb, shared) for shared in (told, untold))
    assert right < 6 and wrong > 1.5 * right
    # What hides behind the car is left out.
    assert len(told) < len(overlap(*pair.values(), one.depth))


def test_true_pictures_agree_and_a_tinted_camera_does_not() -> None:
    pytest.importorskip("cv2", reason="drawing needs OpenCV, which the simulators' extras bring")
    from learned_sim_env.rendering.camera import Appearance, CameraRenderer

    pictures = CameraRenderer().render(scenes.scene(x=7.0), Appearance.named("clear", 2))
    shared = overlaps(CONTRACT.cameras)["front", "right"]
    own = seam_error(pictures["front"], pictures["right"], shared)
    tinted = np.clip(pictures["right"].astype(int) + np.array((0, 0, 40)), 0, 255).astype(np.uint8)
    assert own < 5 and seam_error(pictures["front"], tinted, shared) > own + 8


def test_the_part_compares_the_dream_with_what_was_recorded() -> None:
    n, steps = 6, 4
    own = np.full((n, steps), 2.0)
    episode, valid = np.arange(n), np.ones((n, steps), bool)
    for times, met in ((1.2, True), (1.5, False)):
        seams = {"front and left": {MODEL: times * own, TRUE: own}}
        part = seams_part(FrameFutures(episode, valid, {}, {}, seams), resample(episode, n, 20, 0), 30)
        assert [target.met for target in part.targets] == [met] * 3
        ratios = part.values["seams"]["front and left"]["model / recorded"]["value"]
        np.testing.assert_allclose(ratios, times)
    assert (
        "not_applicable" in seams_part(FrameFutures(episode, valid, {}, {}, {}), resample(episode, n, 2, 0), 30).values
    )
