"""Films: pictures at the contract's clock, episodes in which all else is unknown, and what is wrong with some."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from learned_sim_env.data.dataset import PackedData, load_episodes
from learned_sim_env.data.imports import ImportConfig, look_at_all
from learned_sim_env.recordings import formats
from learned_sim_env.recordings.film import at_clock, fitted, footage_of
from learned_sim_env.recordings.formats.video import pictures
from learned_sim_env.recordings.recording import RecordingError
from learned_sim_env.scene import SimulatorError
from learned_sim_env.simulators.recorded import RecordedSimulator
from learned_sim_env.spec import CONTRACTS

cv2 = pytest.importorskip("cv2")


def film(path: Path, seconds: float = 4.0, rate: float = 20.0, size: tuple[int, int] = (128, 240)) -> Path:
    """A film (height, width) that turns from black to white in 5 s, with red sides beyond the middle."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), rate, size[::-1])
    for i in range(round(seconds * rate)):
        picture = np.full((*size, 3), min(round(255 * i / rate / 5), 255), np.uint8)
        picture[:, :16] = picture[:, -16:] = (0, 0, 255)
        writer.write(picture)
    writer.release()
    return path


def test_pictures_at_the_clock(tmp_path: Path) -> None:
    (found,) = formats.read(film(tmp_path / "a.mp4"))
    (piece,) = footage_of(found)
    assert piece.pictures.shape == (40, 64, 96, 3) and piece.pictures.dtype == np.uint8 and len(piece) == 39
    # As bright as the film is at that time, and without its sides.
    means = piece.pictures.mean((1, 2, 3))
    assert np.abs(means - 255 * 0.1 * np.arange(40) / 5).max() < 8
    assert piece.pictures.std((1, 2, 3)).max() < 8
    assert formats.format_of(tmp_path / "a.mp4") == "video" and (piece.name, piece.log) == ("a/0", "video/a")


def test_colours_are_red_green_and_blue(tmp_path: Path) -> None:
    _, first = next(pictures(film(tmp_path / "a.mp4")))
    assert (np.abs(first[60, 4].astype(int) - [255, 0, 0]) < 30).all()


def test_a_long_film_is_cut_and_a_short_one_refused(tmp_path: Path) -> None:
    (found,) = formats.read(film(tmp_path / "a.mp4", seconds=54.0, rate=10.0, size=(64, 96)))
    assert [len(piece) for piece in footage_of(found)] == [500, 38]
    (short,) = formats.read(film(tmp_path / "b.mp4", seconds=1.0))
    with pytest.raises(RecordingError, match=r"its 1\.0 s are less than 3 s"):
        list(footage_of(short))


def test_a_slow_film_repeats_its_pictures() -> None:
    shown = [np.full((1, 1, 3), i, np.uint8) for i in range(4)]
    slow = list(at_clock(iter(zip((0.0, 0.25, 0.5, 0.75), shown)), 0.1))
    assert [int(picture[0, 0, 0]) for picture in slow] == [0, 0, 0, 1, 1, 2, 2, 2]
    fast = list(at_clock(iter(zip((0.0, 0.0333, 0.0667, 0.1), shown)), 0.1))
    assert [int(picture[0, 0, 0]) for picture in fast] == [0, 3]


def test_the_middle_of_a_picture_is_taken() -> None:
    tall = np.zeros((300, 96, 3), np.uint8)
    tall[118:182] = 200
    assert (fitted(tall, (64, 96)) == 200).all()


def test_films_become_episodes_of_one_camera(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("minari")
    film(tmp_path / "a.mp4")
    (tmp_path / "broken.mp4").write_bytes(b"no film" * 100)
    report = look_at_all(ImportConfig(tmp_path, tmp_path / "out", workers=1, camera="left"))
    assert report.to_dict()["lacking"] == {"path": 1, "map": 1, "others": 1, "actions": 1}
    assert "a/0: a film: one camera's pictures" in str(report) and "OpenCV finds no picture" in str(report)
    (episode,) = load_episodes(tmp_path / "out")
    assert set(episode.observations) == {"left", "ego"} and episode.parts == () and len(episode) == 39
    assert not episode.valid["ego"].any() and not episode.valid["actions"].any()
    data = PackedData.load(tmp_path / "out" / "packed.npz")
    data.check_contract(CONTRACTS["driving-camera"], ("left",))
    assert data.known("left", slice(None)).all() and not data.known("actions", slice(None)).any()


def test_wrong_camera(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Did you mean 'front'"):
        ImportConfig(tmp_path, check=True, camera="frnt")


def test_nothing_drives_in_a_film(tmp_path: Path) -> None:
    simulator = RecordedSimulator(CONTRACTS["driving"], recordings=str(film(tmp_path / "a.mp4")))
    with pytest.raises(SimulatorError, match="a is a film, and nowhere to drive in"):
        simulator.reset(0, {})
