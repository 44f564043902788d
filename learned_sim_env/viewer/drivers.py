"""Who drives when no human does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from learned_sim_env.policies import NetworkPolicy, RouteFollower, open_network, shipped_policies
from learned_sim_env.sight import LAG, features
from learned_sim_env.spec import unknown

if TYPE_CHECKING:
    from learned_sim_env.viewer.moments import Moment
    from learned_sim_env.viewer.session import Session

# What `--policy` takes besides the path of a file.
NAMES = ("human", "expert")


class Driver(Protocol):
    """Drives a session."""

    @property
    def name(self) -> str:
        """As it is shown."""
        ...

    def __call__(self, session: Session) -> np.ndarray:
        """Action (2,) float32 in [-1, 1] for the session's present moment."""
        ...


class Expert:
    """Follows the route at a steady speed, in the lane where the episode began or it took over. Sees nobody."""

    name = "expert (route follower)"

    def __init__(self) -> None:
        self._follower: RouteFollower | None = None
        self._last: Moment | None = None

    def __call__(self, session: Session) -> np.ndarray:
        moment = session.moment
        # Another place than the one that the last action led to: the lane is chosen anew.
        if self._follower is None or self._last not in (moment, moment.parent):
            self._follower = RouteFollower.from_ego(moment.observation["ego"])
        self._last = moment
        return self._follower(moment.observation["ego"])


class Network:
    """A small network that was trained to drive, see `policies.NetworkPolicy`."""

    def __init__(self, name: str, policy: NetworkPolicy):
        self.name, self._policy = name, policy

    def __call__(self, session: Session) -> np.ndarray:
        # Moments know where they came from, so that it sees the same after going back as it did the first time.
        earlier = session.moment
        for _ in range(LAG):
            earlier = earlier.parent or earlier
        return self._policy(features(session.moment.observation, earlier.observation))


def open_driver(policy: str, session: Session) -> Driver:
    """The driver that `--policy` names; for "human", the one that takes over when the human lets go.

    Raises:
        ValueError, FileNotFoundError: for neither a name nor the file of a policy, or one that does not fit.
        ImportError: if Stable-Baselines3 is needed and not installed.
    """
    if policy in NAMES:
        return Expert()
    path = Path(policy)
    if policy in shipped_policies() or path.suffix == ".safetensors":
        return Network(path.name, open_network(policy))
    if path.is_file() or path.with_name(path.name + ".zip").is_file():
        from learned_sim_env.viewer.sb3 import open_policy

        return open_policy(path if path.is_file() else path.with_name(path.name + ".zip"), session)
    if path.suffix or len(path.parts) > 1:
        raise FileNotFoundError(f"policy file {policy} does not exist")
    raise unknown("policy", policy, (*NAMES, *shipped_policies(), "<file>.safetensors", "<file>.zip"))
