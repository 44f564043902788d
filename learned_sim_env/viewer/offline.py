"""Driving and replaying without a display."""

from __future__ import annotations

from collections.abc import Iterator

from learned_sim_env.viewer.drive import HELD, InteractiveDrive
from learned_sim_env.viewer.replay import Replay


def drive_for(drive: InteractiveDrive, steps: int, one_episode: bool = False) -> Iterator[int]:
    """Take `steps` steps, in as many episodes as it takes, or until the first ends; yields how many were taken."""
    while drive.steps < steps:
        while drive.work(1.0):
            pass
        drive.tick()
        yield drive.steps
        if one_episode and drive.session.moment.over:
            break
    if drive.session.moment.over:
        # So that a film shows how it ended.
        for _ in range(HELD):
            drive.tick()


def replay_all(drive: InteractiveDrive, replay: Replay) -> Iterator[int]:
    """Replay a tape into the drive's recording, if there is one; yields how many frames were shown."""
    for count, (kind, frame) in enumerate(replay.frames(), start=1):
        if drive.recording is not None:
            drive.recording.add(kind, drive.session.moment, frame)
        yield count
