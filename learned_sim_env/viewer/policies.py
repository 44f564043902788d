"""What drives a session when no human does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from learned_sim_env.drivers.catalogue import FILE, names, open_driver
from learned_sim_env.drivers.driver import Driver, needs_bev
from learned_sim_env.drivers.ray_features import LAG
from learned_sim_env.spec import unknown

if TYPE_CHECKING:
    from learned_sim_env.viewer.session import Session
    from learned_sim_env.viewer.timeline import TimelineMoment

# What `--policy` takes besides the names of drivers and the path of a file.
NAMES = ("human", "expert")


class SessionPolicy(Protocol):
    """Drives a session."""

    @property
    def name(self) -> str:
        """As it is shown."""
        ...

    def __call__(self, session: Session) -> np.ndarray:
        """Action (2,) float32 in [-1, 1] for the session's present moment."""
        ...


class DriverPolicy:
    """A driver of one row at the wheel of a session.

    Wherever that is put elsewhere than the driver's last action led to, it is shown the last `LAG` moments before as if
    an episode began there: after going back it sees the same as it did the first time, and chooses its lane anew.
    """

    def __init__(self, name: str, driver: Driver):
        self.name, self._driver = name, driver
        self._last: TimelineMoment | None = None
        self._action = np.zeros(2, np.float32)

    def __call__(self, session: Session) -> np.ndarray:
        """See `SessionPolicy`."""
        moment = session.moment
        if moment is self._last:
            return self._action
        follows = self._last is not None and moment.parent is self._last
        fresh = [moment] if follows else [m for _, m in zip(range(LAG + 1), moment.back())][::-1]
        for i, m in enumerate(fresh):
            row = {name: value[None] for name, value in m.observation.items()}
            self._action = self._driver(row, np.array([i == 0 and not follows]))[0]
        self._last = moment
        return self._action


# The policy that ships, learned in the dream: it takes over from a human.
LEARNED = "dream"


def expert() -> SessionPolicy:
    """Follows the route at a steady speed, in the lane where the episode began or it took over; blind to traffic."""
    return DriverPolicy("expert (route follower)", open_driver("follow-8", [0]))


def open_policy(name: str, session: Session) -> SessionPolicy:
    """The policy that `--policy` names; for "human", the one that takes over when the human lets go.

    Raises:
        ValueError, FileNotFoundError: for neither a name nor the file of a policy, or one that does not fit: that needs
            the view from above, say, where the model draws none.
        ImportError: if Stable-Baselines3 is needed and not installed, or for the module of one's own.
    """
    if name == "human":
        name = LEARNED if "bev" in session.moment.observation else "expert"
    if name == "expert":
        return expert()
    path = Path(name)
    if name in names() or path.suffix == FILE:
        return _fitting(path.name, open_driver(name, [session.seed]), session)
    if path.is_file() or path.with_name(path.name + ".zip").is_file():
        from learned_sim_env.viewer import sb3

        return sb3.open_policy(path if path.is_file() else path.with_name(path.name + ".zip"), session)
    if ":" in name:
        return _fitting(name, open_driver(name, [session.seed]), session)
    if path.is_dir():
        raise ValueError(f"policy {name} is a folder: name a file in it, as in {path / 'policy.safetensors'}")
    if path.suffix or len(path.parts) > 1:
        raise FileNotFoundError(f"policy file {name} does not exist")
    raise unknown("policy", name, (*NAMES, *names(), "<file>.zip"))


def _fitting(name: str, driver: Driver, session: Session) -> DriverPolicy:
    if needs_bev(driver) and "bev" not in session.moment.observation:
        raise ValueError(f"policy {name} needs the view from above, which is not observed here: give --policy expert")
    return DriverPolicy(name, driver)
