"""Moments of a dream, each knowing the one it came from: what can be rewound, marked and replayed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from learned_sim_env.display.frame import TRAIL, TwinFrame, Views

NO_TRAIL = np.zeros(0, np.float32)


@dataclass(eq=False)
class TimelineMoment:
    """One moment.

    observation, info: what the environment gave, observation of type "dict". views: what is shown of it. snapshot: to
    come back to it. reward: of the step that led here. parent, action: the moment before and what was done there, None
    where it begins. trail: (n,) float32, the uncertainty of what came before the moment that has no parent. real_start:
    of that moment, whether it is a context of the checkpoint, which a simulator can be brought to. pose: (3,) x, y,
    heading of the ego in its frame at that moment [m, m, rad]. twin: the simulator then, once it was there.
    """

    observation: dict[str, np.ndarray]
    info: dict[str, Any]
    views: Views
    snapshot: dict[str, Any]
    reward: float = 0.0
    parent: TimelineMoment | None = None
    action: np.ndarray | None = None
    trail: np.ndarray = field(default_factory=lambda: NO_TRAIL)
    real_start: bool = False
    pose: np.ndarray = field(default_factory=lambda: np.zeros(3))
    twin: TwinFrame | None = None

    def __post_init__(self) -> None:
        if self.parent is not None:
            self.pose = moved(self.parent.pose, self.info["ego_motion"])

    @property
    def over(self) -> bool:
        """Whether the episode has ended here."""
        return bool(self.info["end_reason"])

    def back(self) -> Iterator[TimelineMoment]:
        """This moment, the one before it, and so on."""
        moment: TimelineMoment | None = self
        while moment is not None:
            yield moment
            moment = moment.parent

    def since_start(self) -> list[TimelineMoment]:
        """The moments that led here, from the first, which has no parent, to this one."""
        return list(self.back())[::-1]

    def uncertainties(self) -> np.ndarray:
        """(n,) float32 of the last moments, at most `TRAIL`, this one last."""
        values: list[float] = []
        for moment in self.back():
            values.append(moment.info["uncertainty"])
            if len(values) == TRAIL:
                break
        before = moment.trail[max(0, len(moment.trail) + len(values) - TRAIL) :] if moment.parent is None else NO_TRAIL
        return np.concatenate([before, np.array(values[::-1], np.float32)])


def moved(pose: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """`pose` (3,) [m, m, rad] after `motion` (3,) in the frame of that pose, see `spec.MOTION_FIELDS`."""
    cos, sin = np.cos(pose[2]), np.sin(pose[2])
    dx, dy, dyaw = (float(v) for v in motion)
    return pose + np.array([cos * dx - sin * dy, sin * dx + cos * dy, dyaw])
