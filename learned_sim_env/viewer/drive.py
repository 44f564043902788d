"""What driving in a dream is made of besides the dream: a driver, a pace, a twin, an overlay, a recording."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from learned_sim_env.display import theme
from learned_sim_env.display.frame import Frame, Status, Views
from learned_sim_env.scene import SimulatorError
from learned_sim_env.viewer.futures import FutureBundles
from learned_sim_env.viewer.policies import SessionPolicy
from learned_sim_env.viewer.saved_drive import Recording
from learned_sim_env.viewer.session import Session, frame_of
from learned_sim_env.viewer.tape_format import HOLD, JUMP, STEP
from learned_sim_env.viewer.timeline import TimelineMoment
from learned_sim_env.viewer.twin_follower import TwinFollower

if TYPE_CHECKING:
    from learned_sim_env.environments.twin import TwinDrivingEnv

# How fast time may pass, of the clock's pace, and where it starts.
PACES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
# Strengths of a perturbation, of the latent's own spread, and which one is first.
STRENGTHS = (0.1, 0.2, 0.5, 1.0)
# [steps] For which the end of an episode is shown before a policy goes on.
HELD = 15
# [s] That a note is shown.
NOTED = 4.0
# Steps over which the shown times are medians.
TIMED = 10


class InteractiveDrive:
    """A session with all that surrounds it, a clock step at a time. Knows no window.

    Args:
        session: to drive.
        policy: drives when no human does.
        human: asked for an action (2,) float32 while a human drives; None: there is no human.
        fps: steps a second at normal pace.
        open_twin: opens the simulator beside the dream, see `pairing.open_twin`.

    Attributes:
        by_hand: whether the human drives. pace, strength: indices into `PACES` and `STRENGTHS`. palette: see `theme`.
        paused: shown as such; the caller of `tick` keeps to it. steps: taken. model_times: [s] of each of them.
        display_ms: of a picture, set by what draws it. recording: in progress, or None. written: files so far.
        script: frames of a replay to be shown instead of driving, see `replay.Replay.frames`.
    """

    def __init__(
        self,
        session: Session,
        policy: SessionPolicy,
        human: Callable[[], np.ndarray] | None = None,
        fps: float = 10.0,
        open_twin: Callable[[], TwinDrivingEnv] | None = None,
    ):
        self.session, self.policy, self.human, self.fps = session, policy, human, fps
        self.by_hand = human is not None
        self.pace, self.strength = PACES.index(1.0), STRENGTHS.index(0.2)
        self.palette = "standard"
        self.paused = False
        self.steps = 0
        self.model_times: list[float] = []
        self.display_ms = 0.0
        self.recording: Recording | None = None
        self.written: list[Path] = []
        self.script: Iterator[tuple[int, Frame]] | None = None
        self._open_twin, self._twin_wanted = open_twin, False
        self._follower: TwinFollower | None = None
        self._approach: Iterator[int] | None = None
        self._futures: FutureBundles | None = None
        self._overlay: tuple[Views, int] | None = None
        self._overlaid: TimelineMoment | None = None
        self._scripted: Frame | None = None
        self._held = 0
        self._appearance = ""
        self._note, self._noted = "", 0.0
        self._recent: deque[float] = deque(maxlen=TIMED)

    @property
    def rate(self) -> float:
        """Steps a second that are wanted now."""
        return self.fps * PACES[self.pace]

    def say(self, note: str) -> None:
        """Show a note for a while."""
        self._note, self._noted = note, time.monotonic()

    def tick(self) -> None:
        """One clock step: of a replay, of the twin that is on its way, of the dream, or of looking at how it ended."""
        moment = self.session.moment
        if self.script is not None:
            self._play()
        elif self._twin_wanted and not self._at_twin(moment):
            self._start_approach()
        elif moment.over:
            self._hold()
        else:
            self._held = 0
            action = self.human() if self.by_hand and self.human is not None else self.policy(self.session)
            began = time.perf_counter()
            after = self.session.step(action)
            self._time(time.perf_counter() - began)
            self.steps += 1
            if self._twin_wanted and self._follower is not None:
                self._follower.step(after)
            self.emit(STEP)

    def work(self, seconds: float) -> bool:
        """Drive the twin towards the dream's moment for some seconds; whether it is still on its way."""
        if self._twin_wanted and self._approach is None and self.session.moment.twin is None and self.script is None:
            self._start_approach()
        until = time.perf_counter() + seconds
        while self._approach is not None:
            try:
                left = next(self._approach, None)
            except (ValueError, SimulatorError) as error:
                self._twin_off(str(error))
                break
            if left is None:
                self._approach = None
                self.say("the simulator is there")
                break
            if time.perf_counter() > until:
                self.say(f"the simulator is on its way: {left} steps to go")
                break
        return self._approach is not None

    def frame(self) -> Frame:
        """What is to be seen now."""
        if self._scripted is not None:
            status = replace(self._scripted.status, paused=self.paused, recording=self.recording is not None)
            return replace(self._scripted, status=status)
        status = Status(
            driver="you" if self.by_hand else self.policy.name,
            rate=self.rate,
            paused=self.paused,
            recording=self.recording is not None,
            marked=-1 if self.session.mark is None else self.session.mark.info["imagined_steps"],
            strength=STRENGTHS[self.strength] if self.session.can_perturb else 0.0,
            model_ms=1e3 * median(self._recent) if self._recent else 0.0,
            display_ms=self.display_ms,
            palette=self.palette,
            note=self._note if time.monotonic() - self._noted < NOTED else "",
        )
        frame = replace(frame_of(self.session), status=status, twin_wanted=self._twin_wanted)
        if not self._twin_wanted:
            frame = replace(frame, twin=None)
        if self._futures is not None:
            if self._overlaid is not self.session.moment:
                self._overlay, self._overlaid = self._futures.overlay(self.session.moment), self.session.moment
            assert self._overlay is not None
            overlay, age = self._overlay
            frame = replace(frame, overlay=overlay, status=replace(status, futures=age * frame.dt))
        return frame

    def emit(self, kind: int) -> None:
        """Record what is to be seen now."""
        if self.recording is not None:
            self.recording.add(kind, self.session.moment, self.frame())
            if self.recording.error is not None:
                self.say(f"the film cannot be written: {self.recording.error}")

    def jumped(self, note: str) -> None:
        """After the session has gone elsewhere."""
        self.leave_script()
        self._approach, self._held = None, 0
        self.say(note)
        self.emit(JUMP)

    def leave_script(self) -> None:
        """Stop replaying: what comes now is driven."""
        self.script = self._scripted = None

    def record(self, path: Path, begin: bool = True) -> None:
        """Begin to record, with the present moment if `begin`.

        Raises:
            ValueError, ImportError, OSError: if nothing can be written there.
        """
        fingerprint = self.session.moment.snapshot["checkpoint"]
        self.recording = Recording(path, self.fps, checkpoint=fingerprint, contract=self.session.contract.name)
        if begin:
            self.emit(JUMP)

    def stop_recording(self) -> list[Path]:
        """End the recording and return its files; none if there is none."""
        if self.recording is None:
            return []
        recording, self.recording = self.recording, None
        paths = recording.close()
        self.written += paths
        return paths

    def toggle_twin(self) -> None:
        """Show the simulator beside the dream, or no longer."""
        if self._twin_wanted:
            self._twin_off("")
            return
        if self._follower is None:
            if self._open_twin is None:
                raise ValueError("this environment declares no twin")
            self._follower = TwinFollower(self._open_twin(), self.session.contexts)
        self._twin_wanted = True
        self.say("the simulator sets out")

    def next_appearance(self) -> None:
        """Show the simulator's cameras in the next light or weather.

        Raises:
            ValueError: if no simulator with cameras of its own drawing is shown.
        """
        if self._follower is None or not self._follower.appearances:
            raise ValueError("not applicable: T shows a simulator, and only some have cameras that are drawn")
        known = self._follower.appearances
        self._appearance = known[(known.index(self._appearance) + 1) % len(known)] if self._appearance else known[0]
        self._follower.show_in(self._appearance)
        self.say(f"the simulator: {self._appearance}")

    def toggle_overlay(self) -> None:
        """Show where other futures differ, or no longer."""
        self._futures = None if self._futures is not None else FutureBundles(self.session.env.unwrapped)
        self._overlaid = None
        self.say("dots: where other futures differ" if self._futures is not None else "")

    def next_palette(self) -> None:
        """The other colours."""
        self.palette = theme.after(self.palette)
        self.say(f"colours: {self.palette}")

    def close(self) -> None:
        """Save what is being recorded and close the simulator, whatever happens."""
        try:
            self.stop_recording()
        finally:
            if self._follower is not None:
                self._follower.close()
                self._follower = None

    def _play(self) -> None:
        assert self.script is not None
        kind, frame = next(self.script, (HOLD, None))
        if frame is None:
            self.leave_script()
            self.paused = True
            self.say("the replay is over: drive on from here")
            return
        self._scripted = frame
        self.steps += 1
        if self.recording is not None:
            self.recording.add(kind, self.session.moment, frame)

    def _hold(self) -> None:
        self._held += 1
        if self._held <= HELD:
            self.emit(HOLD)
        elif not self.by_hand:
            self.session.following()
            self.jumped("next context")

    def _at_twin(self, moment: TimelineMoment) -> bool:
        return self._follower is not None and self._follower.stands_at(moment)

    def _start_approach(self) -> None:
        assert self._follower is not None
        if self._follower.can_follow(self.session.moment):
            self._approach = self._approach or self._follower.catch_up(self.session.moment)
        else:
            self._twin_off("no simulator: it is not known how it would get here")

    def _twin_off(self, note: str) -> None:
        self._twin_wanted, self._approach = False, None
        self.say(note)

    def _time(self, seconds: float) -> None:
        self._recent.append(seconds)
        self.model_times.append(seconds)
