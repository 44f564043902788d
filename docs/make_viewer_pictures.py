"""Make the pictures of the viewer in docs/viewer, on the checkpoints that ship: run it from the project's root.

It drives the real program without a window, by the keys that a user would press. Needs [metadrive,viewer]. Names of
pictures after it make those alone, as in `python docs/make_viewer_pictures.py cameras.png`.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

os.environ.update({"SDL_VIDEODRIVER": "dummy", "OMP_WAIT_POLICY": "PASSIVE"})

import gymnasium as gym
import pygame

from learned_sim_env.cli.checkpoint_env import make_dream
from learned_sim_env.display.layout import BASE
from learned_sim_env.files import replacing
from learned_sim_env.twins.pairing import open_twin
from learned_sim_env.viewer.app import App
from learned_sim_env.viewer.drive import InteractiveDrive
from learned_sim_env.viewer.policies import expert
from learned_sim_env.viewer.session import Session

OUT = Path("docs/viewer")


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


@dataclass(frozen=True)
class Shot:
    """A picture. name: of its file. env_id: what is driven in. place, seed: where. keys: pressed at first. seconds:
    driven then. late: keys pressed at the end. film: whether it is filmed as well.
    """

    name: str
    env_id: str
    place: str
    seed: int
    seconds: float
    keys: tuple[str, ...] = ()
    late: tuple[str, ...] = ()
    film: bool = False


ABOVE, CAMERAS = "LearnedDriving-v0", "LearnedDrivingCamera-v0"
SHOTS = (
    Shot("dream.png", ABOVE, "intersection", 4, 1.2),
    Shot("futures.png", ABOVE, "roundabout", 0, 3.0, ("b", "c", "u")),
    Shot("twin.png", ABOVE, "roundabout", 0, 2.5, ("t",), film=True),
    Shot("cameras.png", CAMERAS, "traffic", 4, 1.0),
    Shot("cameras_twin.png", CAMERAS, "traffic", 4, 1.5, ("t",)),
    Shot("cameras_night.png", CAMERAS, "traffic", 4, 1.5, ("t",), late=("e", "e", "e", "e")),
)


def take(shot: Shot) -> None:
    """Drive, and save what is seen."""
    declared = gym.make(f"learned_sim_env:{shot.env_id}")
    env = make_dream(shot.env_id, declared.get_wrapper_attr("checkpoint"))
    declared.close()
    drive = InteractiveDrive(Session(env, shot.seed, shot.place), expert(), open_twin=partial(open_twin, shot.env_id))
    app = App(drive, OUT / "drive.gif", size=BASE)
    drive.by_hand = False
    press(app, *shot.keys)
    if drive.twin.wanted:
        while drive.work(1.0):
            pass
    if shot.film:
        for old in OUT.glob("drive.*"):
            old.unlink()
        press(app, "g")
    drive_on(app, shot.seconds)
    press(app, *shot.late)
    save(app, shot.name)
    if shot.film:
        drive_on(app, 2.0)
    app.close()
    env.close()


def main() -> None:
    """All of them, or those that are named."""
    for shot in SHOTS:
        if not sys.argv[1:] or shot.name in sys.argv[1:]:
            take(shot)
    # The film is what is shown; the rest of the recording is made again by this program.
    for beside in ("drive.npz", "drive.png"):
        (OUT / beside).unlink(missing_ok=True)


if __name__ == "__main__":
    main()
