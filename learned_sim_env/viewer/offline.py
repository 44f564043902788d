"""Driving and replaying without a display."""

from __future__ import annotations

from collections.abc import Iterator

from learned_sim_env.viewer.drive import Drive
from learned_sim_env.viewer.replay import Replay


def drive_for(drive: Drive, steps: int) -> Iterator[int]:
    """Take `steps` steps, in as many episodes as it takes; yields how many were taken, after each tick."""
    while drive.steps < steps:
        while drive.work(1.0):
            pass
        drive.tick()
        yield drive.steps


def replay_all(drive: Drive, replay: Replay) -> Iterator[int]:
    """Replay a tape into the drive's recording, if there is one; yields how many frames were shown."""
    for count, (kind, frame) in enumerate(replay.frames(), start=1):
        if drive.recording is not None:
            drive.recording.add(kind, drive.session.moment, frame)
        yield count
