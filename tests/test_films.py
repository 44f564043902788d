"""Films keep every colour, enlarging keeps every pixel, labels can be read."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from learned_sim_env.films import BAR_COLOUR, BAR_HEIGHT, Film, beside, labelled, save_film, save_picture
from learned_sim_env.rendering.palette import classes_of, colourise
from learned_sim_env.spec import NUM_CLASSES

NEEDS_PILLOW = "needs the extra [viewer]"


@pytest.fixture
def frames() -> np.ndarray:
    return colourise(np.random.default_rng(0).integers(0, NUM_CLASSES, (5, 20, 30), dtype=np.uint8))


def test_gif_is_exact(tmp_path, frames):
    image = pytest.importorskip("PIL.Image", reason=NEEDS_PILLOW)
    shown = [beside([labelled(f, f"step {i}", 3), labelled(f[::-1], "twin", 3)]) for i, f in enumerate(frames)]
    path = save_film(tmp_path / "deep" / "film.gif", shown, fps=10)
    with image.open(path) as film:
        assert film.n_frames == len(shown)
        for i, frame in enumerate(shown):
            film.seek(i)
            assert film.info["duration"] == 100
            assert np.array_equal(np.asarray(film.convert("RGB")), frame)
    assert [p.name for p in path.parent.iterdir()] == ["film.gif"]


def test_mp4(tmp_path, frames):
    imageio = pytest.importorskip("imageio.v2", reason=NEEDS_PILLOW)
    pytest.importorskip("imageio_ffmpeg", reason=NEEDS_PILLOW)
    large = frames.repeat(5, 1).repeat(5, 2)[:, 1:, 1:]  # odd sides
    path = save_film(tmp_path / "film.mp4", list(large))
    with imageio.get_reader(path) as film:
        seen = [np.asarray(frame) for frame in film]
    assert len(seen) == len(large)
    assert seen[0].shape == (98, 148, 3)
    # Lossy, but the same picture.
    assert np.abs(seen[2].astype(int) - large[2, :98, :148]).mean() < 25


def test_picture_is_exact(tmp_path, frames):
    image = pytest.importorskip("PIL.Image", reason=NEEDS_PILLOW)
    with image.open(save_picture(tmp_path / "picture.png", frames[0])) as picture:
        assert np.array_equal(np.asarray(picture), frames[0])


def test_label_stands_above_the_enlarged_frame(frames):
    pytest.importorskip("PIL", reason=NEEDS_PILLOW)
    shown = labelled(frames[0], "imagined, 12 steps since real", scale=7)
    assert shown.shape == (BAR_HEIGHT + 140, 210, 3)
    assert np.array_equal(shown[BAR_HEIGHT:][3::7, 3::7], frames[0])
    assert classes_of(shown[BAR_HEIGHT:]).max() < NUM_CLASSES
    bar = shown[:BAR_HEIGHT]
    text = (bar != BAR_COLOUR).any(-1)
    assert 0.02 < text.mean() < 0.4
    assert not text[[0, -1]].any()
    assert bar[text].max() > 200
    assert not (labelled(frames[0], "", 7)[:BAR_HEIGHT] != BAR_COLOUR).any()


def test_beside_keeps_every_frame(frames):
    wide = beside(list(frames[:3]), gap=2)
    assert wide.shape == (20, 94, 3)
    assert np.array_equal(wide[:, 32:62], frames[1])
    assert (wide[:, 30:32] == BAR_COLOUR).all()
    assert np.array_equal(beside([frames[0]]), frames[0])


def test_what_cannot_be_written(tmp_path, frames):
    with pytest.raises(ValueError, match=r"Did you mean '\.gif'"):
        save_film(tmp_path / "film.giff", list(frames))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_a_film_without_frames_is_none(suffix, tmp_path):
    for module in ("PIL", "imageio", "imageio_ffmpeg"):
        pytest.importorskip(module, reason=NEEDS_PILLOW)
    with pytest.raises(ValueError, match="no frame"):
        save_film(tmp_path / f"film{suffix}", [])
    assert not list(tmp_path.iterdir())


def test_frames_that_change_nothing_take_their_time_as_well(tmp_path, frames):
    image = pytest.importorskip("PIL.Image", reason=NEEDS_PILLOW)
    shown = [frames[i] for i in (0, 0, 1, 1, 1, 0)]
    with image.open(save_film(tmp_path / "film.gif", (frame for frame in shown), fps=20)) as film:
        assert film.n_frames == len(shown)
        for i, frame in enumerate(shown):
            film.seek(i)
            assert film.info["duration"] == 50
            assert np.array_equal(np.asarray(film.convert("RGB")), frame)
        assert film.info["loop"] == 0


def test_a_film_that_is_broken_off_leaves_nothing(tmp_path, frames):
    pytest.importorskip("PIL", reason=NEEDS_PILLOW)
    with pytest.raises(RuntimeError, match="broken off"), Film(tmp_path / "film.gif") as film:
        film.add(frames[0])
        raise RuntimeError("broken off")
    assert film.count == 1
    assert not list(tmp_path.iterdir())


def test_without_pillow_the_extra_is_named(monkeypatch, tmp_path, frames):
    for module in ("PIL", "PIL.Image"):
        monkeypatch.setitem(sys.modules, module, None)
    for call in (
        lambda: save_film(tmp_path / "film.gif", list(frames)),
        lambda: save_picture(tmp_path / "picture.png", frames[0]),
        lambda: labelled(frames[0], "text"),
    ):
        with pytest.raises(ImportError, match=r"learned-sim-env\[viewer\]"):
            call()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
def test_an_mp4_that_ffmpeg_could_not_finish_is_not_left(tmp_path):
    pytest.importorskip("imageio_ffmpeg", reason="needs the extra [viewer]")
    code = """
import resource, sys
from pathlib import Path
import numpy as np
from learned_sim_env.films import save_film
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    save_film(Path(sys.argv[1]), np.random.default_rng(0).integers(0, 255, (20, 64, 64, 3), np.uint8))
except OSError as error:
    print(error)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(tmp_path / "a.mp4")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "a.mp4" in done.stdout and not list(tmp_path.iterdir())


def test_a_small_gif_is_nearly_exact_and_much_smaller(tmp_path):
    """Of noise over a slope, with a little square of another colour that must not be lost."""
    image = pytest.importorskip("PIL.Image", reason="films need the extra [viewer]")
    rng = np.random.default_rng(0)
    slope = np.linspace(60, 200, 128).astype(np.uint8)[None, :, None].repeat(96, 0).repeat(3, 2)
    frames = [np.clip(slope + rng.normal(0, 2, slope.shape), 0, 255).astype(np.uint8) for _ in range(12)]
    for i, frame in enumerate(frames):
        frame[10 + i : 16 + i, 20:26] = (230, 30, 40)
    small, exact = (save_film(tmp_path / f"{s}.gif", frames, small=s) for s in (True, False))
    assert small.stat().st_size < 0.4 * exact.stat().st_size
    with image.open(small) as opened:
        assert opened.n_frames == len(frames)
        for i, frame in enumerate(frames):
            opened.seek(i)
            shown = np.asarray(opened.convert("RGB")).astype(int)
            assert np.abs(shown - frame).max() <= 20 and np.abs(shown - frame).mean() < 6
