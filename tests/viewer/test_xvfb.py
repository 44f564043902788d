"""The real program in a real window, with keys that come from the X server."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from learned_sim_env.display.layout import PANELS, arrange
from learned_sim_env.display.theme import theme
from learned_sim_env.spec import PALETTE
from learned_sim_env.viewer.tape import Tape
from learned_sim_env.viewer.tape_format import JUMP, STEP

pytest.importorskip("pygame", reason="the viewer needs the extra [viewer]")
pytest.importorskip("PIL", reason="the viewer needs the extra [viewer]")


for program in ("Xvfb", "xdotool"):
    if shutil.which(program) is None:
        pytest.skip(f"needs {program}", allow_module_level=True)

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 120.0  # [s]


class Screen:
    """An X server without a screen, and what runs there."""

    def __init__(self) -> None:
        reading, writing = os.pipe()
        command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1600x1000x24", "-noreset"]
        self.server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
        os.close(writing)
        with os.fdopen(reading) as display:
            self.env = {**os.environ, "DISPLAY": f":{display.readline().strip()}", "SDL_VIDEODRIVER": "x11"}
        self.env["PYTHONPATH"] = str(ROOT)
        self.programs: list[subprocess.Popen[str]] = []

    def start(self, folder: Path, *options: str) -> subprocess.Popen[str]:
        """Start `learned-sim drive --record` and wait for its window."""
        command = [sys.executable, "-m", "learned_sim_env.cli.main", "drive", *options]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        program = subprocess.Popen(command, cwd=folder, env=self.env, text=True, **pipes)
        self.programs.append(program)
        # What it says when its window is there.
        assert program.stdout.readline().startswith("recording "), program.stderr.read()
        return program

    def xdotool(self, *arguments: str) -> None:
        subprocess.run(["xdotool", *arguments], env=self.env, check=True)

    def close(self) -> None:
        for program in self.programs:
            program.kill()
            program.communicate()
        self.server.kill()
        self.server.wait()


@pytest.fixture
def screen() -> Iterator[Screen]:
    made = Screen()
    yield made
    made.close()


def test_driving_with_real_keys(screen, tmp_path):
    program = screen.start(tmp_path, "--scenario", "roundabout", "--record", str(tmp_path / "a.gif"))
    screen.xdotool("keydown", "Up")
    time.sleep(4.0)
    screen.xdotool("keyup", "Up")
    for key in ("period", "z", "z", "F1"):
        screen.xdotool("key", key)
        time.sleep(0.4)
    if image := pytest.importorskip("PIL.features").check("xcb"):
        from PIL import ImageGrab

        screen.xdotool("key", "F1")
        time.sleep(1.0)
        image = np.asarray(ImageGrab.grab(xdisplay=screen.env["DISPLAY"]).convert("RGB"))
    screen.xdotool("key", "Escape")
    out, error = program.communicate(timeout=PATIENCE)
    assert program.returncode == 0, error
    assert "pictures a second" in out
    tape = Tape.load(tmp_path / "a.npz").arrays
    kinds, pedal = tape["kind"].tolist(), tape["action"][:, 1]
    assert kinds[0] == JUMP
    # The rewinding came last.
    assert kinds[-2:] == [JUMP, JUMP]
    assert tape["step"][-2:].tolist() == [tape["step"][-3] - 1, tape["step"][-3] - 2]
    assert kinds.count(STEP) > 2
    assert pedal.max() == 1.0
    if image is not False:
        look_at(image)


def look_at(screen: np.ndarray) -> None:
    """The picture on the screen (H, W, 3) uint8 has its parts."""
    inside = (screen != 0).any(-1)
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    window = screen[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    layout = arrange(window.shape[1::-1], {}, {"bev": (64, 64)}, twin=False)
    for name in PANELS:
        rect = layout.panels[name]
        panel = window[rect.y : rect.bottom, rect.x : rect.right]
        assert 0.5 < (panel == theme("standard").panel).all(-1).mean() < 0.995, name
    view = layout.views["bev"]
    factor = view.width // 64
    cells = window[view.y + factor // 2 : view.bottom : factor, view.x + factor // 2 : view.right : factor]
    known = (cells[:, :, None] == PALETTE).all(-1).any(-1)
    assert cells.shape == (64, 64, 3)
    assert known.all()


def test_losing_the_display_saves_the_recording(screen, tmp_path):
    program = screen.start(tmp_path, "--policy", "expert", "--record", str(tmp_path / "a.gif"))
    time.sleep(3.0)
    screen.server.send_signal(signal.SIGKILL)
    _, error = program.communicate(timeout=PATIENCE)
    assert program.returncode == 2
    assert "the display is lost; saved: " in error
    assert len(Tape.load(tmp_path / "a.npz")) > 3
    assert (tmp_path / "a.gif").stat().st_size > 10_000
    assert not list(tmp_path.glob(".unfinished*"))


def test_an_interrupt_saves_the_recording(screen, tmp_path):
    program = screen.start(tmp_path, "--policy", "expert", "--record", str(tmp_path / "a.gif"))
    time.sleep(3.0)
    program.send_signal(signal.SIGINT)
    program.communicate(timeout=PATIENCE)
    assert program.returncode == 130
    assert len(Tape.load(tmp_path / "a.npz")) > 3
