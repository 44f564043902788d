"""Whether a simulator is shown beside a dream, and how it gets there: in small portions, between two pictures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from learned_sim_env.scene import SimulatorError
from learned_sim_env.viewer.session import Session
from learned_sim_env.viewer.timeline import TimelineMoment
from learned_sim_env.viewer.twin_follower import TwinFollower

if TYPE_CHECKING:
    from learned_sim_env.environments.twin import TwinDrivingEnv


class TwinBeside:
    """The simulator beside a session's dream; opened when it is first wanted.

    Args:
        session: that dreams.
        open_twin: opens the simulator, see `pairing.open_twin`; None where there is none.
        say: shows a note.

    Attributes:
        wanted: whether it is to be seen. follower: None before it was first wanted.
    """

    def __init__(self, session: Session, open_twin: Callable[[], TwinDrivingEnv] | None, say: Callable[[str], None]):
        self._session, self._open, self._say = session, open_twin, say
        self.wanted = False
        self.follower: TwinFollower | None = None
        self._approach: Iterator[int] | None = None
        self._appearance = ""

    @property
    def behind(self) -> bool:
        """Whether it is wanted, and does not stand at the dream's moment."""
        return self.wanted and not (self.follower is not None and self.follower.stands_at(self._session.moment))

    def toggle(self) -> None:
        """Show it, or no longer.

        Raises:
            ValueError: if there is none.
            ImportError: if what it needs is not installed.
        """
        if self.wanted:
            self._off("")
            return
        if self.follower is None:
            if self._open is None:
                raise ValueError("this environment declares no twin")
            self.follower = TwinFollower(self._open(), self._session.contexts)
        self.wanted = True
        self._say("the simulator sets out")

    def next_appearance(self) -> None:
        """Show its cameras in the next light or weather.

        Raises:
            ValueError: if there is no simulator whose cameras are drawn.
        """
        if self.follower is None or not self.follower.appearances:
            raise ValueError("not applicable: T shows a simulator, and only some have cameras that are drawn")
        known = self.follower.appearances
        self._appearance = known[(known.index(self._appearance) + 1) % len(known)] if self._appearance else known[0]
        self.follower.show_in(self._appearance)
        self._say(f"the simulator: {self._appearance}")

    def set_out(self) -> None:
        """Begin to drive to the dream's moment, if it is known how."""
        assert self.follower is not None
        if self.follower.can_follow(self._session.moment):
            self._approach = self._approach or self.follower.catch_up(self._session.moment)
        else:
            self._off("no simulator: it is not known how it would get here")

    def turn_back(self) -> None:
        """The dream has gone elsewhere: where it was driven to counts no longer."""
        self._approach = None

    def work(self, seconds: float) -> bool:
        """Drive towards the dream's moment for some seconds; whether it is still on its way."""
        if self.wanted and self._approach is None and self._session.moment.twin is None:
            self.set_out()
        until = time.perf_counter() + seconds
        while self._approach is not None:
            try:
                left = next(self._approach, None)
            except (ValueError, SimulatorError) as error:
                self._off(str(error))
                break
            if left is None:
                self._approach = None
                self._say("the simulator is there")
                break
            if time.perf_counter() > until:
                self._say(f"the simulator is on its way: {left} steps to go")
                break
        return self._approach is not None

    def step(self, moment: TimelineMoment) -> None:
        """Take the step that led the dream to `moment`, if it is wanted."""
        if self.wanted and self.follower is not None:
            self.follower.step(moment)

    def close(self) -> None:
        """Close the simulator; closing again is harmless."""
        if self.follower is not None:
            self.follower.close()
            self.follower = None

    def _off(self, note: str) -> None:
        self.wanted, self._approach = False, None
        self._say(note)
