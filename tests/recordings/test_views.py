"""What recorded cameras saw, as the contract's cameras see it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest

from learned_sim_env.recordings import formats
from learned_sim_env.recordings.drives import Drive, drives_of
from learned_sim_env.recordings.recording import Camera
from learned_sim_env.recordings.views import LEAST_COVERED, project, views_of
from learned_sim_env.spec import CAMERAS, CameraSpec
from tests.recordings import pictures
from tests.recordings.pictures import RECORDED, differences, taken
from tests.recordings.world import REAR, make_world
from tests.recordings.writers import table

cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")


@dataclass
class Drawn:
    """Pictures drawn as they are asked for; those of `damaged` cannot be read."""

    spec: CameraSpec
    damaged: tuple[int, ...] = ()

    def read(self, numbers: Iterable[int], shrink: int = 1) -> Iterator[np.ndarray | None]:
        scene = taken(self.spec, 0)
        for number in numbers:
            scene[..., 2] = pictures.FIRST + pictures.BLUER * number
            picture = cv2.resize(scene, None, fx=1 / shrink, fy=1 / shrink, interpolation=3)
            yield None if number in self.damaged else picture


def camera(name: str, times: np.ndarray, damaged: tuple[int, ...] = (), **changes) -> Camera:
    spec = replace(RECORDED[name], **changes)
    place = np.add(spec.position, (REAR, 0, 0))
    return Camera(name, times, Drawn(spec, damaged), np.array(pictures.matrix(spec)), place, spec.rotation)


@pytest.fixture(scope="module")
def drive(tmp_path_factory) -> Drive:
    path = table(tmp_path_factory.mktemp("drive"), make_world())
    return drives_of(next(iter(formats.read(path, "table"))))[0]


def all_times(drive: Drive) -> np.ndarray:
    return drive.start + drive.dt * np.arange(len(drive) + 1)


def test_cameras_of_another_calibration_show_the_same_directions(drive):
    found = views_of([camera(name, all_times(drive)) for name in RECORDED], drive)
    assert set(found.frames) == set(CAMERAS) and all(share == 1.0 for share in found.covered.values())
    for name, frames in found.frames.items():
        assert frames.shape == (len(drive) + 1, 64, 96, 3) and found.known[name].all()
        off, moments = differences(frames, CAMERAS[name])
        assert off.max() < 2.0 and np.abs(moments - np.arange(len(drive) + 1)).max() < 0.1


def test_what_is_not_covered_repeats_what_is(drive):
    narrow = camera("ahead", all_times(drive), pitch=0.0, yaw=0.0, height=240)
    found = views_of([narrow], drive)
    # Rows within the picture's height, and all columns, as it is wider.
    seen = np.arange(64)[np.abs((np.arange(64) + 0.5 - 32) / CAMERAS["front"].focal_length) < 120 / 190.7]
    assert found.covered["front"] == pytest.approx(len(seen) / 64, abs=0.04) and found.covered["left"] < LEAST_COVERED
    assert set(found.frames) == {"front"}
    frames = found.frames["front"]
    off, _ = differences(frames, CAMERAS["front"])
    assert off[:, 16:48].max() < 2.0
    lower = camera("ahead", all_times(drive), pitch=20.0, yaw=0.0)
    below = views_of([lower], drive)
    rows = np.abs(np.diff(below.frames["front"][0, :, 48].astype(int), axis=0)).sum(-1)
    assert below.covered["front"] < 0.99 and rows[-3:].max() == 0 and rows[20:40].min() > 0
    assert any("left: " in n and "too few" in n for n in found.notes)


def test_moments_without_a_picture_are_masked(drive):
    times = all_times(drive)[::5]
    found = views_of([camera("ahead", times + 0.01, damaged=(3,))], drive)
    assert views_of([camera("aside", times - 9.0)], drive).notes[-1] == "left: no pictures of the time of the drive"
    assert np.flatnonzero(found.known["front"]).tolist() == [t for t in range(0, len(drive) + 1, 5) if t != 15]
    assert not found.frames["front"][~found.known["front"]].any() and "left" not in found.frames
    assert f"1 of {len(times)} pictures of ahead cannot be read" in found.notes
    assert "front: 80% of the moments have no picture within 0.06 s, and are masked" in found.notes


def test_without_calibration_or_looking_elsewhere(drive):
    unknown = Camera("who", all_times(drive), Drawn(RECORDED["ahead"]))
    found = views_of([unknown], drive)
    assert not found.frames and found.notes == ("cameras without calibration are left out: who",)
    back = views_of([camera("ahead", all_times(drive), yaw=180.0)], drive)
    assert not back.frames and "front: no recorded camera sees it" in back.notes
    told = views_of([camera("ahead", all_times(drive))], drive, read=False)
    assert not told.frames and told.covered["front"] == 1.0


def test_lenses_bend_as_those_of_opencv():
    lens = np.array([-0.3, 0.1, 0.001, -0.002, 0.01])
    spec = RECORDED["ahead"]
    wide = replace(camera("ahead", np.zeros(1)), distortion=lens)
    rays = np.random.default_rng(0).uniform(-0.5, 0.5, (50, 3)) + spec.rotation[2] * 2
    place, ahead = project(wide, rays)
    turned, matrix = cv2.Rodrigues(spec.rotation)[0], np.array(pictures.matrix(spec))
    expected = cv2.projectPoints(rays, turned, np.zeros(3), matrix, lens)[0][:, 0]
    np.testing.assert_allclose(place - 0.5, expected, atol=1e-6)
    assert (ahead > 0).all()
    # A lens whose pictures fold back sees nothing beyond.
    folding = replace(wide, distortion=np.array([-0.3, 0, 0, 0, 0]))
    far = np.array([[0.0, 0.0, 1.0], [1.5, 0.0, 1.0]]) @ spec.rotation
    assert (project(folding, far)[1] > 0).tolist() == [True, False]
