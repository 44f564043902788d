"""The interactive viewer: events in, commands out, a picture as often as the screen can take one."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from learned_sim_env.display.board import Board
from learned_sim_env.display.display import Display, when_display_is_lost
from learned_sim_env.failures import line_of
from learned_sim_env.optional import require
from learned_sim_env.spec import SCENARIO_TAGS
from learned_sim_env.viewer.drive import PACES, STRENGTHS, InteractiveDrive
from learned_sim_env.viewer.keys import HELD, HELP, command_of
from learned_sim_env.viewer.saved_drive import film_path, unused
from learned_sim_env.viewer.steering import KeyboardWheel, Pad

# Pictures a second, at most.
FPS = 60
# [s] of each picture's time that the simulator may use while it is on its way.
TWIN_SHARE = 0.02
# Commands that a held key repeats, and how: [ms] before the first time and between the others.
REPEATED, REPEAT = ("rewind", "single_step"), (350, 60)
# Steps that are caught up with at once, where the machine is too slow.
BEHIND = 3


class App:
    """Drives until its user quits, or for `steps` steps.

    Args:
        drive: what is driven, by hand through this.
        record: where the next recording goes.
        steps: after which it ends by itself; None: never.
        size: of the window [pixels]; None: as suits the screen.

    Attributes:
        frames, display_times: pictures drawn, and the seconds that each took.

    Raises:
        ValueError: if there is no display.
    """

    def __init__(
        self,
        drive: InteractiveDrive,
        record: Path,
        steps: int | None = None,
        size: tuple[int, int] | None = None,
        title: str = "",
    ):
        self._pygame = pygame = require("pygame", extra="viewer")
        self.drive, self._record, self._steps = drive, record, steps
        self.display = Display(title or "learned-sim drive", size)
        self.board, self.wheel, self.pad = Board(), KeyboardWheel(), Pad(pygame)
        drive.human = self._by_hand
        pygame.key.set_repeat(*REPEAT)
        self._down: set[str] = set()
        self._help, self.running = False, True
        self._action = np.zeros(2, np.float32)
        self._due = 0.0
        self.display_times: list[float] = []
        self.seconds = 0.0
        self._guard = when_display_is_lost(self._rescue)

    def run(self) -> None:
        """Until the end. What is being recorded is saved, however it ends.

        Raises:
            ValueError: if the window was lost.
        """
        clock, began = self._pygame.time.Clock(), time.perf_counter()
        try:
            while self.running:
                self.once(clock.tick(FPS) / 1000)
        except self._pygame.error as error:
            raise ValueError(f"the window is lost: {error}{self._saved()}") from error
        finally:
            self.seconds = time.perf_counter() - began
            self.close()

    def once(self, seconds: float) -> None:
        """Everything between two pictures that are `seconds` apart: events, steps that are due, one picture."""
        for event in self._pygame.event.get():
            self.handle(event)
        if not self.running:
            return
        speed = float(self.drive.session.moment.observation["ego"][0])
        held = {HELD[name] for name in self._down if name in HELD}
        stick = self.pad.action(speed)
        self._action = self.wheel.update(held, seconds, speed) if held or stick is None else stick
        on_its_way = self.drive.work(TWIN_SHARE)
        if not self.drive.paused and not on_its_way:
            self._due = min(self._due + seconds * self.drive.rate, BEHIND)
            while self._due >= 1 and self.running:
                self._due -= 1
                self._step()
        self._draw()

    def handle(self, event: Any) -> None:
        """One event of pygame."""
        pygame = self._pygame
        if event.type == pygame.QUIT:
            self.quit()
        elif event.type == pygame.VIDEORESIZE:
            self.display.resized()
        elif event.type == pygame.WINDOWFOCUSLOST:
            self._down.clear()
        elif event.type in (pygame.CONTROLLERDEVICEADDED, pygame.CONTROLLERDEVICEREMOVED):
            self.pad.look()
            self.drive.say(f"controller: {self.pad.name}" if self.pad.name else "no controller")
        elif event.type == pygame.KEYUP:
            self._down.discard(pygame.key.name(event.key))
        elif event.type == pygame.KEYDOWN:
            name = pygame.key.name(event.key)
            again = name in self._down
            self._down.add(name)
            typed = getattr(event, "unicode", "")
            command = command_of(name, typed)
            if command and (not again or command in REPEATED):
                self._obey(command, typed)

    def close(self) -> None:
        """Save the recording, close window and simulator; closing again is harmless."""
        self.running = False
        try:
            self.drive.close()
        finally:
            self.display.close()

    def quit(self) -> None:
        """End after this."""
        self.running = False

    def switch_driver(self) -> None:
        """You, or the policy."""
        drive = self.drive
        drive.leave_script()
        drive.by_hand = not drive.by_hand
        self.wheel.action = drive.session.moment.observation["ego"][2:4].copy()
        drive.say("you drive" if drive.by_hand else f"{drive.policy.name} drives")

    def pause(self) -> None:
        """Stop the time, or let it go on."""
        self.drive.paused = not self.drive.paused

    def single_step(self) -> None:
        """One step, and no more."""
        self.drive.paused = True
        self._step()

    def slower(self) -> None:
        """Let time pass more slowly."""
        self._pace(-1)

    def faster(self) -> None:
        """Let time pass faster."""
        self._pace(+1)

    def again(self) -> None:
        """The same start once more."""
        self._jump(self.drive.session.again, "once more")

    def another_chance(self) -> None:
        """The same start with another seed."""
        self._jump(self.drive.session.another_chance, "the same start, another chance")

    def next_context(self) -> None:
        """The next start."""
        self._jump(self.drive.session.following, "next context")

    def scenario(self, typed: str) -> None:
        """A start at another kind of place."""
        tag = SCENARIO_TAGS[int(typed) - 1] if int(typed) <= len(SCENARIO_TAGS) else None
        self._jump(lambda: self.drive.session.go_to(tag), f"start: {tag or 'anywhere'}")

    def mark(self) -> None:
        """Remember this moment."""
        self.drive.session.set_mark()
        self.drive.say("marked: V comes back here")

    def return_to_mark(self) -> None:
        """Back to the marked moment."""
        self._jump(self.drive.session.return_to_mark, "back at the mark", "no mark yet: B sets one")

    def rewind(self) -> None:
        """A step back; time stops."""
        self.drive.paused = True
        self._jump(self.drive.session.rewind, "rewound: P goes on from here", "this is where it began")

    def twin(self) -> None:
        """The simulator beside it."""
        self.drive.twin.toggle()

    def appearance(self) -> None:
        """The simulator in another light."""
        self.drive.twin.next_appearance()

    def dream_appearance(self) -> None:
        """A dream that begins in another light."""
        session = self.drive.session
        self._jump(session.next_look, "")
        self.drive.say(f"the dream: {session.look}")

    def overlay(self) -> None:
        """Other futures over it."""
        self.drive.toggle_overlay()

    def perturb(self) -> None:
        """Push the latent."""
        strength = STRENGTHS[self.drive.strength]
        self._jump(lambda: self.drive.session.perturb(strength), f"perturbed: strength {strength:g}")

    def perturb_strength(self) -> None:
        """How strongly next time."""
        if not self.drive.session.can_perturb:
            self.drive.say("not applicable: this model has no recurrent state to perturb")
            return
        self.drive.strength = (self.drive.strength + 1) % len(STRENGTHS)
        self.drive.say(f"L perturbs with strength {STRENGTHS[self.drive.strength]:g}")

    def palette(self) -> None:
        """Other colours."""
        self.drive.next_palette()

    def record(self) -> None:
        """Begin or end a recording."""
        if self.drive.recording is not None:
            self.drive.say(f"written: {self.drive.stop_recording()[0]}")
            return
        path, said = film_path(unused(self._record))
        self.drive.record(path)
        self.drive.say(said or f"recording {path}")

    def full_screen(self) -> None:
        """Fill the screen, or no longer."""
        self.display.toggle_full_screen()

    def help(self) -> None:
        """Show the keys, or no longer."""
        self._help = not self._help

    def _obey(self, command: str, typed: str) -> None:
        try:
            if command == "scenario":
                self.scenario(typed)
            else:
                getattr(self, command)()
        except (ValueError, ImportError, OSError) as error:
            # What cannot be done is said, and the drive goes on.
            self.drive.say(line_of(error))

    def _jump(self, there: Callable[[], object], note: str, otherwise: str = "") -> None:
        if there() is None:
            self.drive.say(otherwise)
            return
        self.drive.jumped(note)
        self.wheel.action = self.drive.session.moment.observation["ego"][2:4].copy()
        self._due = 0.0

    def _pace(self, by: int) -> None:
        self.drive.pace = int(np.clip(self.drive.pace + by, 0, len(PACES) - 1))
        self.drive.say(f"{self.drive.rate:g} steps a second")

    def _step(self) -> None:
        self.drive.tick()
        if self._steps is not None and self.drive.steps >= self._steps:
            self.running = False

    def _by_hand(self) -> np.ndarray:
        return self._action

    def _draw(self) -> None:
        # What is to be seen may take the model a while, which is not the display's time.
        frame = self.drive.frame()
        began = time.perf_counter()
        self.board.draw(self.display.surface, frame, HELP if self._help else ())
        self.display.flip()
        self.display_times.append(time.perf_counter() - began)
        self.drive.display_ms += 0.1 * (1e3 * self.display_times[-1] - self.drive.display_ms)

    def _saved(self) -> str:
        return f"; saved: {', '.join(map(str, paths))}" if (paths := self.drive.stop_recording()) else ""

    def _rescue(self) -> None:
        """The X server has gone, and the process goes next."""
        try:
            print(f"learned-sim: error: the display is lost{self._saved()}", file=sys.stderr, flush=True)
        finally:
            os._exit(2)
