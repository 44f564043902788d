"""A recorded drive, driven again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from learned_sim_env.display.frame import Frame
from learned_sim_env.viewer.policies import Policy
from learned_sim_env.viewer.session import Session
from learned_sim_env.viewer.shown import frame_of
from learned_sim_env.viewer.tape import JUMP, STEP, Tape, crc

# How a file of actions alone may end; a recording ends in .npz.
PLAIN = (".npy", ".csv")


@dataclass
class Replay:
    """Drives a session as a tape says.

    Attributes:
        first_deviation: frame from which view or reward are others than on the tape, or -1.
    """

    tape: Tape
    session: Session
    first_deviation: int = -1

    def frames(self) -> Iterator[tuple[int, Frame]]:
        """Every frame of the tape, as it was shown, and how it came about (`tape.STEP`, `JUMP`, `HOLD`).

        Raises:
            ValueError: for a tape of another checkpoint.
        """
        a, session = self.tape.arrays, self.session
        for t, kind in enumerate(a["kind"].tolist()):
            if kind == JUMP:
                session.open(self.tape.snapshot(a["jump"][t]), self.tape.trail(a["jump"][t]))
                session.moment.reward = float(a["reward"][t])
            elif kind == STEP:
                session.step(a["action"][t])
            moment = session.moment
            if self.first_deviation < 0 and (moment.reward, crc(moment.view)) != (a["reward"][t], a["view_crc"][t]):
                self.first_deviation = t
            yield kind, self.tape.dressed(t, frame_of(session))


class Given:
    """Takes actions (T, 2) float32 one after the other; after the last, another driver goes on."""

    def __init__(self, actions: np.ndarray, then: Policy):
        self._actions, self._then, self._taken = actions, then, 0

    @property
    def name(self) -> str:
        """Who drives now."""
        return "given actions" if self._taken < len(self._actions) else self._then.name

    def __call__(self, session: Session) -> np.ndarray:
        """Action (2,) float32."""
        if self._taken == len(self._actions):
            return self._then(session)
        self._taken += 1
        return self._actions[self._taken - 1]


def read_actions(path: Path) -> np.ndarray:
    """(T, 2) float32 actions from an array (.npy) or from lines `steer,throttle_brake` (.csv).

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for other contents, or values that are not in [-1, 1].
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file of actions {path}")
    if path.suffix not in PLAIN:
        raise ValueError(f"{path}: actions are read from a recording (.npz), an array (.npy) or lines (.csv)")
    try:
        actions = (
            np.load(path, allow_pickle=False) if path.suffix == ".npy" else np.loadtxt(path, delimiter=",", ndmin=2)
        )
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} holds no actions: {error}") from error
    if actions.dtype.kind not in "fiu" or actions.ndim != 2 or actions.shape[1] != 2 or not len(actions):
        raise ValueError(f"{path} holds {actions.dtype} of shape {actions.shape}: (T, 2) numbers are needed")
    if not (np.abs(actions) <= 1).all():
        wrong = actions[~(np.abs(actions) <= 1)][0].item()
        raise ValueError(f"{path} holds {wrong}: steer and throttle_brake are numbers in [-1, 1]")
    return actions.astype(np.float32)
