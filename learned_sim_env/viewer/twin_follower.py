"""The simulator beside a dream: it cannot jump, so it is driven to whatever moment the dream stands at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from learned_sim_env.display.frame import TwinFrame
from learned_sim_env.spec import unknown
from learned_sim_env.twins.approach import NOT_THE_SAME, approach
from learned_sim_env.viewer.timeline import TimelineMoment, moved

if TYPE_CHECKING:
    from learned_sim_env.environments.twin import TwinDrivingEnv
    from learned_sim_env.world_model.contexts import Contexts


class TwinFollower:
    """Drives the twin with the actions of the dream, and remembers at each moment what it showed.

    Args:
        twin: see `pairing.open_twin`.
        contexts: of the checkpoint that dreams.
    """

    def __init__(self, twin: TwinDrivingEnv, contexts: Contexts):
        self._twin, self._contexts = twin, contexts
        self._at: TimelineMoment | None = None
        self._options: dict[str, Any] = {}
        self._pose = np.zeros(3)
        self._reward = self._cost = 0.0
        self._end = ""

    @property
    def appearances(self) -> tuple[str, ...]:
        """Conditions in which the simulator's cameras can be drawn; none where it has no such cameras."""
        from learned_sim_env.rendering.camera import CONDITIONS

        return CONDITIONS if self._twin.contract.cameras and self._twin.cameras.source == "drawn" else ()

    def show_in(self, appearance: str) -> None:
        """Draw the simulator's cameras in another light from now on, and what they show now anew.

        Raises:
            ValueError: if it has no cameras that are drawn, or for an unknown condition.
        """
        if not self.appearances:
            raise ValueError("not applicable: the simulator has no cameras that are drawn")
        if appearance not in self.appearances:
            raise unknown("appearance", appearance, self.appearances)
        self._options = {"appearance": appearance}
        if self._at is not None:
            self._twin.set_appearance(appearance)
            self._arrive(self._at)

    def can_follow(self, moment: TimelineMoment) -> bool:
        """Whether it is known how the simulator gets to this moment."""
        return moment.since_start()[0].real_start

    def stands_at(self, moment: TimelineMoment) -> bool:
        """Whether the simulator could take a step from here with the dream."""
        return self._at is moment

    def step(self, moment: TimelineMoment) -> None:
        """Take the step that led the dream to `moment`, whose parent the simulator stands at."""
        assert moment.action is not None
        if not self._end:
            _, reward, _, _, info = self._twin.step(moment.action)
            self._pose = moved(self._pose, info["ego_motion"])
            self._reward, self._cost = self._reward + float(reward), self._cost + info["cost"]
            self._end = info["end_reason"]
        self._arrive(moment)

    def catch_up(self, moment: TimelineMoment) -> Iterator[int]:
        """Drive to a moment from the start of its scenario.

        Yields:
            How many steps are left; the simulator is there after the last.

        Raises:
            ValueError: if the simulator's episode ends before the context does, or comes to something else.
            SimulatorError: if the simulator fails.
        """
        first, *later = moment.since_start()
        self._at = None
        context = first.info["context"]
        agreement = yield from approach(self._twin, self._contexts, context, self._options, len(later))
        if not agreement.same:
            raise ValueError(f"the simulator does not come to where the dream began: {agreement}; {NOT_THE_SAME}")
        self._pose, self._reward, self._cost, self._end = np.zeros(3), 0.0, 0.0, ""
        self._arrive(first)
        for i, step in enumerate(later, start=1):
            self.step(step)
            yield len(later) - i

    def close(self) -> None:
        """Close the simulator."""
        self._twin.close()

    def _arrive(self, moment: TimelineMoment) -> None:
        self._at = moment
        speed: Any = self._twin.ego_vector[0]
        apart = float(np.hypot(*(self._pose - moment.pose)[:2]))
        views = {name: view.copy() for name, view in self._twin.observed(moment.views).items()}
        moment.twin = TwinFrame(views, float(speed), self._reward, self._cost, self._end, apart)
