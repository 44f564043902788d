"""`learned-sim drive` without a display: films, replays, and errors that say what to do."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

from learned_sim_env.cli.main import main
from learned_sim_env.viewer.drive import HELD
from learned_sim_env.viewer.tape import Tape
from learned_sim_env.viewer.tape_format import HOLD, STEP
from tests.standin import Standin

pytest.importorskip("pygame", reason="the viewer needs the extra [viewer]")
image = pytest.importorskip("PIL.Image", reason="the viewer needs the extra [viewer]")

HEADLESS = ["drive", "--headless", "--policy", "expert"]


def test_film_picture_and_replay(tmp_path, capsys):
    assert main([*HEADLESS, "--scenario", "curve", "--steps", "12", "--record", str(tmp_path / "a.gif")]) == 0
    out = capsys.readouterr().out
    assert "model, a step:" in out
    assert f"written: {tmp_path / 'a.gif'}, {tmp_path / 'a.npz'}, {tmp_path / 'a.png'}" in out
    with image.open(tmp_path / "a.gif") as film:
        assert film.n_frames == 13
    again = ["drive", "--headless", "--seed", "7", "--actions", str(tmp_path / "a.npz")]
    assert main([*again, "--record", str(tmp_path / "b.gif")]) == 0
    assert "replayed 13 frames, all of them as recorded" in capsys.readouterr().out
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_replay_that_differs_is_said(tmp_path, capsys):
    main([*HEADLESS, "--steps", "5", "--record", str(tmp_path / "a.gif")])
    tape = Tape.load(tmp_path / "a.npz")
    tape.arrays["crc/bev"][3] ^= 1
    tape.save(tmp_path / "a.npz")
    assert main(["drive", "--headless", "--actions", str(tmp_path / "a.npz")]) == 1
    assert "from frame 3 on they differ" in capsys.readouterr().out


def test_actions_from_a_file(tmp_path):
    actions = np.array([[0.1, 0.5]] * 4 + [[-0.1, 0.2]] * 4, np.float32)
    np.savetxt(tmp_path / "a.csv", actions, delimiter=",")
    command = ["drive", "--headless", "--actions", str(tmp_path / "a.csv"), "--record", str(tmp_path / "a.gif")]
    assert main([*command, "--fps", "20", "--seed", "3"]) == 0
    tape = Tape.load(tmp_path / "a.npz")
    np.testing.assert_array_equal(tape.arrays["action"][1:], actions)
    assert tape.arrays["seed"].tolist() == [3] * 9
    assert tape.about["fps"] == 20


def test_the_seed_decides(tmp_path):
    views = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        main([*HEADLESS, "--steps", "5", "--seed", seed, "--record", str(tmp_path / f"{name}.gif")])
        views.append(Tape.load(tmp_path / f"{name}.npz").arrays["crc/bev"].tolist())
    assert views[0] == views[1] != views[2]


@pytest.mark.parametrize("named", [[], ["metadrive"]])
def test_beside_the_simulator(tmp_path, named):
    pytest.importorskip("metadrive", reason="needs the extra [metadrive]")
    record = str(tmp_path / "a.gif")
    assert main([*HEADLESS, "--twin", *named, "--steps", "3", "--seed", "5", "--record", record]) == 0
    arrays = Tape.load(tmp_path / "a.npz").arrays
    assert arrays["twin"].tolist() == [-1, 0, 1, 2]
    assert arrays["twin_wanted"].all()
    assert (arrays["twin_apart"] < 0.1).all()


def test_beside_carla_the_dream_starts_in_carla(tmp_path, capsys):
    pytest.importorskip("carla", reason="needs the extra [carla]")
    pytest.importorskip("msgpack", reason="needs the extra [carla]")
    if "CARLA_SERVER" in os.environ:
        pytest.skip("the one CARLA server is in use by another environment")
    with Standin() as server:
        beside = ["--twin", "carla", "--twin-settings", f"port={server.port}", "vehicles=[3,6]", "walkers=0"]
        assert main([*HEADLESS, *beside, "--steps", "5", "--record", str(tmp_path / "a.gif")]) == 0
        assert "recording 6 starts in carla, which the model was not learned from" in capsys.readouterr().out
        arrays = Tape.load(tmp_path / "a.npz").arrays
        assert arrays["twin"].tolist() == [-1, 0, 1, 2, 3, 4]
        assert (arrays["twin_apart"] < 0.5).all()
        assert (arrays["twin_speed"][1:] > 3.0).all()
        assert (arrays["twin_end_reason"] == "").all()
    # The film is driven again without a server.
    assert main(["drive", "--headless", "--actions", str(tmp_path / "a.npz"), *beside]) == 0
    assert "all of them as recorded" in capsys.readouterr().out
    assert main([*HEADLESS, *beside, "timeout=1.0", "--steps", "5"]) == 2
    assert f"no CARLA server at 127.0.0.1:{server.port} within 1 s" in capsys.readouterr().err


def test_without_the_encoder_a_gif(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    assert main([*HEADLESS, "--steps", "2", "--record", str(tmp_path / "a.mp4")]) == 0
    assert "a GIF instead of an MP4: imageio_ffmpeg is not installed" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"a.gif", "a.npz", "a.png"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--headless"], "driven by hand without a display: give --policy expert, or --actions"),
        (["--headless", "--policy", "expert"], "give --steps"),
        (["--headless", "--policy", "expert", "--steps", "0"], "steps is 0"),
        (["--headless", "--policy", "exprt", "--steps", "5"], "Did you mean 'expert'?"),
        (["--headless", "--policy", "./none.zip", "--steps", "5"], "policy file ./none.zip does not exist"),
        (["--headless", "--actions", "none.npz"], "there is no recording none.npz"),
        (["--headless", "--policy", "expert", "--steps", "5", "--record", "film.avi"], "unknown film format '.avi'"),
        (["--scenario", "roundabuot"], "Did you mean 'roundabout'?"),
        (["--fps", "0"], "fps is 0.0"),
        (["--twin", "cala"], "Did you mean 'carla'?"),
        (["--twin", "carla", "metadrive"], "one simulator at most"),
        (["--twin-settings", "port=2000"], "give --twin as well"),
        (["--twin", "carla", "--twin-settings", "port"], "not of the form name=value"),
    ],
)
def test_wrong_options(options, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["drive", *options]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_without_a_display(monkeypatch, capsys):
    monkeypatch.setenv("SDL_VIDEODRIVER", "x11")
    monkeypatch.delenv("DISPLAY", raising=False)
    import pygame

    pygame.display.quit()
    assert main(["drive"]) == 2
    assert "no window can be opened" in (error := capsys.readouterr().err)
    assert "--headless" in error


def test_without_pygame_the_extra_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pygame", None)
    assert main(["drive", "--policy", "expert", "--steps", "3"]) == 2
    assert 'pygame is not installed: pip install "learned-sim-env[viewer]"' in capsys.readouterr().err


def test_in_a_window(tmp_path, capsys):
    command = ["drive", "--policy", "expert", "--steps", "5", "--fps", "50", "--record", str(tmp_path / "a.gif")]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "display, a picture:" in out
    assert "pictures a second" in out
    assert Tape.load(tmp_path / "a.npz").arrays["kind"].tolist() == [1, 0, 0, 0, 0, 0]
    assert main(["drive", "--actions", str(tmp_path / "a.csv")]) == 2


def test_actions_end_with_their_episode(tmp_path, capsys):
    np.save(tmp_path / "a.npy", np.tile(np.array([[1.0, 1.0]], np.float32), (200, 1)))
    command = ["drive", "--headless", "--actions", str(tmp_path / "a.npy"), "--record", str(tmp_path / "a.gif")]
    assert main(command) == 0
    arrays = Tape.load(tmp_path / "a.npz").arrays
    taken = int((arrays["kind"] == STEP).sum())
    assert taken < 200
    assert arrays["end_reason"][taken] != ""
    # The end is held for a while, and nothing begins after it.
    assert (arrays["kind"][taken + 1 :] == HOLD).all()
    assert len(arrays["kind"]) == taken + 1 + HELD
    assert f"ended by {arrays['end_reason'][-1].replace('_', ' ')}" in capsys.readouterr().out
