"""Make the pictures of the viewer in docs/viewer, on the checkpoint that ships: run it from the project's root.

It drives the real program without a window, by the keys that a user would press. Needs [metadrive,viewer].
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ.update({"SDL_VIDEODRIVER": "dummy", "OMP_WAIT_POLICY": "PASSIVE"})

import gymnasium as gym
import pygame

from learned_sim_env.display.layout import BASE
from learned_sim_env.files import replacing
from learned_sim_env.twins.pairing import open_twin
from learned_sim_env.viewer.app import App
from learned_sim_env.viewer.drive import InteractiveDrive
from learned_sim_env.viewer.policies import expert
from learned_sim_env.viewer.session import Session

ENV_ID = "learned_sim_env:LearnedDriving-v0"
OUT = Path("docs/viewer")
# Where the pictures are taken: kind of place, seed.
INTERSECTION, ROUNDABOUT = ("intersection", 4), ("roundabout", 0)


def press(app: App, *keys: str) -> None:
    """Press keys, and draw."""
    for key in keys:
        typed = key if len(key) == 1 else ""
        for kind in (pygame.KEYDOWN, pygame.KEYUP):
            pygame.event.post(pygame.event.Event(kind, key=pygame.key.key_code(key), unicode=typed))
        app.once(0.0)


def drive_on(app: App, seconds: float) -> None:
    """Let time pass, and wait for the simulator where it is wanted."""
    end = app.drive.steps + round(10 * seconds)
    while app.drive.steps < end:
        app.once(0.1)


def save(app: App, name: str) -> None:
    """Save the window's picture, without a note."""
    app.drive.say("")
    app.once(0.0)
    with replacing(OUT / name) as temporary:
        pygame.image.save(app.display.surface, temporary)


def main() -> None:
    """Three pictures and a film."""
    env = gym.make(ENV_ID)
    for name, (place, seed), seconds, keys, film in (
        ("dream.png", INTERSECTION, 1.2, (), False),
        ("futures.png", ROUNDABOUT, 3.0, ("b", "c", "u"), False),
        ("twin.png", ROUNDABOUT, 2.5, ("t",), True),
    ):
        session = Session(env, seed, place)
        drive = InteractiveDrive(session, expert(), open_twin=lambda: open_twin("LearnedDriving-v0"))
        app = App(drive, OUT / "drive.gif", size=BASE)
        drive.by_hand = False
        press(app, *keys)
        if film:
            while drive.work(1.0):
                pass
            for old in OUT.glob("drive.*"):
                old.unlink()
            press(app, "g")
        drive_on(app, seconds)
        save(app, name)
        if film:
            drive_on(app, 2.0)
        app.close()
    # The film is what is shown; the rest of the recording is made again by this program.
    for beside in ("drive.npz", "drive.png"):
        (OUT / beside).unlink()
    env.close()


if __name__ == "__main__":
    main()
